"""`[events]` of schema and contract: what they stand for, what the digest binds, what is refused and
where.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.drafting import contract_faults
from ringfence.privacy.agreements.policy import allowed_columns
from ringfence.privacy.agreements.schema import Schema, load_schema
from ringfence.privacy.agreements.study import load_study
from ringfence.privacy.errors import ContractError, RingfenceError, SchemaError, StudyError
from ringfence.privacy.toml.canonical import plain
from ringfence.privacy.toml.faults import faults_of

SCHEMA = """\
id = "shop-orders"
version = 1

[events]
cutoff = 2027-01-01
history_days = 360
periods = 12
silent_days = 90
most_orders = 60
amount = [0, 2000]
most_spend = 8000
"""
KINDS = 'kinds = ["food", "toys"]\n'
CONTRACT = """\
id = "shop"
holder = "shop"
version = 1
schema = "schema.toml"
subject = "customer"
population = "customers"
jurisdiction = "DE"
max_customers = 1000

[source]
file = "orders.csv"

[events]
time = "day"
amount = "price"
purposes = ["churn-prediction"]
"""
STUDY = """\
id = "who-falls-silent"
schema = "schema.toml"
purpose = "churn-prediction"
legal_basis = "consent"
task = "scorecard"
label = "silent"
expires = 2035-12-31
dpia = "none"

[privacy]
epsilon = 1
delta = 0.000001
noise = "distributed"
min_holders = 3
"""


def written(folder: Path, schema: str = SCHEMA, contract: str = CONTRACT, study: str = STUDY) -> Path:
    for name, text in (("schema", schema), ("contract", contract), ("study", study)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder / "contract.toml"


def test_a_window_stands_for_these_features(tmp_path: Path) -> None:
    written(tmp_path, SCHEMA + KINDS)
    schema = load_schema(tmp_path / "schema.toml")
    periods = [name for p in range(1, 13) for name in (f"orders_p{p:02d}", f"spend_p{p:02d}")]
    summary = ["recency_days", "tenure_days", "orders", "spend"]
    assert list(schema.names) == [*summary, *periods, "share_food", "share_toys", "silent"]
    assert schema.events is not None
    assert [name for period in schema.events.sequence for name in period] == periods
    assert schema.feature("recency_days").limits == (1, 360)
    assert schema.feature("orders_p07").limits == (0.5, 60)
    assert schema.feature("spend").limits == (8, 8000)
    assert schema.feature("silent").categories == ("no", "yes")
    assert all(feature.title and feature.title_zh for feature in schema.features)
    assert (schema.events.start.isoformat(), schema.events.end.isoformat()) == ("2026-01-06", "2027-04-01")


def test_the_digest_binds_the_window_and_the_features_it_stands_for(tmp_path: Path) -> None:
    written(tmp_path)
    schema = load_schema(tmp_path / "schema.toml")
    seen = {schema.digest()}
    changes = {
        "cutoff = 2027-01-01": "cutoff = 2027-01-02",
        "history_days = 360": "history_days = 361",
        "periods = 12": "periods = 6",
        "silent_days = 90": "silent_days = 30",
        "most_orders = 60": "most_orders = 61",
        "amount = [0, 2000]": "amount = [-1, 2000]",
        "most_spend = 8000": "most_spend = 8001\nmost_period_spend = 900",
        "[events]": "[events]\nmost_period_orders = 9",
    }
    for old, new in changes.items():
        written(tmp_path, SCHEMA.replace(old, new))
        seen.add(load_schema(tmp_path / "schema.toml").digest())
    assert len(seen) == len(changes) + 1
    body = json.loads(schema.canonical())
    assert body["events"]["cutoff"] == "2027-01-01"
    assert [entry["name"] for entry in body["feature"]] == list(schema.names)
    assert Schema.from_canonical(schema.canonical()) == schema


def test_a_program_that_expands_otherwise_does_not_take_the_schema(tmp_path: Path) -> None:
    written(tmp_path)
    body = json.loads(load_schema(tmp_path / "schema.toml").canonical())
    body["feature"][0]["bounds"] = ["0", "360"]
    with pytest.raises(SchemaError, match="RF-C049"):
        Schema.from_canonical(json.dumps(body).encode())


def test_a_schema_without_events_keeps_its_digest() -> None:
    schema = Schema.model_validate({"id": "s", "version": 1, "feature": [{"name": "flag", "kind": "flag"}]})
    assert "events" not in plain(schema)
    # As it was before there were events: contracts and studies that were signed then name its digest.
    assert schema.canonical() == (
        b'{"feature":[{"categories":["no","yes"],"kind":"flag","missing":"category","name":"flag","scale":"linear",'
        b'"unknown":"other"}],"id":"s","version":1}'
    )


def test_contract_study_and_policy_take_the_features_as_any_others(tmp_path: Path) -> None:
    loaded = load_contract(written(tmp_path))
    assert loaded.contract.columns == ()
    assert type(loaded.contract).from_canonical(loaded.contract.canonical()) == loaded.contract
    assert loaded.contract.revised(holder="other").events == loaded.contract.events
    study = load_study(tmp_path / "study.toml")
    allowed = allowed_columns(loaded.contract, study, loaded.schema)
    assert (allowed.label, len(allowed.features)) == ("silent", 28)
    assert allowed.decode == ("customer", "day", "price")
    other = CONTRACT.replace("churn-prediction", "service-quality")
    with pytest.raises(StudyError, match="RF-S046"):
        allowed_columns(load_contract(written(tmp_path, contract=other)).contract, study, loaded.schema)
    sensitive = load_contract(written(tmp_path, contract=CONTRACT + 'sensitivity = "sensitive"\n')).contract
    assert set(allowed_columns(sensitive, study, loaded.schema).sensitive) == {"silent", *allowed.features}
    assert contract_faults(tmp_path / "contract.toml") == []


def test_schema_and_events_may_stand_in_one_file(tmp_path: Path) -> None:
    inline = SCHEMA.replace("id =", "[schema]\nid =", 1).replace("[events]", "[schema.events]")
    path = written(tmp_path, contract=CONTRACT.replace('schema = "schema.toml"\n', "") + inline)
    assert load_contract(path).schema == load_schema(tmp_path / "schema.toml") == load_schema(path)


BAD_SCHEMAS: dict[str, tuple[str, str, int, str]] = {
    "no cutoff": ("cutoff = 2027-01-01\n", "", 4, "RF-C012"),
    "a cutoff that is a number": ("2027-01-01", "20270101", 5, "RF-C033"),
    "a cutoff with an hour": ("2027-01-01", "2027-01-01T10:00:00", 5, "RF-C033"),
    "no such day": ("2027-01-01", '"2027-02-30"', 5, "RF-C015"),
    "one day": ("history_days = 360", "history_days = 1", 6, "RF-C017"),
    "more periods than days": ("history_days = 360", "history_days = 11", 7, "RF-C120"),
    "too many periods": ("periods = 12", "periods = 100", 7, "RF-C019"),
    "half a period": ("periods = 12", "periods = 1.5", 7, "RF-C015"),
    "no silent days": ("silent_days = 90", "silent_days = 0", 8, "RF-C017"),
    "a limit of nothing": ("amount = [0, 2000]\n", "", 10, "RF-C121"),
    "bounds the wrong way round": ("[0, 2000]", "[2000, 0]", 10, "RF-C122"),
    "bounds below zero": ("[0, 2000]", "[-9, -1]", 10, "RF-C122"),
    "bounds beyond exact sums": ("[0, 2000]", "[0, 10000000000]", 10, "RF-C122"),
    "no limit of spend": ("most_spend = 8000\n", "", 10, "RF-C123"),
    "a kind twice": ("most_spend = 8000", 'most_spend = 8000\nkinds = ["a", "b", "a"]', 12, "RF-C124"),
    "a kind that is no name": ("most_spend = 8000", 'most_spend = 8000\nkinds = ["a b"]', 12, "RF-C024"),
    "a key misspelt": ("silent_days", "silent_day", 8, "RF-C013"),
    "features besides": (SCHEMA, SCHEMA + '[[feature]]\nname = "age"\nkind = "flag"\n', 12, "RF-C049"),
    "neither": (SCHEMA[SCHEMA.index("[events]") :], "", 1, "RF-C012"),
}


@pytest.mark.parametrize("case", BAD_SCHEMAS)
def test_a_bad_window_is_refused_at_its_line(tmp_path: Path, case: str) -> None:
    old, new, line, code = BAD_SCHEMAS[case]
    assert old in SCHEMA
    written(tmp_path, SCHEMA.replace(old, new))
    with pytest.raises(SchemaError) as caught:
        load_schema(tmp_path / "schema.toml")
    assert (line, code) in places(caught.value)


BAD_CONTRACTS: dict[str, tuple[str, str, int, str]] = {
    "no time": ('time = "day"\n', "", 13, "RF-C012"),
    "one column twice": ('time = "day"', 'time = "price"', 15, "RF-C140"),
    "pieces without a price": ('amount = "price"', 'quantity = "pieces"', 15, "RF-C141"),
    "cancelled without an order": ("[events]", '[events]\ncancelled = ["C"]', 14, "RF-C141"),
    "the customer as a time": ('subject = "customer"', 'subject = "day"', 5, "RF-C143"),
    "no amount for the spend": ('amount = "price"\n', "", 13, "RF-C145"),
    "an unknown purpose": ('"churn-prediction"', '"fun"', 16, "RF-S002"),
    "a purpose twice": ('"churn-prediction"', '"churn-prediction", "churn-prediction"', 16, "RF-C105"),
    "a rule that is none": ("[events]", '[events]\nreturns = "hide"', 14, "RF-C014"),
    "a share above one": ("[events]", "[events]\nmax_unusable = 1.5", 14, "RF-C019"),
    "columns besides": (CONTRACT, CONTRACT + '[[column]]\nname = "orders"\n', 17, "RF-C116"),
    "duplicates": ("max_customers", 'duplicates = "last"\nmax_customers', 8, "RF-C117"),
    "a kind that is not known": (
        "[events]",
        '[events]\nkind = "k"\nvalues = { "1" = "hats" }',
        15,
        "RF-C114",
    ),
    "no events": (CONTRACT[CONTRACT.index("[events]") :], '[[column]]\nname = "orders"\n', 1, "RF-C142"),
    "a delimiter of two": ("[source]", '[source]\ndelimiter = "::"', 11, "RF-C023"),
    "a header with a name twice": ("[source]", '[source]\nheader = ["a", "b", "a"]', 11, "RF-C115"),
    "an empty header": ("[source]", "[source]\nheader = []", 11, "RF-C020"),
}


@pytest.mark.parametrize("case", BAD_CONTRACTS)
def test_bad_events_of_a_contract_are_refused_at_their_line(tmp_path: Path, case: str) -> None:
    old, new, line, code = BAD_CONTRACTS[case]
    assert old in CONTRACT
    path = written(tmp_path, contract=CONTRACT.replace(old, new))
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert (line, code) in places(caught.value)
    assert {(fault.line, fault.code) for fault in contract_faults(path)} == places(caught.value)


def test_a_contract_of_events_needs_a_window(tmp_path: Path) -> None:
    path = written(tmp_path, 'id = "s"\nversion = 1\n[[feature]]\nname = "silent"\nkind = "flag"\n')
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert (13, "RF-C144") in places(caught.value)
    written(tmp_path, SCHEMA + KINDS)
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert places(caught.value) == {(13, "RF-C145")}


def places(error: RingfenceError) -> set[tuple[int, str]]:
    return {(fault.line, fault.code) for fault in faults_of(error)}
