"""The federations that a home belongs to or has left: which of the store's logs is whose.

Invariant: a federation's log is founded by a person's command and kept for good. One that was left and is
entered again goes on with its log, so that its coordinator sees no second one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from ringfence.audit.store import FIRST
from ringfence.privacy.stores.store import reading

METADATA = MetaData()
_ROWS = Table(
    "federations",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("coordinator", String(64), nullable=False),
    Column("mark", String(16), nullable=False, unique=True),
    Column("left", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFederation:
    """One federation.

    Attributes:
        number: of its log in the store, from 2 on; the house's own is the first.
        name: at this home.
        coordinator: the key that it was entered with, hexadecimal.
        mark: random, in the name of the log: it tells the coordinator nothing and auditors which log it is.
        left: whether this home has left it.
    """

    number: int
    name: str
    coordinator: str
    mark: str
    left: bool


class Federations:
    """The table in a holder's store."""

    def __init__(self, engine: Engine) -> None:
        """Open the table, making it when absent."""
        self._engine = engine
        METADATA.create_all(engine)

    def find(self, name: str) -> KnownFederation | None:
        """The federation of a name, or None for one that was never entered here."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_ROWS).where(_ROWS.c.name == name)).one_or_none()
        return None if row is None else KnownFederation(**row._mapping)

    def listed(self) -> tuple[KnownFederation, ...]:
        """All that were ever entered, the first first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_ROWS).order_by(_ROWS.c.number)).all()
        return tuple(KnownFederation(**row._mapping) for row in rows)

    def entered(self, name: str, coordinator: str) -> KnownFederation:
        """Take a federation up, with a new number or the one that it had."""
        with self._engine.begin() as connection:
            again = update(_ROWS).where(_ROWS.c.name == name).values(left=False)
            if not connection.execute(again).rowcount:
                last = connection.scalar(select(func.max(_ROWS.c.number))) or FIRST
                values = {"number": last + 1, "name": name, "coordinator": coordinator}
                connection.execute(insert(_ROWS).values(**values, mark=secrets.token_hex(8), left=False))
            row = connection.execute(select(_ROWS).where(_ROWS.c.name == name)).one()
        return KnownFederation(**row._mapping)

    def leave(self, name: str, *, connection: Connection) -> None:
        """Keep that a federation was left, in the transaction of its event."""
        connection.execute(update(_ROWS).where(_ROWS.c.name == name).values(left=True))


def left_log(name: str) -> str:
    """Where in the home the log's key of a federation is made, and stays once that is left."""
    return f"keys/log-{name}.key"


def known_marks(connection: Connection) -> dict[str, str]:
    """The mark in the log's name of every federation that was ever entered, by its name."""
    return {row.name: row.mark for row in connection.execute(select(_ROWS.c.name, _ROWS.c.mark))}
