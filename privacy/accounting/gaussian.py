"""The price of discrete Gaussian noise: Gaussian differential privacy, exact composition, stated slacks.

A discrete Gaussian of variance parameter `s**2` is, within max-divergence `SMOOTHING_SLACK` a coordinate, a
post-processing of the continuous Gaussian of variance `s**2 - 4` (rounding by a discrete Gaussian of width 2,
which commutes with integer shifts). So a release whose blocks have squared sensitivities `D_j` and variances
`v_j` costs `mu**2 = sum D_j / (v_j - 4)`, costs of adaptively chosen releases add up, and

    delta(epsilon) = Phi(mu/2 - epsilon/mu) - exp(epsilon) Phi(-mu/2 - epsilon/mu)

(Dong, Roth, Su 2022; Balle, Wang 2018). Neighbours differ by adding or removing one customer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import erfcx, log_ndtr

from ringfence.privacy.errors import N_, BudgetError

SMOOTHING_VARIANCE = 4.0
SMOOTHING_SLACK = 1e-33
_ROOT_HALF = math.sqrt(0.5)
_ROOT_HALF_PI = math.sqrt(math.pi / 2)
_LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)


def mu_squared(sensitivity_squared: float, scale: float, honest: int) -> float:
    """Price of one block: `D / (h s**2 - 4)` for squared sensitivity D and h shares of parameter s.

    Raises:
        BudgetError: the shares together are too small to account for.
    """
    variance = honest * scale**2 - SMOOTHING_VARIANCE
    if not variance > 0 or not sensitivity_squared >= 0:
        raise BudgetError(
            "RF-B201",
            N_(
                "Noise of scale {scale} in {honest} shares cannot be priced; a scale of at least 4 is needed."
            ),
            scale=scale,
            honest=honest,
        )
    return sensitivity_squared / variance


def tau(honest: int, scale: float) -> float:
    """Max-divergence a coordinate between a sum of h discrete Gaussians and the discrete Gaussian of the sum.

    `10 sum_{k=1}^{h-1} exp(-2 pi**2 s**2 k / (k + 1))` (Kairouz, Liu, Steinke 2021); zero for one share.
    """
    rate = -2.0 * math.pi**2 * scale**2
    return 10.0 * math.fsum(math.exp(rate * k / (k + 1)) for k in range(1, honest))


def log_delta_of(epsilon: float, mu: float) -> float:
    """Logarithm of `delta_of`; `-inf` when there is no loss at all.

    Numerically the two normal tails nearly cancel, so their common factor is taken out: with
    `t = epsilon/mu -+ mu/2` and the Mills ratio m, delta = phi(t1) (m(t1) - m(t2)).
    """
    _check_epsilon(epsilon)
    _check_mu(mu)
    if mu == 0:
        return -math.inf
    low, high = epsilon / mu - mu / 2, epsilon / mu + mu / 2
    if low < -1:
        # Far left of the bend nothing cancels: delta is the better part of Phi(-low).
        first = float(log_ndtr(-low))
        second = epsilon + float(log_ndtr(-high))
        return first + math.log1p(-math.exp(second - first)) if second < first else -math.inf
    gap = _mills_gap(low, mu)
    return -low * low / 2 - _LOG_ROOT_TAU + math.log(gap) if gap > 0 else -math.inf


def _mills_gap(low: float, mu: float) -> float:
    """`m(low) - m(low + mu)` for the Mills ratio `m(t) = (1 - Phi(t)) / phi(t)`."""
    if mu < 0.01:
        # The two nearly agree, so the slope `1 - t m(t)` is integrated instead (Simpson).
        slopes = [1 - t * _mills(t) for t in (low, low + mu / 2, low + mu)]
        return mu * (slopes[0] + 4 * slopes[1] + slopes[2]) / 6
    return _mills(low) - _mills(low + mu)


def _mills(t: float) -> float:
    return float(erfcx(t * _ROOT_HALF)) * _ROOT_HALF_PI


def delta_of(epsilon: float, mu: float) -> float:
    """The delta at which a mu-Gaussian private release is (epsilon, delta) private.

    Args:
        epsilon: zero or more.
        mu: zero or more.

    Raises:
        BudgetError: an argument is negative or not a number.
    """
    return math.exp(log_delta_of(epsilon, mu))


def epsilon_of(delta: float, mu: float) -> float:
    """The least epsilon, from above, with `delta_of(epsilon, mu) <= delta`.

    Raises:
        BudgetError: delta is not between 0 and 1, or mu is negative.
    """
    _check_delta(delta)
    _check_mu(mu)
    goal = math.log(delta)
    if mu == 0 or log_delta_of(0.0, mu) <= goal:
        return 0.0
    # Phi(-t) <= exp(-t**2 / 2) shows that this is enough; the last term covers rounding.
    enough = mu * mu / 2 + mu * math.sqrt(-2 * goal) + 1e-9
    return _boundary(lambda epsilon: log_delta_of(epsilon, mu) <= goal, 0.0, enough)


def mu_of(epsilon: float, delta: float) -> float:
    """The largest mu, from below, with `delta_of(epsilon, mu) <= delta`.

    Raises:
        BudgetError: epsilon is negative or delta not between 0 and 1.
    """
    _check_epsilon(epsilon)
    _check_delta(delta)
    goal = math.log(delta)
    above = 1.0
    while log_delta_of(epsilon, above) <= goal:
        above *= 2
    return -_boundary(lambda minus: log_delta_of(epsilon, -minus) <= goal, -above, 0.0)


def _boundary(holds: Callable[[float], bool], fails: float, succeeds: float) -> float:
    """Bisect to the edge of a monotone condition and stay on the side where it holds."""
    while (middle := (fails + succeeds) / 2) not in (fails, succeeds):
        if holds(middle):
            succeeds = middle
        else:
            fails = middle
    return succeeds


def _check_epsilon(epsilon: float) -> None:
    if not (epsilon >= 0 and math.isfinite(epsilon)):
        raise BudgetError("RF-B202", N_("epsilon is {value}; expected zero or more."), value=epsilon)


def _check_mu(mu: float) -> None:
    if not (mu >= 0 and math.isfinite(mu)):
        raise BudgetError("RF-B203", N_("mu is {value}; expected zero or more."), value=mu)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise BudgetError("RF-B204", N_("delta is {value}; expected between 0 and 1."), value=delta)
