"""The middle of visible uploads, on the scale of their sum: what wrong holders can and cannot move."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import Combination
from ringfence.server.combining import combined

LARGE = 2**40
ROBUST = ("median", "trimmed-mean")


def vectors(*entries: list[int]) -> list[Any]:
    return [np.array(each, dtype=np.int64) for each in entries]


def test_a_mean_is_the_sum() -> None:
    assert combined(vectors([1, -2], [3, 4], [-9, 0]), Combination()).tolist() == [-5, 2]


@pytest.mark.parametrize(
    ("rule", "wrong", "expected"),
    [
        ("median", 1, [15, -5]),  # 5 x 3, 5 x -1
        ("trimmed-mean", 1, [20, -5]),  # 5 x (2 + 3 + 7) / 3, 5 x (-1 - 1 - 1) / 3
        ("trimmed-mean", 2, [15, -5]),
    ],
)
def test_by_hand(rule: Any, wrong: int, expected: list[int]) -> None:
    five = vectors([1, -1], [2, -1], [3, -1], [7, -1], [10**9, -(10**9)])
    assert combined(five, Combination(rule=rule, wrong=wrong)).tolist() == expected


def test_an_even_number_has_the_middle_of_two_and_halves_go_up() -> None:
    assert combined(vectors([1], [2], [4], [9]), Combination(rule="median", wrong=1)).tolist() == [12]
    # 5 x (0 + 0 + 1) / 3 = 5/3 and 5 x -1/3 = -5/3; then 7 x 1/2 and 7 x -1/2.
    assert combined(
        vectors([0], [0], [1], [9], [-9]), Combination(rule="trimmed-mean", wrong=1)
    ).tolist() == [2]
    assert combined(
        vectors([0], [0], [-1], [9], [-9]), Combination(rule="trimmed-mean", wrong=1)
    ).tolist() == [-2]
    seven = [[9]] * 2 + [[-9]] * 2
    assert combined(
        vectors([0], [0], [1], *seven[:2], *seven[2:]), Combination(rule="trimmed-mean", wrong=2)
    ).tolist() == [2]


@given(st.data())
def test_it_is_exact_and_wrong_holders_never_push_it_past_honest_ones(data: st.DataObject) -> None:
    """Holds with f of 2 f + 1 and more; without trimming, an entry of 2^40 would push any of them past."""
    wrong = data.draw(st.integers(1, 3))
    entry = st.integers(-LARGE, LARGE)
    honest = data.draw(st.lists(entry, min_size=wrong + 1, max_size=9))
    bad = data.draw(st.lists(entry, min_size=wrong, max_size=wrong))
    everybody = [*honest, *bad]
    for rule in ROBUST:
        found = int(
            combined(vectors(*([each] for each in everybody)), Combination(rule=rule, wrong=wrong))[0]
        )  # type: ignore[arg-type]
        ordered = sorted(everybody)
        dropped = wrong if rule == "trimmed-mean" else (len(ordered) - 1) // 2
        kept = ordered[dropped : len(ordered) - dropped]
        assert abs(found - len(ordered) * Fraction(sum(kept), len(kept))) <= Fraction(1, 2)
        assert len(ordered) * min(honest) <= found <= len(ordered) * max(honest)


@pytest.mark.parametrize("rule", ROBUST)
def test_too_few_are_refused(rule: Any) -> None:
    combined(vectors([1], [2], [3]), Combination(rule=rule, wrong=1))
    with pytest.raises(WaistError, match="RF-W205"):
        combined(vectors([1], [2]), Combination(rule=rule, wrong=1))
