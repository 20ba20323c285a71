"""`ringfence-simulate federation`: processes that are killed in mid-study end with a model and whole logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringfence.privacy.command_line.terminal import run
from ringfence.simulations.cli import command


def test_a_federation_of_processes_survives_deaths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, told = tmp_path / "federation", tmp_path / "told.json"
    words = ["federation", "--out", str(out), "--json", str(told), "--lang", "en"]
    assert run(command, words, program="ringfence-simulate") == 0
    said = capsys.readouterr().out
    for step in ("founded", "admitted", "approved", "killed in mid-study", "killed after", "released"):
        assert step in said
    assert said.index("released") < said.index("all logs verified")
    assert (out / "model" / "scorecard.json").is_file()
    assert json.loads(told.read_text(encoding="utf-8"))["seconds"] > 0
    assert json.loads(told.read_text(encoding="utf-8"))["seconds_of_the_study"] > 0
    again = run(command, words, program="ringfence-simulate")
    assert again == 2
    assert capsys.readouterr().err.startswith("RF-U342: ")


def test_a_public_table_that_is_not_there_is_said_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path / "nowhere"))
    out = tmp_path / "federation"
    words = ["federation", "--case", "telco", "--out", str(out), "--lang", "en"]
    assert run(command, words, program="ringfence-simulate") == 2
    assert capsys.readouterr().err.startswith("RF-U810: ")
    assert not out.exists()
