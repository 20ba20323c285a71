"""First and second moments of a scorecard's bins, and the effects that bins may have.

Post-processing of noisy sums. Masses are shrunk towards equal ones by as much as their noise weighs, so that
no bin is empty. Features are taken as independent except for what two-way tables of a few groups say clearly
above their noise: without them features that say the same thing twice would be believed twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# No bin is taken for smaller than this part of an even one.
LEAST_MASS = 0.02
# Part of the expected noise that is taken off a two-way table's power; the least curvature in any direction.
NOISE_MARGIN = 1.2
LEAST_EIGENVALUE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
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


def moments_of(binning: Binning, origin: FloatArray | None = None) -> Moments:
    """Describe the moments from noisy counts of bins.

    Args:
        binning: bins and their noisy mass.
        origin: parameters to depart from, shape `(1 + bins,)`; zero by default.
    """
    offsets = binning.offsets
    spans = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
    customers = max(1.0, float(np.mean([binning.mass[first:last].sum() for first, last in spans])))
    mass = np.concatenate(
        [
            _cleaned(binning.mass[first:last], customers, float(binning.variance[first:last].mean()))
            for first, last in spans
        ]
    )
    effects, group, kind = _effects(binning, spans, mass)
    return Moments(
        customers=customers,
        offsets=offsets,
        mass=mass,
        joint=_joint(spans, mass, customers),
        effects=effects,
        group=group,
        kind=kind,
        origin=np.zeros(1 + len(mass)) if origin is None else origin,
    )


def grouped(moments: Moments, ordered: tuple[int, ...], most: int) -> tuple[IntArray, IntArray]:
    """Few groups of bins for two-way tables: neighbours in an order; of categories the largest apart.

    Args:
        moments: bins and masses.
        ordered: bins of each feature that follow an order, counted from its first bin.
        most: groups of a feature at most, at least 3.

    Returns:
        The group of every bin, and the first group of each feature with the number of groups at the end.
    """
    groups = np.zeros(len(moments.mass), dtype=np.int64)
    starts = [0]
    for (first, last), chain in zip(pairwise(moments.offsets.tolist()), ordered, strict=True):
        mass, width = moments.mass[first:last], last - first
        if width <= most:
            local = np.arange(width)
        elif chain >= 2:
            kept = most - (1 if width > chain else 0)
            middle = np.cumsum(mass[:chain]) - mass[:chain] / 2
            place = np.minimum((middle / mass[:chain].sum() * kept).astype(np.int64), kept - 1)
            place = np.unique(place, return_inverse=True)[1].astype(np.int64)
            local = np.concatenate([place, np.full(width - chain, place[-1] + 1)])
        else:
            local = np.full(width, most - 1)
            local[np.argsort(-mass, kind="stable")[: most - 1]] = np.arange(most - 1)
        groups[first:last] = local + starts[-1]
        starts.append(starts[-1] + int(local.max()) + 1)
    return groups, np.array(starts, dtype=np.int64)


def with_two_way(moments: Moments, groups: IntArray, found: FloatArray, variance: FloatArray) -> Moments:
    """The moments with what two-way tables say about features that go together.

    Args:
        moments: bins and masses.
        groups: group of every bin.
        found: customers beyond those of independent features in each pair of groups.
        variance: of the noise in them.
    """
    size = int(groups.max()) + 1
    mass = np.bincount(groups, weights=moments.mass, minlength=size)
    owner = np.zeros(size, dtype=np.int64)
    owner[groups] = np.repeat(np.arange(len(moments.offsets) - 1), np.diff(moments.offsets))
    member = np.eye(len(moments.offsets) - 1)[owner]
    # In units in which a feature with itself is the identity; each table is shrunk by the noise in it.
    root = np.sqrt(np.outer(mass, mass))
    table = found / root
    power, noise = member.T @ table**2 @ member, member.T @ (variance / root**2) @ member
    kept = np.maximum(0.0, 1.0 - NOISE_MARGIN * noise / np.maximum(power, 1e-12))
    table = table * kept[np.ix_(owner, owner)]
    same = owner[:, None] == owner[None, :]
    table = np.where(same, np.eye(size) - root / moments.customers, table)
    values, vectors = np.linalg.eigh((table + table.T) / 2)
    table = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    # Inside a group bins stand for it by their mass; what tells them apart is independent of other features.
    share = np.sqrt(moments.mass / mass[groups])
    alike = groups[:, None] == groups[None, :]
    fine = table[np.ix_(groups, groups)] * np.outer(share, share)
    fine += np.eye(len(groups)) - np.where(alike, np.outer(share, share), 0.0)
    joint = moments.joint.copy()
    joint[1:, 1:] = fine * np.sqrt(np.outer(moments.mass, moments.mass))
    joint[1:, 1:] += np.outer(moments.mass, moments.mass) / moments.customers
    return replace(moments, joint=joint)


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
        part = mass[first : first + chain]
        if chain >= 2:
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
