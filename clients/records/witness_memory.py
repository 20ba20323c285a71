"""What a witness remembers: the one log of each coordinator, and the intents of each run that it cosigned.

Invariant: of a run one intent stands. Another one is witnessed only once the first was withdrawn, or was lost
with its coordinator's log and is of the same model.
The checkpoint that was cosigned last is not here but in the holder's own log, which anchors it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    insert,
    select,
    update,
)

from ringfence.audit.note import Verifier
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.releases import MOST_WITHDRAWN
from ringfence.privacy.stores.store import reading

METADATA = MetaData()
_LOGS = Table(
    "witnessed_logs",
    METADATA,
    Column("coordinator", String(64), primary_key=True),
    Column("origin", String(256), nullable=False),
    Column("log_key", String(64), nullable=False),
)
_FORKS = Table(
    "witnessed_forks",
    METADATA,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
)
_RELEASES = Table(
    "witnessed_releases",
    METADATA,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
    Column("leaf", String(71), primary_key=True),
    Column("coordinator", String(64), nullable=False),
    Column("study", String(71), nullable=False),
    Column("model", String(71), nullable=False),
    Column("event", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
)
_REMEMBERED = [column for column in _RELEASES.columns if column.name != "federation"]
STANDING, WITHDRAWN, LOST = "standing", "withdrawn", "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedIntent:
    """One intent of a run that a holder witnessed, or that it was told is withdrawn.

    Attributes:
        coordinator: whose log holds it, its key in hexadecimal.
        study: digest of the study.
        run: id of the run.
        leaf: hash of the intent's event, in the form of digests: no other event has it.
        model: what was to be released.
        event: number of the event.
        state: `STANDING`, `WITHDRAWN`, or `LOST` with the part of the log that held it.
    """

    coordinator: str
    study: str
    run: str
    leaf: str
    model: str
    event: int
    state: str = STANDING


class WitnessMemory:
    """Which log each coordinator has, and which intents of a run were witnessed."""

    def __init__(self, engine: Engine, federation: int = 1) -> None:
        """Open the tables, making them when absent; a federation is known by the number of its log."""
        self._engine = engine
        self._federation = federation
        self._own = _RELEASES.c.federation == federation
        METADATA.create_all(engine)

    def require_log(self, coordinator: PublicIdentity, key: PublicIdentity, origin: str | None) -> None:
        """Refuse another log than the one that was cosigned first; `origin` None: it is not known yet.

        Raises:
            WaistError: RF-W232.
        """
        with reading(self._engine) as connection:
            row = connection.execute(
                select(_LOGS).where(_LOGS.c.coordinator == coordinator.hex)
            ).one_or_none()
        if row is not None and (row.log_key, row.origin) != (key.hex, origin or row.origin):
            raise WaistError(
                "RF-W232",
                N_(
                    "The coordinator came with another log than {origin}, which this holder cosigned. A "
                    "coordinator has one log: ask its people why."
                ),
                origin=row.origin,
            )

    def follow(self, role: str, old: PublicIdentity, new: PublicIdentity, connection: Connection) -> None:
        """Let what is remembered of a coordinator, or of its log, stand under the successor of its key."""
        columns = (_LOGS.c.log_key,) if role == "log" else (_LOGS.c.coordinator, _RELEASES.c.coordinator)
        for column in columns:
            connection.execute(update(column.table).where(column == old.hex).values({column: new.hex}))

    def knows_log(self, key: PublicIdentity) -> bool:
        """Whether a log of this key was cosigned."""
        with reading(self._engine) as connection:
            return connection.scalar(select(_LOGS.c.origin).where(_LOGS.c.log_key == key.hex)) is not None

    def keep(
        self,
        connection: Connection,
        *,
        log: Verifier,
        intent: RememberedIntent,
    ) -> None:
        """Keep whose log it is and which release of the run is intended.

        Raises:
            WaistError: RF-W233 another model of this run was witnessed, RF-W450 another intent of it, RF-W451
                this one was withdrawn.
        """
        whose = intent.coordinator
        if connection.scalar(select(_LOGS.c.origin).where(_LOGS.c.coordinator == whose)) is None:
            connection.execute(
                insert(_LOGS).values(coordinator=whose, origin=log.name, log_key=log.raw.hex())
            )
        known = self._of_run(connection, intent.run)
        _require_only(known, intent)
        same = [each.state for each in known if each.leaf == intent.leaf]
        if not same:
            connection.execute(insert(_RELEASES).values(**self._row(intent)))
        elif same == [LOST]:  # It was in the kept part too, of which no checkpoint was common.
            which = and_(self._own, _RELEASES.c.run == intent.run, _RELEASES.c.leaf == intent.leaf)
            connection.execute(update(_RELEASES).where(which).values(state=STANDING))

    def require_only(self, intent: RememberedIntent, withdrawn: Iterable[str]) -> None:
        """Refuse an intent beside which another one of the run stands.

        Args:
            intent: what is said to be released.
            withdrawn: leaves of intents that are withdrawn, though not yet remembered so.

        Raises:
            WaistError: as `keep`.
        """
        gone = set(withdrawn)
        with reading(self._engine) as connection:
            known = self._of_run(connection, intent.run)
        told = [replace(each, state=WITHDRAWN) if each.leaf in gone else each for each in known]
        news = [replace(intent, state=WITHDRAWN)] if intent.leaf in gone else []
        _require_only([*told, *news], intent)

    def withdraw(self, connection: Connection, intent: RememberedIntent) -> bool:
        """Keep that an intent was withdrawn, whether or not it was witnessed here; whether this is news.

        Raises:
            WaistError: RF-W452 too many intents of the run were.
        """
        known = {each.leaf: each for each in self._of_run(connection, intent.run)}
        same = known.get(intent.leaf)
        if same is None and len(known) >= 2 * MOST_WITHDRAWN:
            raise WaistError(
                "RF-W452",
                N_("The coordinator withdrew {count} intents to release the run {run}; no more are taken."),
                count=len(known),
                run=intent.run,
            )
        if same is None:
            connection.execute(insert(_RELEASES).values(**self._row(intent) | {"state": WITHDRAWN}))
        elif same.state != WITHDRAWN:
            which = and_(self._own, _RELEASES.c.run == intent.run, _RELEASES.c.leaf == intent.leaf)
            connection.execute(update(_RELEASES).where(which).values(state=WITHDRAWN))
        return same is None or same.state != WITHDRAWN

    def lose(self, connection: Connection, coordinator: PublicIdentity, since: int) -> tuple[str, ...]:
        """Keep that the intents from an event on went with the end of the coordinator's log.

        Returns:
            The runs of which one stood; their model stays the only one that is witnessed.
        """
        which = and_(
            self._own,
            _RELEASES.c.coordinator == coordinator.hex,
            _RELEASES.c.event >= since,
            _RELEASES.c.state == STANDING,
        )
        runs = connection.scalars(select(_RELEASES.c.run).where(which).order_by(_RELEASES.c.run)).all()
        connection.execute(update(_RELEASES).where(which).values(state=LOST))
        return tuple(runs)

    def origin(self, coordinator: PublicIdentity) -> tuple[str, str] | None:
        """Name and key of the log that was cosigned first; None before."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(_LOGS.c.origin, _LOGS.c.log_key).where(_LOGS.c.coordinator == coordinator.hex)
            ).one_or_none()
        return None if row is None else (row.origin, row.log_key)

    def witnessed(self, run: str) -> tuple[RememberedIntent, ...]:
        """The intents of a run that are known here."""
        with reading(self._engine) as connection:
            return self._of_run(connection, run)

    def forked(self, connection: Connection, run: str) -> bool:
        """Keep that another history was shown in a run; whether this is the first time."""
        own = _FORKS.c.federation == self._federation
        if connection.scalar(select(_FORKS.c.run).where(own, _FORKS.c.run == run)) is not None:
            return False
        connection.execute(insert(_FORKS).values(federation=self._federation, run=run))
        return True

    def _of_run(self, connection: Connection, run: str) -> tuple[RememberedIntent, ...]:
        chosen = select(*_REMEMBERED).where(self._own, _RELEASES.c.run == run).order_by(_RELEASES.c.event)
        return tuple(RememberedIntent(**row._mapping) for row in connection.execute(chosen))

    def _row(self, intent: RememberedIntent) -> dict[str, object]:
        told = {column.name: getattr(intent, column.name) for column in _REMEMBERED}
        return {"federation": self._federation, **told}


def _require_only(known: Iterable[RememberedIntent], intent: RememberedIntent) -> None:
    """Of a run one intent stands, and another model than the one that was lost is not witnessed.

    Raises:
        WaistError: RF-W233 another model of this run was witnessed, RF-W450 another intent of it, RF-W451
            this one was withdrawn.
    """
    for other in known:
        if other.state == WITHDRAWN:
            if other.leaf == intent.leaf:
                raise WaistError(
                    "RF-W451",
                    N_("The intent to release the run {run} was withdrawn; it counts no more."),
                    run=intent.run,
                )
        elif other.model != intent.model:
            raise WaistError(
                "RF-W233",
                N_("The coordinator means to release two models of the run {run}; one was witnessed."),
                run=intent.run,
            )
        elif other.state == STANDING and other.leaf != intent.leaf:
            raise WaistError(
                "RF-W450",
                N_(
                    "Event {event} of the coordinator's log is a second intent to release the run {run}; "
                    "this holder witnessed event {known}, which was not withdrawn."
                ),
                event=intent.event,
                run=intent.run,
                known=other.event,
            )
