"""What the tests of events share: a small shop's documents, and rows read from its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.clients.rows.table import RawTable, read_table
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.obligations import Allowed
from ringfence.privacy.agreements.schema import EventWindow, Schema

WINDOW: dict[str, Any] = {
    "cutoff": "2027-01-01",
    "history_days": 90,
    "periods": 3,
    "silent_days": 30,
    "most_orders": 16,
    "amount": [0, 100],
    "most_spend": 400,
    "kinds": ["food", "toys"],
}
SOURCE: dict[str, Any] = {
    "time": "day",
    "amount": "price",
    "quantity": "pieces",
    "order": "invoice",
    "kind": "dept",
    "item": "article",
    "values": {"F": "food", "T": "toys"},
    "cancelled": ["C"],
    "purposes": ["churn-prediction"],
}
HEADER = "who,day,price,pieces,invoice,dept,article"


def schema_of(**changes: Any) -> Schema:
    events = EventWindow.model_validate({k: v for k, v in (WINDOW | changes).items() if v is not None})
    return Schema(id="shop", version=1, events=events)


def contract_of(schema: Schema, *, source: dict[str, Any] | None = None, **changes: Any) -> Contract:
    events = {key: value for key, value in (SOURCE | changes).items() if value is not None}
    data = {
        "id": "shop-1",
        "holder": "shop",
        "version": 1,
        "schema": schema.digest(),
        "subject": "who",
        "population": "people",
        "jurisdiction": "DE",
        "max_customers": 100,
        "min_cohort": 1,
        "source": {"file": "orders.csv"} | (source or {}),
        "events": events,
    }
    return Contract.model_validate(data)


def allowed_of(contract: Contract, schema: Schema, names: tuple[str, ...] | None = None) -> Allowed:
    columns = {name: contract.column(name) for name in names or schema.names}
    return Allowed(
        subject=contract.subject,
        label="silent",
        features=tuple(name for name in columns if name not in schema.future),
        headers={name: column.header for name, column in columns.items() if column is not None},
        sensitive=(),
        separate=(),
    )


def read_lines(
    folder: Path,
    lines: list[str],
    *,
    window: dict[str, Any] | None = None,
    header: str = HEADER,
    **events: Any,
) -> RawTable:
    """The rows made of a CSV file of these lines."""
    (folder / "orders.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    schema = schema_of(**(window or {}))
    contract = contract_of(schema, **events)
    return read_table(contract, schema, allowed_of(contract, schema), folder)


def rows(raw: RawTable) -> dict[str, dict[str, Any]]:
    """Values by customer and feature."""
    return {key: raw._frame.iloc[place].to_dict() for place, key in enumerate(raw.keys())}


def codes_noted(raw: RawTable) -> set[str]:
    return {finding.code for finding in raw.quality.findings}
