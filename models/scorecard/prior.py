"""Beginning from an earlier card: its log odds stand in the signed study, and the new card departs from them.

A card is released, so what it says is public and costs nothing. It is written cell by cell, whatever its bins were;
the first histogram of the new study makes bins of its own, and each takes the mean of its cells. What the evidence does
not contradict stays as it was.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard.binning import Binning
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.holder import PARAMETER_BITS
from ringfence.models.scorecard.plan import ScorecardOptions, coarse_size
from ringfence.models.task import StudyContext


def prior_of(card: Scorecard, context: StudyContext) -> tuple[int, ...]:
    """A card as the `prior` of another study over the same features: its weight of every cell, in the study's order.

    Args:
        card: the earlier study's.
        context: the earlier study's.
    """
    found: list[int] = []
    for column, grid in enumerate(context.grids):
        codes = np.zeros((grid.size, len(context.grids)), dtype=np.uint16)
        codes[:, column] = np.arange(grid.size)
        cells = FeatureMatrix(
            names=context.features,
            codes=codes,
            label=np.zeros(grid.size, dtype=np.uint8),
            is_test=np.zeros(grid.size, dtype=np.bool_),
        )
        found += card.weights(context, cells)[:, column].tolist()
    return tuple(found)


def origin_of(
    options: ScorecardOptions, context: StudyContext, binning: Binning, counts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """The prior's parameters on the new bins, shape `(1 + bins,)`, or None without a prior.

    Args:
        options: the study's.
        context: the study.
        binning: bins of the new study.
        counts: noisy customers in every coarse cell.
    """
    if options.prior is None:
        return None
    cells = np.array(options.prior, dtype=np.float64) / 2**PARAMETER_BITS
    coarse, first = [], 0
    for grid in context.grids:
        fine, first = cells[first : first + grid.size], first + grid.size
        numbers = fine[: grid.values]
        if grid.ordered:
            numbers = numbers.reshape(options.cells, -1).mean(axis=1)
        coarse.append(np.concatenate([numbers, fine[grid.values :]]))
        assert len(coarse[-1]) == coarse_size(grid, options)
    values = np.concatenate(coarse)
    weight = np.maximum(counts, 1e-6 * max(1.0, float(np.abs(counts).max())))
    bins = int(binning.offsets[-1])
    mass = np.bincount(binning.table, weights=weight, minlength=bins)
    means = np.bincount(binning.table, weights=weight * values, minlength=bins) / mass
    owner = np.repeat(np.arange(len(context.grids)), np.diff(binning.offsets))
    centre = np.bincount(owner, weights=mass * means) / np.bincount(owner, weights=mass)
    return np.concatenate([[centre.sum()], means - centre[owner]])
