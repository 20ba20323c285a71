"""`study show`: everything that is approved stands in sentences, in both languages, and nothing is spent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kits.command_kit import (
    Town,
    budget,
    client,
    events,
    fingerprint,
    read,
    refused,
    server,
    town,
    write_table,
)

from ringfence.clients.home import open_home
from ringfence.privacy.errors import use_language


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def test_what_is_asked_with_whom_and_at_what_price_is_said(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = here.sign(), here.root / "out.json"
    before, log = budget(here), len(events(here.home, here.root / "log.json"))
    capsys.readouterr()
    assert client("study", "show", study, "--config", here.home, "--json", out) == 0
    text, found = capsys.readouterr().out, read(out)
    south, coordinator = here.root / "south" / "keys" / "holder.key", here.desk / "keys" / "coordinator.key"
    for sentence in (
        f"is signed by the coordinator with the key {fingerprint(coordinator)}.",
        "Its purpose is Churn prediction (churn-prediction), on the legal basis consent.",
        "It learns to predict churn by a scorecard.",
        "The features it looks at (2): age, plan.",
        "The data protection impact assessment is: DPIA-1",
        "it would read these columns and no other: customer_id, churn, age, plan.",
        "The holders of the study (3):",
        f"south, {fingerprint(south)}: this holder vouches for the key",
        "against the coordinator together with up to 1 of the other holders.",
        f"costs a customer epsilon {found['price']['customer_epsilon']} at delta 0.000001",
        f"it is {found['price']['customer_epsilon_worst_case']} and",
        "Joining by itself costs epsilon 0.",
        "The contract allows it and the budget covers it.",
        "(approvals on file: 0)",
    ):
        assert sentence in text, sentence
    assert found["sentences"] == text.rstrip("\n").split("\n")
    assert found["asked"]["dpia"] == "DPIA-1"
    assert budget(here) == before
    assert len(events(here.home, here.root / "log.json")) == log
    capsys.readouterr()
    assert client("study", "show", study, "--config", here.home, "--lang", "zh") == 0
    chinese = capsys.readouterr().out
    use_language(None)
    assert "同意 (consent)" in chinese
    assert "评分卡 (scorecard)" in chinese
    assert len(chinese.split("\n")) == len(text.split("\n"))
    for line, said in zip(text.split("\n"), chinese.split("\n"), strict=True):
        assert (line == said) == (not line), f"not translated: {line}"


def test_a_study_that_is_not_allowed_says_why_and_a_stranger_does_not_count(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign(purpose="fraud-prevention")
    contract = here.home / "contract.toml"
    west = fingerprint(here.root / "west" / "keys" / "holder.key")
    text = (
        contract.read_text(encoding="utf-8").replace(f', "{west}"', "").replace("version = 1", "version = 2")
    )
    contract.write_text(text, encoding="utf-8")
    assert client("contract", "sign", contract, "--config", here.home) == 0
    capsys.readouterr()
    assert client("study", "show", study, "--config", here.home) == 0
    said = capsys.readouterr().out
    assert "It is not allowed at this holder:" in said
    assert 'The contract does not allow "churn" to be used for fraud-prevention. (RF-S046)' in said
    assert f"west, {west}: nobody here vouches for the key, so it never counts" in said
    assert "would read these columns" not in said
    refused(capsys, client("study", "show", here.declarations[0], "--config", here.home), "RF-K012")


def test_a_study_that_two_people_approved_asks_for_nobody_more(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign()
    for key in ("ana.key", "ben.key"):
        assert client("study", "approve", study, "--key", here.root / key, "--config", here.home) == 0
    capsys.readouterr()
    assert client("study", "show", study, "--config", here.home) == 0
    said = capsys.readouterr().out
    assert said.endswith("Two people have approved it here.\n")
    assert "approvals on file" not in said


def table_of(here: Town, study: Path) -> tuple[str, bool | None]:
    """What `study check` says of the attested table: its state, and whether the source is newer."""
    out = here.root / "out.json"
    client("study", "check", study, "--config", here.home, "--json", out)
    return read(out)["table"]["state"], read(out)["table"]["source_newer"]


def test_whether_the_table_is_attested_and_still_serves_is_shown(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study, home = here.sign(), here.home
    capsys.readouterr()
    assert table_of(here, study) == ("none", None)
    assert "The table is not attested for it" in capsys.readouterr().out
    (home / "customers.csv").write_text("customer_id,age,plan,churn\nC1,x,G,yes\n", encoding="utf-8")
    assert client("table", "attest", study, "--config", home) == 1
    capsys.readouterr()
    assert table_of(here, study)[0] == "failed"
    assert "did not pass: RF-T0" in capsys.readouterr().out
    write_table(home)
    assert client("table", "attest", study, "--config", home) == 0
    os.utime(home / "customers.csv", (0, 0))
    capsys.readouterr()
    assert table_of(here, study) == ("serves", False)
    said = capsys.readouterr().out
    assert "The table is attested for it, as it was on 20" in said
    assert "written since" not in said
    os.utime(home / "customers.csv", (4e9, 4e9))
    assert table_of(here, study) == ("serves", True)
    assert "Its file was written since" in capsys.readouterr().out
    assert client("study", "show", study, "--config", home) == 0
    assert "Its file was written since" in capsys.readouterr().out
    (copy,) = (home / "snapshots").iterdir()
    kept = copy.read_bytes()
    copy.write_bytes(kept[:-1])
    assert table_of(here, study)[0] == "gone"
    assert "Attest it again, or this holder stays away" in capsys.readouterr().out
    copy.write_bytes(kept)
    contract = home / "contract.toml"
    text = contract.read_text(encoding="utf-8").replace("version = 1", "version = 2")
    contract.write_text(text, encoding="utf-8")
    assert client("contract", "sign", contract, "--config", home) == 0
    assert table_of(here, study)[0] == "other-contract"
    assert "under another contract" in capsys.readouterr().out


def test_a_study_that_ran_has_no_table_any_more(here: Town) -> None:
    study, out = here.sign(), here.root / "out.json"
    assert client("table", "attest", study, "--config", here.home, "--json", out) == 0
    digest = read(out)["study"]
    with open_home(here.home) as home:
        home.ledger.reserve(digest, 0.01)
    assert client("budget", "close", digest, "--config", here.home) == 0
    assert table_of(here, study)[0] == "over"


TABLES = """\
id = "tables-1"
schema = "schema.toml"
purpose = "churn-prediction"
legal_basis = "consent"
jurisdiction = "CN"
task = "statistics"
features = ["age", "plan"]
expires = 2099-12-31
dpia = "DPIA-1"
[privacy]
epsilon = 1
delta = 1e-6
noise = "distributed"
min_holders = 3
[model]
questions = ["count by plan", "quantiles of age at 50"]
bins = 4
[evaluation]
test_fraction = 0
[release]
min_cell_quasi = 80
"""


def test_every_question_of_a_study_of_tables_is_shown_before_it_is_approved(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    here.sign()  # which writes the schema
    study = here.root / "tables.toml"
    study.write_text(TABLES, encoding="utf-8")
    declared = [word for one in here.declarations for word in ("--declaration", one)]
    assert server("study", "sign", study, *declared, "--config", here.desk) == 0
    capsys.readouterr()
    assert client("study", "show", here.root / "tables.signed.json", "--config", here.home) == 0
    text = capsys.readouterr().out
    for sentence in (
        "It predicts nothing; its task is statistics.",
        "It asks (questions, 2):\n    count by plan\n    quantiles of age at 50\n",
        "Its setting bins is 4.",
        "fewer than 80 customers by the noisy count, or 20 where a table is by these features alone: -.",
        "it would read these columns and no other: customer_id, age, plan.",
    ):
        assert sentence in text, sentence
