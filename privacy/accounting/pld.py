"""Prices of plans that are not plain Gaussian composition, through Google's dp-accounting.

A privacy loss distribution prices a plan that is fixed before it begins, e.g. DP-SGD with Poisson sampling, and
stands in its report. It never decides what is left of a budget: for that a ledger with the filter `rdp` is
charged Renyi divergences at its fixed orders (privacy/accounting/filters.py). Neighbours differ by adding or
removing one customer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ringfence.privacy.errors import N_, BudgetError

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent


def sampled_gaussian(sampling_rate: float, noise_multiplier: float, steps: int) -> DpEvent:
    """DP-SGD: in every step each customer takes part with a public probability, empty batches included.

    Args:
        sampling_rate: q, of Poisson sampling.
        noise_multiplier: deviation of the continuous Gaussian that accounts for the noise, over the
            sensitivity: `sqrt(h s**2 - 4) / Delta` for discrete shares.
        steps: how many, fixed in the study.

    Raises:
        BudgetError: an argument is out of range.
    """
    from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    if not (0 < sampling_rate <= 1 and 0 < noise_multiplier < math.inf and steps >= 1):
        raise BudgetError(
            "RF-B210",
            N_(
                "Sampling rate {rate}, noise multiplier {noise} and {steps} steps are not a plan that has a price."
            ),
            rate=sampling_rate,
            noise=noise_multiplier,
            steps=steps,
        )
    step = PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise_multiplier))
    return SelfComposedDpEvent(step, steps)


def epsilon_of_plan(event: DpEvent, delta: float) -> float:
    """Epsilon at delta of a plan fixed in advance, rounded up by the accountant's own discretisation.

    Raises:
        BudgetError: delta is out of range, or the accountant does not know such events.
    """
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.privacy_accountant import NeighboringRelation, UnsupportedEventError

    if not 0 < delta < 1:
        raise BudgetError("RF-B204", N_("delta is {value}; expected between 0 and 1."), value=delta)
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    try:
        return float(accountant.compose(event).get_epsilon(delta))
    except UnsupportedEventError:
        raise _unpriced(event) from None


def renyi_of_plan(event: DpEvent, orders: Sequence[Decimal]) -> Mapping[Decimal, float]:
    """Renyi divergences of a plan at the orders of a ledger, for `Ledger.reserve(renyi=...)`.

    Raises:
        BudgetError: the accountant does not know such events, or has no bound at an order.
    """
    from dp_accounting.privacy_accountant import NeighboringRelation, UnsupportedEventError
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant([float(order) for order in orders], NeighboringRelation.ADD_OR_REMOVE_ONE)
    try:
        accountant.compose(event)
    except UnsupportedEventError:
        raise _unpriced(event) from None
    found = dict(zip(orders, (float(each) for each in accountant._rdp), strict=True))
    if not all(math.isfinite(each) and each >= 0 for each in found.values()):
        raise _unpriced(event)
    return found


def _unpriced(event: DpEvent) -> BudgetError:
    return BudgetError(
        "RF-B211", N_("There is no price for a release of the kind {kind}."), kind=type(event).__name__
    )
