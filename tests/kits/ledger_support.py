"""What ledger tests share: a journal in the ledger's own store, a ledger in it, charges and refusals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import pytest
import rfc8785
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, Text, select, text

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import Head, HeadMarks, Ledger, Reservation, Scope
from ringfence.privacy.ledger.marks import MarkedEntry
from ringfence.privacy.stores.journal import Json, Outcome
from ringfence.privacy.stores.store import open_store, reading

EPSILON, DELTA = Decimal(4), Decimal("0.000001")
TWO = ("ed25519:aa", "ed25519:bb")
STUDY = "sha256:" + "5" * 64

_metadata = MetaData()
_events = Table(
    "test_event",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("public", Text, nullable=False),
    Column("private", Text, nullable=False),
)


class TableJournal:
    """A journal that writes into the transaction it is given, so that lost events can be seen."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:
            _metadata.create_all(connection)

    def record(
        self,
        action: str,
        outcome: Outcome,
        *,
        resource: str,
        public: Mapping[str, Json] | None = None,
        private: Mapping[str, Json] | None = None,
        connection: Connection | None = None,
    ) -> int:
        assert connection is not None, "the ledger's events belong into its own transactions"
        row = {"action": action, "outcome": outcome, "resource": resource}
        texts = {"public": json.dumps(dict(public or {})), "private": json.dumps(dict(private or {}))}
        done = connection.execute(_events.insert().values(**row, **texts).returning(_events.c.id))
        return int(done.scalar_one())

    def actions(self) -> list[str]:
        with reading(self._engine) as connection:
            return list(connection.scalars(select(_events.c.action).order_by(_events.c.id)))

    def last(self) -> tuple[str, str, str, dict[str, Json]]:
        with reading(self._engine) as connection:
            row = connection.execute(select(_events).order_by(_events.c.id.desc()).limit(1)).one()
        return row.action, row.outcome, row.resource, json.loads(row.public)

    def outcomes(self) -> list[tuple[str, str, str]]:
        """Action, outcome and resource of every event, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_events).order_by(_events.c.id)).all()
        return [(row.action, row.outcome, row.resource) for row in rows]

    def told(self) -> list[tuple[str, dict[str, Json], dict[str, Json]]]:
        """Action, public and private part of every event, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_events).order_by(_events.c.id)).all()
        return [(row.action, json.loads(row.public), json.loads(row.private)) for row in rows]


def new_ledger(engine: Engine) -> tuple[Ledger, TableJournal]:
    journal = TableJournal(engine)
    ledger = Ledger.create(engine, population="cards", epsilon=EPSILON, delta=DELTA, journal=journal)
    return ledger, journal


def reopen(engine: Engine) -> Ledger:
    return Ledger.open(engine, TableJournal(engine))


def make_at(target: str) -> None:
    """Make a store with a ledger and close it, for processes that open it."""
    engine = open_store(target)
    new_ledger(engine)
    engine.dispose()


def forge(
    engine: Engine, kind: str, fields: Mapping[str, object], others: Mapping[str, object] | None = None
) -> None:
    """Put a well-chained entry of any content behind the last one; `others` stand beside its fields."""
    with engine.begin() as connection:
        found = connection.execute(
            text("select sequence, hash from budget_ledger order by sequence desc limit 1")
        ).first()
        last, previous = (0, bytes(32)) if found is None else (int(found.sequence), bytes(found.hash))
        content = {
            "v": 1,
            "sequence": last + 1,
            "kind": kind,
            "time": "2026-03-01T09:00:00.000000Z",
            "nonce": "0" * 32,
            "fields": dict(fields),
        }
        put_entry(connection, last + 1, previous, rfc8785.dumps(cast("Any", content | dict(others or {}))))


def put_entry(connection: Connection, sequence: int, previous: bytes, body: bytes) -> bytes:
    """Write bytes as an entry, chained to the one before; its hash."""
    digest = hashlib.sha256(previous + body).digest()
    connection.execute(
        text("insert into budget_ledger (sequence, entry, hash) values (:sequence, :entry, :hash)"),
        {"sequence": sequence, "entry": body, "hash": digest},
    )
    return digest


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BudgetError) as error:
        call()
    assert "{" not in error.value.sentence()
    return error.value.code


def charge(
    ledger: Ledger,
    reservation: Reservation,
    amount: str | float | Decimal,
    attempt: int = 1,
    *,
    round_: int = 0,
    part: Scope = "both",
) -> None:
    """Release nothing for an amount; a text is an exact one."""
    exact = Decimal(amount) if isinstance(amount, str) else amount
    with ledger.release(reservation, run="run-1", round=round_, attempt=attempt, mu_squared=exact, part=part):
        pass


def marked(marks: HeadMarks, mark: str) -> MarkedEntry:
    """What a mark says to its holder."""
    found = marks.read(mark)
    assert found is not None
    return found


def is_mark_of(marks: HeadMarks, mark: str, head: Head) -> bool:
    found = marked(marks, mark)
    return found.sequence == head.sequence and found.has(bytes.fromhex(head.hash))
