"""A table of noisy values as people get it: groups, figures with intervals, and why a cell is not shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from scipy.special import ndtri

from ringfence.models.tables.disclosure import Why

Record: TypeAlias = dict[str, str | int | float | None]

CONFIDENCE = 0.95
DIGITS = 6
CUSTOMERS = "customers"
NOT_SHOWN = "not_shown"
ENDS = ("_low", "_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyFigure:
    """One value with its interval.

    Attributes:
        value: the estimate.
        low, high: the ends of its 95 % interval, of the bounded quantity.
    """

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> NoisyFigure:
        """The same, held to what the quantity can be."""
        return NoisyFigure(
            value=min(max(self.value, least), most),
            low=min(max(self.low, least), most),
            high=min(max(self.high, least), most),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyRow:
    """One line of a table.

    Attributes:
        group: whom it stands for: an entry for each of the table's group columns.
        figures: one for each measure; empty where the line is not shown.
        why: why it is not shown, or "".
    """

    group: tuple[str, ...]
    figures: tuple[NoisyFigure, ...]
    why: Why = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyTable:
    """One answer.

    Attributes:
        name: of its files, without suffix.
        question: as it was asked and signed.
        kind: of the question.
        by: names of the group columns.
        measures: names of the figures; `customers` is a noisy count of customers.
        rows: its lines.
        threshold: fewest customers, by the noisy count, that a line may stand for.
        quasi: the group columns that may help to recognise a customer.
        deviation: standard deviation of the noise in a count as it was released, in customers; that of a
            line for which several were added up is larger.
        days: measures whose figures are dates, counted as in `date.toordinal`.
    """

    name: str
    question: str
    kind: str
    by: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[NoisyRow, ...]
    threshold: int
    quasi: tuple[str, ...]
    deviation: float
    days: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of its files, in order."""
        figures = (f"{name}{end}" for name in self.measures for end in ("", *ENDS))
        return (*self.by, *figures, NOT_SHOWN)

    @property
    def hidden(self) -> Mapping[Why, int]:
        """How many lines are not shown, by the reason."""
        found: dict[Why, int] = {}
        for row in self.rows:
            if row.why:
                found[row.why] = found.get(row.why, 0) + 1
        return found

    def records(self) -> Iterator[Record]:
        """Its lines as flat records under `columns`; counts are whole, what is not shown is None."""
        for row in self.rows:
            record: Record = dict(zip(self.by, row.group, strict=True))
            for place, name in enumerate(self.measures):
                figure = row.figures[place] if row.figures else None
                for end in ("", *ENDS):
                    record[name + end] = None if figure is None else self._told(name, end, figure)
            yield {**record, NOT_SHOWN: row.why}

    def _told(self, measure: str, end: str, figure: NoisyFigure) -> str | float | int:
        value = {"": figure.value, "_low": figure.low, "_high": figure.high}[end]
        if measure in self.days:
            return day_text(value)
        if measure != CUSTOMERS:
            return significant(value)
        outward = {"": round(value), "_low": math.floor(value), "_high": math.ceil(value)}
        return outward[end]


def day_text(value: float) -> str:
    """A date that is counted in days, as ISO 8601 writes it."""
    return date.fromordinal(round(value)).isoformat()


def significant(value: float) -> float:
    """A number with so many significant digits that its noise allows, the same text on every machine."""
    return float(f"{value:.{DIGITS}g}")


def half_width(shown: int, cells: int) -> float:
    """How many standard deviations an interval reaches, so that of those shown 95 % hold what they are of.

    Where only some of the cells are shown, chosen by their own noisy values, each interval is wider: level
    `1 - 0.05 shown / cells` (Benjamini, Yekutieli 2005, false coverage rate).

    Args:
        shown: intervals that are shown.
        cells: of which they were chosen.
    """
    share = max(1, shown) / max(1, cells, shown)
    return float(-ndtri((1.0 - CONFIDENCE) * share / 2.0))


def counted(values: Sequence[float], deviations: Sequence[float], width: float) -> list[NoisyFigure]:
    """Counts of customers with intervals; no count is below zero."""
    return [
        NoisyFigure(value=value, low=value - width * each, high=value + width * each).within(0.0, math.inf)
        for value, each in zip(values, deviations, strict=True)
    ]
