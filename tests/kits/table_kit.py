"""What the tests of a holder's table share: documents, a file, a registry, and the way through all stages."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ringfence.clients.rows.table import MinimisedTable, RawTable, consented, minimised, separate_consents
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.consent import Cohort, ConsentRegistry
from ringfence.privacy.stores.store import open_store

PURPOSE = "churn-prediction"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SPLIT = b"the split key of one study"
NOTICE = "sha256:" + "0" * 64

FEATURES: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "bounds": [18, 90]},
    {"name": "plan", "kind": "category", "categories": ["basic", "gold"]},
    {"name": "joined", "kind": "date", "bounds": ["2000-01-01", "2030-01-01"]},
    {"name": "churn", "kind": "flag"},
]
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "source": "AGE", "purposes": [PURPOSE]},
    {"name": "plan", "source": "PLAN_CD", "purposes": [PURPOSE], "values": {"1": "basic", "2": "gold"}},
    {"name": "joined", "purposes": [PURPOSE]},
    {"name": "churn", "purposes": [PURPOSE], "values": {"N": "no", "Y": "yes"}},
]
HEADER = "id,AGE,PLAN_CD,joined,churn,notes"
ROWS = ["a,30,1,2020-02-29,N,x", "b,,2,,Y,y", "c,200,9,2031-01-01,Y,z"]


def documents(
    features: list[dict[str, Any]] = FEATURES, columns: list[dict[str, Any]] = COLUMNS, **contract: Any
) -> tuple[Contract, Schema, Allowed]:
    schema = Schema.model_validate({"id": "s", "version": 1, "feature": features})
    made = Contract.model_validate(
        {
            "id": "c",
            "holder": "h",
            "version": 1,
            "schema": schema.digest(),
            "subject": "id",
            "population": "p",
            "jurisdiction": "CN",
            "max_customers": 10_000,
            "min_cohort": 1,
            "source": {"file": "t.csv"},
            "column": columns,
        }
        | contract
    )
    names = [column["name"] for column in columns]
    label = "churn" if "churn" in names else None
    allowed = Allowed(
        subject=made.subject,
        label=label,
        features=tuple(name for name in names if name != label),
        headers={column.name: column.header for column in made.columns},
        sensitive=tuple(column.name for column in made.columns if column.sensitivity == "sensitive"),
        separate=("sensitive-data",) if any(c.sensitivity == "sensitive" for c in made.columns) else (),
    )
    return made, schema, allowed


def write(folder: Path, rows: list[str], header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return path


def everybody(keys: list[str], separate: str = "") -> ConsentRegistry:
    """A registry in which these customers have granted their consent."""
    registry = ConsentRegistry.open(open_store(None), bytes(range(32)))
    frame = pd.DataFrame(
        {
            "customer_key": keys,
            "event": "granted",
            "purpose": PURPOSE,
            "at": "2026-01-01",
            "notice_id": "n",
            "notice_version": "1",
            "notice_language": "en",
            "notice_digest": NOTICE,
            "legal_basis": "consent",
            "separate_consents": separate,
        }
    )
    with TemporaryDirectory() as folder:
        frame.to_parquet(Path(folder) / "consent.parquet")
        registry.import_file(Path(folder) / "consent.parquet")
    return registry


def minimise(
    raw: RawTable,
    features: tuple[str, ...] | None = None,
    registry: ConsentRegistry | None = None,
    fraction: Decimal | Fraction = Fraction(0),
    split_key: bytes = SPLIT,
) -> MinimisedTable:
    registry = registry or everybody(sorted(set(raw.keys())))
    cohort = Cohort.freeze(
        registry,
        study="s",
        run=os.urandom(8).hex(),
        purpose=PURPOSE,
        at=NOW,
        indices=registry.indices(raw.keys()),
        separate=separate_consents(raw.allowed),
    )
    rows = consented(raw, registry, cohort.current(registry, NOW))
    return minimised(
        rows,
        features=features or raw.allowed.features,
        label=raw.allowed.label,
        split_key=split_key,
        test_fraction=fraction,
    )


def by_age(table: MinimisedTable) -> pd.DataFrame:
    return table.frame.sort_values("age", na_position="first", ignore_index=True)
