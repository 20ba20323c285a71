"""The coordinator's side of the scorecard: bins, then a logistic additive model from noisy sums alone.

Each gradient becomes a sighting; the evidence of all of them gives the parameters that the next one is asked at
(evidence.py). The first one tells in which direction a category moves the label; with the second the holders are
asked how those directions, and those of ordered features, go together (ground.py). What is released are the last
parameters. Everything here is post-processing of released aggregates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning, merge
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.codes import code_matrix
from ringfence.models.scorecard.evidence import Belief, Sighting, learn, unknowing
from ringfence.models.scorecard.ground import Ground, acquainted, survey
from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT
from ringfence.models.scorecard.monotone import bent
from ringfence.models.scorecard.plan import MOMENT_ROUND, Design, design, plan
from ringfence.models.scorecard.prior import origin_of
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import Aggregate, Query

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorecardState:
    """What the coordinator carries from round to round.

    Attributes:
        binning: bins, known after the first round.
        ground: masses and possible effects, known after the first round.
        sightings: the gradients so far.
        belief: what they say.
        directions: of the bins, in the last query that asked for moments.
    """

    binning: Binning | None = None
    ground: Ground | None = None
    sightings: tuple[Sighting, ...] = ()
    belief: Belief | None = None
    directions: IntArray | None = None


def start(context: StudyContext) -> tuple[ScorecardState, Query]:
    """Nothing is known; ask for the histogram."""
    design(context)
    return ScorecardState(), Query(task="scorecard", round=0)


def step(
    context: StudyContext, state: ScorecardState, aggregate: Aggregate
) -> tuple[ScorecardState, Query | Scorecard]:
    """Take one noisy sum in and say what to ask next, or give the finished scorecard."""
    shape = design(context)
    if aggregate.round == 0:
        state = _after_histogram(context, shape, aggregate)
    else:
        state = _after_gradient(context, shape, state, aggregate)
    assert state.binning is not None
    assert state.ground is not None
    assert state.belief is not None
    if len(state.sightings) == shape.options.iterations:
        return state, _card(context, shape, state.binning, state.ground, state.belief)
    theta = _fixed_point(state.ground, state.belief.beta)
    arrays = {"bins": state.binning.table, "offsets": state.binning.offsets, "theta": theta}
    following = aggregate.round + 1
    if shape.pairs and following == MOMENT_ROUND:
        arrays["directions"] = _directions(shape, state.ground, state.binning.ordered, state.belief.beta)
        state = replace(state, directions=arrays["directions"])
    return state, Query(task="scorecard", round=following, arrays=arrays)


def so_far(context: StudyContext, state: ScorecardState) -> Scorecard | None:
    """The card that the gradients make by now, or None before the first."""
    if state.binning is None or state.ground is None or state.belief is None or not state.sightings:
        return None
    return _card(context, design(context), state.binning, state.ground, state.belief)


def _card(
    context: StudyContext, shape: Design, binning: Binning, ground: Ground, belief: Belief
) -> Scorecard:
    """The card of a belief, bent to the directions that the study demands."""
    beta = bent(belief.beta, ground, binning, context.features, shape.options)
    return Scorecard.of(context, shape, binning, _fixed_point(ground, beta))


def _after_histogram(context: StudyContext, shape: Design, aggregate: Aggregate) -> ScorecardState:
    noise = _noise(context, 0, "cells", aggregate.holders) / shape.count_unit
    counts = aggregate.blocks["cells"].astype(np.float64) / shape.count_unit
    binning = merge(counts, noise, context.grids, shape.options)
    ground = survey(binning, noise, origin_of(shape.options, context, binning, counts))
    return ScorecardState(binning=binning, ground=ground, belief=unknowing(ground))


def _after_gradient(
    context: StudyContext, shape: Design, state: ScorecardState, aggregate: Aggregate
) -> ScorecardState:
    ground, belief = state.ground, state.belief
    assert ground is not None
    assert belief is not None
    if "moments" in aggregate.blocks and state.directions is not None:
        unit = 4**shape.direction_bits
        ground = acquainted(
            ground,
            state.directions / 2**shape.direction_bits,
            aggregate.blocks["moments"] / unit,
            _noise(context, aggregate.round, "moments", aggregate.holders) / unit,
        )
    noise = _noise(context, aggregate.round, "gradient", aggregate.holders) / shape.residual_unit
    sighting = Sighting(
        at=_asked_at(ground, belief.beta),
        coded=aggregate.blocks["gradient"].astype(np.float64) / shape.residual_unit,
    )
    sightings = (*state.sightings, sighting)
    belief = learn(ground, code_matrix(ground.offsets), sightings, noise**2, belief)
    return replace(state, ground=ground, sightings=sightings, belief=belief)


def _directions(shape: Design, ground: Ground, ordered: tuple[int, ...], beta: FloatArray) -> IntArray:
    """A value for every bin: its place in an order, else its effect; shifted and stretched to a direction's range."""
    values = np.zeros(len(ground.mass))
    for (first, last), chain in zip(pairwise(ground.offsets.tolist()), ordered, strict=True):
        part = beta[1 + first : 1 + last]
        if chain >= 3:
            mass = ground.mass[first : first + chain]
            part = np.full(last - first, mass.sum() / 2)
            part[:chain] = np.cumsum(mass) - mass / 2
        middle = (part.max() + part.min()) / 2
        values[first:last] = (part - middle) / max(float(part.max() - middle), 1e-9)
    return np.asarray(np.rint(values * 2**shape.direction_bits).astype(np.int64))


def _noise(context: StudyContext, round_index: int, block: str, holders: int) -> float:
    """Standard deviation of the noise really in a sum of `holders` shares, in grid units."""
    blocks = {each.name: each for each in plan(context).rounds[round_index].blocks}
    return blocks[block].share_scale * math.sqrt(holders)


def _fixed_point(ground: Ground, beta: FloatArray) -> IntArray:
    """Parameters of the bins as holders get them: the intercept is spread over the features."""
    features = len(ground.offsets) - 1
    scaled = np.rint((beta[1:] + beta[0] / features) * 2**PARAMETER_BITS)
    return np.asarray(np.clip(scaled, -PARAMETER_LIMIT, PARAMETER_LIMIT).astype(np.int64))


def _asked_at(ground: Ground, beta: FloatArray) -> FloatArray:
    """The rounded parameters that the holders really used, in the coordinator's form."""
    features = len(ground.offsets) - 1
    bins = _fixed_point(ground, beta) / 2**PARAMETER_BITS
    return np.concatenate([beta[:1], bins - beta[0] / features])
