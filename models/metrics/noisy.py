"""Figures of quality from two noisy histograms of scores, one a label: all that a study may know.

Everything is post-processing of released counts. The area under the ROC curve counts ties inside a cell half,
so many cells lose little and few lose some thousandths. Intervals hold for customers like the tested ones:
they cover the noise and the chance of who was in the test part, by a parametric bootstrap around the released
counts (Efron, Tibshirani 1993, chapters 6 and 13, basic intervals). The bootstrap's generator is seeded by
the counts, so that everybody computes the same figures from the same release.
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
# Shares of the customers for whom it is told what calling them would bring.
CALLED = (0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Rounded to four places, which is finer than any interval here."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCell:
    """One cell of scores: the probability that the model gave on average, and the rate that was seen."""

    predicted: float
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """What calling the customers with the highest scores would bring.

    Attributes:
        share: of the customers who are called.
        score: log odds from which they are called, about.
        rate: share of positives among those called.
        lift: that rate over the rate of all.
        reached: share of all positives who are called.
    """

    share: float
    score: float
    rate: Estimate
    lift: Estimate
    reached: Estimate

    def as_json(self) -> dict[str, Any]:
        """Rounded like the other figures."""
        figures = {name: getattr(self, name).as_json() for name in ("rate", "lift", "reached")}
        return {"share": self.share, "score": round(self.score, 4), **figures}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyFigures:
    """What is known of a model's quality after an evaluation with differential privacy.

    Attributes:
        measurable: False where a class cannot be told from noise; the four figures are then undefined, None.
        auc: area under the ROC curve.
        ks: largest distance between the classes' score distributions (Kolmogorov-Smirnov).
        gini: 2 auc - 1.
        calibration_error: mean distance of predicted and observed rate, weighted by customers; what noise
            alone would show is taken off.
        calibration: the cells with customers enough, by rising score.
        base_rate: share of positives among all, None where undefined.
        cutoffs: what calling those with the highest scores would bring, empty where undefined.
        customers: noisy number of customers in the test part.
        positives: noisy number of those with the positive label.
        noise: standard deviation of the noise in one cell, in customers.
    """

    measurable: bool
    auc: Estimate | None
    ks: Estimate | None
    gini: Estimate | None
    calibration_error: Estimate | None
    calibration: tuple[CalibrationCell, ...]
    base_rate: Estimate | None
    cutoffs: tuple[CutOff, ...]
    customers: int
    positives: int
    noise: float

    def as_json(self) -> dict[str, Any]:
        """For `result.json`, events and pages."""
        return {
            "measurable": self.measurable,
            "auc": _json(self.auc),
            "ks": _json(self.ks),
            "gini": _json(self.gini),
            "calibration_error": _json(self.calibration_error),
            "calibration": [
                {"predicted": round(cell.predicted, 4), "observed": cell.observed.as_json()}
                for cell in self.calibration
            ],
            "base_rate": _json(self.base_rate),
            "cutoffs": [cutoff.as_json() for cutoff in self.cutoffs],
            "test_customers_noisy": self.customers,
            "test_positives_noisy": self.positives,
            "noise_standard_deviation": round(self.noise, 3),
            "intervals": "95 %, noise and sampling",
        }


def _json(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.as_json()


def figures(
    negative: FloatArray,
    positive: FloatArray,
    predicted: FloatArray,
    noise: float,
    edges: FloatArray | None = None,
) -> NoisyFigures:
    """All figures from noisy counts.

    Args:
        negative: customers without the positive label in each cell of rising score, shape `(cells,)`, noisy.
        positive: those with it.
        predicted: the model's mean probability in each cell.
        noise: standard deviation of the noise in every count.
        edges: log odds between the cells, shape `(cells - 1,)`; without them no cut-off is told.
    """
    sums = float(negative.sum()), float(positive.sum())
    measurable = min(sums) > CLEARANCE * noise * np.sqrt(len(negative))
    generator = _generator(negative, positive)
    replicates = (_replicates(negative, noise, generator), _replicates(positive, noise, generator))

    def estimate(figure: Callable[[FloatArray, FloatArray], FloatArray]) -> Estimate | None:
        if not measurable:
            return None
        return _basic(float(figure(negative[None], positive[None])[0]), figure(*replicates))

    auc = estimate(area)
    return NoisyFigures(
        measurable=bool(measurable),
        auc=auc,
        ks=estimate(distance),
        gini=_gini(auc),
        calibration_error=estimate(lambda n, p: _miscalibration(n, p, predicted)),
        calibration=_calibration(negative, positive, replicates, predicted, noise) if measurable else (),
        base_rate=_within(base_rate, (negative, positive), replicates) if measurable else None,
        cutoffs=tuple(_cutoff(share, edges, (negative, positive), replicates) for share in CALLED)
        if measurable and edges is not None and len(edges) > 1
        else (),
        customers=round(sum(sums)),
        positives=round(sums[1]),
        noise=noise,
    )


def _gini(auc: Estimate | None) -> Estimate | None:
    if auc is None:
        return None
    return Estimate(value=2 * auc.value - 1, low=2 * auc.low - 1, high=2 * auc.high - 1)


def area(negative: FloatArray, positive: FloatArray) -> FloatArray:
    """Area under the ROC curve, ties in a cell half; rows are replicates, shape `(r, cells)`."""
    below = np.cumsum(negative, axis=1) - negative / 2
    wins = np.sum(positive * below, axis=1)
    return np.asarray(np.clip(wins / _product(negative, positive), 0.0, 1.0))


def distance(negative: FloatArray, positive: FloatArray) -> FloatArray:
    """Largest gap between the two cumulative distributions, by row."""
    share = np.cumsum(negative, axis=1) / _total(negative) - np.cumsum(positive, axis=1) / _total(positive)
    return np.asarray(np.clip(share.max(axis=1), 0.0, 1.0))


def base_rate(negative: FloatArray, positive: FloatArray) -> FloatArray:
    """Share of positives among all, by row."""
    positives, negatives = _total(positive)[:, 0], _total(negative)[:, 0]
    return np.asarray(positives / (positives + negatives))


def positives_reached(negative: FloatArray, positive: FloatArray, share: float) -> FloatArray:
    """Share of all positives who are among the customers with the highest scores, by row.

    Inside a cell customers are taken as spread evenly, and the rate of positives as a straight line that
    rises as it does from neighbour to neighbour: a rate that stood still would tell a share that ends within
    the top cell too low.

    Args:
        negative, positive: counts in cells of rising score, shape `(r, cells)`.
        share: of the customers, so many are taken from the top.
    """
    mass, hits = np.maximum(negative + positive, 1e-9)[:, ::-1], positive[:, ::-1]
    called = np.cumsum(mass, axis=1)
    wanted = share * called[:, -1]
    cell = np.minimum(np.sum(called < wanted[:, None], axis=1), mass.shape[1] - 1)

    def at(figures: FloatArray) -> FloatArray:
        return np.asarray(figures[np.arange(len(cell)), cell])

    rate = np.clip(hits / mass, 0.0, 1.0)
    part = np.clip(1.0 - (at(called) - wanted) / at(mass), 0.0, 1.0)
    rise = np.clip(at(_half_falls(rate)), 0.0, np.minimum(at(rate), 1.0 - at(rate)))
    found = at(np.cumsum(hits, axis=1)) - at(hits) * (1.0 - part) + at(mass) * rise * part * (1.0 - part)
    return np.asarray(np.clip(found / _total(positive)[:, 0], 0.0, 1.0))


def _half_falls(rate: FloatArray) -> FloatArray:
    """Half of what a figure falls by over each cell, from its neighbours', by row."""
    ends = np.concatenate([rate[:, :1], rate, rate[:, -1:]], axis=1)
    cells = np.concatenate([[1.0], np.full(rate.shape[1] - 2, 2.0), [1.0]])
    return np.asarray((ends[:, :-2] - ends[:, 2:]) / cells / 2)


def threshold(mass: FloatArray, edges: FloatArray, share: float) -> float:
    """Log odds above which a share of the customers is.

    Inside a cell customers are taken as spread evenly; the outermost cells are as wide as their neighbours.

    Args:
        mass: customers in cells of rising score, noisy, shape `(cells,)`.
        edges: log odds between them, shape `(cells - 1,)`.
        share: of the customers.
    """
    ends = np.concatenate([[2 * edges[0] - edges[1]], edges, [2 * edges[-1] - edges[-2]]])
    above = np.concatenate([[0.0], np.cumsum(np.maximum(mass, 1e-9)[::-1])])
    return float(np.interp(share * above[-1], above, ends[::-1]))


def _cutoff(
    share: float,
    edges: FloatArray,
    counts: tuple[FloatArray, FloatArray],
    drawn: tuple[FloatArray, FloatArray],
) -> CutOff:
    def within(figure: Callable[[FloatArray, FloatArray], FloatArray]) -> Estimate:
        return _within(figure, counts, drawn)

    return CutOff(
        share=share,
        score=threshold(counts[0] + counts[1], edges, share),
        rate=within(lambda n, p: np.clip(positives_reached(n, p, share) * base_rate(n, p) / share, 0.0, 1.0)),
        lift=within(lambda n, p: positives_reached(n, p, share) / share),
        reached=within(lambda n, p: positives_reached(n, p, share)),
    )


def _within(
    figure: Callable[[FloatArray, FloatArray], FloatArray],
    counts: tuple[FloatArray, FloatArray],
    drawn: tuple[FloatArray, FloatArray],
) -> Estimate:
    """A share or ratio of released counts and the range of its replicates."""
    value = float(figure(counts[0][None], counts[1][None])[0])
    return _percentile(value, figure(*drawn))


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
            CalibrationCell(
                predicted=float(predicted[cell]), observed=_percentile(float(rate), np.clip(drawn, 0, 1))
            )
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
