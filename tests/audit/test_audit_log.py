"""The log over SQLite: durability, rollback, groups, checkpoints, anchors, openings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kits.audit_kit import COORDINATOR, HOLDER, check_log, fill
from sqlalchemy import Engine, create_engine, delete, update
from sqlalchemy.pool import StaticPool

from ringfence.audit import merkle, store
from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import EventError, LogError, NoteError, ProofError
from ringfence.audit.events import draft_event
from ringfence.audit.group import GroupCommit
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.verification.verify import verify_bundle
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.stores.journal import Journal
from ringfence.privacy.stores.store import open_store

MakeLog = Callable[..., AuditLog]


def test_log_satisfies_the_journal(make_log: MakeLog) -> None:
    journal: Journal = make_log()
    assert journal.record("waist.send", "allow", resource="study:1") == 0
    assert journal.record("waist.refused", "deny", resource="study:1", public={"reasons": ["RF-B004"]}) == 1


def test_event_says_who_what_and_when(make_engine: Callable[[str], Engine]) -> None:
    log = AuditLog(
        make_engine("clock"),
        origin=HOLDER,
        signer=MemorySigner(),
        organisation="bank-a",
        actor="client",
        profile="simulation",
        clock=lambda: datetime(2026, 11, 1, 12, tzinfo=UTC),
    )
    log.record("table.read", "allow", resource="table:loans", public={"purpose": "churn-prediction"})
    (logged,) = log.events()
    event = logged.event
    assert (event.action, event.outcome, event.resource) == ("table.read", "allow", "table:loans")
    assert (event.source, event.actor, event.organisation) == (f"{HOLDER}#client", "client", "bank-a")
    assert event.time == "2026-11-01T12:00:00.000000Z"
    assert event.profile == "simulation"
    assert event.public == {"purpose": "churn-prediction"}
    check_log(log)


def test_event_shares_the_callers_transaction_and_its_rollback(make_log: MakeLog) -> None:
    log = make_log()
    fill(log, 3)
    with log._engine.begin() as connection:
        assert log.record("budget.charged", "allow", resource="budget:1", connection=connection) == 3
    check_log(log)
    connection = log._engine.connect()
    transaction = connection.begin()
    log.record("budget.charged", "allow", resource="budget:1", connection=connection)
    log.record("budget.charged", "allow", resource="budget:1", connection=connection)
    transaction.rollback()
    connection.close()
    check_log(log)
    assert log.size == 4
    assert log.record("budget.charged", "allow", resource="budget:2") == 4
    assert [one.event.sequence for one in log.events()] == [0, 1, 2, 3, 4]
    check_log(log)


def test_rollback_to_a_savepoint_takes_the_event_back(make_log: MakeLog) -> None:
    log = make_log()
    with log._engine.begin() as connection:
        log.record("budget.reserved", "allow", resource="budget:1", connection=connection)
        nested = connection.begin_nested()
        log.record("budget.charged", "allow", resource="budget:1", connection=connection)
        nested.rollback()
        assert log.record("budget.refused", "deny", resource="budget:1", connection=connection) == 1
    assert [one.event.action for one in log.events()] == ["budget.reserved", "budget.refused"]
    check_log(log)


def test_a_batch_is_one_transaction(make_log: MakeLog) -> None:
    log = make_log()
    batch = [draft_event("waist.send", "allow", resource=f"study:{number}") for number in range(500)]
    with log._engine.begin() as connection:
        assert log.append(batch, connection) == list(range(500))
        assert log.append([], connection) == []
    check_log(log)


def test_connection_of_another_store_is_refused(
    make_log: MakeLog, make_engine: Callable[[str], Engine]
) -> None:
    log = make_log()
    with make_engine("other").begin() as connection, pytest.raises(LogError, match="RF-A064"):
        log.record("waist.send", "allow", resource="study:1", connection=connection)


def test_refused_event_leaves_no_trace(make_log: MakeLog) -> None:
    log = make_log()
    with pytest.raises(EventError):
        log.record("waist.send", "allow", resource="study:1", public={"customer_id": "c1"})
    assert log.size == 0


def test_two_logs_on_one_store_keep_one_tree(make_log: MakeLog) -> None:
    signer = MemorySigner()
    one, other = make_log("shared", signer=signer), make_log("shared", signer=signer).acting_as("officer")
    for number in range(6):
        (one, other)[number % 2].record("study.approved", "allow", resource="study:1")
    assert [logged.event.actor for logged in one.events()] == ["client", "officer"] * 3
    check_log(one)
    check_log(other)


def test_threads_are_acknowledged_each_with_a_number_of_its_own(make_log: MakeLog) -> None:
    log = make_log()
    numbers: list[int] = []

    def work(actor: str) -> None:
        mine = log.acting_as(actor)
        numbers.extend(mine.record("waist.send", "allow", resource="study:1") for _ in range(25))

    threads = [threading.Thread(target=work, args=(f"client-{n % 3}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(300))
    check_log(log)


def test_group_gives_a_failed_write_to_all_that_waited_and_goes_on() -> None:
    started, release = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def write(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        if len(batches) == 1:
            started.set()
            release.wait(10)
        if len(batches) == 2:
            raise OSError("disk full")
        return list(items)

    group: GroupCommit[int] = GroupCommit(write)
    answers: dict[int, object] = {}

    def submit(item: int) -> None:
        try:
            answers[item] = group.submit(item)
        except OSError as error:
            answers[item] = error

    first = threading.Thread(target=submit, args=(0,))
    first.start()
    assert started.wait(10)
    others = [threading.Thread(target=submit, args=(item,)) for item in (1, 2, 3)]
    for thread in others:
        thread.start()
    while len(group._waiting) < 3:
        threading.Event().wait(0.001)
    release.set()
    for thread in (first, *others):
        thread.join()
    assert answers[0] == 0
    assert all(isinstance(answers[item], OSError) for item in (1, 2, 3))
    assert sorted(batches[1]) == [1, 2, 3]
    assert group.submit(9) == 9


def test_in_memory_store_for_simulations() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    log = AuditLog(
        engine, origin=HOLDER, signer=MemorySigner(), organisation="a", actor="client", profile="simulation"
    )
    fill(log, 20)
    check_log(log)
    engine.dispose()


def test_store_of_another_log_and_unknown_profile_are_refused(
    make_log: MakeLog, make_engine: Callable[[str], Engine]
) -> None:
    make_log("mine")
    with pytest.raises(LogError, match="RF-A060"):
        make_log("mine", COORDINATOR)
    with pytest.raises(LogError, match="RF-A063"):
        AuditLog(
            make_engine("x"),
            origin=HOLDER,
            signer=MemorySigner(),
            organisation="a",
            actor="b",
            profile="test",  # type: ignore[arg-type]
        )
    with pytest.raises(NoteError, match="RF-A032"):
        make_log("y", "log+a")
    with pytest.raises(EventError, match="RF-A011"):
        make_log("z", "log a")


def test_events_can_be_listed_in_part(make_log: MakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.audit.log.PAGE", 2)
    log = make_log()
    fill(log, 5)
    log.record("budget.frozen", "allow", resource="budget:1")
    fill(log, 2)
    assert [one.seq for one in log.events()] == list(range(8))
    assert [one.seq for one in log.events(2, stop=5)] == [2, 3, 4]
    assert [one.seq for one in log.events(action="budget.frozen")] == [5]
    assert [one.seq for one in log.events(6, resource="study:churn")] == [6, 7]


def test_proofs_verify_under_every_checkpoint(make_log: MakeLog) -> None:
    log = make_log()
    checkpoints = []
    for _ in range(9):
        fill(log, 3)
        checkpoints.append(verify_checkpoint(log.checkpoint(), [log.verifier]))
    last = checkpoints[-1]
    for old in checkpoints:
        merkle.verify_consistency(old.size, last.size, old.root, last.root, log.consistency(old.size))
    for logged in log.events():
        leaf = merkle.leaf_hash(logged.leaf)
        merkle.verify_inclusion(logged.seq, last.size, leaf, log.inclusion(logged.seq), last.root)
        if logged.seq < 9:
            merkle.verify_inclusion(logged.seq, 9, leaf, log.inclusion(logged.seq, 9), checkpoints[2].root)
    with pytest.raises(ProofError, match="RF-A020"):
        log.inclusion(27)
    with pytest.raises(ProofError, match="RF-A021"):
        log.consistency(28)
    with pytest.raises(LogError, match="RF-A065"):
        log.inclusion(0, 28)


def test_checkpoint_of_the_same_state_is_the_same_note(make_log: MakeLog) -> None:
    log = make_log()
    empty = verify_checkpoint(log.checkpoint(), [log.verifier])
    assert (empty.size, empty.root) == (0, merkle.EMPTY_ROOT)
    fill(log, 1)
    assert log.checkpoint() == log.checkpoint()


def test_nothing_is_signed_after_events_were_lost_or_changed(make_log: MakeLog) -> None:
    log = make_log()
    fill(log, 4)
    log.checkpoint()
    with log._engine.begin() as connection:
        hashes = [merkle.leaf_hash(one.leaf) for one in log.events()]
        tree = merkle.Frontier()
        for leaf in hashes[:3]:
            tree.append(leaf)
        connection.execute(delete(store.private).where(store.private.c.seq == 3))
        connection.execute(delete(store.event).where(store.event.c.seq == 3))
        connection.execute(update(store.head).values(size=3, edge=tree.pack()))
    with pytest.raises(LogError, match="RF-A067"):
        log.checkpoint()
    fill(log, 1)
    with pytest.raises(LogError, match="RF-A067"):
        log.checkpoint()


def test_store_whose_tree_and_rows_disagree_does_not_open(make_log: MakeLog) -> None:
    signer = MemorySigner()
    log = make_log("damaged", signer=signer)
    fill(log, 4)
    with log._engine.begin() as connection:
        row = connection.execute(store.event.select().where(store.event.c.seq == 3)).one()
        connection.execute(
            update(store.event).where(store.event.c.seq == 3).values(closed=row.closed[:-1] + b"x")
        )
    with pytest.raises(LogError, match="RF-A066"):
        make_log("damaged", signer=signer)
    with log._engine.begin() as connection:
        connection.execute(update(store.event).where(store.event.c.seq == 3).values(closed=b""))
    with pytest.raises(LogError, match="RF-A061"):
        log.check()


@pytest.mark.parametrize("name", [None, "holder.db"])
def test_log_lives_in_the_stores_of_the_privacy_layer(name: str | None, tmp_path: Path) -> None:
    engine = open_store(None if name is None else tmp_path / name)
    log = AuditLog(
        engine,
        origin=HOLDER,
        signer=Identity.generate(kind="log"),
        organisation="a",
        actor="client",
        profile="simulation",
    )
    fill(log, 3)
    with engine.begin() as connection:
        assert log.record("budget.charged", "allow", resource="budget:1", connection=connection) == 3
    check_log(log)
    assert log.open_event(0).verify([log.verifier]).private == {"rows": 1000}
    log.export_bundle(tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle", trusted=[log.verifier]).logs[0].size == log.size
    engine.dispose()


def test_log_keeps_its_key(make_log: MakeLog) -> None:
    log = make_log("keyed")
    fill(log, 1)
    make_log("keyed")  # Nothing signed yet: the first checkpoint binds the key.
    log.checkpoint()
    with pytest.raises(LogError, match="RF-A069"):
        make_log("keyed")
