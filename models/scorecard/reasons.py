"""Reason codes: which features moved a customer's score most, against a customer of average points.

For every feature the points of the customer's bin are compared with the mean over all customers, as the noisy
histogram knows it, those of a pair of features with zero; the features that raise the score most come first
(Siddiqi 2006, "points below the neutral score"). Lenders must name principal reasons for an adverse decision
(US ECOA, Regulation B, 12 CFR 1002.9; GDPR Article 22(3) and PIPL Article 24 ask for explanations of
automated decisions).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.holder import PARAMETER_BITS
from ringfence.models.scorecard.parts import FACTOR
from ringfence.models.task import StudyContext

MOST_REASONS = 4


def reasons(
    card: Scorecard,
    context: StudyContext,
    features: FeatureMatrix,
    *,
    most: int = MOST_REASONS,
    raising: bool = True,
) -> pd.DataFrame:
    """The principal reasons of each customer's score.

    Args:
        card: the released scorecard.
        context: of its study.
        features: customers as cell codes, shape `(n, D)`.
        most: how many reasons.
        raising: reasons for a high score (True) or for a low one.

    Returns:
        Columns `feature_1`, `points_1`, ... `feature_m`, `points_m`, one row a customer: the feature's (or
        pair's) name and by how many points it moves the score from the average; an empty name where no
        further feature moves it that way.
    """
    moved = np.column_stack(
        [
            (weights - average) * FACTOR / 2**PARAMETER_BITS
            for (_, average), weights in zip(card.terms, card.weights(context, features).T, strict=True)
        ]
    )
    towards = moved if raising else -moved
    order = np.argsort(-towards, axis=1, kind="stable")[:, :most]
    rows = np.arange(len(moved))
    names = np.array([name for name, _ in card.terms], dtype=object)
    columns: dict[str, object] = {}
    for position in range(order.shape[1]):
        chosen = order[:, position]
        counts = towards[rows, chosen] > 0
        columns[f"feature_{position + 1}"] = np.where(counts, names[chosen], "")
        columns[f"points_{position + 1}"] = np.where(counts, np.rint(moved[rows, chosen]), 0).astype(np.int64)
    return pd.DataFrame(columns)
