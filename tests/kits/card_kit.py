"""Learns a scorecard from holders' rows in a moment, with or without noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.models.task import StudyContext
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import Aggregate, IntVector, Query


def fit(context: StudyContext, parts: Sequence[FeatureMatrix], *, noisy: bool = True) -> Scorecard:
    """The card of a study without masks: what the coordinator would get."""
    plan = SCORECARD.plan(context)
    state, step = SCORECARD.start(context)
    while isinstance(step, Query):
        lengths = SCORECARD.lengths(context, step)
        total: dict[str, IntVector] = {name: np.zeros(n, dtype=np.int64) for name, n in lengths.items()}
        for part in parts:
            blocks = SCORECARD.contribute(context, step, part).blocks
            share = OsNoise().share(plan.rounds[step.round], lengths, plan.honest).blocks
            for name in total:
                total[name] = total[name] + blocks[name] + (share[name] if noisy else 0)
        aggregate = Aggregate(round=step.round, holders=len(parts), blocks=total)
        state, step = SCORECARD.step(context, state, aggregate)
    return step


def split(features: FeatureMatrix, count: int) -> list[FeatureMatrix]:
    """Customers dealt out to so many holders."""
    return [features.take(part) for part in np.array_split(np.arange(len(features.label)), count)]
