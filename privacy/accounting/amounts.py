"""Exact amounts of mu squared: fixed-point decimals that never round in the spender's favour.

An amount of mu squared has 20 decimal places, so that ordinary decimal arithmetic (28 digits) adds it exactly
too. What is spent rounds up, what may be spent rounds down.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import TypeAlias, get_args

from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.waist import BlockPlan, Part, RoundPlan, StudyPlan

Number: TypeAlias = "Decimal | Fraction | float | int"

PLACES = 20
# Slacks are far smaller than prices.
SLACK_PLACES = 80
_EXACT = Context(prec=400, traps=[Inexact])
# What is beyond it is a slip of the keyboard, and would not be added exactly.
_LARGEST_POWER = 200
# What is smaller is not made a fraction: its denominator alone would fill the memory.
_SMALLEST_POWER = 2000
_PLAIN = re.compile(r"[0-9]{1,400}(\.[0-9]{1,400})?")
# A float price was rounded a few times on its way; this covers thousands of half units in the last place.
FLOAT_MARGIN = Fraction(1, 10**14)


def spent_amount(value: Number, places: int = PLACES) -> Decimal:
    """An amount to be charged, rounded up; a float is raised by 1e-14 of itself, to cover how it was made.

    Raises:
        BudgetError: negative or not a number.
    """
    exact = _fraction(value)
    if isinstance(value, float):
        exact *= 1 + FLOAT_MARGIN
    return _decimal(-(-exact.numerator * 10**places // exact.denominator), places)


def allowed_amount(value: Number, places: int = PLACES) -> Decimal:
    """An amount that may be spent, rounded down.

    Raises:
        BudgetError: negative or not a number.
    """
    exact = _fraction(value)
    return _decimal(exact.numerator * 10**places // exact.denominator, places)


def add(*amounts: Decimal) -> Decimal:
    """The exact sum."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def subtract(left: Decimal, right: Decimal) -> Decimal:
    """The exact difference, negative where more was spent than allowed."""
    return _EXACT.subtract(left, right)


def multiply(amount: Decimal, factor: Decimal | int) -> Decimal:
    """The exact product with a number of few digits, e.g. a count of attempts."""
    return _EXACT.multiply(amount, Decimal(factor))


def as_text(amount: Decimal) -> str:
    """Plain decimal notation without an exponent and without trailing zeros; one text for one amount."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def from_text(text: str) -> Decimal:
    """Read what `as_text` wrote of an amount.

    Raises:
        BudgetError: not in that form, or negative.
    """
    if not _PLAIN.fullmatch(text) or as_text(Decimal(text)) != text:
        raise _not_an_amount(text)
    return Decimal(text)


def block_amount(block: BlockPlan, honest: int) -> Decimal:
    """`Delta**2 / (h s**2 - 4)` of a block, from the exact value of its scale, rounded up."""
    return spent_amount(Fraction(block.sensitivity_squared) / (honest * Fraction(block.share_scale) ** 2 - 4))


def round_amount(plan: RoundPlan, honest: int) -> Decimal:
    """Price of one attempt at a round, everybody sampled."""
    return multiply(add(*(block_amount(block, honest) for block in plan.blocks)), plan.releases)


def study_amount(plan: StudyPlan) -> Decimal:
    """What a holder reserves: the cohort count, and the rounds of the dearer part with all their attempts."""
    dearer = max(
        add(*(round_amount(each, plan.honest) for each in plan.of_part(part))) for part in get_args(Part)
    )
    return add(block_amount(plan.cohort, 1), multiply(dearer, plan.max_attempts))


def _fraction(value: Number) -> Fraction:
    if (
        isinstance(value, Decimal)
        and value.is_finite()
        and not -_SMALLEST_POWER <= value.adjusted() <= _LARGEST_POWER
    ):
        raise _not_an_amount(value)
    try:
        exact = Fraction(value)
    except (ValueError, OverflowError):
        raise _not_an_amount(value) from None
    if not 0 <= exact <= 10**_LARGEST_POWER:
        raise _not_an_amount(value)
    return exact


def _decimal(units: int, places: int) -> Decimal:
    return _EXACT.scaleb(Decimal(units), -places).normalize(_EXACT) if units else Decimal(0)


def _not_an_amount(value: object) -> BudgetError:
    return BudgetError(
        "RF-B205",
        N_("{value} is not an amount of privacy budget; expected zero or more, and no more than 1e200."),
        value=value,
    )
