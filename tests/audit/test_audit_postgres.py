"""The log over PostgreSQL: the same promises, with writers in several processes' connections."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kits.audit_kit import HOLDER, fill
from sqlalchemy import Engine, create_engine

from ringfence.audit import merkle
from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.verification.verify import verify_bundle

SIGNER = MemorySigner()


def server_folder() -> Path | None:
    """Where `initdb` is, on the path or where Debian puts it."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def server_user() -> str | None:
    """PostgreSQL refuses to run as root; as root its own user is needed."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    folder, user = server_folder(), server_user()
    if folder is None or user is None:
        pytest.skip("no PostgreSQL server binaries (Debian: postgresql) or no user to run them")
    pytest.importorskip("psycopg")
    root = Path(tempfile.mkdtemp(prefix="rf-pg-"))
    shutil.chown(root, user)
    run_as = {
        "user": user,
        "cwd": root,
        "check": True,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    data = root / "data"
    subprocess.run([folder / "initdb", "-D", data, "-A", "trust", "-U", "ringfence", "-N"], **run_as)  # type: ignore[call-overload]
    options = f"-k {root} -c listen_addresses= -c fsync=off"
    subprocess.run(
        [folder / "pg_ctl", "-D", data, "-w", "-o", options, "-l", root / "log", "start"], **run_as
    )  # type: ignore[call-overload]
    made = create_engine(f"postgresql+psycopg://ringfence@/postgres?host={root}")
    try:
        yield made
    finally:
        made.dispose()
        subprocess.run([folder / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run_as)  # type: ignore[call-overload]
        shutil.rmtree(root)


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
