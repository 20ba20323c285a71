"""Items, paths and notes in schema, contract and study: what fits, what is refused, what a study may ask."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from kits.input_kit import BASKET, DAYS, ITEMS, JOURNEY, NOTES, TICKETS, without_none

from ringfence.privacy.agreements.contract import Contract, load_contract
from ringfence.privacy.agreements.inputs import NotesInput
from ringfence.privacy.agreements.policy import allowed_columns, features_by_purpose
from ringfence.privacy.agreements.schema import Schema, load_schema
from ringfence.privacy.agreements.study import Study, load_study
from ringfence.privacy.errors import RingfenceError, SchemaError, StudyError

WINDOW: dict[str, Any] = {
    "cutoff": datetime.date(2027, 1, 1),
    "history_days": 90,
    "periods": 3,
    "silent_days": 30,
    "most_orders": 16,
}


def schema_of(**inputs: Any) -> Schema:
    return Schema.of(id="s", version=1, **inputs)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"items": [BASKET | {"since": "2026-01-01"}]}, "RF-C347"),
        ({"items": [BASKET | DAYS | {"until": "2026-01-01"}]}, "RF-C348"),
        ({"items": [BASKET | {"choice": "first"}]}, "RF-C349"),
        ({"paths": [JOURNEY | {"since": None, "until": None}]}, "RF-C349"),
        ({"notes": [TICKETS | {"choice": "last"}]}, "RF-C349"),
        ({"items": [BASKET | {"catalogue": ["a", "b", "a"]}]}, "RF-C350"),
        ({"paths": [JOURNEY | {"channels": ["a", "a"]}]}, "RF-C350"),
        ({"notes": [TICKETS | {"topic": [{"name": "t", "words": ["w"]}] * 2}]}, "RF-C350"),
        ({"notes": [TICKETS | {"topic": [{"name": "t"}]}]}, "RF-C351"),
        ({"notes": [TICKETS | {"topic": [{"name": "t", "words": [" "]}]}]}, "RF-C352"),
        ({"notes": [TICKETS | {"topic": [{"name": "t", "patterns": ["a("]}]}]}, "RF-C353"),
        ({"notes": [TICKETS | {"topic": [{"name": "t", "patterns": ["(?=a)b"]}]}]}, "RF-C353"),
        ({"notes": [TICKETS | {"topic": [{"name": "t", "patterns": ["a*"]}]}]}, "RF-C353"),
        ({"items": [BASKET, BASKET]}, "RF-C354"),
        ({"items": [BASKET], "paths": [JOURNEY | {"name": "basket"}]}, "RF-C354"),
        ({"items": [BASKET | {"name": "a"}], "feature": [{"name": "a", "kind": "flag"}]}, "RF-C354"),
        ({"items": [BASKET], "events": WINDOW}, "RF-C355"),
        ({"items": [BASKET | DAYS | {"until": "2027-01-02"}], "events": WINDOW}, "RF-C355"),
        ({"items": [BASKET | {"name": "silent"} | DAYS], "events": WINDOW}, "RF-C354"),
        ({}, "RF-C012"),
    ],
)
def test_a_schema_that_cannot_be_meant_is_refused(inputs: dict[str, Any], code: str) -> None:
    given = {
        key: [without_none(one) for one in value] if isinstance(value, list) else value
        for key, value in inputs.items()
    }
    with pytest.raises(SchemaError) as caught:
        schema_of(**given)
    assert f"({code})" in str(caught.value)


def test_a_schema_of_inputs_alone_and_its_digest() -> None:
    schema = schema_of(items=[BASKET])
    assert schema.names == ()
    assert list(schema.inputs) == ["basket"]
    assert schema_of(items=[BASKET | {"most": 4}]).digest() != schema.digest()
    assert Schema.from_canonical(schema.canonical()) == schema
    plain = Schema.of(id="s", version=1, feature=[{"name": "a", "kind": "flag"}])
    assert b"items" not in plain.canonical()


@pytest.mark.parametrize("key", ["items", "paths", "notes"])
def test_faults_of_an_input_are_told_with_their_line(tmp_path: Path, key: str) -> None:
    (tmp_path / "schema.toml").write_text(f'id = "s"\nversion = 1\n[[{key}]]\nname = "x"\nmots = 3\n')
    with pytest.raises(SchemaError) as caught:
        load_schema(tmp_path / "schema.toml")
    assert f'schema.toml:5: {key}[x].mots: Unknown key "mots". Did you mean "most"? (RF-C013)' in str(
        caught.value
    )


CONTRACT = """
id = "c"
holder = "h"
version = 1
subject = "who"
population = "p"
jurisdiction = "DE"
max_customers = 2000
source = {{ file = "lines.csv" }}
{inputs}
[schema]
id = "s"
version = 1
[[schema.items]]
name = "basket"
catalogue = ["milk", "tea"]
most = 3
baskets = {baskets}
[[schema.paths]]
name = "journey"
channels = ["mail"]
most = 3
since = 2026-01-01
until = 2027-01-01
"""


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ('[[items]]\nname = "basket"\nitem = "a"\n[[items]]\nname = "basket"\nitem = "b"', "RF-C356"),
        ('[[items]]\nname = "basket"\nitem = "who"', "RF-C357"),
        ('[[items]]\nname = "basket"\nsubject = "a"\nitem = "a"', "RF-C140"),
        ('[[items]]\nname = "baskte"\nitem = "a"', "RF-C358"),
        ('[[items]]\nname = "journey"\nitem = "a"', "RF-C358"),
        ('[[paths]]\nname = "journey"\nchannel = "a"', "RF-C359"),
        ('[[items]]\nname = "basket"\nitem = "a"\nvalues = { "1" = "boat" }', "RF-C361"),
        ('[[items]]\nname = "basket"\nitem = "a"\ncancelled = ["C"]', "RF-C141"),
        ('[[items]]\nname = "basket"\nitem = "a"\nreturns = "refuse"', "RF-C141"),
        ('[[paths]]\nname = "journey"\nchannel = "a"\ntime = "t"\nconverted = "e"', "RF-C141"),
        ('[[paths]]\nname = "journey"\nchannel = "a"\ntime = "a"', "RF-C140"),
        ('[[items]]\nname = "basket"\nitem = "a"\npurposes = ["nonsense"]', "RF-S002"),
        ("", "RF-C012"),
    ],
)
def test_a_contract_that_does_not_fit_is_refused(tmp_path: Path, inputs: str, code: str) -> None:
    path = tmp_path / "contract.toml"
    path.write_text(CONTRACT.format(inputs=inputs, baskets=1), encoding="utf-8")
    with pytest.raises(RingfenceError) as caught:
        load_contract(path)
    assert f"({code})" in str(caught.value)
    assert "contract.toml:" in str(caught.value)


def test_several_baskets_need_their_column(tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    for basket, fits in (("", False), ('basket = "i"', True)):
        inputs = f'[[items]]\nname = "basket"\nitem = "a"\n{basket}'
        path.write_text(CONTRACT.format(inputs=inputs, baskets=2), encoding="utf-8")
        if fits:
            assert load_contract(path).contract.inputs["basket"].columns == {"item": "a", "basket": "i"}
        else:
            with pytest.raises(RingfenceError, match="RF-C360"):
                load_contract(path)


def study_of(schema: Schema, **changes: Any) -> Study:
    return Study.of(
        **{
            "id": "q",
            "schema": schema.digest(),
            "purpose": "churn-prediction",
            "legal_basis": "consent",
            "task": "t",
            "expires": datetime.date(2035, 1, 1),
            "dpia": "-",
            "privacy": {"epsilon": "1", "delta": "0.000001", "noise": "local", "min_holders": 1},
            **changes,
        }
    )


def contract_of(schema: Schema, **changes: Any) -> Contract:
    return Contract.of(
        **{
            "id": "c",
            "holder": "h",
            "version": 1,
            "schema": schema.digest(),
            "subject": "who",
            "population": "p",
            "jurisdiction": "CN",
            "max_customers": 2000,
            "source": {"file": "lines.csv"},
            **changes,
        }
    )


def test_a_study_reads_the_inputs_it_names_and_no_feature_beside_them() -> None:
    schema = schema_of(items=[BASKET], notes=[TICKETS], feature=[{"name": "age", "kind": "flag"}])
    contract = contract_of(
        schema,
        items=[ITEMS],
        notes=[NOTES | {"sensitivity": "sensitive", "subject": "caller"}],
        column=[{"name": "age", "purposes": ["churn-prediction"]}],
    )
    found = allowed_columns(contract, study_of(schema, inputs=["tickets"]), schema)
    assert (found.features, found.inputs) == ((), {"tickets": ("caller", "text")})
    assert (found.decode, found.named) == (("who",), ("tickets",))
    assert found.touched == ("who", "tickets.caller", "tickets.text")
    # What needs a separate consent as a column needs one as an input.
    assert "tickets" in found.sensitive
    assert "sensitive-data" in found.separate
    assert allowed_columns(contract, study_of(schema, inputs=["basket"]), schema).sensitive == ()
    both = allowed_columns(contract, study_of(schema, inputs=["basket"], features=["age"]), schema)
    assert (both.features, list(both.inputs)) == (("age",), ["basket"])
    assert allowed_columns(contract, study_of(schema), schema).inputs == {}
    assert features_by_purpose(contract, schema) == {"churn-prediction": ("age", "basket", "tickets")}


@pytest.mark.parametrize(
    ("source", "asked", "code"),
    [
        (ITEMS | {"purposes": ["service-quality"]}, "basket", "RF-S554"),
        (ITEMS | {"purposes": []}, "basket", "RF-S554"),
        (ITEMS, "tickets", "RF-S553"),
    ],
)
def test_an_input_is_used_for_its_purposes_alone(source: dict[str, Any], asked: str, code: str) -> None:
    schema = schema_of(items=[BASKET], notes=[TICKETS])
    contract = contract_of(schema, items=[source])
    with pytest.raises(StudyError) as caught:
        allowed_columns(contract, study_of(schema, inputs=[asked]), schema)
    assert f"({code})" in str(caught.value)


@pytest.mark.parametrize(("asked", "code"), [('["baskte"]', "RF-S551"), ('["basket", "basket"]', "RF-S552")])
def test_a_study_of_inputs_that_are_not_there_is_refused(tmp_path: Path, asked: str, code: str) -> None:
    schema = schema_of(items=[BASKET], paths=[JOURNEY])
    body = f'''
id = "q"
schema = "{schema.digest()}"
purpose = "churn-prediction"
legal_basis = "consent"
task = "t"
inputs = {asked}
expires = 2035-01-01
dpia = "-"
[privacy]
epsilon = "1"
delta = "0.000001"
noise = "local"
min_holders = 1
'''
    (tmp_path / "study.toml").write_text(body, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(tmp_path / "study.toml", [schema])
    assert f"({code})" in str(caught.value)


def test_a_note_without_a_topic_has_the_last_code() -> None:
    notes = NotesInput.model_validate(TICKETS)
    assert notes.codes == ("praise", "billing", "repair", "(other)")
