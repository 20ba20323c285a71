"""The holder's side of the scorecard: exact integer vectors for a histogram, two-way tables and gradients.

All arithmetic is integer. A row's score is an int64 sum of the query's fixed-point parameters; its residual comes
from one public table indexed by the clamped score. So the contribution of a table is the sum of the contributions
of its single customers, bit for bit, in any order; and one customer moves a gradient by D entries of at most 2^R.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ringfence.models.features import NUMBER_CELLS, Codes, FeatureMatrix
from ringfence.models.scorecard.plan import coarse_size, design, most_bins
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.waist import Contribution, IntVector, Query

PARAMETER_BITS = 16
PARAMETER_LIMIT = 2**31 - 1
SCORE_LIMIT = 16
TABLE_BITS = 8
_CHUNK = 1 << 15


def lengths(context: StudyContext, query: Query) -> Mapping[str, int]:
    """Entries of each block; the query's shape and ranges are checked before rows are read.

    Raises:
        WaistError: the query is not one this study's plan can ask.
    """
    shape = design(context)
    if query.round == 0:
        _expect(not query.arrays and not query.numbers, "a histogram has no parameters")
        return {"cells": sum(coarse_size(grid, shape.options) for grid in context.grids)}
    _check_bins(context, query)
    bins = int(query.arrays["offsets"][-1])
    if query.round == 1:
        _expect(set(query.arrays) == {"bins", "offsets"}, "the two-way round has bins and offsets alone")
        sizes = {"diagonal": bins, "gradient": bins}
        pairs = len(pair_positions(query.arrays["offsets"])[0])
        return {"pairs": pairs, **sizes} if shape.dimensions > 1 else sizes
    _expect(set(query.arrays) == {"bins", "offsets", "theta"}, "a gradient has bins, offsets and theta")
    theta = query.arrays["theta"]
    _expect(theta.shape == (bins,), "theta has one entry a bin")
    inside = (theta >= -PARAMETER_LIMIT) & (theta <= PARAMETER_LIMIT)
    _expect(bool(np.all(inside)), "theta fits 32 bits")
    return {"gradient": bins}


def contribute(context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
    """What this holder's customers add to the sum a query asks for.

    Args:
        context: the study and its public cells.
        query: accepted by `lengths`.
        features: codes of shape `(n, D)`, the customers that count in this round.

    Returns:
        Blocks of int64. *Formal guarantees*: one customer changes them by at most the plan's sensitivities.
    """
    shape = design(context)
    coarse = coarse_codes(context, features.codes)
    if query.round == 0:
        blocks: dict[str, IntVector] = {"cells": _cell_counts(context, coarse) * shape.count_unit}
        return Contribution(query_digest=query.digest(), blocks=blocks)
    bins = bins_of(context, coarse, query.arrays["bins"])
    size = int(query.arrays["offsets"][-1])
    if query.round == 1:
        blocks = _two_way(bins, size, query.arrays["offsets"], shape.pair_unit)
        theta = np.zeros(size, dtype=np.int64)
        if shape.dimensions == 1:
            del blocks["pairs"]
    else:
        blocks, theta = {}, query.arrays["theta"]
    blocks["gradient"] = _gradient(bins, size, theta, features.label, shape.residual_bits)
    return Contribution(query_digest=query.digest(), blocks=blocks)


def coarse_codes(context: StudyContext, codes: Codes) -> npt.NDArray[np.int64]:
    """Codes on the first histogram's cells, shape `(n, D)`: numbers step down from 256 cells."""
    options = design(context).options
    step = NUMBER_CELLS // options.cells
    coarse = codes.astype(np.int64)
    for column, grid in enumerate(context.grids):
        if grid.ordered:
            fine = coarse[:, column]
            coarse[:, column] = np.where(fine < grid.values, fine // step, fine - grid.values + options.cells)
    return coarse


def bins_of(
    context: StudyContext, coarse: npt.NDArray[np.int64], table: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Bins of rows, shape `(n, D)`, from a table over all coarse cells."""
    options = design(context).options
    starts = np.cumsum([0, *(coarse_size(grid, options) for grid in context.grids)])[:-1]
    return np.asarray(table[coarse + starts])


def pair_positions(offsets: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of all pairs of bins of two different features, in the order they are sent."""
    size = int(offsets[-1])
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    rows, columns = np.triu_indices(size, 1)
    different = owner[rows] != owner[columns]
    return rows[different], columns[different]


@lru_cache(maxsize=4)
def residual_table(residual_bits: int) -> npt.NDArray[np.int64]:
    """The public table `round(2^R p)` over clamped scores, in steps of 2^-8 from -16 to 16."""
    steps = np.arange(-SCORE_LIMIT * 2**TABLE_BITS, SCORE_LIMIT * 2**TABLE_BITS + 1)
    probability = 1.0 / (1.0 + np.exp(-steps / 2**TABLE_BITS))
    table: npt.NDArray[np.int64] = np.rint(probability * 2**residual_bits).astype(np.int64)
    return table


def residuals(
    scores: npt.NDArray[np.int64], label: npt.NDArray[np.uint8], residual_bits: int
) -> npt.NDArray[np.int64]:
    """Fixed-point `p - y` of rows, |r| <= 2^R, from int64 scores in units of 2^-16."""
    step = PARAMETER_BITS - TABLE_BITS
    limit = SCORE_LIMIT * 2**TABLE_BITS
    index = np.clip(scores >> step, -limit, limit) + limit
    return np.asarray(residual_table(residual_bits)[index] - (label.astype(np.int64) << residual_bits))


def _cell_counts(context: StudyContext, coarse: npt.NDArray[np.int64]) -> IntVector:
    options = design(context).options
    counts = [
        np.bincount(coarse[:, column], minlength=coarse_size(grid, options))
        for column, grid in enumerate(context.grids)
    ]
    return np.concatenate(counts).astype(np.int64)


def _two_way(bins: npt.NDArray[np.int64], size: int, offsets: npt.NDArray[np.int64], unit: int) -> dict[str, IntVector]:
    table = np.zeros((size, size), dtype=np.int64)
    for start in range(0, len(bins), _CHUNK):
        part = bins[start : start + _CHUNK]
        # Counts of a chunk stay below 2^24, so the float32 product is exact.
        hot = np.zeros((len(part), size), dtype=np.float32)
        hot[np.arange(len(part))[:, None], part] = 1.0
        table += (hot.T @ hot).astype(np.int64)
    rows, columns = pair_positions(offsets)
    return {"pairs": table[rows, columns] * unit, "diagonal": np.diagonal(table) * unit}


def _gradient(
    bins: npt.NDArray[np.int64],
    size: int,
    theta: npt.NDArray[np.int64],
    label: npt.NDArray[np.uint8],
    residual_bits: int,
) -> IntVector:
    residual = residuals(theta[bins].sum(axis=1), label, residual_bits)
    total = np.zeros(size, dtype=np.int64)
    for column in range(bins.shape[1]):
        # Weights are integers far below 2^53: the float64 sums are exact.
        total += np.bincount(bins[:, column], weights=residual, minlength=size).astype(np.int64)
    return total


def _check_bins(context: StudyContext, query: Query) -> None:
    options = design(context).options
    cells = [coarse_size(grid, options) for grid in context.grids]
    offsets, table = query.arrays.get("offsets"), query.arrays.get("bins")
    _expect(offsets is not None and table is not None and not query.numbers, "bins and offsets are given")
    assert offsets is not None  # for the type checker; _expect has refused otherwise
    assert table is not None
    _expect(offsets.shape == (len(cells) + 1,) and offsets[0] == 0, "offsets has one entry a feature and one more")
    widths = np.diff(offsets)
    allowed = np.array([most_bins(grid, options) for grid in context.grids])
    _expect(bool(np.all((widths >= 1) & (widths <= allowed))), "every feature has its number of bins")
    _expect(table.shape == (sum(cells),), "bins has one entry a cell")
    owner = np.repeat(np.arange(len(cells)), cells)
    _expect(
        bool(np.all((table >= offsets[:-1][owner]) & (table < offsets[1:][owner]))),
        "every cell has a bin of its own feature",
    )


def _expect(condition: bool, rule: str) -> None:
    if not condition:
        raise WaistError(
            "RF-W050",
            N_("A scorecard query was refused before any row was read: the rule is that {rule}."),
            rule=rule,
        )
