"""Empty stores of every kind, for tests of what is kept in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine

from ringfence.privacy.stores.store import open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store can be that outlives a process."""
    if request.param == "sqlite":
        yield str(tmp_path / "store.db")
    else:
        with postgresql_database(request.getfixturevalue("postgresql")) as url:
            yield url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An open, empty store of each kind."""
    kind = str(request.param)
    if kind == "postgresql":
        with postgresql_database(request.getfixturevalue("postgresql")) as url:
            yield from _opened(url)
    else:
        yield from _opened(str(tmp_path / "store.db") if kind == "sqlite" else None)


def _opened(target: str | None) -> Iterator[Engine]:
    engine = open_store(target)
    yield engine
    engine.dispose()
