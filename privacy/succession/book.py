"""The chains of keys that a house knows, its own and others', in its store.

Invariants:
    A key has one successor here. A second one that both keys and two people signed freezes the chain, with
    both documents kept: one was made by somebody who should not have the key, and people say which.
    A successor is a key that was never in this book: chains have no circle, and none joins another.
    What a key was pinned as is never rewritten; who asks is led to the key in force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    or_,
    select,
    update,
)

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, KeyFault
from ringfence.privacy.stores.store import reading
from ringfence.privacy.succession.document import KeyRole, SignedSuccession, Succession, succession_of

METADATA = MetaData()
_ROWS = Table(
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
_FROZEN = Table(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSuccession:
    """One change of key that is in force here.

    Attributes:
        said: what it says.
        own: it is of this house.
        accepted: when it took effect here, UTC.
        last_entry: number of the ledger's last entry at that moment, of a holder's own identity; 0 otherwise.
        frozen: another successor of the same key was shown, and nobody has said yet which counts.
    """

    said: Succession
    own: bool
    accepted: str
    last_entry: int
    frozen: bool


class KeyBook:
    """Chains of keys in a house's store."""

    def __init__(self, engine: Engine) -> None:
        """Open the tables, making them when absent."""
        self._engine = engine
        METADATA.create_all(engine)

    def known(self) -> tuple[KnownSuccession, ...]:
        """Every change of key, by party and number."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(_ROWS).order_by(_ROWS.c.role, _ROWS.c.party, _ROWS.c.number, _ROWS.c.old)
            ).all()
            frozen = {(row.role, row.old) for row in _open_conflicts(connection)}
        return tuple(
            KnownSuccession(
                said=succession_of(SignedDocument.from_json(row.document)),
                own=row.own,
                accepted=row.accepted,
                last_entry=row.last_entry,
                frozen=(row.role, row.old) in frozen,
            )
            for row in rows
        )

    def digest(self) -> bytes:
        """Of all that is in force and frozen: another one after every change."""
        state = hashlib.sha256()
        for each in self.known():
            state.update(f"{each.said.role} {each.said.old} {each.said.new}\n".encode())
        for role, key in self.frozen():
            state.update(f"frozen {role} {key.hex}\n".encode())
        return state.digest()

    def followed(self, role: KeyRole, key: PublicIdentity) -> PublicIdentity:
        """The key in force in the place of one that was pinned once.

        Raises:
            KeyFault: RF-K161 its chain is frozen.
        """
        with reading(self._engine) as connection:
            found = _followed(connection, role, key.hex)
            _require_clear(connection, role, (*_former(connection, role, found), found))
        return PublicIdentity.from_hex(found)

    def after(self, role: KeyRole, key: PublicIdentity) -> tuple[PublicIdentity, ...]:
        """The keys after one in its chain, the next one first, frozen or not."""
        found: list[PublicIdentity] = []
        with reading(self._engine) as connection:
            while (row := connection.execute(_of(role, key.hex)).one_or_none()) is not None:
                key = PublicIdentity.from_hex(row.new)
                found.append(key)
        return tuple(found)

    def require_current(self, role: KeyRole, key: PublicIdentity, whose: str) -> None:
        """Refuse a key that was replaced here.

        Raises:
            KeyFault: RF-W433 it was, RF-K161 its chain is frozen.
        """
        found = self.followed(role, key)
        if found != key:
            raise KeyFault(
                "RF-W433",
                N_(
                    "{whose} shows the key {old}, which was replaced by {new} here. Ask its owner for "
                    "what is signed with the new one."
                ),
                whose=whose,
                old=key.fingerprint,
                new=found.fingerprint,
            )

    def former(self, role: KeyRole, key: PublicIdentity) -> tuple[PublicIdentity, ...]:
        """The keys before one in its chain, the newest first."""
        with reading(self._engine) as connection:
            return tuple(map(PublicIdentity.from_hex, _former(connection, role, key.hex)))

    def trusted(self, role: KeyRole, listed: Iterable[str]) -> tuple[str, ...]:
        """Fingerprints in force in the place of those that people listed; frozen ones are left out."""
        after: dict[str, str] = {}
        held = set[str]()
        for each in self.known():
            if each.said.role == role:
                after[each.said.former.fingerprint] = each.said.successor.fingerprint
                if each.frozen:
                    held.add(each.said.former.fingerprint)
        with reading(self._engine) as connection:
            rows = _open_conflicts(connection)
        held |= {PublicIdentity.from_hex(row.old).fingerprint for row in rows if row.role == role}
        found: list[str] = []
        for name in listed:
            frozen = name in held
            while name in after:
                name = after[name]
                frozen = frozen or name in held
            if not frozen:
                found.append(name)
        return tuple(dict.fromkeys(found))

    def examine(self, found: SignedSuccession, *, own: bool) -> None:
        """Whether a succession may take effect, as far as this book knows.

        Raises:
            KeyFault: RF-K156 it was taken in before, RF-W432 it is of this house's own key, RF-K160 the old
                key has another successor here, RF-K161 the chain is frozen, RF-K157 the new key was in use
                before, RF-K158 a link is missing.
        """
        with reading(self._engine) as connection:
            self._examine(connection, found.said, own=own)

    def accept(
        self, connection: Connection, found: SignedSuccession, *, at: str, own: bool, last_entry: int = 0
    ) -> None:
        """Put a succession in force, in the transaction of its event.

        Raises:
            KeyFault: as `examine`.
        """
        said = found.said
        self._examine(connection, said, own=own)
        connection.execute(
            insert(_ROWS).values(
                role=said.role,
                old=said.old,
                new=said.new,
                number=said.number,
                party=said.party,
                own=own,
                accepted=at,
                last_entry=last_entry,
                document=found.document.to_json(),
            )
        )

    def _examine(self, connection: Connection, said: Succession, *, own: bool) -> None:
        row = connection.execute(_of(said.role, said.old)).one_or_none()
        if row is not None and row.new == said.new:
            raise KeyFault(
                "RF-K156",
                N_("This succession took effect here on {at} already; nothing was changed."),
                at=row.accepted,
            )
        if row is not None and row.own and not own:
            raise KeyFault(
                "RF-W432",
                N_(
                    "This is a succession of this house's own key {old} that its people did not make: "
                    "somebody else has that key. Keep the file, and warn the other parties."
                ),
                old=said.former.fingerprint,
            )
        before = _former(connection, said.role, said.old)
        _require_clear(connection, said.role, (*before, said.old))
        if row is not None:
            raise KeyFault(
                "RF-K160",
                N_(
                    "The key {old} of {party} has the successor {known} here, and {found} is another: who "
                    "signed both should not have that key. Its owner is not believed until two people here "
                    "say which of them counts."
                ),
                old=said.former.fingerprint,
                party=said.party,
                known=PublicIdentity.from_hex(row.new).fingerprint,
                found=said.successor.fingerprint,
            )
        used = or_(_ROWS.c.old == said.new, _ROWS.c.new == said.new)
        if connection.execute(select(_ROWS.c.old).where(used)).first() is not None:
            raise KeyFault(
                "RF-K157",
                N_("The new key {fingerprint} was in use before; a succession leads to a key never used."),
                fingerprint=said.successor.fingerprint,
            )
        last = connection.scalar(
            select(_ROWS.c.number).where(_ROWS.c.role == said.role, _ROWS.c.new == said.old)
        )
        due = 1 if last is None and own else None if last is None else last + 1
        if due is not None and said.number != due:
            raise KeyFault(
                "RF-K158",
                N_(
                    "This is change {found} of the key, and change {due} is expected: the one before it is "
                    "missing."
                ),
                found=said.number,
                due=due,
            )

    def conflict(self, connection: Connection, found: SignedSuccession, *, at: str) -> bool:
        """Keep a second successor of a key, which freezes its chain; whether it is new here."""
        said = found.said
        where = (_FROZEN.c.role == said.role, _FROZEN.c.old == said.old, _FROZEN.c.other == said.new)
        if connection.execute(select(_FROZEN.c.other).where(*where)).first() is not None:
            return False
        connection.execute(
            insert(_FROZEN).values(
                role=said.role,
                old=said.old,
                other=said.new,
                party=said.party,
                found=at,
                document=found.document.to_json(),
                settled="",
            )
        )
        return True

    def documents(self, role: KeyRole, old: PublicIdentity) -> tuple[SignedDocument, ...]:
        """The succession of a key that is in force, and those that contradict it: evidence for others."""
        with reading(self._engine) as connection:
            first = connection.execute(_of(role, old.hex)).all()
            others = connection.execute(
                select(_FROZEN).where(_FROZEN.c.role == role, _FROZEN.c.old == old.hex)
            ).all()
        return tuple(SignedDocument.from_json(row.document) for row in (*first, *others))

    def frozen(self) -> tuple[tuple[KeyRole, PublicIdentity], ...]:
        """Role and key of every chain that waits for people."""
        with reading(self._engine) as connection:
            rows = _open_conflicts(connection)
        return tuple(dict.fromkeys((row.role, PublicIdentity.from_hex(row.old)) for row in rows))

    def settle(
        self, connection: Connection, role: KeyRole, old: PublicIdentity, chosen: PublicIdentity, at: str
    ) -> None:
        """Thaw a chain with the successor that two people chose among those that were shown.

        Raises:
            KeyFault: RF-K163 a key after the successor that is given up is in use.
        """
        row = connection.execute(_of(role, old.hex)).one()
        where = (_FROZEN.c.role == role, _FROZEN.c.old == old.hex, _FROZEN.c.settled == "")
        others = {each.other: each.document for each in connection.execute(select(_FROZEN).where(*where))}
        if chosen.hex != row.new:
            if connection.execute(_of(role, row.new)).first() is not None:
                raise KeyFault(
                    "RF-K163",
                    N_("A further key came after {known}; settle that one first, or enter the party anew."),
                    known=PublicIdentity.from_hex(row.new).fingerprint,
                )
            said = succession_of(SignedDocument.from_json(others[chosen.hex]))
            values = {"new": said.new, "number": said.number, "document": others[chosen.hex]}
            known = (_ROWS.c.role == role, _ROWS.c.old == old.hex)
            connection.execute(update(_ROWS).where(*known).values(**values))
        connection.execute(update(_FROZEN).where(*where).values(settled=at))


def key_in_force(connection: Connection, role: KeyRole, key: PublicIdentity) -> PublicIdentity:
    """The key in the place of one, in a store that may be older than this book; nothing is made."""
    if not connection.dialect.has_table(connection, _ROWS.name):
        return key
    return PublicIdentity.from_hex(_followed(connection, role, key.hex))


def _of(role: str, old: str):  # type: ignore[no-untyped-def]  # a Select of all columns has no short type
    return select(_ROWS).where(_ROWS.c.role == role, _ROWS.c.old == old)


def _followed(connection: Connection, role: str, key: str) -> str:
    while (row := connection.execute(_of(role, key)).one_or_none()) is not None:
        key = row.new
    return key


def _former(connection: Connection, role: str, key: str) -> tuple[str, ...]:
    found: list[str] = []
    query = select(_ROWS.c.old).where(_ROWS.c.role == role)
    while (key_before := connection.scalar(query.where(_ROWS.c.new == key))) is not None:
        found.append(key_before)
        key = key_before
    return tuple(found)


def _open_conflicts(connection: Connection):  # type: ignore[no-untyped-def]  # rows of one table
    return connection.execute(select(_FROZEN).where(_FROZEN.c.settled == "")).all()


def _require_clear(connection: Connection, role: str, chain: Iterable[str]) -> None:
    keys = set(chain)
    for row in _open_conflicts(connection):
        if row.role == role and row.old in keys:
            raise KeyFault(
                "RF-K161",
                N_(
                    "Two successors of the key {old} of {party} were shown here on {found}, so {party} is "
                    "not believed until two people say which counts: key settle"
                ),
                old=PublicIdentity.from_hex(row.old).fingerprint,
                party=row.party,
                found=row.found,
            )
