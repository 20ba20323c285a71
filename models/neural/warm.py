"""A released scorecard as a network's prior: the log odds it gives to every cell of every feature."""

from __future__ import annotations

from ringfence.models.features import NUMBER_CELLS
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import N_, StudyError


def prior_of(card: Scorecard, context: StudyContext) -> tuple[int, ...]:
    """Entries of `[model] prior` for a study over the card's features, in units of 2^-16.

    Args:
        card: released earlier, so its weights are public.
        context: the study that shall start from it; its features in its order.

    Raises:
        StudyError: the card is over other features or another schema.
    """
    parts = {part.name: part for part in card.parts}
    if card.schema != context.schema.digest() or set(context.features) != set(parts):
        raise StudyError(
            "RF-S258", N_("The scorecard is over other features or another schema than the study; it cannot be its prior.")
        )
    prior: list[int] = []
    for name, grid in zip(context.features, context.grids, strict=True):
        part = parts[name]
        weights = [part.bins[bin_].weight for bin_ in part.cells]
        coarse = len(weights) - (grid.size - grid.values)
        repeat = NUMBER_CELLS // coarse if grid.ordered else 1
        prior += [weights[cell // repeat] for cell in range(grid.values)] + weights[coarse:]
    return tuple(prior)
