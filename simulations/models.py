"""A released model as files in a new folder: a scorecard through the export gate, a network as safetensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from ringfence.models.neural import NeuralModel
from ringfence.models.scorecard import Scorecard
from ringfence.privacy.release import Artefact, ColumnRule, ExportGate
from ringfence.privacy.release.files import write_all

NETWORK = "network.safetensors"
SCORECARD = "scorecard.json"
POINTS = "points.csv"


def write_model(
    model: object,
    folder: Path,
    *,
    gate: ExportGate,
    epsilon: Decimal,
    resource: str,
    own: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write what a study released.

    Args:
        model: a scorecard or a network.
        folder: which does not exist yet.
        gate: of whoever holds the model.
        epsilon: of the study.
        resource: what the gate's events name.
        own: networks that simulated holders keep for themselves, by holder; real ones stay where they are.

    Raises:
        ExportRefused, ExportError: it may not leave, or cannot be written; nothing is left behind.
    """
    if isinstance(model, NeuralModel):
        networks = {NETWORK: model.to_safetensors()} | {f"own.{name}.safetensors": each for name, each in own.items()}
        write_all(
            {name: (each, "sha256:" + hashlib.sha256(each).hexdigest()) for name, each in networks.items()}, folder
        )
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
