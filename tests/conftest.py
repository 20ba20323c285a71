"""What all tests may ask for: a PostgreSQL server; the language they begin in; and profiles of property
tests, long under `make soak`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from kits.postgres_kit import POSTGRESQL, postgresql_server

import ringfence.audit.errors
import ringfence.privacy.errors

# Sentences are compared in English, whatever language the machine speaks.
for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
    os.environ.pop(name, None)
os.environ["LANG"] = "C.UTF-8"

# That a machine is busy is no fault of what is tested. Each run looks at the same examples, so that a commit
# is judged by what it changed; `make soak` draws others each time, and many more.
settings.register_profile("ringfence", deadline=None, derandomize=True)
settings.load_profile("ringfence")
settings.register_profile("soak", max_examples=2000, deadline=None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The socket of a server that all tests of a session share; each takes a database of its own in it."""
    if not POSTGRESQL.exists():
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL 15 is not installed, and what depends on it must be tested here")
        pytest.skip("PostgreSQL 15 is not installed")
    with postgresql_server() as socket:
        yield socket


@pytest.fixture(autouse=True)
def environments_language() -> Iterator[None]:
    """A test that chose a language leaves none behind: which test runs next in a process is chance."""
    yield
    ringfence.audit.errors.use_language(None)
    ringfence.privacy.errors.use_language(None)
