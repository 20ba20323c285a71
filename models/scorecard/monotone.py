"""Directions that people demand of a card: points that never fall, or never rise, along a number's bins.

Isotonic regression (Ayer et al. 1955) of the released parameters, weighted by the noisy mass of each bin:
bins out of order share their mean. A function of released values, so it costs nothing; the bin of missing
values stands outside the order and keeps its points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from ringfence.models.scorecard.binning import Binning
from ringfence.models.scorecard.moments import Moments
from ringfence.models.scorecard.plan import ScorecardOptions


def bent(
    beta: npt.NDArray[np.float64],
    moments: Moments,
    binning: Binning,
    features: tuple[str, ...],
    options: ScorecardOptions,
) -> npt.NDArray[np.float64]:
    """Parameters in the order that the study demands, shape `(1 + bins,)`, the intercept as it was."""
    shaped = beta.copy()
    for index, name in enumerate(features):
        if name not in (*options.rising, *options.falling):
            continue
        first = int(moments.offsets[index])
        chain = slice(first, first + binning.ordered[index])
        along = beta[1:][chain]
        found = isotonic_regression(along, weights=moments.mass[chain], increasing=name in options.rising)
        shaped[1:][chain] = found.x
    return shaped
