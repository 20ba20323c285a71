"""Exact metrics of a model on known labels: for simulations only, never in a client or a coordinator.

An exact metric is a release without noise. `clients` and `server` may not import this module; import-linter
checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of one evaluation; None where a figure is undefined.

    Attributes:
        auc: area under the ROC curve, ties counted half; needs both classes, as do the next three.
        pr_auc: average precision.
        ks: largest distance between the classes' score distributions (Kolmogorov-Smirnov).
        gini: 2 auc - 1.
        brier: mean squared error of the probabilities; needs a customer.
        customers: customers in the test part.
        positives: those with the positive label.
    """

    auc: float | None
    pr_auc: float | None
    ks: float | None
    gini: float | None
    brier: float | None
    customers: int
    positives: int


def evaluate(probability: FloatArray, label: Labels) -> Metrics:
    """All figures for probabilities and labels of shape `(n,)`."""
    area = auc(probability, label)
    return Metrics(
        auc=area,
        pr_auc=average_precision(probability, label),
        ks=kolmogorov_smirnov(probability, label),
        gini=None if area is None else 2.0 * area - 1.0,
        brier=float(np.mean((probability - label) ** 2)) if len(label) else None,
        customers=len(label),
        positives=int(label.sum()),
    )


def both_classes(label: Labels) -> bool:
    """Whether there is a customer with the positive label and one without: nothing is ranked otherwise."""
    return bool(0 < int(label.sum()) < len(label))


def auc(score: FloatArray, label: Labels) -> float | None:
    """Probability that a positive outranks a negative, ties half (Mann, Whitney 1947); None without both."""
    if not both_classes(label):
        return None
    positives = int(label.sum())
    negatives = len(label) - positives
    ranks = rankdata(score)
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(score: FloatArray, label: Labels) -> float | None:
    """Mean precision over recall steps, ties taken together; None without both classes."""
    if not both_classes(label):
        return None
    curve = roc_curve(score, label)
    hits, seen = curve["hits"].to_numpy(), curve["seen"].to_numpy()
    precision = np.divide(hits, seen, out=np.zeros(len(hits)), where=seen > 0)
    return float(np.sum(np.diff(hits) / label.sum() * precision[1:]))


def kolmogorov_smirnov(score: FloatArray, label: Labels) -> float | None:
    """Largest difference between true and false positive rate; None without both classes."""
    if not both_classes(label):
        return None
    curve = roc_curve(score, label)
    return float((curve["true_positive_rate"] - curve["false_positive_rate"]).max())


def roc_curve(score: FloatArray, label: Labels) -> pd.DataFrame:
    """ROC points from the highest score down, one a distinct score.

    Returns:
        Columns `false_positive_rate`, `true_positive_rate`, `hits`, `seen`; the first row is the origin.
    """
    order = np.argsort(-score, kind="stable")
    ranked, truth = score[order], label[order].astype(np.int64)
    last = (
        np.flatnonzero(np.diff(ranked, append=-np.inf) != 0) if len(ranked) else np.array([], dtype=np.int64)
    )
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


def gains(score: FloatArray, label: Labels, shares: Sequence[float]) -> pd.DataFrame:
    """What calling the customers with the highest scores brings; ties at the end count in part.

    Returns:
        Columns `share`, `rate`, `lift`, `reached`, one row a share; empty without both classes.
    """
    if not both_classes(label):
        return pd.DataFrame(columns=["share", "rate", "lift", "reached"])
    curve, base = roc_curve(score, label), float(label.mean())
    hits = np.interp(np.array(shares) * len(label), curve["seen"], curve["hits"])
    reached = hits / label.sum()
    lift = reached / np.array(shares)
    return pd.DataFrame({"share": list(shares), "rate": lift * base, "lift": lift, "reached": reached})


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
