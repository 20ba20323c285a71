"""Fixed-point sums: additive over customers bit for bit, bounded per customer, and equal to Opacus' within
1e-5.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.neural_kit import Twin, context_with_periods, real_inputs, real_vector, rows_for, weights_for

from ringfence.models.neural import fixed, network
from ringfence.models.neural.engines import clipped_sum
from ringfence.models.neural.holder import exact_sum, gradient_sum, rows_of
from ringfence.models.neural.plan import NetworkDesign, design
from ringfence.models.neural.rounding import (
    WEIGHT_LIMIT,
    rounded_sensitivity_squared,
    rounding_slack,
    to_grid,
)
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import WaistError

KINDS = pytest.mark.parametrize("kind", ["mlp", "lstm"])


def study(kind: Any, **model: Any) -> tuple[StudyContext, NetworkDesign]:
    context = context_with_periods(
        kind,
        model={"hidden": [9, 5], "recurrent": 6, **model} if kind == "lstm" else {"hidden": [9, 5], **model},
    )
    return context, design(kind, context)


def equal(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return all(np.array_equal(left[name], right[name]) for name in left)


@KINDS
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), customers=st.integers(1, 40), size=st.sampled_from([0.1, 0.5, 2.0, 8.0]))
def test_a_sum_is_the_sum_over_its_customers_bit_for_bit(
    kind: str, seed: int, customers: int, size: float
) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(seed)
    rows, weights = rows_for(context, rng, customers), weights_for(shape.architecture, rng, size)
    whole = exact_sum(shape, weights, rows)
    singles = [exact_sum(shape, weights, rows.take(np.array([row]))) for row in range(customers)]
    assert equal(whole, {name: sum(single[name] for single in singles) for name in whole})
    assert equal(whole, exact_sum(shape, weights, rows.take(rng.permutation(customers))))
    assert max(float(np.linalg.norm(real_vector(single))) for single in singles) <= 1.0 + rounding_slack(
        shape.architecture, 1.0
    )


@KINDS
def test_batches_and_threads_do_not_show(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(1)
    rows, weights = rows_for(context, rng, 1500), weights_for(shape.architecture, rng)
    whole = exact_sum(shape, weights, rows)
    monkeypatch.setattr(network, "PIECE", 7)
    assert equal(whole, exact_sum(shape, weights, rows))


@KINDS
@pytest.mark.parametrize("norm", ["1/16", "4"])
def test_the_largest_sums_are_still_exact(kind: str, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal customers with the largest weights, in the longest pieces there may be: 1,024 times one of
    them.
    """
    if kind == "lstm":
        monkeypatch.setattr(network, "PIECE", 1 << 30)
        monkeypatch.setattr(network, "RECURRENT_PIECE", 1 << 30)
    context, shape = study(kind, clipping_norm=norm)
    rng = np.random.default_rng(6)
    for _ in range(5):
        signs = rng.choice([-1, 1], shape.architecture.length)
        weights = signs * rng.integers(0, WEIGHT_LIMIT + 1, shape.architecture.length)
        one = rows_for(context, rng, 1)
        many = one.take(np.zeros(1024, dtype=np.int64))
        single, whole = exact_sum(shape, weights, one), exact_sum(shape, weights, many)
        assert equal(whole, {name: 1024 * values for name, values in single.items()})


@KINDS
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), customers=st.integers(0, 30), size=st.sampled_from([0.1, 1.0, 16.0]))
def test_neighbouring_tables_differ_by_no_more_than_declared(
    kind: str, seed: int, customers: int, size: float
) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(seed)
    rows = rows_for(context, rng, customers + 1)
    weights = np.clip(weights_for(shape.architecture, rng, size), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    without = rows.take(np.arange(customers))
    change = gradient_sum(shape, weights, rows) - gradient_sum(shape, weights, without)
    assert int(change @ change) <= shape.gradient.sensitivity_squared
    assert int(np.abs(change).max()) <= shape.gradient.max_abs


@KINDS
def test_the_largest_weights_reach_the_bound(kind: str) -> None:
    """The declared sensitivity is not idle: without clipping the same customers exceed it many times."""
    context, shape = study(kind)
    rng = np.random.default_rng(2)
    weights = np.full(shape.architecture.length, WEIGHT_LIMIT, dtype=np.int64) * rng.choice(
        [-1, 1], shape.architecture.length
    )
    longest = {}
    for norm in (1.0, 4.0):
        loose = shape.options.model_copy(update={"clipping_norm": norm})
        other = replace(shape, options=loose)
        singles = (exact_sum(other, weights, rows_for(context, rng, 1)) for _ in range(60))
        longest[norm] = max(float(np.linalg.norm(real_vector(single))) for single in singles)
    assert 0.99 < longest[1.0] <= 1.0 + rounding_slack(shape.architecture, 1.0)
    assert longest[4.0] > 3.0


@KINDS
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), norm=st.sampled_from(["1/10", "1", "4"]))
def test_the_fixed_point_is_opacus_within_1e_5(kind: str, seed: int, norm: str) -> None:
    context, shape = study(kind, clipping_norm=norm)
    rng = np.random.default_rng(seed)
    rows, weights = rows_for(context, rng, 64), weights_for(shape.architecture, rng, 0.4)
    bound = float(shape.options.clipping_norm)
    found = real_vector(exact_sum(shape, weights, rows), bound)
    label = torch.from_numpy(rows.label.astype(np.float64))
    twin = Twin(shape.architecture, weights)
    expected = clipped_sum(twin, real_inputs(shape, rows), label, bound, engine="opacus").numpy()
    # Where 64 customers nearly cancel, the measure is the length that as many independent vectors would have.
    singles = (exact_sum(shape, weights, rows.take(np.array([row]))) for row in range(64))
    spread = np.sqrt(sum(float(np.square(real_vector(single, bound)).sum()) for single in singles))
    assert np.linalg.norm(found - expected) <= 1e-5 * max(spread, float(np.linalg.norm(expected)))


@KINDS
def test_scores_are_those_of_the_twin(kind: str) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(3)
    rows, weights = rows_for(context, rng, 300), weights_for(shape.architecture, rng)
    twin = Twin(shape.architecture, weights)
    expected = twin(*real_inputs(shape, rows)).detach().numpy()[:, 0]
    found = network.Network.of(shape.architecture, weights).scores(rows_of(shape, rows)) / 2**16
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_prior_shifts_the_log_odds_of_its_cells() -> None:
    kind = "mlp"
    context, _ = study(kind)
    cells = sum(grid.size for grid in context.grids)
    _, shape = study(kind, prior=[1 << 16] * cells)
    _, bare = study(kind)
    rng = np.random.default_rng(4)
    rows, weights = rows_for(context, rng, 20), weights_for(shape.architecture, rng)
    net = network.Network.of(shape.architecture, weights)
    shift = net.scores(rows_of(shape, rows)) - net.scores(rows_of(bare, rows))
    assert np.array_equal(shift, np.full(20, len(context.features) << 16))


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=70), st.integers(0, 69))
def test_a_tanh_does_not_depend_on_its_place(values: list[float], start: int) -> None:
    whole = fixed.tanh_(np.array(values))
    alone = fixed.tanh_(np.array(values[start:]))
    assert np.array_equal(whole[start:], alone)


def test_a_machine_whose_tanh_depends_on_its_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed.check_curves()
    real = np.tanh

    def tail_apart(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        found = real(values)
        found[len(found) // 8 * 8 :] *= 1 + 2e-16
        return found

    monkeypatch.setattr(fixed.np, "tanh", tail_apart)
    with pytest.raises(WaistError) as error:
        fixed.check_curves.__wrapped__()
    assert error.value.code == "RF-W255"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**50), 2**50), st.integers(-(2**40), 2**40)), min_size=1, max_size=30),
    st.integers(6, 20),
)
def test_rounded_neighbours_stay_within_the_stated_length(
    entries: list[tuple[int, int]], grid_bits: int
) -> None:
    total = np.array([entry for entry, _ in entries])
    change = np.array([moved for _, moved in entries])
    norm = float(np.linalg.norm(change / 2.0**41))
    moved = to_grid(total + change, 41, grid_bits) - to_grid(total, 41, grid_bits)
    bound = rounded_sensitivity_squared(norm * (1 + 1e-12), 0.0, len(entries), grid_bits)
    assert sum(int(each) ** 2 for each in moved) <= bound
