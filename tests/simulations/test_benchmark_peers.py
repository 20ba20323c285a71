"""A benchmark without the methods that it compares with says what to install, before it measures anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ringfence.privacy.command_line.terminal import run
from ringfence.simulations.benchmarks import engines, masks, noise, privacy, scorecard

Command = Callable[[Sequence[str]], int]


@pytest.mark.parametrize(
    ("command", "arguments", "module", "package"),
    [
        (noise.command, [], "opendp", "opendp"),
        (masks.command, [], "flwr", "flwr"),
        (engines.command, [], "opacus", "opacus"),
        (scorecard.command, ["--tables", "few"], "interpret", "interpret-core"),
        (scorecard.command, ["--tables", "few"], "sklearn", "scikit-learn"),
        (scorecard.command, ["--tables", "breast_cancer", "--no-peers"], "sklearn", "scikit-learn"),
        (privacy.command, [], "interpret", "interpret-core"),
        (privacy.command, [], "altair", "altair"),
        (privacy.command, [], "vl_convert", "vl-convert-python"),
    ],
)
def test_a_missing_peer_is_one_sentence_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Command,
    arguments: list[str],
    module: str,
    package: str,
) -> None:
    def measured(*_arguments: object, **_named: object) -> None:
        raise AssertionError("something was measured")

    monkeypatch.setattr("ringfence.simulations.benchmarks.timing.take_turns", measured)
    for each in (noise, masks, engines):
        monkeypatch.setattr(each, "take_turns", measured)
    monkeypatch.setattr(scorecard, "run_reference", measured)
    monkeypatch.setitem(sys.modules, module, None)
    assert run(command, arguments, program="benchmark") == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("RF-U370: ")
    assert package in said.err
    assert "pip install 'ringfence[bench]'" in said.err
    assert said.out == ""


def test_earlier_figures_need_no_peer_but_the_plots(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps({}))
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert run(privacy.command, ["--from", str(old), "--folder", str(tmp_path)], program="benchmark") == 2
    assert "vl-convert-python" in capsys.readouterr().err
    assert not (tmp_path / "privacy.html").exists()


def test_the_scorecard_alone_needs_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("interpret", "sklearn", "opendp"):
        monkeypatch.setitem(sys.modules, module, None)
    arguments = ["--tables", "few", "--splits", "1", "--epsilons", "8", "--forms", "central", "--no-peers"]
    assert run(scorecard.command, arguments, program="benchmark") == 0
