"""The control plane is a closed list, its messages arrive intact, and none has room for free text."""

from __future__ import annotations

import dataclasses
import re
import types
from datetime import UTC, datetime
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from checkout import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.sealing import SealingKey
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol import control, notices
from ringfence.privacy.protocol.control import (
    Dealt,
    Join,
    KeyCall,
    LedgerHead,
    LogPosition,
    RosterCall,
    RoundCall,
    ShareCall,
    StudyOffer,
    SurvivorsCall,
    Unavailable,
    UnmaskCall,
    decode,
    encode,
    open_message,
    seal_message,
)
from ringfence.privacy.protocol.endings import Done, Finish, NoRun
from ringfence.privacy.protocol.notices import Notice, Standing
from ringfence.privacy.protocol.releases import Cosignature, Cosigned, ReleaseProof, WitnessCall
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, EphemeralMessage, ephemeral_message
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.recovery import OpenShare, Revealed, SealedShares
from ringfence.privacy.secagg.roster import RosterEcho, roster_echo, verify_roster
from ringfence.privacy.secagg.survivors import SurvivorsEcho
from ringfence.privacy.waist import Query
from ringfence.privacy.wire import fields, letters
from ringfence.privacy.wire.envelope import MessageKind, frame
from ringfence.privacy.wire.fields import canonical, digest_of, new_nonce, new_run_id

STUDY = digest_of(b"study")
RUN = new_run_id()
COORDINATOR = Identity.generate()
IDENTITIES = {name: Identity.generate() for name in ("bank", "shop", "telco")}
NOTE = "bank.example\n12\n" + "A" * 43 + "=\n\n— bank.example AAAAAAAA\n"
SIGNED = '{"kind":"study","body":"{}","signatures":[]}'
HEAD = LedgerHead(mark="cd" * 64, signature="ab" * 64)

KEYS = {name: SessionKeys(holder=name, study=STUDY, run=RUN) for name in IDENTITIES}
MEMBERS = tuple(key_message(IDENTITIES[name], KEYS[name]) for name in IDENTITIES)
ROSTER = verify_roster(
    MEMBERS,
    number=1,
    own=MEMBERS[0],
    participants={name: identity.public for name, identity in IDENTITIES.items()},
    terms=Terms(min_holders=3, colluders=0),
    vouched={identity.public.fingerprint for identity in IDENTITIES.values()},
)
PROOF = (digest_of(b"node"),)
ECHO = roster_echo(IDENTITIES["bank"], ROSTER)
QUERY = Query(
    task="scorecard", round=1, numbers={"bits": 10}, arrays={"edges/age": np.arange(6).reshape(2, 3)}
)

FRESH = ephemeral_message(
    IDENTITIES["bank"], EphemeralKeys(holder="bank", study=STUDY, run=RUN, round=1, attempt=0, number=3)
)
BOX = SealedShares(sender="bank", recipient="shop", box="ab" * 160)
LISTED = SurvivorsEcho(
    holder="bank", study=STUDY, run=RUN, round=1, attempt=0, number=3, survivors=STUDY, signature="cd" * 64
)
SHARE = OpenShare(holder="shop", value="0f" * 66)

MESSAGES: list[Any] = [
    letters.greeting(SealingKey(), new_nonce(), datetime.now(UTC)),
    StudyOffer(
        study=SIGNED, schema=SIGNED, run=RUN, nonce=new_nonce(), log_key="ab" * 32, ledger=None, log=None
    ),
    StudyOffer(
        study=SIGNED,
        schema=SIGNED,
        run=RUN,
        nonce=new_nonce(),
        log_key="ab" * 32,
        ledger=HEAD,
        log=LogPosition(size=3, root=STUDY),
    ),
    Join(
        key=MEMBERS[0],
        nonce=new_nonce(),
        approvals=(SIGNED, SIGNED),
        log_key="ab" * 32,
        checkpoint=NOTE,
        proof=PROOF,
        ledger=HEAD,
    ),
    RosterCall(number=1, round=0, attempt=0, members=MEMBERS),
    ECHO,
    KeyCall(number=3, round=1, attempt=0),
    FRESH,
    ShareCall(number=3, round=1, attempt=0, members=(FRESH,)),
    Dealt(echo=ECHO, boxes=(BOX,)),
    RoundCall(number=1, echoes=(ECHO,), query=QUERY),
    RoundCall(number=1, echoes=(ECHO,), query=QUERY, boxes=(BOX,)),
    SurvivorsCall(number=3, survivors=("bank", "shop")),
    LISTED,
    UnmaskCall(number=3, echoes=(LISTED,)),
    Revealed(seeds=(SHARE,), keys=()),
    Finish(model=None, release=None, checkpoint=NOTE, proof=()),
    Finish(
        model=digest_of(b"model"),
        release=ReleaseProof(
            checkpoint=NOTE,
            cosignatures=(Cosignature(holder="bank", time=1, signature="ab" * 64, statement="ab" * 64),),
            event=7,
            leaf="{}",
            inclusion=PROOF,
        ),
        checkpoint=NOTE,
        proof=PROOF,
    ),
    WitnessCall(checkpoint=NOTE, since=3, proof=PROOF, event=7, leaf='{"a":1}', inclusion=PROOF),
    Cosigned(stands=9, cosignature=None),
    Cosigned(
        stands=9, cosignature=Cosignature(holder="shop", time=2, signature="cd" * 64, statement="cd" * 64)
    ),
    Done(checkpoint=NOTE, proof=PROOF, ledger=HEAD),
    NoRun(),
    Unavailable(),
    Notice(study=SIGNED, schema=SIGNED, nonce=new_nonce()),
    Standing(nonce=new_nonce(), study=STUDY, state="approved", approvals=(SIGNED, SIGNED)),
    Standing(nonce=new_nonce(), study=STUDY, state="waiting", approvals=()),
]


def test_the_list_is_closed() -> None:
    """A new message must be added here, which is where a reviewer looks."""
    assert {cls.__name__ for cls in control.KINDS} == {
        "Greeting",
        "StudyOffer",
        "Join",
        "RosterCall",
        "RosterEcho",
        "KeyCall",
        "EphemeralMessage",
        "ShareCall",
        "Dealt",
        "RoundCall",
        "SurvivorsCall",
        "SurvivorsEcho",
        "UnmaskCall",
        "Revealed",
        "Finish",
        "Done",
        "NoRun",
        "Unavailable",
        "WitnessCall",
        "Cosigned",
        "Notice",
        "Standing",
    }
    assert set(control.KINDS) == set(get_args(control.ControlMessage))
    assert {*control.KINDS.values(), MessageKind.MASKED_UPDATE, MessageKind.VISIBLE_UPDATE} == set(
        MessageKind
    )
    assert {type(message) for message in MESSAGES} == set(control.KINDS)


def test_every_kind_of_message_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \| (?:coordinator|holder|either) \|", page, re.MULTILINE)
    assert sorted(documented) == sorted(kind.value for kind in MessageKind)


def leaf_types(hint: Any) -> set[Any]:
    """Every leaf type that a field can hold, through tuples, optionals and nested messages."""
    if hint is type(None):
        return set()
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*(leaf_types(part) for part in get_args(hint)))
    if get_origin(hint) is tuple:
        return set().union(*(leaf_types(part) for part in get_args(hint) if part is not Ellipsis))
    if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], fields.AtMost):
        return leaf_types(get_args(hint)[0])
    if dataclasses.is_dataclass(hint) and hint is not Query:
        hints = get_type_hints(hint, include_extras=True)
        return set().union(*(leaf_types(hints[field.name]) for field in dataclasses.fields(hint)))
    return {hint}


CLOSED = {
    fields.Name,
    fields.Digest,
    fields.RunId,
    fields.Nonce,
    fields.PublicKey,
    fields.SignatureHex,
    fields.SignedText,
    fields.NoteText,
    fields.LeafText,  # an event of a log, which its reader parses as one: tokens, numbers and digests
    fields.MarkHex,
    fields.ShareHex,
    fields.SealedHex,
    letters.SealingKeyHex,
    notices.StandingWord,
    fields.Number,
    fields.Turn,
}


@pytest.mark.parametrize("message", control.KINDS)
def test_no_field_can_carry_free_text(message: type[Any]) -> None:
    found = leaf_types(message)
    # A round call holds its query, integers and names only, and its number is checked when it is encoded.
    assert found - CLOSED <= ({Query, int} if message is RoundCall else set())


def test_the_scan_would_find_a_reason_field() -> None:
    @dataclasses.dataclass(frozen=True)
    class Refusal:
        reason: str | None

    assert leaf_types(Refusal) - CLOSED == {str}


def test_the_failure_says_nothing() -> None:
    assert dataclasses.fields(Unavailable) == ()
    assert encode(Unavailable()) == frame(b"RFC1", b"{}")


SENTENCE = "customer 4711 has no label"


@pytest.mark.parametrize(
    "text_field",
    [
        fields.Digest,
        fields.RunId,
        fields.Nonce,
        fields.PublicKey,
        fields.SignatureHex,
        fields.NoteText,
        fields.ShareHex,
        fields.SealedHex,
        notices.StandingWord,
    ],
)
def test_text_types_refuse_a_sentence(text_field: Any) -> None:
    assert not get_args(text_field)[1].accepts(SENTENCE)


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("12\n", "12\ncustomer 4711\n", 1),
        NOTE.replace("bank.example\n12", "bank example\n12"),
        NOTE + "trailing",
        NOTE.replace("12", "012", 1),
        NOTE.split("\n\n")[0] + "\n\n",
        NOTE.replace("AAAAAAAA\n", "no base64!\n"),
    ],
)
def test_a_checkpoint_has_no_room_for_more(note: str) -> None:
    with pytest.raises(WaistError, match="RF-W101"):
        Finish(model=STUDY, release=None, checkpoint=note, proof=())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_each_message_arrives_intact(message: Any) -> None:
    data = seal_message(
        COORDINATOR, message, study=STUDY, run=RUN, sender="coordinator", recipient="bank", round=1, attempt=2
    )
    envelope, back = open_message(
        type(message),
        data,
        senders={"coordinator": COORDINATOR.public},
        study=STUDY,
        run=RUN,
        recipient="bank",
        round=1,
        attempt=2,
    )
    assert envelope.kind is control.KINDS[type(message)]
    assert encode(back) == encode(message)
    if not isinstance(message, RoundCall):
        assert back == message


def test_a_message_of_one_kind_is_not_read_as_another() -> None:
    data = seal_message(COORDINATOR, Unavailable(), study=STUDY, run=RUN, sender="c", recipient="bank")
    with pytest.raises(WaistError, match="RF-W115"):
        open_message(Finish, data, senders={"c": COORDINATOR.public}, study=STUDY, run=RUN, recipient="bank")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_mangled_payloads_raise_nothing_but_refusals(message: Any, data: st.DataObject) -> None:
    payload = bytearray(encode(message))
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= data.draw(st.integers(1, 255))
    try:
        back = decode(type(message), bytes(payload))
    except WaistError:
        return
    assert encode(back) == bytes(payload)


@pytest.mark.parametrize(
    ("cls", "payload", "code"),
    [
        (KeyCall, encode(KeyCall(number=1, round=0, attempt=0)) + b"x", "RF-W104"),
        (KeyCall, encode(Unavailable()), "RF-W103"),
        (Unavailable, frame(b"RFC1", canonical({"reason": SENTENCE})), "RF-W103"),
        (KeyCall, frame(b"RFC1", canonical({"number": -1, "round": 0, "attempt": 0})), "RF-W101"),
        (KeyCall, frame(b"RFC1", canonical({"number": "1", "round": 0, "attempt": 0})), "RF-W101"),
        (
            RosterCall,
            frame(b"RFC1", canonical({"number": 0, "round": 0, "attempt": 0, "members": {}})),
            "RF-W101",
        ),
        (
            RosterCall,
            frame(b"RFC1", canonical({"number": 0, "round": 0, "attempt": 0, "members": [1]})),
            "RF-W103",
        ),
        (
            RosterCall,
            frame(
                b"RFC1",
                canonical({"number": 0, "round": 0, "attempt": 0, "members": [MEMBERS[0].to_json()] * 257}),
            ),
            "RF-W101",
        ),
        (Done, frame(b"RFC1", canonical({"checkpoint": NOTE, "proof": [], "ledger": None})), "RF-W103"),
        (
            Done,
            frame(b"RFC1", canonical({"checkpoint": SENTENCE, "proof": [], "ledger": HEAD.to_json()})),
            "RF-W101",
        ),
        (RoundCall, frame(b"RFC1", canonical({"number": 0, "echoes": [], "boxes": []})), "RF-W111"),
    ],
)
def test_a_malformed_message_is_refused(cls: type[Any], payload: bytes, code: str) -> None:
    with pytest.raises(WaistError) as caught:
        decode(cls, payload)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("cls", "changes"),
    [
        (KeyCall, {"number": True}),
        (LedgerHead, {"mark": "ab" * 63}),
        (LedgerHead, {"mark": SENTENCE}),
        (Join, {"approvals": (SIGNED,) * 9}),
        (Join, {"approvals": [SIGNED]}),
        (Join, {"log_key": SENTENCE}),
        (Done, {"proof": (SENTENCE,)}),
        (Done, {"proof": PROOF * 129}),
        (Join, {"approvals": ("no document",)}),
        (Join, {"key": ECHO}),
        (StudyOffer, {"study": "{" + " " * fields.MAX_DOCUMENT + "}"}),
        (StudyOffer, {"schema": "{\ud800}"}),
        (RosterEcho, {"holder": "bank\x1b[31m"}),
        (EphemeralMessage, {"sealing": "AB" * 32}),
        (EphemeralMessage, {"attempt": -1}),
        (SurvivorsCall, {"survivors": ("bank",) * 257}),
        (SurvivorsCall, {"survivors": ("a sentence, with a comma",)}),
        (Revealed, {"seeds": (SHARE,) * 257}),
        (Dealt, {"boxes": (SENTENCE,)}),
    ],
)
def test_a_field_out_of_form_is_refused_before_it_is_sent(cls: type[Any], changes: dict[str, Any]) -> None:
    samples = {type(message): message for message in [*MESSAGES, HEAD]}
    with pytest.raises(WaistError, match="RF-W101"):
        dataclasses.replace(samples[cls], **changes)
