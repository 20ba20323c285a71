"""What a log writes, row by row, and reads back: tables, numbers, pages, checkpoints, its own events."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from kits.audit_kit import COORDINATOR, HOLDER, fill, lines, memory_log
from sqlalchemy import Engine, create_engine, event, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool

from ringfence.audit import merkle, store
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.errors import CanonicalError, EventError, LogError, NoteError, ProofError
from ringfence.audit.events import commit, draft_event, open_event
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.witness import WitnessKey, verify_cosigned
from ringfence.privacy.stores.store import open_store


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    yield made
    made.dispose()


def opened(engine: Engine, **changes: object) -> AuditLog:
    arguments: dict[str, object] = {
        "origin": HOLDER,
        "signer": MemorySigner(),
        "organisation": "bank-a",
        "actor": "client",
        "profile": "durable",
    }
    return AuditLog(engine, **(arguments | changes))  # type: ignore[arg-type]


def test_a_store_keeps_its_tables(engine: Engine) -> None:
    """One version's log is read by the next; a table under another name is a log begun anew."""
    opened(engine)
    found = inspect(engine)
    columns = {
        table: {column["name"]: column["nullable"] for column in found.get_columns(table)}
        for table in found.get_table_names()
    }
    assert columns == {
        "audit_head": {"id": False, "origin": False, "size": False, "edge": False},
        "audit_event": {"seq": False, "action": False, "resource": False, "leaf": False, "closed": False},
        "audit_private": {"seq": False, "salt": False, "body": False},
        "audit_producer": {"source": False, "next": False},
        "audit_checkpoint": dict.fromkeys(("log", "origin", "size", "root", "note"), False),
        "audit_handover": {"origin": False, "size": False, "successor": False, "note": False},
    }
    keys = {table: found.get_pk_constraint(table)["constrained_columns"] for table in columns}
    assert keys == {
        "audit_head": ["id"],
        "audit_event": ["seq"],
        "audit_private": ["seq"],
        "audit_producer": ["source"],
        "audit_checkpoint": ["log", "origin", "size"],
        "audit_handover": ["origin", "size"],
    }
    assert [key["referred_table"] for key in found.get_foreign_keys("audit_private")] == ["audit_event"]
    indexed = {tuple(index["column_names"]) for index in found.get_indexes("audit_event")}
    assert indexed == {("action",), ("resource",)}
    for table in (store.event, store.private, store.checkpoint):
        assert [column.autoincrement for column in table.columns if column.name in ("seq", "size")] == [False]
    with engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(store.head.insert().values(id=0, origin="x", size=0, edge=b""))


def test_a_log_that_is_there_is_opened_without_an_attempt_to_begin_it(engine: Engine) -> None:
    """A database server writes every insert that it refuses into its own log, and may count it."""
    statements: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def heard(*given: object) -> None:
        statements.append(str(given[2]))

    for begun in (["INSERT INTO audit_head (id, origin, size, edge)"], []):
        statements.clear()
        store.create_log(engine, HOLDER)
        assert any(each.startswith("SELECT audit_head.origin") for each in statements)
        assert [each.partition(" VALUES")[0] for each in statements if "INSERT" in each] == begun


@pytest.mark.parametrize("origin", [HOLDER, COORDINATOR])
def test_of_two_processes_that_begin_a_log_the_first_one_names_it(tmp_path: Path, origin: str) -> None:
    engine, other = (create_engine(f"sqlite:///{tmp_path / 'log.db'}") for _ in range(2))
    with other.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        store.metadata.create_all(connection)
    asked: list[str] = []

    @event.listens_for(engine, "after_cursor_execute")
    def heard(*given: object) -> None:
        if str(given[2]).startswith("SELECT audit_head.origin"):
            asked.append(str(given[2]))
            if len(asked) == 1:
                with other.begin() as connection:
                    connection.execute(store.head.insert().values(id=1, origin=origin, size=0, edge=b""))

    if origin == HOLDER:
        store.create_log(engine, HOLDER)
    else:
        with pytest.raises(LogError) as caught:
            store.create_log(engine, HOLDER)
        assert (caught.value.code, caught.value.values["found"]) == ("RF-A060", COORDINATOR)
    assert len(asked) == 2
    for each in (engine, other):
        each.dispose()


def test_a_row_holds_the_leaf_its_subtrees_and_its_private_part(engine: Engine) -> None:
    log = opened(engine)
    fill(log, 5)
    with engine.begin() as connection:
        events = connection.execute(select(store.event).order_by(store.event.c.seq)).all()
        privates = connection.execute(select(store.private).order_by(store.private.c.seq)).all()
        head = connection.execute(select(store.head)).one()
    tree = merkle.Frontier()
    for number, (row, private) in enumerate(zip(events, privates, strict=True)):
        assert (row.seq, private.seq, row.action, row.resource) == (
            number,
            number,
            "waist.send",
            "study:churn",
        )
        assert row.closed == b"".join(tree.append(merkle.leaf_hash(row.leaf)))
        assert (len(private.salt), private.body) == (32, b'{"rows":%d}' % (1000 + number))
        assert open_event(row.leaf, private.salt, private.body) == {"rows": 1000 + number}
    assert (head.id, head.origin, head.size, head.edge) == (1, HOLDER, 5, tree.pack())


def test_numbers_of_a_producer_go_on_over_batches_actors_and_restarts(engine: Engine) -> None:
    signer = MemorySigner()
    log = opened(engine, signer=signer)
    officer = log.acting_as("officer")
    made = [draft_event("waist.send", "allow", resource="study:x") for _ in range(3)]
    with engine.begin() as connection:
        assert log.append(made, connection) == [0, 1, 2]
        assert officer.append(made[:1], connection) == [3]
        batch = [(actor, made[0]) for actor in ("officer", "client", "officer")]
        taken: list[str] = []

        @event.listens_for(engine, "before_cursor_execute")
        def heard(*given: object) -> None:
            if "UPDATE audit_producer" in str(given[2]):
                taken.append("officer" if "officer" in str(given[3]) else "client")

        assert log._append(batch, connection) == [4, 5, 6]
        # In one order, whatever that of the batch: two processes would wait for each other for ever.
        assert taken == ["client", "officer"]
    again = opened(engine, signer=signer)
    assert again.record("waist.send", "allow", resource="study:x") == 7
    found = [(one.event.actor, one.event.source, one.event.sequence) for one in log.events()]
    assert found == [
        *(("client", f"{HOLDER}#client", number) for number in range(3)),
        ("officer", f"{HOLDER}#officer", 0),
        ("officer", f"{HOLDER}#officer", 1),
        ("client", f"{HOLDER}#client", 3),
        ("officer", f"{HOLDER}#officer", 2),
        ("client", f"{HOLDER}#client", 4),
    ]
    with engine.begin() as connection:
        assert connection.execute(select(store.producer)).all() == [
            (f"{HOLDER}#client", 5),
            (f"{HOLDER}#officer", 3),
        ]


def test_an_event_is_the_draft_with_a_number_and_a_time(engine: Engine) -> None:
    """A clock in another zone is told in UTC, to the microsecond."""
    moment = datetime(2026, 11, 2, 1, 30, 0, 7, tzinfo=timezone(timedelta(hours=8)))
    log = opened(engine, clock=lambda: moment, profile="simulation")
    assert log.record("waist.send", "error", resource="study:x", private={"a": 1}) == 0
    (logged,) = log.events()
    event = logged.event
    assert (event.time, event.outcome, event.profile) == (
        "2026-11-01T17:30:00.000007Z",
        "error",
        "simulation",
    )
    with store.reading(engine) as connection:
        leaf, salt, body = store.read_private_part(connection, 0)
    assert (leaf, event.private) == (logged.leaf, commit(salt, body))
    assert before_now(opened(create_engine("sqlite://", poolclass=StaticPool)))


def before_now(log: AuditLog) -> bool:
    """Without a clock of its own a log goes by the machine's."""
    before = datetime.now(UTC)
    log.record("waist.send", "allow", resource="study:x")
    (logged,) = log.events()
    return before <= datetime.fromisoformat(logged.event.time) <= datetime.now(UTC)


def test_nothing_is_written_of_an_event_that_is_refused(engine: Engine) -> None:
    log = opened(engine)
    for call in (
        lambda: log.record("waist.send", "allow", resource="a b"),
        lambda: log.record("waist.sent", "allow", resource="study:x"),
        lambda: log.record("waist.send", "allow", resource="study:x", private={"a": 0.5}),  # type: ignore[dict-item]
    ):
        with pytest.raises((EventError, CanonicalError)):
            call()
    with engine.begin() as connection:
        assert connection.execute(select(store.producer)).all() == []
    assert (log.size, list(log.events())) == (0, [])
    for name in ("", "a b"):
        with pytest.raises(EventError):
            log.acting_as(name)
        with pytest.raises(EventError):
            opened(engine, organisation=name)
        with pytest.raises(EventError):
            opened(engine, actor=name)


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 2, 3, 4, 5, 9])
def test_events_are_read_page_by_page_without_a_gap(engine: Engine, page: int) -> None:
    log = opened(engine)
    for number in range(5):
        log.record("waist.send", "allow", resource=f"study:{number % 2}")

    def read(start: int, stop: int, action: str | None = None, resource: str | None = None) -> list[int]:
        rows = list(store.read_leaves(engine, start, stop, action, resource, page))
        assert all(merkle.leaf_hash(leaf) == leaf_hash for _, leaf, leaf_hash in rows)
        return [seq for seq, _, _ in rows]

    assert read(0, 5) == read(0, 99) == [0, 1, 2, 3, 4]
    assert (read(1, 4), read(3, 3), read(4, 5), read(5, 9)) == ([1, 2, 3], [], [4], [])
    assert (read(0, 5, None, "study:1"), read(2, 5, "waist.send", "study:0")) == ([1, 3], [2, 4])
    assert (read(0, 5, "table.read"), read(0, 5, None, "study:2")) == ([], [])


def test_trees_of_every_size_up_to_the_present_one_have_proofs(engine: Engine) -> None:
    log = opened(engine)
    assert (log.consistency(0), log.consistency(0, 0)) == ([], [])
    fill(log, 6)
    node = merkle.list_node([merkle.leaf_hash(one.leaf) for one in log.events()])
    for size in range(7):
        for old in range(size + 1):
            assert log.consistency(old, size) == merkle.consistency_proof(old, size, node)
        for seq in range(size):
            assert log.inclusion(seq, size) == merkle.inclusion_path(seq, size, node)
    assert log.consistency(2) == log.consistency(2, 6)
    assert log.inclusion(2) == log.inclusion(2, 6)
    for size in (-1, 7):
        for call in (lambda s=size: log.inclusion(0, s), lambda s=size: log.consistency(0, s)):
            with pytest.raises(LogError, match="RF-A065"):
                call()


def test_who_only_reads_waits_for_no_writer(tmp_path: Path) -> None:
    """In a holder's store a transaction is a writer's from its start, unless it says that it reads."""
    engine = open_store(tmp_path / "holder.db")
    log = opened(engine)
    fill(log, 2)
    with engine.begin() as writer:
        store.lock(writer)
        with store.reading(engine) as connection:
            assert connection.get_execution_options()["ringfence_read_only"] is True
            assert store.size(connection) == 2
        assert (log.size, len(list(log.events())), len(log.inclusion(0))) == (2, 2, 1)
    engine.dispose()


def test_checkpoints_are_kept_by_log_and_the_newest_ones_are_read(engine: Engine) -> None:
    opened(engine)
    notes = {size: f"note {size}".encode() for size in (3, 11, 7)}
    with engine.begin() as connection:
        for size, note in notes.items():
            store.keep_checkpoint(connection, "log/b", size, bytes([size]) * 32, note)
        for origin in ("log/c", "log/a", HOLDER):
            store.keep_checkpoint(connection, origin, 1, bytes(32), b"note")
        assert store.last_checkpoint(connection, "log/b") == (11, bytes([11]) * 32, b"note 11")
        assert store.last_checkpoint(connection, "log/x") is None
        assert store.read_checkpoints(connection, "log/b", 9) == [(size, notes[size]) for size in (3, 7, 11)]
        assert store.read_checkpoints(connection, "log/b", 2) == [(7, b"note 7"), (11, b"note 11")]
        assert store.anchored_origins(connection, HOLDER) == ["log/a", "log/b", "log/c"]
        assert store.anchored_origins(connection, "log/b") == ["log/a", "log/c", HOLDER]


def test_a_private_part_is_that_of_its_event(engine: Engine) -> None:
    log = opened(engine)
    fill(log, 3)
    with store.reading(engine) as connection:
        leaf, _, body = store.read_private_part(connection, 1)
        assert (leaf, body) == (next(log.events(1)).leaf, b'{"rows":1001}')
        with pytest.raises(LogError, match="RF-A062"):
            store.read_private_part(connection, 3)


# --- what a log does is itself an event ------------------------------------------------------------------


def told(log: AuditLog) -> list[tuple[str, str, str, str]]:
    """Action, outcome, resource and actor of each event."""
    return [(e.action, e.outcome, e.resource, e.actor) for e in (one.event for one in log.events())]


def test_an_export_an_opening_and_an_anchor_are_events(tmp_path: Path) -> None:
    log, other = memory_log(HOLDER), memory_log(COORDINATOR)
    fill(log, 2)
    opening = log.open_event(0)
    made = log.export_bundle(tmp_path / "bundle", anchors=[other.checkpoint()])
    first = next(log.events())
    assert told(log)[2:] == [
        ("event.opened", "allow", f"event:{first.event.id}", "client"),
        ("log.exported", "allow", f"log:{HOLDER}", "client"),
    ]
    assert (opening.index, opening.leaf, opening.private) == (0, first.leaf, b'{"rows":1000}')
    assert verify_checkpoint(opening.checkpoint, [log.verifier]).size == 3
    assert made == verify_checkpoint(log.checkpoint(), [log.verifier])
    assert (made.size, len(lines(tmp_path / "bundle"))) == (4, 4)
    assert (tmp_path / "bundle" / "checkpoint").read_bytes() == log.checkpoint()
    assert [path.read_bytes() for path in (tmp_path / "bundle" / "anchors").iterdir()] == [other.checkpoint()]
    anchored = log.acting_as("officer").anchor(other.checkpoint(), other.verifier)
    assert anchored == 4
    assert told(log)[4] == ("checkpoint.anchored", "allow", f"log:{COORDINATOR}", "officer")
    assert log.anchored(COORDINATOR) == Checkpoint(origin=COORDINATOR, size=0, root=merkle.EMPTY_ROOT)
    assert log.anchored("log/x") is None


def test_of_two_histories_over_as_many_events_the_second_is_not_anchored() -> None:
    log, other = memory_log(COORDINATOR), memory_log(HOLDER)
    fill(other, 2)
    log.anchor(other.checkpoint(), other.verifier)
    fork = Checkpoint(origin=HOLDER, size=2, root=bytes(32)).sign(other._signer)
    with pytest.raises(ProofError, match="RF-A023"):
        log.anchor(fork, other.verifier)
    with pytest.raises(NoteError):
        log.anchor(other.checkpoint(), log.verifier)
    with pytest.raises(LogError, match="RF-A068"):
        log.anchor(log.checkpoint(), log.verifier)
    assert [one[0] for one in told(log)] == ["checkpoint.anchored"]


def test_a_cosignature_tells_when_it_was_made() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    moment = datetime(2026, 11, 1, 12, 0, 5, 999_999, tzinfo=UTC)
    log, other, signer = opened(engine, clock=lambda: moment), memory_log(COORDINATOR), MemorySigner()
    note = log.cosign(other.checkpoint(), other.verifier, name="witness.example", witness=signer)
    key = WitnessKey(name="witness.example", raw=signer.public.raw)
    assert verify_cosigned(note, other.verifier, [key], 1).size == 0
    value = note.rpartition(b" ")[2]
    stamp = int.from_bytes(base64.b64decode(value)[4:12], "big")
    assert stamp == int(moment.timestamp())


def test_a_checkpoint_is_kept_before_it_is_handed_out(engine: Engine) -> None:
    log = opened(engine)
    notes = [log.checkpoint()]
    fill(log, 1)
    notes.append(log.checkpoint())
    with engine.begin() as connection:
        kept = connection.execute(select(store.checkpoint).order_by(store.checkpoint.c.size)).all()
    assert [(row.origin, row.size, row.note) for row in kept] == [
        (HOLDER, 0, notes[0]),
        (HOLDER, 1, notes[1]),
    ]
    assert [row.root for row in kept] == [verify_checkpoint(note, [log.verifier]).root for note in notes]
    assert log.checkpoint() == notes[1]


@pytest.mark.parametrize("spoil", [{"root": bytes(32)}, {"size": 3}])
def test_a_log_that_signed_another_state_signs_nothing_more(engine: Engine, spoil: dict[str, object]) -> None:
    log = opened(engine)
    fill(log, 2)
    log.checkpoint()
    with engine.begin() as connection:
        connection.execute(store.checkpoint.update().values(**spoil))
    for call in (log.check, log.checkpoint):
        with pytest.raises(LogError, match="RF-A067"):
            call()
