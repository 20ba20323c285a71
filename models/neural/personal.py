"""Mean-regularised personalisation: a holder's own network, pulled towards what all holders share.

Liu, Hu, Wu, Smith (2022), On privacy and personalization in cross-silo federated learning: minimise a
holder's own loss plus `pull / 2 |own - common|^2`. With customers as the unit of privacy the gradient has to
be a noisy one. The common weights are the mean of the holders' own, so what a holder uploads is the distance
of its own from the common.

Only noisy sums and public queries are seen, so own weights are as private as an upload and cost nothing
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ringfence.models.neural.holder import change_of, descended, whole_weights
from ringfence.models.neural.model import NeuralModel
from ringfence.models.neural.options import options_of
from ringfence.models.neural.plan import Kind, design
from ringfence.models.neural.rounding import WEIGHT_BITS
from ringfence.models.task import NoisySteps, StudyContext
from ringfence.privacy.waist import Contribution, Query

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWeights:
    """What a holder keeps from round to round.

    Attributes:
        weights: where its last round ended, shape `(d,)`.
        total: sum of the ends of those rounds whose mean is taken, shape `(d,)`.
        averaged: how many they are.
    """

    weights: Vector
    total: Vector
    averaged: int = 0


def wanted(context: StudyContext) -> bool:
    """Whether the study gives each holder a network of its own."""
    return options_of(context).personal is not None


def train_own(
    kind: Kind, context: StudyContext, query: Query, steps: NoisySteps, before: OwnWeights | None
) -> tuple[Contribution, OwnWeights]:
    """Descend from the holder's own weights, pulled towards the common ones in the query.

    Args:
        kind: mlp or lstm.
        context: the study and its public cells.
        query: accepted by `lengths`.
        steps: of the attempt.
        before: what the holder kept before this round; None where it keeps nothing yet, or lost it: it then
            begins from the common weights.

    Returns:
        The distance of its own weights from the common ones, and what it keeps.
    """
    shape = design(kind, context)
    options = shape.options
    common = query.arrays["weights"] / 2.0**WEIGHT_BITS
    rate, pull = float(options.local_rate), float(options.personal or 0)
    begun = common if before is None else before.weights
    own = descended(
        shape, query, steps, begun, lambda at, mean: mean_regularised(at, common, mean, rate=rate, pull=pull)
    )
    known = before or OwnWeights(weights=own, total=np.zeros_like(own))
    late = options.average == "last-half" and query.round > options.rounds // 2
    kept = OwnWeights(
        weights=own, total=known.total + own if late else known.total, averaged=known.averaged + late
    )
    return change_of(query, own - common), kept


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


def own_file(kind: Kind, context: StudyContext, kept: OwnWeights, holder: str) -> bytes:
    """The holder's own network as a safetensors file, averaged as the common one is."""
    weights = kept.total / kept.averaged if kept.averaged else kept.weights
    return NeuralModel.of(
        context, design(kind, context), whole_weights(weights), holder=holder
    ).to_safetensors()
