"""The accountant against what it does not know: closed forms, sixty digits, exact discrete laws, published
figures.

`figures` recomputes prices by other means. `discrete` sums the exact privacy loss of the discrete laws that
are really drawn and compares it with what a plan charges for them. `slacks` measures, with 120 digits, how
far a sum of shares is from the law it is accounted as. `study` asks whether the signed epsilon covers what
the plan costs.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import mpmath as mp
import numpy as np
from prove.bounds import masses_of_sum
from prove.cases import CASES, DELTA, EPSILON
from prove.finding import Finding

from ringfence.privacy.accounting.filters import MU_AXIS
from ringfence.privacy.accounting.gaussian import delta_of, epsilon_of, log_delta_of, mu_of
from ringfence.privacy.accounting.pld import epsilon_of_plan, renyi_of_plan, sampled_gaussian
from ringfence.privacy.accounting.slack import block_slacks
from ringfence.privacy.accounting.study import price
from ringfence.privacy.ledger.planned import quote
from ringfence.privacy.waist import BlockPlan

AXES = {MU_AXIS: Decimal(0)}
POINTS = [
    (mu, mu * mu / 2 + sigmas * mu)
    for mu in (0.003, 0.1, 0.7, 1.0, 3.0, 12.0)
    for sigmas in (-1.0, 0.0, 2.0, 6.0)
]


def figures() -> Finding:
    """Prices by other means: mpmath, the closed form at epsilon 0, published numbers, Google's
    accountants.
    """
    worst = 0.0
    for mu, epsilon in POINTS:
        epsilon = max(epsilon, 0.0)
        worst = max(worst, abs(log_delta_of(epsilon, mu) - _log_delta(epsilon, mu)))
        worst = max(worst, abs(delta_of(0.0, mu) / math.erf(mu / math.sqrt(8)) - 1))
    one = mu_of(1.0, 1e-6)
    published = [
        (epsilon_of(1e-6, math.sqrt(10) / 12), 1.1228, 1e-4),
        (epsilon_of(1e-6, 2 * one), 2.12, 5e-3),
        (epsilon_of(1e-6, math.sqrt(2) * one), 1.45, 5e-3),
        (epsilon_of_plan(sampled_gaussian(0.01, 1.0, 1000), 1e-6), 2.1245, 2e-3),
        (_renyi_epsilon(0.01, 1.0, 1000), 2.4367, 5e-3),
    ]
    off = max(abs(found - wanted) / wanted for found, wanted, _ in published)
    return Finding(
        evidence=f"{len(POINTS)} prices within {worst:.0e} of 60 digits; {len(published)} oracle figures "
        f"within {off:.1e}",
        bound="1e-9; the figures' own digits",
        holds=worst < 1e-9 and all(abs(found - wanted) <= digits for found, wanted, digits in published),
    )


def _log_delta(epsilon: float, mu: float) -> float:
    with mp.workdps(60):
        e, m = mp.mpf(epsilon), mp.mpf(mu)
        return float(mp.log(mp.ncdf(m / 2 - e / m) - mp.exp(e) * mp.ncdf(-m / 2 - e / m)))


def _renyi_epsilon(rate: float, noise: float, steps: int) -> float:
    """Epsilon at 1e-6 from the divergences that a ledger with the filter `rdp` is charged, at finer
    orders.
    """
    from decimal import Decimal

    orders = [Decimal(order) / 10 for order in range(15, 200, 5)]
    divergences = renyi_of_plan(sampled_gaussian(rate, noise, steps), orders)
    return min(
        each + math.log1p(-1 / float(order)) - math.log(1e-6 * float(order)) / (float(order) - 1)
        for order, each in divergences.items()
    )


def discrete() -> Finding:
    """The exact delta of the drawn laws, one share and several, never exceeds the delta that is charged."""
    excess = -math.inf
    cases = [
        (scale, shares, shift) for scale in (4.0, 4.5, 6.0) for shares in (1, 2, 3) for shift in (1, 2, 5, 9)
    ]
    for scale, shares, shift in cases:
        block = BlockPlan(
            name="b", sensitivity_squared=shift**2, max_abs=shift, share_scale=scale, max_length=1
        )
        mu = math.sqrt(block.mu_squared(shares))
        x, law = masses_of_sum(scale, shares)
        moved = np.interp(x - shift, x, law, left=0.0, right=0.0)
        for epsilon in np.linspace(0.0, mu * (mu / 2 + 4), 40):
            gain = moved - math.exp(epsilon) * law
            claim = delta_of(float(epsilon), mu)
            if claim > 1e-9:
                excess = max(excess, math.fsum(gain[gain > 0]) / claim - 1)
    return Finding(
        evidence=f"exact delta of {len(cases)} discrete laws at 40 epsilons: at most {1 + excess:.4f} of the "
        "claim",
        bound="at most 1",
        holds=excess <= 1e-9,
    )


def slacks() -> Finding:
    """How far the law of h shares is from the one that is accounted, against the slack that epsilon is raised
    by.
    """
    worst, least = mp.mpf(0), mp.inf
    with mp.workdps(120):
        for scale, honest in ((4.0, 2), (4.0, 3), (4.25, 2)):
            block = BlockPlan(name="b", sensitivity_squared=1, max_abs=1, share_scale=scale, max_length=1)
            claimed = mp.mpf(block_slacks(block, 1, honest)[0])
            found = 2 * (_divergence(scale, honest) + _rounding())
            worst, least = max(worst, found / claimed if claimed else mp.inf), min(least, found)
    return Finding(
        evidence=f"divergence of a sum of shares is {mp.nstr(worst, 2)} of its slack (least measured "
        f"{mp.nstr(least, 2)})",
        bound="at most 1, with something measured",
        holds=bool(least > 0 and worst <= 1),
    )


def _divergence(scale: float, honest: int) -> mp.mpf:
    """Largest log ratio, over a few integers, of the law of two halves of the shares to the law of the
    sum.
    """
    square = mp.mpf(scale) ** 2
    one, rest = square, (honest - 1) * square
    total = one + rest
    logs = []
    for x in range(int(3 * scale)):
        terms = (
            mp.exp(-(mp.mpf(k) ** 2) / (2 * one) - mp.mpf(x - k) ** 2 / (2 * rest)) for k in range(-100, 101)
        )
        logs.append(mp.log(mp.fsum(terms)) + mp.mpf(x) ** 2 / (2 * total))
    return max(logs) - min(logs)


def _rounding() -> mp.mpf:
    """How uneven rounding by a discrete Gaussian of width 2 is: its normaliser at an integer and half way
    between.
    """
    whole, half = (
        mp.fsum(mp.exp(-((k - y) ** 2) / 8) for k in range(-100, 101)) for y in (mp.mpf(0), mp.mpf("0.5"))
    )
    return mp.log(whole / half)


def study() -> Finding:
    """Plans cost what the signed study says, with every overlap and form of noise, and retries are
    reserved.
    """
    worst, reserved = 0.0, True
    for case in CASES:
        for form in ("distributed", "local"):
            for overlap in (1, 2, 3):
                privacy = {"epsilon": EPSILON, "delta": f"{DELTA:f}", "noise": form}
                context = case.context(overlap, privacy=privacy)
                plan = case.task.plan(context)
                found = price(plan, delta=DELTA, overlap=overlap, noise_form=form)  # type: ignore[arg-type]
                worst = max(worst, found.customer_epsilon / float(EPSILON))
                least = Fraction(plan.mu_squared) + (plan.max_attempts - 1) * Fraction(
                    math.fsum(each.mu_squared(plan.honest) for each in plan.of_part("train"))
                )
                reserved &= Fraction(quote(plan, AXES).amounts[MU_AXIS]) >= least * (1 - Fraction(1, 10**12))
    return Finding(
        evidence=f"plans of {len(CASES)} tasks cost at most {worst:.8f} of the signed epsilon (k = 1..3, "
        "both noises)",
        bound="at most 1, and all attempts reserved",
        holds=worst <= 1 and worst > 0.999 and reserved,
    )
