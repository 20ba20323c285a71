"""The law of the noise: chi-square against the declared law, OpenDP as oracle, no correlation anywhere.

Each test fails for a correct sampler with probability at most 1e-9 (thresholds are set at 1e-10), and proves
on a wrong sampler that it would fail.
"""

from __future__ import annotations

import numpy as np
import pytest
from prove.bounds import (
    FALSE_ALARM,
    cells,
    chi_square,
    correlation_limit,
    masses,
    worst_correlation,
)
from prove.bounds import chi_square_limit as limit
from scipy import stats

from ringfence.privacy.mechanisms.gaussian import draw
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import BlockPlan, RoundPlan

DRAWS = 2_000_000


@pytest.mark.parametrize("scale", [4.1, 16.0, 333.3, 4096.0, 9000.5, 200_000.0])
def test_draws_follow_the_declared_law(scale: float) -> None:
    statistic, freedom = chi_square(draw(scale, DRAWS).values, masses(scale))
    assert statistic < limit(freedom)


@pytest.mark.parametrize("scale", [4.1, 333.3, 9000.5])
def test_a_scale_one_percent_smaller_is_rejected(scale: float) -> None:
    statistic, freedom = chi_square(draw(0.99 * scale, DRAWS).values, masses(scale))
    # The chance to miss it, from the exact divergence of the two laws over the cells.
    ends, declared = cells(*masses(scale))
    x, probability = masses(0.99 * scale)
    really = np.bincount(np.searchsorted(ends, x), weights=probability, minlength=len(declared))
    distance = DRAWS * float(((really - declared) ** 2 / declared).sum())
    assert stats.ncx2.cdf(limit(freedom), freedom, distance) < 1e-9
    assert statistic > limit(freedom)


def test_a_law_shifted_by_a_fiftieth_is_rejected() -> None:
    values = draw(50.0, DRAWS).values + 1
    statistic, freedom = chi_square(values, masses(50.0))
    assert statistic > limit(freedom)


def test_single_values_follow_the_law_at_the_smallest_scale() -> None:
    """Cell by cell, no pooling: catches a doubled or missing zero."""
    x, probability = masses(4.0)
    values = draw(4.0, DRAWS).values
    inside = np.abs(x) <= 15
    counts = np.array([np.count_nonzero(values == each) for each in x[inside]])
    expected = DRAWS * probability[inside]
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < limit(inside.sum())
    doubled = counts.copy()
    doubled[15] *= 2
    assert ((doubled - expected) ** 2 / expected).sum() > limit(inside.sum())


def test_sums_of_shares_follow_the_law_of_the_sum() -> None:
    """Three shares of scale s make one of scale `sqrt(3) s`."""
    plan = round_plan(20.0, DRAWS)
    total = sum(OsNoise().share(plan, {"a": DRAWS}, 3).blocks["a"] for _ in range(3))
    statistic, freedom = chi_square(np.asarray(total), masses(20.0 * 3**0.5))
    assert statistic < limit(freedom)
    # A share divided among four where three are counted on is noticed.
    short = sum(draw(20.0 * (3 / 4) ** 0.5, DRAWS).values for _ in range(3))
    assert chi_square(np.asarray(short), masses(20.0 * 3**0.5))[0] > limit(freedom)


def test_opendp_draws_the_same_law() -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    count, scale = 40_000, 30.0
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    theirs = np.array(dp.m.make_gaussian(*space, scale=scale)([0] * count))
    statistic, freedom = chi_square(theirs, masses(scale))
    assert statistic < limit(freedom)
    ours = draw(scale, count).values
    ends, _ = cells(*masses(scale))
    table = np.array(
        [np.bincount(np.searchsorted(ends, each), minlength=len(ends) + 1) for each in (ours, theirs)]
    )
    assert stats.chi2_contingency(table).pvalue > FALSE_ALARM


def round_plan(scale: float, length: int) -> RoundPlan:
    block = BlockPlan(name="a", sensitivity_squared=1, max_abs=1, share_scale=scale, max_length=length)
    return RoundPlan(name="r", blocks=(block,))


def test_no_correlation_over_coordinates_rounds_and_holders() -> None:
    count = 500_000
    plan = round_plan(64.0, count)
    # Two holders with two rounds each; rows of the table are their shares.
    shares = np.vstack([OsNoise().share(plan, {"a": count}, 2).blocks["a"] for _ in range(4)])
    assert worst_correlation(shares) < correlation_limit(count - 1)
    repeated = shares.copy()
    repeated[3] = shares[0]  # one seed at two holders
    assert worst_correlation(repeated) > correlation_limit(count - 1)
    slid = shares.copy()
    slid[3, 1:] = shares[0, :-1]  # one stream, a word later
    assert worst_correlation(slid) > correlation_limit(count - 1)


def test_magnitudes_are_not_correlated_either() -> None:
    count = 500_000
    shares = np.vstack([np.abs(draw(64.0, count).values) for _ in range(4)])
    assert worst_correlation(shares) < 1.5 * correlation_limit(count - 1)
