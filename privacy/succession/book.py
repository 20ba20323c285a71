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
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, or_, select, update

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, KeyFault
from ringfence.privacy.stores.store import reading
from ringfence.privacy.succession.document import KeyRole, SignedSuccession, Succession, succession_of
from ringfence.privacy.succession.rows import (
    CONFLICTS,
    METADATA,
    SUCCESSIONS,
    before_in_chain,
    last_of_chain,
    open_conflicts,
    successions_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSuccession:
    """One change of key that is in force here.

    Attributes:
        said: what it says.
        own: it is of this house.
        accepted: when it took effect here, UTC.
        last_entry: number of the ledger's last entry at that moment, of a holder's own identity; 0 otherwise.
        others: successors of the same key that were shown too, while nobody has said which counts.
    """

    said: Succession
    own: bool
    accepted: str
    last_entry: int
    others: tuple[PublicIdentity, ...]

    @property
    def frozen(self) -> bool:
        """Whether people have to say which successor counts."""
        return bool(self.others)


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
                select(SUCCESSIONS).order_by(
                    SUCCESSIONS.c.role, SUCCESSIONS.c.party, SUCCESSIONS.c.number, SUCCESSIONS.c.old
                )
            ).all()
            conflicts = open_conflicts(connection)
        return tuple(
            KnownSuccession(
                said=succession_of(SignedDocument.from_json(row.document)),
                own=row.own,
                accepted=row.accepted,
                last_entry=row.last_entry,
                others=tuple(
                    PublicIdentity.from_hex(each.other)
                    for each in conflicts
                    if (each.role, each.old) == (row.role, row.old)
                ),
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
            found = last_of_chain(connection, role, key.hex)
            _require_clear(connection, role, (*before_in_chain(connection, role, found), found))
        return PublicIdentity.from_hex(found)

    def after(self, role: KeyRole, key: PublicIdentity) -> tuple[PublicIdentity, ...]:
        """The keys after one in its chain, the next one first, frozen or not."""
        found: list[PublicIdentity] = []
        with reading(self._engine) as connection:
            while (row := connection.execute(successions_of(role, key.hex)).one_or_none()) is not None:
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
            return tuple(map(PublicIdentity.from_hex, before_in_chain(connection, role, key.hex)))

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
            rows = open_conflicts(connection)
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
            KeyFault: RF-K156 it was taken in before, RF-K157 the new key was in use before, RF-K158 a link is
                missing, RF-K160 the old key has another successor here, RF-K161 the chain is frozen, RF-K163
                two people gave the new key up, RF-W432 it is of this house's own key.
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
            insert(SUCCESSIONS).values(
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
        row = connection.execute(successions_of(said.role, said.old)).one_or_none()
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
        _require_not_given_up(connection, said)
        before = before_in_chain(connection, said.role, said.old)
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
        used = or_(SUCCESSIONS.c.old == said.new, SUCCESSIONS.c.new == said.new)
        if connection.execute(select(SUCCESSIONS.c.old).where(used)).first() is not None:
            raise KeyFault(
                "RF-K157",
                N_("The new key {fingerprint} was in use before; a succession leads to a key never used."),
                fingerprint=said.successor.fingerprint,
            )
        last = connection.scalar(
            select(SUCCESSIONS.c.number).where(SUCCESSIONS.c.role == said.role, SUCCESSIONS.c.new == said.old)
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
        where = (CONFLICTS.c.role == said.role, CONFLICTS.c.old == said.old, CONFLICTS.c.other == said.new)
        if connection.execute(select(CONFLICTS.c.other).where(*where)).first() is not None:
            return False
        connection.execute(
            insert(CONFLICTS).values(
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
        """The succession of a key that is in force, and those that contradict it and are not settled."""
        with reading(self._engine) as connection:
            first = connection.execute(successions_of(role, old.hex)).all()
            others = connection.execute(
                select(CONFLICTS).where(
                    CONFLICTS.c.role == role, CONFLICTS.c.old == old.hex, CONFLICTS.c.settled == ""
                )
            ).all()
        return tuple(SignedDocument.from_json(row.document) for row in (*first, *others))

    def frozen(self) -> tuple[tuple[KeyRole, PublicIdentity], ...]:
        """Role and key of every chain that waits for people."""
        with reading(self._engine) as connection:
            rows = open_conflicts(connection)
        return tuple(dict.fromkeys((row.role, PublicIdentity.from_hex(row.old)) for row in rows))

    def settle(
        self, connection: Connection, role: KeyRole, old: PublicIdentity, chosen: PublicIdentity, at: str
    ) -> None:
        """Thaw a chain with the successor that two people chose among those that were shown.

        The one that is given up goes with the keys that came after it, and stays known as given up.
        """
        row = connection.execute(successions_of(role, old.hex)).one()
        where = (CONFLICTS.c.role == role, CONFLICTS.c.old == old.hex, CONFLICTS.c.settled == "")
        others = {each.other: each.document for each in connection.execute(select(CONFLICTS).where(*where))}
        if chosen.hex != row.new:
            given_up = [row]
            while further := connection.execute(successions_of(role, given_up[-1].new)).all():
                given_up += further
            for each in given_up[1:]:
                connection.execute(
                    delete(SUCCESSIONS).where(SUCCESSIONS.c.role == role, SUCCESSIONS.c.old == each.old)
                )
            said = succession_of(SignedDocument.from_json(others[chosen.hex]))
            values = {"new": said.new, "number": said.number, "document": others[chosen.hex]}
            known = (SUCCESSIONS.c.role == role, SUCCESSIONS.c.old == old.hex)
            connection.execute(update(SUCCESSIONS).where(*known).values(**values))
            for each in given_up:
                before = (
                    CONFLICTS.c.role == role,
                    CONFLICTS.c.old == each.old,
                    CONFLICTS.c.other == each.new,
                )
                connection.execute(delete(CONFLICTS).where(*before))
                connection.execute(insert(CONFLICTS).values(**_given_up(each, at)))
        connection.execute(update(CONFLICTS).where(*where).values(settled=at))


def _given_up(row: Row[Any], at: str) -> dict[str, str]:
    told = {name: getattr(row, name) for name in ("role", "old", "party", "document")}
    return told | {"other": row.new, "found": at, "settled": at}


def _require_not_given_up(connection: Connection, said: Succession) -> None:
    keys = (said.new, said.old)
    where = (CONFLICTS.c.role == said.role, CONFLICTS.c.other.in_(keys), CONFLICTS.c.settled != "")
    counts = SUCCESSIONS.c.role == said.role, SUCCESSIONS.c.new.in_(keys)
    chosen = set(connection.scalars(select(SUCCESSIONS.c.new).where(*counts)))
    found = next(
        (row for row in connection.execute(select(CONFLICTS).where(*where)) if row.other not in chosen), None
    )
    if found is not None:
        raise KeyFault(
            "RF-K163",
            N_(
                "Two people here gave up the key {key} of {party} on {at}; a succession that leads to it, or "
                "on from it, does not count."
            ),
            key=PublicIdentity.from_hex(found.other).fingerprint,
            party=found.party,
            at=found.settled,
        )


def _require_clear(connection: Connection, role: str, chain: Iterable[str]) -> None:
    keys = set(chain)
    for row in open_conflicts(connection):
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
