"""When something happened to a consent: the instants of a file's column, by one rule for text and Parquet.

A day (`2026-01-31`, or a Parquet date) is its first instant in the zone that the contract names, in UTC where
it names none; a refusal holds from there to its last one: whoever gave and refused on one day has refused. A
time has its zone, in text as an offset and in Parquet as a timestamp with a zone; without one it would mean
two instants and is no time here. What is finer than a microsecond is rounded down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ringfence.privacy.consent.tables import to_micros

BAD: Final = -(1 << 62)
"""Stands where a cell holds no time."""
BLANK: Final = BAD + 1
"""Stands where a cell is empty."""
EARLIEST: Final = to_micros(datetime(1971, 1, 1, tzinfo=UTC))
"""Before this, a time is what some system writes where it knows none (year 1, 1900, 1970)."""

_LATEST: Final = to_micros(datetime(9990, 1, 1, tzinfo=UTC))
_EPOCH: Final = date(1970, 1, 1).toordinal()
_SECOND: Final = 10**6
_DAY: Final = 86_400 * _SECOND
_EASTMOST: Final = 14 * 3600 * _SECOND
"""How long before its first instant in UTC a day has begun somewhere."""
_FAST_CLOCK: Final = 600 * _SECOND
_PLAIN_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_UNITS: Final = {"s": (_SECOND, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}

Instants = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeColumn:
    """A column of times.

    Attributes:
        micros: microseconds UTC, `BAD` or `BLANK`, int64 `(n,)`.
        day: whether a cell holds a day without a time, bool `(n,)`.
        last: last instants of days, once they are of a zone; else a day has 24 hours.
    """

    micros: Instants
    day: Flags
    last: Instants | None = None

    @classmethod
    def blank(cls, rows: int) -> TimeColumn:
        """A column that the file does not have."""
        return cls(micros=np.full(rows, BLANK), day=np.zeros(rows, dtype=np.bool_))

    @classmethod
    def of_texts(cls, codes: Instants, texts: list[str]) -> TimeColumn:
        """From codes `(n,)` and the distinct texts they stand for."""
        micros = np.fromiter((_micros(text) for text in texts), dtype=np.int64, count=len(texts))
        day = np.fromiter((bool(_PLAIN_DAY.fullmatch(t)) for t in texts), dtype=np.bool_, count=len(texts))
        return cls(micros=micros[codes], day=day[codes])

    @classmethod
    def of_arrow(cls, column: Any) -> TimeColumn | None:
        """From an Arrow column of days or of timestamps with a zone; None for any other."""
        import pyarrow as pa

        kind = column.type
        if pa.types.is_date(kind):
            return cls._of_numbers(column.cast(pa.date32()).cast(pa.int32()), _DAY, 1, day=True)
        if pa.types.is_timestamp(kind) and kind.tz:
            return cls._of_numbers(column, *_UNITS[kind.unit], day=False)
        return None

    @classmethod
    def _of_numbers(cls, column: Any, times: int, over: int, *, day: bool) -> TimeColumn:
        import pyarrow as pa

        numbers = column.cast(pa.int64())
        known = np.asarray(numbers.is_valid(), dtype=np.bool_)
        values = np.asarray(numbers.fill_null(0), dtype=np.int64)
        inside = np.abs(values.astype(np.float64)) < (1 << 61) / times
        micros = np.where(inside, values, 0) * times // over
        return cls(
            micros=np.where(known, np.where(inside, micros, BAD), BLANK), day=np.full(len(micros), day)
        )

    def in_zone(self, zone: ZoneInfo | None) -> TimeColumn:
        """The same with its days as they are there: from midnight to midnight of its clocks."""
        known = self.day & (self.micros >= EARLIEST) & (self.micros < _LATEST)
        if zone is None:
            return self
        days, place = np.unique(self.micros[known] // _DAY, return_inverse=True)
        # numpy 2.0 alone keeps the shape of what it was given.
        place = place.reshape(-1)
        first, last = self.micros.copy(), self.micros.copy()
        first[known] = _midnights(days, zone)[place]
        last[known] = _midnights(days + 1, zone)[place] - 1
        return replace(self, micros=first, last=last)

    def ahead(self, now: int) -> Flags:
        """Which lie in the future, where something that happened cannot lie, bool `(n,)`."""
        anywhere = self.day if self.last is None else np.zeros_like(self.day)
        return self.micros > now + np.where(anywhere, _EASTMOST, _FAST_CLOCK)

    def happened(self, now: int) -> Instants:
        """The instants, none later than now: a day that has begun somewhere, or a clock that is fast."""
        return np.minimum(self.micros, now)

    def ended(self, now: int) -> Instants:
        """The last instants of days, none later than now, and times as they are."""
        whole = self.day & (self.micros > BLANK)
        last = self.micros + np.where(whole, _DAY - 1, 0) if self.last is None else self.last
        return np.minimum(last, now)


def _midnights(days: Instants, zone: ZoneInfo) -> Instants:
    """When days since 1970, int64 `(n,)`, begin in a zone: at the first midnight where there are two."""
    begin = (datetime.combine(date.fromordinal(_EPOCH + int(day)), time(), zone) for day in days)
    return np.fromiter((to_micros(moment) for moment in begin), dtype=np.int64, count=len(days))


def _micros(text: str) -> int:
    """Microseconds of an ISO 8601 day or of a time with a zone."""
    if not text:
        return BLANK
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return BAD
    if moment.tzinfo is None:
        if not _PLAIN_DAY.fullmatch(text):
            return BAD
        moment = moment.replace(tzinfo=UTC)
    return to_micros(moment)
