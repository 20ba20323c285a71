"""White-box canary: what an attacker who knows all but one customer learns from a whole study, measured.

Two worlds differ by the customer whom hostile queries single out the most. The attacker has the coordinator
and one holder, so it knows that holder's noise and everybody else's exact numbers. From the errors of its
best test over 150,000 studies a world, a lower bound on mu holds with confidence 1 - 1e-9; it must not exceed
the claimed mu.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from kits.small import matrix_of
from prove.bounds import lower_bound
from prove.cases import MLP, MU, ONE_FEATURE, SCORECARD, STATISTICS, Case, privacy
from prove.finding import Check, Finding
from prove.probe import Blocks, Probe, Silent, World, mu_of_attack

from ringfence.privacy.waist import Aggregate, StudyPlan

TRIALS = 150_000
LEAST_VARIANCE = 1e-3
"""Of an entry without noise, where every copy shows the same number."""
POWER = 0.15
"""By how much the bound may stay behind the best attack before the test counts as blind."""


def canary(
    case: Case, at: tuple[str, ...], colluders: tuple[str, ...], changes: Mapping[str, Any]
) -> Finding:
    """Measure one study in two worlds.

    Args:
        case: the task.
        at: holders whose customer the victim is; contracts declare that many.
        colluders: holders that pool what they know with the coordinator.
        changes: of the study.
    """
    context = case.context(len(at), **changes)
    queries = case.queries(context)
    victim = case.worst(context, queries)
    customer = matrix_of(context, victim)
    shifts = [case.task.contribute(context, query, customer).blocks for query in queries]
    keep = [{name: np.flatnonzero(values) for name, values in blocks.items()} for blocks in shifts]
    study = {**case.study, "task": case.name, **changes}
    noise = dict.fromkeys(colluders, Silent())
    statistics, weights = [], list[Mapping[str, npt.NDArray[np.float64]]]()
    plan = None
    for present in (False, True):
        extra = {name: victim.assign(key=f"{name}-victim") for name in at} if present else {}
        probe = Probe(task=case.task, queries=queries, keep=keep, repeats=TRIALS)
        parties = World(study=study, extra=extra, overlap=len(at), noise=noise).run(probe)
        plan = parties.federation.opened.plan
        weights = weights or _weights(plan, shifts, probe.aggregates)
        statistics.append(_statistic(weights, probe.aggregates))
    assert plan is not None
    found, attack = lower_bound(*statistics), len(at) * mu_of_attack(plan, shifts)
    return Finding(
        evidence=f"lower bound {found:.3f} on mu from 2 x {TRIALS:,} studies (best attack {attack:.3f})",
        bound=f"mu <= {MU:.3f}; test not blind",
        holds=found <= MU and found >= min(attack, MU) - POWER and attack >= 0.9 * MU,
    )


def _weights(
    plan: StudyPlan, shifts: Sequence[Blocks], aggregates: Sequence[Aggregate]
) -> list[Mapping[str, npt.NDArray[np.float64]]]:
    """What each entry is worth to the attacker: the victim's shift over the noise that is really there.

    The noise is measured, not believed: on the first fifth of the studies without the victim, on which the
    threshold is fixed as well.
    """
    found = []
    for each, blocks, aggregate in zip(plan.rounds, shifts, aggregates, strict=True):
        worth = {}
        for block in each.blocks:
            shift = blocks[block.name][np.flatnonzero(blocks[block.name])]
            seen = aggregate.blocks[block.name].reshape(TRIALS, len(shift))[: TRIALS // 5]
            worth[block.name] = shift / np.maximum(seen.var(axis=0), LEAST_VARIANCE)
        found.append(worth)
    return found


def _statistic(
    weights: Sequence[Mapping[str, npt.NDArray[np.float64]]], aggregates: Sequence[Aggregate]
) -> npt.NDArray[np.float64]:
    """The likelihood ratio's exponent for each copy of the study, up to constants."""
    total = np.zeros(TRIALS)
    for blocks, aggregate in zip(weights, aggregates, strict=True):
        for name, weight in blocks.items():
            total += aggregate.blocks[name].reshape(TRIALS, len(weight)) @ weight
    return total


def check(
    case: Case, *, at: tuple[str, ...] = ("bank",), colluders: tuple[str, ...] = ("partner",), **changes: Any
) -> Check:
    """A canary as a check without arguments."""
    return partial(canary, case, at, colluders, changes)


SCORECARD_ALONE = check(SCORECARD)
SCORECARD_TWICE = check(ONE_FEATURE, at=("bank", "retailer"))
SCORECARD_LOCAL = check(
    ONE_FEATURE, colluders=("partner", "retailer"), privacy=privacy(noise="local", min_holders=3)
)
MLP_ALONE = check(MLP)
STATISTICS_ALONE = check(STATISTICS)
