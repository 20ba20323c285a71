"""Statistics of the proof: a lower bound on mu from two worlds, chi-square against a law, correlation.

Each test fails for a correct product with probability at most 1e-9; what a broken one does to it is shown by
the mutants, and by the tests under tests/statistical.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt
from scipy import signal, stats

FALSE_ALARM = 1e-10
CONFIDENCE = 1e-9
CELLS = 20

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def lower_bound(absent: Floats, present: Floats) -> float:
    """A mu that the noise certainly does not stay below, from a statistic in two worlds.

    The threshold is fixed on the first fifth of the trials; the errors on the others give Clopper-Pearson
    bounds (Clopper, Pearson 1934) that fail with probability `CONFIDENCE` together.
    """
    first = len(absent) // 5
    grid = np.quantile(np.concatenate([absent[:first], present[:first]]), np.linspace(0.2, 0.8, 61))
    threshold = max(grid, key=lambda t: float((present[:first] > t).mean() - (absent[:first] > t).mean()))
    rest = len(absent) - first
    false_alarms = int((absent[first:] > threshold).sum())
    misses = int((present[first:] <= threshold).sum())
    alarm = (
        stats.beta.isf(CONFIDENCE / 2, false_alarms + 1, rest - false_alarms) if false_alarms < rest else 1.0
    )
    miss = stats.beta.isf(CONFIDENCE / 2, misses + 1, rest - misses) if misses < rest else 1.0
    return float(stats.norm.isf(alarm) - stats.norm.ppf(miss))


def masses(scale: float) -> tuple[Integers, Floats]:
    """The integers within ten scales and their probabilities under the discrete Gaussian."""
    x = np.arange(-int(10 * scale), int(10 * scale) + 1)
    weights = np.exp(-(x.astype(np.float64) ** 2) / (2 * scale**2))
    return x, weights / weights.sum()


def masses_of_sum(scale: float, shares: int) -> tuple[Integers, Floats]:
    """The law of a sum of independent shares, by convolution of their laws."""
    x, one = masses(scale)
    total = np.maximum(reduce(signal.fftconvolve, [one] * shares), 0.0)
    reach = shares * int(x[-1])
    return np.arange(-reach, reach + 1), total / total.sum()


def cells(x: Integers, probability: Floats) -> tuple[Integers, Floats]:
    """Upper ends of about equally likely cells, and the probability of each cell."""
    running = np.cumsum(probability)
    ends = np.unique(np.searchsorted(running, np.arange(1, CELLS) / CELLS))
    return x[ends], np.diff(np.concatenate([[0.0], running[ends], [1.0]]))


def chi_square(values: Integers, law: tuple[Integers, Floats]) -> tuple[float, int]:
    """The statistic against a law, and its degrees of freedom."""
    ends, probability = cells(*law)
    counts = np.bincount(np.searchsorted(ends, values), minlength=len(probability))
    expected = probability * len(values)
    return float(((counts - expected) ** 2 / expected).sum()), len(probability) - 1


def chi_square_limit(freedom: int) -> float:
    """Above it a correct law comes with probability `FALSE_ALARM`."""
    return float(stats.chi2.isf(FALSE_ALARM, freedom))


def spread(values: Integers, law: tuple[Integers, Floats]) -> float:
    """How many standard errors the second moment is off its law; normal for so many values."""
    x, probability = law
    squares = x.astype(np.float64) ** 2
    mean = float((squares * probability).sum())
    variance = float(((squares - mean) ** 2 * probability).sum())
    return (float((values.astype(np.float64) ** 2).mean()) - mean) / (variance / len(values)) ** 0.5


def normal_limit() -> float:
    """Two-sided limit of a standard normal."""
    return float(stats.norm.isf(FALSE_ALARM / 2))


def worst_correlation(rows: Integers) -> float:
    """The largest correlation between any two of the rows and of their shifts by one coordinate."""
    shifted = np.vstack([rows[:, :-1], rows[:, 1:]]).astype(np.float64)
    table = np.atleast_2d(np.corrcoef(shifted))
    return float(np.abs(table[np.triu_indices_from(table, 1)]).max())


def correlation_limit(count: int, pairs: int = 1) -> float:
    """Two-sided, for the largest of `pairs` correlations of `count` independent values each."""
    return float(stats.norm.isf(FALSE_ALARM / (2 * pairs)) / np.sqrt(count))
