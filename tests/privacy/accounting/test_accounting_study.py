"""Prices of studies: both lines, slacks, calibration, exact amounts and the filters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.accounting import amounts
from ringfence.privacy.accounting.filters import (
    RDP_ORDERS,
    fits,
    gaussian_cost,
    gdp_budget,
    rdp_budget,
)
from ringfence.privacy.accounting.gaussian import delta_of, epsilon_of, mu_of
from ringfence.privacy.accounting.slack import block_slacks
from ringfence.privacy.accounting.study import (
    LARGEST_EPSILON,
    NoiseForm,
    calibrate,
    epsilon_with_slack,
    price,
)
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan


def block(name: str, squared: int, scale: float, length: int = 100) -> BlockPlan:
    return BlockPlan(
        name=name,
        sensitivity_squared=squared,
        max_abs=math.isqrt(squared),
        share_scale=scale,
        max_length=length,
    )


def plan_of(mu: float, honest: int, attempts: int = 2) -> StudyPlan:
    """A study of one round that costs just `mu` together with its cohort count (1 % of mu squared)."""
    cohort = block("cohort", 1, max(4.0, math.sqrt(100 / mu**2 + 4)), 1)
    rest = mu**2 - 1 / (cohort.share_scale**2 - 4)
    squared = 10**6
    scale = math.sqrt((squared / rest + 4) / honest)
    rounds = (RoundPlan(name="r", blocks=(block("a", squared, scale),)),)
    return StudyPlan(honest=honest, cohort=cohort, rounds=rounds, max_attempts=attempts)


def code_of(error: pytest.ExceptionInfo[BudgetError]) -> str:
    assert "{" not in error.value.sentence()
    return error.value.code


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.1, 20),
    st.floats(-9, -3),
    st.integers(1, 10),
    st.sampled_from(["distributed", "local"]),
    st.integers(1, 9),
)
def test_a_calibrated_study_keeps_its_promise(
    epsilon: float, exponent: float, overlap: int, form: NoiseForm, honest: int
) -> None:
    delta = 10**exponent
    honest = honest if form == "distributed" else 1
    mu = calibrate(epsilon, delta, overlap, form)
    found = price(plan_of(mu, honest), delta=delta, overlap=overlap, noise_form=form)
    assert found.customer_epsilon <= epsilon
    assert found.customer_epsilon == pytest.approx(epsilon, rel=1e-3)
    assert found.holder_epsilon <= found.customer_epsilon <= found.customer_epsilon_worst
    assert found.mu == pytest.approx(mu, rel=1e-9)


def test_both_lines_of_a_customer_at_two_holders() -> None:
    one = mu_of(1.0, 1e-6)
    summed = price(plan_of(one, 3), delta=1e-6, overlap=2, noise_form="distributed", colluders=1)
    alone = price(plan_of(one, 1), delta=1e-6, overlap=2, noise_form="local")
    assert summed.holder_epsilon == pytest.approx(1.0, abs=1e-3)
    assert summed.customer_epsilon == pytest.approx(2.12, abs=5e-3)
    assert alone.customer_epsilon == pytest.approx(1.45, abs=5e-3)
    # With two attempts a round, all but the cohort count is paid twice.
    assert summed.mu_worst**2 == pytest.approx(one**2 * 1.99, rel=1e-4)


def test_report_names_every_assumption_and_holds_no_float() -> None:
    found = price(plan_of(0.2, 3), delta=Decimal("1e-6"), overlap=2, noise_form="distributed", colluders=1)
    report = found.as_report()
    assert report["unit"] == "customer"
    assert report["neighbouring_relation"] == "add/remove"
    assert (report["honest_shares"], report["overlap"], report["colluders"]) == (3, 2, 1)
    assert report["noise_form"] == "distributed"
    assert float(report["customer_epsilon"]) >= found.customer_epsilon
    assert float(report["customer_epsilon"]) == pytest.approx(found.customer_epsilon, rel=1e-5)
    assert all(isinstance(value, str | int) for value in json.loads(json.dumps(report)).values())


@pytest.mark.parametrize("delta", ["0.001", "0.00001", "0.000001", "0.00007", "0.0000003"])
def test_report_tells_delta_as_it_was_declared(delta: str) -> None:
    found = price(plan_of(0.2, 2), delta=Decimal(delta), overlap=1, noise_form="distributed", colluders=0)
    assert found.as_report()["delta"] == delta


def test_no_claim_beyond_the_samplers_precision() -> None:
    assert math.isinf(epsilon_with_slack(1e-6, 40.0, 0.0, 1e-40))
    found = price(plan_of(calibrate(200, 1e-6, 1, "local"), 1, 8), delta=1e-6, overlap=1, noise_form="local")
    assert found.customer_epsilon <= LARGEST_EPSILON
    assert math.isinf(found.customer_epsilon_worst)
    assert found.as_report()["customer_epsilon_worst_case"] == "none"


def test_slacks_are_added_not_hidden() -> None:
    plain = epsilon_with_slack(1e-6, 0.5, 0.0, 0.0)
    assert epsilon_with_slack(1e-6, 0.5, 0.25, 0.0) == pytest.approx(plain + 0.25)
    # With total variation v the claim is delta_of(epsilon) + (1 + exp(epsilon)) v <= delta.
    wide = epsilon_with_slack(1e-6, 0.5, 0.0, 1e-8)
    assert wide > plain
    assert delta_of(wide, 0.5) + (1 + math.exp(wide)) * 1e-8 <= 1e-6


def test_slack_of_a_block() -> None:
    epsilon, variation = block_slacks(block("a", 1, 8.0), 50, 3)
    assert epsilon == pytest.approx(2 * 50 * 1e-33, rel=1e-9)
    assert 0 < variation < 50 * 3 * 18 * 8.0 * 2.0**-128
    assert block_slacks(block("a", 1, 10_000.0), 50, 3)[0] >= epsilon


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: calibrate(1, 1e-6, 0, "local"), "RF-B206"),
        (lambda: calibrate(1, 1e-6, 1, cast(NoiseForm, "central")), "RF-B207"),
        (lambda: calibrate(-1, 1e-6, 1, "local"), "RF-B202"),
        (lambda: price(plan_of(1.0, 3), delta=1e-6, overlap=1, noise_form="local"), "RF-B208"),
        (lambda: rdp_budget(Decimal(1), Decimal("1e-6"), (Decimal(1),)), "RF-B209"),
        (lambda: amounts.spent_amount(-1), "RF-B205"),
        (lambda: amounts.spent_amount(math.nan), "RF-B205"),
        (lambda: amounts.spent_amount(math.inf), "RF-B205"),
        (lambda: amounts.spent_amount(Decimal("NaN")), "RF-B205"),
        (lambda: amounts.from_text("1e-3"), "RF-B205"),
        (lambda: amounts.from_text("01"), "RF-B205"),
        (lambda: amounts.from_text("x"), "RF-B205"),
    ],
)
def test_bad_arguments(call: Callable[[], object], code: str) -> None:
    with pytest.raises(BudgetError) as error:
        call()
    assert code_of(error) == code


@given(st.fractions(0, 10**6))
def test_amounts_round_against_the_spender(value: Fraction) -> None:
    spent, allowed = amounts.spent_amount(value), amounts.allowed_amount(value)
    assert Fraction(allowed) <= value <= Fraction(spent)
    assert Fraction(spent) - Fraction(allowed) <= Fraction(1, 10**20)
    assert amounts.from_text(amounts.as_text(spent)) == spent


@given(st.integers(1, 10**12), st.floats(4, 2.0**20), st.integers(1, 50))
def test_exact_prices_cover_the_float_ones(squared: int, scale: float, honest: int) -> None:
    exact = amounts.block_amount(block("a", squared, scale), honest)
    truth = Fraction(squared) / (honest * Fraction(scale) ** 2 - 4)
    assert truth <= Fraction(exact) <= truth + Fraction(1, 10**20)
    assert amounts.spent_amount(block("a", squared, scale).mu_squared(honest)) >= truth


def test_a_study_reserves_its_cohort_and_every_attempt() -> None:
    plan = plan_of(0.5, 3, attempts=4)
    exact = amounts.study_amount(plan)
    one = amounts.round_amount(plan.rounds[0], 3)
    assert exact == amounts.add(amounts.block_amount(plan.cohort, 1), one, one, one, one)
    assert float(exact) == pytest.approx(plan.reserved_mu_squared, rel=1e-12)


def test_gdp_budget_is_what_its_epsilon_stands_for() -> None:
    budget = gdp_budget(Decimal(1), Decimal("1e-6"))["mu2"]
    assert epsilon_of(1e-6, math.sqrt(budget)) <= 1
    assert float(budget) == pytest.approx(mu_of(1.0, 1e-6) ** 2, rel=1e-4)
    assert fits("gdp", {"mu2": budget}, {"mu2": Decimal(0)}, {"mu2": budget})
    assert not fits("gdp", {"mu2": budget}, {"mu2": Decimal("1e-20")}, {"mu2": budget})


def test_rdp_budget_never_promises_more_than_the_exact_filter() -> None:
    """Whatever Gaussian spending the Renyi filter admits, the exact law is within (epsilon, delta)."""
    for epsilon in ("0.5", "1", "4", "10"):
        budget = rdp_budget(Decimal(epsilon), Decimal("1e-6"))
        nothing = dict.fromkeys(budget, Decimal(0))
        low, high = 0.0, 200.0
        for _ in range(60):
            middle = (low + high) / 2
            asked = gaussian_cost(amounts.spent_amount(middle), budget)
            low, high = (middle, high) if fits("rdp", budget, nothing, asked) else (low, middle)
        assert low > 0
        assert delta_of(float(epsilon), math.sqrt(low)) <= 1e-6
        assert low > 0.3 * mu_of(float(epsilon), 1e-6) ** 2


@pytest.mark.filterwarnings("ignore")
def test_rdp_conversion_agrees_with_dp_accounting() -> None:
    from dp_accounting.rdp import compute_epsilon

    for order in RDP_ORDERS:
        budget = rdp_budget(Decimal(5), Decimal("1e-6"), (order,))[f"rdp:{order}"]
        if budget:
            found, _ = compute_epsilon([float(order)], [float(budget)], 1e-6)
            assert found == pytest.approx(5, rel=1e-4)
            assert found <= 5


def test_one_order_within_its_budget_is_enough() -> None:
    budget = {"rdp:2": Decimal(1), "rdp:4": Decimal(2)}
    spent = {"rdp:2": Decimal(1), "rdp:4": Decimal(1)}
    assert fits("rdp", budget, spent, {"rdp:2": Decimal(1), "rdp:4": Decimal(1)})
    assert not fits("rdp", budget, spent, {"rdp:2": Decimal("0.1"), "rdp:4": Decimal("1.1")})
