"""The noise in what is released: its law, its independence, and that nobody's sum is without it.

What the coordinator unmasks, less what the holders exactly added, must be a sum of n discrete Gaussian shares
of the declared scale, a million entries in each of two rounds; the second round is one in which nobody is in
the sample. The holders' own shares must not be correlated over coordinates, rounds and holders.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from prove.bounds import (
    chi_square,
    chi_square_limit,
    correlation_limit,
    masses_of_sum,
    normal_limit,
    spread,
    worst_correlation,
)
from prove.cases import SCORECARD
from prove.finding import Finding
from prove.probe import NAMES, Blocks, Probe, Recorded, World

from ringfence.privacy.waist import BlockPlan, StudyPlan

ENTRIES = 1_000_000
SHARES = len(NAMES)


def _run() -> tuple[StudyPlan, Probe, dict[str, Recorded]]:
    """A study of two rounds with a million entries each, every holder honest and recorded."""
    study = {**SCORECARD.study, "features": ["plan"], "model": {"iterations": 1}}
    case = replace(SCORECARD, study=study)
    context = case.context()
    queries = case.queries(context)
    plan = case.task.plan(context)
    first = [{block.name: np.arange(1) for block in each.blocks} for each in plan.rounds]
    noise = {name: Recorded() for name in NAMES}
    probe = Probe(task=case.task, queries=queries, keep=first, repeats=ENTRIES, empty=frozenset({1}))
    parties = World(study=study, noise=noise).run(probe)
    return parties.federation.opened.plan, probe, noise


def released_minus_exact(probe: Probe, round_index: int, block: BlockPlan) -> np.ndarray:
    """The noise in one sum, as anybody with all tables could compute it."""
    exact = sum(blocks[block.name] for index, blocks in probe.exact if index == round_index)
    return np.asarray(probe.aggregates[round_index].blocks[block.name] - exact)


def law() -> Finding:
    """Chi-square and second moment of the noise in every block of every round."""
    plan, probe, _ = _run()
    worst, deviation, holds = 0.0, 0.0, True
    for index, each in enumerate(plan.rounds):
        for block in each.blocks:
            declared = masses_of_sum(block.share_scale, SHARES)
            noise = released_minus_exact(probe, index, block)
            statistic, freedom = chi_square(noise, declared)
            off = spread(noise, declared)
            worst = max(worst, statistic / chi_square_limit(freedom))
            deviation = max(deviation, abs(off))
            holds &= statistic < chi_square_limit(freedom) and abs(off) < normal_limit()
    return Finding(
        evidence=f"worst chi-square {worst:.2f} of its limit, second moment {deviation:.1f} sd off, 10^6 "
        "entries a block",
        bound=f"chi-square below 1, second moment below {normal_limit():.1f} sd",
        holds=holds,
    )


def independence() -> Finding:
    """Correlation of the shares over coordinates, rounds and holders."""
    plan, _, noise = _run()
    rows = [_standard(blocks, plan) for name in NAMES for blocks in noise[name].shares]
    table = np.vstack([row for row in rows if row is not None])
    pairs = (2 * len(table)) * (2 * len(table) - 1) // 2
    limit = correlation_limit(ENTRIES - 1, pairs)
    worst = max(worst_correlation(table), worst_correlation(np.abs(table)) / 1.5)
    return Finding(
        evidence=f"largest correlation {worst:.4f} among {len(table)} shares and their shifts by one",
        bound=f"at most {limit:.4f}",
        holds=worst < limit and len(table) == SHARES * sum(len(each.blocks) for each in plan.rounds),
    )


def _standard(blocks: Blocks, plan: StudyPlan) -> np.ndarray | None:
    """All long blocks of one share, a row each; the cohort's single number is left out."""
    long = [values for values in blocks.values() if len(values) == ENTRIES]
    return np.vstack(long) if long else None
