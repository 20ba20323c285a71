"""Takes in the succession of another party's key: the chain, what hangs on the key, and the event, together.

Invariant: two successors of one key are never both believed, and never silently one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, Engine

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, KeyFault
from ringfence.privacy.stores.journal import Journal, Json
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import SignedSuccession, Succession, require_made, succession_of

Move: TypeAlias = Callable[[Connection], None]
"""Lets what a house keeps under the old key stand under the new one, in the transaction given."""


Follow: TypeAlias = Callable[[Connection, str, PublicIdentity, PublicIdentity], None]
"""The same for any role, old and new key."""


def public_part(said: Succession) -> dict[str, Json]:
    """What an event says in public of a change of key."""
    return {
        "kind": said.role,
        "fingerprint": said.successor.fingerprint,
        "former": said.former.fingerprint,
        "number": said.number,
        "reason": said.reason,
        "document": said.digest(),
    }


def private_part(found: SignedSuccession) -> Mapping[str, Json]:
    """What an event keeps of it in its private part: the document, and who signed."""
    people: list[Json] = [one.fingerprint for one in found.people]
    return {"people": people, "document": json.loads(found.document.to_json())}


def take_in(engine: Engine, journal: Journal, found: SignedSuccession, *, now: datetime, move: Move) -> None:
    """Put another party's succession in force, or freeze its chain where it contradicts what is known.

    Args:
        engine: the house's store.
        journal: its log.
        found: fingerprints were compared by a person.
        now: the present moment, UTC.
        move: what else follows.

    Raises:
        KeyFault: RF-K171 of the future, RF-K156 to RF-K158, RF-K161 and RF-K163 it does not fit, RF-K160 it
            contradicts, and the chain is frozen now.
    """
    said, at = found.said, now.replace(microsecond=0).isoformat()
    require_made(said, now)
    book = KeyBook(engine)
    try:
        with engine.begin() as connection:
            book.accept(connection, found, at=at, own=False)
            move(connection)
            journal.record(
                "key.succeeded",
                "allow",
                resource=f"key:{said.former.fingerprint}",
                public=public_part(said),
                private=private_part(found),
                connection=connection,
            )
    except KeyFault as fault:
        if fault.code == "RF-K160":
            _freeze(engine, journal, book, found, at)
        raise


def _freeze(engine: Engine, journal: Journal, book: KeyBook, found: SignedSuccession, at: str) -> None:
    said = found.said
    known = book.documents(said.role, said.former)
    with engine.begin() as connection:
        if not book.conflict(connection, found, at=at):
            return
        documents: list[Json] = [json.loads(each.to_json()) for each in (*known, found.document)]
        journal.record(
            "key.frozen",
            "deny",
            resource=f"key:{said.former.fingerprint}",
            public={"kind": said.role, "former": said.former.fingerprint, "document": said.digest()},
            private={"documents": documents},
            connection=connection,
        )


def require_pinned_key(said: Succession, owners: Iterable[str], known: bool) -> None:
    """Refuse the succession of a key that is pinned nowhere here, or is another party's.

    Args:
        said: what it says.
        owners: whose the old key is by what this house wrote down itself; none where it knows the key alone.
        known: whether the old key is, or was, trusted here.

    Raises:
        KeyFault: RF-K159 it is not known, RF-K166 it is another party's.
    """
    if not known:
        raise KeyFault(
            "RF-K159",
            N_(
                "The old key {fingerprint} that {party} replaces is not trusted here: the succession before "
                "it is missing, or it is of another federation."
            ),
            fingerprint=said.former.fingerprint,
            party=said.party,
        )
    others = sorted(set(owners) - {said.party})
    if others:
        raise KeyFault(
            "RF-K166",
            N_("The old key is of {known} here, and the succession says that it is of {found}."),
            known=", ".join(others),
            found=said.party,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSuccession:
    """Another party's succession before it is believed.

    Attributes:
        signed: it, with the signatures that it has to have.
        owners: whose the old key is by what this house wrote down itself; none where it knows the key alone.
    """

    signed: SignedSuccession
    owners: tuple[str, ...]


def require_voucher(said: Succession, identities: Sequence[PublicIdentity]) -> None:
    """Refuse the succession of a log's key that the party's identity does not vouch for.

    Args:
        said: what it says.
        identities: of the party whose log it is here, the one in force first; a log may have changed its key
            before the identity did, and both be told now.

    Raises:
        KeyFault: RF-K172.
    """
    if said.identity not in {each.hex for each in identities}:
        raise KeyFault(
            "RF-K172",
            N_(
                "The succession of the log's key is signed by the identity {found}, and {party} has {known} "
                "here. Where its identity was replaced, take that in first."
            ),
            found=PublicIdentity.from_hex(said.identity).fingerprint,
            party=said.party,
            known=identities[0].fingerprint,
        )


def owners_by_chain(book: KeyBook, said: Succession) -> tuple[str, ...]:
    """Whose key the old one is by its own chain here; nobody's where it is not in one."""
    chain = [each.said for each in book.known() if each.said.role == said.role]
    return tuple({each.party for each in chain if said.old in (each.old, each.new)})


def two_who_decide(
    keys: Sequence[Path], allowed: Iterable[PublicIdentity], passphrases: Passphrases
) -> tuple[str, ...]:
    """Fingerprints of two different people of this house who opened their keys.

    Raises:
        KeyFault: RF-K169 they are not two, or a key is nobody's who may decide here; a key cannot be opened.
    """
    opened = [passphrases.read_key(path, "approver", position=at) for at, path in enumerate(keys)]
    found = {one.public.fingerprint for one in opened if one.public in tuple(allowed)}
    if len(keys) != 2 or len(found) != 2:
        raise KeyFault(
            "RF-K169",
            N_(
                "Two different people of this house decide this, and {count} of the keys given are theirs: "
                "--key A --key B"
            ),
            count=len(found),
        )
    return tuple(sorted(found))


def settle_conflict(
    engine: Engine,
    journal: Journal,
    old: str,
    chosen: str,
    *,
    people: tuple[str, ...],
    now: datetime,
    move: Follow,
) -> None:
    """Thaw a chain by the decision of two people.

    Args:
        engine, journal: of the house.
        old: fingerprint of the key with two successors.
        chosen: fingerprint of the successor that counts.
        people: who decided, fingerprints.
        now: the present moment, UTC.
        move: lets what stands under one key stand under another, by role.

    Raises:
        KeyFault: RF-K162, RF-K167.
    """
    book, at = KeyBook(engine), now.replace(microsecond=0).isoformat()
    stands = [each for each in book.frozen() if each[1].fingerprint == old]
    if not stands:
        raise KeyFault(
            "RF-K167",
            N_("No chain of keys is frozen at {old}; `key list` shows which are."),
            old=old,
        )
    role, key = stands[0]
    before, *others = (succession_of(each) for each in book.documents(role, key))
    meant = [each.successor for each in (before, *others) if each.successor.fingerprint == chosen]
    if not meant:
        raise KeyFault(
            "RF-K162",
            N_("{chosen} is not a successor of the frozen key {old} that was shown here."),
            chosen=chosen,
            old=old,
        )
    stood = (before.successor, *book.after(role, before.successor))[-1]
    with engine.begin() as connection:
        book.settle(connection, role, key, meant[0], at)
        if before.successor != meant[0]:
            move(connection, role, stood, meant[0])
        journal.record(
            "key.thawed",
            "allow",
            resource=f"key:{old}",
            public={"kind": role, "former": old, "fingerprint": chosen},
            private={"people": list[Json](people)},
            connection=connection,
        )
