"""Word sizes: no honest sum can wrap, and a sum that cannot be honest is called corrupt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.wordsize import check_range, choose_word_bits, largest_noise, sum_bound
from ringfence.privacy.waist import BlockPlan, RoundPlan, UploadBlock


def block(max_abs: int, scale: float = 16.0, name: str = "b") -> BlockPlan:
    return BlockPlan(name=name, sensitivity_squared=1, max_abs=max_abs, share_scale=scale, max_length=10)


def plan(*blocks: BlockPlan) -> RoundPlan:
    return RoundPlan(name="round", blocks=blocks)


def test_the_bound_is_written_out() -> None:
    # 2 holders of 100 and 200 customers, entries up to 7, noise of 2 * 40 * 16.
    assert sum_bound(plan(block(7)), [100, 200]) == 300 * 7 + 2 * 640
    assert sum_bound(plan(block(7), block(1, 1000.0, "c")), [100, 200]) == 300 + 2 * 40_000


def test_the_boundary_between_word_sizes_is_exact() -> None:
    # max_abs + 40 < 2^31 for one customer, one holder and scale 1.
    assert choose_word_bits(plan(block((1 << 31) - 41, 1.0)), [1]) == 32
    assert choose_word_bits(plan(block((1 << 31) - 40, 1.0)), [1]) == 64
    assert choose_word_bits(plan(block((1 << 63) - 41, 1.0)), [1]) == 64
    with pytest.raises(WaistError, match="RF-W157"):
        choose_word_bits(plan(block((1 << 63) - 40, 1.0)), [1])


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1 << 24), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.floats(0, 1 << 24)), min_size=1, max_size=4),
)
def test_the_worst_honest_sum_fits(customers: list[int], blocks: list[tuple[int, float]]) -> None:
    chosen = plan(*(block(max_abs, scale, str(i)) for i, (max_abs, scale) in enumerate(blocks)))
    bits = choose_word_bits(chosen, customers)
    for part in chosen.blocks:
        worst = sum(n * part.max_abs + largest_noise(part) for n in customers)
        assert worst <= sum_bound(chosen, customers) < 1 << (bits - 1)
        assert largest_noise(part) >= 40 * part.share_scale


@pytest.mark.parametrize("customers", [[], [10, -1]])
def test_undeclared_customers_are_refused(customers: list[int]) -> None:
    with pytest.raises(WaistError, match="RF-W156"):
        choose_word_bits(plan(block(1)), customers)


def test_a_round_without_blocks_is_refused() -> None:
    with pytest.raises(WaistError, match="RF-W156"):
        choose_word_bits(plan(), [1])


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -1.0])
def test_an_unusable_noise_scale_is_refused(scale: float) -> None:
    with pytest.raises(WaistError, match="RF-W155"):
        choose_word_bits(plan(block(1, scale)), [1])


def test_a_sum_in_range_is_returned() -> None:
    for entries in ([], [10, -10, 0]):
        total = np.array(entries, dtype=np.int64)
        assert check_range(total, 10) is total


@pytest.mark.parametrize("entry", [11, -11, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_a_sum_out_of_range_is_corrupt(entry: int) -> None:
    with pytest.raises(WaistError, match="RF-W158"):
        check_range(np.array([0, entry], dtype=np.int64), 10)


def test_after_local_steps_what_is_uploaded_is_bounded_and_not_the_noise() -> None:
    """An upload is cut to its largest value; each holder sends one, whatever its customers."""
    uploads = tuple(
        UploadBlock(name=name, max_abs=most, max_length=4) for name, most in (("a", 9), ("b", 500))
    )
    local = RoundPlan(name="local", blocks=(block(7),), local_steps=3, uploads=uploads)
    assert sum_bound(local, [100, 200]) == 2 * 500
    assert sum_bound(local, [0]) == 500
    assert sum_bound(plan(block(7)), [0]) == 640
    most = RoundPlan(
        name="local",
        blocks=(block(7),),
        local_steps=1,
        uploads=(UploadBlock(name="a", max_abs=1 << 30, max_length=4),),
    )
    assert [choose_word_bits(most, [1] * holders) for holders in (1, 2)] == [32, 64]
