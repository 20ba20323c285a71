"""What ledger tests share: a journal in the ledger's own store, and throw-away PostgreSQL databases."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, Text, select

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.journal import Json, Outcome
from ringfence.privacy.ledger import Ledger, Reservation
from ringfence.privacy.store import open_store, reading

POSTGRESQL = Path("/usr/lib/postgresql/15/bin")
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


def new_ledger(engine: Engine) -> tuple[Ledger, TableJournal]:
    journal = TableJournal(engine)
    ledger = Ledger.create(engine, population="cards", epsilon=EPSILON, delta=DELTA, journal=journal)
    return ledger, journal


def reopen(engine: Engine) -> Ledger:
    return Ledger.open(engine, TableJournal(engine))


def _postgres_user() -> str | None:
    """Whom the server runs as: it refuses the superuser."""
    if os.getuid() != 0:
        return None
    return pwd.getpwnam("postgres").pw_name


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a server of our own; yields the folder of its socket."""
    user = _postgres_user()
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        data = Path(folder) / "data"
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [str(POSTGRESQL / program), *arguments],
                check=True,
                user=user,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        run("pg_ctl", "-D", str(data), "-w", "-o", options, "start")
        try:
            yield folder
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


@contextmanager
def postgresql_database(socket: str) -> Iterator[str]:
    """A fresh database; yields its URL."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://postgres@/{name}?host={socket}"


def open_at(target: str | None) -> Engine:
    return open_store(target)


@contextmanager
def engine_of(kind: str, folder: Path, server: str) -> Iterator[Engine]:
    """An open, empty store of a kind."""
    with ExitStack() as stack:
        match kind:
            case "memory":
                target = None
            case "sqlite":
                target = str(folder / "store.db")
            case _:
                target = stack.enter_context(postgresql_database(server))
        engine = open_store(target)
        stack.callback(engine.dispose)
        yield engine


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BudgetError) as error:
        call()
    assert "{" not in error.value.sentence()
    return error.value.code


def charge(ledger: Ledger, reservation: Reservation, amount: str, attempt: int = 1, round_: int = 0) -> None:
    with ledger.release(reservation, run="run-1", round=round_, attempt=attempt, mu_squared=Decimal(amount)):
        pass
