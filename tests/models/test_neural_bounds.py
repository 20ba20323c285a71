"""The ends of what a neural query may ask, and a holder's arithmetic by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from kits.neural_kit import context_with_periods, real_inputs, rows_for, weights_for
from kits.small import context_of

from ringfence.models.neural import LSTM, MLP, fixed, sampled
from ringfence.models.neural.holder import (
    change_of,
    check_weights,
    contribute,
    descended,
    exact_sum,
    gradient_sum,
    log_odds,
    module_rows,
    rows_of,
    scores,
    train_locally,
    whole_weights,
)
from ringfence.models.neural.plan import design
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import Query

LARGEST = 16 << 16
PLAIN = context_of(task="mlp", model={"rounds": 2, "hidden": [2]})
LOCAL = context_of(
    task="mlp",
    privacy={"noise": "local"},
    model={"rounds": 2, "hidden": [2], "local_steps": 2, "local_rate": "1/4", "proximal": "1/2"},
)


def query_of(context: StudyContext, **changes: Any) -> Query:
    length = design("mlp", context).architecture.length
    fields: dict[str, Any] = {"round": 1, "arrays": {"weights": np.zeros(length, dtype=np.int64)}}
    if context is LOCAL:
        fields["numbers"] = {"customers": 100}
    return Query(task="mlp", **(fields | changes))


def refused(context: StudyContext, query: Query) -> bool:
    try:
        MLP.lengths(context, query)
    except WaistError as error:
        return error.code == "RF-W250"
    return False


def with_weight(weight: int, place: int) -> dict[str, Any]:
    weights = np.zeros(design("mlp", PLAIN).architecture.length, dtype=np.int64)
    weights[place] = weight
    return {"arrays": {"weights": weights}}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("place", [0, -1])
def test_weights_reach_their_limit_and_no_further(sign: int, place: int) -> None:
    assert not refused(PLAIN, query_of(PLAIN, **with_weight(sign * LARGEST, place)))
    assert refused(PLAIN, query_of(PLAIN, **with_weight(sign * (LARGEST + 1), place)))
    rows = rows_for(PLAIN, np.random.default_rng(1), 2)
    beyond = query_of(PLAIN, **with_weight(sign * (LARGEST + 1), place))
    with pytest.raises(WaistError, match="RF-W250"):
        contribute("mlp", PLAIN, beyond, rows)


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ({"customers": 1}, False),
        ({"customers": 0}, True),
        ({"customers": -5}, True),
        ({"customers": 1 << 40}, False),
        ({"customers": (1 << 40) + 1}, True),
        ({}, True),
        ({"customers": 5, "rows": 5}, True),
        ({"rows": 5}, True),
    ],
)
def test_local_steps_are_told_a_count_and_nothing_else_is(numbers: dict[str, int], wrong: bool) -> None:
    assert refused(LOCAL, query_of(LOCAL, numbers=numbers)) is wrong
    assert refused(PLAIN, query_of(PLAIN, numbers=numbers)) is bool(numbers)


def test_lengths_and_names_of_what_is_asked() -> None:
    length = design("mlp", PLAIN).architecture.length
    assert MLP.lengths(PLAIN, query_of(PLAIN)) == {"gradient": length}
    assert MLP.lengths(LOCAL, query_of(LOCAL)) == {"update": length}
    count = Query(task="mlp", round=0)
    assert MLP.lengths(PLAIN, count) == MLP.lengths(LOCAL, count) == {"customers": 1}
    assert refused(PLAIN, replace(count, numbers={"customers": 1}))
    assert refused(PLAIN, query_of(PLAIN, round=0))
    for arrays in (
        {},
        {"weights": np.zeros(length + 1, dtype=np.int64)},
        {"weights": np.zeros(length - 1, dtype=np.int64)},
        {"weights": np.zeros((length, 1), dtype=np.int64)},
        {"bias": np.zeros(length, dtype=np.int64)},
        {"weights": np.zeros(length, dtype=np.int64), "bias": np.zeros(1, dtype=np.int64)},
    ):
        assert refused(PLAIN, query_of(PLAIN, arrays=arrays))
    check_weights(design("mlp", PLAIN), query_of(PLAIN))


@pytest.mark.parametrize("customers", [0, 1, 17])
def test_customers_are_counted_in_units(customers: int) -> None:
    rows = rows_for(PLAIN, np.random.default_rng(2), customers)
    query = Query(task="mlp", round=0)
    found = contribute("mlp", PLAIN, query, rows)
    assert found.query_digest == query.digest()
    assert {name: values.tolist() for name, values in found.blocks.items()} == {"customers": [2 * customers]}
    assert found.blocks["customers"].dtype == np.int64


def test_nobody_adds_nothing_and_a_gradient_is_bound_to_its_query() -> None:
    rng = np.random.default_rng(3)
    shape = design("mlp", PLAIN)
    weights = weights_for(shape.architecture, rng)
    query = query_of(PLAIN, arrays={"weights": weights})
    nobody = rows_for(PLAIN, rng, 0)
    assert contribute("mlp", PLAIN, query, nobody).blocks["gradient"].tolist() == [0] * len(weights)
    assert all(not values.any() for values in exact_sum(shape, weights, nobody).values())
    rows = rows_for(PLAIN, rng, 5)
    found = contribute("mlp", PLAIN, query, rows)
    assert found.query_digest == query.digest()
    assert found.blocks["gradient"].tolist() == gradient_sum(shape, weights, rows).tolist()
    # To half a unit of the released grid, the exact sum is what is released.
    flat = np.concatenate([each / 2.0**41 for each in exact_sum(shape, weights, rows).values()])
    assert np.abs(flat * 2.0**shape.grid_bits - found.blocks["gradient"]).max() <= 0.5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (0.0, 0),
        (2.0**-16, 1),
        (-1.4 * 2.0**-16, -1),
        (16.0, 1 << 20),
        (15.9999, round(15.9999 * 65536)),
        (17.0, 1 << 20),
        (-40.0, -(1 << 20)),
    ],
)
def test_an_upload_is_a_whole_change_within_its_bound(change: float, expected: int) -> None:
    query = query_of(LOCAL)
    found = change_of(query, np.array([change, 0.0]))
    assert found.query_digest == query.digest()
    assert found.blocks["update"].tolist() == [expected, 0]
    assert found.blocks["update"].dtype == np.int64


def test_weights_of_a_query_are_whole_and_in_range() -> None:
    real = np.array([0.0, 1.0, -0.5, 2.6 * 2.0**-16, 16.0, 16.1, -99.0])
    assert whole_weights(real).tolist() == [0, 65536, -32768, 3, LARGEST, LARGEST, -LARGEST]


class Steps:
    """Noisy steps without noise, whose sum of gradients is a given one."""

    def __init__(self, total: float, bits: int) -> None:
        self.total, self.bits, self.taken = total, bits, 0

    def step(self, ask: Any) -> dict[str, Any]:
        del ask
        self.taken += 1
        return {"gradient": np.full(3, self.total * 2.0**self.bits)}


@pytest.mark.parametrize(("customers", "mean"), [(100, 0.08), (4, 2.0), (1, 8.0)])
def test_a_local_step_is_by_the_mean_over_the_customers_that_are_expected(
    customers: int, mean: float
) -> None:
    shape = design("mlp", LOCAL)
    steps = Steps(8.0, shape.grid_bits)
    seen: list[float] = []

    def step(weights: Any, found: Any) -> Any:
        seen.append(float(found[0]))
        return weights - found

    begun = np.array([0.5, 0.0, -0.5])
    query = query_of(LOCAL, numbers={"customers": customers})
    ended = descended(shape, query, steps, begun, step)  # type: ignore[arg-type]
    assert steps.taken == 2
    assert seen == pytest.approx([mean, mean])
    assert ended == pytest.approx(np.clip(begun - 2 * mean, -16, 16))


def test_of_a_sample_fewer_customers_are_expected_and_never_less_than_one() -> None:
    context = context_of(
        task="mlp",
        privacy={"noise": "local"},
        model={"rounds": 1, "hidden": [2], "local_steps": 1, "sampling_rate": "1/4"},
    )
    shape = design("mlp", context)
    for customers, mean in ((100, 8 / 25), (2, 8.0)):
        seen: list[float] = []
        query = query_of(LOCAL, numbers={"customers": customers})
        descended(
            shape,
            query,
            Steps(8.0, shape.grid_bits),  # type: ignore[arg-type]
            np.zeros(3),
            lambda weights, found, seen=seen: (seen.append(float(found[0])), weights)[1],  # type: ignore[misc]
        )
        assert seen == pytest.approx([mean])


def test_no_local_step_leaves_the_range_of_weights() -> None:
    shape = design("mlp", LOCAL)
    steps = Steps(8.0, shape.grid_bits)
    ended = descended(shape, query_of(LOCAL), steps, np.zeros(3), lambda w, _: w + 12.0)  # type: ignore[arg-type]
    assert ended.tolist() == [16.0] * 3


def test_local_steps_descend_and_are_pulled_back_by_hand() -> None:
    """Rate 1/4 and pull 1/2: w1 = w0 - m/4, w2 = w1 - (m + (w1 - w0)/2)/4 = w0 - m/2 + m/32."""
    length = design("mlp", LOCAL).architecture.length

    class Whole(Steps):
        def step(self, ask: Any) -> dict[str, Any]:
            return {"gradient": np.full(length, super().step(ask)["gradient"][0])}

    steps = Whole(100 * 0.125, design("mlp", LOCAL).grid_bits)
    weights = np.full(length, 1 << 15)
    query = query_of(LOCAL, arrays={"weights": weights})
    found = train_locally("mlp", LOCAL, query, steps).blocks["update"]  # type: ignore[arg-type]
    assert found.tolist() == [round((-0.125 / 2 + 0.125 / 32) * 65536)] * length


def test_residuals_by_hand() -> None:
    one = 1 << 18
    logits = np.array([0.0, 0.0, 1.0, -1.0, 30.0, -30.0, 30.0])
    label = np.array([0, 1, 0, 1, 0, 1, 1], dtype=np.uint8)
    p = 1 / (1 + np.exp(-logits))
    found = fixed.residuals(logits * one, label)
    assert np.abs(found - (p - label) * 2**20).max() <= 0.5 + 1e-6
    assert found[:2].tolist() == [1 << 19, -(1 << 19)]
    assert np.array_equal(found, np.rint(found))
    assert np.abs(found).max() == 1 << 20


def test_factors_clip_to_the_norm_a_shade_below_it() -> None:
    found = fixed.factors(np.array([0.0, 0.25, 1.0, 4.0, 1e12]), 1.0)
    assert found[:2].tolist() == [1.0, 1.0]
    assert found[2] == 1.0 - 2.0**-40
    assert found[3:].tolist() == pytest.approx([0.5, 1e-6])
    assert (found * np.sqrt([0.0, 0.25, 1.0, 4.0, 1e12]))[2:].max() < 1.0
    assert fixed.factors(np.array([4.0]), 4.0).tolist() == [1.0]
    assert fixed.factors(np.array([64.0]), 4.0)[0] == pytest.approx(0.5)
    assert fixed.squares(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist() == [25.0, 4.0]


def test_units_of_the_fixed_point() -> None:
    assert (fixed.ONE, fixed.ACTIVATION_LIMIT, fixed.DERIVATIVE_LIMIT) == (2.0**18, 2.0**21, 2.0**21)


def test_memory_is_used_again_and_grows_where_it_must() -> None:
    scratch = fixed.Scratch()
    first = scratch.rows("a", 4, 3)
    assert (tuple(first.shape), first.dtype) == ((4, 3), torch.float64)
    first[:] = 7.0
    again = scratch.rows("a", 2, 3)
    assert tuple(again.shape) == (2, 3)
    assert again.data_ptr() == first.data_ptr()
    assert scratch.rows("a", 4, 3).data_ptr() == first.data_ptr()
    assert tuple(scratch.rows("a", 5, 3).shape) == (5, 3)
    assert tuple(scratch.rows("a", 5, 2).shape) == (5, 2)
    assert scratch.rows("b", 5, 2).data_ptr() != scratch.rows("a", 5, 2).data_ptr()
    assert tuple(scratch.of("c", 2, 3, 4).shape) == (2, 3, 4)
    assert fixed.scratch_of_thread() is fixed.scratch_of_thread()


def test_work_is_on_one_core_without_recording_and_leaves_threads_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    seen: list[bool] = []

    def fails() -> None:
        with fixed.one_thread():
            seen.extend((told == [1], torch.is_inference_mode_enabled()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen == [True, True]
    assert told == [1, 3]
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("engine", ["closed", "opacus"])
def test_scores_by_each_engine_are_those_of_the_network(engine: str) -> None:
    context = context_of(task="mlp", model={"rounds": 1, "hidden": [3], "engine": engine})
    shape, rng = design("mlp", context), np.random.default_rng(5)
    rows, weights = rows_for(context, rng, 30), weights_for(shape.architecture, rng)
    real = sampled.loaded(shape.architecture, weights)
    given = module_rows(shape, rows)
    inputs = [torch.from_numpy(each) for each in (given.static, given.cells, given.sequence, given.offset)]
    expected = real(*inputs).detach().numpy()
    found = log_odds(shape, weights, rows)
    assert found.dtype == np.int64
    assert found / 2.0**16 == pytest.approx(expected, abs=1e-3)
    query = query_of(context, arrays={"weights": weights})
    assert np.array_equal(scores("mlp", context, query, rows), found)


def test_a_prior_is_added_to_log_odds_by_each_engine() -> None:
    cells = [257, 257, 5, 4]
    prior = np.arange(sum(cells)) << 10
    for engine in ("closed", "opacus"):
        model = {"rounds": 1, "hidden": [2], "engine": engine}
        bare = context_of(task="mlp", model=model)
        context = context_of(task="mlp", model=model | {"prior": prior.tolist()})
        rows = rows_for(context, np.random.default_rng(6), 9)
        starts = np.array([0, 257, 514, 519])
        expected = prior[rows.codes.astype(np.int64) + starts].sum(axis=1)
        weights = weights_for(design("mlp", bare).architecture, np.random.default_rng(7))
        shift = log_odds(design("mlp", context), weights, rows) - log_odds(design("mlp", bare), weights, rows)
        assert np.abs(shift - expected).max() <= 1
        assert rows_of(design("mlp", context), rows).offset.tolist() == (expected * 4).tolist()  # type: ignore[union-attr]
        assert rows_of(design("mlp", bare), rows).offset is None


def test_sequences_reach_the_networks_over_time_alone() -> None:
    context = context_with_periods("lstm", model={"rounds": 1, "hidden": [2], "recurrent": 3})
    shape, rng = design("lstm", context), np.random.default_rng(8)
    rows = rows_for(context, rng, 4)
    assert rows_of(shape, rows).sequence is not None
    assert real_inputs(shape, rows)[1].shape[:2] == (4, 3)
    flat = design("mlp", context_with_periods("mlp", model={"rounds": 1, "hidden": [2]}))
    assert rows_of(flat, rows).sequence is None
    query = Query(task="lstm", round=1, arrays={"weights": weights_for(shape.architecture, rng)})
    assert LSTM.lengths(context, query) == {"gradient": shape.architecture.length}


def test_rows_of_a_module_are_real_numbers() -> None:
    unit = 2.0**18
    static, cells = np.array([[unit, -unit / 2]]), np.array([[3]])
    bare = sampled.real_rows(static, None, cells, None)
    assert bare.static.tolist() == [[1.0, -0.5]]
    assert (bare.cells.tolist(), bare.sequence.shape, bare.offset.tolist()) == ([[3]], (1, 0, 0), [0.0])
    sequence = np.arange(6.0).reshape(3, 1, 2) * unit
    whole = sampled.real_rows(static, sequence, cells, np.array([unit * 2]))
    assert whole.sequence.tolist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    assert (whole.offset.tolist(), len(whole)) == ([2.0], 1)


def test_pieces_are_of_one_size_and_filled_with_nobody() -> None:
    rows = sampled.real_rows(
        np.arange(1.0, 131.0)[:, None] * 2.0**18, None, np.zeros((130, 0), dtype=np.int64), None
    )
    parts = list(rows.pieces())
    assert [part for part, _ in parts] == [slice(0, 128), slice(128, 130)]
    assert {tuple(inputs[0].shape) for _, inputs in parts} == {(128, 1)}
    assert parts[1][1][0][:, 0].tolist() == [129.0, 130.0, *[0.0] * 126]


def test_clipping_by_hand() -> None:
    # Held in units of 2^-15 C, cut towards zero, at most 64 C an entry, a shade shorter than C.
    assert sampled.clipped(np.array([[0.5, -0.25]]), 1.0, 4).tolist() == [[8, -4]]
    assert sampled.clipped(np.array([[0.99, -0.99]]), 2.0, 0).tolist() == [[0, 0]]
    assert sampled.clipped(np.array([[2.0, 0.0]]), 1.0, 4).tolist() == [[15, 0]]
    assert sampled.clipped(np.array([[3.0, 4.0]]), 8.0, 10).tolist() == [[3072, 4096]]
    assert sampled.clipped(np.array([[1000.0, 63.0]]), 1.0, 12).tolist() == [
        [math.trunc(64 / math.hypot(64, 63) * 4096), math.trunc(63 / math.hypot(64, 63) * 4096)]
    ]
    for wrong in (math.nan, math.inf, -math.inf):
        assert sampled.clipped(np.array([[wrong, 0.5], [0.5, 0.0]]), 1.0, 4).tolist() == [[0, 0], [8, 0]]
    assert sampled.clipped(np.array([[2.0**-17, 2.0**-15]]), 1.0, 15).tolist() == [[0, 1]]
