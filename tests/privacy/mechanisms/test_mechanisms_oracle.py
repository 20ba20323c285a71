"""Both laws as they are drawn: against the exact law, against OpenDP, between calls, across a fork.

Each statistical test fails for a correct sampler with probability at most 1e-9 (thresholds at 1e-10) and
shows on a wrong sampler that it would fail. The discrete Gaussian by itself has its tests in
tests/statistical.
"""

from __future__ import annotations

import inspect
import os
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from ringfence.privacy import mechanisms
from ringfence.privacy.mechanisms import gaussian, laplace

FALSE_ALARM = 1e-10
DRAWS = 4_000_000
CELLS = 12

Values = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def below(x: npt.ArrayLike, scale: float) -> Reals:
    """`P(X <= x)` of the discrete Laplace, in closed form."""
    points = np.asarray(x, dtype=np.float64)
    tail = np.exp(-np.abs(points) / scale) / (1 + np.exp(-1 / scale))
    inner = np.where(points < 0, tail, 1 - tail * np.exp(-1 / scale))
    return np.asarray(inner, dtype=np.float64)


def cells(scale: float) -> tuple[Values, Reals]:
    """Upper ends of about equally likely cells, and the probability of each cell."""
    x = np.arange(-int(8 * scale) - 4, int(8 * scale) + 5)
    ends = x[np.unique(np.searchsorted(below(x, scale), np.arange(1, CELLS) / CELLS))]
    return ends, np.diff(np.concatenate([[0.0], below(ends, scale), [1.0]]))


def counted(values: Values, ends: Values) -> Reals:
    return np.bincount(np.searchsorted(ends, values), minlength=len(ends) + 1).astype(np.float64)


def chi_square(values: Values, scale: float) -> tuple[float, int]:
    ends, probability = cells(scale)
    expected = probability * len(values)
    return float(((counted(values, ends) - expected) ** 2 / expected).sum()), len(ends)


def limit(freedom: int) -> float:
    return float(stats.chi2.isf(FALSE_ALARM, freedom))


@pytest.mark.parametrize("scale", [0.7, 16.0, 900.0, 5000.5, 1_000_000.0])
def test_laplace_draws_follow_the_declared_law(scale: float) -> None:
    values = laplace.draw(scale, DRAWS // 4).values
    statistic, freedom = chi_square(values, scale)
    assert statistic < limit(freedom)
    # The mean magnitude is 1 / sinh(1 / t), and magnitudes deviate by less than t.
    bound = stats.norm.isf(FALSE_ALARM / 2) * scale / np.sqrt(len(values))
    assert abs(np.abs(values).mean() - 1 / np.sinh(1 / scale)) < bound


@pytest.mark.parametrize("scale", [16.0, 5000.5])
def test_a_laplace_scale_one_percent_smaller_is_rejected(scale: float) -> None:
    statistic, freedom = chi_square(laplace.draw(0.99 * scale, DRAWS).values, scale)
    ends, declared = cells(scale)
    really = np.diff(np.concatenate([[0.0], below(ends, 0.99 * scale), [1.0]]))
    distance = DRAWS * float(((really - declared) ** 2 / declared).sum())
    assert stats.ncx2.cdf(limit(freedom), freedom, distance) < 1e-9
    assert statistic > limit(freedom)


def test_single_values_follow_the_law_at_a_small_scale() -> None:
    """Value by value, no pooling: catches a doubled or missing zero, which pooled cells could hide."""
    scale, reach, count = 1.5, 12, DRAWS // 4
    x = np.arange(-reach, reach + 1)
    probability = np.exp(-np.abs(x) / scale) * np.tanh(0.5 / scale)
    values = laplace.draw(scale, count).values
    counts = np.array([np.count_nonzero(values == each) for each in x], dtype=np.float64)
    expected = count * probability
    assert float(((counts - expected) ** 2 / expected).sum()) < limit(len(x))
    doubled = counts.copy()
    doubled[reach] *= 2
    assert float(((doubled - expected) ** 2 / expected).sum()) > limit(len(x))


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_the_far_tail_is_there(scale: float) -> None:
    """Beyond the table, where draws start again: `P(|X| >= 8 t + 1)` is about `exp(-8)`, not nothing."""
    reach = int(8 * scale) + 1
    values = laplace.draw(scale, DRAWS // 2).values
    chance = 2 * float(below(-reach, scale))
    found = int(np.count_nonzero(np.abs(values) >= reach))
    assert stats.binomtest(found, DRAWS // 2, chance).pvalue > FALSE_ALARM
    assert stats.binomtest(0, DRAWS // 2, chance).pvalue < 1e-20  # a table without its tail


def test_opendp_draws_the_same_laplace() -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    count, scale = 40_000, 30.0
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    theirs = np.array(dp.m.make_laplace(*space, scale=scale)([0] * count))
    statistic, freedom = chi_square(theirs, scale)
    assert statistic < limit(freedom)
    ends, _ = cells(scale)
    ours = counted(laplace.draw(scale, count).values, ends)
    assert stats.chi2_contingency(np.array([ours, counted(theirs, ends)])).pvalue > FALSE_ALARM
    # What the oracle can tell apart at this size: a scale that is a fifth too small.
    short = counted(laplace.draw(0.8 * scale, count).values, ends)
    assert stats.chi2_contingency(np.array([short, counted(theirs, ends)])).pvalue < FALSE_ALARM


def drawn(law: str, count: int) -> Values:
    return laplace.draw(64.0, count).values if law == "laplace" else gaussian.draw(64.0, count).values


@pytest.mark.parametrize("law", ["gaussian", "laplace"])
def test_calls_are_independent(law: str) -> None:
    """No correlation of values or magnitudes between calls, or between neighbours of one call."""
    count = 400_000
    calls = np.vstack([drawn(law, count) for _ in range(3)])
    bound = 1.5 * float(stats.norm.isf(FALSE_ALARM / 30) / np.sqrt(count))
    for rows in (calls, np.abs(calls)):
        assert worst(rows) < bound
    repeated = calls.copy()
    repeated[2, 1:] = calls[0, :-1]  # the same words, one later
    assert worst(repeated) > bound


def worst(calls: Values) -> float:
    """The largest correlation between two calls, or between one and another shifted by one entry."""
    rows = np.vstack([calls[:, :-1], calls[:, 1:]]).astype(np.float64)
    table = np.atleast_2d(np.corrcoef(rows))
    return float(np.abs(table[np.triu_indices_from(table, 1)]).max())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("law", ["gaussian", "laplace"])
def test_a_forked_process_draws_noise_of_its_own(law: str) -> None:
    """No generator state is copied: parent and children never agree, 200 values of scale 64 each."""
    drawn(law, 10)  # tables exist before the fork, as in a server that forks workers
    noises = [forked(law) for _ in range(2)] + [drawn(law, 200).tobytes()]
    assert all(len(noise) == 1600 for noise in noises)
    assert len(set(noises)) == 3
    assert all(
        np.count_nonzero(np.frombuffer(a, dtype=np.int64) == np.frombuffer(b, dtype=np.int64)) < 40
        for a, b in [(noises[0], noises[1]), (noises[0], noises[2]), (noises[1], noises[2])]
    )


def forked(law: str) -> bytes:
    """What a child process draws."""
    source, sink = os.pipe()
    with warnings.catch_warnings():
        # Threads of the test process hold no lock that the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.write(sink, drawn(law, 200).tobytes())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as stream:
        noise = stream.read()
    os.waitpid(child, 0)
    return noise


def test_no_generator_and_no_seed_stand_in_the_folder() -> None:
    """The operating system is the only source; nothing takes a seed, a generator or a switch."""
    folder = Path(inspect.getfile(mechanisms)).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    assert {"entropy.py", "gaussian.py", "laplace.py", "source.py", "table.py"} <= set(texts)
    assert [name for name, text in texts.items() if "urandom" in text] == ["entropy.py"]
    for text in texts.values():
        assert not any(word in text for word in ("np.random", "import random", "default_rng", "environ"))
    allowed = {"scale", "law", "count", "sensitivity", "honest"}
    for function in (gaussian.draw, laplace.draw, gaussian.draw_values, laplace.draw_values):
        assert set(inspect.signature(function).parameters) <= allowed
