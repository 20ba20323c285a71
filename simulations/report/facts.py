"""What the report of a run says, as plain values: strings, numbers and frames without a customer in them.

Invariant: nothing here is per customer. Curves and groups are thinned, and what a holder keeps to itself (its
number of rows, the reason why it stayed away) is left out even though a simulation knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ringfence.models.metrics.exact import calibration, roc_curve
from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.models.task import HOLDER_FEATURE
from ringfence.privacy.accounting.study import StudyPrice, epsilon_of_attempts
from ringfence.privacy.purposes import catalogue
from ringfence.privacy.waist import StudyPlan
from ringfence.simulations.report.traces import (
    COORDINATOR,
    Party,
    counts_of,
    events_of,
    parties_of,
    rounds_of,
)

if TYPE_CHECKING:  # a page is made from facts alone, without the code of clients and servers
    from ringfence.clients.holder import Holder
    from ringfence.simulations.federation import Federation, Outcome

ROC_POINTS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTitle:
    """A feature's name and what people call it, in English and Chinese; empty where the schema is silent."""

    name: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderBudget:
    """One holder's ledger after the run.

    Shares are of mu squared, the quantity that adds up; an epsilon is what such an amount stands for by itself.

    Attributes:
        holder: name.
        epsilon: of the whole budget.
        delta: of every epsilon here.
        released: epsilon of what has really left.
        reserved: epsilon of what left and what is set aside.
        left: epsilon of the largest release that still fits.
        share_released: part of the budget in [0, 1].
        share_reserved: part set aside and not released.
        share_left: part that is free.
    """

    holder: str
    epsilon: float
    delta: str
    released: float
    reserved: float
    left: float
    share_released: float
    share_reserved: float
    share_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything on the page.

    Attributes:
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
        label: what is predicted, and `positive` the value that counts.
        features: names and titles, in the study's order.
        present: holders in the last sum.
        absent: holders that did not join or dropped out.
        rows: rows of all simulated tables together.
        test_customers: customers the exact figures are of.
        rounds: columns `round`, `entries`, `attempts`.
        seconds: wall time of the run.
        runner: how the parties were run.
        profile: where their stores were.
        metrics_kind: what the figures below are.
        metrics: auc, pr_auc, ks, gini, brier.
        figures: what the study itself found of its model's quality, noisy; None where it did not look.
        unfinished: the stage at which the study ended with the model it had; empty for a whole one.
        privacy: the price's report, see `StudyPrice.as_report`.
        epsilon_asked: the study's epsilon.
        epsilon_run: a customer's epsilon for the attempts this run really took.
        points: the scorecard's table.
        base_points: points of a customer in the lowest bin of everything.
        calibration: columns `predicted`, `observed`, `customers`.
        roc: columns `false_positive_rate`, `true_positive_rate`.
        budgets: one a holder.
        parties: the coordinator and the holders.
        events: columns `log`, `action`, `outcome`, `count`.
        log_sizes: events in each log, by its owner.
    """

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
    test_customers: int
    rounds: pd.DataFrame
    seconds: float
    runner: str
    profile: str
    metrics_kind: str
    metrics: Mapping[str, float]
    figures: NoisyFigures | None
    unfinished: str
    privacy: Mapping[str, str | int]
    epsilon_asked: float
    epsilon_run: float
    points: pd.DataFrame
    base_points: int
    calibration: pd.DataFrame
    roc: pd.DataFrame
    budgets: tuple[HolderBudget, ...]
    parties: tuple[Party, ...]
    events: pd.DataFrame
    log_sizes: Mapping[str, int]


def facts_of(
    federation: Federation, outcome: Outcome, holders: Mapping[str, Holder], result: Mapping[str, Any]
) -> RunFacts:
    """Gather the facts of a finished run.

    Args:
        federation: who ran what.
        outcome: what came of it.
        holders: as the run left them, by name.
        result: from `result_of`.
    """
    opened, release, card = federation.opened, outcome.release, outcome.card
    study, price = opened.study, federation.price()
    named = catalogue()[study.purpose]
    logs = {COORDINATOR: federation.coordinator.log, **{name: holders[name].log for name in sorted(holders)}}
    counts = {name: counts_of(log) for name, log in logs.items()}
    return RunFacts(
        study=study.id,
        study_digest=opened.digest,
        run=opened.run,
        model=release.digest,
        task=study.task,
        purpose=study.purpose,
        purpose_titles=(named.en, named.zh),
        legal_basis=study.legal_basis,
        dpia=study.dpia,
        expires=study.expires,
        label=card.label,
        positive=card.positive,
        features=tuple(_titles(federation, name) for name in opened.context.features),
        present=release.holders,
        absent=release.absent,
        rows=int(result["rows"]),
        test_customers=outcome.metrics.customers,
        rounds=rounds_of(opened.plan, release.attempts, logs, opened.run),
        seconds=outcome.seconds,
        runner=str(result["runner"]),
        profile=federation.profile,
        metrics_kind=str(result["metrics"]),
        metrics={name: float(result[name]) for name in ("auc", "pr_auc", "ks", "gini", "brier")},
        figures=release.figures,
        unfinished=release.unfinished,
        privacy=price.as_report(),
        epsilon_asked=float(study.privacy.epsilon),
        epsilon_run=epsilon_of_run(price, opened.plan, release.attempts),
        points=card.points_table(),
        base_points=card.base_points,
        calibration=_calibration(outcome),
        roc=_roc(outcome),
        budgets=tuple(budget_of(holders[name]) for name in sorted(holders)),
        parties=parties_of(opened.run, logs, release.holders),
        events=events_of(counts),
        log_sizes={name: sum(found.values()) for name, found in counts.items()},
    )


def epsilon_of_run(price: StudyPrice, plan: StudyPlan, attempts: Iterable[int]) -> float:
    """A customer's epsilon over all holders for the attempts that were really made; void ones are paid too.

    Args:
        price: of the study.
        plan: its secure sums.
        attempts: made in each round; a study that ended early has fewer.
    """
    return epsilon_of_attempts(price, plan, tuple(attempts))


def budget_of(holder: Holder) -> HolderBudget:
    """What a holder's ledger says now."""
    ledger = holder.ledger
    released, reserved, left, terms = ledger.charged(), ledger.spent(), ledger.left(), ledger.terms()
    whole = float(reserved.mu_squared + left.mu_squared) or 1.0
    return HolderBudget(
        holder=holder.name,
        epsilon=float(terms["epsilon"]),
        delta=terms["delta"],
        released=released.epsilon,
        reserved=reserved.epsilon,
        left=left.epsilon,
        share_released=float(released.mu_squared) / whole,
        share_reserved=float(reserved.mu_squared - released.mu_squared) / whole,
        share_left=float(left.mu_squared) / whole,
    )


def _titles(federation: Federation, name: str) -> FeatureTitle:
    if name == HOLDER_FEATURE:
        return FeatureTitle(name=name, en="Holder of the customer", zh="客户所属的持有方")
    feature = federation.schema.feature(name)
    return FeatureTitle(name=name, en=feature.title or "", zh=feature.title_zh or "")


def _calibration(outcome: Outcome) -> pd.DataFrame:
    frame = outcome.predictions
    return calibration(
        frame["probability"].to_numpy(dtype=np.float64), frame["label"].to_numpy(dtype=np.uint8)
    )


def _roc(outcome: Outcome) -> pd.DataFrame:
    """The curve at about `ROC_POINTS` places, so that no single customer is a step of it."""
    frame = outcome.predictions
    curve = roc_curve(
        frame["probability"].to_numpy(dtype=np.float64), frame["label"].to_numpy(dtype=np.uint8)
    )
    keep = np.unique(np.linspace(0, len(curve) - 1, min(ROC_POINTS, len(curve))).round().astype(np.int64))
    return curve.iloc[keep][["false_positive_rate", "true_positive_rate"]].reset_index(drop=True)
