"""The tables of a store's logs (SQLAlchemy Core, SQLite and PostgreSQL) and the statements over them.

Invariant: all state of a log stands in the database. `audit_head` holds size and right edge of the tree and
is changed in the same transaction as the events, so a rollback takes the tree back with them. Each event's
row also holds the hashes of the complete subtrees that end with it, so any node of the tree is one row away.

A store has one log, or several that know nothing of each other: a holder's house has one, and each of its
federations one of its own. They are numbered from 1 on, and each has a range of row numbers to itself, so
that every table keeps its one whole-number key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    select,
)
from sqlalchemy.exc import IntegrityError

from ringfence.audit.errors import N_, LogError
from ringfence.audit.merkle import HASH_SIZE, Frontier, Node

T = TypeVar("T")

FIRST = 1
"""Number of a store's only log, or of its house's."""
_RANGE = 1 << 40
"""Row numbers that each log has; more events than any log comes to."""

# SQLite keeps a table by its INTEGER key; a BIGINT key would cost it a second tree.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, CheckConstraint("id >= 1"), primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("edge", LargeBinary, nullable=False),
)
event = Table(
    "audit_event",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("action", String(64), nullable=False, index=True),
    Column("resource", String(256), nullable=False, index=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("closed", LargeBinary, nullable=False),
)
private = Table(
    "audit_private",
    metadata,
    Column("seq", _Number, ForeignKey("audit_event.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
producer = Table(
    "audit_producer",
    metadata,
    Column("source", Text, primary_key=True),
    Column("next", BigInteger, nullable=False),
)
checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("log", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, primary_key=True),
    Column("size", _Number, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)

handover = Table(
    "audit_handover",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("size", _Number, primary_key=True, autoincrement=False),
    Column("successor", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)

# Built once: making these expressions anew costs more than running them.
_OWN = head.c.id == bindparam("log")
_TURN = head.update().where(_OWN).values(size=head.c.size).returning(head.c.size, head.c.edge)
_MOVE = head.update().where(_OWN).values(size=bindparam("to_size"), edge=bindparam("to_edge"))
_TAKE = (
    producer.update()
    .where(producer.c.source == bindparam("producer"))
    .values(next=producer.c.next + bindparam("count"))
    .returning(producer.c.next)
)
_ADD_EVENT = event.insert()
_ADD_PRIVATE = private.insert()


def create_log(engine: Engine, origin: str, log: int = FIRST) -> None:
    """Make the tables and the empty log where they are missing.

    Raises:
        LogError: when the store already holds the log of another origin under this number.
    """
    metadata.create_all(engine)
    named = select(head.c.origin).where(head.c.id == log)
    with engine.begin() as connection:
        found = connection.scalar(named)
    if found is None:
        try:
            with engine.begin() as connection:
                connection.execute(head.insert().values(id=log, origin=origin, size=0, edge=b""))
            found = origin
        except IntegrityError:  # Another process was first.
            with engine.begin() as connection:
                found = connection.scalar(named)
    if found != origin:
        raise LogError(
            "RF-A060",
            N_("The store holds the log {found} in the place of {origin}. Check origin and store."),
            found=found,
            origin=origin,
        )


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reads alone.

    The option is a hint to stores whose transactions are writers' from the start; others do not know it.
    """
    with engine.connect() as connection:
        yield connection.execution_options(ringfence_read_only=True)


def lock(connection: Connection, log: int = FIRST) -> Frontier:
    """Take the writers' turn at a log and read the tree's right edge.

    The update that changes nothing takes SQLite's write lock or PostgreSQL's row lock before the read, so two
    writers can never start from one state.
    """
    size, edge = connection.execute(_TURN, {"log": log}).one()
    return Frontier.unpack(size, edge)


def size(connection: Connection, log: int = FIRST) -> int:
    """Number of events."""
    return int(connection.execute(select(head.c.size).where(head.c.id == log)).scalar_one())


def frontier(connection: Connection, log: int = FIRST) -> Frontier:
    """The tree's right edge as a reader sees it, without a turn."""
    return Frontier.unpack(
        *connection.execute(select(head.c.size, head.c.edge).where(head.c.id == log)).one()
    )


def first_row(log: int) -> int:
    """The row number of a log's event 0."""
    return (log - FIRST) * _RANGE


def rows_in(log: int) -> ColumnElement[bool]:
    """Which rows of `audit_event` are a log's."""
    return event.c.seq.between(first_row(log), first_row(log) + _RANGE - 1)


def next_numbers(connection: Connection, source: str, count: int) -> int:
    """Take `count` consecutive sequence numbers of a producer; return the first."""
    after = connection.execute(_TAKE, {"producer": source, "count": count}).scalar_one_or_none()
    if after is None:
        connection.execute(producer.insert().values(source=source, next=count))
        return 0
    return int(after) - count


def append_events(
    connection: Connection,
    events: Sequence[Mapping[str, object]],
    privates: Sequence[Mapping[str, object]],
    tree: Frontier,
    log: int = FIRST,
) -> None:
    """Write events with their private parts and the tree they make; the caller holds the lock."""
    connection.execute(_ADD_EVENT, _placed(events, log))
    connection.execute(_ADD_PRIVATE, _placed(privates, log))
    connection.execute(_MOVE, {"log": log, "to_size": tree.size, "to_edge": tree.pack()})


def _placed(rows: Sequence[Mapping[str, object]], log: int) -> list[dict[str, object]]:
    """The same in the log's own range of row numbers."""
    first = first_row(log)
    return [{**row, "seq": first + int(str(row["seq"]))} for row in rows]


def with_nodes(connection: Connection, compute: Callable[[Node], T], log: int = FIRST) -> T:
    """Run a tree computation over stored hashes with one query.

    The computation runs twice: first to learn which nodes it asks for, then with the nodes. What it asks for
    depends on sizes only, never on hashes.
    """
    wanted: dict[int, bytes] = {}
    last = first_row(log) - 1

    def ask(level: int, index: int) -> bytes:
        wanted[last + ((index + 1) << level)] = b""
        return bytes(HASH_SIZE)

    def answer(level: int, index: int) -> bytes:
        found = wanted[last + ((index + 1) << level)][level * HASH_SIZE : (level + 1) * HASH_SIZE]
        if len(found) != HASH_SIZE:
            raise LogError("RF-A061", N_("The store lacks a hash of the log's tree; restore it from a copy."))
        return found

    compute(ask)
    if wanted:
        rows = select(event.c.seq, event.c.closed).where(event.c.seq.in_(list(wanted)))
        wanted |= {row.seq: row.closed for row in connection.execute(rows)}
    return compute(answer)


def read_leaves(
    engine: Engine,
    start: int,
    stop: int,
    action: str | None,
    resource: str | None,
    page: int,
    log: int = FIRST,
) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, leaf and leaf hash of the events in `[start, stop)`, page by page in short transactions."""
    first = first_row(log)
    start += first
    query = select(event.c.seq, event.c.leaf, event.c.closed).where(event.c.seq < first + stop)
    if action is not None:
        query = query.where(event.c.action == action)
    if resource is not None:
        query = query.where(event.c.resource == resource)
    while True:
        with reading(engine) as connection:
            rows = connection.execute(
                query.where(event.c.seq >= start).order_by(event.c.seq).limit(page)
            ).all()
        for seq, leaf, closed in rows:
            yield seq - first, leaf, closed[:HASH_SIZE]
        if len(rows) < page:
            return
        start = rows[-1][0] + 1


def read_private_part(connection: Connection, seq: int, log: int = FIRST) -> tuple[bytes, bytes, bytes]:
    """Leaf, salt and private part of one event.

    Raises:
        LogError: when there is no such event, or its private part was destroyed.
    """
    row = connection.execute(
        select(event.c.leaf, private.c.salt, private.c.body)
        .join_from(event, private, private.c.seq == event.c.seq)
        .where(event.c.seq == first_row(log) + seq, rows_in(log))
    ).one_or_none()
    if row is None:
        raise LogError(
            "RF-A062",
            N_("The store holds no private part of event {seq}; it does not exist or was erased."),
            seq=seq,
        )
    return row.leaf, row.salt, row.body


def last_checkpoint(connection: Connection, origin: str, log: int = FIRST) -> tuple[int, bytes, bytes] | None:
    """Size, root and note of the newest checkpoint of `origin` that is stored with a log."""
    row = connection.execute(
        select(checkpoint.c.size, checkpoint.c.root, checkpoint.c.note)
        .where(checkpoint.c.log == log, checkpoint.c.origin == origin)
        .order_by(checkpoint.c.size.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.size, row.root, row.note)


def keep_checkpoint(
    connection: Connection, origin: str, count: int, root: bytes, note: bytes, log: int = FIRST
) -> None:
    """Store a checkpoint with a log, its own or another's."""
    values = {"log": log, "origin": origin, "size": count, "root": root, "note": note}
    connection.execute(checkpoint.insert().values(**values))


def read_checkpoints(
    connection: Connection, origin: str, limit: int, log: int = FIRST
) -> list[tuple[int, bytes]]:
    """Sizes and notes of the newest checkpoints of `origin` that are stored with a log, oldest first."""
    rows = connection.execute(
        select(checkpoint.c.size, checkpoint.c.note)
        .where(checkpoint.c.log == log, checkpoint.c.origin == origin)
        .order_by(checkpoint.c.size.desc())
        .limit(limit)
    ).all()
    return [(row.size, row.note) for row in reversed(rows)]


def anchored_origins(connection: Connection, own: str, log: int = FIRST) -> list[str]:
    """Origins of the other logs whose checkpoints are stored with a log."""
    query = select(checkpoint.c.origin).where(checkpoint.c.log == log, checkpoint.c.origin != own).distinct()
    return sorted(connection.scalars(query))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHandover:
    """One change of a log's key: events under it, the raw key since, and the checkpoint that both signed."""

    size: int
    successor: bytes
    note: bytes


def keep_handover(connection: Connection, origin: str, count: int, successor: bytes, note: bytes) -> None:
    """Store a change of key; from this transaction's end the successor is the log's key."""
    connection.execute(handover.insert().values(origin=origin, size=count, successor=successor, note=note))


def read_handovers(connection: Connection, origin: str) -> list[KeptHandover]:
    """All changes of a log's key, the first one first."""
    query = select(handover.c.size, handover.c.successor, handover.c.note)
    rows = connection.execute(query.where(handover.c.origin == origin).order_by(handover.c.size))
    return [KeptHandover(size=row.size, successor=bytes(row.successor), note=bytes(row.note)) for row in rows]
