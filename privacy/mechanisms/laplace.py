"""The discrete Laplace, drawn from tables; a draw returns its exact epsilon and its own event.

`P(X = x) = exp(-|x| / t) tanh(1 / (2 t))` over the integers (Ghosh, Roughgarden, Sundararajan 2009). A
release whose integers one customer changes by at most D in L1 is exactly `D / t`-private by itself. Such
noise is for releases that are private alone: a sum of several draws is no discrete Laplace, so there are no
shares of it.

Formal guarantees:
    A magnitude is `low + m high` for a geometric `high` of ratio `exp(-m / t)` and a `low` below m with
    weights `exp(-low / t)`; both are independent, and the product of the laws is the geometric of ratio
    `exp(-1 / t)`. Under a random sign zero would come twice, so a negative zero is drawn anew. None of this
    approximates anything; a draw is off by its tables' thresholds only (accounting/noise_laws.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ringfence.privacy.accounting.noise_laws import LaplaceLaw, laplace_law
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms.table import WORKING_BITS, MagnitudeTable, build_table

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceNoise:
    """Noise and what it is worth.

    Attributes:
        values: int64, shape `(count,)`.
        epsilon: the exact price of the release of all values together, `sensitivity / scale`; delta is zero.
        event: the same for dp-accounting. It is the discrete law's own event: the continuous Laplace of the
            same scale is cheaper between multiples of `2 / scale`, so it would under-report.
        tv_error: total variation of all draws together; times `1 + exp(epsilon)` it goes to delta.
    """

    values: npt.NDArray[np.int64]
    epsilon: Fraction
    event: DpEvent
    tv_error: float


def draw(scale: float | Fraction, count: int, *, sensitivity: int = 1, honest: int = 1) -> LaplaceNoise:
    """Draw discrete Laplace noise from the operating system's randomness, for one release.

    Args:
        scale: parameter t in grid units, at least 1/8; taken exactly as it is given.
        count: how many values.
        sensitivity: bound on the L1 norm of what one customer changes in all values together, grid units.
        honest: shares that are counted on in a sum; anything but 1 is refused.

    Raises:
        BudgetError: shares were asked for, or an argument is out of range.
    """
    if honest != 1:
        raise BudgetError(
            "RF-B009",
            N_(
                "Discrete Laplace noise cannot be shared among {honest} holders: the sum of the shares would "
                "have another law. Use discrete Gaussian shares, or noise = local."
            ),
            honest=honest,
        )
    law = laplace_law(scale)
    event = event_of(law, sensitivity)
    return LaplaceNoise(
        values=draw_values(law, count),
        epsilon=sensitivity / law.scale,
        event=event,
        tv_error=count * law.tv_error,
    )


def event_of(law: LaplaceLaw, sensitivity: int) -> DpEvent:
    """A release of L1 sensitivity `sensitivity` for dp-accounting; its parameter is rounded up.

    Raises:
        BudgetError: the sensitivity is not a whole number above zero.
    """
    from dp_accounting.dp_event import DiscreteLaplaceDpEvent

    if type(sensitivity) is not int or sensitivity < 1:
        raise BudgetError(
            "RF-B010",
            N_("The L1 sensitivity is {sensitivity} grid units; expected a whole number above zero."),
            sensitivity=sensitivity,
        )
    parameter = float(1 / law.scale)
    if Fraction(parameter) < 1 / law.scale:
        parameter = math.nextafter(parameter, math.inf)
    return DiscreteLaplaceDpEvent(noise_parameter=parameter, sensitivity=sensitivity)


def draw_values(law: LaplaceLaw, count: int) -> npt.NDArray[np.int64]:
    """Draw from a law, int64, shape `(count,)`; worked in pieces that fit the processor's cache."""
    if count < 0:
        raise BudgetError(
            "RF-B003", N_("Asked for {count} noise values; expected zero or more."), count=count
        )
    values = np.empty(count, dtype=np.int64)
    for start in range(0, count, CHUNK):
        piece = values[start : start + CHUNK]
        _fill(law, piece)
    return values


def _fill(law: LaplaceLaw, piece: npt.NDArray[np.int64]) -> None:
    """Magnitudes with random signs, where a negative zero is drawn anew."""
    piece[:], again = _signed(law, piece.size)
    while again.size:
        piece[again], rejected = _signed(law, again.size)
        again = again[rejected]


def _signed(law: LaplaceLaw, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Signed values, and where they are negative zeros."""
    sign = entropy.bits(count).astype(np.int64)
    magnitudes = _geometric(law, count)
    # -x is ~x + 1, so a negative zero is where the sign is above the magnitude.
    return (magnitudes ^ -sign) + sign, np.flatnonzero(sign > magnitudes)


def _geometric(law: LaplaceLaw, count: int) -> npt.NDArray[np.int64]:
    """Geometric magnitudes, `P(K = k)` proportional to `exp(-k / t)`, int64."""
    table = high_table(law.scale / law.base, law.entries)
    magnitudes = table.magnitudes(entropy.quarters(count)).astype(np.int64)
    beyond = np.flatnonzero(magnitudes == law.entries)
    while beyond.size:
        more = table.magnitudes(entropy.quarters(beyond.size))
        magnitudes[beyond] += more
        beyond = beyond[more == law.entries]
    if law.base > 1:
        magnitudes *= law.base
        magnitudes += low_table(law.scale, law.base).magnitudes(entropy.quarters(count))
    return magnitudes


@lru_cache(maxsize=128)
def high_table(scale: Fraction, entries: int) -> MagnitudeTable:
    """The table of the leading part of a magnitude; its last entry begins anew above it."""
    weights = geometric_weights(scale, entries + 1)
    one = 1 << WORKING_BITS
    # All that lies beyond the table, `r**entries / (1 - r)` with r = weights[1], is one more magnitude.
    weights[-1] = weights[-1] * one // (one - weights[1])
    return build_table(weights)


@lru_cache(maxsize=128)
def low_table(scale: Fraction, base: int) -> MagnitudeTable:
    """The table of the rest of a magnitude below `base`."""
    return build_table(geometric_weights(scale, base))


def geometric_weights(scale: Fraction, count: int) -> list[int]:
    """Weights `exp(-k / t)` of k = 0..count-1, fixed point of 384 bits, each within `count` units."""
    context = Context(prec=140)
    rate = context.divide(Decimal(-scale.denominator), Decimal(scale.numerator))
    one = 1 << WORKING_BITS
    ratio = int(context.multiply(context.exp(rate), Decimal(one)))
    weights = [one]
    for _ in range(count - 1):
        weights.append(weights[-1] * ratio >> WORKING_BITS)
    return weights
