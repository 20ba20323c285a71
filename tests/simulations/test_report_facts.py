"""Facts gathered from real runs: what logs and ledgers say, and nothing that a holder keeps to itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path

import pytest

from ringfence.clients.holder import Holder
from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.study import ReleaseTerms, load_study
from ringfence.simulations.federation import Federation, Outcome, result_of, run_in_process
from ringfence.simulations.parties import Site
from ringfence.simulations.populations import city as populations
from ringfence.simulations.report.facts import RunFacts
from ringfence.simulations.report.page import render
from ringfence.simulations.reporting import epsilon_of_run, run_facts

SIZES = {"bank": 2600, "retailer": 2400, "partner": 2200}
SEED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    federation: Federation
    outcome: Outcome
    holders: Mapping[str, Holder]
    facts: RunFacts


def city(folder: Path, *, present: tuple[str, ...], epsilon: str) -> Run:
    """A run over a small city in which the holders that are not present have lost their table."""
    population = populations.generate(SEED, SIZES)
    populations.write_population(population, folder)
    loaded = {name: load_contract(folder / f"contract-{name}.toml") for name in SIZES}
    schema = loaded["bank"].schema
    study = load_study(folder / "study.toml", [schema])
    terms = study.privacy.model_copy(update={"min_holders": 2, "noise": "local", "epsilon": Decimal(epsilon)})
    sites = {
        name: Site(contract=each.contract, base=folder, consent=folder / f"{name}-consent.csv")
        for name, each in loaded.items()
    }
    empty = folder / "nothing-here"
    sites |= {name: replace(sites[name], base=empty) for name in SIZES if name not in present}
    federation = Federation.make(
        study.model_copy(
            update={"privacy": terms, "model": {"iterations": 3}, "release": ReleaseTerms(floor=2)}
        ),
        schema,
        sites,
        profile="simulation",
        folder=folder,
    )
    outcome, holders = run_in_process(federation)
    result = result_of(federation, outcome, rows=SIZES, runner="in-process")
    return Run(
        federation=federation,
        outcome=outcome,
        holders=holders,
        facts=run_facts(federation, outcome, holders, result),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return city(tmp_path_factory.mktemp("city"), present=("bank", "retailer"), epsilon="2")


def test_the_facts_agree_with_the_outcome(run: Run) -> None:
    facts, outcome = run.facts, run.outcome
    assert facts.present == ("bank", "retailer")
    assert facts.absent == ("partner",)
    assert facts.metrics["auc"] == outcome.metrics.auc
    assert facts.model == outcome.release.digest
    assert facts.study_digest == run.federation.opened.digest
    assert facts.privacy == run.federation.price().as_report()
    assert list(facts.rounds["attempts"]) == list(outcome.release.attempts)
    assert list(facts.rounds["round"]) == [each.name for each in run.federation.opened.plan.rounds]
    assert set(facts.points["feature"]) == {each.name for each in facts.features}
    assert facts.rows == sum(SIZES[name] for name in facts.present)
    assert len(facts.roc) <= 120
    assert tuple(facts.roc.iloc[-1]) == (1.0, 1.0)
    assert facts.calibration["customers"].sum() == facts.test_customers == outcome.metrics.customers


def test_the_budgets_agree_with_the_ledgers(run: Run) -> None:
    by_name = {each.holder: each for each in run.facts.budgets}
    assert set(by_name) == set(SIZES)
    for name, each in by_name.items():
        assert each.released == run.holders[name].ledger.charged().epsilon
        assert each.left == run.holders[name].ledger.left().epsilon
        assert math.isclose(each.share_released + each.share_reserved + each.share_left, 1.0)
    assert by_name["partner"].share_released == 0.0
    assert 0.0 < by_name["bank"].share_released < 1.0


def test_who_saw_what_is_counted_from_the_logs(run: Run) -> None:
    coordinator, *holders = run.facts.parties
    rounds = len(run.facts.rounds)
    sent = int(run.facts.rounds["entries"].sum())
    assert coordinator.role == "coordinator"
    assert (coordinator.vectors, coordinator.words, coordinator.sums) == (2 * rounds, 2 * sent, rounds)
    assert coordinator.peers == 2
    by_name = {each.name: each for each in holders}
    assert (by_name["bank"].vectors, by_name["bank"].words, by_name["bank"].peers) == (rounds, sent, 1)
    assert (by_name["partner"].vectors, by_name["partner"].peers, by_name["partner"].present) == (0, 0, False)


def test_the_events_are_those_of_the_logs(run: Run) -> None:
    totals = run.facts.events.groupby("log")["count"].sum()
    for name, holder in run.holders.items():
        assert totals[name] == run.facts.log_sizes[name] == holder.log.size
    assert totals["coordinator"] == run.federation.coordinator.log.size


def test_the_page_holds_no_secret_of_an_absent_holder(run: Run) -> None:
    reasons = run.outcome.refusals["partner"]
    assert reasons
    page = render(run.facts)
    assert not any(reason in page for reason in reasons)
    assert not any(sentence.split(":")[0] in page for sentence in reasons)  # the code neither
    assert "partner (absent)" in page


def test_facts_hold_nothing_per_customer(run: Run) -> None:
    for field in fields(run.facts):
        value = getattr(run.facts, field.name)
        if hasattr(value, "columns"):
            assert len(value) < 200
            assert not {"holder", "label", "probability", "key"} & set(value.columns)


def test_a_repeated_attempt_costs_more_and_none_costs_the_plan(run: Run) -> None:
    price, plan = run.federation.price(), run.federation.opened.plan
    once, most = [1] * len(plan.rounds), [plan.max_attempts] * len(plan.rounds)
    assert math.isclose(epsilon_of_run(price, plan, once), price.customer_epsilon, rel_tol=1e-9)
    assert math.isclose(epsilon_of_run(price, plan, most), price.customer_epsilon_worst, rel_tol=1e-9)
    one_more = epsilon_of_run(price, plan, [2, *once[1:]])
    assert price.customer_epsilon < one_more < price.customer_epsilon_worst
    assert run.facts.epsilon_run == epsilon_of_run(price, plan, run.outcome.release.attempts)
    train = len(plan.of_part("train"))
    assert epsilon_of_run(price, plan, once[: train - 1]) < epsilon_of_run(price, plan, once[:train])
    assert math.isclose(epsilon_of_run(price, plan, once[:train]), price.customer_epsilon, rel_tol=1e-6)
