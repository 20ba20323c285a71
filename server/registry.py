"""What the coordinator remembers of each holder: its ledger's head, its log's name, key and position.

Holders are known by the fingerprint of their identity, not by the name a study gives them. A ledger head is
kept with the holder's own signature, the last that came, and shown back when the next study is offered: a
holder whose disk was rolled back finds that it lacks the entry, and freezes. To the coordinator a head tells
nothing. Name and key of a holder's log are fixed at first contact; a log that changes either is refused,
since a new log could hide what the old one holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, verify_head

METADATA = MetaData()

HOLDERS = Table(
    "registry_holders",
    METADATA,
    Column("identity", String(64), primary_key=True),
    Column("ledger_mark", String(128), nullable=False),
    Column("ledger_signature", String(128), nullable=False),
    Column("log_origin", String(256), nullable=False, unique=True),
    Column("log_key", String(64), nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", String(71), nullable=False),
)

# Built once: making the expression anew costs more than running it.
_ADVANCE = (
    update(HOLDERS)
    .where(HOLDERS.c.identity == bindparam("holder"))
    .values({name: bindparam(name) for name in ("ledger_mark", "ledger_signature")})
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderLog:
    """A holder's audit log: its name in the world, its key, and where it stood when last seen."""

    origin: str
    key: PublicIdentity
    position: LogPosition


class HolderRegistry:
    """Durable memory of the holders' last known states."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        METADATA.create_all(engine)

    @property
    def engine(self) -> Engine:
        """The coordinator's store."""
        return self._engine

    def last(self, holder: PublicIdentity) -> tuple[LedgerHead, HolderLog] | None:
        """The holder's state as last seen, or None for a newcomer."""
        with self._engine.begin() as connection:
            row = connection.execute(select(HOLDERS).where(HOLDERS.c.identity == holder.hex)).one_or_none()
        if row is None:
            return None
        head = LedgerHead(mark=row.ledger_mark, signature=row.ledger_signature)
        position = LogPosition(size=row.log_size, root=row.log_root)
        return head, HolderLog(
            origin=row.log_origin, key=PublicIdentity.from_hex(row.log_key), position=position
        )

    def whose(self, origin: str) -> tuple[PublicIdentity, PublicIdentity] | None:
        """The holder whose log has this name, and the log's key; None for a log that never came."""
        with self._engine.begin() as connection:
            row = connection.execute(
                select(HOLDERS.c.identity, HOLDERS.c.log_key).where(HOLDERS.c.log_origin == origin)
            ).one_or_none()
        if row is None:
            return None
        return PublicIdentity.from_hex(row.identity), PublicIdentity.from_hex(row.log_key)

    def called(self, name: str) -> tuple[str, ...]:
        """The logs that have this name, or that end in it as the log of a holder of that name does."""
        origin = HOLDERS.c.log_origin
        chosen = select(origin).where((origin == name) | origin.endswith(f"/{name}", autoescape=True))
        with self._engine.begin() as connection:
            return tuple(connection.scalars(chosen.order_by(origin)))

    def moved(self, holder: PublicIdentity, position: LogPosition, connection: Connection) -> None:
        """Remember where a holder's log stands that goes on from an older copy."""
        known = HOLDERS.c.identity == holder.hex
        values = {"log_size": position.size, "log_root": position.root}
        connection.execute(update(HOLDERS).where(known).values(**values))

    def check_log(self, holder: PublicIdentity, origin: str, key: PublicIdentity) -> None:
        """Refuse a log whose name or key is not the one the holder came with first, or is another holder's.

        Raises:
            WaistError: RF-W202.
        """
        with self._engine.begin() as connection:
            rows = connection.execute(
                select(HOLDERS.c.identity, HOLDERS.c.log_origin, HOLDERS.c.log_key).where(
                    (HOLDERS.c.identity == holder.hex) | (HOLDERS.c.log_origin == origin)
                )
            ).all()
        if any((row.identity, row.log_origin, row.log_key) != (holder.hex, origin, key.hex) for row in rows):
            raise WaistError(
                "RF-W202",
                N_(
                    "A holder came with another log, or another log key, than before; it does not take part. "
                    "Ask its people why."
                ),
            )

    def follow(self, role: str, old: PublicIdentity, new: PublicIdentity, connection: Connection) -> None:
        """Let what is remembered under one key stand under its successor: of a holder, or of its log."""
        column = HOLDERS.c.log_key if role == "log" else HOLDERS.c.identity
        connection.execute(update(HOLDERS).where(column == old.hex).values({column: new.hex}))

    def of_log(self, key: PublicIdentity) -> tuple[str, PublicIdentity] | None:
        """Name of the log that came with this key last, and whose it is; None where none did."""
        with self._engine.begin() as connection:
            row = connection.execute(
                select(HOLDERS.c.log_origin, HOLDERS.c.identity).where(HOLDERS.c.log_key == key.hex)
            ).one_or_none()
        return None if row is None else (row.log_origin, PublicIdentity.from_hex(row.identity))

    def seen(
        self,
        holder: PublicIdentity,
        head: LedgerHead,
        log: HolderLog,
        connection: Connection | None = None,
    ) -> None:
        """Remember a holder's state; its signature on the head is verified.

        Args:
            holder: whose state.
            head: its ledger's.
            log: where its log stands.
            connection: the transaction in which the log's checkpoint is anchored: were only one of the two
                kept, the holder's next proof would fit neither.
        """
        verify_head(head, holder, log.origin)
        values = {
            "log_origin": log.origin,
            "log_key": log.key.hex,
            "log_size": log.position.size,
            "log_root": log.position.root,
        }
        known = HOLDERS.c.identity == holder.hex
        with self._engine.begin() if connection is None else nullcontext(connection) as within:
            if within.scalar(select(HOLDERS.c.identity).where(known)) is None:
                within.execute(insert(HOLDERS).values(identity=holder.hex, **values, **_columns(head)))
            else:
                within.execute(update(HOLDERS).where(known).values(**values))
                _advance(within, holder, head)

    def spent(self, heads: Mapping[PublicIdentity, LedgerHead]) -> None:
        """Remember the heads that came with a round's words, each `verified` before, in one transaction."""
        with self._engine.begin() as connection:
            for holder, head in heads.items():
                _advance(connection, holder, head)

    def verified(self, holder: PublicIdentity, head: LedgerHead) -> LedgerHead:
        """A head of a holder that is known, once its signature holds.

        Raises:
            WaistError: RF-W166.
        """
        known = self.last(holder)
        return verify_head(head, holder, "" if known is None else known[1].origin)


def _advance(connection: Connection, holder: PublicIdentity, head: LedgerHead) -> None:
    connection.execute(_ADVANCE, {"holder": holder.hex} | _columns(head))


def _columns(head: LedgerHead) -> dict[str, str]:
    return {"ledger_mark": head.mark, "ledger_signature": head.signature}


def require_keys_in_force(engine: Engine, study: Study) -> None:
    """Refuse a study that names a holder by a key that was replaced, or whose chain is frozen.

    A signed study is the exact bytes that people approved; it does not come to mean another key.

    Raises:
        KeyFault: RF-K161 frozen, RF-W431 replaced.
    """
    book = KeyBook(engine)
    for holder in study.holders:
        key = PublicIdentity.from_hex(holder.key)
        if book.followed("holder", key) != key:
            raise KeyFault(
                "RF-W431",
                N_(
                    "The study {study} names {holder} by the key {key}, which was replaced. Sign it anew "
                    "with the holder's new declaration, and let it be approved anew."
                ),
                study=study.id,
                holder=holder.name,
                key=key.fingerprint,
            )


def first_keys(engine: Engine, study: Study) -> dict[str, str]:
    """The first key in the chain of each holder's key that a study names, hex, by the key that it names."""
    book = KeyBook(engine)
    keys = [PublicIdentity.from_hex(holder.key) for holder in study.holders]
    return {key.hex: (key, *book.former("holder", key))[-1].hex for key in keys}
