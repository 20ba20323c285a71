"""How a finished scorecard scores customers inside a holder, as a query and as integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.holder import PARAMETER_LIMIT, bins_of, check_groups, expect, lengths
from ringfence.models.task import Scoring, StudyContext
from ringfence.privacy.errors import N_
from ringfence.privacy.waist import Query

# A later gradient's query has the same arrays; its shape and range are judged by the same rules.
_LIKE_A_GRADIENT = 2
_OF_PAIRS = ("groups", "group_offsets", "pairs", "pair_theta")


def arrays(card: Scorecard) -> dict[str, npt.NDArray[np.int64]]:
    """The card as the arrays of a query; those of pairs only where there are any."""
    offsets = np.cumsum([0, *(len(part.bins) for part in card.parts)]).astype(np.int64)
    cells = [np.array(part.cells) + first for part, first in zip(card.parts, offsets[:-1], strict=True)]
    weights = [b.weight for part in card.parts for b in part.bins]
    found = {
        "bins": np.concatenate(cells).astype(np.int64),
        "offsets": offsets,
        "theta": np.array(weights, dtype=np.int64),
    }
    if card.pairs:
        # A feature in no pair has one group.
        groups = [part.groups or (0,) * len(part.bins) for part in card.parts]
        starts = np.cumsum([0, *(1 + max(each) for each in groups)]).astype(np.int64)
        found |= {
            "groups": np.concatenate(
                [np.array(each) + first for each, first in zip(groups, starts[:-1], strict=True)]
            ),
            "group_offsets": starts,
            "pairs": np.array([(pair.first, pair.second) for pair in card.pairs], dtype=np.int64),
            "pair_theta": np.array(
                [w for pair in card.pairs for row in pair.weights for w in row], dtype=np.int64
            ),
        }
    return found


def check_scorecard(context: StudyContext, query: Query) -> None:
    """Refuse arrays that are no scorecard of this study; raises WaistError."""
    single = {name: array for name, array in query.arrays.items() if name not in _OF_PAIRS}
    lengths(context, replace(query, round=_LIKE_A_GRADIENT, arrays=single))
    if len(single) == len(query.arrays):
        return
    expect(all(name in query.arrays for name in _OF_PAIRS), N_("pairs come with groups and weights"))
    check_groups(query)
    pairs, theta = query.arrays["pairs"], query.arrays["pair_theta"]
    features = len(query.arrays["offsets"]) - 1
    expect(
        pairs.ndim == 2 and pairs.shape[1] == 2 and len(pairs) <= features,
        N_("there are no more pairs than features"),
    )
    lawful = (pairs[:, 0] >= 0) & (pairs[:, 0] < pairs[:, 1]) & (pairs[:, 1] < features)
    expect(bool(np.all(lawful)), N_("a pair is of two features in their order"))
    expect(theta.shape == (int(_tables(query)[-1]),), N_("pairs have one weight for every two groups"))
    inside = (theta >= -PARAMETER_LIMIT) & (theta <= PARAMETER_LIMIT)
    expect(bool(np.all(inside)), N_("theta fits 32 bits"))


def scores(context: StudyContext, query: Query, features: FeatureMatrix) -> npt.NDArray[np.int64]:
    """Log odds in units of 2^-16, shape `(n,)`."""
    bins = bins_of(context, features.codes, query.arrays["bins"])
    total = query.arrays["theta"][bins].sum(axis=1)
    if "pairs" in query.arrays:
        starts, tables = query.arrays["group_offsets"], _tables(query)
        for (first, second), table in zip(query.arrays["pairs"].tolist(), tables[:-1].tolist(), strict=True):
            row, column = (query.arrays["groups"][bins[:, i]] - starts[i] for i in (first, second))
            width = int(starts[second + 1] - starts[second])
            total += query.arrays["pair_theta"][table + row * width + column]
    return np.asarray(total)


def _tables(query: Query) -> npt.NDArray[np.int64]:
    """Where each pair's weights begin and, last, how many there are."""
    widths = np.diff(query.arrays["group_offsets"])
    pairs = query.arrays["pairs"]
    return np.concatenate([[0], np.cumsum(widths[pairs[:, 0]] * widths[pairs[:, 1]])])


SCORING: Scoring[Scorecard] = Scoring(arrays=arrays, check=check_scorecard, scores=scores)
