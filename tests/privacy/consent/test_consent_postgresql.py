"""The registry and the cohort over PostgreSQL give what they give over SQLite."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kits.postgres_kit import postgresql_database

from ringfence.privacy.consent import Cohort, ConsentRegistry
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store

PURPOSE = "churn-prediction"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEYS = [f"c{i}" for i in range(3000)]


@pytest.fixture
def url(postgresql: str) -> Iterator[str]:
    with postgresql_database(postgresql) as found:
        yield found


def test_the_same_answers_and_the_same_roots(url: str, tmp_path: Path) -> None:
    row = {
        "event": "granted",
        "purpose": PURPOSE,
        "at": "2026-01-01T00:00:00.000001+00:00",
        "notice_id": "n",
        "notice_version": "1",
        "notice_language": "en",
        "notice_digest": "sha256:" + "0" * 64,
        "legal_basis": "consent",
    }
    path = tmp_path / "c.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.DictWriter(stream, ["customer_key", *row])
        out.writeheader()
        out.writerows({"customer_key": key} | row for key in KEYS)
    roots, members = [], []
    for target in (url, None):
        engine = open_store(target)
        registry = ConsentRegistry.open(engine, bytes(range(32)))
        registry.import_file(path)
        assert registry.withdraw(KEYS[:7], "all", NOW) == 7
        cohort = Cohort.freeze(
            registry, study="s", run="r", purpose=PURPOSE, at=NOW, indices=registry.indices(KEYS[:100])
        )
        registry.withdraw(["c50", "stranger"], PURPOSE, NOW)
        again = ConsentRegistry.open(engine, bytes(range(32)))
        found = Cohort.load(again, study="s", run="r")
        assert found == cohort
        members.append(list(found.current(again, NOW + timedelta(hours=1)).subjects))
        roots.append([registry.root(PURPOSE, NOW), registry.root("fraud-prevention", NOW)])
        assert registry.erase(["c60"], NOW) == 1
        assert registry.status("c61", NOW)[PURPOSE].eligible
        assert registry.coverage(NOW)[PURPOSE].withdrawn == 10
        with pytest.raises(ConsentError, match="RF-N003"):
            ConsentRegistry.open(engine, bytes(32))
        engine.dispose()
    assert roots[0] == roots[1]
    assert members[0] == members[1]
    assert len(members[0]) == 92
