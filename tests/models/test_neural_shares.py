"""Every block of a neural plan by hand: bounds, grids and noise from clipping norm, length and price."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from kits.neural_kit import context_with_periods
from kits.small import context_of

from ringfence.models.neural import rounding
from ringfence.models.neural.architecture import RECURRENT, Architecture
from ringfence.models.neural.plan import Kind, customers_block, design, largest_grid_bits, plan
from ringfence.models.neural.rounding import (
    finer_bits,
    rounded_sensitivity_squared,
    rounding_slack,
    sum_bits,
    to_grid,
    vector_to_grid,
)
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.errors import StudyError
from ringfence.privacy.waist import BlockPlan, Combination, UploadBlock

CASES: dict[str, tuple[Kind, dict[str, Any]]] = {
    "mlp": ("mlp", {"model": {"rounds": 3, "hidden": [2]}}),
    "lstm": ("lstm", {"model": {"rounds": 2, "hidden": [2], "recurrent": 3}}),
    "opacus": ("mlp", {"model": {"engine": "opacus", "rounds": 2, "hidden": [4], "embedding": 3}}),
    "local": (
        "mlp",
        {
            "privacy": {"noise": "local"},
            "model": {"rounds": 2, "local_steps": 3, "hidden": [2], "clipping_norm": "1/4"},
        },
    ),
}


def made(case: str) -> tuple[Kind, StudyContext]:
    kind, changes = CASES[case]
    return kind, context_with_periods(kind, **changes)


def part_of(block: BlockPlan, honest: int, context: StudyContext) -> float:
    terms = context.study.privacy
    mu = calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise)
    return block.sensitivity_squared / (honest * block.share_scale**2 - 4) / mu**2


@pytest.mark.parametrize(
    ("case", "honest", "releases"), [("mlp", 2, 3), ("lstm", 2, 2), ("opacus", 2, 2), ("local", 1, 6)]
)
def test_what_each_block_costs(case: str, honest: int, releases: int) -> None:
    kind, context = made(case)
    whole, shape = plan(kind, context), design(kind, context)
    assert whole.honest == shape.honest == honest
    assert part_of(whole.cohort, 1, context) == pytest.approx(0.01, rel=1e-9)
    assert part_of(whole.rounds[0].blocks[0], honest, context) == pytest.approx(0.01, rel=1e-9)
    gradients = [part_of(each.blocks[0], honest, context) for each in whole.rounds[1:]]
    assert gradients == pytest.approx([0.98 / releases] * (len(whole.rounds) - 1), rel=1e-7)
    assert whole.max_attempts == context.study.privacy.max_attempts


@pytest.mark.parametrize("case", CASES)
def test_counts_of_customers_have_a_unit_of_their_own(case: str) -> None:
    kind, context = made(case)
    whole = plan(kind, context)
    for block, name in ((whole.cohort, "cohort"), (whole.rounds[0].blocks[0], "customers")):
        assert (block.name, block.sensitivity_squared, block.max_abs, block.max_length) == (name, 4, 2, 1)
        assert 16 <= block.share_scale < 32.2
    assert whole.rounds[0].blocks == (customers_block(design(kind, context)),)


@pytest.mark.parametrize(
    ("case", "length", "bits", "most", "sensitivity"),
    [
        ("mlp", 43, 11, 2049, (2048 + math.sqrt(43)) ** 2),
        # Rounding inside the cell: three periods, half of 2^-22 in each of 4 x 3 entries by 8 inputs.
        ("lstm", 121, 12, 4098, ((1 + 3 * math.sqrt(12 * 8) * 2.0**-23) * 4096 + 11) ** 2),
        ("opacus", 92, 12, 4096, 4096.0**2),
        ("local", 43, 13, 2049, (2048 + math.sqrt(43)) ** 2),
    ],
)
def test_what_a_customer_adds_to_a_gradient(
    case: str, length: int, bits: int, most: int, sensitivity: float
) -> None:
    kind, context = made(case)
    shape = design(kind, context)
    block = shape.gradient
    assert (block.name, block.max_length, shape.architecture.length) == ("gradient", length, length)
    assert (shape.grid_bits, block.max_abs) == (bits, most)
    assert sensitivity <= block.sensitivity_squared <= sensitivity + 1.001


def test_rounds_of_gradients_and_of_local_steps() -> None:
    kind, context = made("mlp")
    whole, shape = plan(kind, context), design(kind, context)
    assert [each.name for each in whole.rounds] == ["customers", "gradient-1", "gradient-2", "gradient-3"]
    for each in whole.rounds:
        assert (each.sampling_rate, each.local_steps, each.uploads) == (1, 0, ())
        assert (each.part, each.combination) == ("train", Combination())
    assert {each.blocks for each in whole.rounds[1:]} == {(shape.gradient,)}
    kind, context = made("local")
    whole, shape = plan(kind, context), design(kind, context)
    assert [each.name for each in whole.rounds] == ["customers", "local-steps-1", "local-steps-2"]
    upload = UploadBlock(name="update", max_abs=1 << 20, max_length=43)
    assert [(each.local_steps, each.uploads) for each in whole.rounds] == [(0, ()), *[(3, (upload,))] * 2]


def test_sampling_and_combination_are_in_every_round_that_they_belong_to() -> None:
    context = context_of(task="mlp", model={"rounds": 2, "hidden": [2], "sampling_rate": "1/4"})
    whole = plan("mlp", context)
    assert [each.sampling_rate for each in whole.rounds] == [1, Fraction(1, 4), Fraction(1, 4)]
    context = context_of(
        task="mlp",
        holders=5,
        privacy={"noise": "local", "uploads": "visible", "min_holders": 4},
        model={"rounds": 2, "hidden": [2], "local_steps": 1, "combine": "median", "wrong": 1},
    )
    middle = Combination(rule="median", wrong=1)
    assert [each.combination for each in plan("mlp", context).rounds] == [middle] * 3


@pytest.mark.parametrize(
    ("norm", "length", "scale", "bits"),
    [
        # sqrt(d) is to be at most 2^-8 of C: for d = 2^8, eight and four bits.
        (1.0, 1 << 8, 1.0, 12),
        (1.0, (1 << 8) + 1, 1.0, 13),
        (4.0, 1 << 8, 1.0, 10),
        (0.25, 1 << 8, 1.0, 14),
        # The scale of a share stays within 2^20.
        (1.0, 1 << 20, 1.0, 18),
        (1.0, 1 << 20, 4.0, 18),
        (1.0, 1 << 20, 4.1, 17),
        (2.0, 1 << 20, 4.0, 17),
        (1.0, 1 << 20, 2.0**18, 6),
        (1.0, 1, 1.0, 8),
        (4.0, 1, 1.0, 6),
        (2.0**-12, 1 << 12, 1.0, 20),
    ],
)
def test_grids_are_fine_enough_and_can_be_drawn_for(
    norm: float, length: int, scale: float, bits: int
) -> None:
    assert largest_grid_bits(norm, length, scale) == bits


@pytest.mark.parametrize(("norm", "most"), [("1", 1 << 21), ("1/2", 1 << 21), ("2", 1 << 20), ("4", 1 << 19)])
def test_exact_sums_hold_so_many_customers(norm: str, most: int) -> None:
    for beyond in (0, 1):
        holders = [
            {"name": "small", "key": "ab" * 32, "max_customers": 5, "overlap": 1},
            {"name": "large", "key": "cd" * 32, "max_customers": most + beyond, "overlap": 1},
            {"name": "middle", "key": "ef" * 32, "max_customers": 7, "overlap": 1},
        ]
        model = {"rounds": 2, "hidden": [2], "clipping_norm": norm}
        context = context_of(task="mlp", model=model, privacy={"delta": "1e-8"})
        study = context.study.revised(holders=tuple(holders))
        context = StudyContext.of(study, context.schema)
        if not beyond:
            assert design("mlp", context).gradient.max_length
            continue
        with pytest.raises(StudyError, match="RF-S254") as caught:
            design("mlp", context)
        assert caught.value.values == {"holder": "large", "found": most + 1, "most": most}


@pytest.mark.parametrize(("kind", "engine"), [("lstm", "closed"), ("attention", "opacus")])
def test_a_network_over_time_needs_periods(kind: Kind, engine: str) -> None:
    with pytest.raises(StudyError, match="RF-S253"):
        design(kind, context_of(task=kind, model={"rounds": 1, "engine": engine}))


def test_a_network_has_what_its_study_says() -> None:
    _, context = made("lstm")
    found = design("lstm", context).architecture
    assert (found.periods, found.channels, found.recurrent, found.heads) == (3, 4, 3, 0)
    assert (found.hidden, found.embedded, found.embedding, found.layer_norm) == ((2,), (), 0, False)
    model = {"engine": "opacus", "rounds": 1, "hidden": [2], "recurrent": 4, "heads": 4, "embedding": 3}
    context = context_with_periods("attention", model=model | {"normalisation": "layer"})
    found = design("attention", context).architecture
    assert (found.heads, found.embedded, found.embedding, found.layer_norm) == (4, (5,), 3, True)
    assert design("mlp", made("mlp")[1]).architecture.recurrent == 0


def test_the_units_that_exactness_rests_on() -> None:
    """Weights to 16 in 2^-16, activations in 2^-18, derivatives in 2^-20: sums of 1,025 products fit 2^53."""
    assert (rounding.WEIGHT_BITS, rounding.WEIGHT_LIMIT, rounding.ACTIVATION_BITS) == (16, 1 << 20, 18)
    assert (rounding.DERIVATIVE_BITS, rounding.GATE_BITS) == (20, 21)
    assert (rounding.CLIPPED_BITS, rounding.RECURRENT_BITS, rounding.LARGEST_WIDTH) == (23, 22, 1024)


@pytest.mark.parametrize(
    ("norm", "finer"),
    [(4.0, 0), (1.0, 0), (0.75, 0), (0.5, 1), (0.3, 1), (0.25, 2), (0.1, 3), (1 / 16, 4), (1 / 64, 4)],
)
def test_small_norms_keep_their_digits(norm: float, finer: int) -> None:
    assert finer_bits(norm) == finer
    assert sum_bits("dense.0.weight", norm) == 41 + finer
    assert sum_bits(RECURRENT, norm) == 40 + finer


def test_rounding_is_to_the_nearest_half_upwards() -> None:
    total = np.array([-24, -9, -8, -7, 0, 7, 8, 9, 23, 24])
    assert to_grid(total, 10, 6).tolist() == [-1, -1, 0, 0, 0, 0, 1, 1, 1, 2]


def test_cell_and_layers_are_rounded_each_from_its_own_unit() -> None:
    lstm = Architecture(inputs=1, hidden=(), periods=2, channels=1, recurrent=1)
    cell = math.prod(lstm.shapes[RECURRENT])
    assert 0 < cell < lstm.length
    total = np.full(lstm.length, 1 << 40)
    rounded = vector_to_grid(lstm, total, 1.0, 6).tolist()
    assert rounded == [64] * cell + [32] * (lstm.length - cell)
    plain = Architecture(inputs=2, hidden=())
    assert vector_to_grid(plain, np.full(plain.length, 1 << 41), 1.0, 6).tolist() == [64] * plain.length
    assert vector_to_grid(plain, np.full(plain.length, 1 << 41), 0.5, 6).tolist() == [32] * plain.length


def test_the_slack_of_a_cell_by_hand() -> None:
    lstm = Architecture(inputs=1, hidden=(2,), periods=5, channels=3, recurrent=4)
    # Five periods; four gates of four outputs, by three channels, four outputs and the constant.
    moved = math.sqrt(16 * lstm.entered)
    assert lstm.entered == 8
    assert rounding_slack(lstm, 1.0) == 5 * moved * 2.0**-23
    assert rounding_slack(lstm, 0.25) == 5 * moved * 2.0**-25
    assert rounding_slack(Architecture(inputs=3, hidden=(2,)), 1.0) == 0.0


def test_the_sensitivity_of_a_rounded_sum_by_hand() -> None:
    assert rounded_sensitivity_squared(1.0, 0.0, 16, 6) == (64 + 4) ** 2 + 1
    assert rounded_sensitivity_squared(0.5, 0.25, 9, 4) == (12 + 3) ** 2 + 1
