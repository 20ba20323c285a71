"""Brings a store from one version to the next: Alembic's operations in one transaction of ours.

Invariants:
    A store is changed as a whole or not at all: all steps, the version they lead to and what the caller
    verifies stand in one transaction, on SQLite as on PostgreSQL.
    A store without a version, as the code made it before there were versions, is taken as the first version
    only where its tables are exactly those of that version; of these, ones that were only made when they were
    first needed may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, func, inspect, select, table

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.schema import VERSION_TABLE, StoreSchema, found_version, write_version
from ringfence.privacy.stores.store import profile


def scripts(schema: StoreSchema) -> list[Script]:
    """The migrations of a kind of store, oldest first."""
    folder = str(schema.folder)
    return list(reversed(list(ScriptDirectory(folder, version_locations=[folder]).walk_revisions())))


@contextmanager
def changing_form(engine: Engine) -> Iterator[Connection]:
    """A transaction in which a store's tables may be changed; nothing of it stays if the block raises.

    SQLite changes a table by making another in its place, which it would refuse while other tables refer to
    it; so references are checked at the end instead.

    Raises:
        StoreError: RF-B605 a row refers to one that is not there.
    """
    lite = profile(engine) != "postgresql"
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if lite:
            driver.execute("PRAGMA foreign_keys = 0")
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first() if lite else None
                if broken is not None:
                    raise StoreError(
                        "RF-B605",
                        N_("A row of the table {table} refers to one that is not there."),
                        table=broken[0],
                    )
        finally:
            if lite:
                driver.execute("PRAGMA foreign_keys = 1")


def upgrade_store(connection: Connection, schema: StoreSchema, target: str = "") -> tuple[str, ...]:
    """Run the migrations from the store's version to another; the versions that were reached.

    Args:
        connection: from `changing_form`.
        schema: of this kind of store.
        target: the version to stop at; the newest by default.
    """
    found = found_version(connection)
    begin = 0 if found is None else schema.revisions.index(found) + 1
    end = schema.revisions.index(target or schema.head) + 1
    wanted = schema.revisions[begin:end]
    with Operations.context(_context(connection)):
        for script in scripts(schema):
            if script.revision in wanted:
                script.module.upgrade()
                write_version(connection, script.revision)
    return wanted


def require_first(connection: Connection, schema: StoreSchema) -> None:
    """Refuse a store without a version whose tables are not those of the first one.

    Raises:
        StoreError: RF-B606, which names a table that differs.
    """
    first: MetaData = scripts(schema)[0].module.TABLES
    found, kept = inspect(connection), set(schema.kept)
    lacking = set(first.tables) - set(found.get_table_names())
    for difference in compare_metadata(_context(connection), first):
        if _added(difference) not in lacking:
            raise _other_tables(schema, _place(difference))
    for each in first.sorted_tables:
        if each.name in lacking:
            if each.name in kept:
                raise _other_tables(schema, each.name)
        elif found.get_pk_constraint(each.name)["constrained_columns"] != [c.name for c in each.primary_key]:
            raise _other_tables(schema, each.name)


def row_counts(connection: Connection, schema: StoreSchema) -> Mapping[str, int]:
    """Rows of the tables of which none may be lost."""
    return {
        name: connection.execute(select(func.count()).select_from(table(name))).scalar_one()
        for name in schema.kept
    }


def differences(connection: Connection, tables: MetaData) -> list[Any]:
    """Where a store's tables differ from these, as Alembic finds it."""
    return list(compare_metadata(_context(connection), tables))


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def _added(difference: Any) -> str | None:
    """The table that is to be made, or that an index is to be made for; None for any other difference."""
    match difference:
        case ("add_table", absent):
            return str(absent.name)
        case ("add_index", index) if index.table is not None:
            return str(index.table.name)
    return None


def _place(difference: Any) -> str:
    """The table that a difference is in."""
    first = difference[0] if isinstance(difference, list) else difference
    match first:
        case ("remove_table", extra):
            return str(extra.name)
        case (str(), None, str(name), *_):
            return name
        case (str(), item, *_) if getattr(item, "table", None) is not None:
            return str(item.table.name)
    return "?"


def _other_tables(schema: StoreSchema, name: str) -> StoreError:
    return StoreError(
        "RF-B606",
        N_(
            "The store has no version, and its table {table} is not as the first version ({first}) has it; "
            "nothing was changed. Check that this is the store of a {kind}, and restore it from a backup."
        ),
        table=name[:60],
        first=schema.revisions[0],
        kind=schema.kind,
    )
