"""The ledger's table and its hash chain: entries are exact bytes, each bound to the one before.

`hash = SHA-256(previous hash || entry)`, where the entry is canonical JSON (RFC 8785) without floats. An
entry holds 128 random bits, so two histories that did the same things still have different heads.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import rfc8785
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    select,
)

from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger.entries import EntryRecord, Fields
from ringfence.privacy.ledger.reading import Given, Misread, only, record_of

GENESIS = bytes(32)
VERSION = 1
_MEMBERS = ("v", "sequence", "kind", "time", "nonce", "fields")
METADATA = MetaData()
_table = Table(
    "budget_ledger",
    METADATA,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# Built once: making these expressions anew costs more than running them.
_FROM = select(_table).where(_table.c.sequence >= bindparam("first")).order_by(_table.c.sequence)
_HASH = select(_table.c.hash).where(_table.c.sequence == bindparam("sequence"))
_ADD = _table.insert()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger.

    Attributes:
        sequence: 1, 2, 3, ...
        time: UTC, ISO 8601.
        record: what happened.
        hash: SHA-256 over the previous hash and the entry's bytes.
    """

    sequence: int
    time: str
    record: EntryRecord
    hash: bytes

    @property
    def kind(self) -> str:
        """created, reserved, charged, committed, frozen, thawed or topped-up."""
        return self.record.kind

    @property
    def fields(self) -> Fields:
        """What the record says as the ledger holds it, by name."""
        return dict(sorted(self.record.fields().items()))


def create_table(connection: Connection) -> None:
    """Make the ledger's table where it is missing."""
    METADATA.create_all(connection)


def table_exists(connection: Connection) -> bool:
    """Whether the store has the ledger's table."""
    return connection.dialect.has_table(connection, _table.name)


def lock(connection: Connection) -> None:
    """Let no other writer at the ledger until the transaction ends."""
    # SQLite gave the whole file to this transaction when it began (see privacy/stores/store.py).
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {_table.name} IN EXCLUSIVE MODE")


def append(connection: Connection, sequence: int, previous: bytes, record: EntryRecord) -> Entry:
    """Write the next entry.

    Args:
        connection: a transaction that holds the lock.
        sequence: the entry's number.
        previous: hash of the entry before, or `GENESIS`.
        record: what happened.
    """
    time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    body = rfc8785.dumps(
        {
            "v": VERSION,
            "sequence": sequence,
            "kind": record.kind,
            "time": time,
            "nonce": secrets.token_hex(16),
            "fields": dict(record.fields()),
        }
    )
    digest = link(previous, body)
    connection.execute(_ADD, {"sequence": sequence, "entry": body, "hash": digest})
    return Entry(sequence=sequence, time=time, record=record, hash=digest)


def link(previous: bytes, body: bytes) -> bytes:
    """The hash that binds an entry to all before it."""
    return hashlib.sha256(previous + body).digest()


def read_entries(connection: Connection, after: int, previous: bytes) -> Iterator[Entry]:
    """Read and verify the entries after a known one.

    Args:
        connection: an open transaction.
        after: sequence number of the known entry, 0 for the beginning.
        previous: its hash.

    Raises:
        BudgetError: an entry is missing, altered or out of order, or the known entry is no longer there.
    """
    rows = iter(connection.execute(_FROM, {"first": after}))
    if after:
        known = next(rows, None)
        if known is None or known.sequence != after or bytes(known.hash) != previous:
            raise broken_chain(after)
    for expected, (sequence, body, digest) in enumerate(rows, after + 1):
        if sequence != expected or link(previous, bytes(body)) != bytes(digest):
            raise broken_chain(expected)
        yield _parse(expected, bytes(body), bytes(digest))
        previous = bytes(digest)


def hash_of(connection: Connection, sequence: int) -> bytes | None:
    """The hash of an entry; None where the chain does not reach it."""
    digest = connection.scalar(_HASH, {"sequence": sequence})
    return None if digest is None else bytes(digest)


def _parse(sequence: int, body: bytes, digest: bytes) -> Entry:
    try:
        content: object = json.loads(body)
        if not isinstance(content, dict) or rfc8785.dumps(content) != body:
            raise broken_chain(sequence)
    except (ValueError, RecursionError):
        raise broken_chain(sequence) from None
    try:
        return _entry(sequence, content, digest)
    except Misread as misread:
        raise BudgetError(
            "RF-B551",
            N_(
                "Entry {sequence} of the budget ledger holds something at {place} that this version of "
                "Ringfence does not know, so nothing is spent from it. Open it with the version that wrote "
                "it; if that is this one, it was altered: restore the ledger from a backup and thaw it."
            ),
            sequence=sequence,
            place=misread.place,
        ) from None


def _entry(sequence: int, content: dict[str, object], digest: bytes) -> Entry:
    given = Given(content)
    if given.number("v") != VERSION:
        raise Misread("v")
    only(content, _MEMBERS)
    if given.number("sequence") != sequence:
        raise broken_chain(sequence)
    given.text("nonce")
    return Entry(
        sequence=sequence,
        time=given.text("time"),
        record=record_of(content["kind"], content["fields"]),
        hash=digest,
    )


def broken_chain(sequence: int) -> BudgetError:
    """The refusal for a chain that does not hold."""
    return BudgetError(
        "RF-B301",
        N_(
            "The budget ledger was altered at entry {sequence}; nothing is spent from it. "
            "Restore it from a backup and thaw it."
        ),
        sequence=sequence,
    )
