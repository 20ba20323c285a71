"""Renyi prices of sampled steps against integrals, dp-accounting, and a customer at several holders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.privacy.accounting.amounts import round_amount, study_amount
from ringfence.privacy.accounting.composition import Composition, SampledSteps, at_holders, composition
from ringfence.privacy.accounting.filters import RDP_ORDERS
from ringfence.privacy.accounting.renyi import gaussian_renyi, plan_renyi, renyi, round_renyi, sampled_renyi
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

ORDERS = [Decimal(text) for text in ("1.5", "2", "2.5", "3", "8", "16.25", "32")]
CASES = [(0.01, 1.0), (0.1, 0.8), (0.5, 2.0), (0.9, 3.0), (0.001, 6.0)]


def divergence(
    weights: Sequence[tuple[float, int]], noise: float, order: float, *, swapped: bool = False
) -> float:
    """Renyi divergence between a mixture of shifted Gaussians and the centred one.

    By the trapezoidal rule in long doubles, which converges faster than any power for such integrands; what
    integrates to nothing, `1 + a (ratio - 1)`, is taken out first, so that small divergences keep their
    digits.
    """
    spread, a = np.longdouble(noise), np.longdouble(1 - order if swapped else order)
    reach = 13 * spread + abs(a) * max(shift for _, shift in weights)
    y = np.linspace(-reach, reach, 60_001, dtype=np.longdouble)
    shifted = (
        np.longdouble(weight) * np.expm1((2 * y * shift - shift**2) / (2 * spread**2))
        for weight, shift in weights
    )
    gain = np.asarray(sum(shifted), dtype=np.longdouble)
    density = np.exp(-(y**2) / (2 * spread**2)) / np.sqrt(2 * np.longdouble(np.pi)) / spread
    body = density * (np.expm1(a * np.log1p(gain)) - a * gain)
    return float(np.log1p(np.sum(body) * (y[1] - y[0])) / (np.longdouble(order) - 1))


@pytest.mark.parametrize(("rate", "noise"), CASES)
def test_never_below_the_integral_in_either_direction(rate: float, noise: float) -> None:
    price = Decimal(1 / noise**2)
    for order in ORDERS:
        weights = [(1 - rate, 0), (rate, 1)]
        larger, other = (
            divergence(weights, noise, float(order), swapped=swapped) for swapped in (False, True)
        )
        found = float(sampled_renyi(price, Fraction(rate), order))
        assert found >= larger * (1 - 1e-9), order
        assert larger >= other * (1 - 1e-9), "the direction that is charged is the larger"
        if order == int(order):
            assert found == pytest.approx(larger, rel=1e-8), order


def test_the_chord_between_integers_is_not_far_off() -> None:
    exact = divergence([(0.9, 0), (0.1, 1)], 2.0, 16.25)
    assert exact <= float(sampled_renyi(Decimal("0.25"), Fraction(1, 10), Decimal("16.25"))) <= exact * 1.02
    low, high = (sampled_renyi(Decimal("0.25"), Fraction(1, 10), Decimal(order)) for order in ("1.5", "2"))
    assert low <= high


@pytest.mark.filterwarnings("ignore")
def test_dp_accounting_agrees_at_integers() -> None:
    from ringfence.privacy.accounting.pld import renyi_of_plan, sampled_gaussian

    for rate, noise in CASES[:4]:
        orders = [Decimal(order) for order in (2, 3, 8, 32, 128)]
        theirs = renyi_of_plan(sampled_gaussian(rate, noise, 1), orders)
        for order in orders:
            ours = float(sampled_renyi(Decimal(1 / noise**2), Fraction(rate), order))
            assert ours == pytest.approx(theirs[order], rel=1e-6)


def test_published_figures() -> None:
    """Gaussian sigma 12, ten releases: 1.2096; Poisson q .01, sigma 1, 1000 steps: 2.4367; delta 1e-6."""
    orders = [Decimal(order) for order in range(2, 64)]

    def epsilon(one: Composition) -> float:
        pairs = ((float(order), float(each)) for order, each in renyi(one, orders).items())
        return min(r + math.log1p(-1 / a) - math.log(a * 1e-6) / (a - 1) for a, r in pairs)

    assert epsilon(Composition(mu_squared=Decimal(10) / 144)) == pytest.approx(1.2096, abs=5e-4)
    steps = SampledSteps(rate=Fraction(1, 100), mu_squared=Decimal(1), steps=1000)
    assert epsilon(Composition(mu_squared=Decimal(0), sampled=(steps,))) == pytest.approx(2.4367, abs=2e-3)


@given(
    st.decimals("1e-9", 40, places=12),
    st.fractions(Fraction(1, 10**6), 1),
    st.sampled_from(RDP_ORDERS),
)
# A rate so near to 1 that a float does not tell them apart.
@example(Decimal("1E-9"), 1 - Fraction(1, 10**18), Decimal("1.5"))
def test_sampling_never_costs_more_and_everybody_costs_the_gaussian_price(
    price: Decimal, rate: Fraction, order: Decimal
) -> None:
    found = sampled_renyi(price, rate, order)
    whole = gaussian_renyi(price, order)
    assert 0 <= found <= whole
    assert sampled_renyi(price, Fraction(1), order) == whole
    assert Fraction(whole) >= Fraction(price) * Fraction(order) / 2
    # A larger sample or a larger price never costs less.
    assert sampled_renyi(price, min(Fraction(1), rate * 2), order) >= found
    assert sampled_renyi(2 * price, rate, order) >= found


@pytest.mark.parametrize("holders", [2, 3])
def test_a_customer_at_several_holders_costs_no_more_than_is_said(holders: int) -> None:
    """Each holder samples for itself, so the sum is shifted by a binomial number of contributions."""
    q, noise, order = 0.2, 4.0, Decimal(4)

    def steps(rate: Fraction, price: Decimal) -> Composition:
        return Composition(
            mu_squared=Decimal(0), sampled=(SampledSteps(rate=rate, mu_squared=price, steps=1),)
        )

    one = steps(Fraction(1, 5), Decimal("0.0625"))
    summed = renyi(at_holders(one, holders, "distributed"), [order])[order]
    alone = renyi(at_holders(one, holders, "local"), [order])[order]
    mixture = [(math.comb(holders, j) * q**j * (1 - q) ** (holders - j), j) for j in range(holders + 1)]
    for swapped in (False, True):
        assert divergence(mixture, noise, 4.0, swapped=swapped) <= float(summed)
    assert alone == holders * renyi(one, [order])[order]
    # The rate of one holder, or the shift of one, would claim less than what is lost.
    exact = divergence(mixture, noise, 4.0)
    assert float(renyi(steps(1 - Fraction(4, 5) ** holders, Decimal("0.0625")), [order])[order]) < exact
    assert float(renyi(at_holders(one, 1, "distributed"), [order])[order]) < exact


def block(scale: float, squared: int = 100) -> BlockPlan:
    return BlockPlan(name="b", sensitivity_squared=squared, max_abs=10, share_scale=scale, max_length=5)


COHORT = BlockPlan(name="cohort", sensitivity_squared=1, max_abs=1, share_scale=30.0, max_length=1)
PLAN = StudyPlan(
    honest=1,
    cohort=COHORT,
    rounds=(
        RoundPlan(name="first", blocks=(block(50.0),)),
        RoundPlan(
            name="steps", blocks=(block(20.0),), sampling_rate=Fraction(1, 50), local_steps=7, uploads=()
        ),
        RoundPlan(name="test", blocks=(block(25.0),), part="test"),
    ),
    max_attempts=3,
)


def test_a_plan_is_priced_by_part_with_all_its_attempts() -> None:
    found = plan_renyi(PLAN, RDP_ORDERS)
    once = plan_renyi(PLAN, RDP_ORDERS, attempts=1)
    for order in RDP_ORDERS:
        cohort = gaussian_renyi(composition(PLAN, "train", [0, 0, 0]).mu_squared, order)
        first, steps, test = (round_renyi(each, 1, RDP_ORDERS)[order] for each in PLAN.rounds)
        assert found["train"][order] == pytest.approx(cohort + 3 * (first + steps), rel=Decimal("1e-15"))
        assert found["test"][order] == pytest.approx(cohort + 3 * test, rel=Decimal("1e-15"))
        assert once["train"][order] < found["train"][order]
        assert steps == 7 * sampled_renyi(
            round_amount(RoundPlan(name="x", blocks=(block(20.0),)), 1), Fraction(1, 50), order
        )


def test_without_sampling_both_ways_of_pricing_agree() -> None:
    plan = StudyPlan(honest=1, cohort=COHORT, rounds=(PLAN.rounds[0], PLAN.rounds[2]), max_attempts=2)
    exact = study_amount(plan)
    found = plan_renyi(plan, [Decimal(2)])
    assert max(each[Decimal(2)] for each in found.values()) == exact


@pytest.mark.parametrize(
    ("plan", "honest", "code"),
    [
        (RoundPlan(name="r", blocks=(block(20.0),), sampling_rate=Fraction(0)), 1, "RF-B230"),
        (RoundPlan(name="r", blocks=(block(20.0),), sampling_rate=Fraction(3, 2)), 1, "RF-B230"),
        (RoundPlan(name="r", blocks=(block(20.0),), local_steps=3), 2, "RF-B234"),
    ],
)
def test_rounds_without_a_price(plan: RoundPlan, honest: int, code: str) -> None:
    with pytest.raises(BudgetError) as error:
        round_renyi(plan, honest, RDP_ORDERS)
    assert error.value.code == code
    assert "{" not in error.value.sentence()


def test_holders_are_counted() -> None:
    one = Composition(mu_squared=Decimal(1))
    with pytest.raises(BudgetError, match="RF-B206"):
        at_holders(one, 0, "local")
    with pytest.raises(BudgetError, match="RF-B207"):
        at_holders(one, 1, "central")  # type: ignore[arg-type]
