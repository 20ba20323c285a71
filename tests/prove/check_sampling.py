"""Who is in a sample: each customer with the public rate, independently in every round, at every holder.

The numbers of customers that reach the task are counted on the real path of a sampled study. Their mean is
that of the rate and their spread that of independent draws: fixed batches and samples that are kept have
none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from prove.bounds import FALSE_ALARM, normal_limit
from prove.cases import MLP
from prove.finding import Finding
from prove.probe import CUSTOMERS, NAMES, Probe, World
from scipy import stats

ROUNDS, RATE = 16, 0.1


def samples() -> Finding:
    """Sizes of the samples of one study."""
    model = {"hidden": [2], "rounds": ROUNDS, "sampling_rate": "1/10"}
    case = replace(MLP, study={**MLP.study, "model": model})
    probe = Probe(task=case.task, queries=case.queries(case.context()))
    World(study=case.study).run(probe)
    rows = [count for (index, _), count in zip(probe.exact, probe.rows, strict=True) if index > 0]
    counts = np.array(rows, dtype=np.float64).reshape(ROUNDS, len(NAMES))
    each = CUSTOMERS * RATE * (1 - RATE)
    off = (counts.sum() - counts.size * CUSTOMERS * RATE) / np.sqrt(counts.size * each)
    freedom = (ROUNDS - 1) * len(NAMES)
    spread = float(((counts - counts.mean(axis=0)) ** 2).sum()) / each
    low, high = stats.chi2.ppf(FALSE_ALARM / 2, freedom), stats.chi2.isf(FALSE_ALARM / 2, freedom)
    return Finding(
        evidence=f"{counts.size} samples at rate {RATE}: mean {off:+.1f} sd off, spread "
        f"{spread / freedom:.2f} of that of chance",
        bound=f"within {normal_limit():.1f} sd; {low / freedom:.2f} to {high / freedom:.2f}",
        holds=abs(off) < normal_limit() and bool(low < spread < high),
    )
