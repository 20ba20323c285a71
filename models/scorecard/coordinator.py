"""The coordinator's side of the scorecard: bins, then a logistic additive model from noisy sums alone.

Each gradient becomes a sighting; the evidence of all of them gives the parameters that the next one is asked at
(evidence.py). With the first one come the bins' customers, counted anew, and two-way tables of a few groups a feature,
which tell what features say twice (ground.py). Where what was released by then promises it, the last gradient is one
over pairs of features (interactions.py). What is released are the last parameters. Everything here is post-processing
of released aggregates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning, empty_bins_joined, merge
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.codes import code_matrix
from ringfence.models.scorecard.evidence import Belief, Sighting, learn, unknowing
from ringfence.models.scorecard.ground import Ground, acquainted, grouped, survey
from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT
from ringfence.models.scorecard.interactions import Interplay, Tables, interplays, worthwhile
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
        asks_pairs: whether the gradient that is asked for is one over pairs.
        interplays: what pairs say beyond their members.
    """

    binning: Binning | None = None
    ground: Ground | None = None
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
    assert state.ground is not None
    assert state.belief is not None
    if aggregate.round == shape.options.iterations:
        return state, _card(context, shape, state)
    theta = _fixed_point(state.ground, state.belief.beta)
    arrays = {"bins": state.binning.table, "offsets": state.binning.offsets, "theta": theta}
    following = aggregate.round + 1
    asks_pairs = _asks_pairs(context, shape, state, following, aggregate.holders)
    if asks_pairs or (shape.pairs and following == TWO_WAY_ROUND):
        arrays["groups"], arrays["group_offsets"] = _groups(state.ground, state.binning)
    state = replace(state, asks_pairs=asks_pairs)
    return state, Query(task="scorecard", round=following, arrays=arrays)


def so_far(context: StudyContext, state: ScorecardState) -> Scorecard | None:
    """The card that the gradients make by now, or None before the first."""
    if state.binning is None or state.ground is None or state.belief is None or not state.sightings:
        return None
    return _card(context, design(context), state)


def _card(context: StudyContext, shape: Design, state: ScorecardState) -> Scorecard:
    """The card of what is believed, bent to the directions that the study demands."""
    binning, ground, belief = state.binning, state.ground, state.belief
    assert binning is not None
    assert ground is not None
    assert belief is not None
    beta = bent(belief.beta, ground, binning, context.features, shape.options)
    groups, offsets = _groups(ground, binning)
    goes = empty_bins_joined(binning, groups)
    stays = goes == np.arange(len(goes))
    return Scorecard.of(
        context,
        binning.joined(goes),
        _fixed_point(ground, beta)[stays],
        groups=(groups - np.repeat(offsets[:-1], np.diff(binning.offsets)))[stays],
        pairs={(each.first, each.second): _rounded(each.effect) for each in state.interplays},
    )


def _asks_pairs(context: StudyContext, shape: Design, state: ScorecardState, following: int, holders: int) -> bool:
    """Whether the last gradient is to be one over pairs: where its tables would stand clear of their noise."""
    if following != shape.options.iterations or shape.pair_code is None:
        return False
    assert state.ground is not None
    assert state.belief is not None
    return worthwhile(state.ground, state.belief, _pair_variance(context, shape, holders))


def _pair_variance(context: StudyContext, shape: Design, holders: int) -> float:
    """Of the noise in an entry of a table of pairs, in customers squared."""
    return (_noise(context, shape.options.iterations, "gradient", holders) / _pair_unit(shape)) ** 2


def _pair_unit(shape: Design) -> int:
    """Grid units of a residual of one under two codes of length one."""
    assert shape.pair_code is not None
    bits, one = shape.pair_code
    return one**2 << bits


def _after_histogram(context: StudyContext, shape: Design, aggregate: Aggregate) -> ScorecardState:
    noise = _noise(context, 0, "cells", aggregate.holders) / shape.count_unit
    counts = aggregate.blocks["cells"].astype(np.float64) / shape.count_unit
    binning = merge(counts, noise, context.grids, shape.options)
    ground = survey(binning, origin_of(shape.options, context, binning, counts))
    return ScorecardState(binning=binning, ground=ground, belief=unknowing(ground))


def _after_gradient(
    context: StudyContext, shape: Design, state: ScorecardState, aggregate: Aggregate
) -> ScorecardState:
    assert state.ground is not None
    assert state.belief is not None
    assert state.binning is not None
    if state.asks_pairs:
        return _after_pairs(context, shape, state, aggregate)
    if aggregate.round == TWO_WAY_ROUND:
        state = _after_counting(context, shape, state, aggregate)
    ground, belief = state.ground, state.belief
    assert ground is not None
    assert belief is not None
    noise = _noise(context, aggregate.round, "gradient", aggregate.holders) / shape.residual_unit
    sighting = Sighting(
        at=_asked_at(ground, belief.beta),
        coded=aggregate.blocks["gradient"].astype(np.float64) / shape.residual_unit,
        variance=noise**2,
    )
    sightings = (*state.sightings, sighting)
    belief = learn(ground, code_matrix(ground.offsets), sightings, belief)
    return replace(state, sightings=sightings, belief=belief)


def _after_pairs(context: StudyContext, shape: Design, state: ScorecardState, aggregate: Aggregate) -> ScorecardState:
    """Single features are left as they are; pairs say what is left."""
    assert state.ground is not None
    assert state.belief is not None
    assert state.binning is not None
    assert shape.pair_code is not None
    groups, offsets = _groups(state.ground, state.binning)
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
    return replace(state, interplays=interplays(state.ground, state.belief, tables))


def _after_counting(
    context: StudyContext, shape: Design, state: ScorecardState, aggregate: Aggregate
) -> ScorecardState:
    """Bins' customers counted anew, and two-way tables if there are any."""
    assert state.ground is not None
    assert state.binning is not None
    noise = _noise(context, aggregate.round, "masses", aggregate.holders) / shape.mass_unit
    binning = state.binning.counted(aggregate.blocks["masses"].astype(np.float64) / shape.mass_unit, noise**2)
    ground = survey(binning, state.ground.origin)
    if shape.pairs:
        # Groups are those that were asked for, made before the bins were counted anew.
        ground = _after_two_way(context, shape, ground, _groups(state.ground, state.binning), aggregate)
    return replace(state, binning=binning, ground=ground)


def _after_two_way(
    context: StudyContext, shape: Design, ground: Ground, asked: tuple[IntArray, IntArray], aggregate: Aggregate
) -> Ground:
    groups, offsets = asked
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


def _rounded(effect: FloatArray) -> IntArray:
    """Log odds in units of 2^-16."""
    scaled = np.rint(effect * 2**PARAMETER_BITS)
    return np.asarray(np.clip(scaled, -PARAMETER_LIMIT, PARAMETER_LIMIT).astype(np.int64))


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
