"""Figures of quality by hand: areas, gaps, cut-offs, ends of intervals, and how they are written."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from ringfence.models.metrics.noisy import (
    CalibrationCell,
    CutOff,
    Estimate,
    area,
    base_rate,
    distance,
    figures,
    positives_reached,
    threshold,
)

NEGATIVE, POSITIVE = np.array([40.0, 30.0, 20.0, 10.0]), np.array([5.0, 10.0, 15.0, 30.0])
PREDICTED = np.array([0.1, 0.25, 0.45, 0.7])
EDGES = np.array([-1.0, 0.5, 1.5])


def drawn(noise: float, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """The thousand replicates that everybody draws from the counts themselves."""
    negative, positive = NEGATIVE * scale, POSITIVE * scale
    seed = hashlib.sha256(np.concatenate([negative, positive]).tobytes()).digest()[:8]
    generator = np.random.default_rng(int.from_bytes(seed, "big"))
    return tuple(  # type: ignore[return-value]
        counts + np.sqrt(counts + noise**2) * generator.standard_normal((1000, 4))
        for counts in (negative, positive)
    )


def test_an_area_counts_ties_half() -> None:
    wins = 5 * 20 + 10 * (40 + 15) + 15 * (70 + 10) + 30 * (90 + 5)
    assert area(NEGATIVE[None], POSITIVE[None]).tolist() == pytest.approx([wins / 6000])
    assert area(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).tolist() == [1.0]
    assert area(np.array([[0.0, 9.0]]), np.array([[9.0, 0.0]])).tolist() == [0.0]
    assert area(np.array([[-4.0, 1.0]]), np.array([[-9.0, 9.0]])).tolist() == [0.0]


def test_a_distance_is_the_largest_gap_of_cumulative_shares() -> None:
    assert distance(NEGATIVE[None], POSITIVE[None]).tolist() == pytest.approx([70 / 100 - 15 / 60])
    assert distance(POSITIVE[None], NEGATIVE[None]).tolist() == [0.0]
    both = distance(np.stack([NEGATIVE, POSITIVE]), np.stack([POSITIVE, NEGATIVE]))
    assert both.tolist() == pytest.approx([0.45, 0.0])


def test_a_rate_is_of_everybody() -> None:
    assert base_rate(NEGATIVE[None], POSITIVE[None]).tolist() == [60 / 160]
    # A class that noise has made less than one customer counts as one.
    assert base_rate(np.array([[-5.0]]), np.array([[3.0]])).tolist() == [3 / 4]


@pytest.mark.parametrize(
    ("share", "reached"),
    [
        # 160 customers; the top cell has 40 of which 30 are positive, the next 35 with 15.
        (40 / 160, 30 / 60),
        (75 / 160, 45 / 60),
        (1.0, 1.0),
        # Half of the top cell: half its positives and what the slope adds, (0.75 - 15/35) / 2 / 4 a customer.
        (20 / 160, (15 + 40 * (0.75 - 15 / 35) / 2 * 0.25) / 60),
        # Half of the next: the slope there is from 0.75 to 0.25 over two cells.
        (57.5 / 160, (30 + 7.5 + 35 * (0.75 - 0.25) / 4 * 0.25) / 60),
    ],
)
def test_positives_reached_by_hand(share: float, reached: float) -> None:
    found = positives_reached(NEGATIVE[None], POSITIVE[None], share)
    assert found.tolist() == pytest.approx([reached])


def test_positives_reached_stay_shares_whatever_noise_makes_of_counts() -> None:
    negative, positive = np.array([[5.0, -3.0, 2.0]]), np.array([[-2.0, 4.0, 9.0]])
    for share in (0.01, 0.3, 0.7, 1.0):
        assert 0.0 <= positives_reached(negative, positive, share)[0] <= 1.0
    rates = positives_reached(np.array([[0.0, 0.0]]), np.array([[4.0, 4.0]]), 0.25)
    assert rates.tolist() == pytest.approx([0.25]), "a rate of one does not rise"


@pytest.mark.parametrize(
    ("share", "score"),
    [(0.25, 1.5), (0.125, 2.0), (0.0, 2.5), (75 / 160, 0.5), (1.0, -2.5), (95 / 160, -0.25)],
)
def test_a_threshold_is_between_the_edges_by_the_customers_in_between(share: float, score: float) -> None:
    assert threshold(NEGATIVE + POSITIVE, EDGES, share) == pytest.approx(score)


def test_a_threshold_takes_nobody_from_a_cell_that_noise_has_emptied() -> None:
    assert threshold(np.array([10.0, -5.0, 10.0]), np.array([0.0, 1.0]), 0.5) == pytest.approx(0.5, abs=0.51)
    assert threshold(np.array([10.0, -5.0, 10.0]), np.array([0.0, 1.0]), 0.25) == pytest.approx(1.5)


def basic(value: float, replicates: np.ndarray) -> tuple[float, float, float]:  # type: ignore[type-arg]
    """Reflected quantiles, and the bias taken off once."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    ends = np.clip([2 * value - high, 2 * value - low], 0, 1)
    return (float(np.clip(2 * value - np.median(replicates), *ends)), *map(float, ends))


def told(estimate: Estimate | None) -> tuple[float, float, float]:
    assert estimate is not None
    return (estimate.value, estimate.low, estimate.high)


def test_intervals_by_hand() -> None:
    found = figures(NEGATIVE * 10, POSITIVE * 10, PREDICTED, 5.0, EDGES)
    negative, positive = drawn(5.0, 10.0)
    auc = basic(area(NEGATIVE[None], POSITIVE[None])[0], area(negative, positive))
    assert told(found.auc) == pytest.approx(auc)
    assert told(found.gini) == pytest.approx(tuple(2 * each - 1 for each in auc))
    gap = distance(NEGATIVE[None], POSITIVE[None])[0]
    assert told(found.ks) == pytest.approx(basic(gap, distance(negative, positive)))
    rate = positive.sum(axis=1) / (positive + negative).sum(axis=1)
    assert told(found.base_rate) == pytest.approx((60 / 160, *np.quantile(rate, [0.025, 0.975])))
    reached = positives_reached(negative, positive, 0.1)
    ends = np.quantile(reached, [0.025, 0.975])
    value = positives_reached(NEGATIVE[None], POSITIVE[None], 0.1)[0]
    cutoff = found.cutoffs[1]
    assert told(cutoff.reached) == pytest.approx((value, *ends))
    assert told(cutoff.lift) == pytest.approx((value / 0.1, *ends / 0.1))
    called = np.clip(reached * rate / 0.1, 0, 1)
    assert told(cutoff.rate) == pytest.approx((value * 0.375 / 0.1, *np.quantile(called, [0.025, 0.975])))
    assert cutoff.score == threshold(NEGATIVE + POSITIVE, EDGES, 0.1)


def test_calibration_by_hand() -> None:
    found = figures(NEGATIVE * 10, POSITIVE * 10, PREDICTED, 5.0)
    negative, positive = drawn(5.0, 10.0)
    mass, rate = NEGATIVE + POSITIVE, POSITIVE / (NEGATIVE + POSITIVE)
    error = float(np.sum(np.abs(rate - PREDICTED) * mass) / mass.sum())
    masses = np.maximum(negative + positive, 1.0)
    errors = np.sum(np.abs(np.clip(positive / masses, 0, 1) - PREDICTED) * masses, axis=1) / masses.sum(
        axis=1
    )
    assert told(found.calibration_error) == pytest.approx(basic(error, errors))
    assert [cell.predicted for cell in found.calibration] == PREDICTED.tolist()
    for number, cell in enumerate(found.calibration):
        ends = np.quantile(np.clip(positive[:, number] / masses[:, number], 0, 1), [0.025, 0.975])
        assert told(cell.observed) == pytest.approx((rate[number], *ends))
    assert found.cutoffs == ()


@pytest.mark.parametrize(("noise", "measured"), [(59.9 / 6, True), (60.1 / 6, False)])
def test_the_smaller_class_has_to_be_clear_of_its_noise(noise: float, measured: bool) -> None:
    """Three deviations of the noise of four cells together."""
    for negative, positive in ((NEGATIVE, POSITIVE), (POSITIVE, NEGATIVE)):
        found = figures(negative, positive, PREDICTED, noise, EDGES)
        assert found.measurable is measured
        assert len(found.cutoffs) == (3 if measured else 0)
        for each in (found.auc, found.ks, found.gini, found.calibration_error, found.base_rate):
            assert (each is not None) is measured
        assert measured or found.calibration == ()
        assert (found.customers, found.positives, found.noise) == (160, round(positive.sum()), noise)


def test_cells_with_few_customers_beside_their_noise_are_not_told() -> None:
    # Six deviations: the cells have 45, 40, 35 and 40 customers.
    for noise, expected in ((35 / 6 - 0.01, 4), (35 / 6, 3), (40 / 6, 1), (45 / 6, 0)):
        assert len(figures(NEGATIVE, POSITIVE, PREDICTED, noise).calibration) == expected


def test_one_edge_is_too_few_for_a_cut_off() -> None:
    two = np.array([400.0, 100.0]), np.array([50.0, 300.0])
    assert figures(*two, np.array([0.1, 0.7]), 1.0, np.array([0.0])).cutoffs == ()
    three = np.array([400.0, 100.0, 50.0]), np.array([50.0, 100.0, 300.0])
    found = figures(*three, np.array([0.1, 0.5, 0.8]), 1.0, np.array([0.0, 1.0]))
    assert [cutoff.share for cutoff in found.cutoffs] == [0.05, 0.1, 0.2]


def test_how_figures_are_written() -> None:
    found = figures(NEGATIVE * 10, POSITIVE * 10, PREDICTED, 5.12345, EDGES)
    written = found.as_json()

    def rounded(estimate: Estimate | None) -> dict[str, float]:
        value, low, high = told(estimate)
        return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}

    assert list(written) == [
        *("measurable", "auc", "ks", "gini", "calibration_error", "calibration", "base_rate", "cutoffs"),
        *("test_customers_noisy", "test_positives_noisy", "noise_standard_deviation", "intervals"),
    ]
    assert written["measurable"] is True
    for name in ("auc", "ks", "gini", "calibration_error", "base_rate"):
        assert written[name] == rounded(getattr(found, name))
    assert written["calibration"] == [
        {"predicted": round(cell.predicted, 4), "observed": rounded(cell.observed)}
        for cell in found.calibration
    ]
    assert written["cutoffs"] == [
        {
            "share": cutoff.share,
            "score": round(cutoff.score, 4),
            "rate": rounded(cutoff.rate),
            "lift": rounded(cutoff.lift),
            "reached": rounded(cutoff.reached),
        }
        for cutoff in found.cutoffs
    ]
    assert (written["test_customers_noisy"], written["test_positives_noisy"]) == (1600, 600)
    assert (written["noise_standard_deviation"], written["intervals"]) == (5.123, "95 %, noise and sampling")


def test_how_single_figures_are_rounded() -> None:
    estimate = Estimate(value=0.123456, low=-0.000049, high=2.00005001)
    assert estimate.as_json() == {"value": 0.1235, "low": -0.0, "high": 2.0001}
    cell = CalibrationCell(predicted=0.5, observed=estimate)
    assert cell.observed is estimate
    cutoff = CutOff(share=0.05, score=math.pi, rate=estimate, lift=estimate, reached=estimate)
    assert cutoff.as_json() == {
        "share": 0.05,
        "score": 3.1416,
        "rate": estimate.as_json(),
        "lift": estimate.as_json(),
        "reached": estimate.as_json(),
    }
