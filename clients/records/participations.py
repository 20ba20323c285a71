"""The runs that this holder joined, in its store: a farewell may come to a process that did not join.

Invariant: a run that was joined ends here once, whichever process hears the farewell and however often it is
said; its reservation never stays open because a process died.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    and_,
    insert,
    select,
    update,
)

from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.stores.store import reading
from ringfence.privacy.wire.heads import LogPosition

METADATA = MetaData()
_ROWS = Table(
    "participations",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("log_key", String(64), nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", String(71), nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("witnesses", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Who cosigns a release, as the signed study fixes it.

    Attributes:
        keys: public key of each holder of the study in hexadecimal, by name.
        quorum: how many cosign.
        floor: how many suffice after the waiting time.
        wait_hours: the waiting time, from the intent on.
    """

    keys: Mapping[str, str]
    quorum: int
    floor: int
    wait_hours: int

    @classmethod
    def of(cls, study: Study) -> Witnesses:
        """Those of a signed study."""
        quorum, floor = study.quorums()
        return cls(
            keys={holder.name: holder.key for holder in study.holders},
            quorum=quorum,
            floor=floor,
            wait_hours=study.release.wait_hours,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """One run that was joined.

    Attributes:
        study: digest of the signed study.
        run: id of the run.
        coordinator_log: key of the coordinator's log, as the offer named it.
        position: of this holder's own log as the coordinator was shown it last.
        witnesses: who cosigns its release.
        ended: whether the farewell was heard.
    """

    study: str
    run: str
    coordinator_log: PublicIdentity
    position: LogPosition
    witnesses: Witnesses
    ended: bool = False


class Participations:
    """The runs in a holder's store."""

    def __init__(self, engine: Engine) -> None:
        """Open the table, making it when absent."""
        self._engine = engine
        METADATA.create_all(engine)

    def find(self, study: str, run: str) -> Participation | None:
        """What is known of a run, or None for one that was not joined here."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_ROWS).where(_of(study, run))).one_or_none()
        if row is None:
            return None
        return Participation(
            study=row.study,
            run=row.run,
            coordinator_log=PublicIdentity.from_hex(row.log_key),
            position=LogPosition(size=row.log_size, root=row.log_root),
            witnesses=Witnesses(**json.loads(row.witnesses)),
            ended=row.ended,
        )

    def ended_by_study(self) -> dict[str, bool]:
        """Of each study that was joined here, whether all its runs have ended."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_ROWS.c.study, _ROWS.c.ended)).all()
        studies = {row.study for row in rows}
        open_ones = {row.study for row in rows if not row.ended}
        return {study: study not in open_ones for study in studies}

    def open_runs(self) -> tuple[tuple[str, str], ...]:
        """Study and run of every participation whose end was not heard, in order."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(_ROWS.c.study, _ROWS.c.run).where(~_ROWS.c.ended).order_by(_ROWS.c.study, _ROWS.c.run)
            )
            return tuple((row.study, row.run) for row in rows)

    def joined(self, known: Participation) -> None:
        """Keep that a run was joined, before the coordinator hears of it; anew when it is joined again."""
        values = {
            "log_key": known.coordinator_log.hex,
            "log_size": known.position.size,
            "log_root": known.position.root,
            "ended": known.ended,
            "witnesses": json.dumps(asdict(known.witnesses)),
        }
        with self._engine.begin() as connection:
            changed = connection.execute(update(_ROWS).where(_of(known.study, known.run)).values(**values))
            if not changed.rowcount:
                connection.execute(insert(_ROWS).values(study=known.study, run=known.run, **values))

    def follow_log(self, old: PublicIdentity, new: PublicIdentity, connection: Connection) -> None:
        """Expect the log of the coordinator of open runs under the successor of its key."""
        connection.execute(update(_ROWS).where(_open_under(old)).values(log_key=new.hex))

    def expects_log(self, key: PublicIdentity) -> bool:
        """Whether an open run is of a coordinator whose log has this key."""
        with reading(self._engine) as connection:
            return connection.execute(select(_ROWS.c.run).where(_open_under(key))).first() is not None

    def ended(self, study: str, run: str, *, connection: Connection) -> None:
        """Keep that a run is over, in the transaction of its event."""
        connection.execute(update(_ROWS).where(_of(study, run)).values(ended=True))


def _open_under(key: PublicIdentity) -> ColumnElement[bool]:
    return and_(_ROWS.c.log_key == key.hex, ~_ROWS.c.ended)


def _of(study: str, run: str) -> ColumnElement[bool]:
    return and_(_ROWS.c.study == study, _ROWS.c.run == run)
