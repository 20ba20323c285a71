"""The tables of the discrete Gaussian, threshold by threshold, and how large scales are split."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.word_kit import Fed

from ringfence.privacy.accounting.noise_laws import (
    CONVOLUTION_SLACK,
    LARGEST_SCALE,
    LARGEST_TABLE,
    THRESHOLD_BITS,
    gaussian_law,
    table_entries,
)
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms.gaussian import gaussian_weights
from ringfence.privacy.mechanisms.table import MagnitudeTable, build_table


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    """So many are computed with here; other files set others in the same process."""
    with mp.workdps(110):
        yield


WORDS = 1 << 32
HALF = 1 << 16
REST = THRESHOLD_BITS - 32


def table_of(scale: float) -> MagnitudeTable:
    return build_table(gaussian_weights(scale, table_entries(scale)))


def answers(table: MagnitudeTable, words: npt.NDArray[np.int64]) -> npt.NDArray[np.integer[Any]]:
    """Magnitudes of numbers that begin with these 32-bit words."""
    lead = (words >> 16).astype(np.uint16)
    low = (words & (HALF - 1)).astype(np.uint16)[table.guide[lead] < 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy, "quarters", lambda count: low if count == len(low) else low[:0])
        return table.magnitudes(lead)


def exact_magnitudes(scale: float, reach: int) -> list[mp.mpf]:
    """P(|X| = k), k = 0..reach, to a hundred digits."""
    weights = [mp.exp(-(mp.mpf(k) ** 2) / (2 * mp.mpf(scale) ** 2)) for k in range(reach + 1)]
    total = weights[0] + 2 * mp.fsum(weights[1:])
    return [weights[0] / total, *(2 * weight / total for weight in weights[1:])]


@pytest.mark.parametrize("scale", [4.0, 5.3, 21.7])
def test_every_threshold_is_exact_to_the_last_bit(scale: float) -> None:
    table = table_of(scale)
    exact = exact_magnitudes(scale, table_entries(scale) + 40)
    running = mp.mpf(0)
    for threshold, mass in zip(table.thresholds, exact, strict=False):
        running += mass
        assert abs(mp.mpf(threshold) - running * mp.mpf(2) ** THRESHOLD_BITS) <= 1


@pytest.mark.parametrize("scale", [4.0, 21.7])
def test_the_table_is_within_the_stated_total_variation(scale: float) -> None:
    table = table_of(scale)
    steps = np.diff(np.array([0, *table.thresholds, 1 << THRESHOLD_BITS], dtype=object))
    exact = exact_magnitudes(scale, table_entries(scale) + 200)
    drawn = [mp.mpf(int(step)) / mp.mpf(2) ** THRESHOLD_BITS for step in steps]
    drawn += [mp.mpf(0)] * (len(exact) - len(drawn))
    distance = mp.fsum(abs(a - b) for a, b in zip(exact, drawn, strict=True)) / 2
    stated = gaussian_law(scale).tv_error
    assert distance <= stated
    assert stated <= table_entries(scale) * 2.0**-128


TABLE = table_of(6.5)


@given(
    st.lists(st.one_of(st.integers(0, WORDS - 1), st.sampled_from(range(len(TABLE.thresholds)))), max_size=50)
)
def test_the_guide_answers_as_a_plain_search(items: list[int]) -> None:
    """Small numbers stand for words just beside a threshold."""
    lead = [threshold >> REST for threshold in TABLE.thresholds]
    chosen = [item if item >= len(lead) else (lead[item] + item % 3 - 1) % WORDS for item in items]
    chosen = [word for word in chosen if word not in lead]  # ties are tested by themselves
    found = answers(TABLE, np.array(chosen, dtype=np.int64))
    assert found.tolist() == [bisect_right(TABLE.thresholds, word << REST) for word in chosen]


def test_the_guide_and_its_steps_answer_as_a_plain_search_in_every_cell() -> None:
    """Every cell of a table with cells of none, one and many thresholds, at its ends and beside each
    threshold.
    """
    table = table_of(700.0)
    lead = np.unique([threshold >> REST for threshold in table.thresholds])
    cells = np.arange(1 << 16, dtype=np.int64) << 16
    words = np.concatenate([cells, cells + 0x7FFF, cells + 0xFFFF, lead - 1, lead + 1])
    words = np.setdiff1d(words[words < WORDS], lead)
    per_cell = np.bincount(lead >> 16, minlength=1 << 16)
    assert {0, 1, 2, 3} <= set(per_cell.tolist())
    exact = np.searchsorted(lead, words, side="right")
    first_of = np.searchsorted([threshold >> REST for threshold in table.thresholds], lead, side="right")
    plain = np.concatenate([[0], first_of])[exact]
    np.testing.assert_array_equal(answers(table, words), plain)
    # Few are searched for, many stepped to: the same answers.
    few = np.random.default_rng(1).permutation(len(words))[:20_000].reshape(-1, 400)
    for some in few:
        np.testing.assert_array_equal(answers(table, words[some]), plain[some])


@pytest.mark.parametrize(("word", "cell"), [(0x5FFFF, 5), (0x60000, 6), (0x58000, 5), (0, 0)])
def test_a_cell_is_left_to_the_search_where_a_threshold_lies_in_it_and_nowhere_else(
    word: int, cell: int
) -> None:
    """Its first and its last word are the cell's own, not the one's beside it."""
    first, unit = (word << REST) + 5, 1 << (384 - THRESHOLD_BITS)
    table = build_table([first * unit, (1 << 384) - first * unit])
    assert table.thresholds == (first,)
    assert table.leading.tolist() == [word, WORDS]
    guide = np.where(np.arange(1 << 16) <= cell, 0, 1)
    guide[cell] = ~0
    np.testing.assert_array_equal(table.guide, guide)


@pytest.mark.parametrize("index", [0, 1, 7, 30])
@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_tie_is_decided_by_all_bits(monkeypatch: pytest.MonkeyPatch, index: int, step: int) -> None:
    threshold = TABLE.thresholds[index]
    asked = []

    def further(count: int) -> npt.NDArray[np.uint64]:
        asked.append(count)
        # 160 bits from the front of three words; the last 32 do not matter.
        rest = ((threshold + step) & ((1 << REST) - 1)) << 32 | 0xDEADBEEF
        return np.frombuffer(rest.to_bytes(24, "big"), dtype=np.uint64)

    monkeypatch.setattr(entropy, "words", further)
    word = np.array([threshold >> REST])
    assert answers(TABLE, word).tolist() == [index + (step >= 0)]
    assert asked == [3]


@pytest.mark.parametrize("scale", [4.0, 4096.0])
def test_the_last_words_belong_to_the_tail(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """Many thresholds share the largest leading word; all bits set is the largest magnitude."""
    table = table_of(scale)
    monkeypatch.setattr(entropy, "words", lambda count: np.full(count, (1 << 64) - 1, dtype=np.uint64))
    assert answers(table, np.array([WORDS - 1])).tolist() == [len(table.thresholds)]
    assert answers(table, np.array([0])).tolist() == [0]


def test_ties_among_thresholds_that_share_their_leading_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the tail one leading word stands before many thresholds; the rest of the bits finds the one."""
    index = len(TABLE.thresholds) - 20
    threshold = TABLE.thresholds[index]
    assert threshold >> REST == TABLE.thresholds[index - 1] >> REST == WORDS - 1
    for step in (-1, 0):
        rest = ((threshold + step) & ((1 << REST) - 1)) << 32
        monkeypatch.setattr(
            entropy, "words", lambda _, rest=rest: np.frombuffer(rest.to_bytes(24, "big"), dtype=np.uint64)
        )
        found = answers(TABLE, np.array([WORDS - 1]))
        assert found.tolist() == [index + (step >= 0)]


def test_a_draw_asks_for_further_bits_where_the_first_leave_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two numbers with the same 16 bits in front, on either side of a threshold of the cell."""
    index = 5
    lead = TABLE.thresholds[index] >> REST
    monkeypatch.setattr(entropy, "quarters", Fed([(TABLE, lead - 1), (TABLE, lead + 1), (TABLE, 0)]))
    assert (lead - 1) >> 16 == (lead + 1) >> 16
    assert TABLE.guide[lead >> 16] < 0 <= TABLE.guide[0]
    assert TABLE.magnitudes(entropy.quarters(3)).tolist() == [index, index + 1, 0]


@pytest.mark.parametrize(("scale", "width"), [(1700.0, 2), (1900.0, 4)])
def test_a_guide_is_as_wide_as_its_numbers(monkeypatch: pytest.MonkeyPatch, scale: float, width: int) -> None:
    """Wide enough for the last magnitude, which no cell but the last one holds."""
    table = table_of(scale)
    assert table.guide.itemsize == width
    assert np.all(np.diff(np.where(table.guide < 0, ~table.guide.astype(np.int64), table.guide)) >= 0)
    monkeypatch.setattr(entropy, "words", lambda count: np.full(count, (1 << 64) - 1, dtype=np.uint64))
    assert answers(table, np.array([WORDS - 1])).tolist() == [len(table.thresholds)]


def test_short_words_are_words_cut_up() -> None:
    for piece, kind in ((entropy.quarters, np.uint16), (entropy.octets, np.uint8)):
        for count in (0, 1, 2, 3, 4, 7, 9):
            assert piece(count).shape == (count,)
            assert piece(count).dtype == kind
        high = piece(100_000) >= (1 << (8 * kind().itemsize - 1))
        assert 0.48 < high.mean() < 0.52  # 12 deviations


@settings(max_examples=300)
@given(st.floats(LARGEST_TABLE, LARGEST_SCALE, exclude_min=True))
def test_large_scales_are_split_within_the_theorem(scale: float) -> None:
    inner, outer = gaussian_law(scale).parts
    factor = outer.factor
    assert inner.factor == 1
    assert inner.scale >= 4 * factor
    assert 4 <= outer.scale <= LARGEST_TABLE
    assert inner.scale <= LARGEST_TABLE
    total = Fraction(inner.scale) ** 2 + factor**2 * Fraction(outer.scale) ** 2
    assert 0 <= total / Fraction(scale) ** 2 - 1 < Fraction(1, 10**12)


def test_the_convolution_is_within_its_slack() -> None:
    """`X1 + m X2` at the edge of the theorem, s1 = 4 m and s2 = 4, against the discrete Gaussian of the
    sum.
    """
    factor, inner, outer = 3, 12, 4
    square = mp.mpf(inner**2 + factor**2 * outer**2)

    def both(x: int) -> mp.mpf:
        return mp.fsum(
            mp.exp(-mp.mpf((x - factor * j) ** 2) / (2 * inner**2) - mp.mpf(j * j) / (2 * outer**2))
            for j in range(-100, 101)
        )

    ratios = [both(x) / mp.exp(-mp.mpf(x * x) / (2 * square)) for x in range(-30, 31)]
    spread = mp.log(max(ratios) / min(ratios))
    assert CONVOLUTION_SLACK / 10 < spread <= CONVOLUTION_SLACK


@pytest.mark.parametrize(
    ("scale", "code"),
    [
        (3.999, "RF-B001"),
        (0.0, "RF-B001"),
        (-8.0, "RF-B001"),
        (math.nan, "RF-B001"),
        (math.inf, "RF-B001"),
        (LARGEST_SCALE * 1.01, "RF-B002"),
    ],
)
def test_scales_that_cannot_be_drawn(scale: float, code: str) -> None:
    with pytest.raises(BudgetError) as error:
        gaussian_law(scale)
    assert error.value.code == code
    assert error.value.sentence()
