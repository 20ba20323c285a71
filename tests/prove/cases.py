"""What the proof asks of each task: a study, hostile queries, and the customer who moves a release the
most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from kits.neural_kit import context_with_periods, rows_for
from kits.small import context_of, frame_of, matrix_of
from prove.probe import asked, moved, mu_of_attack

from ringfence.models.catalogue import TASKS
from ringfence.models.features import FeatureMatrix
from ringfence.models.neural.holder import exact_sum
from ringfence.models.neural.plan import design, plan
from ringfence.models.neural.rounding import WEIGHT_LIMIT
from ringfence.models.scorecard import plan as card_plan
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.accounting.gaussian import epsilon_of, mu_of
from ringfence.privacy.waist import IntVector, Query

DELTA = 1e-6
EPSILON = f"{epsilon_of(DELTA, 1.0):.6f}"
MU = mu_of(float(EPSILON), DELTA)
"""What every study of the proof claims: one, to six digits."""


Exact = Callable[[StudyContext, Query, FeatureMatrix], Mapping[str, IntVector]]
Varied = Callable[[StudyContext, Query, np.random.Generator], Query]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One task under proof.

    Attributes:
        name: of the task.
        study: changes of the small study: few features and rounds, mu = 1.
        hostile: the query with its parameters driven to where one customer shows the most.
        varied: the query with parameters by chance, of any size.
        more: other lawful queries, from hostile ones.
        exact: what must be the sum over customers bit for bit; None for the contribution itself.
        periods: whether its customers have columns by period (of tests/kits/neural_kit.py).
        brief: `[model]` of a study of few rounds, with which every release is looked at (`releases.py`).
        shapes: what else `[model]` may ask that changes what leaves a holder or how it is noised.
    """

    name: str
    study: Mapping[str, Any]
    hostile: Callable[[StudyContext, Query], Query]
    varied: Varied
    more: Callable[[StudyContext, list[Query]], list[Query]] = lambda _context, _queries: []
    exact: Exact | None = None
    periods: bool = False
    brief: Mapping[str, Any] = field(default_factory=dict)
    shapes: tuple[Mapping[str, Any], ...] = ({},)

    @property
    def task(self) -> Task[Any, Any]:
        """The installed task."""
        return TASKS[self.name]

    def context(self, overlap: int = 1, **changes: Any) -> StudyContext:
        """The study, as its holders see it."""
        asked_for = dict(self.study) | {"task": self.name} | changes
        context = context_with_periods(**asked_for) if self.periods else context_of(**asked_for)
        holders = tuple(each.model_copy(update={"overlap": overlap}) for each in context.study.holders)
        return replace(context, study=context.study.model_copy(update={"holders": holders}))

    def customers(self, context: StudyContext, count: int) -> FeatureMatrix:
        """Customers of either label."""
        if self.periods:
            return rows_for(context, np.random.default_rng(5), count)
        return matrix_of(context, frame_of(count))

    def queries(self, context: StudyContext) -> list[Query]:
        """Queries of a real run, with every parameter driven to its limit: a coordinator may ask anything
        lawful.
        """
        return [
            self.hostile(context, query) for query in asked(self.task, context, self.customers(context, 300))
        ]

    def worst(self, context: StudyContext, queries: Sequence[Query]) -> pd.DataFrame:
        """The row of the customer whom the queries single out the most, of sixty with either label."""
        frame = frame_of(30, seed=7)
        frame = pd.concat([frame.assign(churn="no"), frame.assign(churn="yes")], ignore_index=True)
        features, plan = matrix_of(context, frame), self.task.plan(context)
        gains = [
            mu_of_attack(plan, moved(self.task, context, queries, features.take(np.array([row]))))
            for row in range(len(frame))
        ]
        return frame.iloc[[int(np.argmax(gains))]].reset_index(drop=True)


def privacy(**changes: Any) -> dict[str, Any]:
    """The `[privacy]` table of the proof's studies."""
    return {"epsilon": EPSILON, "delta": f"{DELTA:f}", **changes}


def _largest_theta(_context: StudyContext, query: Query) -> Query:
    """Everybody's score beyond the clamp, so that residuals are as large as they get."""
    if "theta" not in query.arrays:
        return query
    return replace(query, arrays={**query.arrays, "theta": np.full_like(query.arrays["theta"], 2**31 - 1)})


def _some_theta(context: StudyContext, query: Query, rng: np.random.Generator) -> Query:
    if "theta" not in query.arrays:
        return query
    limit = 2 ** int(rng.choice([8, 16, 20, 31])) - 1
    theta = rng.integers(-limit, limit, query.arrays["theta"].shape, endpoint=True)
    changed = replace(query, arrays={**query.arrays, "theta": theta})
    last = query.round == len(card_plan(context).rounds) - 1
    return _over_pairs(changed) if last and rng.random() < 0.5 else changed


def _last_over_pairs(context: StudyContext, queries: list[Query]) -> list[Query]:
    """The last gradient of a run as one over pairs."""
    last = len(card_plan(context).rounds) - 1
    return [_over_pairs(query) for query in queries if query.round == last]


def _over_pairs(query: Query) -> Query:
    """The last gradient as one over pairs, four groups a feature at most."""
    widths = np.diff(query.arrays["offsets"])
    starts = np.concatenate([[0], np.cumsum(np.minimum(4, widths))])
    groups = np.concatenate(
        [np.arange(width) % 4 + first for width, first in zip(widths, starts[:-1], strict=True)]
    )
    return replace(query, arrays={**query.arrays, "groups": groups, "group_offsets": starts})


def _saturated(kind: Any, context: StudyContext, query: Query) -> Query:
    """Weights under which a customer's gradient is long and stands in the last layer alone."""
    if "weights" not in query.arrays:
        return query
    shapes = design(kind, context).architecture.shapes
    pieces = [
        np.full(int(np.prod(dims)), WEIGHT_LIMIT * name.endswith(".bias")) for name, dims in shapes.items()
    ]
    return replace(query, arrays={**query.arrays, "weights": np.concatenate(pieces)})


def _some_weights(_context: StudyContext, query: Query, rng: np.random.Generator) -> Query:
    if "weights" not in query.arrays:
        return query
    limit = int(WEIGHT_LIMIT * rng.choice([0.01, 0.2, 1.0]))
    weights = rng.integers(-limit, limit, query.arrays["weights"].shape, endpoint=True)
    return replace(query, arrays={**query.arrays, "weights": weights})


def _before_rounding(kind: Any) -> Exact:
    """Sums of clipped gradients are rounded once, after summing; before that they are exact."""

    def exact(context: StudyContext, query: Query, features: FeatureMatrix) -> Mapping[str, IntVector]:
        if "weights" not in query.arrays or query.round >= len(plan(kind, context).rounds):
            return TASKS[kind].contribute(context, query, features).blocks
        return exact_sum(design(kind, context), query.arrays["weights"], features)

    return exact


SCORECARD = Case(
    name="scorecard",
    study={
        "features": ["age", "plan"],
        "model": {"iterations": 4},
        "privacy": privacy(),
        "evaluation": {"test_fraction": "0"},
    },
    hostile=_largest_theta,
    varied=_some_theta,
    more=_last_over_pairs,
    brief={"iterations": 2},
    shapes=({}, {"offsets": "holder"}),
)
ONE_FEATURE = replace(SCORECARD, study={**SCORECARD.study, "features": ["plan"]})
MLP = Case(
    name="mlp",
    study={
        "task": "mlp",
        "features": ["age", "plan"],
        "model": {"hidden": [2], "rounds": 4},
        "privacy": privacy(),
        "evaluation": {"test_fraction": "0"},
    },
    hostile=partial(_saturated, "mlp"),
    varied=_some_weights,
    exact=_before_rounding("mlp"),
    brief={"hidden": [2], "rounds": 2},
    shapes=(
        {},
        {"sampling_rate": "1/2"},
        {"sampling_rate": "1/2", "local_steps": 2},
        {"local_steps": 2, "personal": "1"},
    ),
)
LSTM = Case(
    name="lstm",
    study={"model": {"hidden": [4], "recurrent": 3, "rounds": 3}},
    hostile=partial(_saturated, "lstm"),
    varied=_some_weights,
    exact=_before_rounding("lstm"),
    periods=True,
    brief={"hidden": [2], "recurrent": 2, "rounds": 2},
    shapes=({}, {"sampling_rate": "1/2", "local_steps": 2, "personal": "1"}),
)
_OPACUS = {
    "engine": "opacus",
    "hidden": [3],
    "recurrent": 2,
    "heads": 1,
    "embedding": 2,
    "normalisation": "layer",
}
ATTENTION = Case(
    name="attention",
    study={"model": {**_OPACUS, "rounds": 3}},
    hostile=partial(_saturated, "attention"),
    varied=_some_weights,
    periods=True,
    brief={**_OPACUS, "rounds": 2},
)
_QUESTIONS = [
    "count by plan, active",
    "mean of spend by active",
    "quantiles of age",
    "correlations of age, spend",
]
STATISTICS = Case(
    name="statistics",
    study={
        "label": None,
        "features": ["age", "spend", "plan", "active"],
        "model": {"questions": _QUESTIONS},
        "privacy": privacy(),
        "evaluation": {"test_fraction": "0"},
    },
    hostile=lambda _context, query: query,
    varied=lambda _context, query, _rng: query,
    brief={"questions": _QUESTIONS},
)
CASES = (SCORECARD, MLP, LSTM, ATTENTION, STATISTICS)
