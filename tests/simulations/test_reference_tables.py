"""A reference run of a study without a label: its sums read everybody, and are those of the parties' run."""

from __future__ import annotations

import numpy as np
from kits.noise import SeededNoise
from kits.small import frame_of, matrix_of
from kits.statistics_kit import asking, lines

from ringfence.simulations.reference import central, run_reference


def test_tables_are_made_of_all_customers_whatever_their_part() -> None:
    context = asking("count by plan", "mean of age", privacy={"epsilon": "16"})
    parts = [matrix_of(context, frame_of(500, seed)) for seed in range(3)]
    for part in parts:
        part.is_test[::2] = True
    found = run_reference(context, parts, noise=lambda place: SeededNoise(seed=1, holder=str(place)))
    assert abs(sum(row["customers"] for row in lines(found)) - 1500) < 30
    alone = run_reference(central(context), parts[:1], noise=lambda _place: SeededNoise(seed=2, holder="x"))
    ages = np.concatenate([frame_of(500, seed)["age"].clip(18, 98) for seed in range(1)])
    (row,) = lines(alone, 1)
    assert row["mean_low"] <= ages.mean() <= row["mean_high"]
