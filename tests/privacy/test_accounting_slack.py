"""Slack of drawing and sharing noise: the stated formula, for every entry and every attempt."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ringfence.privacy.accounting.slack import block_slacks, plan_slacks, round_slacks
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
