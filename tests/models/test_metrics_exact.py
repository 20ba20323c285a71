"""Exact metrics against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.models.metrics.exact import (
    auc,
    average_precision,
    calibration,
    evaluate,
    kolmogorov_smirnov,
    roc_curve,
)

Sample = tuple[np.ndarray, np.ndarray]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    pairs = draw(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60))
    return np.array([p for p, _ in pairs]) / 10, np.array([y for _, y in pairs], dtype=np.uint8)


@settings(deadline=None)
@given(samples())
def test_auc_counts_pairs(sample: Sample) -> None:
    score, label = sample
    pairs = [(p > n) + 0.5 * (p == n) for p in score[label == 1] for n in score[label == 0]]
    assert auc(score, label) == (pytest.approx(np.mean(pairs)) if pairs else None)


@settings(deadline=None)
@given(samples())
def test_average_precision_by_its_definition(sample: Sample) -> None:
    score, label = sample
    expected, before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        taken = score >= threshold
        recall = label[taken].sum() / max(1, label.sum())
        expected += (recall - before) * label[taken].mean()
        before = recall
    both = 0 < label.sum() < len(label)
    assert average_precision(score, label) == (pytest.approx(expected) if both else None)


@settings(deadline=None)
@given(samples())
def test_the_roc_curve_encloses_the_auc(sample: Sample) -> None:
    score, label = sample
    if 0 < label.sum() < len(label):
        curve = roc_curve(score, label)
        enclosed = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
        assert enclosed == pytest.approx(auc(score, label))
        assert 0 <= kolmogorov_smirnov(score, label) <= 1


def test_calibration_groups_hold_everybody() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(1003)
    table = calibration(probability, (rng.random(1003) < probability).astype(np.uint8))
    assert table["customers"].sum() == 1003
    assert np.abs(table["predicted"] - table["observed"]).max() < 0.2


def test_nothing_is_ranked_without_customers_of_both_classes() -> None:
    nobody = evaluate(np.array([]), np.array([], dtype=np.uint8))
    assert (nobody.auc, nobody.pr_auc, nobody.ks, nobody.gini, nobody.brier) == (None,) * 5
    assert nobody.customers == 0
    for label in (np.zeros(3, dtype=np.uint8), np.ones(3, dtype=np.uint8)):
        found = evaluate(np.array([0.2, 0.5, 0.8]), label)
        assert (found.auc, found.pr_auc, found.ks, found.gini) == (None,) * 4
        assert found.brier == pytest.approx((0.04 + 0.25 + 0.64) / 3)
        assert (found.customers, found.positives) == (3, label.sum())
