"""An oracle for the price of sampled steps that shares nothing with the accountant: the mixture itself.

A customer at k holders, each of which draws its own sample at rate q, moves one noisy sum by j times what it
moves at one holder, where j is binomial. So a step is the pair of a normal law and a binomial mixture of
shifted ones. Their privacy loss is put on a grid, convolved with itself and with the loss of the unsampled
releases, and read off at delta, in both directions. Rounding to the nearest point of the grid makes the
answer right to a few parts in a thousand and no bound; it is compared, never charged.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Floats = npt.NDArray[np.float64]

_STEP = 2e-3
_REACH = 60.0
# Beyond it a loss counts in full at any epsilon that is asked for here; two of them stay on the grid.
_MOST = 25.0
_SPREAD = 11.0


def mixture_epsilon(
    *, delta: float, holders: int, rate: float, mu: float, steps: int, besides: float = 0.0
) -> float:
    """Epsilon at delta for a customer at some holders, over one summed noise.

    Args:
        delta: of the promise.
        holders: k.
        rate: q of every holder's own sample.
        mu: of one step, for a customer of one holder who is in the sample.
        steps: how many.
        besides: mu of everything that is not sampled, all holders together.
    """
    return max(_epsilon(delta, holders, rate, mu, steps, besides, remove) for remove in (False, True))


def _epsilon(
    delta: float, holders: int, rate: float, mu: float, steps: int, besides: float, remove: bool
) -> float:
    one = _loss_of_step(holders, rate, mu, remove)
    size = 1 << math.ceil(math.log2(2 * _REACH / _STEP))
    spectrum = np.fft.rfft(_wrapped(*one, size)) ** steps
    if besides:
        losses = np.linspace(-_SPREAD, _SPREAD, 40_001) * besides + besides**2 / 2
        weights = stats.norm.pdf((losses - besides**2 / 2) / besides)
        spectrum *= np.fft.rfft(_wrapped(losses, weights / weights.sum(), size))
    total = np.maximum(np.fft.irfft(spectrum, size), 0.0)
    losses = (np.arange(size) - np.where(np.arange(size) >= size // 2, size, 0)) * _STEP
    order = np.argsort(losses)
    losses, total = losses[order], total[order]

    def excess(epsilon: float) -> float:
        above = losses > epsilon
        return float((total[above] * -np.expm1(epsilon - losses[above])).sum()) - delta

    low, high = 0.0, _REACH / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _loss_of_step(holders: int, rate: float, mu: float, remove: bool) -> tuple[Floats, Floats]:
    """Losses of one step and how likely they are, from a fine grid of what is released."""
    x = np.linspace(-_SPREAD, _SPREAD + holders * mu, 60_001)
    weights = stats.binom.logpmf(np.arange(holders + 1), holders, rate)
    mixed = special.logsumexp(
        [weight + stats.norm.logpdf(x - j * mu) for j, weight in enumerate(weights)], axis=0
    )
    plain = stats.norm.logpdf(x)
    above, below = (plain, mixed) if remove else (mixed, plain)
    likely = np.exp(above)
    return above - below, likely / likely.sum()


def _wrapped(losses: Floats, weights: Floats, size: int) -> Floats:
    """The law on the grid, negative losses at the end as a transform has them."""
    places = np.rint(np.clip(losses, -_MOST, _MOST) / _STEP).astype(np.int64)
    return np.bincount(places % size, weights=weights, minlength=size)
