"""How large a share of noise makes a block cost what it may: the price, solved for the scale."""

from __future__ import annotations

import math

from ringfence.privacy.accounting.gaussian import SMOOTHING_VARIANCE

SMOOTH_SCALE = 16.0
# Well below what can be drawn (accounting/noise_laws.py), so that shares of other rounds have room as well.
LARGEST_SHARE = 2.0**20


def share_scale(sensitivity_squared: int, mu_squared: float, honest: int) -> float:
    """Scale of a share at which a block costs `mu_squared`: h s^2 = Delta^2 / mu^2 + 4."""
    return math.sqrt((sensitivity_squared / mu_squared + SMOOTHING_VARIANCE) / honest)


def grid_unit(scale_of_one: float) -> int:
    """Smallest power of two that lifts a share's scale to 16 grid units, where rounding costs nothing.

    Args:
        scale_of_one: scale of a share if one customer's entry were 1.
    """
    return 1 << max(0, math.ceil(math.log2(SMOOTH_SCALE / scale_of_one)))
