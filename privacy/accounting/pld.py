"""Prices of plans that are not plain Gaussian composition, through Google's dp-accounting.

A privacy loss distribution prices a plan that is fixed before it begins, e.g. DP-SGD with Poisson sampling,
and stands in its report. It never decides what is left of a budget: for that a ledger with the filter `rdp`
is charged Renyi divergences at its fixed orders (privacy/accounting/filters.py). Neighbours differ by adding
or removing one customer.

The accountant rounds losses up, but it convolves by fast Fourier transforms in doubles, whose rounding it
does not count: a thousand Gaussian steps at delta 1e-14 came out 0.9 % below the exact epsilon. So
`TRANSFORM_ERROR` for every composed release is taken off delta first, hundreds of times what was measured;
where nothing is left there is no claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

from ringfence.privacy.accounting.composition import Composition
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.accounting.renyi import laplace_renyi, renyi_epsilon
from ringfence.privacy.errors import N_, BudgetError

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

# Measured: 1e-14 for a thousand steps.
TRANSFORM_ERROR = 4e-15
INTERVAL = 1e-4
# Rounding of noise multipliers and rates on their way into the accountant.
_MARGIN = 1e-9


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
                "Sampling rate {rate}, noise multiplier {noise} and {steps} steps are not a plan that has a "
                "price."
            ),
            rate=sampling_rate,
            noise=noise_multiplier,
            steps=steps,
        )
    step = PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise_multiplier))
    return SelfComposedDpEvent(step, steps)


def epsilon_of_plan(event: DpEvent, delta: float) -> float:
    """Epsilon at delta of a plan fixed in advance, from above; `inf` where the accountant cannot tell.

    Raises:
        BudgetError: delta is out of range, or the accountant does not know such events.
    """
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.privacy_accountant import NeighboringRelation, UnsupportedEventError

    _check(delta)
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    try:
        accountant.compose(event)
    except UnsupportedEventError:
        raise _unpriced(event) from None
    certain = delta - TRANSFORM_ERROR * _releases(event)
    return float(accountant.get_epsilon(certain)) * (1 + _MARGIN) if certain > 0 else math.inf


def epsilon_of_composition(one: Composition, delta: float, interval: float | None = None) -> float:
    """Epsilon at delta of what a customer meets, from above; exact where nothing is sampled.

    Args:
        one: all releases.
        delta: in (0, 1).
        interval: losses are rounded up to multiples of it; a wider one is faster and claims less. Without it,
            about a ten-thousandth of the epsilon.

    Raises:
        BudgetError: delta is out of range.
    """
    _check(delta)
    if not one.sampled:
        return epsilon_of(delta, math.sqrt(one.mu_squared))
    certain = delta - TRANSFORM_ERROR * one.releases
    if certain <= 0:
        return math.inf
    width = interval or grid(renyi_epsilon(one, delta))
    found = float(_losses(one, width).get_epsilon_for_delta(certain))
    if interval is None and grid(found) < width / 2:  # the Renyi price was far too high
        found = float(_losses(one, grid(found)).get_epsilon_for_delta(certain))
    return found * (1 + _MARGIN)


def grid(epsilon: float, share: float = 1e-4) -> float:
    """How finely losses are told apart where epsilon is about so large.

    Between a tenth and ten a step of 1e-4 to 1e-3 does; below, the step shrinks with epsilon.
    """
    return min(max(share * epsilon, min(INTERVAL, 1e-3 * epsilon)), 10 * INTERVAL)


@lru_cache(maxsize=64)
def _losses(one: Composition, interval: float) -> PrivacyLossDistribution:
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    def losses(mu_squared: Decimal, rate: float = 1.0) -> PrivacyLossDistribution:
        return from_gaussian_mechanism(
            1 / math.sqrt(mu_squared), value_discretization_interval=interval, sampling_prob=rate
        )

    parts = [
        losses(each.mu_squared, float(each.rate)).self_compose(each.steps)
        for each in one.sampled
        if each.mu_squared
    ]
    if one.mu_squared or not parts:
        parts.append(losses(one.mu_squared))
    return reduce(lambda left, right: left.compose(right), parts)


def renyi_of_plan(event: DpEvent, orders: Sequence[Decimal]) -> Mapping[Decimal, float]:
    """Renyi divergences of a plan at the orders of a ledger, for `Ledger.reserve(renyi=...)`.

    The accountant has no price for a discrete Laplace release; renyi.py has.

    Raises:
        BudgetError: neither knows such events, or there is no bound at an order.
    """
    from dp_accounting.dp_event import ComposedDpEvent, DiscreteLaplaceDpEvent, SelfComposedDpEvent

    match event:
        case DiscreteLaplaceDpEvent(noise_parameter=parameter, sensitivity=sensitivity):
            found = _laplace(parameter, sensitivity, orders)
        case SelfComposedDpEvent(event=one, count=count):
            found = {order: count * each for order, each in renyi_of_plan(one, orders).items()}
        case ComposedDpEvent(events=events):
            several = [renyi_of_plan(each, orders) for each in events]
            found = {order: math.fsum(each[order] for each in several) for order in orders}
        case _:
            found = _accounted(event, orders)
    if not all(math.isfinite(each) and each >= 0 for each in found.values()):
        raise _unpriced(event)
    return found


def _laplace(parameter: float, sensitivity: int, orders: Sequence[Decimal]) -> dict[Decimal, float]:
    if not (0 < parameter < math.inf and 0 <= sensitivity < math.inf):
        return dict.fromkeys(orders, math.inf)
    # The sum of several floats is rounded a few times on its way into the ledger.
    return {
        order: float(laplace_renyi(Decimal(parameter), math.ceil(sensitivity), order)) * (1 + 1e-12)
        for order in orders
    }


def _accounted(event: DpEvent, orders: Sequence[Decimal]) -> dict[Decimal, float]:
    from dp_accounting.privacy_accountant import NeighboringRelation, UnsupportedEventError
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant([float(order) for order in orders], NeighboringRelation.ADD_OR_REMOVE_ONE)
    try:
        accountant.compose(event)
    except UnsupportedEventError:
        raise _unpriced(event) from None
    return dict(zip(orders, (float(each) for each in accountant._rdp), strict=True))


def _releases(event: DpEvent) -> int:
    from dp_accounting.dp_event import ComposedDpEvent, SelfComposedDpEvent

    if isinstance(event, SelfComposedDpEvent):
        return int(event.count) * _releases(event.event)
    if isinstance(event, ComposedDpEvent):
        return sum(_releases(each) for each in event.events)
    return 1


def _check(delta: float) -> None:
    if not 0 < delta < 1:
        raise BudgetError("RF-B204", N_("delta is {value}; expected between 0 and 1."), value=delta)


def _unpriced(event: DpEvent) -> BudgetError:
    return BudgetError(
        "RF-B211", N_("There is no price for a release of the kind {kind}."), kind=type(event).__name__
    )
