"""What the report of a run says, as plain values: strings, numbers and frames without a customer in them.

Invariant: nothing here is per customer. Curves and groups are thinned, and what a holder keeps to itself (its
number of rows, the reason why it stayed away) is left out even though a simulation knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pandas as pd

from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.models.pages.budgets import HolderBudget
from ringfence.simulations.report.traces import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTitle:
    """A feature's name and what people call it, in English and Chinese; empty where the schema is silent."""

    name: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """Somebody who approved the study: for which holder, by what name, with which key."""

    holder: str
    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about rows that was found while tables were read.

    Attributes:
        holder: whose table, or empty for all together.
        template: English sentence with named fields.
        values: what fills them.
    """

    holder: str
    template: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything on the page.

    Attributes:
        made: day of the report.
        version: of Ringfence.
        approvers: people who approved the study, by holder.
        study: its name.
        study_digest: digest of the signed study.
        run: id of the run.
        model: digest of what was released.
        task: name of the task.
        purpose: id of the purpose.
        purpose_titles: the purpose in English and Chinese.
        legal_basis: as the study states it.
        dpia: reference of the impact assessment.
        expires: last day of the study.
        label: what is predicted, and `positive` the value that counts; empty where nothing is.
        features: names and titles, in the study's order.
        present: holders in the last sum.
        absent: holders that did not join or dropped out.
        rows: rows of all simulated tables together, and `rows_used` those that were learned from or tested.
        without_consent: how many customers are left out for lack of consent, in words.
        remarks: on rows left out, unknown or clipped.
        test_customers: customers the exact figures are of.
        rounds: columns `round`, `entries`, `attempts`.
        seconds: wall time of the run.
        runner: how the parties were run.
        profile: where their stores were.
        metrics_kind: what the figures below are.
        metrics: auc, pr_auc, ks, gini, brier; None where undefined.
        figures: what the study itself found of its model's quality, noisy; None where it did not look.
        unfinished: the stage at which the study ended with the model it had; empty for a whole one.
        privacy: the price's report, see `StudyPrice.as_report`.
        epsilon_asked: the study's epsilon.
        epsilon_run: a customer's epsilon for the attempts this run really took.
        epsilon_worst: the same had every round needed all attempts.
        points: the scorecard's table; no row for a study that releases no scorecard.
        base_points: points of a customer in the lowest bin of everything.
        rounding: by how many points a sum of printed points may be off, at most.
        base_rate: exact share of positives among the test customers; None where there is none.
        gains: columns `share`, `rate`, `lift`, `reached`: exact, of those called first.
        calibration: columns `predicted`, `observed`, `customers`.
        roc: columns `false_positive_rate`, `true_positive_rate`.
        budgets: one a holder.
        parties: the coordinator and the holders.
        events: columns `log`, `action`, `outcome`, `count`.
        log_sizes: events in each log, by its owner.
        tables: the questions of a study that releases tables; empty for one that releases a model.
    """

    made: date
    version: str
    approvers: tuple[Approver, ...]
    study: str
    study_digest: str
    run: str
    model: str
    task: str
    purpose: str
    purpose_titles: tuple[str, str]
    legal_basis: str
    dpia: str
    expires: date
    label: str
    positive: str
    features: tuple[FeatureTitle, ...]
    present: tuple[str, ...]
    absent: tuple[str, ...]
    rows: int
    rows_used: int
    without_consent: str
    remarks: tuple[Remark, ...]
    test_customers: int
    rounds: pd.DataFrame
    seconds: float
    runner: str
    profile: str
    metrics_kind: str
    metrics: Mapping[str, float | None]
    figures: NoisyFigures | None
    unfinished: str
    privacy: Mapping[str, str | int]
    epsilon_asked: float
    epsilon_run: float
    epsilon_worst: float
    points: pd.DataFrame
    base_points: int
    rounding: float
    base_rate: float | None
    gains: pd.DataFrame
    calibration: pd.DataFrame
    roc: pd.DataFrame
    budgets: tuple[HolderBudget, ...]
    parties: tuple[Party, ...]
    events: pd.DataFrame
    log_sizes: Mapping[str, int]
    tables: tuple[str, ...] = ()
