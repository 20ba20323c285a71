"""What people and programs hand to a ledger, checked and put into the form its entries have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from ringfence.privacy.accounting.amounts import (
    SLACK_PLACES,
    Number,
    allowed_amount,
    as_text,
    spent_amount,
)
from ringfence.privacy.accounting.filters import (
    MU_AXIS,
    Amounts,
    FilterName,
    gaussian_cost,
    gdp_budget,
    rdp_axis,
    rdp_budget,
)
from ringfence.privacy.accounting.study import DELTA_RESERVE, EPSILON_RESERVE
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger.chain import Fields

LARGEST_EPSILON = 64
_LONGEST_TEXT = 1000


def first_fields(population: str, epsilon: Decimal, delta: Decimal, name: FilterName) -> Fields:
    """The first entry's fields: terms, budget by axis, and the room it keeps for inexact sampling.

    Raises:
        BudgetError: the terms are out of range.
    """
    if not 0 < epsilon <= LARGEST_EPSILON:
        raise BudgetError(
            "RF-B314",
            N_("The budget's epsilon is {epsilon}; expected more than 0 and at most {most}."),
            epsilon=epsilon,
            most=LARGEST_EPSILON,
        )
    if not 0 < delta < 1:
        raise BudgetError(
            "RF-B315", N_("The budget's delta is {delta}; expected between 0 and 1."), delta=delta
        )
    match name:
        case "gdp":
            budget = gdp_budget(epsilon, delta)
        case "rdp":
            budget = rdp_budget(epsilon, delta)
        case _:
            raise BudgetError("RF-B316", N_("The filter is {found}; expected gdp or rdp."), found=name)
    if not any(budget.values()):
        raise BudgetError("RF-B317", N_("This epsilon and delta leave no budget at all; choose larger ones."))
    variation = Fraction(DELTA_RESERVE) * Fraction(delta) / (1 + Fraction(math.exp(float(epsilon)))) / 2
    return {
        "population": checked_text("population", population),
        "filter": name,
        "epsilon": as_text(epsilon),
        "delta": as_text(delta),
        "budget": texts(budget),
        "epsilon_allowance": as_text(allowed_amount(Fraction(epsilon) * Fraction(EPSILON_RESERVE) / 2)),
        "delta_allowance": as_text(allowed_amount(variation, SLACK_PLACES)),
    }


def cost(
    axes: Amounts,
    mu_squared: Number,
    renyi: Mapping[Decimal, Number] | None,
    *,
    margin: Fraction = Fraction(0),
) -> Amounts:
    """A price on the axes of a ledger.

    Args:
        axes: amounts whose keys are the ledger's axes.
        mu_squared: of Gaussian events.
        renyi: a price by order, for events that are not Gaussian.
        margin: part to be added, for totals whose parts will come as floats.

    Raises:
        BudgetError: Renyi prices for a ledger that takes Gaussian events only, or not at its orders.
    """
    if renyi is None:
        return gaussian_cost(_raised(mu_squared, margin), axes)
    if MU_AXIS in axes:
        raise BudgetError(
            "RF-B318",
            N_(
                "This budget ledger takes Gaussian noise only; other events need one made with the filter rdp."
            ),
        )
    prices = {rdp_axis(order): _raised(price, margin) for order, price in renyi.items()}
    if prices.keys() != axes.keys():
        raise BudgetError(
            "RF-B319", N_("The price is not given at the Renyi orders that were fixed with the budget.")
        )
    return prices


def slack_fields(epsilon: float, delta: float) -> dict[str, str]:
    """The slacks of a reservation as fields of its entry."""
    return {
        "epsilon_slack": as_text(spent_amount(epsilon, SLACK_PLACES)),
        "delta_slack": as_text(spent_amount(delta, SLACK_PLACES)),
    }


def texts(amounts: Amounts) -> dict[str, str]:
    """Amounts as an entry holds them."""
    return {axis: as_text(amount) for axis, amount in amounts.items()}


def decided_fields(approvals: Sequence[str], amounts: Amounts, reason: str, decision: str) -> Fields:
    """The fields of an entry that two people decided on.

    Raises:
        BudgetError: fewer than two people, or no reason.
    """
    people, why = two_people(approvals), checked_text("reason", reason)
    fields: dict[str, list[str] | dict[str, str] | str] = {
        "approvals": people,
        "amounts": texts(amounts),
        "reason": why,
    }
    return fields | {"decision": decision} if decision else fields


def two_people(approvals: Sequence[str]) -> list[str]:
    """The distinct approvers, at least two.

    Raises:
        BudgetError: fewer.
    """
    people = sorted({approval.strip().casefold() for approval in approvals} - {""})
    if isinstance(approvals, str) or len(people) < 2:
        raise BudgetError(
            "RF-B320",
            N_("{found} person approved this; two people with different keys must."),
            found=len(people) if not isinstance(approvals, str) else 1,
        )
    return people


def checked_text(name: str, text: str) -> str:
    """A text that an entry may hold.

    Raises:
        BudgetError: empty or too long.
    """
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise BudgetError(
            "RF-B321",
            N_("The {name} has {length} characters; expected 1 to {most}."),
            name=name,
            length=len(text.strip()),
            most=_LONGEST_TEXT,
        )
    return text


def _raised(value: Number, margin: Fraction) -> Decimal:
    amount = spent_amount(value)
    return spent_amount(Fraction(amount) * (1 + margin)) if margin else amount
