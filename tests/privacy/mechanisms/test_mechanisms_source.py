"""Draws and shares: shapes, what they say they cost, and where their randomness comes from."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np
import pytest
from dp_accounting.dp_event import ComposedDpEvent, GaussianDpEvent

from ringfence.privacy.accounting.slack import round_slacks
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms import gaussian as gaussian_module
from ringfence.privacy.mechanisms.gaussian import draw
from ringfence.privacy.mechanisms.source import NoiseSource, NoisyShare, OsNoise
from ringfence.privacy.waist import BlockPlan, RoundPlan


def block(name: str, scale: float, squared: int = 100, most: int = 1000) -> BlockPlan:
    return BlockPlan(name=name, sensitivity_squared=squared, max_abs=10, share_scale=scale, max_length=most)


PLAN = RoundPlan(name="gram", blocks=(block("a", 50.0), block("b", 9000.0, 10_000)))


@pytest.mark.parametrize("scale", [4.0, 57.5, 4096.0, 30_000.0])
def test_a_draw_has_its_shape_and_price(scale: float) -> None:
    noise = draw(scale, 1000)
    assert noise.values.dtype == np.int64
    assert noise.values.shape == (1000,)
    assert noise.event == GaussianDpEvent(math.sqrt(scale**2 - 4))
    assert 0 < noise.tv_error < 1000 * 18 * 8192 * 2.0**-128
    assert (noise.slack > 0) == (scale > 4096)
    assert np.abs(noise.values).max() < 8 * scale


def test_draws_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_module, "CHUNK", 7)
    for count in (0, 1, 6, 7, 8, 100):
        assert draw(5000.0, count).values.shape == (count,)
    assert np.count_nonzero(draw(500.0, 100).values) > 80  # no piece was left out
    with pytest.raises(BudgetError) as error:
        draw(5.0, -1)
    assert error.value.code == "RF-B003"


def test_randomness_is_the_operating_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    real = os.urandom

    def counted(count: int) -> bytes:
        taken.append(count)
        return real(count)

    monkeypatch.setattr(os, "urandom", counted)
    draw(100.0, 1000)
    assert sum(taken) >= 1000 * 2 + 1000 // 8


def test_seeds_change_nothing() -> None:
    """Two draws after the same seed differ: no generator stands behind them."""
    first: list[int] = []
    second: list[int] = []
    for values in (first, second):
        np.random.seed(7)
        values.extend(draw(1000.0, 50).values.tolist())
    assert first != second


def test_bits_are_as_many_as_asked() -> None:
    for count in (0, 1, 7, 8, 9, 1000):
        found = entropy.bits(count)
        assert found.shape == (count,)
        assert set(found.tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("draw_some", "per_word"),
    [(entropy.words, 1), (entropy.quarters, 4), (entropy.octets, 8), (entropy.bits, 64)],
)
def test_no_more_is_asked_of_the_system_than_is_needed(
    draw_some: Callable[[int], object], per_word: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    monkeypatch.setattr(os, "urandom", counted)
    for count in range(2 * per_word + 1):
        draw_some(count)
        assert asked.pop() == 8 * math.ceil(count / per_word), count


def test_a_share_says_what_it_costs() -> None:
    source: NoiseSource = OsNoise()
    share = source.share(PLAN, {"b": 20, "a": 10}, 3)
    assert isinstance(share, NoisyShare)
    assert {name: len(values) for name, values in share.blocks.items()} == {"a": 10, "b": 20}
    assert share.mu_squared == pytest.approx(100 / (3 * 50.0**2 - 4) + 10_000 / (3 * 9000.0**2 - 4))
    assert (share.epsilon_slack, share.delta_slack) == round_slacks(PLAN, {"a": 10, "b": 20}, 3)
    assert isinstance(share.event, ComposedDpEvent)
    multipliers = [event.noise_multiplier for event in share.event.events]
    assert math.fsum(multiplier**-2 for multiplier in multipliers) == pytest.approx(share.mu_squared)


@pytest.mark.parametrize("length", [0, 1000])
def test_a_block_has_up_to_its_greatest_length_and_may_be_empty(length: int) -> None:
    share = OsNoise().share(PLAN, {"a": length, "b": 10}, 3)
    assert {name: len(values) for name, values in share.blocks.items()} == {"a": length, "b": 10}


def test_a_block_that_no_customer_touches_costs_nothing() -> None:
    plan = RoundPlan(name="r", blocks=(block("a", 50.0, 0),))
    share = OsNoise().share(plan, {"a": 1}, 1)
    assert share.mu_squared == 0
    assert share.event == ComposedDpEvent([GaussianDpEvent(math.inf)])


@pytest.mark.parametrize(
    ("lengths", "honest", "code"),
    [
        ({"a": 1, "b": 1}, 0, "RF-B004"),
        ({"a": 1}, 1, "RF-B005"),
        ({"a": 1, "b": 1, "c": 1}, 1, "RF-B005"),
        ({"a": 1, "b": 1001}, 1, "RF-B006"),
        ({"a": -1, "b": 1}, 1, "RF-B006"),
    ],
)
def test_shares_that_do_not_fit_the_plan(lengths: dict[str, int], honest: int, code: str) -> None:
    with pytest.raises(BudgetError) as error:
        OsNoise().share(PLAN, lengths, honest)
    assert error.value.code == code
    assert "{" not in error.value.sentence()
