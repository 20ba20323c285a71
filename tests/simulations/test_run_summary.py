"""What a run says at its end: figures rounded once, names and statements joined as the language joins
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.models.metrics.noisy import Estimate, NoisyFigures
from ringfence.models.pages.words import Words
from ringfence.privacy.errors import use_language
from ringfence.simulations.summary import released, summary


@pytest.fixture
def chinese() -> Iterator[None]:
    use_language("zh")
    yield
    use_language(None)


def figures(auc: Estimate) -> NoisyFigures:
    return NoisyFigures(
        measurable=True,
        auc=auc,
        ks=None,
        gini=None,
        calibration_error=None,
        calibration=(),
        base_rate=None,
        cutoffs=(),
        customers=1000,
        positives=200,
        noise=3.0,
    )


def result(**changed: Any) -> dict[str, Any]:
    privacy = {
        "customer_epsilon": "1",
        "delta": "0.000001",
        "overlap": 1,
        "noise_form": "local",
        "honest_shares": 1,
    }
    return {
        "study": "s",
        "holders": 2,
        "rows": 9,
        "rows_used": 8,
        "rounds": 3,
        "seconds": 0.1,
        "auc": 0.8,
        "pr_auc": 0.4,
        "test_customers": 5,
        "metrics": "exact (simulation only)",
        "privacy": privacy,
        "own": [],
        "unresolved": [],
        "unfinished": "",
        "absent": [],
    } | changed


def test_a_figure_is_rounded_once() -> None:
    said = released(figures(Estimate(value=0.84449, low=0.70049, high=0.99951)))
    assert "0.844 (95 % interval 0.700 to 1.000)" in said, (
        "to four places and then to three it was 0.845 and 0.701"
    )


def test_one_honest_share_needs_no_plural() -> None:
    assert "noise local, honest shares counted on: 1" in summary(result(), None)


@pytest.mark.usefixtures("chinese")
def test_chinese_joins_names_as_chinese_does() -> None:
    said = "\n".join(summary(result(absent=["bank", "shop"], unresolved=["age", "city"]), None))
    assert "bank、shop" in said
    assert "age、city" in said


def test_bins_are_joined_as_the_page_joins() -> None:
    assert Words.of("en").bin("1000 to below 2000, (missing)") == "1000 to below 2000, (missing)"
    told = Words.of("zh-CN").bin("gold, silver, (other), (missing)")
    assert told.startswith("gold、silver、")
    assert ", " not in told
    assert Words.of("zh-CN").bin("1000 to below 2000, (missing)").count("、") == 1
