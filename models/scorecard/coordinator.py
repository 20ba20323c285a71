"""The coordinator's side of the scorecard: bins, then a logistic additive model from noisy sums alone.

Each gradient becomes a sighting; the evidence of all of them gives the parameters that the next one is asked
at (evidence.py). With the first one come the bins' customers, counted anew, and two-way tables of a few
groups a feature, which tell what features say twice (moments.py). Where what was released by then promises
it, the last gradient is one over pairs of features (interactions.py). What is released are the last
parameters. Everything here is post-processing of released aggregates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning, empty_bins_joined, merge
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.codes import code_matrix
from ringfence.models.scorecard.evidence import Belief, Sighting, learn, prior_belief
from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT
from ringfence.models.scorecard.interactions import Interplay, Tables, interplays, worthwhile
from ringfence.models.scorecard.moments import Moments, grouped, moments_of, with_two_way
from ringfence.models.scorecard.monotone import bent
from ringfence.models.scorecard.pairs import deviations
from ringfence.models.scorecard.plan import MOST_GROUPS, TWO_WAY_ROUND, ScorecardDesign, design, plan
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
        moments: masses and possible effects, known after the first round.
        sightings: the gradients so far.
        belief: what they say.
        asks_pairs: whether the gradient that is asked for is one over pairs.
        interplays: what pairs say beyond their members.
    """

    binning: Binning | None = None
    moments: Moments | None = None
    sightings: tuple[Sighting, ...] = ()
    belief: Belief | None = None
    asks_pairs: bool = False
    interplays: tuple[Interplay, ...] = ()


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
    assert state.moments is not None
    assert state.belief is not None
    if aggregate.round == shape.options.iterations:
        return state, _card(context, shape, state)
    theta = _fixed_point(state.moments, state.belief.beta)
    arrays = {"bins": state.binning.table, "offsets": state.binning.offsets, "theta": theta}
    following = aggregate.round + 1
    asks_pairs = _asks_pairs(context, shape, state, following, aggregate.holders)
    if asks_pairs or (shape.pairs and following == TWO_WAY_ROUND):
        arrays["groups"], arrays["group_offsets"] = _groups(state.moments, state.binning)
    state = replace(state, asks_pairs=asks_pairs)
    return state, Query(task="scorecard", round=following, arrays=arrays)


def so_far(context: StudyContext, state: ScorecardState) -> Scorecard | None:
    """The card that the gradients make by now, or None before the first."""
    if state.binning is None or state.moments is None or state.belief is None or not state.sightings:
        return None
    return _card(context, design(context), state)


def _card(context: StudyContext, shape: ScorecardDesign, state: ScorecardState) -> Scorecard:
    """The card of what is believed, bent to the directions that the study demands."""
    binning, moments, belief = state.binning, state.moments, state.belief
    assert binning is not None
    assert moments is not None
    assert belief is not None
    beta = bent(belief.beta, moments, binning, context.features, shape.options)
    groups, offsets = _groups(moments, binning)
    goes = empty_bins_joined(binning, groups)
    stays = goes == np.arange(len(goes))
    return Scorecard.of(
        context,
        binning.joined(goes),
        _fixed_point(moments, beta)[stays],
        deviation=None if belief.deviation is None else belief.deviation[stays],
        groups=(groups - np.repeat(offsets[:-1], np.diff(binning.offsets)))[stays],
        pairs={(each.first, each.second): _rounded(each.effect) for each in state.interplays},
    )


def _asks_pairs(
    context: StudyContext, shape: ScorecardDesign, state: ScorecardState, following: int, holders: int
) -> bool:
    """Whether the last gradient is one over pairs: where its tables would stand clear of noise."""
    if following != shape.options.iterations or shape.pair_code is None:
        return False
    assert state.moments is not None
    assert state.belief is not None
    return worthwhile(state.moments, state.belief, _pair_variance(context, shape, holders))


def _pair_variance(context: StudyContext, shape: ScorecardDesign, holders: int) -> float:
    """Of the noise in an entry of a table of pairs, in customers squared."""
    return (_noise(context, shape.options.iterations, "gradient", holders) / _pair_unit(shape)) ** 2


def _pair_unit(shape: ScorecardDesign) -> int:
    """Grid units of a residual of one under two codes of length one."""
    assert shape.pair_code is not None
    bits, one = shape.pair_code
    return one**2 << bits


def _after_histogram(context: StudyContext, shape: ScorecardDesign, aggregate: Aggregate) -> ScorecardState:
    noise = _noise(context, 0, "cells", aggregate.holders) / shape.count_unit
    counts = aggregate.blocks["cells"].astype(np.float64) / shape.count_unit
    binning = merge(counts, noise, context.grids, shape.options)
    moments = moments_of(binning, origin_of(shape.options, context, binning, counts))
    return ScorecardState(binning=binning, moments=moments, belief=prior_belief(moments))


def _after_gradient(
    context: StudyContext, shape: ScorecardDesign, state: ScorecardState, aggregate: Aggregate
) -> ScorecardState:
    assert state.moments is not None
    assert state.belief is not None
    assert state.binning is not None
    if state.asks_pairs:
        return _after_pairs(context, shape, state, aggregate)
    if aggregate.round == TWO_WAY_ROUND:
        state = _after_counting(context, shape, state, aggregate)
    moments, belief = state.moments, state.belief
    assert moments is not None
    assert belief is not None
    noise = _noise(context, aggregate.round, "gradient", aggregate.holders) / shape.residual_unit
    sighting = Sighting(
        at=_asked_at(moments, belief.beta),
        coded=aggregate.blocks["gradient"].astype(np.float64) / shape.residual_unit,
        variance=noise**2,
    )
    sightings = (*state.sightings, sighting)
    belief = learn(moments, code_matrix(moments.offsets), sightings, belief)
    return replace(state, sightings=sightings, belief=belief)


def _after_pairs(
    context: StudyContext, shape: ScorecardDesign, state: ScorecardState, aggregate: Aggregate
) -> ScorecardState:
    """Single features are left as they are; pairs say what is left."""
    assert state.moments is not None
    assert state.belief is not None
    assert state.binning is not None
    assert shape.pair_code is not None
    groups, offsets = _groups(state.moments, state.binning)
    directed = {*shape.options.rising, *shape.options.falling}
    tables = Tables(
        groups=groups,
        offsets=offsets,
        told=aggregate.blocks["gradient"].astype(np.float64) / _pair_unit(shape),
        variance=_pair_variance(context, shape, aggregate.holders),
        one=shape.pair_code[1],
        # A number whose points have a direction keeps it only if nothing else depends on it.
        outside=frozenset(i for i, name in enumerate(context.features) if name in directed),
    )
    return replace(state, interplays=interplays(state.moments, state.belief, tables))


def _after_counting(
    context: StudyContext, shape: ScorecardDesign, state: ScorecardState, aggregate: Aggregate
) -> ScorecardState:
    """Bins' customers counted anew, and two-way tables if there are any."""
    assert state.moments is not None
    assert state.binning is not None
    noise = _noise(context, aggregate.round, "masses", aggregate.holders) / shape.mass_unit
    binning = state.binning.counted(aggregate.blocks["masses"].astype(np.float64) / shape.mass_unit, noise**2)
    moments = moments_of(binning, state.moments.origin)
    if shape.pairs:
        # Groups are those that were asked for, made before the bins were counted anew.
        moments = _after_two_way(context, shape, moments, _groups(state.moments, state.binning), aggregate)
    return replace(state, binning=binning, moments=moments)


def _after_two_way(
    context: StudyContext,
    shape: ScorecardDesign,
    moments: Moments,
    asked: tuple[IntArray, IntArray],
    aggregate: Aggregate,
) -> Moments:
    groups, offsets = asked
    mass = np.bincount(groups, weights=moments.mass, minlength=int(offsets[-1]))
    found, variance = deviations(
        aggregate.blocks["two-way"].astype(np.float64),
        np.outer(mass, mass) / moments.customers,
        offsets,
        2**shape.pair_bits,
        _noise(context, aggregate.round, "two-way", aggregate.holders),
    )
    return with_two_way(moments, groups, found, variance)


def _groups(moments: Moments, binning: Binning) -> tuple[IntArray, IntArray]:
    return grouped(moments, binning.ordered, MOST_GROUPS)


def _noise(context: StudyContext, round_index: int, block: str, holders: int) -> float:
    """Standard deviation of the noise really in a sum of `holders` shares, in grid units."""
    blocks = {each.name: each for each in plan(context).rounds[round_index].blocks}
    return blocks[block].share_scale * math.sqrt(holders)


def _rounded(effect: FloatArray) -> IntArray:
    """Log odds in units of 2^-16."""
    scaled = np.rint(effect * 2**PARAMETER_BITS)
    return np.asarray(np.clip(scaled, -PARAMETER_LIMIT, PARAMETER_LIMIT).astype(np.int64))


def _fixed_point(moments: Moments, beta: FloatArray) -> IntArray:
    """Parameters of the bins as holders get them: the intercept is spread over the features."""
    features = len(moments.offsets) - 1
    scaled = np.rint((beta[1:] + beta[0] / features) * 2**PARAMETER_BITS)
    return np.asarray(np.clip(scaled, -PARAMETER_LIMIT, PARAMETER_LIMIT).astype(np.int64))


def _asked_at(moments: Moments, beta: FloatArray) -> FloatArray:
    """The rounded parameters that the holders really used, in the coordinator's form."""
    features = len(moments.offsets) - 1
    bins = _fixed_point(moments, beta) / 2**PARAMETER_BITS
    return np.concatenate([beta[:1], bins - beta[0] / features])
