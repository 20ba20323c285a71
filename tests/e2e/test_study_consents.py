"""Who has not given a consent that the law wants apart is in no cohort, whatever else was given."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from kits.parties import Parties, federation_of

from ringfence.clients.agent import Agent
from ringfence.privacy.consent import Cohort
from ringfence.server.rounds import run_study

ALL = "sensitive-data;provision;cross-border"


@pytest.mark.parametrize(
    ("coordinator", "given", "counted"),
    [
        ("CN", "provision", 400),
        ("CN", "sensitive-data;cross-border", 250),
        (None, "provision", 250),
        ("US", "provision;cross-border", 400),
    ],
)
def test_the_cohort_holds_those_who_gave_every_consent_apart(
    tmp_path: Path, coordinator: str | None, given: str, counted: int
) -> None:
    federation = federation_of(tmp_path, jurisdiction=coordinator, model={"iterations": 1})
    consents = pd.read_csv(tmp_path / "bank-consent.csv", dtype=str, keep_default_na=False)
    assert set(consents["separate_consents"]) == {ALL}
    consents.loc[:149, "separate_consents"] = given
    consents.to_csv(tmp_path / "bank-consent.csv", index=False)
    parties = Parties.of(federation)
    run_study(federation.coordinator, federation.opened, parties.wire)
    found = {}
    for name, holder in parties.holders.items():
        (joined,) = (each.event for each in holder.log.events() if each.event.action == "cohort.counted")
        cohort = Cohort.load(holder.registry, study=federation.opened.digest, run=str(joined.public["run"]))
        found[name] = len(cohort.members(holder.registry))
    assert found == {"bank": counted, "retailer": 400, "partner": 400}


def test_the_commitment_of_a_round_is_to_those_who_gave_every_consent_apart(tmp_path: Path) -> None:
    federation = federation_of(tmp_path, jurisdiction="CN", model={"iterations": 1})
    parties = Parties.of(federation)
    bank, now = parties.holders["bank"], datetime(2027, 1, 1, tzinfo=UTC)
    parties.holders["bank"] = bank = replace(bank, clock=lambda: now)
    parties.agents["bank"] = Agent(holder=bank, report=parties.said["bank"].append)
    run_study(federation.coordinator, federation.opened, parties.wire)
    purpose = federation.opened.study.purpose
    run = next(each.event for each in bank.log.events(action="cohort.counted")).public["run"]
    asked = Cohort.load(bank.registry, study=federation.opened.digest, run=str(run)).separate
    assert "provision" in asked
    expected = bank.registry.root(purpose, now, separate=asked)
    assert expected != bank.registry.root(purpose, now), "another question has another commitment"
    found = {
        json.loads(bank.log.open_event(each.seq).private)["consent_root"]
        for each in list(bank.log.events(action="waist.send"))
    }
    assert found == {expected}
