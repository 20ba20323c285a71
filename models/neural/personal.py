"""Mean-regularised personalisation: a holder's own weights, pulled towards what all holders share.

Liu et al. (2022), On privacy and personalization in cross-silo federated learning: minimise a holder's own loss plus
`pull / 2 |own - common|^2`. With customers as the unit of privacy the gradient has to be a noisy one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def mean_regularised(own: Vector, common: Vector, gradient: Vector, *, rate: float, pull: float) -> Vector:
    """One step of a holder's own weights.

    Args:
        own: shape `(d,)`.
        common: the weights all holders share now, shape `(d,)`.
        gradient: noisy mean gradient of the holder's customers at `own`, shape `(d,)`.
        rate: of the step.
        pull: 0 trains alone; the larger, the nearer to the common weights.

    Returns:
        Shape `(d,)`. The pull is taken implicitly, so that no value of it overshoots.
    """
    return np.asarray((own - rate * gradient + rate * pull * common) / (1.0 + rate * pull))
