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
    Integer,
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
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("log_key", String(64), nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", String(71), nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("witnesses", Text, nullable=False),
    Column("released", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Who cosigns a release, and how long answers are kept back, as the signed study fixes it.

    Attributes:
        keys: public key of each holder of the study in hexadecimal, by name.
        quorum: how many cosign.
        floor: how many suffice after the waiting time.
        wait_hours: the waiting time, from the intent on.
        held: seconds that an answer of the run is kept back; 0 where it goes out when it is made.
    """

    keys: Mapping[str, str]
    quorum: int
    floor: int
    wait_hours: int
    held: int = 0

    @classmethod
    def of(cls, study: Study) -> Witnesses:
        """Those of a signed study."""
        quorum, floor = study.quorums()
        return cls(
            keys={holder.name: holder.key for holder in study.holders},
            quorum=quorum,
            floor=floor,
            wait_hours=study.release.wait_hours,
            held=study.privacy.held[1],
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
    """The runs of one federation in a holder's store; another one's coordinator reaches none of them."""

    def __init__(self, engine: Engine, federation: int = 1) -> None:
        """Open the table, making it when absent; a federation is known by the number of its log."""
        self._engine = engine
        self._federation = federation
        self._own = _ROWS.c.federation == federation
        METADATA.create_all(engine)

    def find(self, study: str, run: str) -> Participation | None:
        """What is known of a run, or None for one that was not joined here."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_ROWS).where(self._of(study, run))).one_or_none()
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
            rows = connection.execute(select(_ROWS.c.study, _ROWS.c.ended).where(self._own)).all()
        studies = {row.study for row in rows}
        open_ones = {row.study for row in rows if not row.ended}
        return {study: study not in open_ones for study in studies}

    def open_runs(self) -> tuple[tuple[str, str], ...]:
        """Study and run of every participation whose end was not heard, in order."""
        with reading(self._engine) as connection:
            chosen = select(_ROWS.c.study, _ROWS.c.run).where(self._own, ~_ROWS.c.ended)
            rows = connection.execute(chosen.order_by(_ROWS.c.study, _ROWS.c.run))
            return tuple((row.study, row.run) for row in rows)

    def elsewhere(self, study: str) -> bool:
        """Whether a study of this digest was joined for another federation of this home."""
        chosen = select(_ROWS.c.study).where(~self._own, _ROWS.c.study == study)
        with reading(self._engine) as connection:
            return connection.scalar(chosen.limit(1)) is not None

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
            changed = connection.execute(
                update(_ROWS).where(self._of(known.study, known.run)).values(**values)
            )
            if not changed.rowcount:
                connection.execute(
                    insert(_ROWS).values(
                        federation=self._federation,
                        study=known.study,
                        run=known.run,
                        released=False,
                        **values,
                    )
                )

    def follow_log(self, old: PublicIdentity, new: PublicIdentity, connection: Connection) -> None:
        """Expect the log of a coordinator under the successor of its key, in open runs of any federation."""
        connection.execute(update(_ROWS).where(_open_under(old)).values(log_key=new.hex))

    def expects_log(self, key: PublicIdentity) -> bool:
        """Whether an open run of this federation is of a coordinator whose log has this key."""
        with reading(self._engine) as connection:
            asked = select(_ROWS.c.run).where(and_(self._own, _open_under(key)))
            return connection.execute(asked).first() is not None

    def ended(self, study: str, run: str, *, released: bool = False, connection: Connection) -> None:
        """Keep that a run is over, in the transaction of its event."""
        connection.execute(update(_ROWS).where(self._of(study, run)).values(ended=True))
        if released:
            self.released(study, run, connection=connection)

    def released(self, study: str, run: str, *, connection: Connection) -> None:
        """Keep that a run released, or that its release was witnessed here; never taken back."""
        connection.execute(update(_ROWS).where(self._of(study, run)).values(released=True))

    def released_runs(self, study: str, connection: Connection | None = None) -> frozenset[str]:
        """The runs of a study that released, as far as this holder knows."""
        if connection is None:
            with reading(self._engine) as own:
                return self.released_runs(study, own)
        chosen = select(_ROWS.c.run).where(and_(self._own, _ROWS.c.study == study, _ROWS.c.released))
        return frozenset(connection.scalars(chosen))

    def _of(self, study: str, run: str) -> ColumnElement[bool]:
        return and_(self._own, _ROWS.c.study == study, _ROWS.c.run == run)


def _open_under(key: PublicIdentity) -> ColumnElement[bool]:
    return and_(_ROWS.c.log_key == key.hex, ~_ROWS.c.ended)
