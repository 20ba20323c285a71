"""What all runs of a series cost: composed exactly, as one plan that holds them all would be priced."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from kits.small import context_of
from kits.statistics_kit import TABLES

from ringfence.models.catalogue import task_named
from ringfence.models.pricing import planned, price_of
from ringfence.models.series_price import composed_price
from ringfence.privacy.accounting.composition import Composition, SampledSteps, repeated
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.accounting.study import price
from ringfence.privacy.waist import StudyPlan

SERIES = {"runs": 12, "every": "month", "begins": "2030-01-31"}


def plan_of(**changes: object) -> StudyPlan:
    context = context_of(**changes)  # type: ignore[arg-type]
    return planned(task_named(context.study.task), context)


@pytest.mark.parametrize("noise", ["distributed", "local"])
@pytest.mark.parametrize("runs", [1, 2, 12])
@pytest.mark.parametrize("asked", [{}, TABLES], ids=["a card", "tables of everybody"])
def test_gaussian_runs_compose_in_mu_squared(asked: dict[str, Any], runs: int, noise: str) -> None:
    """Neither the sum of epsilons nor one run's: the square root of the number of runs in mu."""
    plan = plan_of(privacy={"noise": noise}, **asked)
    one = price(plan, delta=1e-6, overlap=2, noise_form=noise, runs=runs)  # type: ignore[arg-type]
    assert one.series is not None
    several = one.series
    assert several.reserve == one.reserve * runs
    exact = epsilon_of(1e-6, math.sqrt(float(one.reserve) * runs))
    assert several.holder_epsilon_worst == pytest.approx(exact, rel=1e-3)
    assert several.holder_epsilon_worst >= exact
    if runs == 1:
        assert several.customer_epsilon_worst == one.customer_epsilon_worst
    else:
        assert one.customer_epsilon_worst < several.customer_epsilon_worst
        assert several.customer_epsilon_worst < runs * one.customer_epsilon_worst
    assert several.customer_epsilon < several.customer_epsilon_worst


def test_a_study_that_is_run_once_has_no_other_price() -> None:
    context = context_of()
    once = price_of(context.study, plan_of())
    assert once.series is None
    assert not [name for name in once.as_report() if name.startswith("series")]
    assert composed_price(context.study, context.schema) == ""


def test_the_price_of_one_run_is_the_same_in_a_series_and_the_report_holds_both() -> None:
    context = context_of(series=SERIES)
    found, once = price_of(context.study, plan_of(series=SERIES)), price_of(context_of().study, plan_of())
    assert found.series is not None
    assert replace(found, series=None) == once
    report = found.as_report()
    assert report["series_runs"] == 12
    assert Decimal(str(report["series_customer_epsilon_worst_case"])) >= Decimal(
        found.series.customer_epsilon_worst
    )
    assert composed_price(context.study, context.schema) == report["series_customer_epsilon_worst_case"]


def test_sampled_steps_of_all_runs_are_steps_of_one_plan() -> None:
    """So that the accountant composes them exactly, and not run by run."""
    one = Composition(
        mu_squared=Decimal("0.25"),
        sampled=(SampledSteps(rate=1, mu_squared=Decimal(1), steps=5),),  # type: ignore[arg-type]
    )
    met = repeated(one, 3)
    assert (met.mu_squared, met.sampled[0].steps, met.releases) == (Decimal("0.75"), 15, 16)
