"""Figures of quality from two noisy histograms of scores, one a label: what a deployed study may know of its model.

Everything is post-processing of released counts. The area under the ROC curve counts ties inside a cell half, so
many cells lose little and few lose some thousandths. Intervals hold for customers like the tested ones: they cover
the noise and the chance of who was in the test part, by a parametric bootstrap around the released counts (Efron,
Tibshirani 1993, chapters 6 and 13, basic intervals). The bootstrap's generator is seeded by the counts, so that
everybody computes the same figures from the same release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

REPLICATES = 1000
LEVEL = 0.95
# A class whose noisy size is not clear of its own noise gives no figure.
CLEARANCE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Rounded to four places, which is finer than any interval here."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


UNKNOWN = Estimate(value=0.5, low=0.0, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCell:
    """One cell of scores: the probability that the model gave on average, and the rate that was seen."""

    predicted: float
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyFigures:
    """What is known of a model's quality after an evaluation with differential privacy.

    Attributes:
        measurable: False where a class cannot be told from noise; the figures then say nothing.
        auc: area under the ROC curve.
        ks: largest distance between the classes' score distributions (Kolmogorov-Smirnov).
        gini: 2 auc - 1.
        calibration_error: mean distance of predicted and observed rate, weighted by customers; what noise alone
            would show is taken off.
        calibration: the cells with customers enough, by rising score.
        customers: noisy number of customers in the test part.
        positives: noisy number of those with the positive label.
        noise: standard deviation of the noise in one cell, in customers.
    """

    measurable: bool
    auc: Estimate
    ks: Estimate
    gini: Estimate
    calibration_error: Estimate
    calibration: tuple[CalibrationCell, ...]
    customers: int
    positives: int
    noise: float

    def as_json(self) -> dict[str, Any]:
        """For `result.json`, events and pages."""
        return {
            "measurable": self.measurable,
            "auc": self.auc.as_json(),
            "ks": self.ks.as_json(),
            "gini": self.gini.as_json(),
            "calibration_error": self.calibration_error.as_json(),
            "calibration": [
                {"predicted": round(cell.predicted, 4), "observed": cell.observed.as_json()}
                for cell in self.calibration
            ],
            "test_customers_noisy": self.customers,
            "test_positives_noisy": self.positives,
            "noise_standard_deviation": round(self.noise, 3),
            "intervals": "95 %, noise and sampling",
        }


def figures(negative: FloatArray, positive: FloatArray, predicted: FloatArray, noise: float) -> NoisyFigures:
    """All figures from noisy counts.

    Args:
        negative: customers without the positive label in each cell of rising score, shape `(cells,)`, noisy.
        positive: those with it.
        predicted: the model's mean probability in each cell.
        noise: standard deviation of the noise in every count.
    """
    sums = float(negative.sum()), float(positive.sum())
    measurable = min(sums) > CLEARANCE * noise * np.sqrt(len(negative))
    generator = _generator(negative, positive)
    replicates = (_replicates(negative, noise, generator), _replicates(positive, noise, generator))

    def estimate(figure: Callable[[FloatArray, FloatArray], FloatArray]) -> Estimate:
        value = float(figure(negative[None], positive[None])[0])
        return _basic(value, figure(*replicates)) if measurable else UNKNOWN

    auc = estimate(area)
    return NoisyFigures(
        measurable=bool(measurable),
        auc=auc,
        ks=estimate(distance),
        gini=Estimate(value=2 * auc.value - 1, low=2 * auc.low - 1, high=2 * auc.high - 1),
        calibration_error=estimate(lambda n, p: _miscalibration(n, p, predicted)),
        calibration=_calibration(negative, positive, replicates, predicted, noise) if measurable else (),
        customers=round(sum(sums)),
        positives=round(sums[1]),
        noise=noise,
    )


def area(negative: FloatArray, positive: FloatArray) -> FloatArray:
    """Area under the ROC curve, ties in a cell half; rows are replicates, shape `(r, cells)`."""
    below = np.cumsum(negative, axis=1) - negative / 2
    wins = np.sum(positive * below, axis=1)
    return np.asarray(np.clip(wins / _product(negative, positive), 0.0, 1.0))


def distance(negative: FloatArray, positive: FloatArray) -> FloatArray:
    """Largest gap between the two cumulative distributions, by row."""
    share = np.cumsum(negative, axis=1) / _total(negative) - np.cumsum(positive, axis=1) / _total(positive)
    return np.asarray(np.clip(share.max(axis=1), 0.0, 1.0))


def _miscalibration(negative: FloatArray, positive: FloatArray, predicted: FloatArray) -> FloatArray:
    mass = np.maximum(negative + positive, 1.0)
    gap = np.abs(np.clip(positive / mass, 0.0, 1.0) - predicted)
    return np.asarray(np.sum(gap * mass, axis=1) / mass.sum(axis=1))


def _calibration(
    negative: FloatArray,
    positive: FloatArray,
    replicates: tuple[FloatArray, FloatArray],
    predicted: FloatArray,
    noise: float,
) -> tuple[CalibrationCell, ...]:
    cells = []
    for cell in range(len(negative)):
        if negative[cell] + positive[cell] <= 2 * CLEARANCE * noise:
            continue
        rate = np.clip(positive[cell] / (negative[cell] + positive[cell]), 0.0, 1.0)
        drawn = replicates[1][:, cell] / np.maximum(replicates[0][:, cell] + replicates[1][:, cell], 1.0)
        cells.append(
            CalibrationCell(predicted=float(predicted[cell]), observed=_percentile(float(rate), np.clip(drawn, 0, 1)))
        )
    return tuple(cells)


def _replicates(counts: FloatArray, noise: float, generator: np.random.Generator) -> FloatArray:
    """Counts as another test part and another draw of noise might give them, shape `(replicates, cells)`."""
    deviation = np.sqrt(np.maximum(counts, 0.0) + noise**2)
    return counts + deviation * generator.standard_normal((REPLICATES, len(counts)))


def _basic(value: float, drawn: FloatArray) -> Estimate:
    """Bias taken off once, and the reflected quantiles around it, all within [0, 1]."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ends = np.clip([2 * value - high, 2 * value - low], 0.0, 1.0)
    centre = float(np.clip(2 * value - float(np.median(drawn)), ends[0], ends[1]))
    return Estimate(value=centre, low=float(ends[0]), high=float(ends[1]))


def _percentile(value: float, drawn: FloatArray) -> Estimate:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def _generator(negative: FloatArray, positive: FloatArray) -> np.random.Generator:
    seed = hashlib.sha256(np.concatenate([negative, positive]).tobytes()).digest()
    return np.random.default_rng(int.from_bytes(seed[:8]))


def _total(counts: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def _product(negative: FloatArray, positive: FloatArray) -> FloatArray:
    return np.asarray((_total(negative) * _total(positive))[:, 0])
