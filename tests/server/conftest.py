"""The coordinator's store in both databases, for the tests of what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine

from ringfence.audit.events import Profile
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.stores.store import open_store
from ringfence.server.coordinator import Coordinator
from ringfence.simulations import federation, parties


@pytest.fixture(params=["sqlite", "postgresql"])
def each_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Stores that the test's module opens in memory, and its federation's coordinator's, in each database."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    socket, made = str(request.getfixturevalue("postgresql")), list[Engine]()
    with ExitStack() as databases:

        def opened(target: Path | str | None = None) -> Engine:
            if target is not None:
                return open_store(target)
            made.append(open_store(databases.enter_context(postgresql_database(socket))))
            return made[-1]

        def coordinator(
            profile: Profile, folder: Path, keys: tuple[Identity, Identity] | None = None
        ) -> Coordinator:
            with monkeypatch.context() as inner:
                inner.setattr(parties, "open_store", opened)
                return parties.make_coordinator(profile, folder, keys)

        monkeypatch.setattr(federation, "make_coordinator", coordinator)
        if hasattr(request.module, "open_store"):
            monkeypatch.setattr(request.module, "open_store", opened)
        yield "postgresql"
        for engine in made:
            engine.dispose()
