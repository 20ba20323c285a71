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
    from_text,
    spent_amount,
    subtract,
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
from ringfence.privacy.ledger.balance import Balance
from ringfence.privacy.ledger.entries import Created

LARGEST_EPSILON = 64
SMALLEST_DELTA, LARGEST_DELTA = Decimal("1e-100"), Decimal("0.01")
_LONGEST_TEXT = 1000


def first_entry(population: str, epsilon: Decimal, delta: Decimal, name: FilterName) -> Created:
    """The first entry: terms, budget by axis, and the room it keeps for inexact sampling.

    Raises:
        BudgetError: the terms are out of range.
    """
    if epsilon.is_nan() or not 0 < epsilon <= LARGEST_EPSILON:
        raise BudgetError(
            "RF-B314",
            N_("The budget's epsilon is {epsilon}; expected more than 0 and at most {most}."),
            epsilon=epsilon,
            most=LARGEST_EPSILON,
        )
    if delta.is_nan() or not SMALLEST_DELTA <= delta <= LARGEST_DELTA:
        raise BudgetError(
            "RF-B315",
            N_(
                "The budget's delta is {delta}; it is the chance mass for which nothing is promised, and "
                "between {least} and {most} is expected. Choose it well below one over the number of "
                "customers."
            ),
            delta=delta,
            least=SMALLEST_DELTA,
            most=LARGEST_DELTA,
        )
    budget = budget_of(epsilon, delta, name)
    if not any(budget.values()):
        raise BudgetError("RF-B317", N_("This epsilon and delta leave no budget at all; choose larger ones."))
    variation = Fraction(DELTA_RESERVE) * Fraction(delta) / (1 + Fraction(math.exp(float(epsilon)))) / 2
    return Created(
        population=checked_text("population", population),
        filter=name,
        epsilon=from_text(as_text(epsilon)),
        delta=from_text(as_text(delta)),
        budget=budget,
        epsilon_allowance=allowed_amount(Fraction(epsilon) * Fraction(EPSILON_RESERVE) / 2),
        delta_allowance=allowed_amount(variation, SLACK_PLACES),
    )


def budget_of(epsilon: Decimal, delta: Decimal, name: FilterName) -> Amounts:
    """The budget by axis that an epsilon at a delta stands for."""
    match name:
        case "gdp":
            return gdp_budget(epsilon, delta)
        case "rdp":
            return rdp_budget(epsilon, delta)
    raise BudgetError("RF-B316", N_("The filter is {found}; expected gdp or rdp."), found=name)


def raising(budget: Amounts, epsilon: Decimal, delta: Decimal, name: FilterName) -> Amounts:
    """What has to be added to a budget so that it is the one of an epsilon at its delta, by axis.

    Raises:
        BudgetError: RF-B500 that is more than a ledger may hold, RF-B501 no more than there is.
    """
    if epsilon.is_nan() or not 0 < epsilon <= LARGEST_EPSILON:
        raise _too_much(str(epsilon), delta)
    wanted = budget_of(epsilon, delta, name)
    added = {axis: max(subtract(wanted[axis], amount), Decimal(0)) for axis, amount in budget.items()}
    if not any(added.values()):
        raise BudgetError(
            "RF-B501",
            N_(
                "The budget is epsilon {epsilon} or more already; --epsilon says what it is to be in all, so "
                "give a larger one."
            ),
            epsilon=epsilon,
        )
    return added


def below_the_most(whole: Balance) -> None:
    """Refuse a budget of more than a ledger may hold.

    Raises:
        BudgetError: RF-B500.
    """
    if not whole.epsilon <= LARGEST_EPSILON:
        raise _too_much(f"{whole.epsilon:.4g}", whole.delta)


def _too_much(epsilon: str, delta: Decimal) -> BudgetError:
    return BudgetError(
        "RF-B500",
        N_(
            "The budget would be epsilon {epsilon} at delta {delta} in all; a ledger holds more than 0 and "
            "at most {most} for good. Ask for less."
        ),
        epsilon=epsilon,
        delta=f"{delta:f}",
        most=LARGEST_EPSILON,
    )


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
                "This budget ledger takes Gaussian noise only; other events need one made with the filter "
                "rdp."
            ),
        )
    prices = {rdp_axis(order): _raised(price, margin) for order, price in renyi.items()}
    if prices.keys() != axes.keys():
        raise BudgetError(
            "RF-B319", N_("The price is not given at the Renyi orders that were fixed with the budget.")
        )
    return prices


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
