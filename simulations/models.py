"""A released model as files in a new folder: a scorecard through the export gate, a network as safetensors."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

from ringfence.models.neural import NeuralModel
from ringfence.models.scorecard import Scorecard
from ringfence.privacy.release import Artefact, ColumnRule, ExportGate
from ringfence.privacy.release.files import write_all

NETWORK = "network.safetensors"
SCORECARD = "scorecard.json"
POINTS = "points.csv"


def write_model(model: object, folder: Path, *, gate: ExportGate, epsilon: Decimal, resource: str) -> None:
    """Write what a study released.

    Args:
        model: a scorecard or a network.
        folder: which does not exist yet.
        gate: of whoever holds the model.
        epsilon: of the study.
        resource: what the gate's events name.

    Raises:
        ExportRefused, ExportError: it may not leave, or cannot be written; nothing is left behind.
    """
    if isinstance(model, NeuralModel):
        content = model.to_safetensors()
        write_all({NETWORK: (content, "sha256:" + hashlib.sha256(content).hexdigest())}, folder)
        return
    if not isinstance(model, Scorecard):
        raise TypeError(f"Expected a scorecard or a network, found {type(model).__name__}.")
    rules = tuple(ColumnRule(name=name, sensitivity="plain") for name in ("feature", "bin", "weight", "points"))
    files = [
        Artefact(
            name=SCORECARD,
            kind="json",
            content=json.dumps(model.to_dict(), indent=1, ensure_ascii=False).encode(),
            epsilon=epsilon,
            resource=resource,
        ),
        Artefact(
            name=POINTS, kind="csv", content=model.points_table(), columns=rules, epsilon=epsilon, resource=resource
        ),
    ]
    gate.release_all(files, folder)
