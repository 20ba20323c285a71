"""The lease on a store: one process serves a holder's store at a time, and says so to a second one.

The operating system ends the lease with the process, however that ends. The ledger does not lean on it (its
transactions hold between processes too); it keeps two clients from answering the same round.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.store import location, profile

# An arbitrary fixed number by which PostgreSQL knows this lock within the database.
_ADVISORY_KEY = 0x52494E4746454E43


@contextmanager
def lease(engine: Engine, purpose: str = "") -> Iterator[None]:
    """Hold the store's lease for as long as the block runs.

    A store in memory belongs to its process anyway.

    Args:
        engine: of the store.
        purpose: a word, where one store has several things that one process at a time may do.

    Raises:
        StoreError: another process holds it, or the store was not opened by `open_store`.
    """
    match profile(engine):
        case "memory":
            yield
        case "sqlite":
            with _file_lease(location(engine), purpose):
                yield
        case "postgresql":
            with _database_lease(engine, purpose):
                yield


@contextmanager
def _file_lease(path: str, purpose: str) -> Iterator[None]:
    # A file of its own: closing any handle on the database file would drop SQLite's locks on it.
    name = f"{path}.{purpose}.lease" if purpose else f"{path}.lease"
    handle = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
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
def _database_lease(engine: Engine, purpose: str) -> Iterator[None]:
    key = (
        _ADVISORY_KEY ^ int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:7])
        if purpose
        else _ADVISORY_KEY
    )
    with engine.connect() as connection:
        free = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({key})").scalar_one()
        connection.commit()
        if not free:
            raise _taken("PostgreSQL", "?")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({key})")
            connection.commit()


def _taken(name: str, holder: str) -> StoreError:
    return StoreError(
        "RF-B120",
        N_("Another process ({holder}) is using the store {file}; stop it first, or use a store of its own."),
        file=name,
        holder=holder,
    )
