"""A user's own table with contract, schema and study in a folder, and the command that runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from kits.small import FEATURES, frame_of
from ringfence.privacy.command_line.terminal import run
from ringfence.simulations.cli import command

STUDY = """
id = "own-churn"
schema = "schema.toml"
purpose = "churn-prediction"
legal_basis = "consent"
task = "scorecard"
label = "churn"
expires = 2035-12-31
dpia = "test"
[privacy]
epsilon = "{epsilon}"
delta = "{delta}"
noise = "distributed"
min_holders = 3
[model]
iterations = 2
"""
CONTRACT = """
id = "own-contract"
holder = "own"
version = 1
schema = "schema.toml"
subject = "key"
population = "own-customers"
jurisdiction = "CN"
max_customers = 5000
min_cohort = {min_cohort}
overlap = 1
[source]
file = "table.csv"
encoding = "{encoding}"
"""


def toml_of(feature: dict[str, object]) -> str:
    return "\n".join(["[[feature]]", *(f"{key} = {json.dumps(value)}" for key, value in feature.items())])


def write(
    folder: Path,
    frame: pd.DataFrame | None = None,
    *,
    epsilon: str = "4",
    delta: str = "1e-6",
    min_cohort: int = 100,
    encoding: str = "utf-8",
    columns: tuple[str, ...] = ("age", "spend", "plan", "active", "churn"),
) -> None:
    (folder / "schema.toml").write_text('id = "own"\nversion = 1\n' + "\n".join(map(toml_of, FEATURES)))
    (folder / "study.toml").write_text(STUDY.format(epsilon=epsilon, delta=delta))
    body = "\n".join(
        f'[[column]]\nname = "{name}"\nsensitivity = "plain"\npurposes = ["churn-prediction"]'
        for name in columns
    )
    (folder / "contract.toml").write_text(CONTRACT.format(min_cohort=min_cohort, encoding=encoding) + body)
    table(frame if frame is not None else frame_of(1200)).to_csv(folder / "table.csv", index=False)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(key=[f"k{i}" for i in range(len(frame))], region=np.arange(len(frame)) % 3)


def call(folder: Path, *extra: str) -> int:
    arguments = ["run", str(folder / "study.toml"), "--contract", str(folder / "contract.toml"), *extra]
    return run(command, arguments, program="ringfence-simulate")
