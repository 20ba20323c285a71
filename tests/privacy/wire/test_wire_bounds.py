"""The bytes of an envelope written out, its bounds to the byte, and the closed list of messages."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.wire.envelope import (
    EVERYONE,
    Envelope,
    Expected,
    MessageKind,
    frame,
    open_envelope,
    read_header,
    seal,
    unframe,
)
from ringfence.privacy.wire.fields import digest_of

STUDY, RUN = digest_of(b"study"), "0" * 32
BANK = Identity.generate()
FIRST = {MessageKind.GREETING, MessageKind.STUDY_OFFER, MessageKind.NOTICE}
KINDS = [
    "greeting",
    "study-offer",
    "join",
    "roster-call",
    "roster-echo",
    "key-call",
    "ephemeral-keys",
    "share-call",
    "dealt",
    "round-call",
    "masked-update",
    "visible-update",
    "survivors-call",
    "survivors-echo",
    "unmask-call",
    "revealed",
    "finish",
    "done",
    "no-run",
    "witness-call",
    "cosigned",
    "unavailable",
    "notice",
    "standing",
]


def opened(data: bytes, *, max_bytes: int = 1000, **changes: Any) -> Envelope:
    arguments: dict[str, Any] = {
        "kind": MessageKind.JOIN,
        "study": STUDY,
        "run": RUN,
        "recipient": "coordinator",
    }
    expect = Expected(**(arguments | changes))
    return open_envelope(data, senders={"bank": BANK.public}, expect=expect, max_bytes=max_bytes)


def refusal(data: bytes, **changes: Any) -> WaistError:
    with pytest.raises(WaistError) as caught:
        opened(data, **changes)
    return caught.value


def sealed(payload: bytes = b"words", **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "kind": MessageKind.JOIN,
        "study": STUDY,
        "run": RUN,
        "sender": "bank",
        "recipient": "coordinator",
        "payload": payload,
    }
    return seal(BANK, **(arguments | changes))


@pytest.mark.parametrize(
    ("recipient", "turn"),
    [("coordinator", {}), (EVERYONE, {"round": 3, "attempt": 2})],
    ids=["to one, about the study", "to everyone, about a round"],
)
def test_the_bytes_of_an_envelope_are_written_out(recipient: str, turn: dict[str, int]) -> None:
    """Two versions must agree on them; what is left out of a turn is nought on both sides."""
    header = rfc8785.dumps(
        {
            "kind": "join",
            "study": STUDY,
            "run": RUN,
            "round": turn.get("round", 0),
            "attempt": turn.get("attempt", 0),
            "sender": "bank",
            "recipient": None if recipient == "*" else recipient,
            "length": 5,
            "payload": "sha256:" + hashlib.sha256(b"words").hexdigest(),
        }
    )
    signature = BANK.sign(b"ringfence/envelope/v1\n" + header)
    data = b"RFW1" + len(header).to_bytes(4, "big") + header + b"words" + signature
    assert sealed(recipient=recipient, **turn) == data
    assert opened(data, **turn) == Envelope(
        kind=MessageKind.JOIN,
        study=STUDY,
        run=RUN,
        round=turn.get("round", 0),
        attempt=turn.get("attempt", 0),
        sender="bank",
        recipient=recipient,
        payload=b"words",
    )
    assert read_header(data).recipient == (None if recipient == "*" else recipient)


def test_the_list_of_messages_is_closed() -> None:
    assert [kind.value for kind in MessageKind] == KINDS
    assert len(set(KINDS)) == len(KINDS)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": MessageKind.DONE}, "kind"),
        ({"study": digest_of(b"another")}, "study"),
        ({"run": "1" * 32}, "run"),
        ({"round": 1}, "round"),
        ({"attempt": 1}, "attempt"),
    ],
)
def test_a_message_of_another_binding_is_refused_by_the_field_it_differs_in(
    changes: dict[str, Any], field: str
) -> None:
    found = refusal(sealed(), **changes)
    assert (found.code, found.values["field"]) == ("RF-W115", field)
    assert refusal(sealed(**changes)).values["field"] == field


def test_only_a_first_message_is_awaited_of_an_unknown_study_or_run() -> None:
    for study, run in ((None, RUN), (STUDY, None), (None, None)):
        for kind in FIRST:
            Expected(kind=kind, study=study, run=run, recipient="bank")
        for kind in set(MessageKind) - FIRST:
            with pytest.raises(WaistError, match="RF-W117"):
                Expected(kind=kind, study=study, run=run, recipient="bank")
    # What is known of an offer is compared as in any other message.
    offer = sealed(kind=MessageKind.STUDY_OFFER)
    assert opened(offer, kind=MessageKind.STUDY_OFFER, run=None).run == RUN
    assert opened(offer, kind=MessageKind.STUDY_OFFER, study=None).study == STUDY
    for changes in ({"study": digest_of(b"x"), "run": None}, {"study": None, "run": "1" * 32}):
        assert refusal(offer, kind=MessageKind.STUDY_OFFER, **changes).code == "RF-W115"


def test_a_message_for_somebody_else_is_refused_before_it_is_used() -> None:
    assert refusal(sealed(recipient="shop")).code == "RF-W116"
    assert refusal(sealed(), recipient="shop").code == "RF-W116"


# --- sizes -----------------------------------------------------------------------------------------------


def signed(header: bytes, rest: bytes = b"") -> bytes:
    return frame(b"RFW1", header) + rest + BANK.sign(b"ringfence/envelope/v1\n" + header)


def parts(data: bytes | memoryview, magic: bytes, *most: int) -> tuple[bytes, bytes]:
    header, rest = unframe(data, magic, *most)
    return header, bytes(rest)


def test_a_header_has_at_most_4096_bytes() -> None:
    for size, code in ((4096, "RF-W102"), (4097, "RF-W111")):
        assert refusal(signed(b" " * size), max_bytes=10_000).code == code
    assert parts(frame(b"RFX1", b"x" * 7) + b"rest", b"RFX1", 7) == (b"x" * 7, b"rest")
    with pytest.raises(WaistError, match="RF-W111"):
        unframe(frame(b"RFX1", b"x" * 8), b"RFX1", 7)


def test_a_message_is_weighed_before_it_is_looked_at() -> None:
    """Magic, length, the largest header, the largest payload, signature: one byte more is too large."""
    most = 4 + 4 + 4096 + 1000 + 64
    assert refusal(b"x" * most).code == "RF-W111"
    assert refusal(b"x" * (most + 1)).code == "RF-W110"


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_a_payload_up_to_the_limit_arrives(size: int) -> None:
    data = sealed(bytes(size))
    assert opened(data).payload == bytes(size)
    assert refusal(data + b"x").code == "RF-W104"
    assert refusal(data[:-1]).code == "RF-W104"


def test_a_payload_beyond_the_limit_is_refused_though_the_message_is_small_enough() -> None:
    assert refusal(sealed(bytes(1001))).code == "RF-W104"


def test_a_header_that_states_another_length_than_what_follows_is_refused() -> None:
    members = read_header(sealed()).to_json()
    for length in (4, 6, 0):
        header = rfc8785.dumps(members | {"length": length})
        assert refusal(signed(header, b"words")).code == "RF-W104"


def test_bytes_that_are_cut_within_the_frame_are_refused() -> None:
    whole = frame(b"RFW1", b"{}")
    assert whole == b"RFW1\x00\x00\x00\x02{}"
    assert parts(whole, b"RFW1") == (b"{}", b"")
    for size in range(len(whole)):
        with pytest.raises(WaistError) as caught:
            unframe(whole[:size], b"RFW1")
        assert caught.value.code == ("RF-W111" if size < 4 else "RF-W104")
    for magic in (b"RFW2", b"RFW", b"XFW1"):
        with pytest.raises(WaistError, match="RF-W111"):
            unframe(whole, magic)
    assert parts(memoryview(whole + b"more"), b"RFW1") == (b"{}", b"more")
