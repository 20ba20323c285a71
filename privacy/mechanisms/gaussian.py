"""The discrete Gaussian of Canonne, Kamath, Steinke (2020), drawn from tables; a draw returns its own event.

`P(X = x)` is proportional to `exp(-x**2 / (2 s**2))` over the integers. What a draw costs in privacy stands
in the `Noise` it returns; how exact it is stands in `accounting/noise_laws.py`.
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

from ringfence.privacy.accounting.gaussian import SMOOTHING_VARIANCE
from ringfence.privacy.accounting.noise_laws import GaussianLaw, gaussian_law, table_entries
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms.table import WORKING_BITS, MagnitudeTable, build_table

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Noise and what it is worth.

    Attributes:
        values: int64, shape `(count,)`.
        event: the continuous Gaussian mechanism that accounts for one release of sensitivity 1, variance
            `scale**2 - 4` (see privacy/accounting/gaussian.py).
        slack: max-divergence of all draws together from the declared law; goes to epsilon, twice.
        tv_error: total variation of all draws together; times `1 + exp(epsilon)` it goes to delta.
    """

    values: npt.NDArray[np.int64]
    event: DpEvent
    slack: float
    tv_error: float


def draw(scale: float, count: int) -> Noise:
    """Draw discrete Gaussian noise from the operating system's randomness.

    Args:
        scale: parameter s in grid units, at least 4.
        count: how many values.

    Raises:
        BudgetError: the scale is out of range or the count negative.
    """
    from dp_accounting.dp_event import GaussianDpEvent

    law = gaussian_law(scale)
    values = draw_values(law, count)
    event = GaussianDpEvent(noise_multiplier=math.sqrt(scale**2 - SMOOTHING_VARIANCE))
    return Noise(values=values, event=event, slack=count * law.slack, tv_error=count * law.tv_error)


def draw_values(law: GaussianLaw, count: int) -> npt.NDArray[np.int64]:
    """Draw from a law, int64, shape `(count,)`; worked in pieces that fit the processor's cache."""
    if count < 0:
        raise BudgetError(
            "RF-B003", N_("Asked for {count} noise values; expected zero or more."), count=count
        )
    values = np.zeros(count, dtype=np.int64)
    for part in law.parts:
        table = _table(part.scale)
        for start in range(0, count, CHUNK):
            piece = values[start : start + CHUNK]
            # A table reaches 18 scales, so no product leaves 32 bits: 18 * 2**21 < 2**31.
            piece += np.multiply(_signed(table, piece.size), part.factor, dtype=np.int32)
    return values


def _signed(table: MagnitudeTable, count: int) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
    magnitudes = table.magnitudes(entropy.quarters(count))
    sign = entropy.bits(count).view(np.int8)
    # -x is ~x + 1: with sign 1 the exclusive or complements, the addition completes.
    magnitudes ^= -sign
    magnitudes += sign
    return magnitudes


@lru_cache(maxsize=128)
def _table(scale: float) -> MagnitudeTable:
    # The far tail too, which one draw in 2**32 asks for: worked out only then, it would show in the time of a
    # reply.
    return build_table(gaussian_weights(scale, table_entries(scale)))


def gaussian_weights(scale: float, entries: int) -> list[int]:
    """Weights `exp(-k**2 / (2 s**2))` of the magnitudes 0..entries, fixed point of 384 bits, zero's halved.

    The recurrence `w[k+1] = w[k] r[k]`, `r[k+1] = r[k] exp(-1/s**2)` loses less than one unit a step and a
    factor, so each weight is within `entries**2` units, 2**-350 of the largest at most.
    """
    context = Context(prec=140)
    exact = Fraction(scale)
    rate = context.divide(Decimal(-(exact.denominator**2)), Decimal(2 * exact.numerator**2))
    one = 1 << WORKING_BITS
    ratio = int(context.multiply(context.exp(rate), Decimal(one)))
    step = ratio * ratio >> WORKING_BITS
    weight, weights = one, []
    for _ in range(entries + 1):
        weights.append(weight)
        weight = weight * ratio >> WORKING_BITS
        ratio = ratio * step >> WORKING_BITS
    weights[0] >>= 1
    return weights
