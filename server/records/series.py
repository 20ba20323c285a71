"""A series in the coordinator's store: what of it was run, which run is due next, and whether it was stopped.

What is due follows from the signed study, the clock and the runs that are kept, so a restart forgets nothing
and no timetable has to be kept up to date. The one thing that people add is that a series was stopped.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Engine, MetaData, Row, String, Table, insert, select

from ringfence.privacy.agreements.series import SeriesTerms, Window, utc_told
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.store import reading

METADATA = MetaData()
STOPS = Table(
    "stopped_series",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("at", String(40), nullable=False),
)
_RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesProgress:
    """How far a series is.

    Attributes:
        runs: how many it has at most.
        started: how many were started here, failed ones counted.
        released: how many released.
        present: number of the run that is going on, or 0.
        due: the window whose run the schedule starts next, which is open where its time has come; None where
            none comes.
        stopped: when people stopped it, or empty.
    """

    runs: int
    started: int
    released: int
    present: int
    due: Window | None
    stopped: str

    @property
    def over(self) -> bool:
        """Whether no run is going on and none will come."""
        return not self.present and self.due is None

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "runs": self.runs,
            "started": self.started,
            "released": self.released,
            "present": self.present or None,
            "next": None if self.due is None else self.due.number,
            "due": None if self.due is None else self.due.opens.isoformat(),
            "until": None if self.due is None else self.due.closes.isoformat(),
            "stopped": self.stopped or None,
        }


def progress_of(
    series: SeriesTerms, rows: Sequence[Row[Any]], stopped: str, now: datetime.datetime
) -> SeriesProgress:
    """How far a series is, from the rows of its runs.

    Args:
        series: of the signed study.
        rows: of `study_runs`, those of this study.
        stopped: when it was stopped, or empty.
        now: the present moment, UTC.
    """
    going_on = [int(row.window) for row in rows if not row.ended]
    done = {int(row.window) for row in rows if row.outcome == _RELEASED}
    due: Window | None = None
    if not stopped and len(rows) < series.runs:
        present = series.window_at(now)
        # One that failed, or that people stopped, is tried again in its window by people alone.
        taken = present is None or any(row.window == present.number for row in rows)
        due = series.window_after(now) if taken else present
    return SeriesProgress(
        runs=series.runs,
        started=len(rows),
        released=len(done),
        present=max(going_on, default=0),
        due=due,
        stopped=stopped,
    )


def stops_of(connection: Connection) -> dict[str, str]:
    """When each series was stopped that was, by the study's digest."""
    return {row.study: row.at for row in connection.execute(select(STOPS))}


def stop_series(engine: Engine, study: str, at: str, record: Callable[[Connection], object]) -> str:
    """Keep that no further run of a series starts, in the transaction of its event; done once.

    Returns:
        When it was stopped.
    """
    METADATA.create_all(engine)
    with engine.begin() as connection:
        before = connection.scalar(select(STOPS.c.at).where(STOPS.c.study == study))
        if before is not None:
            return str(before)
        connection.execute(insert(STOPS).values(study=study, at=at))
        record(connection)
    return at


def stopped_at(engine: Engine, study: str) -> str:
    """When a series was stopped, or empty."""
    with reading(engine) as connection:
        return connection.scalar(select(STOPS.c.at).where(STOPS.c.study == study)) or ""


def require_room(connection: Connection, name: str, study: str, series: SeriesTerms, started: int) -> None:
    """Refuse a new run of a series that has no room for it.

    Raises:
        StudyError: RF-S476 all runs were used, RF-S477 it was stopped.
    """
    stopped = connection.scalar(select(STOPS.c.at).where(STOPS.c.study == study))
    if stopped is not None:
        raise StudyError(
            "RF-S477",
            N_("The series {study} was stopped on {at}; no further run of it starts."),
            study=name,
            at=stopped,
        )
    if started >= series.runs:
        raise StudyError(
            "RF-S476",
            N_("All {runs} runs of {study} were started, failed ones counted; more are a new study."),
            runs=series.runs,
            study=name,
        )


def window_now(name: str, series: SeriesTerms, now: datetime.datetime) -> Window:
    """The window that is open.

    Raises:
        StudyError: RF-S478 none is.
    """
    found = series.window_at(now)
    if found is None:
        following = series.window_after(now)
        raise StudyError(
            "RF-S478",
            N_(
                "It is {now}, and no window of {study} is open: the next opens at {opens}, the last closes "
                "at {closes}."
            ),
            now=utc_told(now),
            study=name,
            opens=utc_told((following or series.window(1)).opens),
            closes=utc_told(series.ends()),
        )
    return found
