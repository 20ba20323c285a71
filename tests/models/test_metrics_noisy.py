"""Figures from noisy histograms: their intervals cover, and where there is only noise they say so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from ringfence.models.metrics.exact import auc, kolmogorov_smirnov
from ringfence.models.metrics.noisy import NoisyFigures, figures

TRIALS = 120


def histograms(
    score: npt.NDArray[np.float64], label: npt.NDArray[np.bool_], cells: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    edges = np.quantile(score, np.arange(1, cells) / cells)
    cell = np.searchsorted(edges, score)
    probability = 1 / (1 + np.exp(-score))
    mean = np.bincount(cell, weights=probability) / np.bincount(cell)
    return (
        np.bincount(cell[~label], minlength=cells).astype(float),
        np.bincount(cell[label], minlength=cells).astype(float),
        mean,
    )


def sample(customers: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    score = rng.normal(-1.1, 1.4, customers)
    return score, rng.random(customers) < 1 / (1 + np.exp(-score))


def noisy(
    customers: int, noise: float, cells: int, rng: np.random.Generator, claimed: float | None = None
) -> NoisyFigures:
    negative, positive, mean = histograms(*sample(customers, rng), cells)
    return figures(
        negative + np.rint(rng.normal(0, noise, cells)),
        positive + np.rint(rng.normal(0, noise, cells)),
        mean,
        noise if claimed is None else claimed,
    )


def fewest(level: float) -> int:
    """Covered trials that a true coverage of `level` falls short of with probability below 1e-9."""
    return int(binom.ppf(1e-9, TRIALS, level))


def test_intervals_cover_the_figures_of_customers_like_the_tested() -> None:
    rng = np.random.default_rng(11)
    score, label = sample(400_000, rng)
    area, gap = auc(score, label.astype(np.uint8)), kolmogorov_smirnov(score, label.astype(np.uint8))
    found = [noisy(4000, 8.0, 14, rng) for _ in range(TRIALS)]
    assert sum(f.auc.low <= area <= f.auc.high for f in found) >= fewest(0.92)
    assert sum(f.ks.low <= gap <= f.ks.high for f in found) >= fewest(0.92)
    assert np.mean([f.auc.high - f.auc.low for f in found]) < 0.08
    wrong = [noisy(4000, 40.0, 14, rng, claimed=0.0) for _ in range(TRIALS)]
    assert sum(f.auc.low <= area <= f.auc.high for f in wrong) < fewest(0.92), (
        "noise that is left out is noticed"
    )


def test_the_distance_is_not_flattered_by_noise() -> None:
    rng = np.random.default_rng(12)
    score, label = sample(400_000, rng)
    gap = kolmogorov_smirnov(score, label.astype(np.uint8))
    assert np.mean([noisy(3000, 12.0, 12, rng).ks.value for _ in range(TRIALS)]) == pytest.approx(
        gap, abs=0.03
    )


def test_a_calibrated_model_is_found_so_and_a_bent_one_is_not() -> None:
    rng = np.random.default_rng(13)
    negative, positive, mean = histograms(*sample(30_000, rng), 15)
    assert figures(negative, positive, mean, 3.0).calibration_error.value < 0.01
    assert figures(negative, positive, mean**2, 3.0).calibration_error.low > 0.05
    cells = figures(negative, positive, mean, 3.0).calibration
    assert all(cell.observed.low <= cell.observed.value <= cell.observed.high for cell in cells)
    assert len(cells) == 15


def test_where_there_is_only_noise_no_figure_is_given() -> None:
    rng = np.random.default_rng(14)
    found = noisy(60, 40.0, 8, rng)
    assert not found.measurable
    assert (found.auc, found.ks, found.gini, found.calibration_error) == (None,) * 4
    assert found.calibration == ()
    assert found.as_json()["auc"] is None


def test_the_same_release_gives_everybody_the_same_figures() -> None:
    counts = np.array([50.0, 40.0, 30.0, 20.0]), np.array([5.0, 10.0, 15.0, 20.0])
    predicted = np.array([0.1, 0.2, 0.3, 0.5])
    assert figures(*counts, predicted, 2.0) == figures(*counts, predicted, 2.0)
    assert figures(counts[0] * 20, counts[1] * 20, predicted, 2.0).as_json()["measurable"] is True


def test_a_share_that_ends_within_a_cell_follows_the_rate_inside_it() -> None:
    # 400 customers whose chance is their place from 0 to 1, in four cells: the top t of them hold
    # (1 - (1 - t)^2) of the positives, which a line through the cells' rates gives exactly.
    positive = np.array([12.5, 37.5, 62.5, 87.5])
    found = figures(100 - positive, positive, positive / 100, 0.0, np.array([-1.0, 0.0, 1.0]))
    assert [cutoff.reached.value for cutoff in found.cutoffs] == pytest.approx([0.0975, 0.19, 0.36])
    assert [cutoff.lift.value for cutoff in found.cutoffs] == pytest.approx([1.95, 1.9, 1.8])
    assert [cutoff.rate.value for cutoff in found.cutoffs] == pytest.approx([0.975, 0.95, 0.9])


def test_a_share_over_several_cells_counts_the_whole_ones() -> None:
    # Fifty cells of a rate that stands still: calling 20 % reaches 20 %, whatever cell it ends in.
    positive = np.full(50, 3.0)
    found = figures(np.full(50, 7.0), positive, positive / 10, 0.0, np.linspace(-2, 2, 49))
    assert [cutoff.reached.value for cutoff in found.cutoffs] == pytest.approx([0.05, 0.1, 0.2])


def test_a_cut_off_covers_what_calling_the_top_of_such_customers_reaches() -> None:
    rng = np.random.default_rng(15)
    score, label = sample(400_000, rng)
    top = score >= np.quantile(score, 0.95)
    truth = label[top].sum() / label.sum()
    found = []
    for _ in range(TRIALS):
        score, label = sample(1500, rng)
        negative, positive, mean = histograms(score, label, 12)
        noise = rng.normal(0, 6.0, (2, 12))
        edges = np.quantile(score, np.arange(1, 12) / 12)
        found.append(figures(negative + noise[0], positive + noise[1], mean, 6.0, edges).cutoffs[0].reached)
    # A rate that stands still in the top cell is off by seven of these standard errors.
    error = np.std([each.value for each in found]) / TRIALS**0.5
    assert abs(np.mean([each.value for each in found]) - truth) < 5 * error
    assert sum(each.low <= truth <= each.high for each in found) >= fewest(0.9)
