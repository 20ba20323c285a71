"""What all tests may ask for: a PostgreSQL server; and profiles of property tests, long under `make soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgres_kit import POSTGRESQL, postgresql_server

settings.register_profile("soak", max_examples=2000, deadline=None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The socket of a server that all tests of a session share; each takes a database of its own in it."""
    if not POSTGRESQL.exists():
        pytest.skip("PostgreSQL 15 is not installed")
    with postgresql_server() as socket:
        yield socket
