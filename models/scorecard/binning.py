"""Binning: public cells are merged into bins by a noisy histogram alone (post-processing, it costs nothing).

Numbers are merged from left to right until a bin holds both a fair part of the customers and clearly more than
its own noise; categories that cannot be told from noise join "other".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ringfence.models.features import CellGrid
from ringfence.models.scorecard.plan import ScorecardOptions, coarse_size

# A number's bin must stand this many standard deviations above zero; a category this many.
NUMBER_CLEARANCE = 2.0
CATEGORY_CLEARANCE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Binning:
    """Bins of all features.

    Attributes:
        table: bin of every coarse cell, all features one after the other, int64.
        offsets: first bin of each feature and, last, the number of bins, shape `(D + 1,)`.
        ordered: bins of each feature that follow an order, counted from its first bin.
        mass: noisy number of customers in each bin, float64, shape `(bins,)`.
    """

    table: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    ordered: tuple[int, ...]
    mass: npt.NDArray[np.float64]


def merge(
    counts: npt.NDArray[np.float64], noise: float, grids: tuple[CellGrid, ...], options: ScorecardOptions
) -> Binning:
    """Merge cells into bins.

    Args:
        counts: noisy customers in every coarse cell, all features one after the other.
        noise: standard deviation of one cell's noise, in customers.
        grids: the features' cells.
        options: the study's options.
    """
    sizes = [coarse_size(grid, options) for grid in grids]
    parts = np.split(counts, np.cumsum(sizes)[:-1])
    customers = max(1.0, float(np.mean([part.sum() for part in parts])))
    tables, offsets, ordered, masses = [], [0], [], []
    for grid, part in zip(grids, parts, strict=True):
        if grid.ordered:
            local, chain = _number_bins(part, noise, options, customers)
        else:
            local, chain = _category_bins(part, noise), 0
        bins = int(local.max()) + 1
        masses.append(np.bincount(local, weights=part, minlength=bins))
        tables.append(local + offsets[-1])
        offsets.append(offsets[-1] + bins)
        ordered.append(chain)
    return Binning(
        table=np.concatenate(tables),
        offsets=np.array(offsets, dtype=np.int64),
        ordered=tuple(ordered),
        mass=np.concatenate(masses),
    )


def _number_bins(
    part: npt.NDArray[np.float64], noise: float, options: ScorecardOptions, customers: float
) -> tuple[npt.NDArray[np.int64], int]:
    """Bins of one number, and how many of them follow the order (the missing cell comes after them)."""
    cells = options.cells
    local = np.zeros(len(part), dtype=np.int64)
    fair = customers / options.bins
    current, mass, width = 0, 0.0, 0
    for cell in range(cells):
        local[cell] = current
        mass, width, left = mass + part[cell], width + 1, cells - cell - 1
        rest = float(part[cell + 1 : cells].sum())
        enough = mass >= max(fair, NUMBER_CLEARANCE * noise * math.sqrt(width))
        # What is left must be able to stand as a bin of its own.
        if enough and left and rest >= max(fair, NUMBER_CLEARANCE * noise * math.sqrt(left)):
            if current + 1 >= options.bins:
                continue
            current, mass, width = current + 1, 0.0, 0
    chain = current + 1
    if len(part) > cells:
        visible = part[cells] >= CATEGORY_CLEARANCE * noise
        local[cells] = chain if visible else _fullest(local[:cells], part[:cells])
    return local, chain


def _fullest(local: npt.NDArray[np.int64], part: npt.NDArray[np.float64]) -> int:
    return int(np.argmax(np.bincount(local, weights=part)))


def _category_bins(part: npt.NDArray[np.float64], noise: float) -> npt.NDArray[np.int64]:
    """Bins of one category: cells clear of the noise stand alone, the rest share one bin if it is clear."""
    clear = part >= CATEGORY_CLEARANCE * noise
    if not clear.any():
        clear[int(np.argmax(part))] = True
    local = np.zeros(len(part), dtype=np.int64)
    local[clear] = np.arange(int(clear.sum()))
    dim = ~clear
    if dim.any():
        together = part[dim].sum() >= CATEGORY_CLEARANCE * noise * math.sqrt(dim.sum())
        smallest = np.flatnonzero(clear)[int(np.argmin(part[clear]))]
        local[dim] = clear.sum() if together else local[smallest]
    return local
