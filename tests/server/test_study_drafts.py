"""Drafted studies: filled in from schema and declarations, read back, with the price that signing tells."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from kits.command_kit import (
    NAMES,
    SCHEMA,
    Town,
    client,
    fingerprint,
    read,
    refused,
    server,
    town,
)

from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import load_study
from ringfence.privacy.agreements.study_draft import StudyOutline, draft_study
from ringfence.privacy.crypto.signed import read_signed
from ringfence.privacy.errors import StudyError, UsageError
from ringfence.privacy.toml.faults import faults_of
from ringfence.simulations.cli import command as simulate

FILLED = {'legal_basis = "???"': 'legal_basis = "consent"', 'expires = "???"': "expires = 2099-12-31"}


@pytest.fixture
def here(tmp_path: Path) -> Town:
    made = town(tmp_path)
    (made.root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    return made


def declared(here: Town) -> list[object]:
    return [word for one in here.declarations for word in ("--declaration", one)]


def codes(study: Path) -> set[tuple[str, str]]:
    with pytest.raises(StudyError) as refusal:
        load_study(study)
    return {(fault.code, fault.path) for fault in faults_of(refusal.value)}


def test_a_draft_from_declarations_lacks_only_what_people_decide(here: Town) -> None:
    study = here.root / "drafted.toml"
    words = ("study", "draft", here.root / "schema.toml", *declared(here), "--config", here.desk)
    assert server(*words, "--out", study, "--json", here.root / "out.json") == 0
    assert read(here.root / "out.json")["open"] == 4
    assert codes(study) == {("RF-C011", key) for key in ("legal_basis", "label", "expires", "dpia")}
    text = study.read_text(encoding="utf-8")
    assert 'purpose = "churn-prediction"\n' in text  # the one that all holders allow
    assert "# the feature to predict, one of: plan, churn\n" in text
    assert "by their declarations: north, south, west\n" in text
    for open_, value in {
        **FILLED,
        'dpia = "???"': 'dpia = "D-1"',
        'label = "???"': 'label = "churn"',
    }.items():
        assert open_ in text
        text = text.replace(open_, value)
    study.write_text(text, encoding="utf-8")
    assert server("study", "sign", study, *declared(here), "--config", here.desk) == 0
    assert json.loads(read_signed(here.root / "drafted.signed.json").body)["features"] == ["age", "plan"]


def test_what_is_signed_costs_what_the_draft_says(here: Town) -> None:
    study, out = here.root / "drafted.toml", here.root / "out.json"
    words = ("study", "draft", here.root / "schema.toml", *declared(here), "--config", here.desk)
    assert server(*words, "--label", "churn", "--purpose", "churn-prediction", "--out", study) == 0
    text = study.read_text(encoding="utf-8")
    for open_, value in {**FILLED, 'dpia = "???"': 'dpia = "D-1"'}.items():
        text = text.replace(open_, value)
    study.write_text(text, encoding="utf-8")
    asked = load_study(study)
    assert (asked.label, asked.positive, asked.features) == ("churn", "yes", ("age", "plan"))
    assert asked.privacy.delta == Decimal("0.00001")  # max_customers is 5000
    assert server("study", "sign", study, *declared(here), "--config", here.desk, "--json", out) == 0
    price = read(out)["price"]
    assert f"is then {price['customer_epsilon']} if no attempt is repeated" in text
    assert f"and {price['customer_epsilon_worst_case']} in the worst case" in text
    assert read(out)["would_refuse"] == {}


def test_features_left_out_are_those_that_every_holder_allows(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """South gives `plan` to another purpose only: it was written in once, and refused."""
    contract = here.root / "south" / "contract.toml"
    text = contract.read_text(encoding="utf-8").replace("version = 1", "version = 2", 1)
    head, tail = text.split('name = "plan"\n')
    tail = tail.replace('purposes = ["churn-prediction"]', 'purposes = ["customer-segmentation"]', 1)
    contract.write_text(head + 'name = "plan"\n' + tail, encoding="utf-8")
    south = here.root / "south"
    assert client("contract", "sign", contract, "--config", south) == 0
    assert client("contract", "declare", "--config", south, "--out", here.declarations[1]) == 0
    study = here.root / "study.toml"
    signed = here.sign("named.json")
    absent = study.read_text(encoding="utf-8").replace('features = ["age", "plan"]\n', "")
    study.write_text(absent, encoding="utf-8")
    out = here.root / "out.json"
    words = ("study", "sign", study, *declared(here), "--config", here.desk)
    assert server(*words, "--out", here.root / "absent.json", "--json", out) == 0
    made = json.loads(read_signed(here.root / "absent.json").body)
    assert made["features"] == ["age"]
    assert read(out)["would_refuse"] == {}
    assert client("study", "check", here.root / "absent.json", "--config", south) == 0
    # Named by hand it is signed as asked for, and the coordinator is told who will refuse.
    assert json.loads(read_signed(signed).body)["features"] == ["age", "plan"]
    capsys.readouterr()
    assert client("study", "check", signed, "--config", south) == 1
    study.write_text(absent.replace("churn-prediction", "fraud-prevention"), encoding="utf-8")
    capsys.readouterr()
    refused(capsys, server(*words, "--out", here.root / "none.json"), "RF-S360")


def test_who_will_refuse_is_told_when_it_is_signed(here: Town) -> None:
    here.sign()
    study, out = here.root / "study.toml", here.root / "out.json"
    text = study.read_text(encoding="utf-8").replace("churn-prediction", "fraud-prevention")
    study.write_text(text, encoding="utf-8")
    words = ("study", "sign", study, *declared(here), "--config", here.desk, "--json", out)
    assert server(*words, "--out", here.root / "other.json") == 0
    assert read(out)["would_refuse"] == {name: ["churn", "age", "plan"] for name in NAMES}


def test_a_draft_takes_declarations_of_known_holders_over_its_schema_only(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = here.root / "schema.toml"
    words = ("study", "draft", schema, *declared(here), "--config", here.desk)
    capsys.readouterr()
    refused(capsys, server(*words, "--label", "age"), "RF-S361")
    refused(capsys, server(*words, "--purpose", "churn"), "RF-S002")
    refused(capsys, server(*words, "--out", schema), "RF-U432", 2)
    schema.write_text(SCHEMA.replace("version = 1", "version = 2"), encoding="utf-8")
    refused(capsys, server(*words), "RF-S214")
    schema.write_text(SCHEMA, encoding="utf-8")
    server_toml = here.desk / "server.toml"
    north = fingerprint(here.home / "keys" / "holder.key")
    server_toml.write_text(server_toml.read_text(encoding="utf-8").replace(north, "ed25519:" + 32 * "0"))
    refused(capsys, server(*words), "RF-S211")


def test_a_draft_for_a_simulation_comes_from_contracts(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    contracts = [str(here.root / name / "contract.toml") for name in NAMES]
    study = here.root / "studies"
    study.mkdir()
    words = ["study", "draft", *contracts, "--label", "churn", "--out", str(study / "s.toml")]
    assert simulate(words) == 0
    assert codes(study / "s.toml") == {("RF-C011", key) for key in ("legal_basis", "expires", "dpia")}
    assert 'schema = "../north/schema.toml"' in (study / "s.toml").read_text(encoding="utf-8")
    other = here.root / "south" / "schema.toml"
    other.write_text(SCHEMA.replace("version = 1", "version = 2"), encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(UsageError, match="RF-U664"):
        simulate(["study", "draft", *contracts])


def test_a_label_of_several_categories_asks_which_counts() -> None:
    features = [
        {"name": "plan", "kind": "category", "categories": ["basic", "gold"]},
        {"name": "age", "kind": "number", "bounds": [0, 100]},
    ]
    schema = Schema.model_validate({"id": "s", "version": 1, "feature": features})
    known = StudyOutline(
        schema=schema,
        reference="schema.toml",
        purpose="churn-prediction",
        purposes=["churn-prediction"],
        allowed=["plan", "age"],
        label=None,
        max_customers=20000,
    )
    text = draft_study(known)
    assert 'label = "plan"\npositive = "???"  # the one that counts as 1, of: basic, gold\n' in text
    assert 'delta = "0.000001"  # below 1/20000' in text
