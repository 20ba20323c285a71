"""Quantiles of a number from hierarchical counts made consistent by least squares.

Source: Hay, Rastogi, Miklau, Suciu (2010), "Boosting the accuracy of differentially private histograms
through consistency": the 256 public cells are counted at every level of a binary tree, and the counts of all
levels become the least-squares estimate of the cells in two passes over the tree. A customer is in one cell
of each of the 8 levels. Measured by the variance of a rank, halving cells is as good as any tree
(tests/models).

The interval of a quantile holds every cell that the noise does not exclude: the exact rank of the cell below
it is tested with the variance of the least-squares estimate, so that the quantile of the customers' own
values is inside in 95 % of draws of noise, wherever it lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

import numpy as np
from scipy.optimize import isotonic_regression

from ringfence.models.edges import NUMBER_CELLS, edges_of
from ringfence.models.features import FeatureMatrix
from ringfence.models.statistics.inquiry import BlockShape, Floats, Inquiry, Method, Sums
from ringfence.models.tables.disclosure import Why
from ringfence.models.tables.noisy import CUSTOMERS, NoisyFigure, NoisyRow, NoisyTable, counted, half_width
from ringfence.privacy.agreements.feature import Feature
from ringfence.privacy.waist import IntVector

TREE = "tree"
LEVELS = int(math.log2(NUMBER_CELLS))
PERCENT = "percent"
QUANTILE = "quantile"


def _shapes(_inquiry: Inquiry) -> tuple[BlockShape, ...]:
    return (BlockShape(part=TREE, length=2 * NUMBER_CELLS - 2, ones=LEVELS, share=1.0),)


def _contribute(
    inquiry: Inquiry, bits: Mapping[str, int], features: FeatureMatrix
) -> Mapping[str, IntVector]:
    """Customers with a value at every level, the coarsest first."""
    codes = features.codes[:, features.names.index(inquiry.question.of[0])]
    leaves = np.bincount(codes[codes < NUMBER_CELLS], minlength=NUMBER_CELLS).astype(np.int64)
    levels = [leaves.reshape(1 << level, -1).sum(axis=1) for level in range(1, LEVELS + 1)]
    return {TREE: np.concatenate(levels) << bits[TREE]}


def consistent(tree: Floats) -> Floats:
    """The least-squares estimate of the cells from counts at all levels, shape `(256,)`.

    Args:
        tree: counts with equal noise, the coarsest level first.
    """
    levels = np.split(tree, np.cumsum([1 << level for level in range(1, LEVELS)]))
    upward = [levels[-1]]
    for height in range(2, LEVELS + 1):
        # Equation 3 of the paper for k = 2: own count and the children's, by their variances.
        own = (2.0**height - 2.0 ** (height - 1)) / (2.0**height - 1.0)
        children = upward[-1].reshape(-1, 2).sum(axis=1)
        upward.append(own * levels[-height] + (1.0 - own) * children)
    found = upward[-1]
    for level in reversed(upward[:-1]):
        pairs = level.reshape(-1, 2)
        found = (pairs + ((found - pairs.sum(axis=1)) / 2.0)[:, None]).ravel()
    return found


@lru_cache(maxsize=1)
def _spread() -> Floats:
    """Covariance of the cells' estimates when a count has variance 1, shape `(256, 256)`."""
    width = NUMBER_CELLS
    precision = np.zeros((width, width))
    for level in range(1, LEVELS + 1):
        node = np.arange(width) // (width >> level)
        precision += node[:, None] == node[None, :]
    found = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=256)
def _rank_deviations(percent: Decimal) -> Floats:
    """Standard deviations of `customers below cell c - percent N`, c from 0 to 256, in those of a count."""
    below = np.arange(NUMBER_CELLS)[None, :] < np.arange(NUMBER_CELLS + 1)[:, None]
    contrast = below - float(percent) / 100.0
    found: Floats = np.sqrt(np.einsum("ij,jk,ik->i", contrast, _spread(), contrast))
    found.flags.writeable = False
    return found


def _counts(_inquiry: Inquiry, sums: Sums) -> Floats:
    return np.array([consistent(sums[TREE].values).sum()])


def _error(inquiry: Inquiry, customers: float) -> float:
    """Of ranks: the customers on one side of the quantile, as a part of all."""
    each = [float(_rank_deviations(percent)[1:-1].mean()) for percent in inquiry.question.percents]
    return math.sqrt(LEVELS) * sum(each) / len(each) / customers


def _table(inquiry: Inquiry, sums: Sums, why: Sequence[Why]) -> NoisyTable:
    cells, deviation, width = consistent(sums[TREE].values), sums[TREE].deviation, half_width(1, 1)
    total = float(cells.sum())
    everybody = np.ones(NUMBER_CELLS)
    spread = deviation * math.sqrt(float(everybody @ _spread() @ everybody))
    (customers,) = counted([total], [spread], width)
    rows = []
    for percent in inquiry.question.percents:
        tail = float(min(percent, 100 - percent)) / 100.0 * total
        reason: Why = why[0] or ("small" if tail < inquiry.threshold else "")
        figures = () if reason else (customers, _quantile(inquiry, cells, deviation, percent, width))
        rows.append(NoisyRow(group=(f"{percent.normalize():f}",), figures=figures, why=reason))
    return NoisyTable(
        name=inquiry.name,
        question=inquiry.question.text,
        kind="quantiles",
        by=(PERCENT,),
        measures=(CUSTOMERS, QUANTILE),
        rows=tuple(rows),
        threshold=inquiry.threshold,
        quasi=inquiry.quasi,
        days=(QUANTILE,) if inquiry.of_days else (),
        deviation=spread,
    )


def _quantile(
    inquiry: Inquiry, cells: Floats, deviation: float, percent: Decimal, width: float
) -> NoisyFigure:
    """The value below which so many percent are."""
    feature = inquiry.context.schema.feature(inquiry.question.of[0])
    edges = [float(each) for each in edges_of(feature)]
    part = float(percent) / 100.0
    total = float(cells.sum())
    below = np.concatenate([[0.0], np.cumsum(cells)])
    excess = below - part * total
    reach = width * deviation * _rank_deviations(percent)
    # The quantile is in cell c where fewer than its rank are below c and at least its rank below c + 1.
    first = int(np.argmax(np.append((excess + reach)[1:] >= 0, True)))
    last = NUMBER_CELLS - 1 - int(np.argmax(np.append((excess - reach)[:-1][::-1] < 0, True)))
    first, last = min(first, NUMBER_CELLS - 1), max(last, 0)
    rising = np.asarray(isotonic_regression(below).x)
    cell = int(np.clip(np.searchsorted(rising, part * total, side="left") - 1, 0, NUMBER_CELLS - 1))
    step = float(rising[cell + 1] - rising[cell])
    share = (part * total - float(rising[cell])) / step if step > 0 else 0.5
    value = edges[cell] + min(max(share, 0.0), 1.0) * (edges[cell + 1] - edges[cell])
    low, high = edges[min(first, last)], edges[max(first, last) + 1]
    if _stepped(feature):
        value, high = float(math.floor(value)), max(low, float(math.ceil(high) - 1))
    return NoisyFigure(value=min(max(value, low), high), low=low, high=high)


def _stepped(feature: Feature) -> bool:
    """Whether its values are whole, so that a cell ends before its upper edge."""
    return bool(feature.whole) or feature.kind == "date"


QUANTILES = Method(shapes=_shapes, contribute=_contribute, counts=_counts, answer=_table, error=_error)
