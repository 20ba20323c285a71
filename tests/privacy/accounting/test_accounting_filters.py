"""Budgets and amounts to their last digits: what may be spent rounds down, what is spent rounds up."""

from __future__ import annotations

from decimal import Decimal, Inexact
from fractions import Fraction

import mpmath as mp
import pytest

from ringfence.privacy.accounting.amounts import (
    add,
    allowed_amount,
    as_text,
    from_text,
    spent_amount,
    subtract,
)
from ringfence.privacy.accounting.filters import (
    RDP_ORDERS,
    fits,
    gaussian_cost,
    gdp_budget,
    rdp_axis,
    rdp_budget,
    rdp_epsilon,
)
from ringfence.privacy.accounting.gaussian import mu_of
from ringfence.privacy.errors import BudgetError

EPSILON, DELTA = Decimal(4), Decimal("0.000001")
HAIR = pytest.approx(1e-12, rel=5e-2)


def test_a_gaussian_budget_is_a_hair_below_what_epsilon_allows() -> None:
    """Of epsilon 1e-9 and of delta 1e-4 are kept for what sampling is inexact by."""
    exact = Fraction(mu_of(4 * (1 - 1e-9), 1e-6 * (1 - 1e-4))) ** 2
    budget = gdp_budget(EPSILON, DELTA)
    assert set(budget) == {"mu2"}
    assert float(1 - Fraction(budget["mu2"]) / exact) == HAIR


def test_a_renyi_budget_is_a_hair_below_what_its_part_of_delta_allows() -> None:
    """Canonne, Kamath, Steinke 2020 at `delta / 12`, in many digits."""
    budget = rdp_budget(EPSILON, DELTA)
    assert list(budget) == [f"rdp:{order}" for order in RDP_ORDERS]
    with mp.workdps(50):
        each = mp.mpf(1e-6) * (1 - mp.mpf(1e-4)) / 12
        for order in RDP_ORDERS:
            a = mp.mpf(str(order))
            most = 4 * (1 - mp.mpf(1e-9)) - mp.log(1 - 1 / a) + mp.log(a * each) / (a - 1)
            left = budget[rdp_axis(order)]
            assert (left == 0) if most <= 0 else float(1 - mp.mpf(str(left)) / most) == HAIR
    assert sum(amount == 0 for amount in budget.values()) == 4


def test_epsilon_of_what_was_spent_is_a_hair_above_its_best_order() -> None:
    spent = gaussian_cost(Decimal("0.02"), rdp_budget(EPSILON, DELTA))
    with mp.workdps(50):
        each = mp.mpf(1e-6) * (1 - mp.mpf(1e-4)) / 12
        found = [
            mp.mpf(str(spent[rdp_axis(order)]))
            + mp.log(1 - 1 / mp.mpf(str(order)))
            - mp.log(mp.mpf(str(order)) * each) / (mp.mpf(str(order)) - 1)
            for order in RDP_ORDERS
        ]
        assert float(rdp_epsilon(spent, DELTA) / min(found) - 1) == pytest.approx(1e-12, rel=0.1)
    assert rdp_epsilon(dict.fromkeys(spent, Decimal(0)), DELTA) == 0.0
    assert rdp_epsilon({"rdp:2": Decimal("1e-20")}, Decimal("0.9")) == 0.0


@pytest.mark.parametrize("orders", [(), (Decimal(1),), (Decimal(2), Decimal("0.5"))])
def test_orders_are_above_one(orders: tuple[Decimal, ...]) -> None:
    with pytest.raises(BudgetError, match="RF-B209"):
        rdp_budget(EPSILON, DELTA, orders)


def test_a_gaussian_event_costs_half_its_mu_squared_times_the_order() -> None:
    axes = {"mu2": Decimal(0), "rdp:1.5": Decimal(0), "rdp:8": Decimal(0)}
    cost = gaussian_cost(Decimal("0.1"), axes)
    assert cost == {"mu2": Decimal("0.1"), "rdp:1.5": Decimal("0.075"), "rdp:8": Decimal("0.4")}


def test_what_fits_on_one_order_fits_a_renyi_filter_and_on_every_axis_a_gaussian_one() -> None:
    budget, spent = {"a": Decimal(3), "b": Decimal(3)}, {"a": Decimal(1), "b": Decimal(2)}
    for asked, renyi, gaussian in ((1, True, True), (2, True, False), (3, False, False)):
        cost = dict.fromkeys(budget, Decimal(asked))
        assert fits("rdp", budget, spent, cost) is renyi
        assert fits("gdp", budget, spent, cost) is gaussian
    assert not fits("gdp", {}, {}, {})


def test_amounts_are_rounded_at_twenty_digits_against_the_spender() -> None:
    third = Fraction(1, 3)
    assert as_text(spent_amount(third)) == "0." + "3" * 19 + "4"
    assert as_text(allowed_amount(third)) == "0." + "3" * 20
    assert as_text(spent_amount(third, 80)) == "0." + "3" * 79 + "4"
    assert as_text(allowed_amount(third, 80)) == "0." + "3" * 80
    # A float was rounded before it came here.
    assert spent_amount(0.5) == Decimal("0.500000000000005")
    assert allowed_amount(0.5) == spent_amount(Decimal("0.5")) == Decimal("0.5")
    assert spent_amount(0) == allowed_amount(0.0) == 0


def test_amounts_up_to_the_largest_and_no_larger() -> None:
    most = Decimal("1e200")
    for amount in (spent_amount, allowed_amount):
        assert amount(most) == amount(Fraction(10**200)) == most
        for beyond in (Decimal("1.1e200"), 10**200 + 1, 1e201, Decimal("1e201")):
            with pytest.raises(BudgetError, match="RF-B205"):
                amount(beyond)
        assert amount(Decimal("1e-2000")) == (Decimal("1e-20") if amount is spent_amount else 0)
        with pytest.raises(BudgetError, match="RF-B205"):
            amount(Decimal("1e-2001"))


def test_sums_are_exact_or_there_is_none() -> None:
    wide = Decimal("1" + "0" * 398 + "1")
    assert add(wide, Decimal(1)) == Decimal("1" + "0" * 398 + "2")
    assert subtract(wide, Decimal(1)) == Decimal("1" + "0" * 399)
    with pytest.raises(Inexact):
        add(wide, Decimal("0.1"))
    assert add() == 0


def test_a_text_has_up_to_four_hundred_digits_on_each_side() -> None:
    nines = "9" * 400
    for text in (nines, f"0.{nines}", f"{nines}.{nines}"):
        assert as_text(from_text(text)) == text
    for text in ("9" + nines, f"0.9{nines}"):
        with pytest.raises(BudgetError, match="RF-B205"):
            from_text(text)
