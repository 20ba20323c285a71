"""From a finished run to the facts of its report, and to its pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients.holder import Holder
from ringfence.models.metrics.exact import both_classes, calibration, gains, roc_curve
from ringfence.models.metrics.noisy import CALLED
from ringfence.models.pages.budgets import HolderBudget
from ringfence.models.pages.words import Language
from ringfence.models.scorecard import Scorecard
from ringfence.models.tables.release import TableRelease
from ringfence.models.task import HOLDER_FEATURE
from ringfence.privacy.accounting.study import StudyPrice, epsilon_of_attempts
from ringfence.privacy.agreements.purposes import catalogue
from ringfence.privacy.agreements.study import positive_category
from ringfence.privacy.errors import N_
from ringfence.privacy.protocol.control import COORDINATOR
from ringfence.privacy.release import Artefact
from ringfence.privacy.waist import StudyPlan
from ringfence.simulations.federation import Federation, Outcome
from ringfence.simulations.readings import Reading, notes_of
from ringfence.simulations.report.facts import Approver, FeatureTitle, Remark, RunFacts
from ringfence.simulations.report.page import render
from ringfence.simulations.report.traces import counts_of, events_of, parties_of, rounds_of

PAGES: tuple[tuple[str, Language], ...] = (("report.html", "en"), ("report-zh.html", "zh-CN"))
NO_POINTS = pd.DataFrame(columns=["feature", "bin", "weight", "points", "plus_minus"])
# Shares of customers in words; no exact count of people without consent is told.
_SHARES = (
    (0.0, N_("nobody")),
    (0.02, N_("very few")),
    (0.07, N_("about one in twenty")),
    (0.15, N_("about one in ten")),
    (0.3, N_("about a fifth")),
    (0.45, N_("over a third")),
    (0.55, N_("about half")),
    (0.8, N_("more than half")),
    (1.0, N_("most")),
)
ROC_POINTS = 120


def pages(facts: RunFacts, *, epsilon: Decimal, resource: str) -> list[Artefact]:
    """The report in both languages, for the export gate.

    Args:
        facts: what it says.
        epsilon: of the study.
        resource: what the gate's events name.
    """
    return [
        Artefact(
            name=name,
            kind="html",
            content=render(facts, language).encode(),
            epsilon=epsilon,
            resource=resource,
        )
        for name, language in PAGES
    ]


def run_facts(
    federation: Federation,
    outcome: Outcome,
    holders: Mapping[str, Holder],
    result: Mapping[str, Any],
    *,
    people: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> RunFacts:
    """Gather the facts of a finished run.

    Args:
        federation: who ran what.
        outcome: what came of it.
        holders: as the run left them, by name.
        result: from `result_of`.
        people: names of each holder's approvers, in the order of their keys.
    """
    opened, release = federation.opened, outcome.release
    price = federation.price()
    logs = {COORDINATOR: federation.coordinator.log, **{name: holders[name].log for name in sorted(holders)}}
    counts = {name: counts_of(log) for name, log in logs.items()}
    return RunFacts(
        **_asked(federation),
        **_found(outcome, result),
        approvers=tuple(_approvers(federation, release.holders, people)),
        present=release.holders,
        absent=release.absent,
        rounds=rounds_of(opened.plan, release.attempts, logs, opened.run),
        seconds=outcome.seconds,
        runner=str(result["runner"]),
        profile=federation.profile,
        privacy=price.as_report(),
        epsilon_worst=price.customer_epsilon_worst,
        epsilon_run=epsilon_of_run(price, opened.plan, release.attempts),
        budgets=tuple(holder_budget(holders[name]) for name in sorted(holders)),
        parties=parties_of(opened.run, logs, release.holders),
        events=events_of(counts),
        log_sizes={name: sum(found.values()) for name, found in counts.items()},
    )


def _asked(federation: Federation) -> dict[str, Any]:
    """What was signed, when the report is made, and by what."""
    opened = federation.opened
    study = opened.study
    named = catalogue()[study.purpose]
    return {
        "made": datetime.now(UTC).date(),
        "version": version("ringfence"),
        "study": study.id,
        "study_digest": opened.digest,
        "run": opened.run,
        "task": study.task,
        "purpose": study.purpose,
        "purpose_titles": (named.en, named.zh),
        "legal_basis": study.legal_basis,
        "dpia": study.dpia,
        "expires": study.expires,
        "label": study.label or "",
        "positive": "" if study.label is None else positive_category(study, federation.schema),
        "features": tuple(_titles(federation, name) for name in opened.context.features),
        "epsilon_asked": float(study.privacy.epsilon),
    }


def _found(outcome: Outcome, result: Mapping[str, Any]) -> dict[str, Any]:
    """The model, its quality, and the rows that it was made from."""
    release = outcome.release
    card = release.result if isinstance(release.result, Scorecard) else None
    tables = release.result.tables if isinstance(release.result, TableRelease) else ()
    probability, label = _tested(outcome)
    return {
        "model": release.digest,
        "rows": int(result["rows"]),
        "rows_used": int(result["rows_used"]),
        "without_consent": without_consent(outcome.readings.values()),
        "remarks": tuple(
            Remark(holder=note.holder, template=note.finding.template, values=note.finding.values)
            for note in notes_of(outcome.readings, apart=False)
            if not note.holder
        ),
        "test_customers": outcome.metrics.customers,
        "metrics_kind": str(result["metrics"]),
        "metrics": {name: result[name] for name in ("auc", "pr_auc", "ks", "gini", "brier")},
        "figures": release.figures,
        "unfinished": release.unfinished,
        "tables": tuple(each.question for each in tables),
        "points": NO_POINTS if card is None else card.points_table(),
        "base_points": 0 if card is None else card.base_points,
        "rounding": 0.0 if card is None else card.rounding,
        "base_rate": float(label.mean()) if len(label) else None,
        "gains": gains(probability, label, CALLED),
        "calibration": calibration(probability, label),
        "roc": _roc(probability, label),
    }


def _approvers(
    federation: Federation, present: Iterable[str], people: Mapping[str, Sequence[str]]
) -> Iterator[Approver]:
    """Who signed for each holder that took part; simulated people have the names that they are given."""
    for holder in sorted(present):
        names = people.get(holder, ())
        for position, key in enumerate(federation.keys[holder].approvers):
            name = names[position] if position < len(names) else ""
            yield Approver(holder=holder, name=name, fingerprint=key.public.fingerprint)


def without_consent(readings: Iterable[Reading]) -> str:
    """How many of the holders' customers are left out for lack of consent, in words that name no count."""
    every = list(readings)
    customers = sum(reading.customers for reading in every)
    share = 1.0 - sum(reading.consenting for reading in every) / max(1, customers)
    return next(words for limit, words in _SHARES if share <= limit)


def epsilon_of_run(price: StudyPrice, plan: StudyPlan, attempts: Iterable[int]) -> float:
    """A customer's epsilon over all holders for the attempts that were really made; void ones are paid too.

    Args:
        price: of the study.
        plan: its secure sums.
        attempts: made in each round; a study that ended early has fewer.
    """
    return epsilon_of_attempts(price, plan, tuple(attempts))


def holder_budget(holder: Holder) -> HolderBudget:
    """What a holder's ledger says now."""
    ledger = holder.ledger
    released, reserved, left, terms = ledger.charged(), ledger.spent(), ledger.left(), ledger.terms()
    whole = float(reserved.mu_squared + left.mu_squared) or 1.0
    return HolderBudget(
        holder=holder.name,
        epsilon=float(terms["epsilon"]),
        delta=terms["delta"],
        released=released.epsilon,
        mu_squared=float(released.mu_squared),
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


def _tested(outcome: Outcome) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Probability and label of the test customers."""
    frame = outcome.predictions
    return frame["probability"].to_numpy(dtype=np.float64), frame["label"].to_numpy(dtype=np.uint8)


def _roc(probability: npt.NDArray[np.float64], label: npt.NDArray[np.uint8]) -> pd.DataFrame:
    """The curve at about `ROC_POINTS` places, so that no single customer is a step of it."""
    curve = roc_curve(probability, label)
    if not both_classes(label):
        curve = curve.iloc[:0]
    keep = np.unique(np.linspace(0, len(curve) - 1, min(ROC_POINTS, len(curve))).round().astype(np.int64))
    return curve.iloc[keep][["false_positive_rate", "true_positive_rate"]].reset_index(drop=True)
