"""The discrete Laplace: its tables against the exact law, its restarts and rejections word by word, its
price.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest
from dp_accounting.dp_event import (
    ComposedDpEvent,
    DiscreteLaplaceDpEvent,
    LaplaceDpEvent,
    SelfComposedDpEvent,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.word_kit import Fed

from ringfence.privacy.accounting.noise_laws import (
    LARGEST_SCALE,
    SMALLEST_LAPLACE,
    THRESHOLD_BITS,
    LaplaceLaw,
    laplace_law,
)
from ringfence.privacy.accounting.pld import epsilon_of_plan
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms import laplace as laplace_module
from ringfence.privacy.mechanisms.laplace import draw, draw_values, high_table, low_table
from ringfence.privacy.mechanisms.table import MagnitudeTable


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    """So many are computed with here; other files set others in the same process."""
    with mp.workdps(110):
        yield


SCALES = [0.125, 1.0, 21.7, 1500.5]


def masses(table: MagnitudeTable) -> list[mp.mpf]:
    """What a table really draws, exactly."""
    ends = [0, *table.thresholds, 1 << THRESHOLD_BITS]
    return [mp.mpf(b - a) / (1 << THRESHOLD_BITS) for a, b in itertools.pairwise(ends)]


def ratio(scale: Fraction) -> mp.mpf:
    return mp.exp(-mp.mpf(scale.denominator) / scale.numerator)


def high(law: LaplaceLaw) -> MagnitudeTable:
    return high_table(law.scale / law.base, law.entries)


@pytest.mark.parametrize("scale", SCALES)
def test_every_threshold_is_exact_to_the_last_bit(scale: float) -> None:
    law = laplace_law(scale)
    r, unit = ratio(law.scale), mp.mpf(2) ** THRESHOLD_BITS
    thresholds = high(law).thresholds
    assert len(thresholds) == law.entries
    for k, threshold in enumerate(thresholds):
        assert abs(threshold - (1 - r ** (law.base * (k + 1))) * unit) <= 1
    if law.base > 1:
        low = low_table(law.scale, law.base).thresholds
        assert len(low) == law.base - 1
        for k, threshold in enumerate(low):
            assert abs(threshold - (1 - r ** (k + 1)) / (1 - r**law.base) * unit) <= 1


@pytest.mark.parametrize("scale", [0.125, 3.3, 1100.0])
def test_a_draw_is_within_the_stated_total_variation(scale: float) -> None:
    """The law of the whole sampler, put together from its tables: digits, restart, sign, rejection."""
    law = laplace_law(scale)
    r = ratio(law.scale)
    first = masses(high(law))
    second = masses(low_table(law.scale, law.base)) if law.base > 1 else [mp.mpf(1)]
    distance = mp.mpf(0)
    zero = first[0] * second[0]
    for k, each in enumerate(first[:-1]):
        for j, other in enumerate(second):
            x = law.base * k + j
            drawn = each * other / (2 - zero) * (1 if x == 0 else 2)
            exact = (1 - r) / (1 + r) * r**x * (1 if x == 0 else 2)
            distance += abs(drawn - exact)
    # Beyond the table the draw starts again: relative errors add up over at most 30 restarts.
    left = mp.exp(-8)
    assert abs(first[-1] - r ** (law.base * law.entries)) < law.entries * mp.mpf(2) ** -THRESHOLD_BITS
    assert distance / 2 / (1 - left) + 30 * law.entries * mp.mpf(2) ** -THRESHOLD_BITS * left <= law.tv_error
    assert 0 < law.tv_error < 1e-50


@settings(max_examples=200)
@given(st.floats(SMALLEST_LAPLACE, LARGEST_SCALE))
def test_tables_of_every_scale_are_short_and_seldom_left(scale: float) -> None:
    law = laplace_law(scale)
    assert law.scale == Fraction(scale)
    assert 1 <= law.base <= 1449
    assert 1 <= law.entries <= 11_600
    assert law.entries * law.base >= 8 * law.scale


def test_digits_of_a_geometric_are_independent() -> None:
    """`r**(a + m b)` factorises: the identity that large scales rest on, in exact rationals."""
    r, base = Fraction(3, 5), 4
    for b, a in itertools.product(range(5), range(base)):
        low = r**a * (1 - r) / (1 - r**base)
        beyond = (r**base) ** b * (1 - r**base)
        assert low * beyond == (1 - r) * r ** (a + base * b)


def word_of(table: MagnitudeTable, magnitude: int) -> int:
    """A word well inside the cell of a magnitude."""
    ends = [0, *table.thresholds, 1 << THRESHOLD_BITS]
    return (ends[magnitude] + ends[magnitude + 1]) >> (THRESHOLD_BITS - 31)


def signs(*bits: int) -> Callable[[int], npt.NDArray[np.uint8]]:
    left: Iterator[int] = iter(bits)
    return lambda count: np.array([next(left) for _ in range(count)], dtype=np.uint8)


def test_beyond_the_table_a_draw_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    law = laplace_law(2.0)
    table = high(law)
    end = law.entries
    monkeypatch.setattr(
        entropy, "quarters", Fed([(table, word_of(table, k)) for k in (3, end, 1, end, 5, end, 2)])
    )
    monkeypatch.setattr(entropy, "bits", signs(0, 1, 0, 1))
    # Second and fourth go beyond and draw 5 and the end again; the fourth then draws 2.
    assert draw_values(law, 4).tolist() == [3, -(end + 5), 1, -(2 * end + 2)]


def test_a_negative_zero_is_drawn_anew_and_a_positive_one_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    law = laplace_law(2.0)
    table = high(law)
    monkeypatch.setattr(entropy, "quarters", Fed([(table, word_of(table, k)) for k in (0, 0, 7, 0, 4)]))
    monkeypatch.setattr(entropy, "bits", signs(0, 1, 1, 1, 0))
    # The second is a negative zero, is one again, and becomes 4 at last.
    assert draw_values(law, 3).tolist() == [0, 4, -7]


def test_the_digits_of_a_large_scale_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    law = laplace_law(1600.0)
    assert law.base == 40
    low = low_table(law.scale, law.base)
    wanted = [(high(law), 0), (high(law), 5), (low, 39), (low, 0)]
    monkeypatch.setattr(entropy, "quarters", Fed([(table, word_of(table, k)) for table, k in wanted]))
    monkeypatch.setattr(entropy, "bits", signs(1, 0))
    assert draw_values(law, 2).tolist() == [-39, 200]


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_tie_is_decided_by_all_bits(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    law = laplace_law(6.5)
    number = high(law).thresholds[4] + step
    rest = (number & ((1 << 160) - 1)) << 32
    monkeypatch.setattr(entropy, "quarters", Fed([(high(law), number >> 160)]))
    monkeypatch.setattr(
        entropy, "words", lambda _count: np.frombuffer(rest.to_bytes(24, "big"), dtype=np.uint64)
    )
    monkeypatch.setattr(entropy, "bits", signs(0))
    assert draw_values(law, 1).tolist() == [4 + (step >= 0)]


@pytest.mark.parametrize("scale", [0.125, 57.5, 1024.0, 1024.5, LARGEST_SCALE])
def test_a_draw_has_its_shape_and_price(scale: float) -> None:
    noise = draw(scale, 500, sensitivity=3)
    assert noise.values.dtype == np.int64
    assert noise.values.shape == (500,)
    assert noise.epsilon == Fraction(3) / Fraction(scale)
    assert isinstance(noise.event, DiscreteLaplaceDpEvent)
    assert noise.event.sensitivity == 3
    parameter = noise.event.noise_parameter
    assert (
        Fraction(math.nextafter(parameter, 0.0)) * Fraction(scale)
        < 1
        <= Fraction(parameter) * Fraction(scale)
    )
    assert 0 < noise.tv_error < 500 * 4 * 20_000 * 2.0**-192


def test_the_price_is_of_the_scale_as_it_is_given() -> None:
    """A rational stays itself; its event is rounded towards the dearer side."""
    noise = draw(Fraction(49, 3), 1)
    assert noise.epsilon == Fraction(3, 49)
    assert isinstance(noise.event, DiscreteLaplaceDpEvent)
    assert Fraction(noise.event.noise_parameter) >= Fraction(3, 49)


def test_draws_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laplace_module, "CHUNK", 7)
    for count in (0, 1, 6, 7, 8, 100):
        assert draw(5.0, count).values.shape == (count,)
    assert np.count_nonzero(draw(5000.0, 100).values) > 80  # no piece was left out
    with pytest.raises(BudgetError) as error:
        draw(5.0, -1)
    assert error.value.code == "RF-B003"


@pytest.mark.parametrize(
    ("scale", "code"),
    [
        (0.1249, "RF-B007"),
        (0.0, "RF-B007"),
        (-8.0, "RF-B007"),
        (math.nan, "RF-B007"),
        (math.inf, "RF-B007"),
        (LARGEST_SCALE * 1.01, "RF-B008"),
    ],
)
def test_scales_that_cannot_be_drawn(scale: float, code: str) -> None:
    with pytest.raises(BudgetError) as error:
        draw(scale, 1)
    assert error.value.code == code
    assert "{" not in error.value.sentence()


@pytest.mark.parametrize("honest", [0, 2, 10])
def test_there_are_no_shares(honest: int) -> None:
    with pytest.raises(BudgetError) as error:
        draw(50.0, 10, honest=honest)
    assert error.value.code == "RF-B009"
    assert str(honest) in error.value.sentence()


@pytest.mark.parametrize("sensitivity", [0, -1, 1.5, True])
def test_sensitivities_that_are_none(sensitivity: int) -> None:
    with pytest.raises(BudgetError) as error:
        draw(50.0, 10, sensitivity=sensitivity)
    assert error.value.code == "RF-B010"


def deltas(shifts: tuple[int, ...], scale: float, losses: npt.NDArray[np.float64]) -> list[float]:
    """The exact privacy profile of discrete Laplace noise whose coordinates are shifted so."""
    profile: dict[int, float] = {0: 1.0}
    for shift in shifts:
        # Loss `(|x - shift| - |x|) / t` in steps of 1/t; both ends hold a whole tail.
        r = math.exp(-1 / scale)
        law = {-shift: r**shift / (1 + r)} | {shift: 1 / (1 + r)}
        for x in range(1, shift):
            law[shift - 2 * x] = (1 - r) / (1 + r) * r**x
        mixed: dict[int, float] = {}
        for (a, p), (b, q) in itertools.product(profile.items(), law.items()):
            mixed[a + b] = mixed.get(a + b, 0.0) + p * q
        profile = mixed
    return [
        math.fsum(p * -math.expm1(loss - step / scale) for step, p in profile.items() if step / scale > loss)
        for loss in losses
    ]


@pytest.mark.parametrize("scale", [0.5, 2.0, 9.0])
def test_the_event_covers_every_way_to_spread_a_change(scale: float) -> None:
    """A vector that changes by D in L1 leaks no more than one entry that changes by D, which the event
    prices.
    """
    whole = 6
    losses = np.linspace(0, whole / scale, 61)
    alone = np.array(deltas((whole,), scale, losses))
    for shifts in ((1, 5), (2, 4), (3, 3), (2, 2, 2), (1, 2, 3), (1,) * 6):
        spread = np.array(deltas(shifts, scale, losses))
        assert (spread <= alone + 1e-15).all()
        assert spread.max() < alone.max()


def test_the_event_composes_soundly_where_the_continuous_one_does_not() -> None:
    scale, delta = 2.0, 0.2
    losses = np.linspace(0, 0.5, 20_001)
    exact = np.array(deltas((1,), scale, losses))
    epsilon = float(losses[np.argmax(exact <= delta)])
    claimed = epsilon_of_plan(draw(scale, 1).event, delta)
    assert epsilon - 1e-4 <= claimed <= epsilon + 1e-3
    assert epsilon_of_plan(LaplaceDpEvent(scale), delta) < epsilon - 0.01
    twice = epsilon_of_plan(SelfComposedDpEvent(draw(scale, 1).event, 2), 1e-9)
    assert 2 * 0.5 - 1e-3 <= twice <= 2 * 0.5 + 1e-3
    mixed = ComposedDpEvent([draw(scale, 1).event, draw(4.0, 1).event])
    assert epsilon_of_plan(mixed, 1e-9) == pytest.approx(0.75, abs=1e-3)
