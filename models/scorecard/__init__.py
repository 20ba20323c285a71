"""The private scorecard: a logistic additive model on binned features (docs/methods/scorecard.md).

One histogram, one set of two-way tables, a few gradients: each an integer secure sum with discrete noise.
"""

from __future__ import annotations

from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.coordinator import ScorecardState, so_far, start, step
from ringfence.models.scorecard.holder import contribute, lengths
from ringfence.models.scorecard.plan import plan
from ringfence.models.scorecard.scoring import SCORING
from ringfence.models.task import Task

SCORECARD: Task[ScorecardState, Scorecard] = Task(
    name="scorecard",
    plan=plan,
    lengths=lengths,
    contribute=contribute,
    start=start,
    step=step,
    scoring=SCORING,
    so_far=so_far,
)

__all__ = ["SCORECARD", "Scorecard", "ScorecardState"]
