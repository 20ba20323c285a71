"""A coordinator whose PostgreSQL goes away in mid-run: one sentence, nothing lost, and the run goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kits.noise import SeededNoises
from kits.parties import Parties, federation_of
from kits.postgres_kit import postgresql_database
from sqlalchemy import Connection, Engine, event

from ringfence.audit.log import AuditLog
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import StoreError
from ringfence.privacy.stores.lease import lease, leased
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.connections.admissions import Admissions
from ringfence.server.coordinator import Coordinator
from ringfence.server.records.run_standings import runs_kept
from ringfence.server.records.runs import RunStore
from ringfence.server.registry import HolderRegistry
from ringfence.server.rounds import Release, run_study
from ringfence.simulations.federation import Federation

LOG_KEY = Identity.generate("log", simulation=True)


@pytest.fixture
def url(postgresql: str) -> Iterator[str]:
    with postgresql_database(postgresql) as found:
        yield found


@contextmanager
def coordinating(federation: Federation, target: str | None) -> Iterator[Coordinator]:
    """A process of the coordinator over its store, for as long as the block runs."""
    engine = open_store(target)
    log = AuditLog(
        engine,
        origin="ringfence.simulation/coordinator",
        signer=LOG_KEY,
        organisation="coordinator",
        actor="server",
        profile="simulation",
    )
    try:
        yield Coordinator(identity=federation.coordinator.identity, log=log, registry=HolderRegistry(engine))
    finally:
        engine.dispose()


def go(parties: Parties, coordinator: Coordinator) -> Release:
    """What `study run` does with its store; a new process has a run id that is not the run's."""
    engine, opened = coordinator.registry.engine, parties.federation.opened
    with lease(engine, "study"):
        return run_study(
            coordinator, replace(opened, run=secrets.token_hex(16)), parties.wire, runs=RunStore(engine)
        )


def end_connections(url: str) -> None:
    """What an administrator, or a restart of the database, does to all who are connected."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def lost_between(parties: Parties, url: str, kind: str, round_: int) -> None:
    """All connections end before the first message of a kind in a round is sent."""
    done: list[str] = []

    def look(_name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (header.kind, header.round) == (kind, round_) and not done:
            done.append(kind)
            end_connections(url)
        return message

    parties.wire.on_message = look


def lost_in(engine: Engine, url: str, statement: str, which: int, *, at: str) -> None:
    """All connections end in the n-th transaction with a statement, before it or with its commit's answer."""
    seen: list[int] = []
    which_one: list[Connection] = []

    def executing(connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith(statement):
            seen.append(1)
            if len(seen) == which:
                if at == "statement":
                    end_connections(url)
                else:
                    which_one.append(connection)

    def committing(connection: Connection) -> None:
        if connection in which_one:
            which_one.clear()
            if at == "after commit":
                connection.connection.commit()
            end_connections(url)

    event.listen(engine, "before_cursor_execute", executing)
    event.listen(engine, "commit", committing)


LOST = {
    "before a round is asked": ("between", "round-call", 1),
    "before the farewell": ("between", "finish", 0),
    "while an attempt is begun": ("before commit", "UPDATE study_runs SET round", 2),
    "when a sum was kept": ("after commit", "INSERT INTO study_sums", 2),
    "when the outcome was fixed": ("after commit", "UPDATE study_runs SET outcome", 1),
    "while the end is kept": ("before commit", "UPDATE study_runs SET ended", 1),
}


@pytest.mark.parametrize("case", LOST)
def test_a_run_whose_database_went_away_ends_in_a_sentence_and_goes_on_to_the_same_model(
    tmp_path: Path, url: str, case: str
) -> None:
    at, what, which = LOST[case]
    federation = federation_of(tmp_path, customers=150)
    with coordinating(federation, None) as undisturbed:
        wanted = go(Parties.of(federation, SeededNoises(3)), undisturbed)
    parties = Parties.of(federation, SeededNoises(3))
    with coordinating(federation, url) as first:
        if at == "between":
            lost_between(parties, url, what, which)
        else:
            lost_in(first.registry.engine, url, what, which, at=at)
        with pytest.raises(StoreError, match=r"RF-B118|RF-S561"):
            go(parties, first)
    parties.wire.on_message = lambda _name, message, _reply: message
    with coordinating(federation, url) as second:
        release = go(parties, second)
        assert (release.digest, release.holders) == (wanted.digest, wanted.holders)
        log = [each.event.action for each in second.log.events()]
        assert log.count("release.intended") == log.count("model.released") == 1
        assert log.count("study.finished") == 1
        second.log.checkpoint()
        (kept,) = runs_kept(second.registry.engine)
        assert (kept.state, bool(kept.ended)) == ("released", True)
    for holder in parties.holders.values():
        assert holder.ledger.reservations() == ()
        charged = [entry.fields for entry in holder.ledger.entries() if entry.kind == "charged"]
        assert len({(str(e["round"]), str(e["attempt"])) for e in charged}) == len(charged)


def test_a_process_that_lost_its_lease_writes_and_reads_nothing_more(url: str) -> None:
    """With its connection its lock is gone, and another process may have the store by now."""
    one, two = open_store(url), open_store(url)
    with lease(one, "study"):
        admissions = Admissions(one)
        with pytest.raises(StoreError, match="RF-B120"), lease(two, "study"):
            raise AssertionError("both have it")
        end_connections(url)
        with lease(two, "study"):
            Admissions(two).let_in()
            for _ in range(2):
                with pytest.raises(StoreError, match="RF-S561"), one.begin():
                    raise AssertionError("it writes")
            with pytest.raises(StoreError, match="RF-S561"):
                admissions.let_in()
    with lease(one, "study"):
        assert Admissions(one).let_in() == ()
    for engine in (one, two):
        engine.dispose()


def test_a_lease_that_was_lost_after_the_work_was_done_is_no_fault(url: str) -> None:
    engine = open_store(url)
    with lease(engine):
        end_connections(url)
    assert not leased(engine)
    with lease(engine):
        assert leased(engine)
    engine.dispose()
