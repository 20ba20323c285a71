"""Every block of a scorecard's plan by hand: its bound is what a customer adds, its noise what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kits.small import context_of

from ringfence.models.scorecard import SCORECARD
from ringfence.models.scorecard.plan import (
    ScorecardOptions,
    coarse_size,
    design,
    gradient_parts,
    most_bins,
    options_of,
)
from ringfence.privacy.errors import StudyError
from ringfence.privacy.waist import BlockPlan

# Two numbers of 256 cells, a category of three, a flag; each with one cell or two for what is beside.
FIRST = 0.78 * 0.74 / 5
LAST = 0.78 * 0.26


def shares(block: BlockPlan, honest: int, mu: float) -> float:
    """The part of mu squared that a block costs, from the law of a sum of discrete noise."""
    return block.sensitivity_squared / (honest * block.share_scale**2 - 4) / mu**2


def told(block: BlockPlan) -> tuple[str, int, int, int]:
    return (block.name, block.sensitivity_squared, block.max_abs, block.max_length)


def test_the_blocks_of_a_plan_by_hand() -> None:
    context = context_of()
    plan, shape = SCORECARD.plan(context), design(context)
    assert (shape.dimensions, shape.pairs, plan.honest) == (4, 6, 2)
    assert (shape.count_unit, shape.mass_unit, shape.residual_bits, shape.pair_bits) == (4, 2, 10, 5)
    assert shape.residual_unit == 64 * 1024
    gradient = ("gradient", 5 * 2**32, 2**16, 40)
    # Entries of a gradient: one for everybody, 16 + 16 + 4 + 3 of bins; of pairs: groups of 3, 3, 3 and 3.
    assert [[told(block) for block in each.blocks] for each in plan.rounds] == [
        [("cells", 4 * 4**2, 4, 33 + 33 + 5 + 4)],
        [gradient, ("masses", 4 * 2**2, 2, 17 + 17 + 5 + 4), ("two-way", 6 * 32**4, 32**2, 6 * 9)],
        *[[gradient]] * 4,
        [("gradient", 5 * 2**32, 2**16, 54)],
    ]
    assert told(plan.cohort) == ("cohort", 4, 2, 1)
    names = ["histogram", *(f"gradient-{number}" for number in range(1, 7))]
    assert [each.name for each in plan.rounds] == names
    assert plan.max_attempts == context.study.privacy.max_attempts
    assert all(each.part == "train" for each in plan.rounds)
    assert {each.sampling_rate for each in plan.rounds} == {1}


@pytest.mark.parametrize(
    ("changes", "honest", "expected"),
    [
        ({}, 2, [0.12, FIRST, 0.04, 0.05, FIRST, FIRST, FIRST, FIRST, LAST]),
        ({"model": {"iterations": 1}}, 2, [0.12, 0.78, 0.04, 0.05]),
        ({"model": {"iterations": 2}}, 2, [0.12, 0.78 / 2, 0.04, 0.05, 0.78 / 2]),
        ({"model": {"iterations": 3}}, 2, [0.12, 0.78 / 3, 0.04, 0.05, 0.78 / 3, 0.78 / 3]),
        (
            {"features": ["age"], "model": {"iterations": 4}},
            2,
            [0.12, *(0.83 * 0.74 / 3, 0.04), *[0.83 * 0.74 / 3] * 2, 0.83 * 0.26],
        ),
        (
            {"holders": 6, "privacy": {"noise": "local"}, "model": {"iterations": 1}},
            1,
            [0.12, 0.78, 0.04, 0.05],
        ),
        ({"privacy": {"epsilon": "0.5", "colluders": 1}, "holders": 6, "model": {"iterations": 1}}, 4, None),
    ],
    ids=["pairs", "one", "two", "three", "no pairs", "local", "weak"],
)
def test_what_each_block_costs(changes: Any, honest: int, expected: list[float] | None) -> None:
    context = context_of(**changes)
    plan, shape = SCORECARD.plan(context), design(context)
    assert plan.honest == shape.honest == honest
    found = [shares(block, honest, shape.mu) for each in plan.rounds for block in each.blocks]
    assert found == pytest.approx(expected or [0.12, 0.78, 0.04, 0.05], rel=1e-9)
    # The count of a cohort has its own holder's noise alone.
    assert shares(plan.cohort, 1, shape.mu) == pytest.approx(0.01, rel=1e-9)
    assert sum(found) + 0.01 == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("iterations", "expected"),
    [
        (1, (1.0,)),
        (2, (0.5, 0.5)),
        (3, (1 / 3,) * 3),
        (4, (0.74 / 3, 0.74 / 3, 0.74 / 3, 0.26)),
        (6, (*(0.148,) * 5, 0.26)),
    ],
)
def test_gradients_share_alike_but_the_last(iterations: int, expected: tuple[float, ...]) -> None:
    assert gradient_parts(iterations) == pytest.approx(expected)
    assert sum(gradient_parts(iterations)) == pytest.approx(1)


@pytest.mark.parametrize("epsilon", ["0.05", "0.5", "4", "20"])
@pytest.mark.parametrize("holders", [3, 9])
def test_units_are_the_smallest_powers_of_two_that_keep_noise_smooth(epsilon: str, holders: int) -> None:
    context = context_of(holders=holders, privacy={"epsilon": epsilon})
    plan = SCORECARD.plan(context)
    for block in (plan.cohort, plan.rounds[0].blocks[0], plan.rounds[1].blocks[1]):
        unit = block.max_abs
        assert unit & (unit - 1) == 0
        # Four units of squared noise are what discreteness takes.
        assert block.share_scale >= 16
        assert unit == 1 or block.share_scale / 2 < 16.2


@pytest.mark.parametrize(
    ("epsilon", "bits", "pairs"),
    [("0.01", 3, 4), ("0.0001", 1, 1), ("0.05", 5, 5), ("0.5", 8, 5), ("4", 10, 5)],
)
def test_residuals_are_as_fine_as_noise_can_be_drawn_for(epsilon: str, bits: int, pairs: int) -> None:
    context = context_of(privacy={"epsilon": epsilon})
    shape, plan = design(context), SCORECARD.plan(context)
    assert (shape.residual_bits, shape.pair_bits) == (bits, pairs)
    faintest = plan.rounds[2].blocks[0].share_scale
    assert bits == 1 or faintest <= 2**20 * 1.001
    assert bits == 10 or faintest * 2 > 2**20
    tables = plan.rounds[1].blocks[2].share_scale
    assert pairs == 1 or tables <= 2**20 * 1.001
    assert pairs == 5 or tables * 4 > 2**20


@pytest.mark.parametrize(
    ("features", "code"),
    [(2, (8, 16)), (3, (8, 16)), (4, (5, 43)), (10, (8, 11)), (23, (5, 25)), (60, (5, 19)), (200, (6, 10))],
)
def test_tables_of_residuals_take_what_fits_a_gradients_bound_best(
    features: int, code: tuple[int, int]
) -> None:
    """By search over all: bits 5 to 8, codes of at least 8, both bounds kept; the first of the best."""
    shape = replace(design(context_of()), dimensions=features)
    pairs = features * (features - 1) // 2
    bound = (features + 1) * (64 * 2**10) ** 2
    fits = [
        (pairs * 4**bits * one**4, bits, one)
        for bits in (8, 7, 6, 5)
        for one in range(8, 300)
        if pairs * 4**bits * one**4 <= bound and 2**bits * one**2 <= 64 * 2**10
    ]
    best = max(fits, key=lambda each: each[0])
    assert shape.pair_code == best[1:] == code


@pytest.mark.parametrize("features", [1, 400])
def test_without_pairs_or_without_room_there_are_no_tables_of_residuals(features: int) -> None:
    shape = replace(design(context_of(privacy={"epsilon": "0.5"})), dimensions=features)
    assert shape.pair_code is None


def test_one_gradient_alone_is_of_bins() -> None:
    context = context_of(model={"iterations": 1})
    assert design(context).pair_code is None
    assert SCORECARD.plan(context).rounds[1].blocks[0].max_length == 40


def test_cells_and_bins_of_a_feature() -> None:
    number, _, category, flag = context_of().grids
    options = ScorecardOptions(bins=16, cells=32)
    assert [coarse_size(grid, options) for grid in (number, category, flag)] == [33, 5, 4]
    assert [most_bins(grid, options) for grid in (number, category, flag)] == [17, 5, 4]
    assert most_bins(number, ScorecardOptions(bins=64, cells=4)) == 65
    few = replace(number, values=8, missing=8)
    assert (most_bins(few, options), coarse_size(few, ScorecardOptions(cells=4))) == (9, 5)


def test_defaults_and_the_ends_of_ranges() -> None:
    options = ScorecardOptions()
    assert (options.bins, options.cells, options.iterations) == (16, 32, 6)
    assert (options.rising, options.falling, options.prior, options.offsets) == ((), (), None, "none")
    for model in (
        {"bins": 2},
        {"bins": 64},
        {"cells": 4},
        {"cells": 256},
        {"iterations": 1},
        {"iterations": 32},
    ):
        assert options_of(context_of(model=model)).model_dump().items() >= model.items()


CELLS = 257 + 257 + 5 + 4


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ({"bins": 1}, "RF-S051"),
        ({"bins": 65}, "RF-S051"),
        ({"cells": 2}, "RF-S051"),
        ({"cells": 512}, "RF-S051"),
        ({"iterations": 0}, "RF-S051"),
        ({"iterations": 33}, "RF-S051"),
        ({"offsets": "mine"}, "RF-S055"),
        ({"speed": 3}, "RF-S051"),
        ({"prior": [2**24 + 1] * CELLS}, "RF-S051"),
        ({"prior": [-(2**24) - 1] * CELLS}, "RF-S051"),
        ({"prior": [0] * (CELLS - 1)}, "RF-S056"),
        ({"prior": [0] * (CELLS + 1)}, "RF-S056"),
        ({"cells": 48}, "RF-S052"),
        ({"rising": ["plan"]}, "RF-S054"),
        ({"falling": ["active"]}, "RF-S054"),
        ({"falling": ["height"]}, "RF-S054"),
        ({"rising": ["age"], "falling": ["age"]}, "RF-S054"),
    ],
)
def test_what_no_scorecard_can_be_is_refused(model: dict[str, Any], code: str) -> None:
    with pytest.raises(StudyError) as caught:
        options_of(context_of(model=model))
    assert caught.value.code == code


def test_what_is_wrong_is_told_with_its_place() -> None:
    with pytest.raises(StudyError) as caught:
        options_of(context_of(model={"prior": [0, 2**25]}))
    assert caught.value.values["key"] == "prior.1"


@pytest.mark.parametrize(
    "model",
    [
        {"prior": [2**24] * CELLS},
        {"prior": [-(2**24)] * CELLS},
        {"rising": ["age"], "falling": ["spend"]},
        {"offsets": "holder"},
    ],
)
def test_what_a_scorecard_can_be_is_taken(model: dict[str, Any]) -> None:
    found = options_of(context_of(model=model)).model_dump()
    assert all(list(found[key]) == list(value) for key, value in model.items())
