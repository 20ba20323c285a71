"""Amounts on the axes of a filter as one mu squared: that of a Gaussian event which costs as much."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from ringfence.privacy.accounting.filters import Amounts


class Choice(Protocol):
    """`min` or `max`."""

    def __call__(self, values: list[Decimal], /) -> Decimal:
        """One of the values."""
        ...


def equivalent_mu_squared(amounts: Amounts, choose: Choice) -> Decimal:
    """Amounts by axis as one mu squared: a Gaussian event of that size costs as much on the chosen axis."""
    return choose([_as_mu_squared(axis, amount) for axis, amount in amounts.items()])


def _as_mu_squared(axis: str, amount: Decimal) -> Decimal:
    return 2 * amount / Decimal(axis.removeprefix("rdp:")) if axis.startswith("rdp:") else amount
