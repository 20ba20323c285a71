"""The holder's side of the scorecard: exact integers for histogram, gradients and two-way tables.

All arithmetic is integer. A row's score is an int64 sum of the query's fixed-point parameters; its residual
comes from one public table indexed by the clamped score; codes are small integers that follow from the bins
alone. So the contribution of a table is the sum of the contributions of its single customers, bit for bit, in
any order; and one customer adds to a gradient one residual, at most 2^R in size, times one code of length ONE
a feature and one for everybody. The last gradient may be one over groups of pairs of features instead, within
the same bound.

The residual is `-min(1, exp(-s))` for a customer with the label and `min(1, exp(s))` for one without: the
gradient of the proper loss with the logit link that is steepest among those whose residuals stay within one.
Its expected curvature is min(p, 1-p), where the logistic loss has p (1-p) for the same largest residual, so
the same noise hides less of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ringfence.models.edges import NUMBER_CELLS
from ringfence.models.features import Codes, FeatureMatrix
from ringfence.models.scorecard.codes import code_length, encode_sums
from ringfence.models.scorecard.pairs import pair_sums, pairs_length, products
from ringfence.models.scorecard.plan import (
    MOST_GROUPS,
    TWO_WAY_ROUND,
    ScorecardDesign,
    coarse_size,
    design,
    most_bins,
)
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import N_, Clause, WaistError
from ringfence.privacy.waist import Contribution, IntVector, Query

PARAMETER_BITS = 16
PARAMETER_LIMIT = 2**31 - 1
SCORE_LIMIT = 16
TABLE_BITS = 8
# Rows worked on at once, so that memory does not grow with the table.
CHUNK = 1 << 16


def lengths(context: StudyContext, query: Query) -> Mapping[str, int]:
    """Entries of each block; the query's shape and ranges are checked before rows are read.

    Raises:
        WaistError: the query is not one this study's plan can ask.
    """
    shape = design(context)
    if query.round == 0:
        expect(not query.arrays and not query.numbers, N_("a histogram has no parameters"))
        return {"cells": sum(coarse_size(grid, shape.options) for grid in context.grids)}
    _check_bins(context, query)
    bins = int(query.arrays["offsets"][-1])
    tables, interplay = _asked(shape, query)
    expected = {"bins", "offsets", "theta"} | ({"groups", "group_offsets"} if tables or interplay else set())
    expect(
        set(query.arrays) == expected,
        N_("a gradient has bins, offsets and theta, one of pairs has groups as well"),
    )
    theta = query.arrays["theta"]
    expect(theta.shape == (bins,), N_("theta has one entry a bin"))
    inside = (theta >= -PARAMETER_LIMIT) & (theta <= PARAMETER_LIMIT)
    expect(bool(np.all(inside)), N_("theta fits 32 bits"))
    if tables or interplay:
        check_groups(query)
    paired = pairs_length(query.arrays["group_offsets"]) if tables or interplay else 0
    sizes = {"gradient": paired if interplay else code_length(query.arrays["offsets"])}
    if query.round == TWO_WAY_ROUND:
        sizes["masses"] = bins
    if tables:
        sizes["two-way"] = paired
    return sizes


def _asked(shape: ScorecardDesign, query: Query) -> tuple[bool, bool]:
    """Whether two-way tables are asked for, and whether the gradient is one over pairs."""
    tables = shape.pairs > 0 and query.round == TWO_WAY_ROUND
    last = query.round == shape.options.iterations and shape.pair_code is not None
    return tables, last and "groups" in query.arrays


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
    if query.round == 0:
        cells = _cell_counts(context, features.codes) * shape.count_unit
        return Contribution(query_digest=query.digest(), blocks={"cells": cells})
    offsets = query.arrays["offsets"]
    tables, interplay = _asked(shape, query)
    groups, group_offsets = (
        query.arrays.get("groups"),
        query.arrays.get("group_offsets", np.zeros(1, dtype=np.int64)),
    )
    size = int(group_offsets[-1])
    bits, one = (
        shape.pair_code if interplay and shape.pair_code else (shape.residual_bits, 2**shape.pair_bits)
    )
    total: IntVector = np.zeros(1 + int(offsets[-1]), dtype=np.int64)
    masses: IntVector = np.zeros(int(offsets[-1]), dtype=np.int64)
    paired: IntVector = np.zeros((size, size), dtype=np.int64)
    for start in range(0, len(features.label), CHUNK):
        rows = slice(start, start + CHUNK)
        bins = bins_of(context, features.codes[rows], query.arrays["bins"])
        residual = _residuals(bins, query.arrays["theta"], features.label[rows], bits)
        if interplay:
            assert groups is not None
            paired += pair_sums(groups[bins], size, residual)
            continue
        total += _by_bin(bins, int(offsets[-1]), residual)
        if query.round == TWO_WAY_ROUND:
            masses += np.bincount(bins.ravel(order="K"), minlength=len(masses))
        if tables:
            assert groups is not None
            paired += pair_sums(groups[bins], size)
    if interplay:
        return Contribution(
            query_digest=query.digest(), blocks={"gradient": products(paired, group_offsets, one)}
        )
    blocks: dict[str, IntVector] = {"gradient": encode_sums(offsets, int(total[0]), total[1:])}
    if query.round == TWO_WAY_ROUND:
        blocks["masses"] = masses * shape.mass_unit
    if tables:
        blocks["two-way"] = products(paired, group_offsets, one)
    return Contribution(query_digest=query.digest(), blocks=blocks)


def coarse_codes(context: StudyContext, codes: Codes) -> npt.NDArray[np.int64]:
    """Codes on the first histogram's cells, shape `(n, D)`: numbers step down from 256 cells."""
    options = design(context).options
    step = NUMBER_CELLS // options.cells
    coarse = codes.astype(np.int64, order="F")
    for column, grid in enumerate(context.grids):
        if grid.ordered:
            table = np.arange(grid.size)
            table[: grid.values] //= step
            table[grid.values :] += options.cells - grid.values
            coarse[:, column] = table[coarse[:, column]]
    return coarse


def bins_of(context: StudyContext, codes: Codes, table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Bins of rows, shape `(n, D)`, columns contiguous, from a table over all cells."""
    starts = np.cumsum([0, *(grid.size for grid in context.grids)])
    bins = np.empty(codes.shape, dtype=np.int64, order="F")
    for column in range(codes.shape[1]):
        bins[:, column] = table[starts[column] : starts[column + 1]][codes[:, column]]
    return bins


@lru_cache(maxsize=16)
def residual_table(residual_bits: int) -> npt.NDArray[np.int64]:
    """The public table `round(2^R min(1, exp(s)))` over clamped scores, in steps of 2^-8 from -16 to 16."""
    steps = np.arange(-SCORE_LIMIT * 2**TABLE_BITS, SCORE_LIMIT * 2**TABLE_BITS + 1)
    size = np.exp(np.minimum(steps, 0) / 2**TABLE_BITS)
    table: npt.NDArray[np.int64] = np.rint(size * 2**residual_bits).astype(np.int64)
    return table


def residuals(
    scores: npt.NDArray[np.int64], label: npt.NDArray[np.uint8], residual_bits: int
) -> npt.NDArray[np.int64]:
    """Fixed-point residuals of rows, |r| <= 2^R, from int64 scores in units of 2^-16; negative where the
    label is 1.
    """
    limit = SCORE_LIMIT * 2**TABLE_BITS
    side = 1 - 2 * label.astype(np.int64)
    index = side * np.clip(scores >> (PARAMETER_BITS - TABLE_BITS), -limit, limit) + limit
    return np.asarray(residual_table(residual_bits)[index] * side)


def _cell_counts(context: StudyContext, codes: Codes) -> IntVector:
    options = design(context).options
    step = NUMBER_CELLS // options.cells
    counts = []
    for column, grid in enumerate(context.grids):
        fine = np.bincount(codes[:, column], minlength=grid.size)
        values = fine[: grid.values].reshape(-1, step).sum(axis=1) if grid.ordered else fine[: grid.values]
        counts += [values, fine[grid.values :]]
    return np.concatenate(counts).astype(np.int64)


def _residuals(
    bins: npt.NDArray[np.int64], theta: npt.NDArray[np.int64], label: npt.NDArray[np.uint8], bits: int
) -> IntVector:
    """Residuals of rows at the query's parameters."""
    scores = np.zeros(len(bins), dtype=np.int64)
    for column in range(bins.shape[1]):
        scores += theta[bins[:, column]]
    return residuals(scores, label, bits)


def _by_bin(bins: npt.NDArray[np.int64], size: int, residual: IntVector) -> IntVector:
    """Residual sums over everybody and over each bin, shape `(1 + size,)`."""
    total = np.zeros(1 + size, dtype=np.int64)
    total[0] = residual.sum()
    for column in range(bins.shape[1]):
        # Weights are integers far below 2^53: the float64 sums are exact.
        total[1:] += np.bincount(bins[:, column], weights=residual, minlength=size).astype(np.int64)
    return total


def _check_bins(context: StudyContext, query: Query) -> None:
    options = design(context).options
    cells = [grid.size for grid in context.grids]
    offsets, table = query.arrays.get("offsets"), query.arrays.get("bins")
    expect(offsets is not None and table is not None and not query.numbers, N_("bins and offsets are given"))
    assert offsets is not None  # for the type checker; _expect has refused otherwise
    assert table is not None
    expect(
        offsets.shape == (len(cells) + 1,) and offsets[0] == 0,
        N_("offsets has one entry a feature and one more"),
    )
    widths = np.diff(offsets)
    allowed = np.array([most_bins(grid, options) for grid in context.grids])
    expect(bool(np.all((widths >= 1) & (widths <= allowed))), N_("every feature has its number of bins"))
    expect(table.shape == (sum(cells),), N_("bins has one entry a cell"))
    owner = np.repeat(np.arange(len(cells)), cells)
    expect(
        bool(np.all((table >= offsets[:-1][owner]) & (table < offsets[1:][owner]))),
        N_("every cell has a bin of its own feature"),
    )


def check_groups(query: Query) -> None:
    """Refuse what are no groups of the query's bins; raises WaistError."""
    offsets, groups, starts = query.arrays["offsets"], query.arrays["groups"], query.arrays["group_offsets"]
    expect(
        starts.shape == offsets.shape and starts[0] == 0,
        N_("group_offsets has one entry a feature and one more"),
    )
    widths = np.diff(starts)
    lawful = (widths >= 1) & (widths <= np.minimum(MOST_GROUPS, np.diff(offsets)))
    expect(bool(np.all(lawful)), N_("every feature has its number of groups"))
    expect(groups.shape == (int(offsets[-1]),), N_("groups has one entry a bin"))
    owner = np.repeat(np.arange(len(widths)), np.diff(offsets))
    inside = (groups >= starts[:-1][owner]) & (groups < starts[1:][owner])
    expect(bool(np.all(inside)), N_("every bin has a group of its own feature"))


def expect(condition: bool, rule: str) -> None:
    """Refuse a query that breaks a rule; raises WaistError."""
    if not condition:
        raise WaistError(
            "RF-W050",
            N_("A scorecard query was refused before any row was read: the rule is that {rule}."),
            rule=Clause(rule),
        )
