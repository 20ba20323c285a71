"""Made-up facts of a run for the report's page, and a reader that fails on a page that is not well-formed."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from typing import Literal

import pandas as pd

from ringfence.models.metrics.noisy import CalibrationCell, CutOff, Estimate, NoisyFigures
from ringfence.models.pages.budgets import HolderBudget
from ringfence.simulations.report.facts import Approver, FeatureTitle, Remark, RunFacts
from ringfence.simulations.report.traces import Party

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "br", "hr", "img", "col"}
NAMESPACES = {"http://www.w3.org/2000/svg"}


PRIVACY: dict[str, str | int] = {
    "unit": "customer",
    "neighbouring_relation": "add/remove",
    "accountant": "Gaussian differential privacy",
    "parts": "all customers",
    "sampling": "no sampling",
    "sampling_rate": "1",
    "sampled_steps": 0,
    "noise_form": "distributed",
    "uploads": "the coordinator sees the holders' sum alone",
    "honest_shares": 2,
    "overlap": 3,
    "colluders": 1,
    "max_attempts": 5,
    "delta": "0.000001",
    "customer_epsilon": "0.987655",
    "customer_epsilon_worst_case": "1.45072",
    "holder_epsilon": "0.475232",
    "holder_epsilon_worst_case": "0.687061",
    "holder_mu": "0.118352",
    "holder_mu_worst_case": "0.166956",
    "epsilon_slack": "2.2e-29",
    "sampler_total_variation": "3.1e-50",
    "not_covered": "what one customer spends in other studies at other holders",
}
FIGURES = NoisyFigures(
    measurable=True,
    auc=Estimate(value=0.8031, low=0.7612, high=0.8443),
    ks=Estimate(value=0.4611, low=0.4012, high=0.5213),
    gini=Estimate(value=0.6062, low=0.5224, high=0.6886),
    calibration_error=Estimate(value=0.0171, low=0.0042, high=0.0313),
    calibration=(
        CalibrationCell(predicted=0.0498, observed=Estimate(value=0.0411, low=0.0212, high=0.0633)),
        CalibrationCell(predicted=0.6101, observed=Estimate(value=0.7033, low=0.6544, high=0.7515)),
    ),
    base_rate=Estimate(value=0.2503, low=0.2311, high=0.2718),
    cutoffs=(
        CutOff(
            share=0.05,
            score=1.5,
            rate=Estimate(value=0.757, low=0.637, high=0.858),
            lift=Estimate(value=3.4, low=2.9, high=3.9),
            reached=Estimate(value=0.17, low=0.144, high=0.196),
        ),
    ),
    customers=4807,
    positives=1203,
    noise=5.25,
)


POINTS = pd.DataFrame(
    [
        ("age", "below 40", 0.31, 12, 5),
        ("age", "40 and above, (missing)", -0.1, 0, 4),
        ("tier", "basic", 0.9, 33, 8),
        ("tier", "gold, (other)", -0.2, 0, None),
    ],
    columns=["feature", "bin", "weight", "points", "plus_minus"],
).astype({"plus_minus": "Int64"})
REMARKS = (
    Remark(
        holder="",
        template='"{column}" was clipped to its bounds in {count} of {rows} rows.',
        values={"column": "age", "count": 217, "rows": 26789},
    ),
    Remark(
        holder="",
        template='"{column}" is not a category of the schema in {count} of {rows} rows.',
        values={"column": "tier", "count": 3, "rows": 26789},
    ),
)
GROUPS = pd.DataFrame(
    {"predicted": [0.0512, 0.6134], "observed": [0.0423, 0.7056], "customers": [2407, 2406]}
)
ROC = pd.DataFrame({"false_positive_rate": [0.0, 0.1987, 1.0], "true_positive_rate": [0.0, 0.6543, 1.0]})
FEATURES = (FeatureTitle(name="age", en="Age in years", zh="年龄"), FeatureTitle(name="tier", en="", zh=""))


def budget(name: str) -> HolderBudget:
    """A ledger after a run."""
    return HolderBudget(
        holder=name,
        epsilon=3.0,
        delta="0.000001",
        released=0.47523,
        mu_squared=0.014007,
        reserved=0.61,
        left=2.9439,
        share_released=0.25,
        share_reserved=0.125,
        share_left=0.625,
    )


def party(name: str, role: Literal["coordinator", "holder"] = "holder", present: bool = True) -> Party:
    return Party(
        name=name, role=role, present=present, vectors=7 if present else 0, words=4321, sums=6, peers=2
    )


def facts(
    *, names: tuple[str, ...] = ("bank", "retailer"), absent: tuple[str, ...] = ("partner",)
) -> RunFacts:
    """Made-up facts in which every figure is recognisable."""
    everybody = (*names, *absent)
    return RunFacts(
        made=date(2026, 11, 28),
        version="0.1.0",
        approvers=tuple(
            Approver(holder=each, name=name, fingerprint="8" * 40) for each in names for name in ("Al", "Bo")
        ),
        study="city-churn",
        study_digest="sha256:" + "ab" * 32,
        run="0123456789abcdef",
        model="sha256:" + "cd" * 32,
        task="scorecard",
        purpose="churn-prediction",
        purpose_titles=("Churn prediction", "客户流失预测"),
        legal_basis="consent",
        dpia="DPIA-1",
        expires=date(2035, 12, 31),
        label="churn",
        positive="yes",
        features=FEATURES,
        present=names,
        absent=absent,
        rows=26789,
        rows_used=25123,
        without_consent="about one in ten",
        remarks=REMARKS,
        test_customers=4813,
        rounds=pd.DataFrame({"round": ["histogram", "two-way"], "entries": [286, 4559], "attempts": [1, 2]}),
        seconds=12.345,
        runner="in-process",
        profile="simulation",
        metrics_kind="exact (simulation only)",
        figures=FIGURES,
        unfinished="",
        metrics={"auc": 0.81234, "pr_auc": 0.61111, "ks": 0.47222, "gini": 0.62468, "brier": 0.13579},
        privacy=PRIVACY,
        epsilon_asked=1.0,
        epsilon_run=1.23401,
        epsilon_worst=1.45072,
        points=POINTS,
        base_points=379,
        rounding=1.234,
        base_rate=0.2487,
        gains=pd.DataFrame({"share": [0.05], "rate": [0.7654], "lift": [3.0776], "reached": [0.1539]}),
        calibration=GROUPS,
        roc=ROC,
        budgets=tuple(budget(name) for name in everybody),
        parties=(
            party("coordinator", "coordinator"),
            *(party(n) for n in names),
            *(party(n, present=False) for n in absent),
        ),
        events=_events(names[0]),
        log_sizes={"coordinator": 2, **dict.fromkeys(everybody, 8)},
    )


def _events(holder: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("coordinator", "round.opened", "allow", 2),
            (holder, "waist.send", "allow", 7),
            (holder, "study.refused", "deny", 1),
        ],
        columns=["log", "action", "outcome", "count"],
    )


class Reader(HTMLParser):
    """Collects elements and attributes, and fails on what is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style"} & set(self.open):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader
