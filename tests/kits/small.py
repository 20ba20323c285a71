"""Small documents and tables that several tests build on: a schema of four features, a study, a
population.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix, encode_rows
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study

FEATURES: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "bounds": [18, 98]},
    {"name": "spend", "kind": "number", "bounds": [1, 10000], "scale": "log"},
    {"name": "plan", "kind": "category", "categories": ["basic", "gold", "none"]},
    {"name": "active", "kind": "flag"},
    {"name": "churn", "kind": "flag"},
]


def schema_of(features: list[dict[str, Any]] | None = None) -> Schema:
    """The small schema."""
    return Schema.model_validate({"id": "small", "version": 1, "feature": features or FEATURES})


def study_of(schema: Schema, *, holders: int = 3, **changes: Any) -> Study:
    """A churn study over the small schema."""
    privacy = {"epsilon": "4", "delta": "1e-6", "noise": "distributed", "min_holders": holders}
    fields: dict[str, Any] = {
        "id": "small-churn",
        "schema": schema.digest(),
        "purpose": "churn-prediction",
        "legal_basis": "consent",
        "task": "scorecard",
        "label": "churn",
        "features": ["age", "spend", "plan", "active"],
        "expires": "2035-12-31",
        "dpia": "test",
        "privacy": privacy | changes.pop("privacy", {}),
        "holders": [
            {
                "name": f"holder-{i}",
                "key": hashlib.sha256(str(i).encode()).hexdigest(),
                "max_customers": 5000,
                "overlap": 1,
            }
            for i in range(holders)
        ],
    }
    return Study.model_validate(fields | changes)


def context_of(*, holders: int = 3, **changes: Any) -> StudyContext:
    """Study and schema with their cells."""
    schema = schema_of()
    return StudyContext.of(study_of(schema, holders=holders, **changes), schema)


@dataclass(frozen=True, slots=True)
class Rows:
    """A frame as a minimised table would be."""

    frame: pd.DataFrame

    @property
    def is_test(self) -> npt.NDArray[np.bool_]:
        return np.zeros(len(self.frame), dtype=bool)


def frame_of(customers: int, seed: int = 1) -> pd.DataFrame:
    """Customers whose churn depends on age, spend and plan."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(15, 100, customers)
    spend = np.exp(rng.normal(4, 1.5, customers))
    plan = rng.choice(["basic", "gold", "none", "unheard-of"], customers, p=[0.5, 0.3, 0.15, 0.05])
    active = rng.choice(["no", "yes"], customers)
    logit = 0.04 * (50 - age) + np.where(plan == "gold", -1.0, 0.5) + np.where(active == "no", 0.8, -0.8)
    churn = np.where(rng.random(customers) < 1 / (1 + np.exp(-logit)), "yes", "no")
    frame = pd.DataFrame({"age": age, "spend": spend, "plan": plan, "active": active, "churn": churn})
    frame.loc[rng.random(customers) < 0.05, "spend"] = np.nan
    return frame


def matrix_of(context: StudyContext, frame: pd.DataFrame) -> FeatureMatrix:
    """Codes of a frame under a study."""
    label = context.study.label
    return encode_rows(
        Rows(frame),
        context.schema,
        context.study.features or (),
        label,
        None if label is None else "yes",
        task_named(context.study.task).measured(context),
    )
