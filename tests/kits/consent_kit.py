"""Consent files and registries for tests."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

from ringfence.privacy.consent import ConsentRegistry

KEY = bytes(range(32))
PURPOSE = "churn-prediction"
NOTICE = "sha256:" + "ab" * 32
NOW = datetime(2026, 6, 1, tzinfo=UTC)
COLUMNS = (
    "customer_key",
    "event",
    "purpose",
    "at",
    "valid_from",
    "valid_until",
    "notice_id",
    "notice_version",
    "notice_language",
    "notice_digest",
    "legal_basis",
    "recipients",
    "separate_consents",
)


def grant(key: str, at: str = "2026-01-01", **more: str) -> dict[str, str]:
    return {
        "customer_key": key,
        "event": "granted",
        "purpose": PURPOSE,
        "at": at,
        "notice_id": "privacy",
        "notice_version": "3",
        "notice_language": "zh",
        "notice_digest": NOTICE,
        "legal_basis": "consent",
        "recipients": "North Bank; Corner Shop",
    } | more


def refusal(key: str, event: str, at: str, purpose: str = PURPOSE) -> dict[str, str]:
    return {"customer_key": key, "event": event, "purpose": purpose, "at": at}


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.DictWriter(stream, COLUMNS, restval="")
        out.writeheader()
        out.writerows(rows)
    return path


def eligible_keys(
    registry: ConsentRegistry, keys: list[str], at: datetime, purpose: str = PURPOSE
) -> set[str]:
    found = registry.eligible(purpose, at)
    return {
        key
        for key, index in zip(keys, registry.indices(keys).tolist(), strict=True)
        if index >= 0 and index in found
    }
