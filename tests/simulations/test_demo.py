"""The main job as its first user sees it: one command, a folder, and a bundle that an officer verifies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ringfence.audit.cli import main as audit
from ringfence.privacy.command_line.terminal import run
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.simulations.cli import command


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, run once."""
    out = tmp_path_factory.mktemp("demo") / "out" / "demo"
    assert run(command, ["demo", "--out", str(out)], program="ringfence-simulate") == 0
    return out


def test_everything_promised_is_there_and_nothing_half_made(demo: Path) -> None:
    assert {path.name for path in demo.iterdir()} == {
        "report.html",
        "report-zh.html",
        "result.json",
        "scored-sample.csv",
        "model",
        "audit-bundle",
        "data",
        "keys",
    }
    assert [path.name for path in demo.parent.iterdir()] == ["demo"]
    assert {path.name for path in (demo / "model").iterdir()} == {"scorecard.json", "points.csv"}
    for holder in ("bank", "retailer", "partner"):
        assert {"approver-1.key", "approver-2.key"} <= {p.name for p in (demo / "keys" / holder).iterdir()}


def test_the_figures_say_what_was_assumed(demo: Path) -> None:
    result = json.loads((demo / "result.json").read_text())
    assert result["metrics"] == "exact (simulation only)"
    assert result["profile"] == "durable"
    assert result["privacy"]["overlap"] == 2
    assert float(result["privacy"]["customer_epsilon"]) == pytest.approx(1.0)
    assert float(result["privacy"]["holder_epsilon"]) < 0.6
    assert result["auc"] > 0.75
    assert result["planted_leak"].startswith("RF-X")


def test_the_bundle_is_intact(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(["verify", str(demo / "audit-bundle")]) == 0
    said = capsys.readouterr().out
    assert "INTACT" in said
    assert "freshness not shown" in said


@pytest.mark.parametrize("party", ["coordinator", "holders/bank"])
def test_one_changed_byte_names_the_first_bad_event(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], party: str
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(demo / "audit-bundle", copy)
    log = copy / party / "log.jsonl"
    lines = log.read_bytes().split(b"\n")
    lines[7] = lines[7].replace(b'"allow"', b'"alloW"', 1)
    log.write_bytes(b"\n".join(lines))
    assert audit(["verify", str(copy)]) == 1
    captured = capsys.readouterr()
    assert "7" in captured.out + captured.err
    assert "INTACT: " not in captured.out


def test_what_people_are_given_holds_no_planted_identifier(demo: Path) -> None:
    planted = pd.concat(
        [
            pd.read_csv(demo / "data" / f"{h}-notes-planted.csv", dtype=str)
            for h in ("bank", "retailer", "partner")
        ]
    )
    given = [
        demo / "scored-sample.csv",
        *(demo / "model").iterdir(),
        *demo.glob("*.html"),
        demo / "result.json",
    ]
    text = "\n".join(path.read_text() for path in given)
    notes = pd.read_csv(demo / "data" / "bank-notes.csv", dtype=str)
    assert notes["note"].str.contains(planted["value"].iloc[0], regex=False).any(), "the leak was planted"
    assert not [value for value in planted["value"].unique() if value in text]


def test_the_sample_is_of_customers_whose_consent_stands(demo: Path) -> None:
    """The sample has no key, but the table's order: its languages are those of the people who consent."""
    data = demo / "data"
    read: dict[str, Any] = {"dtype": str, "keep_default_na": False}
    table = pd.read_csv(data / "bank.csv", **read).rename(columns={"client_ref": "key"})[["key"]]
    notes = table.merge(pd.read_csv(data / "bank-notes.csv", **read), on="key")
    events = pd.read_csv(data / "bank-consent.csv", **read)
    events = events[events["purpose"] == "churn-prediction"].sort_values("at").groupby("customer_key").last()
    stands = events.index[(events["event"] == "granted") & (events["valid_until"] > "2027")]
    consenting = notes[notes["key"].isin(stands)].head(200)
    sample = pd.read_csv(demo / "scored-sample.csv")
    assert len(sample) == 200
    assert sample["language"].tolist() == consenting["language"].tolist()
    assert notes.head(200)["key"].tolist() != consenting["key"].tolist(), "some of them refused"
    assert sample["language"].tolist() != notes["language"].head(200).tolist()


def test_no_event_of_any_log_holds_a_person(demo: Path) -> None:
    scanner = Scanner()
    tables = pd.read_csv(demo / "data" / "bank.csv", dtype=str)
    keys = set(tables["client_ref"])
    for log in (demo / "audit-bundle").rglob("log.jsonl"):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            # Digests and run ids are random hexadecimal; what is left must read like no person.
            values = [v for v in strings(event) if not is_hexadecimal(v)]
            assert not [f.kind for v in values for f in scanner.find_cell(v)], line
            assert not keys & set(values)


def strings(value: object) -> list[str]:
    """All texts of a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def is_hexadecimal(text: str) -> bool:
    """A digest, a key or a run id, whatever it is prefixed with."""
    tail = text.rpartition(":")[2].replace("-", "")
    return len(tail) >= 32 and all(letter in "0123456789abcdef" for letter in tail)


def test_a_second_demo_replaces_the_first_and_nothing_else(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert run(command, ["demo", "--out", str(tmp_path)], program="ringfence-simulate") == 1 + 1
    assert capsys.readouterr().err.startswith("RF-U343")
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "demo"))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    assert run(command, ["demo", "--out", str(tmp_path / "x" / "demo")], program="ringfence-simulate") == 1
    assert capsys.readouterr().err.startswith("RF-U908")
    assert not (tmp_path / "x" / "demo").exists()
