"""Statistics of everybody's customers: many questions, one budgeted release (docs/methods/statistics.md)."""

from __future__ import annotations

from ringfence.models.statistics.coordinator import NAME, StatisticsState, start, step
from ringfence.models.statistics.holder import contribute, lengths, measured
from ringfence.models.statistics.outlook import outlook
from ringfence.models.statistics.plan import plan
from ringfence.models.statistics.template import template
from ringfence.models.tables.release import TableRelease
from ringfence.models.task import Task

STATISTICS: Task[StatisticsState, TableRelease] = Task(
    name=NAME,
    plan=plan,
    lengths=lengths,
    contribute=contribute,
    start=start,
    step=step,
    labelled=False,
    measured=measured,
    template=template,
    outlook=outlook,
)

__all__ = ["STATISTICS", "StatisticsState", "TableRelease"]
