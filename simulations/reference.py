"""A study's sums without the parties around them: fast, exact in its integers, private for nobody.

    parts (cell codes) --> contributions + shares, added in plain --> coordinator's step --> result

Tasks, plans, shares of noise and the coordinator's step are the product's own; what is left out are files,
consent, signatures, masks, ledgers and logs. With the same noise the result is that of `run_in_process`, bit
for bit (tests/simulations/test_reference.py). For benchmarks and for choosing defaults on generated
populations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.errors import N_, UsageError
from ringfence.privacy.mechanisms.source import NoiseSource, OsNoise
from ringfence.privacy.waist import Aggregate, IntVector, Query, RoundPlan, Scope

NoiseOfPart = Callable[[int], NoiseSource]


def run_reference(
    context: StudyContext,
    parts: Sequence[FeatureMatrix],
    *,
    noise: NoiseOfPart = lambda _part: OsNoise(),
    task: Task[Any, Any] | None = None,
) -> Any:
    """Run the study's task over holders' cell codes.

    Args:
        context: the study; its plan counts on `context.study.honest()` shares in a sum.
        parts: one a holder, each with the customers of both parts (train and test).
        noise: a source by position of the holder; the operating system's by default.
        task: instead of the one the study names, e.g. without its evaluation.

    Returns:
        What the task ends with.

    Raises:
        UsageError: fewer holders than the study's `min_holders`, or a task with steps inside the holders.
    """
    if len(parts) < (context.study.privacy.min_holders if context.study.distributed else 1):
        raise UsageError(
            "RF-U360",
            N_(
                "A reference run has {count} parts; the study counts on {needed} holders. Cut the table into "
                "more."
            ),
            count=len(parts),
            needed=context.study.privacy.min_holders,
        )
    task = task or task_named(context.study.task)
    plan = task.plan(context)
    scopes: set[Scope] = {each.part for each in plan.rounds}
    sides = {scope: [part.part(scope) for part in parts] for scope in scopes}
    sources = [noise(position) for position in range(len(parts))]
    state, step = task.start(context)
    while isinstance(step, Query):
        planned = plan.rounds[step.round]
        if planned.local_steps or planned.sampling_rate != 1:
            raise UsageError(
                "RF-U361",
                N_(
                    "The task {task} draws samples inside its holders; a reference run only adds up whole "
                    "tables."
                ),
                task=task.name,
            )
        blocks = _sum(context, task, step, planned, plan.honest, sides[planned.part], sources)
        state, step = task.step(
            context, state, Aggregate(round=step.round, holders=len(parts), blocks=blocks)
        )
    return step


def central(context: StudyContext) -> StudyContext:
    """The same study for one part with all customers, whose own share is all the noise there is (h = 1).

    A yardstick for simulations: it is what one trusted party would get, and claims nothing against a
    coordinator.
    """
    privacy = context.study.privacy.model_copy(update={"noise": "local", "min_holders": 1, "colluders": 0})
    return StudyContext.of(context.study.model_copy(update={"privacy": privacy}), context.schema)


def _sum(
    context: StudyContext,
    task: Task[Any, Any],
    query: Query,
    planned: RoundPlan,
    honest: int,
    parts: Sequence[FeatureMatrix],
    sources: Sequence[NoiseSource],
) -> dict[str, IntVector]:
    """The round's blocks, summed over the parts, each with its own share."""
    lengths = task.lengths(context, query)
    total: dict[str, IntVector] = {name: np.zeros(size, dtype=np.int64) for name, size in lengths.items()}
    for part, source in zip(parts, sources, strict=True):
        blocks = task.contribute(context, query, part).blocks
        share = source.share(planned, lengths, honest).blocks
        for name in total:
            total[name] += blocks[name] + share[name]
    return total
