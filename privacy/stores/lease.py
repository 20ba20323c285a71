"""The lease on a store: one process serves a holder's store at a time, and says so to a second one.

The operating system ends the lease with the process, however that ends. The ledger does not lean on it (its
transactions hold between processes too); it keeps two clients from answering the same round.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.faults import READ_ONLY
from ringfence.privacy.stores.postgresql import require_taking_writes
from ringfence.privacy.stores.store import location, profile, reading

# An arbitrary fixed number by which PostgreSQL knows this lock within the database.
_ADVISORY_KEY = 0x52494E4746454E43
_TRIES, _INSTANT = 5, 0.02
_LEASES, _FILES = "ringfence_leases", "ringfence_lease_files"


@contextmanager
def lease(engine: Engine, purpose: str = "") -> Iterator[None]:
    """Hold the store's lease for as long as the block runs.

    A store in memory belongs to its process anyway. In PostgreSQL the lease ends with the connection that
    holds it, whoever ends that; from then on every transaction of the engine is refused (RF-S561). In SQLite
    it is a lock on a file; where that is gone, another process may lock another, and nothing more is written
    (RF-B660).

    Args:
        engine: of the store.
        purpose: a word, where one store has several things that one process at a time may do.

    Raises:
        StoreError: another process holds it, or the store was not opened by `open_store`; RF-B662 PostgreSQL
            takes no writes.
    """
    match profile(engine):
        case "memory":
            yield
        case "sqlite":
            with _file_lease(engine, purpose):
                yield
        case "postgresql":
            with _database_lease(engine, purpose):
                yield


def require_lease(engine: Engine) -> None:
    """Refuse where the store does not answer, or where a lease that this engine took is lost.

    Raises:
        StoreError: RF-S561 or RF-B660 another process may have the store by now; RF-B118 and others, it does
            not answer.
    """
    _require_files(engine.get_execution_options().get(_FILES, {}))
    with reading(engine):  # its begin asks for PostgreSQL's leases
        pass


def leased(engine: Engine, purpose: str = "") -> bool:
    """Whether a process holds the lease at this moment; nothing is made and nobody is kept waiting.

    Args:
        engine: of the store.
        purpose: as `lease` takes it.
    """
    match profile(engine):
        case "sqlite":
            return _file_leased(_lease_file(location(engine), purpose))
        case "postgresql":
            with engine.connect() as connection:
                return _locked(connection, _advisory_key(purpose))
        case _:
            return False


def _file_leased(name: str) -> bool:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lease_file(path: str, purpose: str) -> str:
    return f"{path}.{purpose}.lease" if purpose else f"{path}.lease"


def _advisory_key(purpose: str) -> int:
    if not purpose:
        return _ADVISORY_KEY
    return _ADVISORY_KEY ^ int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:7])


@contextmanager
def _file_lease(engine: Engine, purpose: str) -> Iterator[None]:
    # A file of its own: closing any handle on the database file would drop SQLite's locks on it.
    path = location(engine)
    name = _lease_file(path, purpose)
    handle = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock(handle)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "?"
            raise _taken(os.path.basename(path), holder) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        held = _guarded_files(engine)
        held[name] = os.fstat(handle)
        try:
            _require_files(held)  # it may have been removed while its lock was waited for
            yield
        finally:
            del held[name]
    finally:
        os.close(handle)


def _guarded_files(engine: Engine) -> dict[str, os.stat_result]:
    """The files of this engine's leases, by name; every writer looks whether they are still there."""
    held: dict[str, os.stat_result] | None = engine.get_execution_options().get(_FILES)
    if held is not None:
        return held
    made: dict[str, os.stat_result] = {}
    engine.update_execution_options(**{_FILES: made})

    @event.listens_for(engine, "begin")
    def require(connection: Connection) -> None:
        if not connection.get_execution_options().get(READ_ONLY):
            _require_files(made)

    return made


def _require_files(held: Mapping[str, os.stat_result]) -> None:
    """Refuse where a lease's file is gone or another: its lock keeps nobody off any more.

    Raises:
        StoreError: RF-B660.
    """
    for name, status in tuple(held.items()):
        try:
            there = os.path.samestat(status, os.stat(name))
        except OSError:
            there = False
        if not there:
            raise StoreError(
                "RF-B660",
                N_(
                    "The file {file}, which kept other processes off the store, was removed or replaced, so "
                    "this process writes nothing more. Nothing that was written is lost; start it again, and "
                    "leave that file where it is."
                ),
                file=os.path.basename(name),
            )


def _lock(handle: int) -> None:
    """Take the lease; whoever only looks whether it is held (`leased`) holds it for an instant."""
    for _try in range(_TRIES - 1):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_INSTANT)
        else:
            return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _database_lease(engine: Engine, purpose: str) -> Iterator[None]:
    key = _advisory_key(purpose)
    with engine.connect() as connection:
        require_taking_writes(connection)
        # This session waits for as long as the lease is held; PostgreSQL before 14 has no such limit.
        connection.exec_driver_sql(
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
        )
        free = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({key})").scalar_one()
        session = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        connection.commit()
        if not free:
            raise _taken("PostgreSQL", "?")

        held = _guarded(engine)
        held[key] = session
        try:
            yield
        finally:
            del held[key]
            try:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({key})")
                connection.commit()
            except StoreError:
                # The lock ends with the connection, and what the block did was done while it stood.
                connection.invalidate()


def _guarded(engine: Engine) -> dict[int, int]:
    """The sessions that hold this engine's locks, by lock; every transaction looks whether they still do.

    A lock ends with its connection, and the pool would make a new one without a word. What looks is added
    with the first lease alone: other threads may begin transactions while a later one comes or goes.
    """
    held: dict[int, int] | None = engine.get_execution_options().get(_LEASES)
    if held is not None:
        return held
    made: dict[int, int] = {}
    engine.update_execution_options(**{_LEASES: made})

    @event.listens_for(engine, "begin")
    def require(connection: Connection) -> None:
        for key, session in tuple(made.items()):
            if not _locked(connection, key, f"AND pid = {session}"):
                raise StoreError(
                    "RF-S561",
                    N_(
                        "PostgreSQL ended the connection that kept other processes off the store, so this "
                        "process uses it no more. Nothing that was written is lost; start it again."
                    ),
                )

    return made


def _locked(connection: Connection, key: int, more: str = "") -> bool:
    """Whether a connection to this database has the lock at this moment."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
        f"AND classid = {key >> 32} AND objid = {key & 0xFFFFFFFF} "
        f"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) {more}"
    ).first()
    return found is not None


def _taken(name: str, holder: str) -> StoreError:
    return StoreError(
        "RF-B120",
        N_("Another process ({holder}) is using the store {file}; stop it first, or use a store of its own."),
        file=name,
        holder=holder,
    )
