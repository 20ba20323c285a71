"""Privacy filters: pure rules that say whether adaptively chosen spending still fits a fixed budget.

`gdp` adds up mu squared; it takes Gaussian events only and composes exactly, also when later studies depend
on earlier results. `rdp` adds up Renyi divergences at orders that were fixed before the first event, and
gives each order `delta / |orders|` (Feldman, Zrnic 2021; Lecuyer 2021); it takes any event with a Renyi
bound.

A budget and a spend are mappings from an axis to an exact amount: the axis `mu2`, or `rdp:<order>` for each
order. Neither filter ever refunds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, TypeAlias

from ringfence.privacy.accounting.amounts import add, allowed_amount, multiply, spent_amount
from ringfence.privacy.accounting.gaussian import mu_of
from ringfence.privacy.accounting.study import DELTA_RESERVE, EPSILON_RESERVE
from ringfence.privacy.errors import N_, BudgetError

FilterName: TypeAlias = Literal["gdp", "rdp"]
Amounts: TypeAlias = Mapping[str, Decimal]

MU_AXIS = "mu2"
RDP_ORDERS = tuple(
    Decimal(order) for order in ("1.5", "2", "3", "4", "6", "8", "12", "16", "24", "32", "64", "128")
)
_HALF = Decimal("0.5")


def gdp_budget(epsilon: Decimal, delta: Decimal) -> Amounts:
    """The largest mu squared that is (epsilon, delta) private, less what sampling slacks may take."""
    mu = mu_of(float(epsilon) * (1 - EPSILON_RESERVE), float(delta) * (1 - DELTA_RESERVE))
    return {MU_AXIS: allowed_amount(mu * mu * (1 - 1e-12))}


def rdp_budget(epsilon: Decimal, delta: Decimal, orders: tuple[Decimal, ...] = RDP_ORDERS) -> Amounts:
    """The largest Renyi divergence at each order that is (epsilon, delta / |orders|) private.

    By the conversion of Canonne, Kamath, Steinke (2020): a divergence r at order a gives
    `epsilon = r + log(1 - 1/a) - log(a delta) / (a - 1)`. Orders that leave nothing are at zero.

    Raises:
        BudgetError: an order is not above 1.
    """
    if not orders or any(order <= 1 for order in orders):
        raise BudgetError(
            "RF-B209", N_("The Renyi orders are {orders}; expected numbers above 1."), orders=orders
        )
    each = float(delta) * (1 - DELTA_RESERVE) / len(orders)
    budget = {}
    for order in orders:
        a = float(order)
        most = float(epsilon) * (1 - EPSILON_RESERVE) - math.log1p(-1 / a) + math.log(a * each) / (a - 1)
        budget[rdp_axis(order)] = allowed_amount(max(most, 0.0) * (1 - 1e-12))
    return budget


def rdp_epsilon(spent: Amounts, delta: Decimal) -> float:
    """Epsilon at delta of what was spent at Renyi orders, from above; each order gets `delta / |orders|`."""
    each = float(delta) * (1 - DELTA_RESERVE) / len(spent)
    found = []
    for axis, amount in spent.items():
        a = float(axis.removeprefix("rdp:"))
        found.append(float(amount) + math.log1p(-1 / a) - math.log(a * each) / (a - 1))
    return max(0.0, min(found)) * (1 + 1e-12) if any(spent.values()) else 0.0


def rdp_axis(order: Decimal) -> str:
    """The name of an order's axis."""
    return f"rdp:{order}"


def gaussian_cost(mu_squared: Decimal, budget: Amounts) -> Amounts:
    """What a Gaussian event costs on every axis of a budget: mu squared, or `a mu**2 / 2` at order a."""
    cost = {}
    for axis in budget:
        order = axis.removeprefix("rdp:")
        exact = mu_squared if axis == MU_AXIS else multiply(multiply(mu_squared, Decimal(order)), _HALF)
        cost[axis] = spent_amount(exact)
    return cost


def fits(name: FilterName, budget: Amounts, spent: Amounts, asked: Amounts) -> bool:
    """Whether the asked cost still fits: on the one axis, or on at least one order."""
    within = [axis for axis in budget if add(spent[axis], asked[axis]) <= budget[axis]]
    return bool(within) and (name == "rdp" or len(within) == len(budget))
