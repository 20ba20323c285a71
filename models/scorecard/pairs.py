"""Two-way tables of grouped bins: how they are counted and coded at a holder, and read by the coordinator.

Each pair of features has one table, coded on both sides like a gradient (codes.py): what a table's margins
say is not said again for every pair, and a pair of flags needs one number instead of four.

Invariant: one customer adds, for each of the D (D-1)/2 pairs, the outer product of two codes of length at
most `one`, so a vector of squared length at most D (D-1)/2 one^4; in a table of residuals the residual times
that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.codes import simplex

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def pairs_length(offsets: IntArray) -> int:
    """Entries of all coded tables."""
    widths = np.diff(offsets) - 1
    return int((widths.sum() ** 2 - (widths**2).sum()) // 2)


def pair_sums(groups: IntArray, size: int, residual: IntArray | None = None) -> IntArray:
    """Customers, or sums of their residuals, in every pair of groups, shape `(size, size)`.

    Args:
        groups: group of each customer in each feature, shape `(n, D)`.
        size: number of groups of all features.
        residual: of each customer, shape `(n,)`; its absolute values (or ones) sum to at most 2^24.
    """
    # Sums stay within 2^24, so the float32 product is exact.
    hot = np.zeros((len(groups), size), dtype=np.float32)
    hot[np.arange(len(groups))[:, None], groups] = 1.0
    weighted = hot if residual is None else hot * residual.astype(np.float32)[:, None]
    return np.asarray((hot.T @ weighted).astype(np.int64))


def products(counts: IntArray, offsets: IntArray, one: int) -> IntArray:
    """All tables, coded, one after the other.

    Args:
        counts: see `pair_sums`.
        offsets: first group of each feature and, last, the number of groups.
        one: largest length of a code.
    """
    parts = [
        (
            simplex(rows.stop - rows.start, one).T
            @ counts[rows, columns]
            @ simplex(columns.stop - columns.start, one)
        ).ravel()
        for rows, columns in _pairs(offsets)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def deviations(
    coded: FloatArray, expected: FloatArray, offsets: IntArray, one: int, noise: float
) -> tuple[FloatArray, FloatArray]:
    """What tables say beyond what was expected of them, and how much noise there is in it.

    Args:
        coded: noisy coded tables, in grid units.
        expected: expected counts, shape `(groups, groups)`.
        offsets: see `products`.
        one: see `products`.
        noise: standard deviation of an entry's noise, in grid units.

    Returns:
        Differences in customers with rows and columns that sum to about zero in each table, and their
        variances, both of shape `(groups, groups)`, zero inside a feature.
    """
    found, variance = np.zeros_like(expected), np.zeros_like(expected)
    start = 0
    for rows, columns in _pairs(offsets):
        left, right = (simplex(s.stop - s.start, one).astype(np.float64) for s in (rows, columns))
        shape = (left.shape[1], right.shape[1])
        if 0 in shape:
            continue
        length = shape[0] * shape[1]
        table = coded[start : start + length].reshape(shape) - left.T @ expected[rows, columns] @ right
        start += length
        back, forth = _inverse(left.shape[0], one), _inverse(right.shape[0], one)
        found[rows, columns] = back.T @ table @ forth
        variance[rows, columns] = noise**2 * np.outer((back**2).sum(axis=0), (forth**2).sum(axis=0))
        found[columns, rows] = found[rows, columns].T
        variance[columns, rows] = variance[rows, columns].T
    return found, variance


@lru_cache(maxsize=64)
def _inverse(groups: int, one: int) -> FloatArray:
    """What takes a coded row back to groups, up to their mean."""
    return np.asarray(np.linalg.pinv(simplex(groups, one).astype(np.float64)), dtype=np.float64)


def _pairs(offsets: IntArray) -> Iterator[tuple[slice, slice]]:
    """Groups of the first and of the second feature of each pair."""
    return combinations([slice(first, last) for first, last in pairwise(offsets.tolist())], 2)
