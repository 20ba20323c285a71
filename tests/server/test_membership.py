"""Offers, joins and farewells: what the coordinator believes of them, what it writes down, whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties
from kits.reply_kit import THREE, events, message_of, rewrite, sealed_like, tiny

from ringfence.audit.checkpoint import read_unverified
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.protocol.control import Join, StudyOffer, Unavailable
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.wire.envelope import read_header
from ringfence.privacy.wire.heads import sign_head
from ringfence.server.approvals import approvers_of
from ringfence.server.membership import Members, offer

Change = Callable[[Parties, Join, bytes], bytes]
SEEN: dict[str, bytes] = {}


def noted(_join: Any, data: bytes) -> bytes:
    SEEN["bank"] = data
    return data


def offered(parties: Parties, members: Members | None = None, **names: Any) -> Members:
    return offer(parties.federation.coordinator, parties.federation.opened, parties.wire, members, **names)


def resealed(**fields: Callable[[Parties, Join], Any]) -> Change:
    """The join with other fields, sealed by the holder itself."""

    def change(parties: Parties, join: Join, data: bytes) -> bytes:
        return sealed_like(
            parties, replace(join, **{name: made(parties, join) for name, made in fields.items()}), data
        )

    return change


def bound(**bindings: Any) -> Change:
    return lambda parties, join, data: sealed_like(parties, join, data, **bindings)


def own_key(**fields: str) -> Callable[[Parties, Join], Any]:
    """A key message of the holder's, signed by it, for other things than this run's."""

    def made(parties: Parties, join: Join) -> Any:
        opened = parties.federation.opened
        about = {"holder": "partner", "study": opened.digest, "run": opened.run} | fields
        return key_message(parties.federation.keys["partner"].identity, SessionKeys(**about))

    return made


def copied(parties: Parties, _join: Join) -> Any:
    """Bank's public key, published and signed by partner as its own."""
    theirs = message_of(parties, Join, SEEN["bank"]).key
    body = {"holder": "partner", "study": theirs.study, "run": theirs.run}
    keys = SessionKeys(**body)
    keys.public = bytes.fromhex(theirs.x25519)
    return key_message(parties.federation.keys["partner"].identity, keys)


def unsigned(_parties: Parties, join: Join) -> Any:
    return replace(join.key, signature="00" * 64)


def head_of_another(parties: Parties, join: Join) -> Any:
    signer = parties.federation.keys["bank"].identity
    return sign_head(signer, mark=join.ledger.mark, log=parties.holders["partner"].log.origin)


BAD: dict[str, tuple[Change, str]] = {
    "another nonce": (resealed(nonce=lambda *_: "ab" * 32), "RF-W203"),
    "a key in another holder's name": (resealed(key=own_key(holder="retailer")), "RF-W203"),
    "a copied key": (resealed(key=copied), "RF-W203"),
    "a key of another study": (resealed(key=own_key(study="sha256:" + "e" * 64)), "RF-W134"),
    "a key of another run": (resealed(key=own_key(run="cd" * 16)), "RF-W134"),
    "a key that is not signed": (resealed(key=unsigned), "RF-W136"),
    "one person's approval": (resealed(approvals=lambda _, join: join.approvals[:1]), "RF-S032"),
    "a head of another ledger": (resealed(ledger=head_of_another), "RF-W166"),
    "another run": (bound(run="cd" * 16), "RF-W115"),
    "another study": (bound(study="sha256:" + "e" * 64), "RF-W115"),
    "another recipient": (bound(recipient="retailer"), "RF-W116"),
    "another round": (bound(round=1), "RF-W115"),
    "another attempt": (bound(attempt=1), "RF-W115"),
    "a stranger's signature": (bound(identity=Identity.generate("stranger")), "RF-W113"),
    "another sender": (bound(sender="bank"), "RF-W112"),
    "no message": (lambda *_: b"nothing", "RF-W111"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_join_that_is_not_believed(tmp_path: Path, case: str) -> None:
    change, code = BAD[case]
    parties = tiny(tmp_path)
    opened, coordinator = parties.federation.opened, parties.federation.coordinator
    rewrite(parties, Join, {"bank": noted, "partner": lambda join, data: change(parties, join, data)})
    members = offered(parties)
    assert members.refused.keys() == {"partner"}
    assert sorted(members.keys) == ["bank", "retailer"]
    assert members.joined == {"bank", "retailer"}
    assert members.absent == {"partner"}
    found = members.refused["partner"]
    assert members.told() == f"partner ({found})"
    assert events(coordinator.log, "reply.refused") == [
        (
            "reply.refused",
            "deny",
            f"study:{opened.digest}",
            {"run": opened.run, "round": 0, "attempt": 0, "holder": "partner", "reasons": [found]},
        )
    ]
    joined = events(coordinator.log, "study.joined", "study.approved", "checkpoint.anchored")
    assert not any("partner" in str(event) for event in joined)
    assert coordinator.registry.last(opened.participants["partner"]) is None
    assert found == code


def test_silence_and_unavailable_are_absence_and_nothing_is_refused(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    rewrite(
        parties,
        Join,
        {"bank": lambda *_: b"", "partner": lambda _, data: sealed_like(parties, Unavailable(), data)},
    )
    members = offered(parties)
    assert (members.absent, members.refused, members.told()) == ({"bank", "partner"}, {}, "bank, partner")
    assert events(parties.federation.coordinator.log, "reply.refused") == []


@pytest.mark.parametrize(
    "bindings",
    [
        {"round": 1},
        {"attempt": 1},
        {"run": "cd" * 16},
        {"study": "sha256:" + "e" * 64},
        {"recipient": "retailer"},
        {"sender": "bank"},
    ],
)
def test_an_unavailable_of_another_message_is_refused(tmp_path: Path, bindings: dict[str, Any]) -> None:
    parties = tiny(tmp_path)
    rewrite(parties, Join, {"partner": lambda _, data: sealed_like(parties, Unavailable(), data, **bindings)})
    assert set(offered(parties).refused) == {"partner"}


def test_who_joins_is_written_down_with_the_approvals_and_where_its_log_stands(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    members = offered(parties)
    study = f"study:{opened.digest}"
    terms = {"purpose": "churn-prediction", "legal_basis": "consent", "epsilon": "4", "delta": "0.000001"}
    expected: list[Any] = [
        ("study.offered", "allow", study, {"run": opened.run, "holders": list(THREE), **terms})
    ]
    for name in THREE:
        join = message_of(parties, Join, next(data for who, _, data in parties.wire.sent if who == name))
        at = read_unverified(join.checkpoint.encode())
        where = {"log": at.origin, "size": at.size, "root": at.root.hex()}
        expected += [
            ("checkpoint.anchored", "allow", f"log:{at.origin}", where),
            ("study.approved", "allow", study, {"holder": name, "approvals": 2}),
            ("study.joined", "allow", study, {"holder": name, "run": opened.run}),
        ]
        assert members.keys[name] == join.key
        known = coordinator.registry.last(opened.participants[name])
        assert known is not None
        assert (known[0], known[1].origin, known[1].key.hex) == (join.ledger, at.origin, join.log_key)
        assert (known[1].position.size, known[1].position.root) == (at.size, "sha256:" + at.root.hex())
    assert events(coordinator.log)[-len(expected) :] == expected
    logged = enumerate(coordinator.log.events())
    approved = [at for at, entry in logged if entry.event.action == "study.approved"]
    for name, number in zip(THREE, approved, strict=True):
        private = coordinator.log.open_event(number).verify([coordinator.log.verifier]).private
        join = message_of(parties, Join, next(data for who, _, data in parties.wire.sent if who == name))
        people = approvers_of(join.approvals, study=opened.digest, holder=name)
        assert len(set(people)) == 2
        assert private["approvers"] == sorted(people)
    assert (members.absent, members.refused, members.joined) == (set(), {}, set(THREE))


def test_an_offer_says_what_is_known_of_its_holder_and_no_two_are_alike(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    members = offered(parties)
    seen = {name: message_of(parties, Join, reply).ledger for name, _, reply in parties.wire.sent}
    offered(parties, members, names=["partner", "bank"])
    offers = [(name, message_of(parties, StudyOffer, data)) for name, data, _ in parties.wire.sent]
    assert [name for name, _ in offers] == [*THREE, "bank", "partner"]
    assert len({each.nonce for _, each in offers}) == 5
    for number, (name, each) in enumerate(offers):
        known = coordinator.registry.last(opened.participants[name])
        assert known is not None
        # A holder that joins again without news stands where it stood, and shows another mark of that.
        expected = (None, None) if number < 3 else (seen[name], known[1].position)
        assert (each.ledger, each.log) == expected
        assert (each.run, each.study) == (opened.run, opened.document.to_json())
        assert each.schema == opened.schema_document.to_json()
        assert each.log_key == coordinator.log.verifier.raw.hex()
        header = read_header(parties.wire.sent[number][1])
        assert (header.study, header.run, header.recipient) == (opened.digest, opened.run, name)
        assert (header.sender, header.round, header.attempt) == ("coordinator", 0, 0)
    assert events(coordinator.log, "study.offered")[1][3]["holders"] == ["bank", "partner"]


def test_nobody_to_ask_is_no_offer(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    members = Members()
    assert offered(parties, members, names=[]) is members
    assert parties.wire.sent == []
    assert events(parties.federation.coordinator.log, "study.offered") == []


def test_whoever_joins_after_a_refusal_is_absent_and_refused_no_more(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    rewrite(parties, Join, {"partner": lambda *_: b"nothing"})
    members = offered(parties)
    rewrite(parties, Join, {})
    assert offered(parties, members, names=["partner"]) is members
    assert (members.absent, members.refused, members.told()) == (set(), {}, "")
    assert sorted(members.keys) == sorted(members.joined) == list(THREE)


def test_a_log_key_that_changes_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    members = offered(parties)
    known = coordinator.registry.last(opened.participants["partner"])
    other = Identity.generate("log").public.hex
    rewrite(
        parties,
        Join,
        {"partner": lambda join, data: sealed_like(parties, replace(join, log_key=other), data)},
    )
    offered(parties, members, names=["partner"])
    assert members.refused == {"partner": "RF-W202"}
    assert "partner" not in members.keys
    assert members.joined == set(THREE), "who ever joined is told the end"
    assert coordinator.registry.last(opened.participants["partner"]) == known


def test_a_member_that_is_lost_is_absent_and_the_others_stay() -> None:
    members = Members(keys={"bank": None, "partner": None}, joined={"bank", "partner"})  # type: ignore[dict-item]
    members.lose(["bank", "agency"])
    assert members.keys == {"partner": None}
    assert (members.absent, members.joined) == ({"bank", "agency"}, {"bank", "partner"})
    assert members.told() == "agency, bank"
    members.refused["bank"] = "RF-W203"
    assert members.told() == "agency, bank (RF-W203)"
