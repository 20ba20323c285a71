"""Renyi prices to their last digits: the margin of doubles, the orders tried, the smallest losses."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from ringfence.privacy.accounting.composition import Composition, SampledSteps, at_holders
from ringfence.privacy.accounting.renyi import (
    gaussian_renyi,
    laplace_renyi,
    renyi,
    renyi_epsilon,
    sampled_renyi,
)

ORDERS = (*range(2, 33), *range(36, 64, 4), *range(64, 257, 16))
DELTA = 1e-6


def exact(mu_squared: Decimal, rate: Fraction, order: int) -> mp.mpf:
    """`log(1 + S) / (a - 1)` in sixty digits."""
    m, q = mp.mpf(str(mu_squared)), mp.mpf(rate.numerator) / rate.denominator
    total = mp.fsum(
        mp.binomial(order, j) * q**j * (1 - q) ** (order - j) * mp.expm1(m * j * (j - 1) / 2)
        for j in range(2, order + 1)
    )
    return mp.log1p(total) / (order - 1)


@pytest.mark.parametrize("order", [2, 3, 8, 32])
@pytest.mark.parametrize(("price", "rate"), [("0.25", "1/10"), ("1", "1/50"), ("3", "1/3")])
def test_a_step_on_a_sample_costs_its_price_and_the_margin_of_doubles(
    price: str, rate: str, order: int
) -> None:
    with mp.workdps(60):
        found = sampled_renyi(Decimal(price), Fraction(rate), Decimal(order))
        over = float(mp.mpf(str(found)) / exact(Decimal(price), Fraction(rate), order) - 1)
    assert over == pytest.approx(1e-10, rel=0.01)


def test_between_integers_the_chord_is_the_price() -> None:
    """`(a - 1) D_a` at 2.25 is three parts of it at 2 and one at 3; at 1.5 half of that at 2, for it is zero
    at 1.
    """
    price, rate = Decimal("0.25"), Fraction(1, 10)

    def moment(order: str) -> float:
        return float(sampled_renyi(price, rate, Decimal(order))) * (float(order) - 1)

    assert moment("2.25") == pytest.approx(0.75 * moment("2") + 0.25 * moment("3"), rel=1e-12)
    assert moment("1.5") == pytest.approx(0.5 * moment("2"), rel=1e-12)


def test_a_price_of_nothing_costs_nothing() -> None:
    assert sampled_renyi(Decimal(0), Fraction(1, 10), Decimal(4)) == 0
    assert gaussian_renyi(Decimal(0), Decimal(4)) == 0
    assert gaussian_renyi(Decimal("0.3"), Decimal("1.5")) == Decimal("0.225")
    assert gaussian_renyi(Decimal("1e-20"), Decimal("1.5")) == Decimal("1e-20"), "rounded up"


def test_epsilon_is_that_of_the_best_of_these_orders() -> None:
    best = set()
    for exponent in np.linspace(-9, 3, 600).tolist():
        price = Decimal(repr(10.0**exponent))
        pairs = {
            order: float(gaussian_renyi(price, Decimal(order)))
            + math.log1p(-1 / order)
            - math.log(order * DELTA) / (order - 1)
            for order in ORDERS
        }
        assert renyi_epsilon(Composition(mu_squared=price), DELTA) == min(pairs.values())
        best.add(min(pairs, key=pairs.__getitem__))
    assert best >= {2, 3, 31, 32, 36, 60, 64, 80, 240, 256}


def test_releases_add_up_at_every_order() -> None:
    steps = SampledSteps(rate=Fraction(1, 10), mu_squared=Decimal("0.25"), steps=7)
    one = Composition(mu_squared=Decimal("0.5"), sampled=(steps, steps))
    order = Decimal(3)
    sampled = sampled_renyi(Decimal("0.25"), Fraction(1, 10), order)
    assert renyi(one, [order]) == {order: Decimal("0.75") + 14 * sampled}
    assert one.releases == 15
    local = at_holders(one, 3, "local")
    assert (local.mu_squared, local.releases) == (Decimal("1.5"), 43)
    summed = at_holders(one, 3, "distributed")
    assert (summed.mu_squared, summed.releases) == (Decimal("4.5"), 15)
    assert {(each.rate, each.mu_squared) for each in summed.sampled} == {
        (1 - Fraction(9, 10) ** 3, Decimal("2.25"))
    }


def test_a_laplace_that_is_next_to_nothing_costs_its_pure_epsilon() -> None:
    """From a parameter of 1e-15 on the divergence itself is computed."""
    assert laplace_renyi(Decimal("1e-15"), 1, Decimal(2)) == Decimal("1e-20")
    assert laplace_renyi(Decimal("9.9e-16"), 1, Decimal(2)) == Decimal("9.9e-16")
    assert laplace_renyi(Decimal("9.9e-16"), 3, Decimal(2)) == Decimal("2.97e-15")
    # At large orders no more than the pure epsilon.
    assert laplace_renyi(Decimal("0.5"), 2, Decimal(10**6)) <= 1


@pytest.mark.parametrize(
    ("parameter", "sensitivity", "order"), [("0.5", 1, "2"), ("0.1", 3, "1.5"), ("2", 2, "8")]
)
def test_a_laplace_costs_what_its_sum_over_the_integers_says(
    parameter: str, sensitivity: int, order: str
) -> None:
    found = laplace_renyi(Decimal(parameter), sensitivity, Decimal(order))
    with mp.workdps(50):
        p, a = mp.mpf(parameter), mp.mpf(order)
        reach = int(130 / p)
        weight = (1 - mp.exp(-p)) / (1 + mp.exp(-p))
        moment = mp.fsum(
            weight * mp.exp(-p * (a * abs(x - sensitivity) + (1 - a) * abs(x)))
            for x in range(-reach, reach + 1)
        )
        assert 0 <= mp.mpf(str(found)) - mp.log(moment) / (a - 1) <= mp.mpf("1e-20")
