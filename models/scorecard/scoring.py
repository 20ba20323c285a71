"""How a finished scorecard scores customers inside a holder, as a query and as integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.holder import bins_of, coarse_codes, lengths
from ringfence.models.task import Scoring, StudyContext
from ringfence.privacy.waist import Query

# A later gradient's query has the same arrays; its shape and range are judged by the same rules.
_LIKE_A_GRADIENT = 2


def arrays(card: Scorecard) -> dict[str, npt.NDArray[np.int64]]:
    """The card as the arrays of a query."""
    offsets = np.cumsum([0, *(len(part.bins) for part in card.parts)]).astype(np.int64)
    cells = [np.array(part.cells) + first for part, first in zip(card.parts, offsets[:-1], strict=True)]
    weights = [b.weight for part in card.parts for b in part.bins]
    return {
        "bins": np.concatenate(cells).astype(np.int64),
        "offsets": offsets,
        "theta": np.array(weights, dtype=np.int64),
    }


def check(context: StudyContext, query: Query) -> None:
    """Refuse arrays that are no scorecard of this study; raises WaistError."""
    lengths(context, replace(query, round=_LIKE_A_GRADIENT))


def scores(context: StudyContext, query: Query, features: FeatureMatrix) -> npt.NDArray[np.int64]:
    """Log odds in units of 2^-16, shape `(n,)`."""
    bins = bins_of(context, coarse_codes(context, features.codes), query.arrays["bins"])
    return np.asarray(query.arrays["theta"][bins].sum(axis=1))


SCORING: Scoring[Scorecard] = Scoring(arrays=arrays, check=check, scores=scores)
