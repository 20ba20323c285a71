"""The inbox: signed studies that a coordinator sent for this holder's people to decide on, and their noes.

Invariants:
    Nothing is kept that was not verified before, and no more than `MOST_STUDIES` of one coordinator.
    One name stands for one study: people act by names.
    What people decided is an act of theirs and nothing else; a rejection holds until one of them approves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    select,
)

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.store import reading

MOST_STUDIES = 1000
METADATA = MetaData()
_ROWS = Table(
    "study_inbox",
    METADATA,
    Column("coordinator", String(64), primary_key=True),
    Column("study", String(71), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("epsilon", Text, nullable=False),
    Column("delta", Text, nullable=False),
    Column("expires", String(10), nullable=False),
    Column("received", String(40), nullable=False),
    Column("document", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("composed", Text, nullable=False),
)
_REJECTED = Table(
    "study_rejections",
    METADATA,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("study", String(71), primary_key=True),
    Column("at", String(40), nullable=False),
    Column("document", Text, nullable=False),
)
_SHOWN = tuple(column for column in _ROWS.c if column.name not in {"coordinator", "document", "schema"})

Record = Callable[[Connection], object]
"""Writes an event in the transaction of what it speaks of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxStudy:
    """One study in the inbox, as a listing shows it.

    Attributes:
        study: its digest.
        name: its id.
        purpose: of the catalogue.
        epsilon, delta: the price of one run to a customer over all its holders, as signed.
        expires: its last day.
        received: when it came first, UTC.
        runs: of a series; 0 for a study that is run once.
        composed: epsilon of all its runs with every attempt; empty where it is no series, or has no price.
    """

    study: str
    name: str
    purpose: str
    epsilon: str
    delta: str
    expires: str
    received: str
    runs: int = 0
    composed: str = ""


class Inbox:
    """The inbox in a holder's store."""

    def __init__(self, engine: Engine, federation: int = 1) -> None:
        """Open the tables, making them when absent; a federation is known by the number of its log."""
        self._engine = engine
        self._federation = federation
        self._own = _REJECTED.c.federation == federation
        METADATA.create_all(engine)

    def keep(
        self,
        coordinator: PublicIdentity,
        found: InboxStudy,
        documents: tuple[str, str],
        record: Record,
    ) -> bool:
        """Keep a study that was verified; one that is there already stays as it is.

        Args:
            coordinator: who signed it.
            found: what it says.
            documents: the signed study and the signed schema, file form.
            record: writes the event.

        Returns:
            Whether it is new here.

        Raises:
            StudyError: RF-S433 another study has its name here, RF-S434 the inbox is full.
        """
        with self._engine.begin() as connection:
            if self._named(coordinator, _ROWS.c.study == found.study, connection):
                return False
            known = self._named(coordinator, _ROWS.c.name == found.name, connection)
            if known:
                raise StudyError(
                    "RF-S433",
                    N_(
                        "Another study named {study} is in the inbox ({known}); people act by names, so the "
                        "coordinator has to give this one ({found}) a name of its own."
                    ),
                    study=found.name,
                    known=known,
                    found=found.study,
                )
            self._make_room(coordinator, found, connection)
            connection.execute(
                insert(_ROWS).values(
                    coordinator=coordinator.hex,
                    document=documents[0],
                    schema=documents[1],
                    **{column.name: getattr(found, column.name) for column in _SHOWN},
                )
            )
            record(connection)
        return True

    def listed(self, coordinator: PublicIdentity) -> tuple[InboxStudy, ...]:
        """A coordinator's studies, the last that came first."""
        chosen = select(*_SHOWN).where(_ROWS.c.coordinator == coordinator.hex)
        with reading(self._engine) as connection:
            rows = connection.execute(chosen.order_by(_ROWS.c.received.desc(), _ROWS.c.name)).all()
        return tuple(InboxStudy(**row._mapping) for row in rows)

    def document(self, coordinator: PublicIdentity, given: str) -> str | None:
        """The signed study of a name or a digest; None where there is none."""
        called = (_ROWS.c.name == given) | (_ROWS.c.study == given)
        chosen = select(_ROWS.c.document).where(_ROWS.c.coordinator == coordinator.hex, called)
        with reading(self._engine) as connection:
            return connection.scalar(chosen.limit(1))

    def documents(self) -> tuple[str, ...]:
        """Every signed study here, of whichever coordinator."""
        with reading(self._engine) as connection:
            return tuple(connection.scalars(select(_ROWS.c.document)))

    def rejected(self, study: str) -> str:
        """When a study was rejected here; empty where it is not."""
        with reading(self._engine) as connection:
            return self._rejected(study, connection)

    def rejection(self, study: str) -> str:
        """What the person signed who rejected a study, file form; empty where nobody did."""
        chosen = select(_REJECTED.c.document).where(self._own, _REJECTED.c.study == study)
        with reading(self._engine) as connection:
            return connection.scalar(chosen) or ""

    def rejections(self) -> dict[str, str]:
        """When each study was rejected that is."""
        with reading(self._engine) as connection:
            return {row.study: row.at for row in connection.execute(select(_REJECTED).where(self._own))}

    def reject(self, study: str, at: str, document: str, record: Record) -> None:
        """Keep that a study was rejected, and what the person who did so signed.

        Raises:
            StudyError: RF-S440 it was before.
        """
        with self._engine.begin() as connection:
            if before := self._rejected(study, connection):
                raise StudyError(
                    "RF-S440",
                    N_("The study was rejected here on {at} already; there is nothing to do."),
                    at=before,
                )
            connection.execute(
                insert(_REJECTED).values(federation=self._federation, study=study, at=at, document=document)
            )
            record(connection)

    def accept(self, study: str, seen: str) -> None:
        """Take a rejection back that whoever approves knew of.

        Args:
            study: its digest.
            seen: when it was rejected, as the person was told; empty where it was not.

        Raises:
            StudyError: RF-S437 it was rejected since.
        """
        with self._engine.begin() as connection:
            if self._rejected(study, connection) not in {"", seen}:
                raise StudyError(
                    "RF-S437",
                    N_("Somebody rejected the study at this moment; ask why before you approve it anew."),
                )
            connection.execute(delete(_REJECTED).where(self._own, _REJECTED.c.study == study))

    def _named(
        self, coordinator: PublicIdentity, which: ColumnElement[bool], connection: Connection
    ) -> str | None:
        """Digest of a study of which something holds."""
        chosen = select(_ROWS.c.study).where(and_(_ROWS.c.coordinator == coordinator.hex, which))
        return connection.scalar(chosen.limit(1))

    def _make_room(self, coordinator: PublicIdentity, found: InboxStudy, connection: Connection) -> None:
        """Let studies go that are over, once there are too many; what became of them stays in the log."""
        own = _ROWS.c.coordinator == coordinator.hex
        counted = select(func.count()).select_from(_ROWS).where(own)
        if (connection.scalar(counted) or 0) < MOST_STUDIES:
            return
        today = found.received[:10]
        connection.execute(delete(_ROWS).where(own, _ROWS.c.expires < today))
        if (connection.scalar(counted) or 0) >= MOST_STUDIES:
            ends = connection.scalar(select(func.min(_ROWS.c.expires)).where(own))
            raise StudyError(
                "RF-S434",
                N_(
                    "The inbox is full: it holds {most} studies of this coordinator, and the first of them "
                    "ends on {day}. The study {study} was not taken; the coordinator sends it again."
                ),
                most=MOST_STUDIES,
                day=ends,
                study=found.name,
            )

    def _rejected(self, study: str, connection: Connection) -> str:
        chosen = select(_REJECTED.c.at).where(self._own, _REJECTED.c.study == study)
        return connection.scalar(chosen) or ""
