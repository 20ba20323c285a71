"""A study of inputs alone between three holders, whose task is of the test; and tasks that read no inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.input_kit import BASKET, ITEMS
from kits.noise import SeededNoise
from kits.parties import PURPOSES, Parties, contract_of
from kits.small import schema_of, study_of

from ringfence.clients.attesting import attest
from ringfence.models.catalogue import TASKS
from ringfence.models.evaluation import evaluated
from ringfence.models.features import FeatureMatrix
from ringfence.models.pricing import planned
from ringfence.models.scorecard import SCORECARD
from ringfence.models.tables.release import cohort_of
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.accounting.scales import share_scale
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.errors import StudyError
from ringfence.privacy.release.artefact import ResultFile
from ringfence.privacy.waist import BOTH, Aggregate, BlockPlan, Contribution, Query, RoundPlan, StudyPlan
from ringfence.server.rounds import run_study
from ringfence.simulations.experiment import everybody_consents
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import Site

NAMES = ("bank", "partner", "retailer")
CUSTOMERS = 200
GRID = 16
SCHEMA = Schema.model_validate({"id": "baskets", "version": 1, "items": [BASKET]})
ALONE: dict[str, Any] = {
    "task": "articles",
    "label": None,
    "features": None,
    "inputs": ["basket"],
    "privacy": {"epsilon": "50"},
    "evaluation": {"test_fraction": "0"},
}


@dataclass(frozen=True)
class Articles:
    """How many customers bought each article."""

    counts: tuple[int, ...]

    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(repr(self.counts).encode()).hexdigest()

    def files(self) -> tuple[ResultFile, ...]:
        return ()


def plan(context: StudyContext) -> StudyPlan:
    terms, most = context.study.privacy, BASKET["most"]
    price = calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise) ** 2

    def block(name: str, entries: int, norm: int, share: float, honest: int) -> BlockPlan:
        squared = norm * GRID**2
        scale = share_scale(squared, share * price, honest)
        return BlockPlan(
            name=name, sensitivity_squared=squared, max_abs=GRID, share_scale=scale, max_length=entries
        )

    honest = context.study.honest()
    counted = block("articles", len(BASKET["catalogue"]), most, 0.99, honest)
    return StudyPlan(
        honest=honest,
        cohort=block("cohort", 1, 1, 0.01, 1),
        rounds=(RoundPlan(name="articles", blocks=(counted,), part=BOTH),),
        max_attempts=terms.max_attempts,
    )


def lengths(_context: StudyContext, _query: Query) -> Mapping[str, int]:
    return {"articles": len(BASKET["catalogue"])}


def contribute(_context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
    counts = np.bincount(features.inputs["basket"].codes, minlength=len(BASKET["catalogue"]))
    return Contribution(query_digest=query.digest(), blocks={"articles": GRID * counts.astype(np.int64)})


def step(_context: StudyContext, state: None, aggregate: Aggregate) -> tuple[None, Articles]:
    return state, Articles(tuple((aggregate.blocks["articles"] // GRID).tolist()))


COUNTING: Task[None, Articles] = Task(
    name="articles",
    plan=plan,
    lengths=lengths,
    contribute=contribute,
    start=lambda _context: (None, Query(task="articles", round=0)),
    step=step,
    labelled=False,
    reads_inputs=True,
)


def shops(folder: Path) -> Federation:
    """Three holders whose tables are the lines of their baskets; every line's customer consents."""
    sites = {}
    for seed, name in enumerate(NAMES):
        contract = contract_of(
            name, SCHEMA.digest(), column=[], items=[ITEMS | {"purposes": PURPOSES}], min_cohort=1
        )
        article = np.random.default_rng(seed).choice(["milk", "tea", "jam"], 3 * CUSTOMERS, p=[0.6, 0.3, 0.1])
        keys = [f"{name}-{n % CUSTOMERS}" for n in range(3 * CUSTOMERS)]
        lines = pd.DataFrame({"key": keys, "article": article})
        lines.to_csv(folder / f"{name}.csv", index=False)
        consent = folder / f"{name}-consent.csv"
        everybody_consents(lines["key"], study_of(schema_of()), contract).to_csv(consent, index=False)
        sites[name] = Site(contract=contract, base=folder, consent=consent)
    study = study_of(SCHEMA, **ALONE).model_copy(update={"holders": ()})
    return Federation.make(study, SCHEMA, sites, profile="simulation", folder=folder)


def test_a_study_of_inputs_alone_is_run_without_a_feature_and_a_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "articles", evaluated(COUNTING))
    federation = shops(tmp_path)
    parties = Parties.of(federation, noise=lambda name: SeededNoise(seed=1, holder=name))
    release = run_study(federation.coordinator, federation.opened, parties.wire)
    assert parties.said == {name: [] for name in NAMES}
    found = release.result
    assert isinstance(found, Articles)
    exact = np.zeros(4, dtype=int)
    for name in NAMES:
        bought = pd.read_csv(tmp_path / f"{name}.csv").drop_duplicates()
        exact += [int((bought["article"] == each).sum()) for each in BASKET["catalogue"]]
    assert exact[1] == 0 < exact[0]
    assert np.abs(np.array(found.counts) - exact).max() <= 4, "the noise of this seed at epsilon 50"
    for holder in parties.holders.values():
        assert [each.part for each in holder.ledger.statement() if each.kind == "charged"] == ["both", "both"]


def test_inputs_that_no_task_looks_at_are_not_read_for_its_people_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that signs such a study all the same gets no holder to open its file."""
    monkeypatch.setitem(TASKS, "articles", evaluated(COUNTING))
    federation = shops(tmp_path)
    holder = federation.assembled("bank")
    asked = federation.opened.study
    monkeypatch.setitem(TASKS, "articles", evaluated(replace(COUNTING, reads_inputs=False)))
    with pytest.raises(StudyError, match="RF-S570"):
        attest(holder.premises, asked, holder.clock())
    assert not [each for each in holder.log.events() if each.event.action.startswith("table.")]
    monkeypatch.setitem(TASKS, "articles", evaluated(COUNTING))
    assert attest(holder.premises, asked, holder.clock())


def test_a_task_that_predicts_needs_features_beside_inputs() -> None:
    """Nor does it learn from a label alone, should it read inputs."""
    schema = Schema.model_validate(schema_of().model_dump(by_alias=True) | {"items": [BASKET]})
    study = study_of(schema, **ALONE | {"task": "scorecard", "label": "churn"})
    reading = evaluated(replace(COUNTING, labelled=True))
    with pytest.raises(StudyError, match="RF-S571") as refused:
        planned(reading, StudyContext.of(study, schema))
    assert "predicts churn by features" in str(refused.value)
    scored = evaluated(replace(SCORECARD, reads_inputs=True))
    assert planned(scored, StudyContext.of(study.revised(features=["age"], task="scorecard"), schema))
    assert scored.reads_inputs, "as a study says it is judged, so whoever attests a table for it sees it"


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_that_reads_no_inputs_refuses_a_study_that_names_some(task: str) -> None:
    schema = Schema.model_validate(schema_of().model_dump(by_alias=True) | {"items": [BASKET]})
    labelled = TASKS[task].labelled
    changes: dict[str, Any] = {} if labelled else {"label": None, "evaluation": {"test_fraction": "0"}}
    if not labelled:
        changes |= {"features": ["plan"], "model": {"questions": ["count by plan"]}}
    fitting = study_of(schema, task=task, **changes)
    for more in ({"inputs": ["basket"]}, {"inputs": ["basket"], "features": None}):
        with pytest.raises(StudyError, match="RF-S570") as refused:
            planned(TASKS[task], StudyContext.of(fitting.revised(**more), schema))
        assert "so basket would be read for nothing" in str(refused.value)


def test_studies_of_other_inputs_are_of_other_cohorts() -> None:
    """Where a holder has no table beside its inputs, they say who its customers are."""
    inputs = [BASKET, BASKET | {"name": "returns"}]
    schema = Schema.model_validate(schema_of().model_dump(by_alias=True) | {"items": inputs})

    def cohort(*names: str) -> str:
        return cohort_of(StudyContext.of(study_of(schema, **ALONE | {"inputs": list(names)}), schema))

    assert cohort("basket", "returns") == cohort("returns", "basket")
    assert len({cohort("basket"), cohort("returns"), cohort("basket", "returns")}) == 3
