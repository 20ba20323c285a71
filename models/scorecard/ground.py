"""The ground a scorecard is learned on: customers in every bin, and the effects that bins may have, as plain arrays.

Post-processing of noisy sums. Masses are shrunk towards equal ones by as much as their noise weighs, so that no bin
is empty. Two features go together as far as their directions do: one correlation a pair, in the direction in which
the feature moves the label, shrunk by its noise. Whole two-way tables would say more and cost more than they were
worth on generated populations (docs/methods/scorecard.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# No bin is taken for smaller than this part of an even one.
LEAST_MASS = 0.02
# Variance of a direction below which nothing is said about it; bounds that keep correlations invertible.
LEAST_DIRECTION = 1e-3
MOST_CORRELATION, LEAST_EIGENVALUE = 0.98, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is known before a label is seen; a row or column for everybody comes before those of the bins.

    Attributes:
        customers: estimated number of customers.
        offsets: first bin of each feature and, last, the number of bins.
        mass: estimated customers in each bin, shape `(bins,)`, positive, of equal sum in every feature.
        joint: expected two-way counts, shape `(1 + bins, 1 + bins)`, positive semidefinite.
        effects: how coefficients make parameters, shape `(1 + bins, 1 + k)`, one column for the intercept.
        group: variance that each of the k coefficients shares, shape `(k,)`.
        kind: kind of effect of each group: 0 a line, 1 a walk over ordered bins, 2 a category.
        origin: parameters that effects are departures from, shape `(1 + bins,)`; zero without a prior card.
    """

    customers: float
    offsets: IntArray
    mass: FloatArray
    joint: FloatArray
    effects: FloatArray
    group: IntArray
    kind: IntArray
    origin: FloatArray


def survey(binning: Binning, noise: float, origin: FloatArray | None = None) -> Ground:
    """Describe the ground from a noisy histogram.

    Args:
        binning: bins and their noisy mass.
        noise: standard deviation of one cell's noise, in customers.
        origin: parameters to depart from, shape `(1 + bins,)`; zero by default.
    """
    offsets = binning.offsets
    spans = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
    customers = max(1.0, float(np.mean([binning.mass[first:last].sum() for first, last in spans])))
    cells = np.bincount(binning.table, minlength=int(offsets[-1]))
    mass = np.concatenate(
        [
            _cleaned(binning.mass[first:last], customers, noise**2 * float(cells[first:last].mean()))
            for first, last in spans
        ]
    )
    effects, group, kind = _effects(binning, spans, mass)
    return Ground(
        customers=customers,
        offsets=offsets,
        mass=mass,
        joint=_joint(spans, mass, customers),
        effects=effects,
        group=group,
        kind=kind,
        origin=np.zeros(1 + len(mass)) if origin is None else origin,
    )


def acquainted(ground: Ground, directions: FloatArray, products: FloatArray, noise: float) -> Ground:
    """The ground with what the moments say about features that go together.

    Args:
        ground: bins and masses.
        directions: value of every bin, within -1 and 1, shape `(bins,)`.
        products: noisy sums over customers of the products of two features' values, for each pair of features.
        noise: standard deviation of one product's noise.
    """
    owner = np.repeat(np.arange(len(ground.offsets) - 1), np.diff(ground.offsets))
    count, customers = len(ground.offsets) - 1, ground.customers
    mean = np.bincount(owner, weights=ground.mass * directions) / customers
    centred = directions - mean[owner]
    spread = np.bincount(owner, weights=ground.mass * centred**2) / customers
    deviation = np.sqrt(np.maximum(spread, LEAST_DIRECTION))
    rows, columns = np.triu_indices(count, 1)
    scale = deviation[rows] * deviation[columns]
    found = (products / customers - mean[rows] * mean[columns]) / scale
    variance = (noise / customers / scale) ** 2
    # How large true correlations are, from what the noise does not explain; each is shrunk by its own noise.
    weight = 1.0 / np.maximum(variance, 1e-12)
    true = max(1e-6, float((weight * (found**2 - variance)).sum() / weight.sum()))
    shrunk = np.clip(found * true / (true + variance), -MOST_CORRELATION, MOST_CORRELATION)
    correlation = np.eye(count)
    correlation[rows, columns] = correlation[columns, rows] = shrunk
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    correlation /= np.sqrt(np.outer(np.diagonal(correlation), np.diagonal(correlation)))
    # Positive semidefinite: inside a feature a direction of variance one takes no more than there is.
    pull = ground.mass * centred / deviation[owner]
    joint = ground.joint.copy()
    other = owner[:, None] != owner[None, :]
    joint[1:, 1:] += np.where(other, correlation[np.ix_(owner, owner)] * np.outer(pull, pull) / customers, 0.0)
    return replace(ground, joint=joint)


def _cleaned(mass: FloatArray, customers: float, variance: float) -> FloatArray:
    """One feature's masses, shrunk towards even ones by the share of noise in their spread."""
    even = customers / len(mass)
    spread = float(((mass - even) ** 2).mean())
    kept = max(0.0, 1.0 - variance / spread) if spread > 0 else 0.0
    shrunk = np.maximum(even + kept * (mass - even), LEAST_MASS * even)
    return np.asarray(shrunk * (customers / shrunk.sum()))


def _joint(spans: list[tuple[int, int]], mass: FloatArray, customers: float) -> FloatArray:
    """Counts of pairs of bins if features were independent."""
    whole = np.concatenate([[customers], mass])
    joint = np.outer(whole, whole) / customers
    for first, last in spans:
        joint[1 + first : 1 + last, 1 + first : 1 + last] = np.diag(mass[first:last])
    return joint


def _effects(
    binning: Binning, spans: list[tuple[int, int]], mass: FloatArray
) -> tuple[FloatArray, IntArray, IntArray]:
    """A line and a walk over ordered bins, one coefficient a bin elsewhere; each column has mean zero."""
    size = len(mass)
    columns: list[FloatArray] = []
    group: list[int] = []
    kind: list[int] = []
    for (first, last), chain in zip(spans, binning.ordered, strict=True):
        if chain >= 2:
            part = mass[first : first + chain]
            place = (np.cumsum(part) - part / 2) / part.sum() - 0.5
            columns.append(_column(size, first, place * math.sqrt(12.0)))
            group.append(len(kind))
            kind.append(0)
        if chain >= 3:
            for step in range(1, chain):
                stair = (np.arange(chain) >= step).astype(np.float64)
                stair -= (stair * part).sum() / part.sum()
                columns.append(_column(size, first, stair / math.sqrt(chain / 6.0)))
                group.append(len(kind))
            kind.append(1)
        alone = range(first + chain if chain >= 2 else first, last)
        if last - first < 2 or not alone:
            continue
        for bin_ in alone:
            single = np.zeros(last - first)
            single[bin_ - first] = 1.0
            if chain < 2:
                single -= mass[bin_] / mass[first:last].sum()
            columns.append(_column(size, first, single))
            group.append(len(kind))
        kind.append(2)
    effects = np.zeros((1 + size, 1 + len(columns)))
    effects[0, 0] = 1.0
    if columns:
        effects[1:, 1:] = np.column_stack(columns)
    return effects, np.array(group, dtype=np.int64), np.array(kind, dtype=np.int64)


def _column(size: int, first: int, values: FloatArray) -> FloatArray:
    column = np.zeros(size)
    column[first : first + len(values)] = values
    return column
