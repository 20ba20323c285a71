"""What a simulated run read: how many rows were used and why others were not, as `table check` tells it.

Exact counts, so for simulations only. The parts of one table are told together, as the user sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from ringfence.models.features import FeatureMatrix
from ringfence.privacy.tables.facts import ColumnFacts, EventFacts, TableFacts
from ringfence.privacy.tables.quality import Finding, QualityReport, assess

Counted = TypeVar("Counted", TableFacts, ColumnFacts, EventFacts)
# What is true of a part and says nothing of the whole: few customers, one value, one class.
_OF_A_PART = frozenset({"RF-T052", "RF-T056", "RF-T057"})
# What is largest over the parts of a table, rather than added up: limits, and values that may be the same.
_LARGEST = frozenset({"distinct", "label_classes", "max_customers", "min_cohort"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One holder's table after a run.

    Attributes:
        test: codes of the customers the model is judged by.
        quality: the gate's report.
        customers: rows that the quality gate let through, one a customer.
        consenting: those whose consent covers the study.
        used: those of them whose label is known: what was learned from, and tested.
    """

    test: FeatureMatrix
    quality: QualityReport
    customers: int
    consenting: int
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNote:
    """Something about rows that people should know.

    Attributes:
        holder: whose, or empty for all together.
        finding: what.
    """

    holder: str
    finding: Finding

    @property
    def sentence(self) -> str:
        """In the chosen language."""
        return f"{self.holder}: {self.finding}" if self.holder else str(self.finding)

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        found = self.finding
        return {
            "holder": self.holder or None,
            "column": found.column or None,
            "code": found.code,
            "sentence": found.sentence,
            "count": found.values.get("count"),
        }


def notes_of(readings: Mapping[str, Reading], *, apart: bool) -> tuple[RowNote, ...]:
    """What stopped nothing and should be known.

    Args:
        readings: by holder.
        apart: whether each holder has a table of its own.
    """
    each = [
        RowNote(holder=name, finding=finding)
        for name, reading in readings.items()
        for finding in reading.quality.notes
    ]
    if apart or not readings:
        return tuple(each)
    facts = together([reading.quality.facts for reading in readings.values()])
    whole = [RowNote(holder="", finding=found) for found in assess(facts).notes]
    return (
        *(note for note in whole if note.finding.code not in _OF_A_PART),
        *(note for note in each if note.finding.code in _OF_A_PART),
    )


def together(parts: Sequence[TableFacts]) -> TableFacts:
    """The counts of a table from those of its parts."""
    by_name = [{column.name: column for column in part.columns} for part in parts]
    columns = (_added(each[name] for each in by_name if name in each) for name in by_name[0])
    events = [part.events for part in parts if part.events is not None]
    return replace(
        _added(parts), columns=tuple(columns), events=_added(events) if len(events) == len(parts) else None
    )


def _added(parts: Iterable[Counted]) -> Counted:
    """Counts added up, and what holds of any part; the rest is the first part's."""
    every = list(parts)
    sums: dict[str, int] = {}
    for field in fields(every[0]):
        values = [getattr(each, field.name) for each in every]
        if all(type(value) is int for value in values):
            sums[field.name] = max(values) if field.name in _LARGEST else sum(values)
        elif all(type(value) is bool for value in values):
            sums[field.name] = any(values)
    return replace(every[0], **sums)  # type: ignore[arg-type]  # counts and truth values alone
