"""What the tests of items, paths and notes share: documents, and lists read from the lines of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.clients.rows.table import RawTable, read_table
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.obligations import Allowed
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.tables.facts import InputFacts

DAYS: dict[str, Any] = {"since": "2026-01-01", "until": "2027-01-01"}
BASKET: dict[str, Any] = {"name": "basket", "catalogue": ["milk", "bread", "tea", "jam"], "most": 3}
JOURNEY: dict[str, Any] = {"name": "journey", "channels": ["search", "mail", "shop"], "most": 4, **DAYS}
TICKETS: dict[str, Any] = {
    "name": "tickets",
    "most": 3,
    "topic": [
        {"name": "praise", "words": ["thank you", "谢谢"], "patterns": ["very (good|nice)"]},
        {"name": "billing", "words": ["invoice", "账单", "扣费"]},
        {"name": "repair", "words": ["broken", "坏了"]},
    ],
}
PURPOSES = ["churn-prediction"]
ITEMS: dict[str, Any] = {"name": "basket", "item": "article", "purposes": PURPOSES}
PATHS: dict[str, Any] = {
    "name": "journey",
    "time": "at",
    "channel": "channel",
    "converted": "event",
    "conversions": ["buy"],
    "purposes": PURPOSES,
}
NOTES: dict[str, Any] = {"name": "tickets", "text": "text", "purposes": PURPOSES}
KINDS = {"items": (BASKET, ITEMS), "paths": (JOURNEY, PATHS), "notes": (TICKETS, NOTES)}


def documents(
    kind: str, declared: dict[str, Any], source: dict[str, Any]
) -> tuple[Contract, Schema, Allowed]:
    """A schema and a contract of one input and nothing else; keys of value None are left out."""
    whole, mapped = KINDS[kind]
    schema = Schema.model_validate({"id": "s", "version": 1, kind: [without_none(whole | declared)]})
    contract = Contract.model_validate(
        {
            "id": "c",
            "holder": "h",
            "version": 1,
            "schema": schema.digest(),
            "subject": "who",
            "population": "p",
            "jurisdiction": "DE",
            "max_customers": 1000,
            "min_cohort": 1,
            "source": {"file": "lines.csv"},
            kind: [without_none(mapped | source)],
        }
    )
    return contract, schema, allowed_of(contract)


def allowed_of(contract: Contract) -> Allowed:
    """Everything that a contract maps."""
    return Allowed(
        subject=contract.subject,
        label=None,
        features=tuple(column.name for column in contract.columns),
        headers={column.name: column.header for column in contract.columns},
        sensitive=(),
        separate=(),
        inputs={
            name: (source.key(contract.subject), *source.columns.values())
            for name, source in contract.inputs.items()
        },
    )


def without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def read_input(
    folder: Path,
    kind: str,
    header: str,
    lines: list[str],
    *,
    declared: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
) -> RawTable:
    """The table made of a CSV file of these lines, its only input among them."""
    (folder / "lines.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    contract, schema, allowed = documents(kind, declared or {}, source or {})
    return read_table(contract, schema, allowed, folder)


def found_lists(raw: RawTable, name: str) -> dict[str, tuple[list[int], list[int], bool]]:
    """Codes, baskets and flag of each customer."""
    lists = raw._lists[name]
    begin = lists.offsets.tolist()
    return {
        key: (
            lists.of_customer(row),
            lists.groups[begin[row] : begin[row + 1]].tolist(),
            bool(lists.flags[row]),
        )
        for row, key in enumerate(raw.keys())
    }


def codes_of(raw: RawTable, name: str) -> dict[str, list[int]]:
    return {key: codes for key, (codes, _groups, _flag) in found_lists(raw, name).items()}


def facts_of(raw: RawTable) -> InputFacts:
    (facts,) = raw.quality.facts.inputs
    return facts
