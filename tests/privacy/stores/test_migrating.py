"""Migrations lead to the tables that the code uses, with what is in them, or change nothing."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import parsed, python_files
from sqlalchemy import Engine, inspect, text

from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.rows import verify_rows
from ringfence.clients.migrations.schema import HOLDER_STORE
from ringfence.privacy.command_line.housekeeping import House, migrate
from ringfence.privacy.errors import StoreError
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.migrating import changing_form, differences, scripts, upgrade_store
from ringfence.privacy.stores.schema import (
    VERSION_TABLE,
    StoreSchema,
    found_version,
    lay,
    require_current,
)
from ringfence.privacy.stores.store import open_store, reading
from ringfence.privacy.toml.settings import HouseDocument, HouseSettings
from ringfence.server.migrations.schema import COORDINATOR_STORE

ORIGIN = "ringfence/coordinator/city"
SIGNER = MemorySigner()
SECOND = '''"""A further version, for tests."""

import sqlalchemy as sa
from alembic import op

revision = "coordinator_0002"
down_revision = "coordinator_0001"


def upgrade() -> None:
    with op.batch_alter_table("study_runs") as table:
        table.add_column(sa.Column("turn", sa.Integer, nullable=False, server_default="7"))
    with op.batch_alter_table("audit_event") as table:
        table.alter_column("action", type_=sa.String(80), existing_nullable=False)
    {more}
'''

BOTH = pytest.mark.parametrize("schema", [HOLDER_STORE, COORDINATOR_STORE], ids=lambda each: each.kind)


@pytest.fixture
def store(target: str) -> Iterator[Engine]:
    engine = open_store(target)
    yield engine
    engine.dispose()


def form(engine: Engine) -> dict[str, object]:
    """Everything that a database says of its tables."""
    found = inspect(engine)
    return {
        name: (
            [{**each, "type": str(each["type"])} for each in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(found.get_indexes(name), key=lambda each: str(each["name"])),
            sorted(str(each["sqltext"]) for each in found.get_check_constraints(name)),
            sorted(
                (each["constrained_columns"], each["referred_table"]) for each in found.get_foreign_keys(name)
            ),
            [each["column_names"] for each in found.get_unique_constraints(name)],
        )
        for name in found.get_table_names()
    }


@BOTH
def test_migrations_lead_to_the_tables_of_the_code(store: Engine, schema: StoreSchema) -> None:
    lay(store, schema)
    laid = form(store)
    assert laid
    with changing_form(store) as connection:
        schema.tables().drop_all(connection)
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    with changing_form(store) as connection:
        assert upgrade_store(connection, schema) == schema.revisions
        assert differences(connection, schema.tables()) == []
    migrated = form(store)
    assert migrated == laid
    require_current(store, schema)


@BOTH
def test_the_named_versions_are_those_of_the_migrations_in_one_line(schema: StoreSchema) -> None:
    found = scripts(schema)
    assert tuple(each.revision for each in found) == schema.revisions
    assert [each.down_revision for each in found] == [None, *schema.revisions[:-1]]


def test_every_table_of_the_product_is_in_a_store() -> None:
    """A module that makes a table of its own is listed in the form of its party's store."""
    known = set(HOLDER_STORE.tables().tables) | set(COORDINATOR_STORE.tables().tables) | {VERSION_TABLE}
    names = {"VERSION_TABLE": VERSION_TABLE}
    made = set()
    for path in python_files("audit", "clients", "privacy", "server"):
        if "migrations" in path.parts or path.name == "copying.py":
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Table" and node.args:
                first = node.args[0]
                made.add(first.value if isinstance(first, ast.Constant) else names[ast.unparse(first)])
    assert made == known


def further(folder: Path, more: str = "pass") -> StoreSchema:
    """The coordinator's store with one version more."""
    shutil.copytree(
        COORDINATOR_STORE.folder, folder / "versions", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "versions" / "coordinator_0002.py").write_text(SECOND.format(more=more), encoding="utf-8")
    revisions = (*COORDINATOR_STORE.revisions, "coordinator_0002")
    return replace(COORDINATOR_STORE, revisions=revisions, folder=folder / "versions")


def house(schema: StoreSchema, folder: Path) -> House:
    config = HouseDocument(name="city", store="x.db")
    verifier = Verifier(name=ORIGIN, raw=SIGNER.public.raw)
    return House(
        schema=schema,
        settings=HouseSettings(config=config, file=folder / "server.toml"),
        identity="ed25519:0",
        documents=(),
        secrets=(),
        check=lambda connection: verify_rows(connection, verifier),
    )


def filled(store: Engine) -> AuditLog:
    lay(store, COORDINATOR_STORE)
    log = AuditLog(
        store, origin=ORIGIN, signer=SIGNER, organisation="city", actor="server", profile="durable"
    )
    for number in range(5):
        log.record("study.offered", "allow", resource=f"study:{number}", private={"n": number})
    log.checkpoint()
    with store.begin() as connection:
        row = "'r', 's', 'n', 't', 0, 0, 0, '', '', '', 0"
        connection.execute(text(f"INSERT INTO study_runs VALUES ({row})"))
    return log


def test_an_upgrade_keeps_what_is_there(store: Engine, tmp_path: Path) -> None:
    filled(store)
    schema = further(tmp_path)
    with pytest.raises(StoreError, match="RF-B600"):
        require_current(store, schema)
    kept = tmp_path / "b.backup"
    done = migrate(house(schema, tmp_path), store, lambda _version: kept)
    assert done == ("coordinator_0001", ("coordinator_0002",), kept)
    assert kept.exists()
    with reading(store) as connection:
        found = connection.execute(text("SELECT run, turn FROM study_runs")).all()  # type: ignore[call-overload]
        assert [tuple(row) for row in found] == [("r", 7)]
        assert verify_rows(connection, Verifier(name=ORIGIN, raw=SIGNER.public.raw)) == 5
    require_current(store, schema)
    assert migrate(house(schema, tmp_path), store, lambda _: tmp_path / "no") == (
        "coordinator_0002",
        (),
        None,
    )
    with pytest.raises(StoreError, match="RF-B601"):
        require_current(store, COORDINATOR_STORE)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('op.execute("SELECT no_such_column FROM study_runs")', "Error"),
        ('op.execute("DELETE FROM audit_private WHERE seq = 4")', "RF-U545"),
        ("op.execute(\"UPDATE audit_event SET resource = 'x', leaf = closed WHERE seq = 2\")", "Event 2"),
    ],
)
def test_a_migration_that_fails_leaves_the_store_as_it_was(
    store: Engine, tmp_path: Path, more: str, said: str
) -> None:
    filled(store)
    before = form(store)
    with pytest.raises(StoreError, match="RF-U544") as caught:
        migrate(house(further(tmp_path, more), tmp_path), store, lambda _version: tmp_path / "b")
    assert caught.value.__cause__ is not None
    assert said in str(caught.value) + repr(caught.value.__cause__)
    assert form(store) == before
    with reading(store) as connection:
        assert found_version(connection) == "coordinator_0001"
        assert verify_rows(connection, Verifier(name=ORIGIN, raw=SIGNER.public.raw)) == 5
    require_current(store, COORDINATOR_STORE)


def test_a_store_in_use_is_not_migrated(store: Engine, tmp_path: Path) -> None:
    filled(store)
    with lease(store), pytest.raises(StoreError, match="RF-B120"):
        migrate(house(further(tmp_path), tmp_path), store, lambda _version: tmp_path / "b")
    assert not (tmp_path / "b").exists()
