"""The rows of the book of keys, and how a chain is followed in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    select,
)

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.succession.document import KeyRole

METADATA = MetaData()
SUCCESSIONS = Table(
    "key_successions",
    METADATA,
    Column("role", String(16), primary_key=True),
    Column("old", String(64), primary_key=True),
    Column("new", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("party", String(64), nullable=False),
    Column("own", Boolean, nullable=False),
    Column("accepted", String(40), nullable=False),
    Column("last_entry", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
CONFLICTS = Table(
    "key_conflicts",
    METADATA,
    Column("role", String(16), primary_key=True),
    Column("old", String(64), primary_key=True),
    Column("other", String(64), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("found", String(40), nullable=False),
    Column("document", Text, nullable=False),
    Column("settled", String(40), nullable=False),
)


def key_in_force(connection: Connection, role: KeyRole, key: PublicIdentity) -> PublicIdentity:
    """The key in the place of one, in a store that may be older than this book; nothing is made."""
    if not connection.dialect.has_table(connection, SUCCESSIONS.name):
        return key
    return PublicIdentity.from_hex(last_of_chain(connection, role, key.hex))


def successions_of(role: str, old: str) -> Select[Any]:
    """The change of one key, or nothing."""
    return select(SUCCESSIONS).where(SUCCESSIONS.c.role == role, SUCCESSIONS.c.old == old)


def last_of_chain(connection: Connection, role: str, key: str) -> str:
    """The key, hex, that a chain ends with."""
    while (row := connection.execute(successions_of(role, key)).one_or_none()) is not None:
        key = row.new
    return key


def before_in_chain(connection: Connection, role: str, key: str) -> tuple[str, ...]:
    """The keys, hex, before one in its chain, the newest first."""
    found: list[str] = []
    query = select(SUCCESSIONS.c.old).where(SUCCESSIONS.c.role == role)
    while (key_before := connection.scalar(query.where(SUCCESSIONS.c.new == key))) is not None:
        found.append(key_before)
        key = key_before
    return tuple(found)


def open_conflicts(connection: Connection) -> Sequence[Row[Any]]:
    """Second successors of which nobody has said whether they count."""
    return connection.execute(select(CONFLICTS).where(CONFLICTS.c.settled == "")).all()
