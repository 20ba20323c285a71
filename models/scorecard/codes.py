"""Codes: how a gradient over bins becomes released integers, and what one customer can add.

A feature's B bins are the corners of a regular simplex in B - 1 dimensions, integer coordinates of length at
most `ONE`; before them stands one entry for everybody. One-hot sums would repeat the sum over all customers
in every feature; the simplex spends nothing on that, so a difference of two bins of a flag comes with half
the variance.

Invariant: a row of the code has a squared length of at most `ONE**2` in each feature and exactly that in the
first entry, so one customer with residual r adds a vector of squared length at most `(D + 1) ONE**2 r**2`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

CODE_BITS = 6
ONE = 1 << CODE_BITS

IntArray = npt.NDArray[np.int64]


def code_length(offsets: IntArray) -> int:
    """Entries of a coded gradient: one for everybody, and one fewer than bins for each feature."""
    return 1 + int(offsets[-1]) - (len(offsets) - 1)


def encode_sums(offsets: IntArray, everybody: int, sums: IntArray) -> IntArray:
    """Code the residual sums of bins.

    Args:
        offsets: first bin of each feature and, last, the number of bins.
        everybody: the sum over all customers.
        sums: the sum over each bin's customers, shape `(bins,)`.

    Returns:
        int64, shape `(code_length(offsets),)`.
    """
    parts = [np.array([ONE * everybody], dtype=np.int64)]
    parts += [simplex(int(last - first)).T @ sums[first:last] for first, last in pairwise(offsets)]
    return np.concatenate(parts)


def code_matrix(offsets: IntArray) -> npt.NDArray[np.float64]:
    """The code in units of `ONE`: rows are everybody and the bins, columns the released entries."""
    matrix = np.zeros((1 + int(offsets[-1]), code_length(offsets)))
    matrix[0, 0] = 1.0
    column = 1
    for first, last in pairwise(offsets.tolist()):
        width = last - first - 1
        matrix[1 + first : 1 + last, column : column + width] = simplex(last - first) / ONE
        column += width
    return matrix


@lru_cache(maxsize=256)
def simplex(bins: int, one: int = ONE) -> IntArray:
    """Corners of a regular simplex, `(bins, bins - 1)`, at most `one` long (Helmert's contrasts)."""
    whole = np.zeros((bins, max(0, bins - 1)))
    for column in range(bins - 1):
        length = math.sqrt(bins / (bins - 1) / ((column + 1) * (column + 2)))
        whole[: column + 1, column] = length
        whole[column + 1, column] = -length * (column + 1)
    corners = np.zeros_like(whole, dtype=np.int64)
    # Rounding may make a corner longer than `one`, so the figure is shrunk until none is.
    for eighths in range(8 * one, 0, -1):
        corners = np.rint(whole * (eighths / 8)).astype(np.int64)
        if not bins or int((corners**2).sum(axis=1).max()) <= one**2:
            break
    corners.setflags(write=False)
    return corners
