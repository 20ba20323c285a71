"""Opens the database that holds consent, ledger and audit log, in the only modes in which it may be trusted.

Invariants:
    What a transaction committed is on the disk (DESIGN, 6.2): SQLite runs with `synchronous=EXTRA` (FULL in
    WAL mode), PostgreSQL with `fsync` and `synchronous_commit`; the settings are read back on each
    connection. A transaction is a writer's from its first statement (`BEGIN IMMEDIATE`), so what it read
    still holds when it writes; `reading` opens one that cannot write. A new file belongs to its owner alone
    (mode 0600); a file that others can open is refused.

SQLite before 3.51.3 can corrupt a database in WAL mode, so older libraries use a rollback journal.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from ringfence.privacy.errors import N_, StoreError, reason_of
from ringfence.privacy.stores.faults import READ_ONLY, WaitedPool, disk_full, other_fault, unsafe_setting
from ringfence.privacy.stores.postgresql import connection_settings, guard_postgresql

Target: TypeAlias = "str | os.PathLike[str] | None"
Profile: TypeAlias = Literal["memory", "sqlite", "postgresql"]

WAL_IS_SAFE_FROM = (3, 51, 3)
BUSY_SECONDS = 30.0
_PROFILE = "ringfence_profile"
_PATH = "ringfence_path"

# What the database must answer when asked back; synchronous 2 is FULL, 3 is EXTRA.
_SAFE_WAL: dict[str, str | int] = {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0, "foreign_keys": 1}
_SAFE_ROLLBACK: dict[str, str | int] = _SAFE_WAL | {"journal_mode": "truncate", "synchronous": 3}
_SAFE_MEMORY: dict[str, str | int] = {"journal_mode": "memory", "foreign_keys": 1}


def open_store(target: Target) -> Engine:
    """Open a store, or refuse with a sentence that says what to do.

    Args:
        target: a path to a SQLite file, made when absent; a `postgresql://` URL; `None` for a database in
            memory that all threads share and that ends with the engine (simulations and tests).

    Returns:
        An engine on which `begin()` starts a writer's transaction; for readers see `reading`.

    Raises:
        StoreError: the store cannot be opened, is not a database, or its safe settings did not take.
    """
    if target is None:
        return _open_memory()
    name = os.fspath(target)
    return _open_url(name) if "://" in name else _open_file(Path(name))


def profile(engine: Engine) -> Profile:
    """Say which kind of store an engine stands on; `memory` is the simulation profile.

    Raises:
        StoreError: the engine does not come from `open_store`.
    """
    found: Profile | None = engine.get_execution_options().get(_PROFILE)
    if found is None:
        raise StoreError("RF-B101", N_("This database was opened without its safe settings; use open_store."))
    return found


def location(engine: Engine) -> str:
    """Absolute path of a SQLite store's file, empty for other stores."""
    return str(engine.get_execution_options().get(_PATH, ""))


def require_durable(engine: Engine) -> Engine:
    """Return the engine if what it commits outlives the process, else refuse.

    Raises:
        StoreError: the store is in memory.
    """
    if profile(engine) == "memory":
        raise StoreError(
            "RF-B102",
            N_("The store is in memory, which only simulations may use; configure a file or a URL."),
        )
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the store, holds up no reader and writes nothing."""
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection, connection.begin():
        yield connection


class _OneConnection(WaitedPool):
    """One connection that threads take in turn; a thread that asks for a second one is told at once.

    On a file a second writing transaction in the same thread would wait for itself, and so it would here.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **(options | {"pool_size": 1, "max_overflow": 0, "timeout": BUSY_SECONDS}))
        self._owner: int | None = None
        event.listen(self, "checkout", self._taken)
        event.listen(self, "checkin", self._returned)

    def _do_get(self) -> ConnectionPoolEntry:
        if self._owner == threading.get_ident():
            raise StoreError(
                "RF-B119", N_("A transaction is already open in this thread; pass its connection on instead.")
            )
        return super()._do_get()

    def _taken(self, *_: object) -> None:
        self._owner = threading.get_ident()

    def _returned(self, *_: object) -> None:
        self._owner = None


def _open_memory() -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=_OneConnection, execution_options={_PROFILE: "memory"}
    )
    _guard_sqlite(engine, _SAFE_MEMORY, "memory")
    return engine


def _open_file(path: Path) -> Engine:
    _create_private(path)
    _check_private(path)
    safe = _SAFE_WAL if sqlite3.sqlite_version_info >= WAL_IS_SAFE_FROM else _SAFE_ROLLBACK

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=WaitedPool,
        pool_size=2,
        max_overflow=30,
        execution_options={_PROFILE: "sqlite", _PATH: os.path.abspath(path)},
    )
    _guard_sqlite(engine, safe, path.name)
    _guard_place(engine, path)
    try:
        with (
            engine.begin()
        ):  # a writer's lock at once: a read-only disk shows now, not in the middle of a round
            pass
    except BaseException:
        engine.dispose()
        raise
    return engine


def _open_url(name: str) -> Engine:
    try:
        url = make_url(name)
    except (SQLAlchemyError, ValueError):
        raise StoreError(
            "RF-B103", N_("The store's URL cannot be read; expected postgresql://host/database.")
        ) from None
    if url.get_backend_name() != "postgresql":
        raise StoreError(
            "RF-B104",
            N_("The store's URL starts with {kind}://; expected a file path or postgresql://."),
            kind=url.get_backend_name(),
        )
    url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(
            url,
            poolclass=WaitedPool,
            pool_pre_ping=True,
            connect_args=connection_settings(url),
            execution_options={_PROFILE: "postgresql"},
        )
    except ImportError:
        raise StoreError(
            "RF-B105", N_("PostgreSQL needs the package psycopg; install ringfence[server].")
        ) from None
    guard_postgresql(engine)
    try:
        with engine.connect():
            pass
    except BaseException:
        engine.dispose()
        raise
    return engine


def _create_private(path: Path) -> None:
    """Make an empty file with mode 0600 before SQLite can make one that others read."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise _cannot_create(path, error) from None


def _cannot_create(path: Path, error: OSError) -> StoreError:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return disk_full(path.name)
        case errno.ENOENT | errno.ENOTDIR:
            return StoreError(
                "RF-B107",
                N_("The folder for the store {file} does not exist; make it first."),
                file=path.name,
            )
        case _:
            return StoreError(
                "RF-B108",
                N_("The store {file} cannot be written: {reason}. Choose a folder this user may write to."),
                file=path.name,
                reason=reason_of(error),
            )


def _check_private(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise StoreError("RF-B109", N_("The store {file} is not an ordinary file."), file=path.name)
    if os.name == "posix" and status.st_mode & 0o077:
        raise StoreError(
            "RF-B110",
            N_("Other users can open the store {file} (mode {mode}); expected 0600. Run chmod 600 on it."),
            file=path.name,
            mode=f"{stat.S_IMODE(status.st_mode):04o}",
        )


def _guard_sqlite(engine: Engine, safe: dict[str, str | int], name: str) -> None:
    """Apply and read back the safe settings on every connection, begin as a writer, speak in sentences."""

    @event.listens_for(engine, "connect")
    def settle(connection: sqlite3.Connection, _record: object) -> None:
        try:
            for pragma, wanted in safe.items():
                connection.execute(f"PRAGMA {pragma} = {wanted}")
                row = connection.execute(f"PRAGMA {pragma}").fetchone()
                # A build without memory mapping answers nothing, which is what is asked for.
                found = row[0] if row else 0
                if found != wanted:
                    raise unsafe_setting(pragma, found, wanted)
        except sqlite3.Error as error:
            raise _sentence(error, name) from error

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Straight to the driver: these two begin every transaction, and cost ten times as much by the other
        # way.
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        try:
            if connection.get_execution_options().get(READ_ONLY):
                driver.execute("BEGIN")
                driver.execute("PRAGMA query_only = 1")
            else:
                driver.execute("PRAGMA query_only = 0")
                driver.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _sentence(error, name) from error

    @event.listens_for(engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        if isinstance(
            context.original_exception, sqlite3.OperationalError | sqlite3.DatabaseError
        ) and not isinstance(context.original_exception, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise _sentence(context.original_exception, name) from context.original_exception


def _guard_place(engine: Engine, path: Path) -> None:
    """Write to the file that has the store's name, or refuse.

    A file that was removed or replaced stays open, takes what is committed, and is gone with the process.
    """
    opened = os.stat(path)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(READ_ONLY):
            return
        try:
            there = os.path.samestat(opened, os.stat(path))
        except OSError:
            there = False
        if not there:
            raise StoreError(
                "RF-B630",
                N_(
                    "The store {file} was removed or replaced while it was in use, so nothing is written. "
                    "Stop this process, and put the file back or restore a backup."
                ),
                file=path.name,
            )


def _sentence(error: Exception, name: str) -> StoreError:
    """Turn an error of SQLite into one of ours."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return disk_full(name)
        case sqlite3.SQLITE_NOTADB:
            return StoreError(
                "RF-B113",
                N_("The file {file} is not a database of Ringfence; choose another name."),
                file=name,
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(
                "RF-B114", N_("The store {file} is damaged; restore it from a backup."), file=name
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreError(
                "RF-B115",
                N_("The store {file} or its folder is read-only; give this user the right to write there."),
                file=name,
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                "RF-B116",
                N_(
                    "Another process has held the store {file} for {seconds} seconds; stop it or try again "
                    "later."
                ),
                file=name,
                seconds=int(BUSY_SECONDS),
            )
        case _:
            return other_fault(name, error)
