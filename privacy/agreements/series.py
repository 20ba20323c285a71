"""A study that is run again and again: how often, when each run may start, and who says so.

The windows follow from the signed study alone. A window's beginning is computed from `begins` and its number,
never from the window before, so that a series that begins on the 31st comes back to the 31st; a month without
that day counts its last day. Times are those of the series' zone, so that a window keeps its hour when clocks
are put forward or back; an hour that is left out then is read with the offset that held before it.
"""

from __future__ import annotations

import datetime
import itertools
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ringfence.privacy.agreements.zones import TimeZone
from ringfence.privacy.crypto.approvals import SeriesBound
from ringfence.privacy.errors import N_, RingfenceError, StudyError
from ringfence.privacy.toml.canonical import Document, Whole
from ringfence.privacy.toml.faults import Problem, kind_name, refuse, settle

MOST_RUNS = 1000
Every: TypeAlias = Literal["day", "week", "month", "quarter", "year"]
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When one run of a series may start.

    Attributes:
        number: 1, 2, 3, ...
        opens: its first moment, UTC.
        closes: the first moment after it, UTC.
    """

    number: int
    opens: datetime.datetime
    closes: datetime.datetime

    def holds(self, moment: datetime.datetime) -> bool:
        """Whether a moment is in it."""
        return self.opens <= moment < self.closes

    def told(self) -> dict[str, str]:
        """Both ends for a sentence."""
        return {"opens": utc_told(self.opens), "closes": utc_told(self.closes)}


class SeriesTerms(Document):
    """How often a study is run: `runs` windows, one after another, each `every` long."""

    error: ClassVar[type[RingfenceError]] = StudyError

    runs: Whole = Field(
        ge=1,
        le=MOST_RUNS,
        description="How many runs at most; failed ones count. Two people approve them all at once.",
        examples=[12],
    )
    every: Every = Field(
        description="How long a window is. One run may release in each, and starts in it.", examples=["month"]
    )
    zone: TimeZone = Field(
        default="UTC",
        description="Time zone of `begins` and of the windows, in the IANA database.",
        examples=["Europe/Berlin"],
    )
    begins: str = Field(
        description="First moment of the first window: a date, which is its midnight, or a date and time.",
        examples=["2027-01-31"],
    )

    @field_validator("begins", mode="before")
    @classmethod
    def _read_begins(cls, value: object, info: ValidationInfo) -> object:
        moment = _parsed(value)
        if moment.tzinfo is not None:
            if moment.utcoffset() != datetime.timedelta(0) or info.data.get("zone", "UTC") != "UTC":
                refuse(
                    "RF-S470",
                    N_(
                        "A time with an offset is read in UTC alone: leave the offset out and name the zone, "
                        'for example zone = "Asia/Shanghai".'
                    ),
                )
            moment = moment.replace(tzinfo=None)
        return moment.isoformat(timespec="seconds")

    @model_validator(mode="after")
    def _whole(self) -> SeriesTerms:
        settle(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        try:
            starts = [self._start(number) for number in range(self.runs + 1)]
        except (ValueError, OverflowError):
            yield Problem(
                code="RF-S471",
                path=("begins",),
                template=N_("The last window ends beyond the year 9999; begin earlier, or run less often."),
            )
            return
        if any(later <= earlier for earlier, later in itertools.pairwise(starts)):
            yield Problem(
                code="RF-S472",
                path=("zone",),
                values={"zone": self.zone},
                template=N_(
                    "A window of this series would be empty, since {zone} leaves a day out; use another zone."
                ),
            )

    def window(self, number: int) -> Window:
        """The window of a run, 1 to `runs`.

        Raises:
            StudyError: RF-S473 the series has no such run.
        """
        if not 1 <= number <= self.runs:
            raise StudyError(
                "RF-S473",
                N_("The series has runs 1 to {runs}; there is no run {number}."),
                runs=self.runs,
                number=number,
            )
        return Window(number=number, opens=self._start(number - 1), closes=self._start(number))

    def window_at(self, moment: datetime.datetime) -> Window | None:
        """The window that a moment is in; None before the first and after the last."""
        number = self._begun(moment)
        return self.window(number) if 1 <= number <= self.runs else None

    def window_after(self, moment: datetime.datetime) -> Window | None:
        """The first window that opens after a moment; None after the last has opened."""
        number = self._begun(moment) + 1
        return self.window(number) if number <= self.runs else None

    def ends(self) -> datetime.datetime:
        """The first moment after the last window, UTC."""
        return self._start(self.runs)

    def _begun(self, moment: datetime.datetime) -> int:
        """How many windows have opened by a moment; one more than there are once the last has closed."""
        if moment.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return bisect_right(range(self.runs + 1), moment, key=self._start)

    def _start(self, steps: int) -> datetime.datetime:
        first = datetime.datetime.fromisoformat(self.begins)
        if self.every in _DAYS:
            local = first + datetime.timedelta(days=steps * _DAYS[self.every])
        else:
            years, month = divmod(first.month - 1 + steps * _MONTHS[self.every], 12)
            year, month = first.year + years, month + 1
            local = first.replace(year=year, month=month, day=min(first.day, monthrange(year, month)[1]))
        return local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(datetime.UTC)


def utc_told(moment: datetime.datetime) -> str:
    """A moment for people, UTC."""
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def bound_of(series: SeriesTerms | None, contract: str) -> SeriesBound | None:
    """What approvals of a study are bound to under a contract; nothing more where it is run once."""
    return None if series is None else SeriesBound(contract=contract, runs=series.runs)


def series_problems(series: SeriesTerms | None, expires: datetime.date) -> Iterator[Problem]:
    """What is wrong between a series and the study's last day."""
    if series is None:
        return
    last = series.ends() - datetime.timedelta(microseconds=1)
    if last.date() > expires:
        yield Problem(
            code="RF-S474",
            path=("expires",),
            values={"day": last.date().isoformat(), "runs": series.runs},
            template=N_(
                "The last of the {runs} windows ends on {day}; the study's last day, expires, cannot come "
                "before."
            ),
        )


def _parsed(value: object) -> datetime.datetime:
    found: datetime.datetime | None = None
    if isinstance(value, datetime.datetime):
        found = value
    elif isinstance(value, datetime.date):
        found = datetime.datetime.combine(value, datetime.time())
    elif isinstance(value, str):
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError:
            found = None
    if found is None or found.microsecond:
        refuse(
            "RF-S475",
            N_("Must be a date or a date and time in whole seconds, such as 2027-01-31; found {found}."),
            found=kind_name(value),
        )
    return found
