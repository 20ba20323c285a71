"""Pairs of features whose effects do not simply add up, found in noisy tables of residuals.

The last gradient may be taken over groups of every pair of features, at parameters where single features have
said what they can. What is left in a pair's table speaks of an interaction. For each pair the evidence is
weighed against there being none: effects are normal with one of a few variances, no more than a few pairs are
expected to have any, and an effect counts by the chance that it is there. So noise alone adds next to
nothing, however many pairs there are. Pairs that say the same thing share it: their curvature follows from
the two-way tables (Isserlis 1918).

Everything here is post-processing of released sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.codes import simplex
from ringfence.models.scorecard.evidence import Belief, expected, residual_variance
from ringfence.models.scorecard.evidence import curvature as curvature_of
from ringfence.models.scorecard.moments import Moments

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Expected curvature of all customers together, in standard deviations of the noise in an entry, from which on
# tables of pairs say more than one more gradient of single bins.
WORTHWHILE = 45.0
# Variances that an interaction may have on the scale of log odds, and how likely each is beforehand.
VARIANCES = np.array([0.005, 0.01, 0.02, 0.04, 0.08, 0.16])
CHANCES = np.array([0.30, 0.25, 0.20, 0.12, 0.08, 0.05])
# Pairs expected to interact, and the most that one is expected to; those that turn out less likely than the
# least chance stay out, and no more stay than there are features.
EXPECTED_PAIRS, MOST_EXPECTED = 2.0, 0.1
LEAST_CHANCE = 0.2
# Eigenvalues of the joint curvature below this part of the largest are noise of the two-way tables.
LEAST_CURVATURE = 1e-3
# Rounds of taking off rows' and columns' means; they converge geometrically.
CENTRING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Interplay:
    """What a pair of features says beyond its members.

    Attributes:
        first: position of the one feature.
        second: position of the other, larger.
        effect: log odds for each pair of groups, weighted means of rows and columns about zero.
    """

    first: int
    second: int
    effect: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A pair's table and how it reads; k entries, c cells.

    Attributes:
        first, second: positions of the features.
        code: of each cell, shape `(c, k)`.
        told: the noisy coded table, shape `(k,)`.
        curve: expected curvature, shape `(k, k)`.
        blur: variance of the table that customers make by themselves, shape `(k, k)`.
        chance: that there is an interaction.
        variance: it then has, expected.
    """

    first: int
    second: int
    code: FloatArray
    told: FloatArray
    curve: FloatArray
    blur: FloatArray
    chance: float = 0.0
    variance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Tables of residuals of all pairs, as released.

    Attributes:
        groups: group of every bin.
        offsets: first group of each feature and, last, the number of groups.
        told: coded tables one after the other, in customers.
        variance: of the noise really in an entry, in customers squared.
        one: length of the codes' corners in grid units.
        outside: positions of features that may be in no pair.
    """

    groups: IntArray
    offsets: IntArray
    told: FloatArray
    variance: float
    one: int
    outside: frozenset[int] = frozenset()


def worthwhile(moments: Moments, belief: Belief, variance: float) -> bool:
    """Whether residual tables of pairs would stand clear of noise of this variance (customers squared)."""
    seen = float(expected(moments, belief.beta, curvature_of)[0, 0])
    return seen >= WORTHWHILE * math.sqrt(variance)


def interplays(moments: Moments, belief: Belief, tables: Tables) -> tuple[Interplay, ...]:
    """The interactions that the tables speak of, likeliest first, at most as many as features."""
    features = len(tables.offsets) - 1
    pairs = features * (features - 1) // 2
    prior = min(MOST_EXPECTED, EXPECTED_PAIRS / pairs)
    candidates = [_weighed(each, tables.variance, prior) for each in _candidates(moments, belief, tables)]
    kept = sorted((c for c in candidates if c.chance >= LEAST_CHANCE), key=lambda c: -c.chance)[:features]
    if not kept:
        return ()
    effects = _together(moments, belief, tables, kept)
    weights = _grouped(expected(moments, belief.beta, curvature_of)[1:, 1:], tables)
    return tuple(
        Interplay(
            first=each.first,
            second=each.second,
            effect=each.chance * centred(effect, _cells(weights, tables.offsets, each.first, each.second)),
        )
        for each, effect in zip(kept, effects, strict=True)
    )


def _candidates(moments: Moments, belief: Belief, tables: Tables) -> list[_Candidate]:
    """All pairs that have more than one group on either side."""
    curve = _grouped(expected(moments, belief.beta, curvature_of)[1:, 1:], tables)
    blur = _grouped(expected(moments, belief.beta, residual_variance)[1:, 1:], tables)
    found, start = [], 0
    widths = np.diff(tables.offsets).tolist()
    for first, second in combinations(range(len(widths)), 2):
        code = np.asarray(
            np.kron(_code(widths[first], tables.one), _code(widths[second], tables.one)), dtype=np.float64
        )
        told, start = tables.told[start : start + code.shape[1]], start + code.shape[1]
        if not len(told) or {first, second} & tables.outside:
            continue
        found.append(
            _Candidate(
                first=first,
                second=second,
                code=code,
                told=told,
                curve=code.T @ (_cells(curve, tables.offsets, first, second).reshape(-1, 1) * code),
                blur=code.T @ (_cells(blur, tables.offsets, first, second).reshape(-1, 1) * code),
            )
        )
    return found


def _weighed(each: _Candidate, variance: float, prior: float) -> _Candidate:
    """A candidate with the chance that there is something in its table, beforehand `prior` to one."""
    root = np.linalg.inv(np.linalg.cholesky(each.blur + variance * np.eye(len(each.told))))
    seen = root @ each.curve
    strength, axes = np.linalg.eigh(seen @ seen.T)
    along = (axes.T @ (root @ each.told)) ** 2
    # Evidence of each variance against none: normal densities along the axes, in which both covariances are
    # diagonal.
    wider = 1.0 + VARIANCES[:, None] * np.maximum(strength, 0.0)
    evidence = 0.5 * (along * (1.0 - 1.0 / wider) - np.log(wider)).sum(axis=1) + np.log(CHANCES)
    most = float(evidence.max())
    weights = np.exp(evidence - most)
    odds = math.log(prior) + most + math.log(float(weights.sum()))
    return _Candidate(
        first=each.first,
        second=each.second,
        code=each.code,
        told=each.told,
        curve=each.curve,
        blur=each.blur,
        chance=1.0 / (1.0 + math.exp(-min(700.0, max(-700.0, odds)))),
        variance=float(weights @ VARIANCES / weights.sum()),
    )


def _together(moments: Moments, belief: Belief, tables: Tables, kept: list[_Candidate]) -> list[FloatArray]:
    """Effects of the cells of each pair kept, estimated at once, shapes `(groups, groups)`."""
    starts = np.cumsum([0, *(len(each.told) for each in kept)])
    parts = [
        slice(first, last) for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]
    curve, blur = np.zeros((starts[-1], starts[-1])), np.zeros((starts[-1], starts[-1]))
    products = _products(moments, tables)
    seen = float(expected(moments, belief.beta, curvature_of)[0, 0])
    for (a, one), (b, other) in combinations(enumerate(kept), 2):
        curve[parts[a], parts[b]] = seen * _isserlis(one, other, products)
        curve[parts[b], parts[a]] = curve[parts[a], parts[b]].T
    for part, each in zip(parts, kept, strict=True):
        curve[part, part], blur[part, part] = each.curve, each.blur
    values, axes = np.linalg.eigh(curve)
    curve = (axes * np.maximum(values, LEAST_CURVATURE * values[-1])) @ axes.T
    prior = np.concatenate([np.full(len(each.told), each.variance) for each in kept])
    view = prior[:, None] * curve
    total = curve @ view + blur + tables.variance * np.eye(len(prior))
    effects = -view @ np.linalg.solve(total, np.concatenate([each.told for each in kept]))
    widths = np.diff(tables.offsets)
    return [
        np.asarray(each.code @ effects[part]).reshape(widths[each.first], widths[each.second])
        for part, each in zip(parts, kept, strict=True)
    ]


def _isserlis(one: _Candidate, other: _Candidate, products: list[list[FloatArray]]) -> FloatArray:
    """Mean of the product of two pairs' codes, as if codes were normal."""
    i, j, k, l = one.first, one.second, other.first, other.second  # noqa: E741  # as in the formula
    straight = np.kron(products[i][k], products[j][l])
    crossed = np.einsum("al,bk->abkl", products[i][l], products[j][k])
    return np.asarray(straight + crossed.reshape(straight.shape))


def _products(moments: Moments, tables: Tables) -> list[list[FloatArray]]:
    """Mean products of the codes of every two features."""
    shares = _grouped(moments.joint[1:, 1:], tables) / moments.customers
    widths = np.diff(tables.offsets).tolist()
    codes = [_code(width, tables.one) for width in widths]
    return [
        [codes[a].T @ _cells(shares, tables.offsets, a, b) @ codes[b] for b in range(len(widths))]
        for a in range(len(widths))
    ]


def centred(effect: FloatArray, weights: FloatArray) -> FloatArray:
    """An effect without what its rows and columns say alone: that is the single features' to say."""
    weights = np.maximum(weights, 1e-9)
    for _ in range(CENTRING):
        effect = effect - (effect * weights).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
        effect = effect - (effect * weights).sum(axis=0, keepdims=True) / weights.sum(axis=0, keepdims=True)
    return effect


def _code(width: int, one: int) -> FloatArray:
    return np.asarray(simplex(width, one) / one)


def _grouped(table: FloatArray, tables: Tables) -> FloatArray:
    """A table over bins, added up over groups."""
    member = np.eye(int(tables.offsets[-1]))[tables.groups]
    return np.asarray(member.T @ table @ member)


def _cells(table: FloatArray, offsets: IntArray, first: int, second: int) -> FloatArray:
    """One pair's part of a table over groups; nothing is less than nothing."""
    part = table[offsets[first] : offsets[first + 1], offsets[second] : offsets[second + 1]]
    return np.asarray(np.maximum(part, 0.0))
