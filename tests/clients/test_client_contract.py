"""`ringfence-client contract`: drafts, all faults with lines, signatures, declarations; refusals are
events.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from kits.command_kit import (
    client,
    configure,
    events,
    init,
    new_key,
    read,
    refused,
    town,
    write_contract,
    write_table,
)

from ringfence.privacy.agreements.declaration import read_declaration
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.crypto.signed import read_signed
from ringfence.privacy.tables.tabular import keyless_advice


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert init(tmp_path / "north") == 0
    return tmp_path / "north"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_draft_names_the_columns_and_no_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    table = tmp_path / "customers.csv"
    table.write_text("客户号,age,城市\n10000001,31,北京\n10000002,44,上海\n", encoding=encoding)
    assert client("contract", "draft", table) == 0
    shown = capsys.readouterr().out
    assert "城市" in shown
    assert "北京" not in shown
    out = tmp_path / "contract.toml"
    assert client("contract", "draft", table, "--out", out) == 0
    assert out.read_text(encoding="utf-8").rstrip() == shown.rstrip()
    capsys.readouterr()
    refused(capsys, client("contract", "draft", table, "--out", out), "RF-U432", 2)
    refused(capsys, client("contract", "draft", table, "--out", tmp_path / "no" / "c.toml"), "RF-U433", 2)
    refused(capsys, client("contract", "draft", tmp_path / "absent.csv"), "RF-C320")
    error = refused(capsys, client("contract", "check", out), "RF-C001")
    assert "contract.toml:8: holder:" in error


def test_check_lists_every_fault_with_its_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = write_contract(home)
    assert client("contract", "check", contract, "--json", tmp_path / "ok.json") == 0
    said = capsys.readouterr().out
    assert "customers.csv is not here" in said
    assert "enter the others: ringfence-client peer add" in said
    assert read(tmp_path / "ok.json")["digest"].startswith("sha256:")
    text = contract.read_text(encoding="utf-8").replace("version = 1", "version = 0").replace("CN", "China")
    contract.write_text(
        text.replace('purposes = ["churn-prediction"]', 'purposes = ["chrun"]'), encoding="utf-8"
    )
    capsys.readouterr()
    assert client("contract", "check", contract, "--json", "-") == 1
    out = capsys.readouterr()
    faults = json.loads(out.out)["faults"]
    assert [fault["line"] for fault in faults] == sorted(fault["line"] for fault in faults)
    assert len(faults) == 5
    for fault in faults:
        assert f"contract.toml:{fault['line']}: " in out.err


@pytest.mark.parametrize(
    ("header", "missing", "near"),
    [
        ("customer_id,age,plan,churn,city", (), ""),
        ("customer_id,Age,plan,churn,city", ("age",), 'Did you mean "Age"?'),
        ("customerid,age,plan,city", ("customer_id", "churn"), 'Did you mean "customerid"?'),
        ("customer_id;age;plan;churn", ("customer_id", "age", "plan", "churn"), ""),
    ],
)
def test_the_header_is_compared_and_no_row_is_read(
    home: Path, capsys: pytest.CaptureFixture[str], header: str, missing: tuple[str, ...], near: str
) -> None:
    contract = write_contract(home, peers=("ed25519:" + 32 * "0",))
    (home / "customers.csv").write_bytes(header.encode() + b"\n\xff\xfe no row is even text\n")
    capsys.readouterr()
    status = client("contract", "check", contract, "--json", home / "out.json")
    found = read(home / "out.json")
    out = capsys.readouterr()
    assert found["ready"] is not bool(missing)
    if not missing:
        assert status == 0
        assert found["unlisted"] == ["city"]
        assert "It can be signed." in out.out
        return
    assert status == 1
    assert out.err.startswith(
        f"RF-C324: The header of customers.csv lacks columns that the contract names "
        f'({len(missing)}):\n"{missing[0]}".'
    )
    assert near in out.err
    assert all(f'"{name}"' in out.err for name in missing)
    assert found["faults"][0]["code"] == "RF-C324"


def test_a_table_without_a_key_gets_the_same_advice_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    contract = write_contract(tmp_path)
    (tmp_path / "customers.csv").write_text("age,plan,churn\n20,G,no\n", encoding="utf-8")
    assert "ringfence-simulate run" in keyless_advice()
    assert "--row-is-customer" in keyless_advice()
    assert keyless_advice() in refused(capsys, client("contract", "check", contract), "RF-C324")
    check = client("table", "check", "--contract", contract, "--purpose", "churn-prediction")
    assert keyless_advice() in refused(capsys, check, "RF-T009")
    drafted = client("contract", "draft", "customers.csv", "--subject", "nobody")
    assert keyless_advice() in refused(capsys, drafted, "RF-C323")
    # A key that is only misspelt needs no such advice.
    (tmp_path / "customers.csv").write_text("Customer_ID,age,plan,churn\na,20,G,no\n", encoding="utf-8")
    told = refused(capsys, client("contract", "check", contract), "RF-C324")
    assert 'Did you mean "Customer_ID"?' in told
    assert keyless_advice() not in told


def test_a_table_is_checked_by_a_contract_that_nobody_has_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no home anywhere
    contract = write_contract(tmp_path)
    write_table(tmp_path)
    words = ("table", "check", "--contract", contract)
    assert client(*words, "--purpose", "churn-prediction", "--json", "out.json") == 0
    assert read(tmp_path / "out.json")["customers"] == 40
    assert {path.name for path in tmp_path.iterdir()} == {
        "contract.toml",
        "schema.toml",
        "customers.csv",
        "out.json",
    }
    capsys.readouterr()
    refused(capsys, client(*words, "--purpose", "fraud-prevention"), "RF-S041")
    refused(capsys, client(*words, "--study", "s.json"), "RF-U663", 2)
    contract.write_text(contract.read_text().replace('"customer_id"', '"???"'))
    assert "RF-C011" in refused(capsys, client(*words, "--purpose", "churn-prediction"), "RF-C001")


def test_a_draft_is_checked_as_far_as_it_is_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path)
    draft = ("contract", "draft", "customers.csv", "--subject", "customer_id", "--out", "c.toml")
    assert client(*draft) == 0
    words = ("table", "check", "--contract", "c.toml", "--purpose", "churn-prediction")
    capsys.readouterr()
    told = refused(capsys, client(*words), "RF-U700")  # with nothing filled in there is no feature yet
    assert "bounds or categories of one of them" in told
    assert "age, plan, churn" in told
    contract = tmp_path / "c.toml"
    text = contract.read_text(encoding="utf-8").replace('bounds = "???"', "bounds = [30, 100]")
    contract.write_text(text, encoding="utf-8")
    assert client(*words, "--json", "out.json") == 0
    said = capsys.readouterr().out
    assert "Still open in the contract, and so not looked at: plan, churn\n" in said
    assert "As far as the contract is filled in, the table passes the quality gate." in said
    assert {column["name"] for column in read(tmp_path / "out.json")["columns"]} == {"age"}
    assert read(tmp_path / "out.json")["columns"][0]["clipped"] == 10
    text = text.replace('kind = "category"', 'kind = "flag"').replace('categories = "???"', "")
    contract.write_text(text + "colour = 1\n", encoding="utf-8")
    assert "RF-C026" in refused(capsys, client(*words), "RF-C001")  # other faults are not passed over


def test_a_signed_contract_is_an_event_and_holds_only_in_that_form(home: Path, tmp_path: Path) -> None:
    contract = write_contract(home)
    configure(home, contract="contract.toml")
    assert client("contract", "sign", contract, "--config", home, "--json", tmp_path / "out.json") == 0
    made = read(tmp_path / "out.json")
    assert made["in_force"] is True
    newest = events(home, tmp_path / "log.json")[:2]
    assert [event["action"] for event in newest] == ["contract.signed", "schema.accepted"]
    assert newest[0]["public"] == {"contract": made["digest"], "version": 1}
    assert client("contract", "sign", contract, "--config", home) == 0  # the very same contract again


def test_a_change_needs_a_higher_version(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = write_contract(home)
    assert client("contract", "sign", contract, "--config", home) == 0
    before = (home / "contract.signed.json").read_bytes()
    text = contract.read_text(encoding="utf-8").replace("max_customers = 5000", "max_customers = 6000")
    contract.write_text(text, encoding="utf-8")
    capsys.readouterr()
    refused(capsys, client("contract", "sign", contract, "--config", home), "RF-C205")
    assert (home / "contract.signed.json").read_bytes() == before
    assert events(home, tmp_path / "log.json")[0]["public"] == {"code": "RF-C205"}
    contract.write_text(text.replace("version = 1", "version = 2", 1), encoding="utf-8")
    assert client("contract", "sign", contract, "--config", home) == 0


@pytest.mark.parametrize(("field", "code"), [("name", "RF-C201"), ("population", "RF-C202")])
def test_another_holders_contract_and_another_population_are_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, code: str
) -> None:
    contract = (
        write_contract(home, name="other") if field == "name" else write_contract(home, population="other")
    )
    refused(capsys, client("contract", "sign", contract, "--config", home), code)
    assert not (home / "contract.signed.json").exists()
    assert events(home, tmp_path / "log.json")[0]["action"] == "contract.refused"


def test_a_folder_that_cannot_be_written_leaves_no_event(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = write_contract(home)
    count = len(events(home, tmp_path / "log.json"))
    capsys.readouterr()

    def refuse(path: Path, _document: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ringfence.privacy.crypto.signed.write_signed", refuse)
    refused(capsys, client("contract", "sign", contract, "--config", home), "RF-U908")
    assert len(events(home, tmp_path / "log.json")) == count
    assert not list(home.glob("*signed*"))


def test_a_key_of_a_simulation_signs_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in ("", ".pub"):
        (home / "keys" / f"holder.key{suffix}").unlink()
    new_key(home / "keys" / "holder.key", "holder", simulation=True)
    words = ("contract", "sign", write_contract(home), "--config", home)
    public = home / "keys" / "holder.key.pub"
    assert "holder.key.pub" in refused(capsys, client(*words), "RF-K038")
    public.write_text(public.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    refused(capsys, client(*words), "RF-K038")  # the note is gone, the key file still says it
    assert events(home, tmp_path / "log.json")[0]["public"] == {"code": "RF-K038"}


def test_a_declaration_is_signed_and_holds_public_facts_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = town(tmp_path)
    document = read_signed(here.declarations[0])
    body = json.loads(document.body)
    assert set(body) == {
        "name",
        "key",
        "log_key",
        "max_customers",
        "contract",
        "schema",
        "allows",
        "jurisdiction",
    }
    assert body["allows"] == {"churn-prediction": ["age", "plan", "churn"]}
    document.verify("declaration", [PublicIdentity.from_hex(body["key"])])
    words = ("contract", "declare", "--config", here.home, "--out")
    newest = events(here.home, tmp_path / "log.json")[0]
    assert (newest["action"], newest["outcome"]) == ("contract.declared", "allow")
    assert newest["public"] == {
        "contract": body["contract"],
        "declaration": "sha256:" + hashlib.sha256(document.body).hexdigest(),
    }
    capsys.readouterr()
    refused(capsys, client(*words, tmp_path / "no" / "d.json"), "RF-U433", 2)
    (here.home / "contract.signed.json").unlink()
    refused(capsys, client(*words, tmp_path / "d.json"), "RF-C203")
    newest = events(here.home, tmp_path / "log.json")[0]
    assert (newest["action"], newest["outcome"], newest["public"]) == (
        "contract.declared",
        "deny",
        {"code": "RF-C203"},
    )
    assert not (tmp_path / "d.json").exists()


def test_a_declaration_names_the_log_of_the_federation_that_it_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The house's own log is nobody's to verify; where there are several federations, people say which."""

    def log_key(*words: object) -> str | None:
        out = tmp_path / "d.json"
        words = ("contract", "declare", "--config", here.home, "--out", out, *words)
        assert client(*words) == 0
        return read_declaration(out).log_key

    def key_of(name: str) -> str:
        return read_public(here.home / "keys" / f"{name}.key.pub", "log").hex

    here = town(tmp_path)
    assert len({key_of("log"), key_of("log-city")}) == 2
    assert read_declaration(here.declarations[0]).log_key == key_of("log-city")
    new_key(tmp_path / "other.key", "coordinator")
    add = ("federation", "add", "other", tmp_path / "other.key.pub", "--compared", "--config", here.home)
    assert client(*add) == 0
    capsys.readouterr()
    refused(capsys, client("contract", "declare", "--config", here.home), "RF-U721", 2)
    assert [log_key("--federation", name) for name in ("city", "other")] == [
        key_of("log-city"),
        key_of("log-other"),
    ]
    assert "in the federation other" in capsys.readouterr().out
    house = events(here.home, tmp_path / "log.json", "--house")[0]
    assert house["action"] == "contract.declared", "the contract is the house's, and so is this event"
    for name in ("city", "other"):
        assert client("federation", "leave", name, "--config", here.home) == 0
    assert log_key() is None
    assert "It names no log" in capsys.readouterr().out
    refused(capsys, client("contract", "declare", "--federation", "x", "--config", here.home), "RF-U402", 2)


def test_the_table_is_checked_for_a_purpose_and_for_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = town(tmp_path)
    out = tmp_path / "out.json"
    words = ("table", "check", "--config", here.home, "--json", out)
    assert client(*words, "--purpose", "churn-prediction", "--label", "churn") == 0
    found = read(out)
    assert found["passed"] is True
    assert found["customers"] == 40
    assert {column["name"] for column in found["columns"]} == {"age", "plan", "churn"}
    study = here.sign()
    assert client(*words, "--study", study) == 0
    newest = events(here.home, tmp_path / "log.json")[0]
    assert newest["action"] == "table.read"
    assert newest["public"]["columns"] == ["churn", "age", "plan"]
    capsys.readouterr()
    refused(capsys, client(*words, "--purpose", "fraud-prevention"), "RF-S041")
    refused(capsys, client(*words, "--purpose", "fraud"), "RF-S002")
    refused(capsys, client(*words, "--purpose", "churn-prediction", "--label", "nothing"), "RF-S203")
    refused(capsys, client(*words, "--study", study, "--label", "churn"), "RF-U450", 2)
    refused(capsys, client(*words), "RF-U901", 2)
    assert events(here.home, tmp_path / "log.json")[0]["action"] == "table.refused"


def test_a_table_that_does_not_pass_is_reported_and_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = town(tmp_path)
    table = here.home / "customers.csv"
    table.write_text(table.read_text(encoding="utf-8") + "C1,30,G,no\n", encoding="utf-8")
    words = ("table", "check", "--config", here.home, "--purpose", "churn-prediction")
    error_first = client(*words, "--json", tmp_path / "out.json")
    error = refused(capsys, error_first, "RF-T040")
    assert "C1" not in error
    assert read(tmp_path / "out.json")["passed"] is False
    table.unlink()
    refused(capsys, client(*words), "RF-T001")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_tables_with_a_byte_order_mark_and_in_gb18030_are_read(tmp_path: Path, encoding: str) -> None:
    home = tmp_path / "north"
    assert init(home) == 0
    contract = write_contract(home, encoding=encoding, gold="黄金")
    write_table(home, encoding=encoding, gold="黄金")
    configure(home, contract="contract.toml")
    assert client("contract", "sign", contract, "--config", home) == 0
    out = tmp_path / "out.json"
    assert client("table", "check", "--config", home, "--purpose", "churn-prediction", "--json", out) == 0
    assert {column["name"]: column["unknown"] for column in read(out)["columns"]} == {
        "age": 0,
        "plan": 0,
        "churn": 0,
    }


def test_without_a_contract_nothing_is_read(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, client("table", "check", "--config", home, "--purpose", "churn-prediction"), "RF-U401", 2)
    assert events(home, tmp_path / "log.json")[0]["public"] == {"code": "RF-U401"}
