"""Renyi divergences, rounded up: of Gaussian, Poisson-sampled Gaussian and discrete Laplace releases.

This is what a ledger with the filter `rdp` is charged. At an integer order a, a step with price m (mu
squared) on a sample of rate q costs `log(1 + S) / (a - 1)` with

    S = sum_{j=2..a} C(a, j) q^j (1-q)^(a-j) (exp(m j (j-1) / 2) - 1)

(Mironov, Talwar, Zhang 2019, whose larger direction this is; the terms of j = 0 and 1 cancel against 1, so
all are positive and nothing is lost to rounding). Between integers `(a - 1) D_a` is convex in a and zero at a
= 1, so the chord is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from ringfence.privacy.accounting.amounts import add, multiply, spent_amount
from ringfence.privacy.accounting.composition import Composition, NoiseForm, at_holders, composition, step_of
from ringfence.privacy.waist import Part, RoundPlan, StudyPlan

Divergences: TypeAlias = Mapping[Decimal, Decimal]

_HALF = Decimal("0.5")
_MANY_ORDERS = tuple(Decimal(order) for order in (*range(2, 33), *range(36, 64, 4), *range(64, 257, 16)))
# Covers the rounding of a few hundred logarithms and exponentials, 5e-14 as measured.
_MARGIN = 1 + 1e-10
# Divergences of a Laplace may be 1e-13 below a term they come from; so many digits leave 40.
_WIDE = Context(prec=60)
_WIDE_MARGIN = Decimal("1e-30")
# Below it a Laplace costs no more than its pure epsilon, which is next to nothing; so many digits would not
# do.
_LEAST_PARAMETER = Decimal("1e-15")


def gaussian_renyi(mu_squared: Decimal, order: Decimal) -> Decimal:
    """`a mu**2 / 2`, exactly, rounded up."""
    return spent_amount(multiply(multiply(mu_squared, order), _HALF))


@lru_cache(maxsize=4096)
def sampled_renyi(mu_squared: Decimal, rate: Fraction, order: Decimal) -> Decimal:
    """Divergence of one step on a Poisson sample, from above.

    Args:
        mu_squared: price of the step for a customer who is in the sample.
        rate: q, in (0, 1].
        order: above 1.
    """
    whole = gaussian_renyi(mu_squared, order)
    if rate == 1:
        return whole
    below, share = divmod(order, 1)
    low, high = int(below), int(below) + 1
    m, q = float(mu_squared), float(rate)
    if q == 1:  # as near to everybody as a float can tell
        return whole
    chord = (1 - float(share)) * _log_moment(m, q, low)
    if share:
        chord += float(share) * _log_moment(m, q, high)
    return min(whole, spent_amount(chord / (float(order) - 1) * _MARGIN))


def _log_moment(mu_squared: float, rate: float, order: int) -> float:
    """`log(1 + S)`: the divergence at an integer order, times the order less 1."""
    logs = [
        math.log(math.comb(order, j))
        + j * math.log(rate)
        + (order - j) * math.log1p(-rate)
        + _log_expm1(mu_squared * j * (j - 1) / 2)
        for j in range(2, order + 1)
        if mu_squared > 0
    ]
    if not logs:
        return 0.0
    most = max(logs)
    total = most + math.log(math.fsum(math.exp(each - most) for each in logs))
    return total + math.log1p(math.exp(-total)) if total > 0 else math.log1p(math.exp(total))


def _log_expm1(value: float) -> float:
    return value + math.log1p(-math.exp(-value)) if value > 1 else math.log(math.expm1(value))


@lru_cache(maxsize=4096)
def laplace_renyi(parameter: Decimal, sensitivity: int, order: Decimal) -> Decimal:
    """Divergence, from above, of a discrete Laplace release, `P(X = x) ~ exp(-parameter |x|)`.

    With u = exp((a-1) parameter), v = exp(-a parameter) the sum over the integers is that of two powers:

        exp((a-1) D_a) = A u^d + (1-A) v^d,   A = (1 - v^2) / ((1 - v/u) (1 + uv))

    The continuous law (Mironov 2017, proposition 6) is the limit of a fine grid, and cheaper than the
    discrete one. Since A lies in (0, 1), `(a-1) D_a` is the cumulant function of two points: convex in d and
    zero at d = 0. So a change of L1 norm d that is spread over several entries costs no more than one entry
    that changes by d.

    Args:
        parameter: one over the scale, above zero.
        sensitivity: d, bound on the L1 norm of what one customer changes, grid units.
        order: a, above 1.
    """
    limit = spent_amount(multiply(parameter, sensitivity))
    if parameter < _LEAST_PARAMETER:
        return limit
    with localcontext(_WIDE):
        ratio, v_squared = (-parameter * (2 * order - 1)).exp(), (-parameter * 2 * order).exp()
        share = (1 - v_squared) / ((1 - ratio) * (1 + (-parameter).exp()))
        moment = (order - 1) * parameter * sensitivity + (share + (1 - share) * ratio**sensitivity).ln()
        found = moment / (order - 1) * (1 + _WIDE_MARGIN)
    # Never more than the limit of large orders.
    return min(spent_amount(found), limit)


def renyi(one: Composition, orders: Sequence[Decimal]) -> Divergences:
    """Divergences of a composition at the orders of a ledger; they add up, also for adaptive choice."""
    return {
        order: add(
            gaussian_renyi(one.mu_squared, order),
            *(multiply(sampled_renyi(s.mu_squared, s.rate, order), s.steps) for s in one.sampled),
        )
        for order in orders
    }


def renyi_epsilon(one: Composition, delta: float) -> float:
    """Epsilon at delta by the best of many orders: quick, and never too low.

    By the conversion of Canonne, Kamath, Steinke (2020), see `filters.rdp_budget`.
    """
    pairs = ((float(order), float(each)) for order, each in renyi(one, _MANY_ORDERS).items())
    return min(r + math.log1p(-1 / a) - math.log(a * delta) / (a - 1) for a, r in pairs)


def round_renyi(plan: RoundPlan, honest: int, orders: Sequence[Decimal]) -> Divergences:
    """One attempt at a round."""
    rate, one = step_of(plan, honest)
    return {order: multiply(sampled_renyi(one, rate, order), plan.releases) for order in orders}


def plan_renyi(
    plan: StudyPlan,
    orders: Sequence[Decimal],
    *,
    overlap: int = 1,
    noise_form: NoiseForm = "distributed",
    attempts: int | None = None,
) -> Mapping[Part, Divergences]:
    """What a study costs a customer of each part.

    Args:
        plan: of the study.
        orders: of the ledger.
        overlap: k; a ledger is charged for what leaves its holder alone, which is k = 1.
        noise_form: one summed noise, or one in each upload.
        attempts: at every round; without it, all that the plan allows.
    """
    count = plan.max_attempts if attempts is None else attempts
    parts: tuple[Part, ...] = ("train", "test")
    return {
        part: renyi(
            at_holders(composition(plan, part, [count] * len(plan.rounds)), overlap, noise_form), orders
        )
        for part in parts
    }
