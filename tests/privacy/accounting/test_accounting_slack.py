"""Slack of drawing and sharing noise: the stated formula, for every entry and every attempt."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from ringfence.privacy.accounting.noise_laws import gaussian_law, laplace_law
from ringfence.privacy.accounting.slack import block_slacks, plan_slacks, round_slacks
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

BLOCK = BlockPlan(name="b", sensitivity_squared=1, max_abs=1, share_scale=4.0, max_length=7)
COHORT = BlockPlan(name="cohort", sensitivity_squared=1, max_abs=1, share_scale=9.0, max_length=1)
PLAN = StudyPlan(honest=3, cohort=COHORT, rounds=(RoundPlan(name="r", blocks=(BLOCK,)),), max_attempts=1)


def test_a_block_pays_twice_for_every_entry() -> None:
    """2 d (tau + 1e-33), tau = 10 sum_k exp(-2 pi^2 s^2 k / (k + 1)) (Kairouz, Liu, Steinke 2021)."""
    tau = 10 * sum(math.exp(-2 * math.pi**2 * 16.0 * k / (k + 1)) for k in (1, 2))
    slack, _ = block_slacks(BLOCK, 5, 3)
    assert slack >= 2 * 5 * (tau + 1e-33)
    assert slack == pytest.approx(2 * 5 * (tau + 1e-33), rel=1e-6)


def test_every_attempt_of_every_round_is_counted_and_the_cohort_once() -> None:
    cohort, _ = block_slacks(COHORT, 1, 1)
    one, _ = round_slacks(PLAN.rounds[0], {"b": 7}, 3)
    for attempts in (1, 2, 5):
        total, _ = plan_slacks(replace(PLAN, max_attempts=attempts))
        assert total == pytest.approx(cohort + attempts * one, rel=1e-9)


def test_every_share_of_every_entry_may_be_off_by_its_table() -> None:
    """73 thresholds at scale 4, each off by less than 2**-192; steps inside a holder are releases."""
    one = 73 * 2.0**-192
    assert block_slacks(BLOCK, 5, 3)[1] == 5 * 3 * one
    assert block_slacks(BLOCK, 1, 1)[0] == 2 * 1e-33, "a share alone is the discrete Gaussian itself"
    other = replace(BLOCK, name="c", share_scale=9.0)
    both = RoundPlan(name="r", blocks=(BLOCK, other), local_steps=3)
    nine = 163 * 2.0**-192
    epsilon, variation = round_slacks(both, {"b": 7, "c": 2}, 1)
    assert variation == pytest.approx(3 * (7 * one + 2 * nine), rel=1e-12, abs=0)
    assert epsilon == pytest.approx(3 * 2 * (7 + 2) * 1e-33, rel=1e-12, abs=0)
    plan = replace(PLAN, rounds=(replace(both, local_steps=0), PLAN.rounds[0]), max_attempts=4)
    whole = nine + 4 * 3 * (7 * one + 7 * nine + 7 * one)
    assert plan_slacks(plan)[1] == pytest.approx(whole, rel=1e-12, abs=0)


@pytest.mark.parametrize(("scale", "entries"), [(4.0, 73), (4.01, 74), (4096.0, 73_729)])
def test_a_scale_up_to_the_largest_table_is_drawn_from_one(scale: float, entries: int) -> None:
    law = gaussian_law(scale)
    assert (law.scale, law.slack, law.tv_error) == (scale, 0.0, entries * 2.0**-192)
    assert [(part.scale, part.factor) for part in law.parts] == [(scale, 1)]


@pytest.mark.parametrize("scale", [math.nextafter(4096.0, math.inf), 1e5, 2.0**21])
def test_a_larger_scale_is_the_sum_of_two(scale: float) -> None:
    law = gaussian_law(scale)
    first, second = law.parts
    assert (first.scale, first.factor, second.factor) == (2048.0, 1, 512)
    reached = Fraction(2048) ** 2 + 512**2 * Fraction(second.scale) ** 2
    less = Fraction(2048) ** 2 + 512**2 * Fraction(math.nextafter(second.scale, 0.0)) ** 2
    assert less < Fraction(scale) ** 2 <= reached, "no smaller than was asked for, and no larger than it must"
    assert law.slack == 1.2e-68
    thresholds = (18 * 2048 + 1) + (math.ceil(18 * second.scale) + 1)
    assert law.tv_error == thresholds * 2.0**-192


@pytest.mark.parametrize(
    ("scale", "code"),
    [
        (math.nextafter(4.0, 0.0), "RF-B001"),
        (math.nan, "RF-B001"),
        (math.inf, "RF-B001"),
        (math.nextafter(2.0**21, math.inf), "RF-B002"),
    ],
)
def test_scales_beyond_the_ends_have_no_law(scale: float, code: str) -> None:
    with pytest.raises(BudgetError, match=code):
        gaussian_law(scale)


@pytest.mark.parametrize(
    ("scale", "base", "entries"),
    [
        (Fraction(1, 8), 1, 1),
        (Fraction(5, 2), 1, 20),
        (1024.0, 1, 8192),
        (math.nextafter(1024.0, math.inf), 32, 257),
        (2.0**21, 1448, 11_587),
    ],
)
def test_a_laplace_of_a_large_scale_has_two_digits(scale: float | Fraction, base: int, entries: int) -> None:
    law = laplace_law(scale)
    assert (law.scale, law.base, law.entries) == (Fraction(scale), base, entries)
    assert law.tv_error == 4 * (base + entries) * 2.0**-192
