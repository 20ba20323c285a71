"""A federation in one place: parties, a signed study, a run, and figures for simulations alone."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ringfence.audit.events import Profile
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.joining import encoded
from ringfence.clients.rows.table import consented, read_table
from ringfence.models.features import FeatureMatrix
from ringfence.models.metrics.exact import Metrics, evaluate
from ringfence.models.pricing import price_of
from ringfence.models.scorecard import Scorecard
from ringfence.models.tables.release import TableRelease
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.study import StudyPrice
from ringfence.privacy.agreements.policy import allowed_columns
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.errors import N_, UsageError
from ringfence.server.coordinator import Coordinator, OpenStudy, sign_study
from ringfence.server.rounds import Progress, Release, run_study
from ringfence.server.transport import Transport
from ringfence.simulations.parties import (
    HolderKeys,
    InProcess,
    NoiseOf,
    Site,
    make_coordinator,
    make_holder,
    with_attested_table,
    with_holders,
)
from ringfence.simulations.personal import OwnNetwork, own_networks
from ringfence.simulations.readings import Reading

Say = Callable[[str], None]

EXACT = N_("exact (simulation only)")
NO_PREDICTIONS = pd.DataFrame({"probability": [], "label": [], "holder": []})


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """Holders, their coordinator and one signed study.

    Attributes:
        coordinator: who runs the study.
        keys: throw-away keys by holder.
        sites: contract, table and consent records by holder.
        schema: the holders' common schema.
        opened: the signed study.
        profile: where the stores are.
        folder: for durable stores.
        budget: epsilon and delta of every holder's ledger.
    """

    coordinator: Coordinator
    keys: Mapping[str, HolderKeys]
    sites: Mapping[str, Site]
    schema: Schema
    opened: OpenStudy
    profile: Profile
    folder: Path
    budget: tuple[Decimal, Decimal]

    @classmethod
    def make(
        cls,
        study: Study,
        schema: Schema,
        sites: Mapping[str, Site],
        *,
        profile: Profile,
        folder: Path,
        budget: tuple[Decimal, Decimal] | None = None,
        keys: Mapping[str, HolderKeys] | None = None,
    ) -> Federation:
        """Make keys, write the holders into the study and sign it.

        Args:
            study: as people wrote it.
            schema: the holders' common schema.
            sites: by holder's name.
            profile: `simulation` (memory) or `durable` (files in `folder`).
            folder: for durable stores.
            budget: epsilon and delta of every ledger; by default three times the study's epsilon.
            keys: by holder's name; fresh ones by default.
        """
        keys = dict(keys) if keys else {name: HolderKeys.make() for name in sites}
        if study.features is None and study.inputs is None:
            study = study.revised(features=_common_features(study, schema, sites))
        coordinator = make_coordinator(profile, folder)
        opened = sign_study(coordinator.identity, with_holders(study, schema, sites, keys), schema)
        return cls(
            coordinator=coordinator,
            keys=keys,
            sites=sites,
            schema=schema,
            opened=opened,
            profile=profile,
            folder=folder,
            budget=budget or _ample(opened),
        )

    def holder(self, name: str, noise: NoiseOf | None = None) -> Holder:
        """Assemble one holder with its table attested, or open it where its durable store left off."""
        return with_attested_table(self.assembled(name, noise), self.opened.study)

    def assembled(self, name: str, noise: NoiseOf | None = None) -> Holder:
        """The same before its people have attested anything."""
        return make_holder(
            self.sites[name],
            self.schema,
            self.keys[name],
            peers=[self.keys[other].identity.public for other in self.sites if other != name],
            coordinator=self.coordinator.identity.public,
            budget=self.budget,
            profile=self.profile,
            folder=self.folder,
            noise=noise(name) if noise else None,
            filter="rdp" if self.opened.plan.sampled else "gdp",
        )

    def price(self) -> StudyPrice:
        """What the study costs, and what was assumed to say so."""
        return price_of(self.opened.study, self.opened.plan)


class Predicting(Protocol):
    """A released model that says how probable the positive label is."""

    def predict(self, context: StudyContext, features: FeatureMatrix) -> pd.DataFrame:
        """One row a customer, in the rows' order, with a column `probability`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulated study gave.

    Attributes:
        release: the coordinator's release.
        model: the model in it; None for a study without a label, which gives tables.
        seconds: wall time of the run, from offer to farewell.
        metrics: exact figures on the test part of the holders that took part.
        predictions: label, probability and holder of every test customer, and what else the model gives.
        own: what holders keep for themselves, in studies that give them a model of their own.
        readings: what was read, by the holders that stayed to the end.
        refusals: sentences for the holders' own people, by holder.
    """

    release: Release
    model: Predicting | None
    seconds: float
    metrics: Metrics
    predictions: pd.DataFrame
    own: tuple[OwnNetwork, ...]
    readings: Mapping[str, Reading]
    refusals: Mapping[str, tuple[str, ...]]

    @property
    def card(self) -> Scorecard:
        """The scorecard, for the pages that show its points.

        Raises:
            UsageError: the study's task gives another kind of model.
        """
        if not isinstance(self.model, Scorecard):
            raise UsageError(
                "RF-U352",
                N_("The study releases no scorecard, and this page shows one; use its JSON instead."),
            )
        return self.model


def run_in_process(
    federation: Federation,
    *,
    noise: NoiseOf | None = None,
    progress: Progress = lambda *_: None,
    say: Say = lambda _: None,
    holders: dict[str, Holder] | None = None,
) -> tuple[Outcome, dict[str, Holder]]:
    """Run the study with all parties in this process.

    Args:
        federation: who and what.
        noise: sources by holder's name; the operating system's by default.
        progress: see `run_study`.
        say: told what a holder refused, for its own people.
        holders: already open, by name; opened here by default.

    Returns:
        The outcome, and the holders as the run left them.
    """
    holders = holders or {name: federation.holder(name, noise) for name in federation.sites}
    refusals: dict[str, list[str]] = {name: [] for name in holders}

    def reporter(name: str) -> Callable[[str], None]:
        def report(sentence: str) -> None:
            refusals[name].append(sentence)
            say(f"{name}: {sentence}")

        return report

    agents = {name: Agent(holder=holder, report=reporter(name)) for name, holder in holders.items()}
    outcome = run_over(federation, InProcess(agents=agents), holders, refusals, progress)
    return outcome, holders


def run_over(
    federation: Federation,
    transport: Transport,
    holders: Mapping[str, Holder],
    refusals: Mapping[str, list[str]],
    progress: Progress,
) -> Outcome:
    """Run the study over a transport and evaluate what it released."""
    started = time.perf_counter()
    release = run_study(federation.coordinator, federation.opened, transport, progress)
    return outcome_of(federation, release, time.perf_counter() - started, holders, refusals)


def outcome_of(
    federation: Federation,
    release: Release,
    seconds: float,
    holders: Mapping[str, Holder],
    refusals: Mapping[str, Sequence[str]],
) -> Outcome:
    """Evaluate what a run released.

    Args:
        federation: whose run it was.
        release: what the coordinator released.
        seconds: wall time of the run.
        holders: as the run left them.
        refusals: sentences for the holders' own people, by holder.
    """
    labelled = federation.opened.task.labelled
    model: Predicting | None = release.result if labelled else None  # type: ignore[assignment]  # it predicts
    readings = {name: reading_of(federation.opened, holders[name]) for name in release.holders}
    tests = {name: reading.test for name, reading in readings.items()}
    predictions = NO_PREDICTIONS if model is None else predict_test_part(federation.opened, model, tests)
    return Outcome(
        release=release,
        model=model,
        seconds=seconds,
        metrics=evaluate(
            predictions["probability"].to_numpy(dtype=np.float64),
            predictions["label"].to_numpy(dtype=np.uint8),
        ),
        predictions=predictions,
        own=own_networks(federation.opened, holders, tests, predictions),
        readings=readings,
        refusals={name: tuple(sentences) for name, sentences in refusals.items()},
    )


def predict_test_part(
    opened: OpenStudy, model: Predicting, tests: Mapping[str, FeatureMatrix]
) -> pd.DataFrame:
    """Probability and label of every test customer, by holder: exact, so for simulations only."""
    frames = [
        model.predict(opened.context, test).assign(label=test.label, holder=name)
        for name, test in tests.items()
    ]
    return pd.concat(frames, ignore_index=True)


def reading_of(opened: OpenStudy, holder: Holder) -> Reading:
    """What a holder's cohort was made from, and codes of the test customers among it."""
    columns = allowed_columns(holder.contract, opened.study, holder.schema)
    table = read_table(holder.contract, holder.schema, columns, holder.base)
    cohort = Cohort.load(holder.registry, study=opened.digest, run=opened.run)
    rows = consented(table, holder.registry, cohort.current(holder.registry, holder.clock()))
    features = encoded(opened.study, holder.schema, rows, holder.name)[0]
    return Reading(
        test=features.test(),
        quality=table.quality,
        customers=len(table),
        consenting=len(rows),
        used=len(features.label),
    )


def result_of(
    federation: Federation, outcome: Outcome, *, rows: Mapping[str, int], runner: str
) -> dict[str, Any]:
    """The figures of a run, for `--json`.

    Args:
        federation: who and what.
        outcome: what came of it.
        rows: of each holder's table; those of absent holders are not counted.
        runner: how messages travelled.
    """
    priced, metrics = federation.price(), outcome.metrics
    study = federation.opened.study
    return {
        "study": study.id,
        "study_digest": federation.opened.digest,
        "task": study.task,
        "auc": metrics.auc,
        "pr_auc": metrics.pr_auc,
        "ks": metrics.ks,
        "gini": metrics.gini,
        "brier": metrics.brier,
        "metrics": EXACT,
        "test_customers": metrics.customers,
        "own": [each.as_json() for each in outcome.own],
        "dp_evaluation": None if outcome.release.figures is None else outcome.release.figures.as_json(),
        "epsilon": float(study.privacy.epsilon),
        "delta": float(study.privacy.delta),
        "noise": study.privacy.noise,
        "h": priced.honest,
        "privacy": priced.as_report(),
        "holders": len(outcome.release.holders),
        "present": list(outcome.release.holders),
        "absent": list(outcome.release.absent),
        "rows": sum(rows[name] for name in outcome.release.holders),
        "rows_used": sum(reading.used for reading in outcome.readings.values()),
        "rounds": len(federation.opened.plan.rounds),
        "unresolved": list(getattr(outcome.release.result, "unresolved", ())),
        "attempts": list(outcome.release.attempts),
        "unfinished": outcome.release.unfinished,
        "seconds": round(outcome.seconds, 3),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "runner": runner,
        "profile": federation.profile,
        "model": outcome.release.digest,
        "tables": _tables(outcome),
    }


def _tables(outcome: Outcome) -> list[dict[str, Any]]:
    """What a study without a label released: how each table was asked for, and its lines."""
    found = outcome.release.result
    if not isinstance(found, TableRelease):
        return []
    return [
        {**about, "rows": list(table.records())}
        for about, table in zip(found.about()["tables"], found.tables, strict=True)
    ]


def peak_rss_mb() -> float:
    """Largest resident set of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # A process that was started by a larger one inherits that one's peak in the other figure.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _common_features(study: Study, schema: Schema, sites: Mapping[str, Site]) -> tuple[str, ...]:
    """Features that every holder's contract allows for the purpose, in the schema's order."""
    allowed = [set(allowed_columns(site.contract, study, schema).features) for site in sites.values()]
    return tuple(f.name for f in schema.features if all(f.name in names for names in allowed))


def _ample(opened: OpenStudy) -> tuple[Decimal, Decimal]:
    """A ledger large enough for one run with all its attempts."""
    terms = opened.study.privacy
    return min(Decimal(60), terms.epsilon * 3), terms.delta
