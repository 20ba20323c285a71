"""The timed step is a real one: both candidates sum the same batch, and both add the declared noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ringfence.models.neural.rounding import WEIGHT_BITS
from ringfence.simulations.benchmarks.engines import (
    GOALS,
    PERCEPTRON,
    RECURRENT,
    Bench,
    Opacus,
    Ours,
    measure,
)


def test_the_report_has_every_goal_and_adds_up() -> None:
    report = measure(batches=(8,), repetitions=1)
    assert set(report["steps"]) == {"mlp 8", "lstm 8"}
    assert {name.split()[0] for name in GOALS} == {"mlp", "lstm"}
    for step in report["steps"].values():
        assert step["ratio"] > 0
        assert step["noise_share"] > 0


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_both_candidates_sum_the_same_batch() -> None:
    bench = Bench.make(PERCEPTRON, 32)
    ours, theirs = Ours(bench), Opacus(bench)
    parameters = list(theirs.model.parameters())
    start = 0
    with torch.no_grad():
        for parameter in parameters:
            piece = bench.weights[start : start + parameter.numel()] / 2.0**WEIGHT_BITS
            parameter.copy_(torch.from_numpy(piece).float().view_as(parameter))
            start += parameter.numel()
    theirs._sums(theirs.first)
    theirs.optimizer.clip_and_accumulate()
    expected = torch.cat([p.summed_grad.flatten() for p in parameters]).numpy()
    found = ours.engine() / 2.0**bench.grid_bits
    # Rounding to the released grid moves each entry by at most half a unit.
    assert np.abs(found - expected).max() < 2.0**-bench.grid_bits


def test_a_step_of_either_moves_by_noise_of_the_declared_scale() -> None:
    """Over 5,000 entries the deviation of the noise is within a tenth of what is declared but for odds below
    1e-20.
    """
    for architecture in (PERCEPTRON, RECURRENT):
        bench = Bench.make(architecture, 8)
        block = bench.plan.blocks[0]
        assert abs(float(np.std(bench.noise())) / block.share_scale - 1) < 0.1
        ours = Ours(bench)
        before = ours.weights
        ours.step()
        assert np.any(ours.weights != before)
