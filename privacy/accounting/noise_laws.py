"""The laws that can be drawn, as numbers: table sizes, how large scales are split, how far a draw may be off.

Formal guarantees:
    A draw from a table of `entries` thresholds of 192 bits is within total variation `entries * 2**-192` of
    the discrete Gaussian: each threshold is off by less than 2**-192, and the tail beyond the table weighs
    less than 2**-220. `X1 + m X2` with `s1 >= 4 m`, `s2 >= 4` is within max-divergence `CONVOLUTION_SLACK` of
    the discrete Gaussian of variance parameter `s1**2 + m**2 s2**2`: the ratio of the two laws at x is
    proportional to `sum_j exp(-(j - c x)**2 / (2 t**2))` with `1/t**2 = m**2/s1**2 + 1/s2**2 <= 1/8`, which
    by Poisson summation stays within `1 +- 2.1 exp(-16 pi**2)` of its mean (Micciancio, Walter 2017). A
    geometric magnitude is split and restarted without any error: it forgets what it has passed, so its digits
    to any base are independent, and a draw beyond the table is the table's end plus a fresh draw (Canonne,
    Kamath, Steinke 2020). What is left are the thresholds, off by less than 2**-192 each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ringfence.privacy.errors import N_, BudgetError

SMALLEST_SCALE = 4.0
LARGEST_TABLE = 4096.0
LARGEST_SCALE = 2.0**21
# The sum of two tables that larger scales are drawn from: s2 is 6.9 for 4096 and below 4096 for 2**21.
INNER_SCALE, OUTER_FACTOR = 2048.0, 512
THRESHOLD_BITS = 192
# exp(-t**2 / 2) < 2**-233 at t = 18, less than 2**-220 after summing the tail at the largest scale.
TAIL_SCALES = 18
# A discrete Laplace draw reaches beyond its table once in exp(8) times and is then restarted.
GEOMETRIC_SCALES = 8
SMALLEST_LAPLACE = 0.125
LARGEST_GEOMETRIC = 1024.0
# ln((1 + e) / (1 - e)) with e = 2.1 exp(-16 pi**2) < 5.6e-69, rounded up.
CONVOLUTION_SLACK = 1.2e-68


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianPart:
    """One table of a law: `factor` times a draw of the discrete Gaussian of parameter `scale`."""

    scale: float
    factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianLaw:
    """How a discrete Gaussian is drawn.

    Attributes:
        scale: the parameter s asked for.
        parts: independent draws that are added up; their variance parameters sum to at least `scale**2`.
        slack: max-divergence of one draw from the discrete Gaussian, goes to epsilon.
        tv_error: total variation of one draw from what the parts declare, goes to delta.
    """

    scale: float
    parts: tuple[GaussianPart, ...]
    slack: float
    tv_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceLaw:
    """How a discrete Laplace is drawn: `P(X = x)` is proportional to `exp(-|x| / scale)`.

    Attributes:
        scale: the parameter t asked for, exactly.
        base: the magnitude is `low + base * high`; 1 when there is no low digit.
        entries: thresholds in the table of `high`.
        tv_error: total variation of one draw from the declared law, goes to delta.
    """

    scale: Fraction
    base: int
    entries: int
    tv_error: float


def table_entries(scale: float) -> int:
    """Number of thresholds in the table of the magnitude."""
    return math.ceil(TAIL_SCALES * scale) + 1


def check_scale(scale: float) -> float:
    """Return the scale if noise of it can be drawn and accounted for.

    Raises:
        BudgetError: smaller than 4 grid units, or too large for two tables.
    """
    if not (math.isfinite(scale) and scale >= SMALLEST_SCALE):
        raise BudgetError(
            "RF-B001",
            N_("The noise scale is {scale} grid units; at least {least} is needed. Choose a finer grid."),
            scale=scale,
            least=SMALLEST_SCALE,
        )
    if scale > LARGEST_SCALE:
        raise BudgetError(
            "RF-B002",
            N_("The noise scale is {scale} grid units; at most {most} is possible. Choose a coarser grid."),
            scale=scale,
            most=LARGEST_SCALE,
        )
    return float(scale)


@lru_cache(maxsize=256)
def gaussian_law(scale: float) -> GaussianLaw:
    """Decide how the discrete Gaussian of parameter `scale` is drawn.

    Raises:
        BudgetError: the scale is out of range.
    """
    scale = check_scale(scale)
    if scale <= LARGEST_TABLE:
        parts: tuple[GaussianPart, ...] = (GaussianPart(scale=scale, factor=1),)
        slack = 0.0
    else:
        parts = _split(scale)
        slack = CONVOLUTION_SLACK
    tv_error = sum(table_entries(part.scale) for part in parts) * 2.0**-THRESHOLD_BITS
    return GaussianLaw(scale=scale, parts=parts, slack=slack, tv_error=tv_error)


def _split(scale: float) -> tuple[GaussianPart, GaussianPart]:
    """`X1 + m X2` with `s1**2 + m**2 s2**2 >= scale**2`, `s1 >= 4 m`, `s2 >= 4`, both in a table.

    s1 and m are the same for every scale, so that all large scales share the table of X1, the larger one
    mostly.
    """
    square = Fraction(scale) ** 2
    outer = math.sqrt(square - Fraction(INNER_SCALE) ** 2) / OUTER_FACTOR
    while Fraction(INNER_SCALE) ** 2 + OUTER_FACTOR**2 * Fraction(outer) ** 2 < square:
        outer = math.nextafter(outer, math.inf)
    return GaussianPart(scale=INNER_SCALE, factor=1), GaussianPart(scale=outer, factor=OUTER_FACTOR)


@lru_cache(maxsize=256)
def laplace_law(scale: float | Fraction) -> LaplaceLaw:
    """Decide how the discrete Laplace of parameter `scale` is drawn.

    Raises:
        BudgetError: the scale is out of range.
    """
    if not (math.isfinite(scale) and scale >= SMALLEST_LAPLACE):
        raise BudgetError(
            "RF-B007",
            N_("The Laplace scale is {scale} grid units; at least {least} is needed. Choose a finer grid."),
            scale=float(scale),
            least=SMALLEST_LAPLACE,
        )
    if scale > LARGEST_SCALE:
        raise BudgetError(
            "RF-B008",
            N_("The Laplace scale is {scale} grid units; at most {most} is possible. Choose a coarser grid."),
            scale=float(scale),
            most=LARGEST_SCALE,
        )
    exact = Fraction(scale)
    # Digits of about equal size keep both tables short.
    base = 1 if exact <= LARGEST_GEOMETRIC else math.isqrt(math.floor(exact))
    entries = math.ceil(GEOMETRIC_SCALES * exact / base)
    # A draw looks less than four times into each table on average: at most every second one is drawn anew
    # because it is a negative zero, and few go beyond the table.
    return LaplaceLaw(
        scale=exact, base=base, entries=entries, tv_error=4 * (base + entries) * 2.0**-THRESHOLD_BITS
    )
