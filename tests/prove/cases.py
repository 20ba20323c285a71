"""What the proof asks of each task: a study, hostile queries, and the customer who moves a release the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from prove.probe import asked, mu_of_attack
from small import context_of, frame_of, matrix_of

from ringfence.models.catalogue import TASKS
from ringfence.models.features import FeatureMatrix
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.accounting.gaussian import epsilon_of, mu_of
from ringfence.privacy.waist import Query

DELTA = 1e-6
EPSILON = f"{epsilon_of(DELTA, 1.0):.6f}"
MU = mu_of(float(EPSILON), DELTA)
"""What every study of the proof claims: one, to six digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One task under proof.

    Attributes:
        name: of the task.
        study: changes of the small study: few features and rounds, mu = 1.
    """

    name: str
    study: Mapping[str, Any]

    @property
    def task(self) -> Task[Any, Any]:
        """The installed task."""
        return TASKS[self.name]

    def context(self, overlap: int = 1, **changes: Any) -> StudyContext:
        """The study, as its holders see it."""
        context = context_of(**(dict(self.study) | changes))
        holders = tuple(each.model_copy(update={"overlap": overlap}) for each in context.study.holders)
        return replace(context, study=context.study.model_copy(update={"holders": holders}))

    def queries(self, context: StudyContext) -> list[Query]:
        """Queries of a real run, with every parameter driven to its limit: a coordinator may ask anything lawful."""
        found = asked(self.task, context, matrix_of(context, frame_of(300)))
        return [_hostile(query) for query in found]

    def worst(self, context: StudyContext, queries: Sequence[Query]) -> pd.DataFrame:
        """The row of the customer whom the queries single out the most, of sixty with either label."""
        frame = frame_of(30, seed=7)
        frame = pd.concat([frame.assign(churn="no"), frame.assign(churn="yes")], ignore_index=True)
        features, plan = matrix_of(context, frame), self.task.plan(context)
        gains = [mu_of_attack(plan, self.alone(context, queries, features, row)) for row in range(len(frame))]
        return frame.iloc[[int(np.argmax(gains))]].reset_index(drop=True)

    def alone(
        self, context: StudyContext, queries: Sequence[Query], features: FeatureMatrix, row: int
    ) -> list[Mapping[str, Any]]:
        """What one row adds, round by round."""
        customer = features.take(np.array([row]))
        return [self.task.contribute(context, query, customer).blocks for query in queries]


def _hostile(query: Query) -> Query:
    if "theta" not in query.arrays:
        return query
    limit = np.full_like(query.arrays["theta"], 2**31 - 1)
    return replace(query, arrays={**query.arrays, "theta": limit})


def privacy(**changes: Any) -> dict[str, Any]:
    """The `[privacy]` table of the proof's studies."""
    return {"epsilon": EPSILON, "delta": f"{DELTA:f}", **changes}


SCORECARD = Case(
    name="scorecard",
    study={
        "features": ["age", "plan"],
        "model": {"iterations": 12},
        "privacy": privacy(),
        "evaluation": {"test_fraction": "0"},
    },
)
CASES = (SCORECARD,)
