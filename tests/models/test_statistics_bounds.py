"""What one customer adds to a statistics study: bounded exactly, the bound reached, and a sum bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.small import matrix_of
from kits.statistics_kit import QUERY, asking

from ringfence.models.statistics import STATISTICS
from ringfence.models.statistics.means import in_units
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import BOTH

CONTEXT = asking(
    "count by plan, active",
    "histogram of spend in 64",
    "mean of spend by plan",
    "sum of age by active",
    "quantiles of age at 1, 50, 99",
    "top 2 of plan",
    "distinct",
    "correlations of age, spend",
)
BLOCKS = STATISTICS.plan(CONTEXT).rounds[0].blocks
CORNERS = pd.DataFrame(
    {
        "age": [18.0, 98.0, -1e300, 1e300, 58.0, np.nan, 18.0, 57.99999],
        "spend": [1.0, 10000.0, 1e300, -5.0, 5000.5, 1.0, np.nan, 5000.4999],
        "plan": ["basic", "gold", "none", "unheard-of", None, "basic", "gold", "none"],
        "active": ["no", "yes", "no", "yes", None, "maybe", "yes", "no"],
    }
)

number = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
customer = st.tuples(
    number, number, st.sampled_from(["basic", "gold", "none", "?"]), st.sampled_from(["no", "yes", "x"])
)


def blocks_of(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return dict(STATISTICS.contribute(CONTEXT, QUERY, matrix_of(CONTEXT, frame)).blocks)


@settings(max_examples=60, deadline=None)
@given(st.lists(customer, max_size=8), st.integers(0, 2**32 - 1))
def test_a_table_is_the_sum_of_its_customers_and_each_is_bounded(rows: list[tuple], seed: int) -> None:
    frame = pd.concat([CORNERS, pd.DataFrame(rows, columns=list(CORNERS.columns))], ignore_index=True)
    order = np.random.default_rng(seed).permutation(len(frame))
    whole = blocks_of(frame.iloc[order])
    single = [blocks_of(frame.iloc[[place]]) for place in range(len(frame))]
    for block in BLOCKS:
        assert np.array_equal(whole[block.name], sum(each[block.name] for each in single))
        for each in single:
            assert sum(value * value for value in each[block.name].tolist()) <= block.sensitivity_squared
            assert np.abs(each[block.name]).max(initial=0) <= block.max_abs


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_the_bound_is_reached(block: object) -> None:
    name, bound = block.name, block.sensitivity_squared  # type: ignore[attr-defined]
    reached = max(
        sum(value * value for value in blocks_of(CORNERS.iloc[[place]])[name].tolist())
        for place in range(len(CORNERS))
    )
    assert reached == bound


def test_values_are_rounded_to_parts_of_a_unit_by_themselves() -> None:
    steps = np.array([1 << 20, -(1 << 20), 0, 1 << 16, (1 << 16) - 1, -(1 << 16), 3 << 16], dtype=np.int32)
    assert in_units(steps, 3).tolist() == [8, -8, 0, 1, 0, 0, 2]
    assert in_units(steps, 20).tolist() == steps.tolist()


@pytest.mark.parametrize(
    "query",
    [
        replace(QUERY, round=1),
        replace(QUERY, numbers={"bins": 4}),
        replace(QUERY, arrays={"cells": np.zeros(3, dtype=np.int64)}),
    ],
)
def test_a_query_adds_nothing_to_the_signed_study(query: object) -> None:
    with pytest.raises(WaistError, match="RF-W470"):
        STATISTICS.lengths(CONTEXT, query)  # type: ignore[arg-type]


def test_everybody_is_read_and_all_of_the_budget_is_used() -> None:
    plan = STATISTICS.plan(CONTEXT)
    assert [each.part for each in plan.rounds] == [BOTH]
    assert plan.mu_squared == pytest.approx(plan.cohort.mu_squared(1) / 0.01, rel=1e-9)
    lengths = STATISTICS.lengths(CONTEXT, QUERY)
    assert lengths == {block.name: block.max_length for block in BLOCKS}
    assert {name: len(values) for name, values in blocks_of(CORNERS).items()} == lengths


def test_no_row_at_all_adds_nothing() -> None:
    assert not any(values.any() for values in blocks_of(CORNERS.iloc[:0]).values())
