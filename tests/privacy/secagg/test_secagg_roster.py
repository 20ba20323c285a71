"""Rosters: every way in which a coordinator or a member can bend one is refused before anything is masked."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import KeyMessage, SessionKeys, key_message
from ringfence.privacy.secagg.roster import (
    MAX_HOLDERS,
    AgreedRoster,
    Roster,
    roster_echo,
    roster_hash,
    verify_echoes,
    verify_members,
    verify_roster,
)
from ringfence.privacy.wire.fields import digest_of, new_run_id

STUDY = digest_of(b"study")
RUN = new_run_id()


@dataclass
class Holder:
    name: str
    identity: Identity
    keys: SessionKeys
    message: KeyMessage


def holder(name: str, *, study: str = STUDY, run: str = RUN, identity: Identity | None = None) -> Holder:
    identity = identity or Identity.generate()
    keys = SessionKeys(holder=name, study=study, run=run)
    return Holder(name, identity, keys, key_message(identity, keys))


HOLDERS = [holder(name) for name in ("bank", "shop", "telco", "zoo")]
BANK, SHOP, TELCO, ZOO = HOLDERS
MESSAGES = [h.message for h in HOLDERS]
PARTICIPANTS = {h.name: h.identity.public for h in HOLDERS}
VOUCHED = frozenset(h.identity.public.fingerprint for h in HOLDERS)


def verified(messages: Sequence[KeyMessage] = tuple(MESSAGES), **changes: Any) -> Roster:
    arguments: dict[str, Any] = {
        "number": 1,
        "own": BANK.message,
        "participants": PARTICIPANTS,
        "terms": Terms(min_holders=3, colluders=0),
        "vouched": VOUCHED,
    }
    return verify_roster(messages, **(arguments | changes))


def refusal(messages: Sequence[KeyMessage] = tuple(MESSAGES), **changes: Any) -> str:
    with pytest.raises(WaistError) as caught:
        verified(messages, **changes)
    return caught.value.code


def echoes(messages: Sequence[KeyMessage] = tuple(MESSAGES), number: int = 1) -> list[Any]:
    by_message = {h.message.holder: h for h in HOLDERS}
    return [
        roster_echo(by_message[m.holder].identity, verified(messages, own=m, number=number)) for m in messages
    ]


def test_an_honest_roster_is_agreed_by_everyone() -> None:
    roster = verified(MESSAGES[::-1])
    assert roster.names == ("bank", "shop", "telco", "zoo")
    assert verify_echoes(roster, echoes()[::-1]).roster is roster


def test_every_member_computes_the_same_hash_in_any_order() -> None:
    hashes = {verified(MESSAGES[i:] + MESSAGES[:i], own=HOLDERS[i].message).digest for i in range(4)}
    assert hashes == {roster_hash(MESSAGES, study=STUDY, run=RUN, number=1)}


def test_the_hash_names_everything() -> None:
    base = roster_hash(MESSAGES, study=STUDY, run=RUN, number=1)
    others = {
        roster_hash(MESSAGES[:3], study=STUDY, run=RUN, number=1),
        roster_hash(MESSAGES, study=digest_of(b"x"), run=RUN, number=1),
        roster_hash(MESSAGES, study=STUDY, run="0" * 32, number=1),
        roster_hash(MESSAGES, study=STUDY, run=RUN, number=2),
        roster_hash([*MESSAGES[:3], replace(ZOO.message, x25519="00" * 32)], study=STUDY, run=RUN, number=1),
        roster_hash(
            [*MESSAGES[:3], replace(ZOO.message, identity="00" * 32)], study=STUDY, run=RUN, number=1
        ),
        roster_hash([*MESSAGES[:3], replace(ZOO.message, holder="zoom")], study=STUDY, run=RUN, number=1),
    }
    assert base not in others
    assert len(others) == 7


def test_too_few_or_too_many_members() -> None:
    assert refusal(MESSAGES[:2]) == "RF-W140"
    assert refusal(MESSAGES[:1], terms=Terms(min_holders=0, colluders=0)) == "RF-W140"
    assert refusal([], terms=Terms(min_holders=0, colluders=0)) == "RF-W140"
    assert MAX_HOLDERS == 256
    assert refusal([BANK.message] * 256) == "RF-W142"
    assert refusal([BANK.message] * 257) == "RF-W141"


def test_a_holder_outside_the_study() -> None:
    assert refusal([*MESSAGES, holder("stranger").message]) == "RF-W143"


def test_a_key_that_is_not_the_pinned_one() -> None:
    """The coordinator plays a participant with an identity of its own."""
    assert refusal([*MESSAGES[:3], holder("zoo").message]) == "RF-W135"


def test_a_run_key_swapped_under_the_pinned_identity() -> None:
    own = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert refusal([*MESSAGES[:3], replace(ZOO.message, x25519=own)]) == "RF-W136"


def test_a_key_message_of_another_study_or_run() -> None:
    for late in (
        holder("zoo", run=new_run_id(), identity=ZOO.identity),
        holder("zoo", study=digest_of(b"other"), identity=ZOO.identity),
    ):
        assert refusal([*MESSAGES[:3], late.message]) == "RF-W134"
        forged = replace(late.message, study=STUDY, run=RUN)
        assert refusal([*MESSAGES[:3], forged]) == "RF-W136"


def test_a_name_or_key_that_stands_twice() -> None:
    again = holder("zoo", identity=ZOO.identity)
    assert refusal([*MESSAGES, ZOO.message]) == "RF-W142"
    assert refusal([*MESSAGES, again.message]) == "RF-W142"
    twin = holder("zoo2", identity=ZOO.identity)
    assert (
        refusal([*MESSAGES, twin.message], participants=PARTICIPANTS | {"zoo2": ZOO.identity.public})
        == "RF-W142"
    )
    copied = replace(ZOO.message, x25519=SHOP.message.x25519)
    assert refusal([*MESSAGES[:3], copied]) == "RF-W142"


def test_own_key_missing_or_replaced() -> None:
    assert refusal(MESSAGES[1:]) == "RF-W144"
    earlier = holder("bank", identity=BANK.identity)
    assert refusal([earlier.message, *MESSAGES[1:]]) == "RF-W144"


def test_sybils_that_nobody_vouches_for_do_not_count() -> None:
    sybils = [holder(f"sybil-{i}") for i in range(5)]
    participants = PARTICIPANTS | {s.name: s.identity.public for s in sybils}
    roster = [BANK.message, SHOP.message, *(s.message for s in sybils)]
    assert refusal(roster, participants=participants) == "RF-W148"
    assert verified([*roster, TELCO.message], participants=participants).names[-1] == "telco"


def test_a_holder_vouches_for_itself_only_once() -> None:
    peers = frozenset({BANK.identity.public.fingerprint, SHOP.identity.public.fingerprint})
    assert refusal(vouched=peers) == "RF-W148"
    assert verified(vouched=frozenset({SHOP.identity.public.fingerprint, TELCO.identity.public.fingerprint}))
    assert refusal(vouched=frozenset()) == "RF-W148"


# RFC 7748 section 7 and the list of low-order points at cr.yp.to/ecdh.html, little-endian.
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def signed_anyway(member: Holder, x25519: str) -> KeyMessage:
    """A member that signs a run key it did not make."""
    keys = SessionKeys(holder=member.name, study=STUDY, run=RUN)
    keys.public = bytes.fromhex(x25519)
    return key_message(member.identity, keys)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_points_are_refused(point: str) -> None:
    assert refusal([*MESSAGES[:3], signed_anyway(ZOO, point)]) == "RF-W131"
    with pytest.raises(WaistError, match="RF-W131"):
        BANK.keys.exchange(bytes.fromhex(point))


def test_a_second_encoding_of_a_peer_key_is_refused() -> None:
    """With its high bit set a key is the same point (RFC 7748, 5) but another string."""
    raw = bytearray.fromhex(SHOP.message.x25519)
    raw[31] |= 0x80
    assert refusal([*MESSAGES[:3], signed_anyway(ZOO, raw.hex())]) == "RF-W131"


def test_a_coordinator_checks_the_same_without_an_own_key() -> None:
    assert verify_members(MESSAGES, study=STUDY, run=RUN, participants=PARTICIPANTS, min_holders=3) == tuple(
        MESSAGES
    )


# --- echoes ----------------------------------------------------------------------------------------------


def echo_refusal(roster: Roster, given: Sequence[Any]) -> str:
    with pytest.raises(WaistError) as caught:
        verify_echoes(roster, given)
    return caught.value.code


def test_a_split_roster_is_detected() -> None:
    """Two halves are shown different rosters; all the coordinator can relay are echoes of what each saw."""
    one, other = MESSAGES[:3], [BANK.message, SHOP.message, ZOO.message]
    shown_to_bank = verified(one)
    from_bank_and_telco = [e for e in echoes(one) if e.holder != "shop"]
    from_shop = [e for e in echoes(other) if e.holder == "shop"]
    assert echo_refusal(shown_to_bank, from_bank_and_telco + from_shop) == "RF-W146"
    assert echo_refusal(shown_to_bank, from_bank_and_telco) == "RF-W145"


def test_a_split_by_run_key_is_detected() -> None:
    """The members are the same, but one half sees an older run key of one of them."""
    older = holder("zoo", identity=ZOO.identity)
    mixed = [
        e
        if e.holder != "shop"
        else roster_echo(SHOP.identity, verified([*MESSAGES[:3], older.message], own=SHOP.message))
        for e in echoes()
    ]
    assert echo_refusal(verified(), mixed) == "RF-W146"


def test_missing_doubled_and_foreign_echoes() -> None:
    good = echoes()
    assert echo_refusal(verified(), good[:3]) == "RF-W145"
    assert echo_refusal(verified(), [*good, good[0]]) == "RF-W145"
    assert echo_refusal(verified(), [*good[:3], good[0]]) == "RF-W145"
    assert echo_refusal(verified(), [*good, replace(good[0], holder="stranger")]) == "RF-W145"
    assert echo_refusal(verified(), []) == "RF-W145"


def test_a_replayed_echo_of_an_earlier_roster() -> None:
    earlier = echoes(number=0)
    assert echo_refusal(verified(), [*echoes()[:3], earlier[3]]) == "RF-W146"
    assert echo_refusal(verified(), [*echoes()[:3], replace(earlier[3], number=1)]) == "RF-W146"
    assert (
        echo_refusal(verified(), [*echoes()[:3], replace(earlier[3], number=1, roster=verified().digest)])
        == "RF-W147"
    )


@pytest.mark.parametrize("change", [{"study": digest_of(b"x")}, {"run": "0" * 32}, {"number": 5}])
def test_an_echo_of_another_study_or_run(change: dict[str, Any]) -> None:
    good = echoes()
    assert echo_refusal(verified(), [*good[:3], replace(good[3], **change)]) == "RF-W146"


def test_an_echo_signed_by_somebody_else() -> None:
    good = echoes()
    forged = replace(good[3], signature=good[2].signature)
    assert echo_refusal(verified(), [*good[:3], forged]) == "RF-W147"
    by_shop = roster_echo(SHOP.identity, verified(own=ZOO.message))
    assert echo_refusal(verified(), [*good[:3], by_shop]) == "RF-W147"


def test_an_agreed_roster_cannot_be_made_without_the_check() -> None:
    with pytest.raises(WaistError, match="RF-W145"):
        AgreedRoster(roster=verified(), echoes=())


# --- session keys ----------------------------------------------------------------------------------------


def test_both_ends_share_a_secret_that_others_lack() -> None:
    shared = BANK.keys.exchange(SHOP.keys.public)
    assert shared == SHOP.keys.exchange(BANK.keys.public)
    assert shared != BANK.keys.exchange(TELCO.keys.public)


def test_closed_keys_are_gone() -> None:
    with SessionKeys(holder="bank", study=STUDY, run=RUN) as keys:
        assert len(keys.exchange(SHOP.keys.public)) == 32
    with pytest.raises(WaistError, match="RF-W130"):
        keys.exchange(SHOP.keys.public)


def test_keys_do_not_survive_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SessionKeys(holder="bank", study=STUDY, run=RUN)
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(WaistError, match="RF-W130"):
        keys.exchange(SHOP.keys.public)


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_keys_are_never_copied_or_written(copier: Any) -> None:
    with pytest.raises(WaistError, match="RF-W133"):
        copier(BANK.keys)


def test_keys_do_not_show_in_messages() -> None:
    private = BANK.keys._private
    assert private is not None
    assert private.private_bytes_raw().hex() not in repr(BANK.keys)
    assert BANK.keys.public.hex() not in repr(BANK.keys)
