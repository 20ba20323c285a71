"""Samples: everyone by the whole 64 bits of the rate, however few of them decide."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms.sampling import poisson_sample

WORD = 1 << 64


@given(
    rate=st.fractions(Fraction(1, 2**60), 1).filter(lambda rate: rate < 1),
    numbers=st.lists(st.integers(0, WORD - 1), max_size=20),
    near=st.lists(st.integers(-300, 300), max_size=10),
)
def test_a_customer_is_in_where_a_number_of_64_bits_is_below_the_rate(
    rate: Fraction, numbers: list[int], near: list[int]
) -> None:
    """Numbers are handed out as the eight bits in front, and the rest of those that these leave open."""
    limit = (rate.numerator << 64) // rate.denominator
    numbers = numbers + [min(max(0, limit + each * (1 << 8)), WORD - 1) for each in near]
    first = np.array([number >> 56 for number in numbers], dtype=np.uint8)
    rest = [(number << 8) % WORD for number in numbers if number >> 56 == limit >> 56]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy, "octets", lambda _: first)
        patch.setattr(entropy, "words", lambda count: np.array(rest, dtype=np.uint64)[:count])
        taken = poisson_sample(len(numbers), rate)
    # What is drawn beyond the eight bits has 64 of its own: the limit is a multiple of 2^-64, so 8 of them
    # are idle.
    expected = [
        number >> 56 < limit >> 56
        or (number >> 56 == limit >> 56 and (number << 8) % WORD < (limit << 8) % WORD)
        for number in numbers
    ]
    assert taken.tolist() == expected
    assert taken.dtype == np.bool_


@pytest.mark.parametrize(
    "rate", [Fraction(1, 20), Fraction(1, 3), Fraction(255, 256), Fraction(1, 2**40), Fraction(1, 2)]
)
def test_the_probability_is_the_rate_rounded_down_to_the_last_of_64_bits(rate: Fraction) -> None:
    """Counted over all first bytes: a whole one is in, out, or in with what is left."""
    limit = (rate.numerator << 64) // rate.denominator
    asked = []

    def none_below(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        asked.append(count)
        return np.full(count, WORD - 1, dtype=np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy, "octets", lambda _: np.arange(256, dtype=np.uint8))
        patch.setattr(entropy, "words", none_below)
        sure = int(poisson_sample(256, rate).sum())
    assert asked == [1]
    rest = (limit << 8) % WORD
    assert Fraction(sure, 256) + Fraction(rest, 256 * WORD) == Fraction(limit, WORD)
    assert 0 <= rate - Fraction(limit, WORD) < Fraction(1, WORD)


def test_a_sample_costs_little_more_than_a_byte_a_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    real = os.urandom
    monkeypatch.setattr(os, "urandom", lambda count: (taken.append(count), real(count))[1])
    poisson_sample(100_000, Fraction(1, 20))
    # 390 of 100,000 are left open on average, with a deviation of 20; 600 is ten of them.
    assert 100_000 <= sum(taken) < 100_000 + 8 * 600


def test_a_sample_of_all_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", None)
    assert poisson_sample(5, Fraction(1)).tolist() == [True] * 5


def test_sizes_are_those_of_independent_customers() -> None:
    """A mean of 500 samples of 1,000 at 1/20 is off by 6.2 of its deviations once in 1e9."""
    sizes = [int(poisson_sample(1000, Fraction(1, 20)).sum()) for _ in range(500)]
    assert abs(sum(sizes) / 500 - 50) < 6.2 * (1000 * 0.05 * 0.95 / 500) ** 0.5
    assert poisson_sample(0, Fraction(1, 20)).shape == (0,)


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1, 2), Fraction(3, 2)])
def test_a_rate_that_is_none_is_refused(rate: Fraction) -> None:
    with pytest.raises(BudgetError) as error:
        poisson_sample(5, rate)
    assert error.value.code == "RF-B220"
