"""Learning from noisy gradients: each is evidence about the same parameters, and all of it is pooled.

A gradient at `beta_t` says, to first order, `g_t = H_t (beta_t - beta*)`, where H_t is the mean curvature
between the two. So every gradient, also an early one, is a linear observation of `beta*` with known noise;
they are added up by their precision, and `beta*` is the mean of its posterior under a Gaussian prior whose
variances are found from the same evidence (EM). Under little noise this is Newton's method; under much noise
features without evidence fade to zero. How far the curve bends is charged to an observation as additional
noise, so that early gradients count for less once later ones are precise.

Where the gradient turned faster along the last step than expected (features that say the same thing twice),
the curvature is stretched by as much: otherwise steps would overshoot and grow. What noise alone can feign is
taken off first, so under much noise nothing is stretched. Post-processing of released sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri

from ringfence.models.scorecard.moments import Moments

FloatArray = npt.NDArray[np.float64]
Curve = Callable[[FloatArray], FloatArray]

# Relative error of the linear form, charged as noise.
BEND = 0.4
# Prior variance of the intercept, and of an effect before any evidence; weight of the pooled variance in
# coefficients.
INTERCEPT_VARIANCE = 4.0
EFFECT_VARIANCE = 0.1
POOLED_WEIGHT = 0.5
PRIOR_VARIANCE, PRIOR_WEIGHT = 0.03, 2.0
LEAST_VARIANCE, MOST_VARIANCE = 1e-5, 10.0
# Linearised anew so often a gradient, with so many updates of the variances each.
ROUNDS, UPDATES = 2, 4
# A step moves customers' scores by at most this much (root mean square).
LARGEST_STEP = 1.0
# Stretch of the curvature: at most, part that is kept to the next gradient, and what noise is taken to feign:
# its standard deviations, and a part of what it can do at worst because the step itself was made from it.
MOST_STRETCH, KEPT_STRETCH = 8.0, 0.5
FEIGNED_DEVIATIONS, FEIGNED_PART = 2.0, 0.5
# Scores are modelled within these limits; beyond, a logistic curve is flat and nothing can be learned from
# it.
MOST_SCORE, MOST_SPREAD = 5.0, 6.0
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
# Gauss-Legendre on [0, 1]: exact means of curvature along a step, up to the fifth degree.
_BETWEEN = ((0.1127016654, 5 / 18), (0.5, 8 / 18), (0.8872983346, 5 / 18))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A noisy coded gradient, in customers.

    Attributes:
        at: the parameters it was taken at, shape `(1 + bins,)`, the intercept first.
        coded: the noisy sum, shape `(entries,)`.
        variance: of the noise really in an entry, in customers squared.
    """

    at: FloatArray
    coded: FloatArray
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What the evidence says.

    Attributes:
        beta: posterior mean, shape `(1 + bins,)`, the intercept first.
        variances: of the groups of effects, shape `(groups,)`.
        stretch: how much faster than expected gradients turned.
        deviation: standard deviation of each bin's parameter, shape `(bins,)`; None before any gradient.
    """

    beta: FloatArray
    variances: FloatArray
    stretch: float = 1.0
    deviation: FloatArray | None = None


def prior_belief(moments: Moments) -> Belief:
    """Before any gradient."""
    return Belief(beta=moments.origin, variances=np.full(len(moments.kind), EFFECT_VARIANCE))


def learn(moments: Moments, code: FloatArray, sightings: Sequence[Sighting], belief: Belief) -> Belief:
    """Pool all gradients seen so far.

    Args:
        moments: bins and masses.
        code: see `codes.code_matrix`, shape `(1 + bins, entries)`.
        sightings: all gradients, the newest last.
        belief: before the newest gradient.
    """
    beta, variances = belief.beta, belief.variances
    stretch = 1.0 + KEPT_STRETCH * (belief.stretch - 1.0)
    if len(sightings) > 1:
        stretch = max(stretch, _stretch(moments, code, sightings[-2], sightings[-1]))
    precision = np.zeros((moments.effects.shape[1],) * 2)
    for _ in range(ROUNDS):
        here = stretch * expected(moments, beta, curvature)
        blur = code.T @ expected(moments, beta, residual_variance) @ code
        told, weight = np.zeros(code.shape[1]), 0.0
        for sighting in sightings:
            fall = stretch * _fall(moments, sighting.at, beta)
            share = 1.0 / (sighting.variance + BEND**2 * float(((code.T @ fall) ** 2).mean()))
            told += share * (code.T @ (here @ beta + fall) - sighting.coded)
            weight += share
        # What a coded gradient says about coefficients: the pooled noise, and what customers vary by
        # themselves.
        view = code.T @ here @ moments.effects
        factor = cho_factor(blur + np.eye(len(told)) / weight, lower=True)
        precision = view.T @ cho_solve(factor, view)
        pull = view.T @ cho_solve(factor, told / weight - code.T @ (here @ moments.origin))
        coefficients, variances = _posterior(moments, (precision + precision.T) / 2, pull, variances)
        beta = _towards(moments, beta, moments.origin + moments.effects @ coefficients)
    deviation = _deviation(moments, (precision + precision.T) / 2, variances)
    return Belief(beta=beta, variances=variances, stretch=stretch, deviation=deviation)


def curvature(scores: FloatArray) -> FloatArray:
    """Expected curvature of the loss: min(p, 1-p)."""
    p = 1.0 / (1.0 + np.exp(-scores))
    return np.minimum(p, 1.0 - p)


def residual_variance(scores: FloatArray) -> FloatArray:
    """Variance of the residual: p (1-p) / max(p, 1-p)^2."""
    p = 1.0 / (1.0 + np.exp(-scores))
    return np.asarray(p * (1.0 - p) / np.maximum(p, 1.0 - p) ** 2)


def _posterior(
    moments: Moments, precision: FloatArray, pull: FloatArray, variances: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean of the coefficients, and the groups' variances after some steps of EM."""
    sizes = np.bincount(moments.group, minlength=len(moments.kind))
    mean = np.zeros(len(pull))
    for update in range(UPDATES + 1):
        prior = np.concatenate([[1.0 / INTERCEPT_VARIANCE], 1.0 / variances[moments.group]])
        factor = cho_factor(precision + np.diag(prior), lower=True)
        mean = cho_solve(factor, pull)
        if update == UPDATES or not len(moments.kind):
            break
        spread = np.diagonal(dpotri(factor[0], lower=1)[0])[1:]
        power = np.bincount(moments.group, weights=mean[1:] ** 2 + spread, minlength=len(moments.kind))
        # Groups of one kind lend each other what they have learned about their size.
        total = np.bincount(moments.kind, weights=power, minlength=3) + PRIOR_WEIGHT * PRIOR_VARIANCE
        pooled = total / (np.bincount(moments.kind, weights=sizes, minlength=3) + PRIOR_WEIGHT)
        variances = (power + POOLED_WEIGHT * pooled[moments.kind]) / (sizes + POOLED_WEIGHT)
        variances = np.clip(variances, LEAST_VARIANCE, MOST_VARIANCE)
    return np.asarray(mean), variances


def _deviation(moments: Moments, precision: FloatArray, variances: FloatArray) -> FloatArray:
    """Posterior standard deviation of what each bin adds, beside what all customers share."""
    prior = np.concatenate([[1.0 / INTERCEPT_VARIANCE], 1.0 / variances[moments.group]])
    effects = moments.effects[1:, 1:]
    if not effects.shape[1]:
        return np.zeros(len(effects))
    covariance = np.linalg.inv(precision + np.diag(prior))[1:, 1:]
    return np.asarray(np.sqrt(np.maximum(np.einsum("bk,kl,bl->b", effects, covariance, effects), 0.0)))


def _towards(moments: Moments, beta: FloatArray, aim: FloatArray) -> FloatArray:
    """Step to the aim, cut where scores would move too far for the linear form."""
    step = aim - beta
    square = float(step @ moments.joint @ step) / moments.customers
    return np.asarray(beta + step * min(1.0, LARGEST_STEP / max(math.sqrt(max(0.0, square)), 1e-12)))


def _stretch(moments: Moments, code: FloatArray, before: Sighting, after: Sighting) -> float:
    """How much faster than expected the gradient turned along the step, noise taken off."""
    step = after.at - before.at
    expected = _fall(moments, after.at, before.at)
    along = (code.T @ step) / np.maximum((code**2).sum(axis=0), 1e-12)
    along[0] = step[0] + float(moments.mass @ step[1:]) / moments.customers
    excess = float(along @ (after.coded - before.coded - code.T @ expected))
    deviation = math.sqrt((before.variance + after.variance) * float(along @ along))
    feigned = deviation * (FEIGNED_DEVIATIONS + FEIGNED_PART * math.sqrt(len(along)))
    return min(MOST_STRETCH, 1.0 + max(0.0, excess - feigned) / max(float(step @ expected), 1e-9))


def _fall(moments: Moments, start: FloatArray, end: FloatArray) -> FloatArray:
    """How much larger the expected gradient is at `start` than at `end`, shape `(1 + bins,)`."""
    way = start - end
    total = np.zeros(len(way))
    if np.any(way):
        for place, part in _BETWEEN:
            root = _root(moments, start - place * way, curvature)
            total += part * root * (moments.joint @ (root * way))
    return total


def expected(moments: Moments, beta: FloatArray, curve: Curve) -> FloatArray:
    """Expected weighted two-way counts at `beta`.

    Args:
        moments: bins and masses.
        beta: parameters, shape `(1 + bins,)`.
        curve: weight of a customer by the score.

    Returns:
        Shape `(1 + bins, 1 + bins)`, everybody first.
    """
    root = _root(moments, beta, curve)
    return np.asarray(moments.joint * np.outer(root, root))


def _root(moments: Moments, beta: FloatArray, curve: Curve) -> FloatArray:
    """Root of the mean weight in every bin, shape `(1 + bins,)`; scores in it are taken as normal."""
    mass = np.concatenate([[moments.customers], moments.mass])
    mean = moments.joint @ beta / mass
    spread = float(beta @ moments.joint @ beta) / moments.customers - float(mean[0]) ** 2
    spread = min(max(0.0, spread), MOST_SPREAD)
    mean = np.clip(mean, -MOST_SCORE, MOST_SCORE)
    between = (
        np.add.reduceat(moments.mass * (mean[1:] - mean[0]) ** 2, moments.offsets[:-1]) / moments.customers
    )
    inside = np.repeat(np.maximum(spread - between, 0.05 * spread), np.diff(moments.offsets))
    deviation = np.sqrt(np.concatenate([[spread], inside]))
    return np.asarray(np.sqrt(curve(mean[:, None] + deviation[:, None] * _NODES) @ _WEIGHTS))
