"""What is taken from the two parts of a population, and what that costs any one customer.

A study splits its customers by a public function of their keys: rounds of the part `train` read some, rounds
of the part `test` read the others, and some releases (the cohort count; tables, which need no label) read
`both`.

Formal guarantee (parallel composition):
    For one study, the privacy loss of any customer is that of the releases over `both` and over the
    customer's own part, also where the queries of one part are chosen from what the other part released. So a
    study costs the dearer of its parts, axis by axis, and a ledger that adds this up over studies bounds what
    any one customer has spent.
Condition:
    The split depends on the study and the customer's key alone; it was fixed before the study's first release
    and is the same in all its runs, rounds and attempts; all rows of a customer carry one key; nothing but
    released values passes from one part to the other. Two studies split differently, so they add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias, get_args

from ringfence.privacy.accounting.amounts import add
from ringfence.privacy.accounting.filters import Amounts
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.waist import BOTH, Part, Scope

ByPart: TypeAlias = Mapping[Part, Amounts]

PARTS: tuple[Part, ...] = get_args(Part)


def scope_of(text: str) -> Scope:
    """Read a scope.

    Raises:
        BudgetError: there is no such part.
    """
    match text:
        case "both":
            return "both"
        case "train":
            return "train"
        case "test":
            return "test"
    raise BudgetError(
        "RF-B330", N_("A release reads the part {found}; expected train, test or both."), found=text
    )


def in_every_part(amounts: Amounts) -> ByPart:
    """The same amounts in every part."""
    return MappingProxyType(dict.fromkeys(PARTS, amounts))


def nothing(axes: Amounts) -> ByPart:
    """Zero on every axis, in every part."""
    return in_every_part(MappingProxyType(dict.fromkeys(axes, Decimal(0))))


def with_release(taken: ByPart, scope: Scope, amounts: Amounts) -> ByPart:
    """What is taken once a release over a scope is added."""
    return MappingProxyType(
        {part: total(each, amounts) if scope in (part, BOTH) else each for part, each in taken.items()}
    )


def dearest(taken: ByPart) -> Amounts:
    """The dearer part on each axis: the most that any one customer loses."""
    parts = list(taken.values())
    return MappingProxyType({axis: max(each[axis] for each in parts) for axis in parts[0]})


def within(taken: ByPart, limits: ByPart) -> bool:
    """Whether no part takes more than it may, on any axis."""
    return all(amount <= limits[part][axis] for part, each in taken.items() for axis, amount in each.items())


def total(left: Amounts, right: Amounts) -> Amounts:
    """The exact sum, axis by axis.

    Raises:
        BudgetError: the two have different axes.
    """
    same_axes(left, right)
    return MappingProxyType({axis: add(amount, right[axis]) for axis, amount in left.items()})


def same_axes(left: Amounts, right: Amounts) -> None:
    """Check that two amounts are counted on the same axes.

    Raises:
        BudgetError: they are not.
    """
    if left.keys() != right.keys():
        raise BudgetError(
            "RF-B310", N_("An amount does not have the orders that this budget ledger counts in.")
        )
