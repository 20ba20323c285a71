"""Studies that were submitted, in the coordinator's store: one a name, and how it stands at each holder.

Invariants:
    One name stands for one study, by the store's own rule: people act by names.
    `approved` and `rejected` are what a holder said last of its people's acts; nothing else sets them.
    A change of a standing and its event are one transaction.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Row,
    String,
    Table,
    Text,
    and_,
    func,
    insert,
    select,
    update,
)

from ringfence.privacy.agreements.series import SeriesTerms
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.store import reading
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.records.runs import RUNS, RunStore
from ringfence.server.records.series import SeriesProgress, progress_of, stops_of

METADATA = MetaData()
_ROWS = Table(
    "submitted_studies",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("expires", String(10), nullable=False),
    Column("submitted", String(40), nullable=False),
    Column("document", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("series", Text, nullable=False, default=""),
)
_STANDINGS = Table(
    "study_standings",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("delivered", String(40), nullable=False),
    Column("heard", String(40), nullable=False),
    Column("missed", String(40), nullable=False),
)
SUBMITTED, RUNNING, SCHEDULED, RELEASED, STOPPED, ENDED, EXPIRED = (
    "submitted",
    "running",
    "scheduled",
    "released",
    "stopped",
    "ended",
    "expired",
)
OPEN = frozenset({SUBMITTED, RUNNING, SCHEDULED})
# No name and no moment holds one of these. One row a study, put together by the database: making each of
# 30,000 rows a value here takes longer than all else that a list of 10,000 studies needs. One call of a
# function puts them together, since a chain of `||` writes every text anew at each of its links.
_BETWEEN, _AFTER = "\x1f", "\x1e"
_MEMBERS = [_STANDINGS.c[name] for name in ("holder", "state", "delivered", "heard", "missed")]
_FORM = _BETWEEN.join(["%s"] * len(_MEMBERS))


Record = Callable[[Connection], object]
"""Writes an event in the transaction of what it speaks of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderStanding:
    """How a study stands at one holder, as it said last.

    Attributes:
        holder: its name.
        state: `waiting`, `approved` or `rejected`; empty while it has not taken the study in.
        delivered: when it said first that it had the study, UTC; empty before.
        heard: when it answered last; empty where it never did.
        missed: since when it answers nothing; empty where it answered the last time.
    """

    holder: str
    state: str = ""
    delivered: str = ""
    heard: str = ""
    missed: str = ""

    def as_json(self) -> dict[str, object]:
        """For programs; what never happened is null."""
        return {
            "state": self.state or "not delivered",
            "delivered": self.delivered or None,
            "heard": self.heard or None,
            "unreachable_since": self.missed or None,
        }


class SubmittedStudy(NamedTuple):
    """One submitted study; a tuple, since a list makes thousands of them.

    Attributes:
        study: its digest.
        name: its id.
        submitted: when, UTC.
        expires: its last day.
        standings: how it stands at each holder, as the store put it together; see `holders`.
        state: `submitted`, `running`, `scheduled` (a series between two runs), `released`, `stopped`, `ended`
            (without a model) or `expired`.
        round: of a run, the round that was asked last; -1 before the first and where there is no run.
        why: the code of what ended it, where that was no person and no release.
        series: how far a series is; None for a study that is run once.
    """

    study: str
    name: str
    submitted: str
    expires: str
    standings: str
    state: str
    round: int = -1
    why: str = ""
    series: SeriesProgress | None = None

    @property
    def holders(self) -> tuple[HolderStanding, ...]:
        """How it stands at each holder, by name; taken apart where somebody looks, not for a whole list."""
        found = (each.split(_BETWEEN) for each in self.standings.split(_AFTER) if each)
        return tuple(
            HolderStanding(holder=holder, state=state, delivered=delivered, heard=heard, missed=missed)
            for holder, state, delivered, heard, missed in sorted(found)
        )

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "id": self.name,
            "digest": self.study,
            "submitted": self.submitted,
            "expires": self.expires,
            "state": self.state,
            "round": self.round if self.round >= 0 else None,
            "why": self.why or None,
            "holders": {each.holder: each.as_json() for each in self.holders},
            "series": None if self.series is None else self.series.as_json(),
        }


class Submissions:
    """The submitted studies in a coordinator's store."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime.datetime] = utc_now) -> None:
        """Open the tables, making them when absent."""
        self.engine = engine
        self._clock = clock
        METADATA.create_all(engine)
        RunStore(engine)  # makes the table of runs where it is missing

    def now(self) -> str:
        """The moment, as it is written."""
        return self._clock().isoformat(timespec="seconds")

    def today(self) -> datetime.date:
        """The day, UTC."""
        return self._clock().date()

    def add(
        self,
        *,
        study: str,
        name: str,
        expires: datetime.date,
        documents: tuple[str, str],
        holders: Iterable[str],
        record: Record,
        series: SeriesTerms | None = None,
    ) -> bool:
        """Take a signed study in; one that is there already stays as it is.

        Args:
            study: its digest.
            name: its id.
            expires: its last day.
            documents: the signed study and the signed schema, file form.
            holders: whom it is for.
            record: writes the event.
            series: of a study that is one.

        Returns:
            Whether it is new.

        Raises:
            StudyError: RF-S441 another study has its name.
        """
        with self.engine.begin() as connection:
            if _known(study, name, connection):
                return False
            connection.execute(
                insert(_ROWS).values(
                    study=study,
                    name=name,
                    expires=expires.isoformat(),
                    submitted=self.now(),
                    document=documents[0],
                    schema=documents[1],
                    series="" if series is None else series.canonical().decode(),
                )
            )
            fresh = {"state": "", "delivered": "", "heard": "", "missed": ""}
            connection.execute(
                insert(_STANDINGS), [{"study": study, "holder": each, **fresh} for each in holders]
            )
            record(connection)
        return True

    def documents(self, given: str) -> tuple[str, str] | None:
        """The signed study and schema of a name or a digest, as they were kept; None where there is none."""
        called = (_ROWS.c.name == given) | (_ROWS.c.study == given)
        with reading(self.engine) as connection:
            row = connection.execute(select(_ROWS.c.document, _ROWS.c.schema).where(called)).first()
        return None if row is None else (row.document, row.schema)

    def listed(self, study: str | None = None) -> tuple[SubmittedStudy, ...]:
        """All studies, the last that was submitted first; or one, by its digest."""
        told = (_ROWS.c[name] for name in ("study", "name", "submitted", "expires", "series"))
        of_runs = (RUNS.c[name] for name in ("outcome", "round", "ended", "window", "run"))
        columns = select(*told, *of_runs).outerjoin(RUNS, RUNS.c.study == _ROWS.c.study)
        # Both databases put texts into a form; SQLite knows the second name since 3.38 alone.
        form = func.printf if self.engine.dialect.name == "sqlite" else func.format
        together = func.aggregate_strings(form(_FORM, *_MEMBERS, type_=Text), _AFTER)
        standings = select(_STANDINGS.c.study, together).group_by(_STANDINGS.c.study)
        if study is not None:
            columns = columns.where(_ROWS.c.study == study)
            standings = standings.where(_STANDINGS.c.study == study)
        with reading(self.engine) as connection:
            rows = connection.execute(columns.order_by(_ROWS.c.submitted.desc(), _ROWS.c.name)).all()
            held = {row[0]: row[1] for row in connection.execute(standings).all()}
            stops = stops_of(connection)
        now = self._clock()
        today = now.date().isoformat()
        found = list[SubmittedStudy]()
        for of, group in groupby(rows, itemgetter(0)):
            row, *more = group
            first: list[Any] = list(row)[:7]
            _of, name, submitted, expires, series, outcome, reached = first
            over, progress = expires < today, None
            if series:
                runs = () if row.run is None else (row, *more)
                state, number, why, progress = _series(series, runs, stops.get(of, ""), now, over)
            else:
                state, number, why = _once(outcome, reached, over)
            held_here = held.get(of, "")
            found.append(
                SubmittedStudy(of, name, submitted, expires, held_here, state, number, why, progress)
            )
        return tuple(found)

    def heard(self, study: str, holder: str, state: str, told: Callable[[Connection, bool], None]) -> None:
        """A holder said how a study stands.

        Args:
            study: its digest.
            holder: who said so.
            state: what it said.
            told: writes the events of a state that is not the one before; its second argument is whether the
                holder has said nothing before, so that the study is delivered.
        """
        at, which = self.now(), _of(study, holder)
        with self.engine.begin() as connection:
            row = connection.execute(select(_STANDINGS).where(which)).one()
            values = {"heard": at, "missed": "", "state": state, "delivered": row.delivered or at}
            connection.execute(update(_STANDINGS).where(which).values(**values))
            if row.state != state:
                told(connection, not row.delivered)

    def answered(self, study: str, holder: str) -> None:
        """A holder answered, and did not say how the study stands."""
        with self.engine.begin() as connection:
            connection.execute(
                update(_STANDINGS).where(_of(study, holder)).values(heard=self.now(), missed="")
            )

    def missed(self, study: str, holder: str) -> None:
        """A holder did not answer; the first time since it did counts."""
        with self.engine.begin() as connection:
            which = and_(_of(study, holder), _STANDINGS.c.missed == "")
            connection.execute(update(_STANDINGS).where(which).values(missed=self.now()))


def _known(study: str, name: str, connection: Connection) -> bool:
    """Whether a study is there already.

    Raises:
        StudyError: RF-S441 another study has its name.
    """
    called = (_ROWS.c.study == study) | (_ROWS.c.name == name)
    rows = connection.execute(select(_ROWS.c.study, _ROWS.c.submitted).where(called)).all()
    if any(row.study == study for row in rows):
        return True
    for row in rows:
        raise StudyError(
            "RF-S441",
            N_(
                "Another study named {study} was submitted on {at} ({known}); holders' people act by names, "
                "so give this one an id of its own and sign it anew."
            ),
            study=name,
            at=row.submitted,
            known=row.study,
        )
    return False


def _once(outcome: str | None, reached: int, over: bool) -> tuple[str, int, str]:
    """State, round and reason of a study that is run once, from its run's outcome; None where it has none."""
    if outcome is None:
        return EXPIRED if over else SUBMITTED, -1, ""
    if not outcome:
        return RUNNING, reached, ""
    return (outcome, reached, "") if outcome in {RELEASED, STOPPED} else (ENDED, reached, outcome)


def _series(
    series: str, runs: Sequence[Row[Any]], stopped: str, now: datetime.datetime, over: bool
) -> tuple[str, int, str, SeriesProgress]:
    """State, round and reason of a series, and how far it is."""
    found = progress_of(SeriesTerms.from_canonical(series.encode()), runs, stopped, now)
    reached = -1
    if found.present:
        reached = next(row.round for row in runs if not row.ended and row.window == found.present)
        state = RUNNING
    elif stopped:
        state = STOPPED
    elif found.over or over:
        state = RELEASED if found.released else ENDED if runs else EXPIRED
    else:
        state = SCHEDULED if runs else SUBMITTED
    return state, reached, "", found


def _of(study: str, holder: str) -> ColumnElement[bool]:
    return and_(_STANDINGS.c.study == study, _STANDINGS.c.holder == holder)
