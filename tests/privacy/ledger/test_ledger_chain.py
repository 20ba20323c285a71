"""The chain's hash: over every byte of every entry, and over nothing less."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rfc8785
from kits.ledger_support import STUDY, charge, new_ledger, reopen
from sqlalchemy import Connection, Engine, text

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import chain
from ringfence.privacy.stores.store import open_store


@pytest.fixture
def engine() -> Engine:
    engine = open_store(None)
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.2"), epsilon_slack=1e-12, delta_slack=1e-30)
    charge(ledger, reservation, "0.05", 1, part="train")
    ledger.commit(reservation)
    return engine


def rows(engine: Engine) -> list[tuple[int, bytes, bytes]]:
    with engine.begin() as connection:
        found = connection.execute(text("select sequence, entry, hash from budget_ledger order by sequence"))
        return [(sequence, bytes(entry), bytes(digest)) for sequence, entry, digest in found]


def places(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every leaf of an entry."""
    if isinstance(content, dict):
        return [place for key, value in content.items() for place in places(value, (*path, key))]
    return [path]


def changed(content: dict[str, Any], path: tuple[str, ...]) -> bytes:
    """The entry with one leaf changed into another value of its type."""
    other = json.loads(json.dumps(content))
    holder = other
    for key in path[:-1]:
        holder = holder[key]
    value = holder[path[-1]]
    holder[path[-1]] = value + 1 if isinstance(value, int) else value[:-1] + chr(ord(value[-1]) ^ 1)
    return rfc8785.dumps(other)


def test_the_hash_is_that_of_the_one_before_and_the_whole_entry(engine: Engine) -> None:
    previous = bytes(32)
    for _, entry, digest in rows(engine):
        assert digest == hashlib.sha256(previous + entry).digest()
        previous = digest
    assert bytes(32) == chain.GENESIS


def test_no_value_of_any_entry_can_be_changed(engine: Engine) -> None:
    every = rows(engine)
    assert len(every) == 4
    tried = 0
    for sequence, entry, _ in every:
        content = json.loads(entry)
        assert set(content) == {"v", "sequence", "kind", "time", "nonce", "fields"}
        for path in places(content):
            put(engine, sequence, changed(content, path))
            with pytest.raises(BudgetError, match="RF-B301"):
                reopen(engine)
            tried += 1
        put(engine, sequence, entry)
    reopen(engine)
    assert tried > 30


def put(engine: Engine, sequence: int, entry: bytes) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("update budget_ledger set entry = :entry where sequence = :sequence"),
            {"entry": entry, "sequence": sequence},
        )


def test_two_ledgers_that_did_the_same_have_different_heads() -> None:
    first, second = (new_ledger(open_store(None))[0] for _ in range(2))
    assert first.head() != second.head()


class Written:
    """A connection to a database of a kind, which keeps the statements it is given."""

    def __init__(self, kind: str) -> None:
        self.dialect = SimpleNamespace(name=kind)
        self.statements: list[str] = []

    def exec_driver_sql(self, statement: str) -> None:
        self.statements.append(statement)


def test_a_database_of_several_writers_is_locked() -> None:
    """SQLite gave the file to the transaction when it began; PostgreSQL is told to."""
    for kind, statements in (
        ("postgresql", ["LOCK TABLE budget_ledger IN EXCLUSIVE MODE"]),
        ("sqlite", []),
    ):
        connection = Written(kind)
        chain.lock(cast(Connection, connection))
        assert connection.statements == statements


def test_a_ledger_is_one_table_of_three_columns(engine: Engine) -> None:
    """The number is the row's own in SQLite, so that no second index can say something else."""
    with engine.begin() as connection:
        made = connection.execute(text("select sql from sqlite_master where name like '%budget_ledger%'"))
        (statement,) = made.scalars()
    assert " ".join(statement.split()) == (
        "CREATE TABLE budget_ledger ( sequence INTEGER NOT NULL, entry BLOB NOT NULL, hash BLOB NOT NULL, "
        "PRIMARY KEY (sequence) )"
    )


def test_the_hash_of_an_entry_is_found_by_its_number(engine: Engine) -> None:
    every = rows(engine)
    with engine.begin() as connection:
        assert [chain.hash_of(connection, number) for number, _, _ in every] == [each[2] for each in every]
        assert [chain.hash_of(connection, number) for number in (0, len(every) + 1, 2**63 - 1)] == [None] * 3


def test_what_was_read_before_is_where_reading_goes_on(engine: Engine) -> None:
    """Only what comes after a known entry is read, and only if that entry is still there."""
    every = rows(engine)
    with engine.begin() as connection:
        for sequence, _, digest in every:
            later = list(chain.read_entries(connection, sequence, digest))
            assert [entry.sequence for entry in later] == list(range(sequence + 1, 5))
            for after, previous in ((sequence, bytes(32)), (sequence + 5, digest)):
                with pytest.raises(BudgetError, match="RF-B301") as error:
                    list(chain.read_entries(connection, after, previous))
                assert error.value.values == {"sequence": after}
        with pytest.raises(BudgetError, match="RF-B301") as error:
            list(chain.read_entries(connection, 0, every[0][2]))
        assert error.value.values == {"sequence": 1}
