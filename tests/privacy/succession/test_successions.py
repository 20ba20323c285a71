"""Successions of keys: who has to sign one, what does not fit a chain, and two successors of one key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import KeyFault
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import (
    SignedSuccession,
    Succession,
    require_in_time,
    require_people,
    signed_succession,
    succession_of,
)
from ringfence.privacy.succession.taking_in import (
    Follow,
    party_of,
    require_pinned_key,
    settle_conflict,
    take_in,
)

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
ANA, BEN = (Identity.generate("approver") for _ in range(2))


@dataclass
class Noted:
    """A journal that remembers what it was told."""

    events: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def record(self, action: str, outcome: str, **more: Any) -> int:
        self.events.append((action, outcome, dict(more.get("public", {})), dict(more.get("private", {}))))
        return len(self.events)


def said(old: Identity, new: Identity, **changes: Any) -> Succession:
    fields = {
        "role": "holder",
        "party": "north",
        "old": old.public.hex,
        "new": new.public.hex,
        "number": 1,
        "time": NOW.isoformat(),
        "reason": "routine",
    }
    return Succession.of(**(fields | changes))


def signed(made: Succession, *signers: Identity) -> SignedDocument:
    document = SignedDocument(kind="succession", body=made.canonical())
    for signer in signers:
        document = document.signed_by(signer)
    return document


def whole(old: Identity, new: Identity, **changes: Any) -> SignedSuccession:
    return signed_succession(signed(said(old, new, **changes), old, new, ANA, BEN))


def keys(count: int) -> list[Identity]:
    return [Identity.generate("holder") for _ in range(count)]


def refused(code: str, call: Any, *given: Any, **named: Any) -> None:
    with pytest.raises(KeyFault, match=code):
        call(*given, **named)


def accept(book: KeyBook, engine: Engine, found: SignedSuccession, *, own: bool = False) -> None:
    with engine.begin() as connection:
        book.accept(connection, found, at=NOW.isoformat(), own=own)


def test_both_keys_and_two_people_sign() -> None:
    old, new = keys(2)
    made = said(old, new)
    assert signed_succession(signed(made, old, new, ANA, BEN)).people == (ANA.public, BEN.public)
    refused("RF-K151", signed_succession, signed(made, new, ANA, BEN))
    refused("RF-K152", signed_succession, signed(made, old, ANA, BEN))
    refused("RF-K153", signed_succession, signed(made, old, new, ANA))
    refused("RF-K151", signed_succession, signed(made))
    lost = said(old, new, reason="lost")
    assert signed_succession(signed(lost, new, ANA, BEN)).said.reason == "lost"
    refused("RF-K152", signed_succession, signed(lost, ANA, BEN))
    refused("RF-K153", signed_succession, signed(lost, new, BEN))


def test_a_signature_of_something_else_counts_for_nothing() -> None:
    old, new = keys(2)
    document = signed(said(old, new), old, new, ANA, BEN)
    other = SignedDocument(
        kind="succession", body=said(old, new, number=2).canonical(), signatures=document.signatures
    )
    refused("RF-K003", signed_succession, other)
    as_study = SignedDocument(kind="study", body=document.body, signatures=document.signatures)
    refused("RF-K012", signed_succession, as_study)
    foreign = SignedDocument(kind="contract", body=document.body).signed_by(old)
    mixed = SignedDocument(
        kind="succession",
        body=document.body,
        signatures=(foreign.signatures[0], *document.signatures[1:]),
    )
    refused("RF-K003", signed_succession, mixed)


def test_a_key_does_not_succeed_itself() -> None:
    (old,) = keys(1)
    refused("RF-K150", succession_of, signed(said(old, old), old))


def test_people_are_those_of_the_house() -> None:
    found = whole(*keys(2))
    assert require_people(found, [ANA.public, BEN.public]) == (
        ANA.public.fingerprint,
        BEN.public.fingerprint,
    )
    refused("RF-K154", require_people, found, [ANA.public])


@pytest.mark.parametrize(
    ("age", "fits"),
    [
        (timedelta(days=90), True),
        (timedelta(days=90, seconds=1), False),
        (timedelta(hours=-1), True),
        (timedelta(hours=-1, seconds=-1), False),
    ],
)
def test_a_succession_is_good_for_a_while(age: timedelta, fits: bool) -> None:
    made = said(*keys(2))
    if fits:
        require_in_time(made, NOW + age)
    else:
        refused("RF-K155", require_in_time, made, NOW + age)


def test_a_chain_is_followed_and_each_misfit_refused(engine: Engine) -> None:
    book, (a, b, c, d) = KeyBook(engine), keys(4)
    accept(book, engine, whole(a, b), own=True)
    accept(book, engine, whole(b, c, number=2), own=True)
    assert book.followed("holder", a.public) == c.public
    assert book.followed("log", a.public) == a.public, "roles have chains of their own"
    assert book.former("holder", c.public) == (b.public, a.public)
    assert book.after("holder", a.public) == (b.public, c.public)
    assert book.trusted("holder", [a.public.fingerprint, d.public.fingerprint]) == (
        c.public.fingerprint,
        d.public.fingerprint,
    )
    before = book.digest()
    for code, found in (
        ("RF-K156", whole(a, b)),  # replayed
        ("RF-K157", whole(c, a, number=3)),  # a circle
        ("RF-K157", whole(d, b)),  # somebody else's key
        ("RF-K158", whole(c, d, number=4)),  # a gap
        ("RF-K160", whole(a, d)),  # a second successor
    ):
        refused(code, accept, book, engine, found, own=True)
    assert book.digest() == before
    refused("RF-K158", accept, book, engine, whole(d, keys(1)[0], number=2), own=True)


def test_whoever_comes_late_takes_a_chain_up_where_it_stands(engine: Engine) -> None:
    book, (a, b, c) = KeyBook(engine), keys(3)
    accept(book, engine, whole(a, b, number=7))
    refused("RF-K158", accept, book, engine, whole(b, c, number=9))
    accept(book, engine, whole(b, c, number=8))


def test_two_successors_freeze_a_chain_until_two_people_choose(engine: Engine) -> None:
    book, journal, moved = KeyBook(engine), Noted(), list[Any]()
    old, thief, true, later = keys(4)

    def take(found: SignedSuccession) -> None:
        take_in(engine, journal, found, now=NOW, move=lambda _connection: None)

    late = {"now": NOW + timedelta(days=91), "move": lambda _connection: None}
    refused("RF-K155", take_in, engine, journal, whole(old, thief), **late)
    take(whole(old, thief))
    assert book.followed("holder", old.public) == thief.public
    other = whole(old, true)
    for _ in range(2):
        with pytest.raises(KeyFault, match=r"RF-K16[01]"):
            take(other)
    assert [event[:2] for event in journal.events] == [("key.succeeded", "allow"), ("key.frozen", "deny")]
    kept = [
        SignedDocument(
            kind="succession",
            body=each["body"].encode(),
            signatures=tuple((one["key"], one["signature"]) for one in each["signatures"]),
        )
        for each in journal.events[1][3]["documents"]
    ]
    assert [signed_succession(each).said.successor for each in kept] == [thief.public, true.public]
    for key in (old, thief):
        refused("RF-K161", book.followed, "holder", key.public)
    assert book.trusted("holder", [old.public.fingerprint]) == ()
    refused("RF-K161", take, whole(thief, later, number=2))

    def follow(_connection: object, role: str, before: object, after: object) -> None:
        moved.append((role, before, after))

    moving: Follow = follow
    choice = {"people": ("ed25519:a", "ed25519:b"), "now": NOW, "move": moving}
    prints = [each.public.fingerprint for each in (old, true, later)]
    refused("RF-K162", settle_conflict, engine, journal, prints[0], prints[2], **choice)
    settle_conflict(engine, journal, prints[0], prints[1], **choice)  # type: ignore[arg-type]
    assert moved == [("holder", thief.public, true.public)]
    assert book.followed("holder", old.public) == true.public
    refused("RF-K167", settle_conflict, engine, journal, prints[0], prints[1], **choice)
    assert journal.events[-1][0] == "key.thawed"
    accept(book, engine, whole(true, later, number=2))


def test_a_key_that_nobody_pinned_or_another_has_is_refused(engine: Engine) -> None:
    book, (a, b, c) = KeyBook(engine), keys(3)
    refused("RF-K159", require_pinned_key, said(a, b), None, False)
    accept(book, engine, whole(a, b))
    south = said(b, c, party="south")
    assert party_of(book, south) == "north"
    refused("RF-K166", require_pinned_key, south, party_of(book, south), True)
    require_pinned_key(said(b, c), party_of(book, said(b, c)), True)
