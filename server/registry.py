"""What the coordinator remembers of each holder: its ledger's head and its log's position, as last seen.

A holder whose disk was rolled back shows an older head than this one, and freezes its ledger when it is told
(the coordinator cannot make it spend anything by that; it can only make it stop).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Engine, MetaData, String, Table, delete, insert, select

from ringfence.privacy.wire.control import LedgerHead, LogPosition

METADATA = MetaData()

HOLDERS = Table(
    "registry_holders",
    METADATA,
    Column("holder", String(128), primary_key=True),
    Column("ledger_sequence", BigInteger, nullable=False),
    Column("ledger_hash", String(71), nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", String(71), nullable=False),
)


class HolderRegistry:
    """Durable memory of the holders' last known states."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        METADATA.create_all(engine)

    def seen(self, holder: str, ledger: LedgerHead, log: LogPosition) -> None:
        """Remember a holder's state; the latest replaces the one before."""
        with self._engine.begin() as connection:
            connection.execute(delete(HOLDERS).where(HOLDERS.c.holder == holder))
            connection.execute(
                insert(HOLDERS).values(
                    holder=holder,
                    ledger_sequence=ledger.sequence,
                    ledger_hash=ledger.hash,
                    log_size=log.size,
                    log_root=log.root,
                )
            )

    def last(self, holder: str) -> tuple[LedgerHead, LogPosition] | None:
        """The holder's state as last seen, or None for a newcomer."""
        with self._engine.begin() as connection:
            row = connection.execute(select(HOLDERS).where(HOLDERS.c.holder == holder)).one_or_none()
        if row is None:
            return None
        return (
            LedgerHead(sequence=row.ledger_sequence, hash=row.ledger_hash),
            LogPosition(size=row.log_size, root=row.log_root),
        )
