"""What a price says of itself: every assumption under its name, every number rounded up; units of grids."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from ringfence.privacy.accounting.scales import grid_unit, share_scale
from ringfence.privacy.accounting.study import StudyPrice, price
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

PRICE = StudyPrice(
    delta=1e-6,
    mu=0.1,
    mu_worst=0.2,
    customer_epsilon=1.5,
    customer_epsilon_worst=2.5,
    holder_epsilon=0.5,
    holder_epsilon_worst=0.75,
    reserve=Decimal("0.04"),
    epsilon_slack=1e-12,
    total_variation=2e-30,
    honest=3,
    overlap=2,
    colluders=1,
    noise_form="distributed",
    max_attempts=4,
    visible=False,
    parts=("train",),
    sampling_rate=Fraction(1),
    sampled_steps=0,
)
REPORT = {
    "unit": "customer",
    "neighbouring_relation": "add/remove",
    "accountant": "Gaussian differential privacy, exact composition of discrete Gaussians",
    "parts": "all customers",
    "sampling": "no sampling",
    "sampling_rate": "1",
    "sampled_steps": 0,
    "noise_form": "distributed",
    "uploads": "the coordinator sees the holders' sum alone",
    "honest_shares": 3,
    "overlap": 2,
    "colluders": 1,
    "max_attempts": 4,
    "delta": "0.000001",
    "customer_epsilon": "1.5",
    "customer_epsilon_worst_case": "2.5",
    "holder_epsilon": "0.5",
    "holder_epsilon_worst_case": "0.75",
    "holder_mu": "0.100001",
    "holder_mu_worst_case": "0.200001",
    "epsilon_slack": "1.00000e-12",
    "sampler_total_variation": "2.00001e-30",
    "not_covered": "what one customer spends in other studies at other holders",
}


def test_every_assumption_has_its_name() -> None:
    assert PRICE.as_report() == REPORT


def test_a_study_that_samples_says_so() -> None:
    one = replace(
        PRICE,
        visible=True,
        parts=("train", "test"),
        sampling_rate=Fraction(1, 3),
        sampled_steps=1,
        noise_form="local",
        customer_epsilon_worst=math.inf,
    )
    assert one.as_report() == REPORT | {
        "accountant": "privacy loss distribution of the fixed plan, rounded up",
        "parts": "two disjoint parts by customer key; the dearer one counts",
        "sampling": "Poisson",
        "sampling_rate": "0.333334",
        "sampled_steps": 1,
        "noise_form": "local",
        "uploads": "the coordinator sees each holder's noisy update",
        "holder_mu": "not Gaussian",
        "holder_mu_worst_case": "not Gaussian",
        "customer_epsilon_worst_case": "none",
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (1e-9, "0.00000000100001"),
        (1.1e-9, "0.0000000011"),
        (9e-10, "9.00000e-10"),
        (123456.7, "123457"),
        (1234567.0, "1234570"),
        (1.000001, "1.00001"),
    ],
)
def test_numbers_are_rounded_up_to_six_digits(value: float, said: str) -> None:
    assert replace(PRICE, epsilon_slack=value).as_report()["epsilon_slack"] == said
    rare = replace(PRICE, sampling_rate=Fraction(1, 10**9)).as_report()
    assert rare["sampling_rate"] == "0.000000001"


def test_what_is_not_said_of_a_study_is_the_least() -> None:
    block = BlockPlan(name="b", sensitivity_squared=1, max_abs=1, share_scale=50.0, max_length=1)
    plan = StudyPlan(honest=2, cohort=block, rounds=(RoundPlan(name="r", blocks=(block,)),), max_attempts=1)
    found = price(plan, delta=1e-6, overlap=1, noise_form="distributed")
    assert (found.colluders, found.visible, found.parts) == (0, False, ("train",))
    assert (found.sampling_rate, found.sampled_steps, found.sampled) == (1, 0, False)


@pytest.mark.parametrize(
    ("scale", "unit"),
    [(100.0, 1), (16.0, 1), (15.99, 2), (8.0, 2), (7.99, 4), (1.0, 16), (0.5, 32), (0.4, 64)],
)
def test_a_grid_unit_lifts_the_scale_to_sixteen_and_no_further(scale: float, unit: int) -> None:
    assert grid_unit(scale) == unit


def test_a_share_has_the_scale_that_costs_the_price() -> None:
    assert share_scale(9, 0.25, 4) == math.sqrt(10)
