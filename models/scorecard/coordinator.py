"""The coordinator's side of the scorecard: bins, then a logistic additive model from noisy sums alone.

Each gradient becomes a sighting; the evidence of all of them gives the parameters that the next one is asked at
(evidence.py). With the first one come two-way tables of a few groups a feature, which tell what features say twice
(ground.py). What is released are the last parameters. Everything here is post-processing of released aggregates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning, merge
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.codes import code_matrix
from ringfence.models.scorecard.evidence import Belief, Sighting, learn, unknowing
from ringfence.models.scorecard.ground import Ground, acquainted, grouped, survey
from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT
from ringfence.models.scorecard.monotone import bent
from ringfence.models.scorecard.pairs import deviations
from ringfence.models.scorecard.plan import MOST_GROUPS, TWO_WAY_ROUND, Design, design, plan
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
    """

    binning: Binning | None = None
    ground: Ground | None = None
    sightings: tuple[Sighting, ...] = ()
    belief: Belief | None = None


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
    if shape.pairs and following == TWO_WAY_ROUND:
        arrays["groups"], arrays["group_offsets"] = _groups(state.ground, state.binning)
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
    if "two-way" in aggregate.blocks:
        assert state.binning is not None
        ground = _after_two_way(context, shape, ground, state.binning, aggregate)
    noise = _noise(context, aggregate.round, "gradient", aggregate.holders) / shape.residual_unit
    sighting = Sighting(
        at=_asked_at(ground, belief.beta),
        coded=aggregate.blocks["gradient"].astype(np.float64) / shape.residual_unit,
    )
    sightings = (*state.sightings, sighting)
    belief = learn(ground, code_matrix(ground.offsets), sightings, noise**2, belief)
    return replace(state, ground=ground, sightings=sightings, belief=belief)


def _after_two_way(
    context: StudyContext, shape: Design, ground: Ground, binning: Binning, aggregate: Aggregate
) -> Ground:
    groups, offsets = _groups(ground, binning)
    mass = np.bincount(groups, weights=ground.mass, minlength=int(offsets[-1]))
    found, variance = deviations(
        aggregate.blocks["two-way"].astype(np.float64),
        np.outer(mass, mass) / ground.customers,
        offsets,
        2**shape.pair_bits,
        _noise(context, aggregate.round, "two-way", aggregate.holders),
    )
    return acquainted(ground, groups, found, variance)


def _groups(ground: Ground, binning: Binning) -> tuple[IntArray, IntArray]:
    return grouped(ground, binning.ordered, MOST_GROUPS)


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
