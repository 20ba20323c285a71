"""An amount of budget: mu squared, and the epsilon it stands for at the ledger's delta."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from ringfence.privacy.accounting.filters import MU_AXIS, Amounts, rdp_epsilon
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.ledger.equivalents import equivalent_mu_squared
from ringfence.privacy.ledger.state import State, left_mu_squared


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """An amount of budget.

    Attributes:
        mu_squared: of a Gaussian event that costs as much; with the filter `rdp`, on the order where that is
            least.
        delta: the ledger's.
        epsilon: at delta. Of what is spent, from above by the ledger's own filter; of what is left, that of a
            single Gaussian event that takes it all.
    """

    mu_squared: Decimal
    delta: Decimal
    epsilon: float


def spent(state: State, amounts: Amounts) -> Balance:
    """Amounts that were charged or set aside."""
    mu_squared, delta = equivalent_mu_squared(amounts, min), state.delta
    epsilon = _gaussian(mu_squared, delta) if MU_AXIS in amounts else rdp_epsilon(amounts, delta)
    return Balance(mu_squared=mu_squared, delta=delta, epsilon=epsilon)


def whole(state: State) -> Balance:
    """All that may ever be spent, top-ups included."""
    return spent(state, state.budget)


def left(state: State) -> Balance:
    """The largest Gaussian event that still fits."""
    mu_squared, delta = left_mu_squared(state), state.delta
    return Balance(mu_squared=mu_squared, delta=delta, epsilon=_gaussian(mu_squared, delta))


def _gaussian(mu_squared: Decimal, delta: Decimal) -> float:
    return epsilon_of(float(delta), math.sqrt(mu_squared))
