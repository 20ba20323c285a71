"""Copies a store as it stands at one moment into a SQLite file, and fills an empty store from such a file.

A SQLite store is copied by the library's own online backup; a PostgreSQL store is read in one transaction
that sees one state (REPEATABLE READ). Either may go on being used meanwhile. The file has the same rows in
the same tables whichever database they come from, so a store can also come back in the other one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.schema import VERSION_TABLE
from ringfence.privacy.stores.store import location, profile, reading

_AT_ONCE = 2000


def copy_out(engine: Engine, path: Path, names: Iterable[str]) -> None:
    """Copy a store into a new SQLite file of its owner alone.

    Args:
        engine: of the store.
        path: the file to make.
        names: tables of a PostgreSQL store that are copied where they are there; a file is copied whole.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if profile(engine) == "sqlite":
        with closing(sqlite3.connect(location(engine))) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        return
    made = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with reading(engine) as source, made.begin() as target:
        there = set(inspect(source).get_table_names())
        tables = [_plain(source, name) for name in (*names, VERSION_TABLE) if name in there]
        for table in tables:
            table.create(target)
            _copy_rows(source, target, table)


@contextmanager
def copied(path: Path) -> Iterator[Connection]:
    """Read a store's copy; nothing is written to it and nothing in it is run.

    Raises:
        StoreError: RF-B607 it is no intact database, or holds more than tables.
    """

    def connect() -> sqlite3.Connection:
        opened = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        opened.execute("PRAGMA trusted_schema = 0")
        return opened

    with create_engine("sqlite://", creator=connect, poolclass=NullPool).connect() as connection:
        try:
            sound = connection.exec_driver_sql("PRAGMA quick_check").scalar() == "ok"
            active = connection.exec_driver_sql(
                "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')"
            ).scalar()
        except SQLAlchemyError:
            sound, active = False, 0
        if not sound or active:
            raise _damaged()
        yield connection


def copy_in(source: Connection, target: Connection, *, lacking: bool = False) -> None:
    """Fill an empty store of the same version from a copy.

    Args:
        source: from `copied`.
        target: a transaction in the store, whose tables are made and empty.
        lacking: tables may be missing from the copy, as in a store from before there were versions.

    Raises:
        StoreError: RF-B607 its tables are others, or hold what these cannot.
    """
    made = MetaData()
    made.reflect(target)
    wanted = [table for table in made.sorted_tables if table.name != VERSION_TABLE]
    there = set(inspect(source).get_table_names()) - {VERSION_TABLE}
    if there - {table.name for table in wanted} - {"sqlite_sequence"}:
        raise _damaged()
    for table in wanted:
        if table.name not in there:
            if lacking:
                continue
            raise _damaged()
        plain = _plain(target, table.name)
        if {each["name"] for each in inspect(source).get_columns(table.name)} != set(plain.c.keys()):
            raise _damaged()
        try:
            _copy_rows(source, target, plain)
        except (SQLAlchemyError, ValueError, TypeError) as error:
            raise _damaged() from error
        _number_on(target, plain)


def _plain(connection: Connection, name: str) -> Table:
    """A table's columns in types that every database has, without its rules."""
    found = inspect(connection)
    keys = found.get_pk_constraint(name)["constrained_columns"]
    columns: list[Column[Any]] = [
        Column(
            each["name"],
            each["type"].as_generic(),
            primary_key=each["name"] in keys,
            nullable=each["nullable"],
            autoincrement=False,
        )
        for each in found.get_columns(name)
    ]
    return Table(name, MetaData(), *columns)


def _copy_rows(source: Connection, target: Connection, table: Table) -> None:
    with source.execute(select(table).execution_options(yield_per=_AT_ONCE)) as rows:
        for part in rows.partitions():
            target.execute(insert(table), [dict(row._mapping) for row in part])


def _number_on(target: Connection, table: Table) -> None:
    """Let PostgreSQL's numbering of rows go on behind those that were filled in."""
    if target.dialect.name != "postgresql":
        return
    for column in table.primary_key:
        sequence = target.scalar(
            text("SELECT pg_get_serial_sequence(:name, :column)"), {"name": table.name, "column": column.name}
        )
        last = target.scalar(select(func.max(column))) if sequence else None
        if last is not None:
            target.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def _damaged() -> StoreError:
    return StoreError(
        "RF-B607",
        N_("The store in the backup is damaged, or is not of this version; use another backup."),
    )
