"""Statistics studies for tests: a context, and what sums release, with noise of the tests or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kits.small import context_of, matrix_of
from ringfence.models.statistics import STATISTICS, TableRelease
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import Aggregate, Query

QUERY = Query(task="statistics", round=0)
FEATURES = ["age", "spend", "plan", "active"]
TABLES: dict[str, Any] = {
    "task": "statistics",
    "label": None,
    "features": ["age", "plan"],
    "model": {"questions": ["count by plan", "mean of age"]},
    "evaluation": {"test_fraction": "0"},
}
"""A small statistics study, as changes of the small study."""


def asking(*questions: str, holders: int = 3, **changes: Any) -> StudyContext:
    """A statistics study over the small schema, whose features are those that the questions name."""
    named = [each for each in FEATURES if any(each in question for question in questions)] or ["plan"]
    model = {"questions": list(questions), **changes.pop("model", {})}
    release = {"plain": named, "min_cell": 10, "min_cell_quasi": 10} | changes.pop("release", {})
    return context_of(
        holders=holders,
        **{
            "id": "small-statistics",
            "task": "statistics",
            "label": None,
            "features": named,
            "model": model,
            "release": release,
            "evaluation": {"test_fraction": "0"},
        }
        | changes,
    )


def exact_blocks(context: StudyContext, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """What all customers add up to."""
    return dict(STATISTICS.contribute(context, QUERY, matrix_of(context, frame)).blocks)


def release_of(
    context: StudyContext, frame: pd.DataFrame, rng: np.random.Generator | None = None
) -> TableRelease:
    """The tables of a population, from exact sums or with rounded normal noise of three holders."""
    blocks = exact_blocks(context, frame)
    if rng is not None:
        plan = STATISTICS.plan(context).rounds[0]
        for block in plan.blocks:
            noise = rng.normal(0.0, block.share_scale * np.sqrt(3), len(blocks[block.name]))
            blocks[block.name] = blocks[block.name] + np.rint(noise).astype(np.int64)
    found = STATISTICS.step(
        context, STATISTICS.start(context)[0], Aggregate(round=0, holders=3, blocks=blocks)
    )
    assert isinstance(found[1], TableRelease)
    return found[1]


def lines(release: TableRelease, table: int = 0) -> Sequence[dict[str, Any]]:
    """The lines of one table."""
    return list(release.tables[table].records())
