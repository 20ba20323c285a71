"""The log over PostgreSQL: the same promises, with writers in several processes' connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kits.audit_kit import HOLDER, fill
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine, create_engine

from ringfence.audit import merkle
from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.verification.verify import verify_bundle

SIGNER = MemorySigner()


@pytest.fixture(scope="module")
def engine(postgresql: str) -> Iterator[Engine]:
    with postgresql_database(postgresql) as url:
        made = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
        yield made
        made.dispose()


@pytest.fixture
def log(engine: Engine) -> AuditLog:
    return AuditLog(
        engine, origin=HOLDER, signer=SIGNER, organisation="bank-a", actor="client", profile="durable"
    )


def test_rollback_proofs_and_bundle(log: AuditLog, tmp_path: Path) -> None:
    start = log.size
    fill(log, 5)
    old = verify_checkpoint(log.checkpoint(), [log.verifier])
    connection = log._engine.connect()
    transaction = connection.begin()
    log.record("budget.charged", "allow", resource="budget:1", connection=connection)
    transaction.rollback()
    connection.close()
    assert log.size == start + 5
    fill(log, 3)
    new = verify_checkpoint(log.checkpoint(), [log.verifier])
    merkle.verify_consistency(old.size, new.size, old.root, new.root, log.consistency(old.size))
    assert log.open_event(start).verify([log.verifier]).private == {"rows": 1000}
    log.export_bundle(tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle").logs[0].size == log.size


def test_writers_on_connections_of_their_own_never_fork_the_log(log: AuditLog) -> None:
    start = log.size
    numbers: list[int] = []

    def work(actor: str) -> None:
        mine = log.acting_as(actor)
        for _ in range(20):
            with log._engine.begin() as connection:
                numbers.append(mine.record("waist.send", "allow", resource="study:1", connection=connection))

    threads = [threading.Thread(target=work, args=(f"writer-{n % 2}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(start, start + 80))
    log.check()
    hashes = [merkle.leaf_hash(logged.leaf) for logged in log.events()]
    checkpoint = verify_checkpoint(log.checkpoint(), [log.verifier])
    assert checkpoint.root == merkle.root(len(hashes), merkle.list_node(hashes))
