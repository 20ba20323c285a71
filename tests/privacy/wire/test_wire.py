"""Envelopes: what is sent arrives, and everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
)
from ringfence.privacy.wire.fields import canonical, digest_of, new_run_id, parse_canonical

STUDY = digest_of(b"study")
RUN = new_run_id()
BANK = Identity.generate()
SHOP = Identity.generate()
SENDERS = {"bank": BANK.public, "shop": SHOP.public}
EXPECT = Expected(
    kind=MessageKind.MASKED_UPDATE, study=STUDY, run=RUN, recipient="coordinator", round=2, attempt=1
)


def sealed(identity: Identity = BANK, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "kind": MessageKind.MASKED_UPDATE,
        "study": STUDY,
        "run": RUN,
        "sender": "bank",
        "recipient": "coordinator",
        "round": 2,
        "attempt": 1,
        "payload": b"words of the bank",
    }
    return seal(identity, **(fields | changes))


def opened(data: bytes, expect: Expected = EXPECT, max_bytes: int = 1000) -> Envelope:
    return open_envelope(data, senders=SENDERS, expect=expect, max_bytes=max_bytes)


def refusal(data: bytes, expect: Expected = EXPECT, max_bytes: int = 1000) -> str:
    with pytest.raises(WaistError) as caught:
        opened(data, expect, max_bytes)
    return caught.value.code


GOOD = sealed()


def test_an_envelope_arrives_as_it_was_sent() -> None:
    envelope = opened(GOOD)
    assert envelope.payload == b"words of the bank"
    assert (envelope.sender, envelope.recipient, envelope.round, envelope.attempt) == (
        "bank",
        "coordinator",
        2,
        1,
    )
    assert envelope.kind is MessageKind.MASKED_UPDATE


def test_a_message_to_everyone_is_for_each() -> None:
    assert opened(sealed(recipient=EVERYONE)).recipient == EVERYONE


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(position: int, change: int) -> None:
    altered = bytearray(GOOD)
    altered[position] ^= change
    refusal(bytes(altered))


def test_a_shortened_message_is_refused() -> None:
    for size in range(len(GOOD)):
        refusal(GOOD[:size])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=8))
def test_inserted_bytes_are_refused(position: int, spare: bytes) -> None:
    refusal(GOOD[:position] + spare + GOOD[position:])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_noise_is_refused_without_any_other_exception(data: bytes, with_magic: bool) -> None:
    refusal(b"RFW1\x00\x00\x00\x10" + data if with_magic else data)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": MessageKind.FINISH}, "RF-W115"),
        ({"study": digest_of(b"another")}, "RF-W115"),
        ({"run": "0" * 32}, "RF-W115"),
        ({"round": 1}, "RF-W115"),
        ({"attempt": 0}, "RF-W115"),
        ({"recipient": "shop"}, "RF-W116"),
        ({"sender": "shop"}, "RF-W113"),
        ({"sender": "nobody"}, "RF-W112"),
        ({"identity": SHOP}, "RF-W113"),
        ({"identity": Identity.generate()}, "RF-W113"),
        ({"payload": bytes(1001)}, "RF-W104"),
        ({"payload": bytes(6000)}, "RF-W110"),
    ],
)
def test_a_message_of_another_binding_is_refused(changes: dict[str, Any], code: str) -> None:
    assert refusal(sealed(**changes)) == code


def test_a_payload_cannot_be_swapped_for_one_of_the_same_length() -> None:
    position = GOOD.index(b"words of the bank")
    assert refusal(GOOD[:position] + b"Words of the bank" + GOOD[position + 17 :]) == "RF-W114"


def test_the_largest_payload_passes_and_one_byte_more_does_not() -> None:
    assert len(opened(sealed(payload=bytes(1000))).payload) == 1000
    assert refusal(sealed(payload=bytes(1000)), max_bytes=999) == "RF-W104"


def signed_with_header(header: bytes, payload: bytes = b"") -> bytes:
    """An envelope whose sender signs whatever header it likes."""
    return frame(b"RFW1", header) + payload + BANK.sign(b"ringfence/envelope/v1\n" + header)


def good_header(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "masked-update",
        "study": STUDY,
        "run": RUN,
        "round": 2,
        "attempt": 1,
        "sender": "bank",
        "recipient": "coordinator",
        "length": 0,
        "payload": digest_of(b""),
    } | changes


def test_a_hand_made_envelope_is_the_same_as_a_sealed_one() -> None:
    assert opened(signed_with_header(canonical(good_header()))).payload == b""


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (json.dumps(good_header(), indent=1).encode(), "RF-W102"),
        (canonical(good_header())[:-1] + b',"run":"x"}', "RF-W102"),
        (b"[]", "RF-W102"),
        (b"\xff\xfe", "RF-W102"),
        (b'{"a":NaN}', "RF-W102"),
        (canonical(good_header(extra=1)), "RF-W103"),
        (canonical({k: v for k, v in good_header().items() if k != "run"}), "RF-W103"),
        (canonical(good_header(length=-1)), "RF-W101"),
        (canonical(good_header(length=True)), "RF-W101"),
        (canonical(good_header(round="2")), "RF-W101"),
        (canonical(good_header(round=1 << 31)), "RF-W101"),
        (canonical(good_header(sender="bank\n")), "RF-W101"),
        (canonical(good_header(sender="")), "RF-W101"),
        (canonical(good_header(sender="*")), "RF-W101"),
        (canonical(good_header(sender="b" * 300)), "RF-W101"),
        (canonical(good_header(run="../../etc")), "RF-W101"),
        (canonical(good_header(study="sha256:" + "A" * 64)), "RF-W101"),
        (b"{" + b" " * 5000 + b"}", "RF-W111"),
    ],
)
def test_a_signed_but_malformed_header_is_refused(header: bytes, code: str) -> None:
    assert refusal(signed_with_header(header), max_bytes=10_000) == code


def test_a_deeply_nested_header_is_refused() -> None:
    """Python 3.13 reads what 3.11 gives up on; then it is the fields that are wrong."""
    deep = b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"
    assert refusal(signed_with_header(deep), max_bytes=10_000) in {"RF-W102", "RF-W103"}


def test_only_a_study_offer_may_come_from_an_unknown_study() -> None:
    offer = sealed(kind=MessageKind.STUDY_OFFER, round=0, attempt=0)
    expect = Expected(kind=MessageKind.STUDY_OFFER, study=None, run=None, recipient="coordinator")
    assert opened(offer, expect).study == STUDY
    with pytest.raises(WaistError, match="RF-W117"):
        Expected(kind=MessageKind.ROUND_CALL, study=None, run=RUN, recipient="bank")


def test_a_header_can_be_read_before_it_is_verified() -> None:
    header = read_header(GOOD)
    assert (header.kind, header.sender, header.round, header.attempt) == ("masked-update", "bank", 2, 1)
    for data in (b"", b"RFW1", GOOD[:50], GOOD.replace(b"bank", b"b*nk", 1)):
        with pytest.raises(WaistError):
            read_header(data)


def test_a_header_is_canonical_or_nothing() -> None:
    assert parse_canonical(b'{"a":"\xc3\xa9","b":[1,null]}') == {"a": "é", "b": [1, None]}
    for data in (
        b'{"b":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":1,"a":1}',
        b'{"a":"\\ud800"}',
        b'{"a":9007199254740993}',
        b"1",
    ):
        with pytest.raises(WaistError, match="RF-W102"):
            parse_canonical(data)
