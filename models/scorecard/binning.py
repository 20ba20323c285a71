"""Binning: public cells are merged into bins by a noisy histogram alone (post-processing, it costs nothing).

Numbers are cut into bins of about equal mass, as many as stand clear of the noise; where there are many
customers to the noise the cuts go through the histogram's cells, as if a cell's customers were spread evenly
over the 256 cells of the schema (they are counted anew, bin by bin). Categories that cannot be told from
noise join "other". A feature that not even two bins of can be told apart is left with one, which says
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.features import CellGrid
from ringfence.models.scorecard.plan import ScorecardOptions, coarse_size

# A number's bin must hold this many standard deviations of a cell's noise; a category this many of its own.
NUMBER_CLEARANCE = 3.0
# Up to so many bins; more of them, and cuts through cells, with this many deviations a bin.
PLAIN_BINS = 8
FINE_CLEARANCE = 38.0
FEWEST_FOR_TWO = 1.0
CATEGORY_CLEARANCE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Binning:
    """Bins of all features.

    Attributes:
        table: bin of every cell, all features one after the other, int64.
        offsets: first bin of each feature and, last, the number of bins, shape `(D + 1,)`.
        ordered: bins of each feature that follow an order, counted from its first bin.
        mass: noisy number of customers in each bin, float64, shape `(bins,)`.
        variance: of the noise in them, and of what cuts through cells leave open, shape `(bins,)`.
    """

    table: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    ordered: tuple[int, ...]
    mass: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]

    def counted(self, mass: npt.NDArray[np.float64], variance: float) -> Binning:
        """The same bins after their customers were counted once more, both counts by their precision.

        Args:
            mass: noisy number of customers in each bin, shape `(bins,)`.
            variance: of the noise in one of them.
        """
        share = self.variance / (self.variance + variance) if variance > 0 else np.ones(len(mass))
        return replace(
            self, mass=self.mass + share * (mass - self.mass), variance=(1.0 - share) * self.variance
        )

    def joined(self, goes: npt.NDArray[np.int64]) -> Binning:
        """Fewer bins, those that others go to, in their order.

        Args:
            goes: a bin of the same feature for every bin, itself for those that stay.
        """
        stays = goes == np.arange(len(goes))
        place = (np.cumsum(stays) - 1)[goes]
        left = np.concatenate([[0], np.cumsum(stays)])
        size = int(left[-1])
        return Binning(
            table=place[self.table],
            offsets=left[self.offsets],
            ordered=tuple(
                int(left[first + chain] - left[first])
                for first, chain in zip(self.offsets[:-1].tolist(), self.ordered, strict=True)
            ),
            mass=np.bincount(place, weights=self.mass, minlength=size).astype(np.float64),
            variance=np.bincount(place, weights=self.variance, minlength=size).astype(np.float64),
        )


def empty_bins_joined(binning: Binning, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each bin goes on a card: itself, or from one that seems empty the nearest that is not.

    Cuts through cells leave such bins between the values of a number that takes few; a card is read better
    without.

    Args:
        binning: bins, their customers counted.
        groups: group of every bin; each keeps a bin.

    Returns:
        A bin of the same feature for every bin, int64, shape `(bins,)`.
    """
    goes = np.arange(len(binning.mass))
    clear = binning.mass >= CATEGORY_CLEARANCE * np.sqrt(binning.variance)
    for first, chain in zip(binning.offsets[:-1].tolist(), binning.ordered, strict=True):
        if chain <= PLAIN_BINS:
            continue
        span = np.arange(first, first + chain)
        heaviest = {int(groups[b]): int(b) for b in span[np.argsort(binning.mass[span], kind="stable")]}
        kept = np.array([b for b in span if clear[b] or heaviest[int(groups[b])] == b])
        goes[span] = kept[np.argmin(np.abs(span[:, None] - kept[None, :]), axis=1)]
    return goes


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
    tables, offsets, ordered, masses, variances = [], [0], [], [], []
    for grid, part in zip(grids, parts, strict=True):
        if grid.ordered:
            local, chain = _number_bins(part, noise, options, customers, grid.values // options.cells)
        else:
            local, chain = _category_bins(part, noise), 0
        mass, variance = _counts(local, part, noise, options.cells if grid.ordered else 0)
        masses.append(mass)
        variances.append(variance)
        tables.append(local + offsets[-1])
        offsets.append(offsets[-1] + len(mass))
        ordered.append(chain)
    return Binning(
        table=np.concatenate(tables),
        offsets=np.array(offsets, dtype=np.int64),
        ordered=tuple(ordered),
        mass=np.concatenate(masses),
        variance=np.concatenate(variances),
    )


def _counts(
    local: npt.NDArray[np.int64], part: npt.NDArray[np.float64], noise: float, cells: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Customers in each bin of a feature, and their variance.

    Args:
        local: bin of each cell of the schema.
        part: noisy customers in each cell of the histogram, which joins runs of equal length of the first
            `cells`.
        noise: see `merge`.
        cells: 0 for a category.
    """
    finer = (len(local) - (len(part) - cells)) // cells if cells else 1
    source = np.concatenate([np.repeat(np.arange(cells), finer), np.arange(cells, len(part))])
    bins = int(local.max()) + 1
    fraction = np.zeros((bins, len(part)))
    np.add.at(fraction, (local, source), np.where(source < cells, 1.0 / finer, 1.0))
    # Within a cell nobody knows where its customers are: as uncertain as one draw of all of them together.
    cut = fraction * (1.0 - fraction) @ np.maximum(part, 0.0) ** 2
    return fraction @ part, noise**2 * (fraction**2).sum(axis=1) + cut


def _number_bins(
    part: npt.NDArray[np.float64], noise: float, options: ScorecardOptions, customers: float, finer: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Bins of one number's cells, and how many of them follow the order (the missing cell is last)."""
    cells = options.cells
    mass = _denoised(part[:cells])
    most = _most(noise, options, customers)
    if most > PLAIN_BINS:
        mass, finer = np.repeat(mass / finer, finer), 1
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    place = np.minimum((middle * most).astype(np.int64), most - 1)
    ordered = np.unique(place, return_inverse=True)[1].astype(np.int64)
    chain = int(ordered[-1]) + 1
    local = np.repeat(ordered, finer)
    if len(part) == cells:
        return local, chain
    visible = part[cells] >= CATEGORY_CLEARANCE * noise
    missing = chain if visible else int(np.argmax(np.bincount(ordered, weights=mass)))
    return np.append(local, missing), chain


def _most(noise: float, options: ScorecardOptions, customers: float) -> int:
    """As many bins of equal mass as stand clear of the noise; two while any customers are seen."""
    if noise <= 0:
        return options.bins
    plain = min(PLAIN_BINS, customers / (NUMBER_CLEARANCE * noise))
    most = int(min(options.bins, max(plain, customers / (FINE_CLEARANCE * noise))))
    if most < 2 and customers >= FEWEST_FOR_TWO * noise:
        return 2
    return max(1, most)


def _denoised(part: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Counts without the random walk that noise makes of many empty cells.

    One threshold is taken off all cells, such that what stays above zero has the signed total of all.
    """
    target = max(1.0, float(part.sum()))
    falling = np.sort(np.maximum(part, 0.0))[::-1]
    # With the k largest cells above the threshold, it is (their sum - target) / k.
    levels = (np.cumsum(falling) - target) / np.arange(1, len(falling) + 1)
    threshold = max(0.0, float(levels.max()))
    return np.asarray(np.maximum(part - threshold, 0.0) + 1e-9)


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
