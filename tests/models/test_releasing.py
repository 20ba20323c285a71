"""Every result of a study leaves through the export gate, as files, all or none, each with its events."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from kits.journal_kit import Notebook

from ringfence.models.evaluation import Evaluated
from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.models.neural.architecture import Architecture
from ringfence.models.neural.model import NeuralModel
from ringfence.models.releasing import release_result
from ringfence.models.scorecard import Scorecard
from ringfence.models.scorecard.parts import Bin, FeaturePart
from ringfence.models.task import Released
from ringfence.privacy.release import ExportGate, ExportPolicy, ExportRefused, ResultFile

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "9f86d081884c7d65" * 4


def network(feature: str = "tenure", positive: str = "yes") -> NeuralModel:
    shape = Architecture(inputs=3, hidden=(2,))
    size = sum(int(np.prod(each)) for each in shape.shapes.values())
    return NeuralModel(
        kind="mlp",
        study=DIGEST,
        schema=DIGEST,
        label="churn",
        positive=positive,
        features=(feature,),
        architecture=shape,
        weights=np.arange(size, dtype=np.int64),
    )


def card(feature: str = "tenure", label: str = "0 to 12") -> Scorecard:
    bins = (Bin(label=label, weight=100, customers=0), Bin(label="more", weight=-100, customers=0))
    part = FeaturePart(name=feature, cells=(0, 1), bins=bins)
    return Scorecard(study=DIGEST, schema=DIGEST, label="churn", positive="yes", parts=(part,))


def release(result: Released, folder: Path, epsilon: str = "1", limit: str = "1") -> Notebook:
    notebook = Notebook()
    gate = ExportGate(notebook, ExportPolicy(epsilon=Decimal(limit)))
    try:
        release_result(result, folder, gate=gate, epsilon=Decimal(epsilon), resource="study:x")
    finally:
        assert notebook.events, "nothing is written without an event"
    return notebook


@pytest.mark.parametrize(
    ("result", "names"),
    [(card(), ["points.csv", "scorecard.json"]), (network(), ["network.safetensors"])],
    ids=["card", "network"],
)
def test_a_result_leaves_with_its_events(tmp_path: Path, result: Released, names: list[str]) -> None:
    notebook = release(result, tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == names
    for file in result.files():
        assert (tmp_path / "model" / file.name).read_bytes() == file.content
    done = [event for event in notebook.events if event.action == "export.released"]
    assert len(done) == len(names)
    assert {event.resource for event in notebook.events} == {"study:x"}


@pytest.mark.parametrize(
    "result",
    [
        card(feature="f13812345678"),
        card(label="138.1234.5678"),
        network(feature="f13812345678"),
        network(feature="1，13812345678"),
        network(positive="wang.fang@example.cn"),
    ],
    ids=["card's feature", "card's bin", "network's feature", "beside a comma", "network's label"],
)
def test_a_result_that_names_a_person_stays(tmp_path: Path, result: Released) -> None:
    with pytest.raises(ExportRefused, match="RF-X040"):
        release(result, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("result", [card(), network()], ids=["card", "network"])
def test_no_result_states_more_than_its_study_allows(tmp_path: Path, result: Released) -> None:
    with pytest.raises(ExportRefused, match="RF-X044"):
        release(result, tmp_path / "model", epsilon="1.01")
    assert list(tmp_path.iterdir()) == []


def test_an_evaluated_model_has_the_files_of_its_model() -> None:
    figures = object.__new__(NoisyFigures)
    assert Evaluated(model=network(), figures=figures).files() == network().files()


@dataclass(frozen=True)
class Odd:
    """A result of a task to come."""

    def digest(self) -> str:
        return DIGEST

    def files(self) -> tuple[ResultFile, ...]:
        return (
            ResultFile(name="a.txt", kind="text", content=b"fine\n"),
            ResultFile(name="b.txt", kind="text", content=b"1,13812345678\n"),
        )


def test_one_bad_file_holds_all_of_a_result_back(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="RF-X040"):
        release(Odd(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_the_gate_writes_released_files() -> None:
    for folder in ("models", "clients", "server", "simulations", "privacy", "audit"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.is_relative_to(ROOT / "privacy" / "release"):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = node.module if isinstance(node, ast.ImportFrom) else ""
                assert named != "ringfence.privacy.release.files", path
