"""PostgreSQL as a store: its safe settings, read back on each connection, and its errors as sentences.

The driver's own text may hold the URL's password, and the database's a value, so neither is repeated.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, ExceptionContext

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.faults import READ_ONLY, disk_full, other_fault, unsafe_setting

_SAFE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
}
_ALIVE = {
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 90_000,
}
"""A firewall forgets what is idle, and a machine that is gone says nothing; seconds, and milliseconds."""


def connection_settings(url: URL) -> dict[str, int]:
    """Settings of libpq that keep an idle connection open and notice one that is gone; the URL's stand."""
    return {name: value for name, value in _ALIVE.items() if name not in url.query}


def guard_postgresql(engine: Engine) -> None:
    """Read the safe settings back, open readers as such, and speak in sentences."""

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for setting, wanted in _SAFE.items():
                found = cursor.execute(f"SHOW {setting}").fetchone()[0]
                if found not in wanted:
                    raise unsafe_setting(setting, found, wanted[0])
        connection.rollback()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(READ_ONLY):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

    @event.listens_for(engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        if context.is_pre_ping:
            return  # an idle connection that was ended is replaced, before anything is asked over it
        told = _sentence(context.original_exception)
        if told is not None:
            raise told from None


def require_taking_writes(connection: Connection) -> None:
    """Refuse a database that takes no writes, before something is served from it.

    Raises:
        StoreError: RF-B662.
    """
    if connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() != "off":
        raise _read_only()


def _sentence(error: BaseException) -> StoreError | None:
    """One of ours for an error of the driver; None for one that is a fault of this program."""
    import psycopg
    from psycopg import errors

    match error:
        case errors.DiskFull():
            return disk_full("PostgreSQL")
        case errors.QueryCanceled() | errors.LockNotAvailable():
            return _ended()
        case errors.ReadOnlySqlTransaction():
            return _read_only()
        case errors.InsufficientPrivilege():
            return StoreError(
                "RF-B663",
                N_(
                    "The user of the store's URL may not do in PostgreSQL what this program does there. Let "
                    "this user own the database's tables, or grant it the rights to read and write them."
                ),
            )
        case psycopg.OperationalError():
            return StoreError(
                "RF-B118",
                N_("PostgreSQL cannot be reached or ended the connection; check its URL and that it runs."),
            )
        case psycopg.InternalError() | psycopg.InterfaceError():
            return other_fault("PostgreSQL", f"SQLSTATE {error.sqlstate or '?'}")
        case _:
            return None


def _ended() -> StoreError:
    return StoreError(
        "RF-B661",
        N_(
            "PostgreSQL ended a statement before it was done, and nothing of it was written: another process "
            "held the store longer than statement_timeout or lock_timeout allows, or somebody cancelled it. "
            "Try again, or lengthen the limit for this user."
        ),
    )


def _read_only() -> StoreError:
    return StoreError(
        "RF-B662",
        N_(
            "PostgreSQL takes no writes (transaction_read_only is on): it is a standby, or was set so. Let "
            "the store's URL lead to the server that takes writes, and start again."
        ),
    )
