"""Which form a store has: a version that is written in it and compared with the code's at each opening.

Invariants:
    A store is used in the form that the code expects, or not at all. Opening one never changes its form:
    that is done by `migrate`, which copies the store first.
    An empty database is a store only when it is being made; found empty later, it is a lost one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, insert, inspect, select

from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.store import reading

VERSION_TABLE = "schema_version"
# As Alembic writes and reads it.
_VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
_SHOWN = 40  # characters of a version that somebody else wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSchema:
    """The form of one kind of store.

    Attributes:
        kind: whose store it is, `holder` or `coordinator`; its versions begin with it.
        program: whose command `migrate` brings it up to date.
        revisions: its versions, oldest first.
        folder: of the migrations, one module for each version.
        tables: makes the tables of the newest version, as the code uses them.
        kept: tables of which no migration may lose a row.
    """

    kind: str
    program: str
    revisions: tuple[str, ...]
    folder: Path
    tables: Callable[[], MetaData]
    kept: tuple[str, ...]

    @property
    def head(self) -> str:
        """The version that the code uses."""
        return self.revisions[-1]


def gathered(parts: Iterable[MetaData]) -> MetaData:
    """The tables of several modules as those of one store."""
    whole = MetaData()
    for part in parts:
        for table in part.sorted_tables:
            table.to_metadata(whole)
    return whole


def found_version(connection: Connection) -> str | None:
    """The version that is written in a store; None where none is.

    Raises:
        StoreError: RF-B604 several are.
    """
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    found = connection.scalars(select(_VERSION.c.version_num)).all()
    if len(found) != 1:
        raise StoreError(
            "RF-B604",
            N_("The store names {count} versions of itself where one is expected; restore it from a backup."),
            count=len(found),
        )
    return str(found[0])


def write_version(connection: Connection, revision: str) -> None:
    """Write into a store which version it has now."""
    _VERSION.create(connection, checkfirst=True)
    connection.execute(_VERSION.delete())
    connection.execute(insert(_VERSION).values(version_num=revision))


def lay(engine: Engine, schema: StoreSchema) -> None:
    """Make all tables of an empty store in its newest form; one that has this form already stays as it is.

    Raises:
        StoreError: as `require_current`, where the store holds something else.
    """
    with engine.begin() as connection:
        if found_version(connection) is None and not inspect(connection).get_table_names():
            schema.tables().create_all(connection, checkfirst=False)
            write_version(connection, schema.head)
            return
    require_current(engine, schema)


def require_current(engine: Engine, schema: StoreSchema) -> None:
    """Refuse a store that has not the form which the code uses.

    Raises:
        StoreError: RF-B600 it is older, RF-B601 newer, RF-B602 of another kind, RF-B603 empty.
    """
    with reading(engine) as connection:
        found = found_version(connection)
        if found == schema.head:
            return
        require_upgradable(connection, schema, found)
    raise StoreError(
        "RF-B600",
        N_(
            "The store is of an earlier version ({found}; this program uses {expected}). Bring it up to "
            "date: {program} migrate"
        ),
        found=found or "-",
        expected=schema.head,
        program=schema.program,
    )


def require_upgradable(connection: Connection, schema: StoreSchema, found: str | None) -> None:
    """Refuse a store whose version says that these migrations do not lead from it to the newest one.

    Raises:
        StoreError: RF-B601 it is newer, RF-B602 of another kind, RF-B603 empty.
    """
    if found in schema.revisions:
        return
    if found is None:
        if not inspect(connection).get_table_names():
            raise StoreError(
                "RF-B603",
                N_("The store is empty; restore it from a backup. A lost store is never begun anew."),
            )
        return
    if not found.startswith(f"{schema.kind}_"):
        raise StoreError(
            "RF-B602",
            N_("The store is of another kind ({found}); expected that of a {kind}. Check store in {file}."),
            found=found[:_SHOWN],
            kind=schema.kind,
            file="client.toml" if schema.kind == "holder" else "server.toml",
        )
    raise StoreError(
        "RF-B601",
        N_(
            "The store was made by a newer version of Ringfence ({found}; this one knows {expected}). Use "
            "that version; nothing was changed."
        ),
        found=found[:_SHOWN],
        expected=schema.head,
    )
