"""The lease on a store: one process serves a holder's store at a time, and says so to a second one.

The operating system ends the lease with the process, however that ends. The ledger does not lean on it (its
transactions hold between processes too); it keeps two clients from answering the same round.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.store import location, profile

# An arbitrary fixed number by which PostgreSQL knows this lock within the database.
_ADVISORY_KEY = 0x52494E4746454E43


@contextmanager
def lease(engine: Engine) -> Iterator[None]:
    """Hold the store's lease for as long as the block runs.

    A store in memory belongs to its process anyway.

    Raises:
        StoreError: another process holds it, or the store was not opened by `open_store`.
    """
    match profile(engine):
        case "memory":
            yield
        case "sqlite":
            with _file_lease(location(engine)):
                yield
        case "postgresql":
            with _database_lease(engine):
                yield


@contextmanager
def _file_lease(path: str) -> Iterator[None]:
    # A file of its own: closing any handle on the database file would drop SQLite's locks on it.
    handle = os.open(f"{path}.lease", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "?"
            raise _taken(os.path.basename(path), holder) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


@contextmanager
def _database_lease(engine: Engine) -> Iterator[None]:
    with engine.connect() as connection:
        free = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_ADVISORY_KEY})").scalar_one()
        connection.commit()
        if not free:
            raise _taken("PostgreSQL", "?")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_ADVISORY_KEY})")
            connection.commit()


def _taken(name: str, holder: str) -> StoreError:
    return StoreError(
        "RF-B120",
        N_("Another process ({holder}) is using the store {file}; stop it first, or use a store of its own."),
        file=name,
        holder=holder,
    )
