"""How much noise a step on a Poisson sample needs, so that all steps together keep to (epsilon, delta).

The Renyi price, which is quick and never too low, brackets the answer; privacy loss distributions find it,
first on a coarse grid of losses, then once more on the fine one. Both grids round against us, so what is
returned keeps the promise whatever the search did.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from ringfence.privacy.accounting.amounts import spent_amount
from ringfence.privacy.accounting.composition import Composition, NoiseForm, SampledSteps, at_holders
from ringfence.privacy.accounting.gaussian import mu_of
from ringfence.privacy.accounting.pld import TRANSFORM_ERROR, epsilon_of_composition, grid
from ringfence.privacy.accounting.renyi import renyi_epsilon
from ringfence.privacy.accounting.study import DELTA_RESERVE, EPSILON_RESERVE, LARGEST_EPSILON
from ringfence.privacy.errors import N_, BudgetError

# Step of the fine grid of losses over the epsilon wanted; the coarse one is four times wider.
_INTERVAL_SHARE = 3e-4
_NEAR = 1e-3
# A report prices on a grid of its own; this part of epsilon is kept for the difference.
_GRID_RESERVE = 1e-5
_SMALLEST, _LARGEST = 0.05, 4.0**14


@lru_cache(maxsize=256)
def noise_multiplier(
    *,
    epsilon: float | Decimal,
    delta: float | Decimal,
    rate: Fraction,
    steps: int,
    overlap: int = 1,
    noise_form: NoiseForm = "distributed",
    besides: Decimal = Decimal(0),
) -> float:
    """The noise of one step over its sensitivity, `1 / mu`, at which a customer's price is within bounds.

    Args:
        epsilon, delta: the customer's, over all holders; the reserves for slacks of sampling are kept, see
            `study.calibrate`. Beyond epsilon 32 the answer is that for 32.
        rate: q, in (0, 1]; 1 is answered by the closed formula.
        steps: how many, over all rounds that read this part of the customers, one attempt at each.
        overlap: k, the most holders one customer may be at.
        noise_form: one summed noise, or one in each upload.
        besides: mu squared of the unsampled releases that the same customers meet at one holder.

    Returns:
        A noise that the accountant accepts; half a per cent less is refused.

    Raises:
        BudgetError: an argument is out of range, or `besides` alone costs more.
    """
    _check_plan(rate, steps, besides)
    wanted = min(float(epsilon), LARGEST_EPSILON) * (1 - EPSILON_RESERVE)
    certain = float(delta) * (1 - DELTA_RESERVE)
    bound = mu_of(wanted, certain)
    alone = at_holders(Composition(mu_squared=besides), overlap, noise_form).mu_squared
    if alone >= Decimal(bound) ** 2:
        raise BudgetError(
            "RF-B232",
            N_("What the study releases besides its steps costs all of epsilon {epsilon}."),
            epsilon=epsilon,
        )
    if rate == 1:
        per_step = (bound**2 - float(alone)) / (steps * overlap ** (2 if noise_form == "distributed" else 1))
        return (1 + 1e-9) / math.sqrt(per_step)

    def met(noise: float) -> Composition:
        one = SampledSteps(rate=rate, mu_squared=spent_amount(1 / noise**2), steps=steps)
        return at_holders(Composition(mu_squared=besides, sampled=(one,)), overlap, noise_form)

    if certain <= TRANSFORM_ERROR * met(_SMALLEST).releases:
        raise BudgetError(
            "RF-B235",
            N_(
                "delta {delta} is too small to be sure of after {steps} steps; plan fewer, or a larger delta."
            ),
            delta=delta,
            steps=steps,
        )
    return _least(met, alone, wanted * (1 - _GRID_RESERVE), certain)


def _check_plan(rate: Fraction, steps: int, besides: Decimal) -> None:
    if not 0 < rate <= 1 or steps < 1 or besides < 0:
        raise BudgetError(
            "RF-B231",
            N_("A rate of {rate} and {steps} steps are not a plan that noise can be found for."),
            rate=str(rate),
            steps=steps,
        )


def _least(met: Callable[[float], Composition], alone: Decimal, wanted: float, certain: float) -> float:
    """The noise at which a customer pays `wanted` at delta `certain`; no noise lessens `alone`."""

    def excess(interval: float) -> Callable[[float], float]:
        return lambda noise: epsilon_of_composition(met(noise), certain, interval) - wanted

    fine = grid(wanted, _INTERVAL_SHARE)
    coarse = excess(4 * fine)
    # The Renyi price is of no help where epsilon is tiny or nearly all spent on what is unsampled.
    helps = renyi_epsilon(Composition(mu_squared=alone), certain) < 0.9 * wanted
    most = _enough(
        (lambda noise: renyi_epsilon(met(noise), certain) <= wanted)
        if helps
        else (lambda noise: coarse(noise) <= 0)
    )
    start, slope = _root(coarse, most)
    return _polished(excess(fine), start, slope)


def _enough(holds: Callable[[float], bool]) -> float:
    """A noise that keeps the promise by the Renyi price, within a hundredth of the least."""
    low, high = _SMALLEST, 1.0
    while not holds(high):
        low, high = high, high * 4
        if high > _LARGEST:
            raise BudgetError("RF-B233", N_("No noise keeps so many steps within this epsilon; plan fewer."))
    for _ in range(9):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _root(excess: Callable[[float], float], most: float) -> tuple[float, float]:
    """A noise with no excess, within `_NEAR` of one with some; and the slope of the excess there.

    Where so few are sampled that hardly any noise is needed, the smallest one is the answer, without a slope.
    """
    high, above = most, excess(most)
    while above > 0:
        high *= 1.05
        above = excess(high)
    low, below = high, above
    while below <= 0 and low > _SMALLEST:
        high, above = low, below
        low = max(low / 1.15, _SMALLEST)
        below = excess(low)
    if below <= 0:
        return low, math.inf
    while high / low > 1 + _NEAR:
        # The line through both ends, kept off the ends so that each step cuts a part away.
        share = min(max(below / (below - above), 0.02), 0.98)
        middle = low + share * (high - low)
        found = excess(middle)
        low, below, high, above = (low, below, middle, found) if found <= 0 else (middle, found, high, above)
    return high, (above - below) / (high - low)


def _polished(excess: Callable[[float], float], start: float, slope: float) -> float:
    """Use up what the fine grid leaves; `start` keeps the promise on the coarse one."""
    best, left = start, excess(start)
    while left > 0:
        best *= 1 + _NEAR
        left = excess(best)
    for part in (0.98, 0.8):
        tried = best - part * left / slope
        if 0 < tried < best and excess(tried) <= 0:
            return tried
    return best
