"""A run that leaves its model, and one that begins from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kits.run_kit import call, write

from ringfence.models.neural import NeuralModel
from ringfence.models.scorecard import Scorecard


@pytest.fixture
def case(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def test_a_scorecard_is_left_behind_and_begun_from(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(case, "--model", str(case / "model"), "--json", str(case / "first.json")) == 0
    card = Scorecard.from_json((case / "model" / "scorecard.json").read_text())
    first = json.loads((case / "first.json").read_text())
    assert card.digest() == first["model"]
    assert (case / "model" / "points.csv").read_text().startswith("feature,bin,weight,points")
    prior = str(case / "model" / "scorecard.json")
    assert call(case, "--prior", prior, "--json", str(case / "second.json")) == 0
    second = json.loads((case / "second.json").read_text())
    assert second["study_digest"] != first["study_digest"], "the prior stands in what is signed"
    capsys.readouterr()
    assert call(case, "--model", str(case / "model")) == 2
    assert "RF-U342" in capsys.readouterr().err
    (case / "wrong.json").write_text("{}")
    assert call(case, "--prior", str(case / "wrong.json")) == 1
    assert "RF-S058" in capsys.readouterr().err
    assert call(case, "--prior", str(case / "absent.json")) == 1
    assert "absent.json" in capsys.readouterr().err


def test_a_network_is_left_behind(case: Path) -> None:
    study = (case / "study.toml").read_text()
    (case / "study.toml").write_text(
        study.replace('"scorecard"', '"mlp"').replace("iterations = 2", "rounds = 2\nhidden = [4]")
    )
    assert call(case, "--model", str(case / "model"), "--json", str(case / "out.json")) == 0
    network = NeuralModel.from_safetensors((case / "model" / "network.safetensors").read_bytes())
    assert network.digest() == json.loads((case / "out.json").read_text())["model"]
