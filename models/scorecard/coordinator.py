"""The coordinator's side of the scorecard: bins, then a penalised logistic model from noisy sums alone.

Majorise-minimise with a fixed curvature (Boehning, Lindsay 1988): the Hessian of the logistic loss is at most a
quarter of the Gram matrix, so `theta <- theta - (G/4 + L)^-1 (g + L theta)` descends without line search. G is the
noisy two-way table, projected to positive semidefinite; L penalises size and, between neighbouring bins of a
number, differences, in proportion to the noise that is really in the sum. The last half of the iterates is
averaged. Everything here is post-processing of released aggregates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning, merge
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT, pair_positions
from ringfence.models.scorecard.plan import Design, design, plan
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import Aggregate, BlockPlan, Query

FloatArray = npt.NDArray[np.float64]

# The penalty's weight in standard deviations of a gradient's noise, and of differences against sizes.
PENALTY = 0.5
SMOOTHNESS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorecardState:
    """What the coordinator carries from round to round.

    Attributes:
        binning: bins, known after the first round.
        solver: `(G/4 + L)^-1`, shape `(bins, bins)`, known after the second.
        penalty: L, shape `(bins, bins)`.
        iterates: parameters after each gradient, in score units of x / sqrt(D).
    """

    binning: Binning | None = None
    solver: FloatArray | None = None
    penalty: FloatArray | None = None
    iterates: tuple[FloatArray, ...] = ()


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
        return _after_histogram(context, shape, aggregate)
    binning = state.binning
    assert binning is not None
    if aggregate.round == 1:
        state = _after_two_way(context, shape, state, binning, aggregate)
    state = _after_gradient(shape, state, aggregate)
    if len(state.iterates) == shape.options.iterations:
        return state, _finish(context, shape, state)
    query = Query(
        task="scorecard",
        round=aggregate.round + 1,
        arrays={
            "bins": binning.table,
            "offsets": binning.offsets,
            "theta": _fixed_point(state.iterates[-1], shape),
        },
    )
    return state, query


def _after_histogram(
    context: StudyContext, shape: Design, aggregate: Aggregate
) -> tuple[ScorecardState, Query]:
    noise = _noise(context, 0, "cells", aggregate.holders) / shape.count_unit
    counts = aggregate.blocks["cells"].astype(np.float64) / shape.count_unit
    binning = merge(counts, noise, context.grids, shape.options)
    query = Query(task="scorecard", round=1, arrays={"bins": binning.table, "offsets": binning.offsets})
    return ScorecardState(binning=binning), query


def _after_two_way(
    context: StudyContext, shape: Design, state: ScorecardState, binning: Binning, aggregate: Aggregate
) -> ScorecardState:
    gram = _gram(shape, binning, aggregate)
    noise = _noise(context, 1, "gradient", aggregate.holders)
    scale = PENALTY * noise / (math.sqrt(shape.dimensions) * 2**shape.residual_bits)
    penalty = scale * (np.eye(len(gram)) + SMOOTHNESS * _differences(binning))
    return replace(state, solver=np.linalg.inv(0.25 * gram + penalty), penalty=penalty)


def _after_gradient(shape: Design, state: ScorecardState, aggregate: Aggregate) -> ScorecardState:
    assert state.solver is not None
    assert state.penalty is not None
    gradient = aggregate.blocks["gradient"] / (math.sqrt(shape.dimensions) * 2**shape.residual_bits)
    theta = state.iterates[-1] if state.iterates else np.zeros(len(gradient))
    # Step from the rounded parameters the holders really used.
    theta = _float_point(_fixed_point(theta, shape), shape)
    theta = theta - state.solver @ (gradient + state.penalty @ theta)
    return replace(state, iterates=(*state.iterates, theta))


def _finish(context: StudyContext, shape: Design, state: ScorecardState) -> Scorecard:
    assert state.binning is not None
    last = state.iterates[-max(1, len(state.iterates) // 2) :]
    weights = _fixed_point(np.mean(last, axis=0), shape)
    return Scorecard.of(context, shape, state.binning, weights)


def _gram(shape: Design, binning: Binning, aggregate: Aggregate) -> FloatArray:
    """The noisy Gram matrix in units of x / sqrt(D), projected to positive semidefinite."""
    size = int(binning.offsets[-1])
    gram = np.zeros((size, size))
    unit = shape.pair_unit * shape.dimensions
    if "pairs" in aggregate.blocks:
        rows, columns = pair_positions(binning.offsets)
        gram[rows, columns] = aggregate.blocks["pairs"] / unit
        gram = gram + gram.T
    gram[np.diag_indices(size)] = np.maximum(aggregate.blocks["diagonal"] / unit, 0.0)
    values, vectors = np.linalg.eigh(gram)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _differences(binning: Binning) -> FloatArray:
    """First differences inside each ordered feature, as the quadratic form `P`."""
    size = int(binning.offsets[-1])
    form = np.zeros((size, size))
    for first, chain in zip(binning.offsets[:-1], binning.ordered, strict=True):
        for left in range(int(first), int(first) + chain - 1):
            form[left : left + 2, left : left + 2] += np.array([[1.0, -1.0], [-1.0, 1.0]])
    return form


def _noise(context: StudyContext, round_index: int, block: str, holders: int) -> float:
    """Standard deviation of the noise really in a sum of `holders` shares, in grid units."""
    blocks: dict[str, BlockPlan] = {b.name: b for b in plan(context).rounds[round_index].blocks}
    return blocks[block].share_scale * math.sqrt(holders)


def _fixed_point(theta: FloatArray, shape: Design) -> npt.NDArray[np.int64]:
    scaled = np.rint(theta / math.sqrt(shape.dimensions) * 2**PARAMETER_BITS)
    return np.asarray(np.clip(scaled, -PARAMETER_LIMIT, PARAMETER_LIMIT).astype(np.int64))


def _float_point(theta: npt.NDArray[np.int64], shape: Design) -> FloatArray:
    return np.asarray(theta / 2**PARAMETER_BITS * math.sqrt(shape.dimensions))
