"""Answers against pandas and NumPy: exactly where no noise is added, in their intervals where some is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.small import frame_of, schema_of, study_of
from kits.statistics_kit import asking, lines, release_of

from ringfence.models.statistics.inquiry import BlockSum
from ringfence.models.statistics.means import ratio
from ringfence.models.statistics.plan import asked_questions
from ringfence.models.statistics.quantiles import LEVELS, consistent
from ringfence.models.tables.noisy import half_width
from ringfence.models.tables.page import rendered
from ringfence.models.task import StudyContext

FRAME = frame_of(6000, seed=11)
CLIPPED = FRAME.assign(age=FRAME["age"].clip(18, 98), spend=FRAME["spend"].clip(1, 10000))
LARGE = {"epsilon": "32"}


def exact(*questions: str, **changes: Any) -> Any:
    return release_of(asking(*questions, privacy=LARGE, **changes), FRAME)


def by_group(found: list[dict[str, Any]], *names: str) -> dict[Any, dict[str, Any]]:
    return {tuple(row[name] for name in names): row for row in found}


def test_counts_are_those_of_pandas() -> None:
    found = lines(exact("count by plan, active"))
    plan = FRAME["plan"].where(FRAME["plan"] != "unheard-of", "(other)")
    for row in found:
        group = plan.isin(row["plan"].split(", ")) & FRAME["active"].isin(row["active"].split(", "))
        assert row["customers"] == group.sum()
    assert len(found) == 8
    assert sum(row["customers"] for row in found) == len(FRAME)


def test_a_histogram_is_that_of_numpy() -> None:
    found = lines(exact("histogram of age in 8"))
    expected, _edges = np.histogram(CLIPPED["age"], bins=8, range=(18, 98))
    assert [row["customers"] for row in found] == expected.tolist()
    assert found[0]["age"] == "below 28"
    assert found[-1]["age"] == "88 and above"


def test_means_and_sums_are_those_of_pandas_within_the_rounding_of_a_value() -> None:
    release = exact("mean of spend by plan", "sum of age")
    found = by_group(lines(release), "plan")
    for plan, expected in CLIPPED.groupby("plan")["spend"].mean().items():
        label = "(other), (missing)" if plan == "unheard-of" else plan
        assert found[(label,)]["mean"] == pytest.approx(expected, rel=1e-4)
        assert found[(label,)]["customers"] == CLIPPED.loc[CLIPPED["plan"] == plan, "spend"].notna().sum()
    (whole,) = lines(release, 1)
    assert whole["sum"] == pytest.approx(CLIPPED["age"].sum(), rel=1e-5)


def test_quantiles_are_those_of_numpy_within_a_cell() -> None:
    found = lines(exact("quantiles of age at 5, 25, 50, 75, 95"))
    for row in found:
        expected = np.quantile(CLIPPED["age"], float(row["percent"]) / 100)
        assert row["quantile"] == pytest.approx(expected, abs=80 / 256)
        assert row["quantile_low"] <= expected <= row["quantile_high"]


def test_correlations_are_those_of_numpy() -> None:
    (row,) = lines(exact("correlations of age, spend"))
    complete = CLIPPED.dropna()
    expected = np.corrcoef(complete["age"], complete["spend"])[0, 1]
    assert row["correlation"] == pytest.approx(expected, abs=2e-4)
    assert row["customers"] == len(complete)


def test_a_top_list_has_the_most_frequent_first() -> None:
    found = lines(exact("top 2 of plan"))
    counts = FRAME["plan"].value_counts()
    assert [(row["plan"], row["customers"]) for row in found] == list(counts.head(2).items())


@pytest.mark.parametrize(("overlap", "low"), [(1, 6000), (2, 3000)])
def test_distinct_customers_lie_between_what_overlap_allows(overlap: int, low: int) -> None:
    context = asking("distinct", privacy=LARGE)
    holders = tuple(each.model_copy(update={"overlap": overlap}) for each in context.study.holders)
    study = context.study.model_copy(update={"holders": holders})
    context = type(context).of(study, context.schema)
    (row,) = lines(release_of(context, FRAME))
    assert row["customers"] == 6000
    assert row["distinct_low"] == pytest.approx(low, abs=20)
    assert row["distinct_high"] == pytest.approx(6000, abs=20)


def test_consistent_counts_are_the_least_squares_estimate() -> None:
    rng = np.random.default_rng(5)
    tree = rng.normal(20, 3, 2**9 - 2)
    rows = [
        np.repeat(np.arange(1 << level) == node, 256 >> level)
        for level in range(1, LEVELS + 1)
        for node in range(1 << level)
    ]
    expected, *_ = np.linalg.lstsq(np.array(rows, dtype=np.float64), tree, rcond=None)
    assert consistent(tree) == pytest.approx(expected)


def covered(
    questions: str, truth: Callable[[dict[str, Any]], float], measure: str, draws: int = 120
) -> float:
    """The part of shown intervals that hold the truth, over draws of noise."""
    context = asking(questions, privacy={"epsilon": "1"})
    rng = np.random.default_rng(7)
    inside = [
        row[f"{measure}_low"] <= truth(row) <= row[f"{measure}_high"]
        for _ in range(draws)
        for row in lines(release_of(context, FRAME, rng))
        if not row["not_shown"]
    ]
    assert len(inside) >= draws
    return float(np.mean(inside))


def in_groups(values: pd.Series, column: str, label: str) -> pd.Series:
    """The values of a line's customers, whose label joins several groups."""
    kept = CLIPPED[column].where(CLIPPED[column] != "unheard-of", "(other)")
    return values[kept.isin(label.split(", "))]


def test_intervals_of_counts_hold_the_count() -> None:
    found = covered(
        "count by plan", lambda row: len(in_groups(CLIPPED["age"], "plan", row["plan"])), "customers"
    )
    assert 0.9 < found < 0.995


def test_intervals_of_means_hold_the_mean() -> None:
    share = covered(
        "mean of age by plan",
        lambda row: float(in_groups(CLIPPED["age"], "plan", row["plan"]).mean()),
        "mean",
    )
    assert 0.9 < share < 0.995


def test_intervals_of_quantiles_hold_the_quantile_and_tell_something() -> None:
    share = covered(
        "quantiles of age at 10, 50, 90",
        lambda row: float(np.quantile(CLIPPED["age"], float(row["percent"]) / 100)),
        "quantile",
    )
    assert share > 0.93
    rows = lines(release_of(asking("quantiles of age at 50", privacy={"epsilon": "1"}), FRAME))
    assert rows[0]["quantile_high"] - rows[0]["quantile_low"] < 4


def test_intervals_of_correlations_hold_the_correlation() -> None:
    rng = np.random.default_rng(3)
    frame = CLIPPED.assign(spend=(CLIPPED["age"] * 90 + rng.normal(0, 1500, len(CLIPPED))).clip(1, 10000))
    truth = float(np.corrcoef(frame["age"], frame["spend"])[0, 1])
    context = asking("correlations of age, spend", privacy={"epsilon": "2"})
    inside = []
    for _ in range(150):
        (row,) = lines(release_of(context, frame, rng))
        inside.append(row["correlation_low"] <= truth <= row["correlation_high"])
        assert row["correlation_high"] - row["correlation_low"] < 0.2
    assert 0.9 < np.mean(inside) < 0.995


def test_intervals_of_a_top_list_hold_their_counts_although_they_were_chosen() -> None:
    context = asking("top 1 of plan", privacy={"epsilon": "0.05"})
    even = FRAME.assign(plan=np.resize(["basic", "gold", "none"], len(FRAME)))
    rng = np.random.default_rng(13)
    inside = [
        row["customers_low"] <= 2000 <= row["customers_high"]
        for _ in range(300)
        for row in lines(release_of(context, even, rng))
    ]
    assert np.mean(inside) > 0.93
    # An interval as wide as that of one count by itself would hold too few of the chosen ones.
    assert half_width(1, 5) > half_width(1, 1)


def test_a_ratio_keeps_its_level_where_customers_are_few() -> None:
    rng = np.random.default_rng(21)
    inside = [
        found.low <= 0.4 <= found.high
        for _ in range(4000)
        for found in [ratio(0.4 * 30 + rng.normal(0, 8), 8.0, 30 + rng.normal(0, 10), 10.0, half_width(1, 1))]
    ]
    assert np.mean(inside) > 0.94
    assert ratio(5.0, 1.0, 0.5, 10.0, 1.96).low == -1.0
    assert ratio(5.0, 1.0, 0.5, 10.0, 1.96).high == 1.0


def test_noise_of_lines_that_were_added_up_is_told_as_it_is() -> None:
    one = BlockSum(values=np.array([1.0, 2.0, 4.0]), deviation=3.0, rounding=0.0)
    two = one.joined(np.array([0, 1, 1]), 2)
    assert two.values.tolist() == [1.0, 6.0]
    assert two.deviations == pytest.approx([3.0, 3.0 * 2**0.5])


def rank_variance(levels: tuple[int, ...]) -> float:
    """Mean variance of a rank at three quartiles, if the levels share one budget equally."""
    nodes = [np.arange(256) // (256 // size) for size in levels]
    precision = sum((each[:, None] == each[None, :]).astype(np.float64) for each in nodes) / len(levels)
    spread = np.linalg.inv(precision)
    below = np.arange(256)[None, :] < np.arange(1, 256)[:, None]
    return float(np.mean([np.einsum("ij,jk,ik->i", below - p, spread, below - p) for p in (0.25, 0.5, 0.75)]))


def test_halving_cells_is_as_good_as_any_tree() -> None:
    halves = rank_variance((2, 4, 8, 16, 32, 64, 128, 256))
    others = [(4, 16, 64, 256), (16, 256), (2, 8, 32, 128, 256), (2, 4, 8, 32, 64, 128, 256)]
    assert halves < 1.01 * min(rank_variance(each) for each in others)
    assert halves < 0.2 * rank_variance((256,))


def test_quantiles_of_counts_and_of_dates_are_values_that_occur() -> None:
    rng = np.random.default_rng(2)
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 3000, 4000), unit="D")
    frame = pd.DataFrame(
        {
            "orders": rng.poisson(6, 4000).astype(np.float64),
            "since": [float(day.toordinal()) for day in days],
        }
    )
    schema = schema_of(
        [
            {"name": "orders", "kind": "number", "bounds": [0, 50], "whole": True},
            {"name": "since", "kind": "date", "bounds": ["2020-01-01", "2029-12-31"]},
            {"name": "churn", "kind": "flag"},
        ]
    )
    study = study_of(
        schema,
        task="statistics",
        label=None,
        features=["orders", "since"],
        model={"questions": ["quantiles of orders at 10, 50, 90", "quantiles of since at 50"]},
        evaluation={"test_fraction": "0"},
        privacy=LARGE,
    )
    release = release_of(StudyContext.of(study, schema), frame)
    for row in lines(release):
        expected = np.quantile(frame["orders"], float(row["percent"]) / 100, method="inverted_cdf")
        assert row["quantile"] == expected
        assert row["quantile_low"] <= expected <= row["quantile_high"]
    (row,) = lines(release, 1)
    found = date.fromisoformat(row["quantile"]).toordinal()
    assert found == pytest.approx(float(frame["since"].median()), abs=3650 / 256 + 1)
    assert row["quantile_low"] <= row["quantile"] <= row["quantile_high"]
    assert row["quantile"] in rendered(release, "en")


def test_a_correlation_of_numbers_that_are_lost_in_noise_is_not_told() -> None:
    still = FRAME.assign(age=58.0)
    for row in lines(release_of(asking("correlations of age, spend", privacy={"epsilon": "1"}), still)):
        assert (row["correlation"], row["correlation_low"], row["correlation_high"]) == (0.0, -1.0, 1.0)


def test_the_noise_that_is_told_is_that_of_a_released_count() -> None:
    context = asking("count by plan", "mean of age", "distinct", "correlations of age, spend")
    told = [table.deviation for table in release_of(context, FRAME).tables]
    for question, deviation in zip(asked_questions(context), told, strict=True):
        (counts,) = [each for each in question.blocks if each.shape.part == "counts"]
        assert deviation == pytest.approx(counts.block.share_scale * 3**0.5 / 2**counts.bits)
