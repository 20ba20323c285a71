"""The commands by which a holder's people attest their table for a study, and forget it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import Town, client, events, read, refused, town, write_table

from ringfence.clients.home import open_home


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def logged(here: Town) -> list[dict[str, Any]]:
    """The events of the first holder, oldest first."""
    return events(here.home, here.root / "log.json")[::-1]


def told(here: Town, number: int) -> list[tuple[str, str, list[str]]]:
    """What the last events say to everybody."""
    return [(e["action"], e["outcome"], sorted(e["public"])) for e in logged(here)[-number:]]


def copies(here: Town) -> list[Path]:
    return sorted((here.home / "snapshots").glob("*"))


def test_a_table_is_attested_kept_and_forgotten(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed, out = here.sign(), here.root / "out.json"
    capsys.readouterr()
    assert client("table", "attest", signed, "--config", here.home, "--json", out) == 0
    assert "rows: 40, customers: 40" in capsys.readouterr().out
    made = read(out)
    assert (made["passed"], made["rows"], made["customers"]) == (True, 40, 40)
    (copy,) = copies(here)
    assert copy.name == made["file"]
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert made["snapshot"] not in str(logged(here)), "the digest can be guessed, so it is private"
    write_table(here.home, rows=41)
    assert client("table", "attest", signed, "--config", here.home, "--json", out) == 0
    (newer,) = copies(here)
    assert newer != copy
    assert read(out)["rows"] == 41
    assert client("table", "forget", signed, "--config", here.home) == 0
    assert copies(here) == []


def test_the_first_approval_attests_and_the_second_takes_that(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = here.sign()
    words = ("study", "approve", signed, "--config", here.home, "--key")
    capsys.readouterr()
    assert client(*words, here.ana) == 0
    assert "it reads the table as attested on 20" in capsys.readouterr().out
    first = copies(here)
    assert len(first) == 1
    write_table(here.home, rows=41)
    assert client(*words, here.ben) == 0
    assert copies(here) == first
    actions = [e["action"] for e in logged(here)]
    assert actions.count("table.assessed") == 1
    assert actions.index("table.assessed") < actions.index("study.approved")


def test_a_table_that_does_not_pass_is_approved_by_nobody_and_the_log_tells_nobody(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Public parts are those of a table that passes: one event before the reading and one after it."""
    signed = here.sign()
    assert client("table", "attest", signed, "--config", here.home) == 0
    sound = told(here, 2)
    assert client("table", "forget", signed, "--config", here.home) == 0
    for rows in ("customer_id,age,plan,churn\nC1,30,G,yes\nC1,31,G,no\n", "customer_id,age\nC1,x\n"):
        (here.home / "customers.csv").write_text(rows, encoding="utf-8")
        capsys.readouterr()
        for words in (("table", "attest", signed), ("study", "approve", signed, "--key", here.ana)):
            assert client(*words, "--config", here.home) == 1
            assert capsys.readouterr().err.startswith("RF-T0")
            assert told(here, 2) == sound
    assert not list((here.home / "approvals").rglob("*.json"))
    assert copies(here) == []
    write_table(here.home)
    assert client("study", "approve", signed, "--key", here.ana, "--config", here.home) == 0


def test_another_contract_needs_another_attestation(here: Town) -> None:
    signed = here.sign()
    assert client("table", "attest", signed, "--config", here.home) == 0
    (copy,) = copies(here)
    text = (here.home / "contract.toml").read_text(encoding="utf-8")
    (here.home / "contract.toml").write_text(text.replace("version = 1", "version = 2"), encoding="utf-8")
    assert client("contract", "sign", here.home / "contract.toml", "--config", here.home) == 0
    assert client("study", "approve", signed, "--key", here.ana, "--config", here.home) == 0
    (newer,) = copies(here)
    assert newer != copy


def test_a_study_under_way_keeps_its_copy(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed, out = here.sign(), here.root / "out.json"
    assert client("table", "attest", signed, "--config", here.home, "--json", out) == 0
    digest = read(out)["study"]
    with open_home(here.home) as home:
        home.ledger.reserve(digest, 0.01)
    capsys.readouterr()
    refused(capsys, client("table", "forget", signed, "--config", here.home), "RF-S322")
    refused(capsys, client("table", "attest", signed, "--config", here.home), "RF-S321")
    assert len(copies(here)) == 1
    assert client("budget", "close", digest, "--config", here.home) == 0
    assert copies(here) == []
