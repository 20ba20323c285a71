"""The log's tables (SQLAlchemy Core, SQLite and PostgreSQL) and the statements over them.

Invariant: all state of the log stands in the database. `audit_head` holds size and right edge of the tree and
is changed in the same transaction as the events, so a rollback takes the tree back with them. Each event's
row also holds the hashes of the complete subtrees that end with it, so any node of the tree is one row away.
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

# SQLite keeps a table by its INTEGER key; a BIGINT key would cost it a second tree.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
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
_TURN = head.update().where(head.c.id == 1).values(size=head.c.size).returning(head.c.size, head.c.edge)
_MOVE = head.update().where(head.c.id == 1).values(size=bindparam("to_size"), edge=bindparam("to_edge"))
_TAKE = (
    producer.update()
    .where(producer.c.source == bindparam("producer"))
    .values(next=producer.c.next + bindparam("count"))
    .returning(producer.c.next)
)
_ADD_EVENT = event.insert()
_ADD_PRIVATE = private.insert()


def create_log(engine: Engine, origin: str) -> None:
    """Make the tables and the empty log where they are missing.

    Raises:
        LogError: when the store already holds the log of another origin.
    """
    metadata.create_all(engine)
    with engine.begin() as connection:
        found = connection.scalar(select(head.c.origin))
    if found is None:
        try:
            with engine.begin() as connection:
                connection.execute(head.insert().values(id=1, origin=origin, size=0, edge=b""))
            found = origin
        except IntegrityError:  # Another process was first.
            with engine.begin() as connection:
                found = connection.scalar(select(head.c.origin))
    if found != origin:
        raise LogError(
            "RF-A060",
            N_(
                "The store holds the log {found}, not {origin}; a store keeps one log. Check origin and "
                "store."
            ),
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


def lock(connection: Connection) -> Frontier:
    """Take the writers' turn and read the tree's right edge.

    The update that changes nothing takes SQLite's write lock or PostgreSQL's row lock before the read, so two
    writers can never start from one state.
    """
    size, edge = connection.execute(_TURN).one()
    return Frontier.unpack(size, edge)


def size(connection: Connection) -> int:
    """Number of events."""
    return int(connection.execute(select(head.c.size)).scalar_one())


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
) -> None:
    """Write events with their private parts and the tree they make; the caller holds the lock."""
    connection.execute(_ADD_EVENT, events)
    connection.execute(_ADD_PRIVATE, privates)
    connection.execute(_MOVE, {"to_size": tree.size, "to_edge": tree.pack()})


def with_nodes(connection: Connection, compute: Callable[[Node], T]) -> T:
    """Run a tree computation over stored hashes with one query.

    The computation runs twice: first to learn which nodes it asks for, then with the nodes. What it asks for
    depends on sizes only, never on hashes.
    """
    wanted: dict[int, bytes] = {}

    def ask(level: int, index: int) -> bytes:
        wanted[((index + 1) << level) - 1] = b""
        return bytes(HASH_SIZE)

    def answer(level: int, index: int) -> bytes:
        found = wanted[((index + 1) << level) - 1][level * HASH_SIZE : (level + 1) * HASH_SIZE]
        if len(found) != HASH_SIZE:
            raise LogError("RF-A061", N_("The store lacks a hash of the log's tree; restore it from a copy."))
        return found

    compute(ask)
    if wanted:
        rows = select(event.c.seq, event.c.closed).where(event.c.seq.in_(list(wanted)))
        wanted |= {row.seq: row.closed for row in connection.execute(rows)}
    return compute(answer)


def read_leaves(
    engine: Engine, start: int, stop: int, action: str | None, resource: str | None, page: int
) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, leaf and leaf hash of the events in `[start, stop)`, page by page in short transactions."""
    query = select(event.c.seq, event.c.leaf, event.c.closed).where(event.c.seq < stop)
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
            yield seq, leaf, closed[:HASH_SIZE]
        if len(rows) < page:
            return
        start = rows[-1][0] + 1


def read_private_part(connection: Connection, seq: int) -> tuple[bytes, bytes, bytes]:
    """Leaf, salt and private part of one event.

    Raises:
        LogError: when there is no such event, or its private part was destroyed.
    """
    row = connection.execute(
        select(event.c.leaf, private.c.salt, private.c.body)
        .join_from(event, private, private.c.seq == event.c.seq)
        .where(event.c.seq == seq)
    ).one_or_none()
    if row is None:
        raise LogError(
            "RF-A062",
            N_("The store holds no private part of event {seq}; it does not exist or was erased."),
            seq=seq,
        )
    return row.leaf, row.salt, row.body


def last_checkpoint(connection: Connection, origin: str) -> tuple[int, bytes, bytes] | None:
    """Size, root and note of the newest stored checkpoint of a log."""
    row = connection.execute(
        select(checkpoint.c.size, checkpoint.c.root, checkpoint.c.note)
        .where(checkpoint.c.origin == origin)
        .order_by(checkpoint.c.size.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.size, row.root, row.note)


def keep_checkpoint(connection: Connection, origin: str, count: int, root: bytes, note: bytes) -> None:
    """Store a checkpoint, this log's own or another's."""
    connection.execute(checkpoint.insert().values(origin=origin, size=count, root=root, note=note))


def read_checkpoints(connection: Connection, origin: str, limit: int) -> list[tuple[int, bytes]]:
    """Sizes and notes of a log's newest stored checkpoints, oldest first."""
    rows = connection.execute(
        select(checkpoint.c.size, checkpoint.c.note)
        .where(checkpoint.c.origin == origin)
        .order_by(checkpoint.c.size.desc())
        .limit(limit)
    ).all()
    return [(row.size, row.note) for row in reversed(rows)]


def anchored_origins(connection: Connection, own: str) -> list[str]:
    """Origins of the other logs whose checkpoints are stored here."""
    query = select(checkpoint.c.origin).where(checkpoint.c.origin != own).distinct()
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
