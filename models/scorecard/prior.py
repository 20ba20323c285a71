"""Beginning from an earlier card, whose log odds stand in the signed study.

A card is released, so what it says is public and costs nothing. It is written cell by cell, whatever its bins
were; the first histogram of the new study makes bins of its own, and each takes the mean of its cells. What
the evidence does not contradict stays as it was. Scorecards and networks take the same list (`[model]
prior`). What a card says of pairs of features is left out; the new study looks for pairs of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ringfence.models.scorecard.binning import Binning
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.holder import PARAMETER_BITS
from ringfence.models.scorecard.plan import ScorecardOptions, coarse_size
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.errors import N_, StudyError


def with_prior(study: Study, schema: Schema, card: Scorecard) -> Study:
    """A study that begins from a card; one that names no features takes the card's.

    Raises:
        StudyError: the card is over other features or another schema.
    """
    if study.features is None:
        study = study.revised(features=tuple(part.name for part in card.parts))
    prior = prior_of(card, StudyContext.of(study, schema))
    return study.revised(model={**study.model, "prior": list(prior)})


def prior_of(card: Scorecard, context: StudyContext) -> tuple[int, ...]:
    """Entries of `[model] prior` for a study over the card's features, in units of 2^-16.

    Args:
        card: released earlier, so its weights are public.
        context: the study that shall start from it; its features in its order.

    Raises:
        StudyError: the card is over other features or another schema.
    """
    parts = {part.name: part for part in card.parts}
    sizes = {name: grid.size for name, grid in zip(context.features, context.grids, strict=True)}
    if card.schema != context.schema.digest() or sizes != {
        name: len(part.cells) for name, part in parts.items()
    }:
        raise StudyError(
            "RF-S258",
            N_(
                "The scorecard is over other features or another schema than the study; it cannot be its "
                "prior."
            ),
        )
    return tuple(parts[name].bins[bin_].weight for name in context.features for bin_ in parts[name].cells)


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
    values = np.array(options.prior, dtype=np.float64) / 2**PARAMETER_BITS
    least = 1e-6 * max(1.0, float(np.abs(counts).max()))
    weights, first = [], 0
    for grid in context.grids:
        size = coarse_size(grid, options)
        part, first = np.maximum(counts[first : first + size], least), first + size
        finer = grid.values // options.cells if grid.ordered else 1
        ordinary = np.repeat(part[: grid.values // finer] / finer, finer)
        weights.append(np.concatenate([ordinary, part[grid.values // finer :]]))
    weight = np.concatenate(weights)
    bins = int(binning.offsets[-1])
    mass = np.bincount(binning.table, weights=weight, minlength=bins)
    means = np.bincount(binning.table, weights=weight * values, minlength=bins) / mass
    owner = np.repeat(np.arange(len(context.grids)), np.diff(binning.offsets))
    centre = np.bincount(owner, weights=mass * means) / np.bincount(owner, weights=mass)
    return np.concatenate([[centre.sum()], means - centre[owner]])
