"""The runs of studies in the coordinator's store: what it takes to go on after a crash at any line.

A task's state is a function of the signed study and of the sums it was given, so the sums are the state
(decision 7): they are replayed, and every query that comes out must be the one that was asked at the time, or
the store was written by code that asks otherwise and is refused. What is kept is released values, numbers and
names; no key and no secret.

Invariants:
    What must not be used twice, an id, a roster's number or an attempt's, is durable before anybody is shown
    it.
    A run's outcome and its event are one transaction; so are its end and that event.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.store import reading
from ringfence.privacy.waist import Query
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.coordinator import OpenStudy
from ringfence.server.records.farewells import METADATA as FAREWELLS
from ringfence.server.records.farewells import still_owed
from ringfence.server.records.intents import METADATA as INTENTS
from ringfence.server.records.intents import (
    KeptIntent,
    keep_intent,
    keep_proof,
    keep_withdrawn,
    read_intent,
    read_withdrawn,
)
from ringfence.server.records.released_sums import ReleasedSum, read_sum, row_of_sum
from ringfence.server.records.series import METADATA as STOPS
from ringfence.server.records.series import require_room

RELEASED = "released"
"""The outcome of a run that released something."""
METADATA = MetaData()
RUNS = Table(
    "study_runs",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("study", String(71), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("started", String(40), nullable=False),
    Column("round", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("roster", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("model", String(71), nullable=False),
    Column("ended", String(40), nullable=False),
    Column("window", Integer, nullable=False, default=0),
)
SUMS = Table(
    "study_sums",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("query", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("holders", Text, nullable=False),
    Column("blocks", LargeBinary, nullable=False),
)
MEMBERS = Table(
    "study_members",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("joined", String(40), nullable=False),
)


@dataclass(slots=True, kw_only=True)
class KeptRun:
    """One run: what is known of it, written through to a store where there is one.

    Attributes:
        run: its id.
        sums: released so far, by round.
        begun: round and attempt that were asked last, which may have no sum.
        roster: number of the last roster.
        joined: holders that ever joined; they are told the end.
        outcome: `RELEASED`, or the code of what ended it; empty while rounds are asked.
        model: digest of what was released, or empty.
        intent: what is about to be released, once the sums make a model.
        unsure: holders that may have been offered the run and are not known to have joined; they are told the
            end too.
        withdrawn: numbers of the events that withdrew earlier intents.
    """

    run: str
    sums: dict[int, ReleasedSum] = field(default_factory=dict)
    begun: tuple[int, int] = (-1, -1)
    roster: int = -1
    joined: set[str] = field(default_factory=set)
    outcome: str = ""
    model: str = ""
    intent: KeptIntent | None = None
    unsure: frozenset[str] = frozenset()
    withdrawn: tuple[int, ...] = ()
    _store: RunStore | None = None

    def numbered(self, roster: int) -> None:
        """Keep a roster's number, before anybody is shown it."""
        self.roster = roster
        self._update(roster=roster)

    def asked(self, query: Query, attempt: int) -> None:
        """Keep that an attempt begins, before anything is asked."""
        self.begun = (query.round, attempt)
        self._update(round=query.round, attempt=attempt)

    def admit(self, names: Iterable[str]) -> None:
        """Keep who joined."""
        fresh = sorted(set(names) - self.joined)
        self.joined |= set(fresh)
        if self._store is not None and fresh:
            at = self._store.now()
            with self._store.engine.begin() as connection:
                rows = [{"run": self.run, "holder": name, "joined": at} for name in fresh]
                connection.execute(insert(MEMBERS), rows)

    def released(self, each: ReleasedSum) -> None:
        """Keep a sum, before the next round begins."""
        self.sums[each.aggregate.round] = each
        if self._store is not None:
            with self._store.engine.begin() as connection:
                connection.execute(insert(SUMS).values(run=self.run, **row_of_sum(each)))

    def replayed(self, query: Query) -> ReleasedSum | None:
        """The kept sum of a round, or None where the run stopped.

        Raises:
            StudyError: RF-S072 that round was asked with another query, so by another version.
        """
        known = self.sums.get(query.round)
        if known is not None and known.query != query.digest().hex():
            raise StudyError(
                "RF-S072",
                N_(
                    "The state asks something else at round {round} than was asked: another version wrote "
                    "it. Go on with that version, or run the study anew under a new name."
                ),
                round=query.round,
            )
        return known

    def first_attempt(self, query: Query) -> int:
        """The first attempt that was not begun before a restart; numbers only grow."""
        return self.begun[1] + 1 if self.begun[0] == query.round else 0

    def moment(self) -> datetime.datetime:
        """The present, UTC."""
        return utc_now() if self._store is None else self._store.clock()

    def intends(self, intent: KeptIntent, connection: Connection | None) -> None:
        """Keep what is about to be released, in the transaction of its event."""
        self.intent = intent
        if connection is not None:
            keep_intent(connection, self.run, intent)

    def proven(self, intent: KeptIntent, connection: Connection | None) -> None:
        """Keep under whose eyes it is released, in the transaction of the release."""
        self.intent = intent
        if connection is not None and intent.proof is not None:
            keep_proof(connection, self.run, intent.proof)

    def withdraws(self, event: int, connection: Connection | None) -> None:
        """Keep that the intent is withdrawn by an event, in that event's transaction."""
        self.intent, self.withdrawn = None, (*self.withdrawn, event)
        if connection is not None:
            keep_withdrawn(connection, self.run, event)

    @contextmanager
    def decided(self, outcome: str, model: str = "") -> Iterator[Connection | None]:
        """Fix the outcome, with what the block writes in the same transaction."""
        with self.writing(outcome=outcome, model=model) as connection:
            yield connection
        self.outcome, self.model = outcome, model

    @contextmanager
    def over(self) -> Iterator[Connection | None]:
        """End the run: its holders have been told, and it is taken up no more."""
        ended = "" if self._store is None else self._store.now()
        with self.writing(ended=ended) as connection:
            yield connection

    @contextmanager
    def writing(self, **values: str) -> Iterator[Connection | None]:
        """A transaction that also changes these columns of the run; None where nothing is stored."""
        if self._store is None:
            yield None
            return
        with self._store.engine.begin() as connection:
            yield connection
            if values:
                connection.execute(update(RUNS).where(RUNS.c.run == self.run).values(**values))

    def _update(self, **values: int) -> None:
        if self._store is not None:
            with self._store.engine.begin() as connection:
                connection.execute(update(RUNS).where(RUNS.c.run == self.run).values(**values))


class RunStore:
    """The runs in a coordinator's store."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime.datetime] = utc_now) -> None:
        """Open the tables, making them when absent."""
        self.engine = engine
        self.clock = clock
        METADATA.create_all(engine)
        INTENTS.create_all(engine)
        STOPS.create_all(engine)
        FAREWELLS.create_all(engine)

    def now(self) -> str:
        """The moment, as it is written."""
        return self.clock().isoformat(timespec="seconds")

    def require_open(self, opened: OpenStudy) -> None:
        """Refuse a study that was run to its end.

        Raises:
            StudyError: RF-S380.
        """
        with reading(self.engine) as connection:
            row = _present(connection, opened)
        if row is not None and row.ended:
            raise _run_before(opened, row.ended)

    def take_up(self, opened: OpenStudy) -> KeptRun:
        """Go on with the study's run, or begin it; its id is durable before anybody hears it.

        Raises:
            StudyError: RF-S380 the study was run to its end, RF-S479 so was this run of a series, RF-S476 or
                RF-S477 the series has no room for another; RF-S074 what is kept cannot be read.
        """
        with self.engine.begin() as connection:
            row = _present(connection, opened)
            if row is None:
                _require_room(connection, opened)
                connection.execute(
                    insert(RUNS).values(
                        run=opened.run,
                        study=opened.digest,
                        name=opened.study.id,
                        started=self.now(),
                        round=-1,
                        attempt=-1,
                        roster=-1,
                        outcome="",
                        model="",
                        ended="",
                        window=opened.window,
                    )
                )
                return KeptRun(run=opened.run, _store=self)
        if row.ended:
            raise _run_before(opened, row.ended)
        return self._kept(row, opened)

    def find(self, opened: OpenStudy) -> KeptRun | None:
        """The study's run, ended or not; None where there is none.

        Raises:
            StudyError: RF-S073 or RF-S074 what is kept cannot be read.
        """
        with reading(self.engine) as connection:
            row = _present(connection, opened)
        return None if row is None else self._kept(row, opened)

    def _kept(self, row: Row[Any], opened: OpenStudy) -> KeptRun:
        with reading(self.engine) as connection:
            sums = connection.execute(select(SUMS).where(SUMS.c.run == row.run)).all()
            joined = connection.scalars(select(MEMBERS.c.holder).where(MEMBERS.c.run == row.run)).all()
            intent, withdrawn = read_intent(connection, row.run), read_withdrawn(connection, row.run)
            unsure = still_owed(connection, row.run) - set(joined)
        return KeptRun(
            run=row.run,
            sums={each.round: read_sum(each.round, each, opened) for each in sums},
            begun=(row.round, row.attempt),
            roster=row.roster,
            joined=set(joined),
            outcome=row.outcome,
            model=row.model,
            intent=intent,
            unsure=unsure,
            withdrawn=withdrawn,
            _store=self,
        )


def _present(connection: Connection, opened: OpenStudy) -> Row[Any] | None:
    """The run that a study has, of a series the one in its window: going on, or ended with a release.

    One of a series that ended without a release leaves its window to another.
    """
    rows = connection.execute(
        select(RUNS).where(RUNS.c.study == opened.digest, RUNS.c.window == opened.window)
    ).all()
    if not opened.window:
        return rows[0] if rows else None
    going_on = [row for row in rows if not row.ended]
    return next(iter([*going_on, *(row for row in rows if row.outcome == RELEASED)]), None)


def _require_room(connection: Connection, opened: OpenStudy) -> None:
    series = opened.study.series
    if series is not None:
        counted = select(func.count()).select_from(RUNS).where(RUNS.c.study == opened.digest)
        started = connection.scalar(counted) or 0
        require_room(connection, opened.study.id, opened.digest, series, started)


def _run_before(opened: OpenStudy, ended: str) -> StudyError:
    if opened.window:
        return StudyError(
            "RF-S479",
            N_(
                "Run {window} of {study} released here and ended, {ended}; a window has one run that "
                "releases."
            ),
            window=opened.window,
            study=opened.study.id,
            ended=ended,
        )
    return StudyError(
        "RF-S380",
        N_(
            "The study {study} was run here to its end, {ended}; its approvals were for that run. A "
            "repetition is a new study."
        ),
        study=opened.study.id,
        ended=ended,
    )
