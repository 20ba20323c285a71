"""Exact metrics of a model on known labels: for simulations only, never in a client or a coordinator.

An exact metric is a release without noise. `clients` and `server` may not import this module; import-linter
checks it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of one evaluation.

    Attributes:
        auc: area under the ROC curve, ties counted half; 0.5 where one class is absent.
        pr_auc: average precision.
        ks: largest distance between the classes' score distributions (Kolmogorov-Smirnov).
        gini: 2 auc - 1.
        brier: mean squared error of the probabilities.
        customers: customers in the test part.
        positives: those with the positive label.
    """

    auc: float
    pr_auc: float
    ks: float
    gini: float
    brier: float
    customers: int
    positives: int


def evaluate(probability: FloatArray, label: Labels) -> Metrics:
    """All figures for probabilities and labels of shape `(n,)`."""
    area = auc(probability, label)
    return Metrics(
        auc=area,
        pr_auc=average_precision(probability, label),
        ks=kolmogorov_smirnov(probability, label),
        gini=2.0 * area - 1.0,
        brier=float(np.mean((probability - label) ** 2)) if len(label) else 0.0,
        customers=len(label),
        positives=int(label.sum()),
    )


def auc(score: FloatArray, label: Labels) -> float:
    """Probability that a positive outranks a negative, ties half (Mann, Whitney 1947)."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(score)
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(score: FloatArray, label: Labels) -> float:
    """Mean precision over recall steps, ties taken together; 0 without a positive."""
    curve = roc_curve(score, label)
    if not label.sum():
        return 0.0
    hits, seen = curve["hits"].to_numpy(), curve["seen"].to_numpy()
    precision = np.divide(hits, seen, out=np.zeros(len(hits)), where=seen > 0)
    return float(np.sum(np.diff(hits) / label.sum() * precision[1:]))


def kolmogorov_smirnov(score: FloatArray, label: Labels) -> float:
    """Largest difference between true and false positive rate."""
    curve = roc_curve(score, label)
    return float((curve["true_positive_rate"] - curve["false_positive_rate"]).max())


def roc_curve(score: FloatArray, label: Labels) -> pd.DataFrame:
    """ROC points from the highest score down, one a distinct score.

    Returns:
        Columns `false_positive_rate`, `true_positive_rate`, `hits`, `seen`; the first row is the origin.
    """
    order = np.argsort(-score, kind="stable")
    ranked, truth = score[order], label[order].astype(np.int64)
    last = np.flatnonzero(np.diff(ranked, append=-np.inf) != 0) if len(ranked) else np.array([], dtype=np.int64)
    hits = np.concatenate([[0], np.cumsum(truth)[last]])
    seen = np.concatenate([[0], last + 1])
    positives, negatives = max(1, int(truth.sum())), max(1, len(truth) - int(truth.sum()))
    return pd.DataFrame(
        {
            "false_positive_rate": (seen - hits) / negatives,
            "true_positive_rate": hits / positives,
            "hits": hits,
            "seen": seen,
        }
    )


def calibration(probability: FloatArray, label: Labels, groups: int = 10) -> pd.DataFrame:
    """Mean probability against observed rate in groups of equal size.

    Returns:
        Columns `predicted`, `observed`, `customers`.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, groups) if len(part)]
    return pd.DataFrame(
        {
            "predicted": [float(probability[part].mean()) for part in parts],
            "observed": [float(label[part].mean()) for part in parts],
            "customers": [len(part) for part in parts],
        }
    )
