"""What the scorecard is measured on: public and generated tables as cell codes, with a study each."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.models.features import FeatureMatrix, encode_rows
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.contract import Contract, load_contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study, load_study, positive_category
from ringfence.privacy.errors import N_, UsageError
from ringfence.simulations.benchmarks import varied
from ringfence.simulations.benchmarks.peers import require
from ringfence.simulations.cases import TABLES, copy_case
from ringfence.simulations.unsplit_rows import UnsplitRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A table and the question asked of it.

    Attributes:
        name: of the table.
        schema: its public schema.
        study: the question, without holders.
        features: names of the features.
        rows: all customers as cell codes.
        frame: the same customers for peers: numbers as floats, the rest as texts.
        chance: true probability of each test customer where the table was generated; its split is then its
            own.
    """

    name: str
    schema: Schema
    study: Study
    features: tuple[str, ...]
    rows: FeatureMatrix
    frame: pd.DataFrame
    chance: npt.NDArray[np.float64] | None = None

    def context(
        self, epsilon: str, holders: int, noise: Literal["distributed", "local"] = "distributed"
    ) -> StudyContext:
        """The study as its holders would sign it, each customer at one holder."""
        terms = {"epsilon": epsilon, "delta": "0.000001", "noise": noise, "min_holders": holders}
        privacy = type(self.study.privacy).model_validate(terms)
        people = tuple(
            {
                "name": f"holder-{i}",
                "key": hashlib.sha256(str(i).encode()).hexdigest(),
                "max_customers": 100_000,
                "overlap": 1,
            }
            for i in range(holders)
        )
        fields = self.study.model_dump(mode="json", by_alias=True, exclude_none=True)
        study = Study.model_validate(
            fields
            | {"privacy": privacy.model_dump(mode="json"), "features": self.features, "holders": people}
        )
        return StudyContext.of(study, self.schema)

    def split(self, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions to learn from and to judge by: a fifth drawn anew, or the population's own part."""
        size = len(self.rows.label)
        if self.chance is not None:
            return np.flatnonzero(~self.rows.is_test), np.flatnonzero(self.rows.is_test)
        order = np.random.default_rng(seed).permutation(size)
        return order[size // 5 :], order[: size // 5]


def subject(name: str, seed: int = 0) -> Subject:
    """A subject by its name: a public case, `breast_cancer` (comes with scikit-learn), or a generated kind.

    Raises:
        UsageError: nothing of that name, or its file is not there.
    """
    if name in TABLES:
        return _case(name)
    if name == "breast_cancer":
        return _breast_cancer()
    if name in varied.KINDS:
        return _generated(name, seed)
    raise UsageError(
        "RF-U362",
        N_("There is no table {name} to measure on; known are: {known}."),
        name=name,
        known=", ".join((*TABLES, "breast_cancer", *varied.KINDS)),
    )


def _case(name: str) -> Subject:
    path = Path(os.environ.get("RINGFENCE_DATA", "../shared/data")) / TABLES[name]
    if not path.is_file():
        raise UsageError(
            "RF-U363",
            N_("The public table {file} is not in {folder}; set RINGFENCE_DATA."),
            file=path.name,
            folder=str(path.parent),
        )
    with tempfile.TemporaryDirectory(prefix="ringfence-") as folder:
        copy_case(name, Path(folder) / name)
        loaded = load_contract(Path(folder) / name / "contract.toml")
        study = load_study(Path(folder) / name / "study.toml", [loaded.schema])
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = _decoded(raw, loaded.contract, loaded.schema)
    features = tuple(f.name for f in loaded.schema.features if f.name in frame and f.name != study.label)
    return _subject(name, loaded.schema, study, features, frame)


def _decoded(raw: pd.DataFrame, contract: Contract, schema: Schema) -> pd.DataFrame:
    """The columns under their schema names, as the contract says: a plain form of what holders do."""
    columns: dict[str, Any] = {}
    for column in contract.columns:
        feature, texts = schema.feature(column.name), raw[column.header]
        if feature.kind == "number":
            numbers = pd.to_numeric(texts.where(~texts.isin(contract.source.null_values)))
            absent = feature.missing_value if feature.missing == "value" else None
            columns[column.name] = numbers if absent is None else numbers.fillna(float(str(absent)))
        else:
            columns[column.name] = texts.map(lambda text, known=column.values: known.get(text, text))
    return pd.DataFrame(columns)


def _breast_cancer() -> Subject:
    """569 tumours, 30 measurements; bounds are the next round number above what was measured."""
    require("sklearn")
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [f"m{i:02d}" for i in range(bunch.data.shape[1])]
    frame = pd.DataFrame(bunch.data, columns=names)
    features: list[dict[str, Any]] = []
    for name in names:
        top = float(frame[name].max())
        unit = 10.0 ** np.floor(np.log10(top))
        bound = f"{np.ceil(top / unit) * unit:.6f}"
        features.append({"name": name, "kind": "number", "bounds": [0, bound], "missing": "refuse"})
    features.append({"name": "outcome", "kind": "flag"})
    frame["outcome"] = np.where(bunch.target == 0, "yes", "no")
    schema = Schema.model_validate({"id": "breast-cancer", "version": 1, "feature": features})
    return _subject("breast_cancer", schema, _plain_study("breast-cancer", schema), tuple(names), frame)


def _generated(name: str, seed: int) -> Subject:
    drawn = varied.draw_population(name, seed)
    codes = np.vstack([drawn.test.codes, drawn.train.codes])
    label = np.concatenate([drawn.test.label, drawn.train.label])
    is_test = np.arange(len(label)) < len(drawn.test.label)
    frame = pd.DataFrame(codes.astype(np.float64), columns=list(drawn.train.names))
    for column in frame.columns:
        if drawn.schema.feature(column).kind == "category":
            frame[column] = "c" + frame[column].astype(int).astype(str)
    return Subject(
        name=name,
        schema=drawn.schema,
        study=_plain_study(f"varied-{name}", drawn.schema),
        features=drawn.train.names,
        rows=FeatureMatrix(names=drawn.train.names, codes=codes, label=label, is_test=is_test),
        frame=frame,
        chance=drawn.chance,
    )


def _subject(
    name: str, schema: Schema, study: Study, features: tuple[str, ...], frame: pd.DataFrame
) -> Subject:
    label = study.label or ""
    rows = encode_rows(UnsplitRows(frame), schema, features, label, positive_category(study, schema))
    return Subject(
        name=name, schema=schema, study=study, features=features, rows=rows, frame=frame[list(features)]
    )


def _plain_study(name: str, schema: Schema) -> Study:
    return Study.model_validate(
        {
            "id": name,
            "schema": schema.digest(),
            "purpose": "churn-prediction",
            "legal_basis": "consent",
            "task": "scorecard",
            "label": "outcome",
            "expires": "2035-12-31",
            "dpia": "none needed: published or generated data",
            "privacy": {"epsilon": "1", "delta": "0.000001", "noise": "distributed", "min_holders": 3},
        }
    )
