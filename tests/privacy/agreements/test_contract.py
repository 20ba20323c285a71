"""The contract: faults with their lines, its schema resolved, one digest for one meaning."""

from __future__ import annotations

import copy
import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.document_kit import GOOD, expected, found, museum, quoted, written

from ringfence.privacy.agreements.contract import Contract, load_contract
from ringfence.privacy.agreements.schema import load_schema
from ringfence.privacy.errors import ContractError, use_language
from ringfence.privacy.toml.faults import faults_of

HEAD = (GOOD / "contract.toml").read_text(encoding="utf-8")
SCHEMA = load_schema(GOOD / "schema.toml")


@pytest.mark.parametrize("path", museum("bad_contracts"), ids=lambda path: path.stem)
def test_a_bad_contract_is_refused_with_every_line(path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert found(caught.value) == expected(path)
    for fault in faults_of(caught.value):
        assert "{" not in fault.sentence


def test_no_password_is_repeated() -> None:
    (path,) = (path for path in museum("bad_contracts") if path.stem == "source_faults")
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert "secret" in path.read_text(encoding="utf-8")
    assert "secret" not in str(caught.value)


def test_a_good_contract_is_read_with_its_schema() -> None:
    loaded = load_contract(GOOD / "contract.toml")
    contract = loaded.contract
    assert loaded.schema == SCHEMA
    assert contract.schema_ref == SCHEMA.digest()
    plan, age = contract.column("plan"), contract.column("age")
    assert plan is not None
    assert age is not None
    assert (plan.header, age.header) == ("PLAN_CD", "age")
    assert plan.values == {"1": "basic", "2": "silver", "3": "gold"}
    assert contract.column("absent") is None
    assert (contract.min_cohort, contract.duplicates, contract.source.null_values) == (
        1000,
        "refuse",
        ("", "NA"),
    )
    assert Contract.from_canonical(contract.canonical()) == contract


def in_folder(folder: Path, contract: str, schema: str | None = None) -> Path:
    file = folder / "contract.toml"
    file.write_text(contract, encoding="utf-8")
    if schema is not None:
        (folder / "schema.toml").write_text(schema, encoding="utf-8")
    return file


def test_path_digest_and_inline_schema_are_one_contract(tmp_path: Path) -> None:
    digest = load_contract(GOOD / "contract.toml").contract.digest()
    by_digest = HEAD.replace('"schema.toml"', f'"{SCHEMA.digest()}"')
    assert load_contract(in_folder(tmp_path, by_digest), [SCHEMA]).contract.digest() == digest
    text = (GOOD / "schema.toml").read_text(encoding="utf-8")
    beside = in_folder(tmp_path, by_digest, text)
    assert load_contract(beside).contract.digest() == digest
    inline = (
        HEAD.replace('schema = "schema.toml"\n', "")
        + "\n[schema]\n"
        + text.replace("[[feature]]", "[[schema.feature]]")
    )
    assert load_contract(in_folder(tmp_path, inline)).contract.digest() == digest


@pytest.mark.parametrize(
    "beside", ['id = "other"\nversion = 1\n[[feature]]\nname = "age"\nkind = "flag"\n', "id = 3"]
)
def test_another_schema_beside_the_contract_is_not_taken(tmp_path: Path, beside: str) -> None:
    file = in_folder(tmp_path, HEAD.replace('"schema.toml"', f'"{SCHEMA.digest()}"'), beside)
    with pytest.raises(ContractError) as caught:
        load_contract(file)
    assert found(caught.value) == {(4, "RF-C073")}


def test_faults_of_the_schemas_own_file_name_that_file(tmp_path: Path) -> None:
    file = in_folder(
        tmp_path,
        HEAD.replace('"north"', '"a b"'),
        'id = "s"\nversion = 0\n[[feature]]\nname = "a"\nkind = "flag"\n',
    )
    with pytest.raises(ContractError) as caught:
        load_contract(file)
    places = [(fault.file, fault.line, fault.code) for fault in faults_of(caught.value)]
    assert places == [("schema.toml", 2, "RF-C017"), ("contract.toml", 2, "RF-C024")]


def test_a_contract_with_a_path_has_no_digest() -> None:
    data = {**json.loads(load_contract(GOOD / "contract.toml").contract.canonical()), "schema": "schema.toml"}
    with pytest.raises(ContractError, match="RF-C107"):
        Contract.model_validate(data).digest()


def test_sentences_carry_file_line_and_path() -> None:
    path = next(path for path in museum("bad_contracts") if path.stem == "category_unknown")
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert (
        'category_unknown.toml:13: column[plan].values.2: "golden" is not a category'
        in caught.value.sentence()
    )


def test_an_unknown_language_falls_back_to_english() -> None:
    use_language("xx")
    try:
        with pytest.raises(ContractError, match="Missing; it has to be given"):
            load_contract(next(path for path in museum("bad_contracts") if path.stem == "nothing_else"))
    finally:
        use_language(None)


CHANGES: dict[str, Any] = {
    "id": "other",
    "holder": "south",
    "version": 2,
    "subject": "other_id",
    "population": "others",
    "jurisdiction": "DE",
    "transfers": ["JP"],
    "max_customers": 50001,
    "min_cohort": 999,
    "min_cell": 30,
    "overlap": 3,
    "peers": [],
    "duplicates": "last",
    "source": {"file": "other.csv"},
    "events": {"time": "day"},
    "consent_time_zone": "Asia/Shanghai",
    "column": [{"name": "age"}],
    "items": [{"name": "basket", "item": "article"}],
    "paths": [{"name": "journey", "time": "day", "channel": "way"}],
    "notes": [{"name": "tickets", "text": "said"}],
    "schema": "sha256:" + 64 * "1",
}


def test_the_list_of_changes_is_complete() -> None:
    assert len(CHANGES) == len(Contract.model_fields)


@given(st.sampled_from(sorted(CHANGES)))
def test_any_change_changes_the_digest(key: str) -> None:
    contract = load_contract(GOOD / "contract.toml").contract
    changed = {**json.loads(contract.canonical()), key: CHANGES[key]}
    if key == "events":
        changed["column"] = []  # a contract has one or the other
    assert Contract.model_validate(changed).digest() != contract.digest()


def whole() -> dict[str, Any]:
    """The good contract with its schema inside, as data."""
    schema = tomllib.loads((GOOD / "schema.toml").read_text(encoding="utf-8"))
    return {**tomllib.loads(HEAD), "schema": schema}


def spots(data: Any) -> list[tuple[Any, Any]]:
    """Every place of the data: its container and its key there."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found_: list[tuple[Any, Any]] = []
    for key, value in items:
        found_ += [(data, key), *spots(value)]
    return found_


STRANGE = st.sampled_from(
    [
        0,
        -1,
        2**70,
        1.5,
        float("nan"),
        float("inf"),
        True,
        "",
        "???",
        "x" * 300,
        "\n{}",
        [],
        [[]],
        [1, "a"],
        {},
        {"a": {}},
        {"name": 3},
        datetime.date(2020, 1, 1),
        "sha256:x",
        "../..",
        ".",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), STRANGE), min_size=1, max_size=3))
def test_whatever_stands_anywhere_it_is_read_or_clearly_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, Any]]
) -> None:
    data = whole()
    for position, value in changes:
        places = spots(data)
        container, key = places[position % len(places)]
        container[key] = copy.deepcopy(value)
    text = "".join(f"{quoted(key)} = {written(value)}\n" for key, value in data.items())
    file = tmp_path_factory.mktemp("strange") / "contract.toml"
    file.write_text(text, encoding="utf-8")
    try:
        loaded = load_contract(file)
    except ContractError as error:
        faults = faults_of(error)
        str(error)
        lines = text.count("\n")
        if not faults or not all(1 <= fault.line <= lines for fault in faults):
            raise
    else:
        assert Contract.from_canonical(loaded.contract.canonical()) == loaded.contract


def test_a_revised_contract_is_checked_anew() -> None:
    contract = load_contract(GOOD / "contract.toml").contract
    peers = ("ed25519:" + 32 * "1",)
    assert contract.revised(peers=peers).peers == peers
    assert contract.revised(peers=peers).revised(peers=contract.peers) == contract
    with pytest.raises(ContractError, match="RF-C017"):
        contract.revised(max_customers=0)
    with pytest.raises(ContractError, match="RF-C108"):
        contract.revised(peers=peers * 2)
    with pytest.raises(ValueError, match="no such field"):
        contract.revised(schema="x")
