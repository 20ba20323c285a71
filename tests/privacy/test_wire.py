"""Envelopes and array payloads: what is sent arrives, and everything else is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import MaskedUpdate, Query
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
from ringfence.privacy.wire.fields import canonical, digest_of, new_run_id, parse_canonical
from ringfence.privacy.wire.heads import sign_head, verify_head
from ringfence.privacy.wire.payload import (
    MAX_ENTRIES,
    MAX_NAMED,
    decode_query,
    decode_update,
    encode_query,
    encode_update,
)

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
        ({"kind": MessageKind.HEARTBEAT}, "RF-W115"),
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
        (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", "RF-W102"),
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


# --- queries ---------------------------------------------------------------------------------------------

names = st.from_regex(r"\A[a-z][a-z0-9_./-]{0,10}[a-z0-9]\Z")
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, np.dtype[np.int64]]:
    shape = draw(shapes)
    size = int(np.prod(shape, dtype=np.int64))
    return np.array(draw(st.lists(int64, min_size=size, max_size=size)), dtype=np.int64).reshape(shape)


queries = st.builds(
    Query,
    task=names,
    round=st.integers(0, 100),
    numbers=st.dictionaries(names, int64, max_size=4),
    arrays=st.dictionaries(names, arrays(), max_size=4),
)


@settings(deadline=None)
@given(queries)
def test_a_query_arrives_with_the_same_digest(query: Query) -> None:
    back = decode_query(encode_query(query))
    assert back.digest() == query.digest()
    assert dict(back.numbers) == dict(query.numbers)
    for name, array in query.arrays.items():
        assert back.arrays[name].dtype == np.int64
        np.testing.assert_array_equal(back.arrays[name], array)
        assert not back.arrays[name].flags.writeable


@settings(deadline=None)
@given(queries, st.data())
def test_a_truncated_or_longer_query_is_refused(query: Query, data: st.DataObject) -> None:
    encoded = encode_query(query)
    for wrong in (encoded[: data.draw(st.integers(0, len(encoded) - 1))], encoded + b"\0"):
        with pytest.raises(WaistError):
            decode_query(wrong)


def query_bytes(body: bytes = b"", **changes: Any) -> bytes:
    header = {"task": "t", "round": 0, "numbers": {}, "arrays": {}} | changes
    return frame(b"RFQ1", canonical(header)) + body


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (query_bytes(arrays={"a": [1 << 12, 1 << 12, 2]}), "RF-W120"),
        (query_bytes(arrays={"a": [0, 1 << 24, 1 << 24]}), "RF-W120"),
        (query_bytes(arrays={"a": [MAX_ENTRIES], "b": [1]}), "RF-W120"),
        (query_bytes(arrays={"a": [-1]}), "RF-W120"),
        (query_bytes(arrays={"a": [-1, -1]}, body=bytes(8)), "RF-W120"),
        (query_bytes(arrays={"a": [True]}, body=bytes(8)), "RF-W120"),
        (query_bytes(arrays={"a": [1, 1, 1, 1, 1]}, body=bytes(8)), "RF-W120"),
        (query_bytes(arrays={"a": 1}, body=bytes(8)), "RF-W120"),
        (query_bytes(arrays=[]), "RF-W120"),
        (query_bytes(arrays={str(i): [0] for i in range(MAX_NAMED + 1)}), "RF-W120"),
        (query_bytes(numbers={str(i): "0" for i in range(MAX_NAMED + 1)}), "RF-W120"),
        (query_bytes(numbers={"a": 1}), "RF-W120"),
        (query_bytes(numbers={"a": "-0"}), "RF-W120"),
        (query_bytes(numbers={"a": "٣"}), "RF-W120"),
        (query_bytes(numbers={"a": "1e3"}), "RF-W120"),
        (query_bytes(numbers={"a": str(1 << 63)}), "RF-W120"),
        (query_bytes(numbers={"a": "9" * 4000}), "RF-W120"),
        (query_bytes(numbers={" ": "1"}), "RF-W120"),
        (query_bytes(task="a\tb"), "RF-W120"),
        (query_bytes(task=7), "RF-W120"),
        (query_bytes(round=-1), "RF-W120"),
        (query_bytes(epsilon="99"), "RF-W120"),
        (query_bytes(arrays={"a": [2]}, body=bytes(8)), "RF-W121"),
        (query_bytes(arrays={"a": [2]}, body=bytes(24)), "RF-W121"),
        (query_bytes(body=b"x"), "RF-W121"),
        (b"RFQ1", "RF-W104"),
        (b"", "RF-W111"),
    ],
)
def test_a_query_outside_its_limits_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(WaistError) as caught:
        decode_query(data)
    assert caught.value.code == code


def test_what_the_receiver_would_refuse_is_not_sent() -> None:
    for query in (
        Query(task="t", round=0, arrays={"a": np.zeros(3)}),  # type: ignore[dict-item]
        Query(task="t", round=0, numbers={"a": 1 << 63}),
        Query(task="t", round=-1),
        Query(task="", round=0),
    ):
        with pytest.raises(WaistError, match="RF-W120"):
            encode_query(query)


# --- masked updates --------------------------------------------------------------------------------------


HEAD = sign_head(Identity.generate(), sequence=3, entry_hash="ab" * 32)


def update_envelope(payload: bytes, kind: MessageKind = MessageKind.MASKED_UPDATE) -> Envelope:
    return replace(opened(GOOD), payload=payload, kind=kind)


@pytest.mark.parametrize(("bits", "dtype"), [(32, np.uint32), (64, np.uint64)])
def test_masked_words_arrive_with_the_name_the_envelope_proves(bits: int, dtype: Any) -> None:
    words = np.array([0, 1, np.iinfo(dtype).max], dtype=dtype)
    update = MaskedUpdate(holder="somebody", round=9, attempt=9, word_bits=bits, words=words)
    back, head = decode_update(update_envelope(encode_update(update, HEAD)), length=3, word_bits=bits)
    assert (back.holder, back.round, back.attempt, back.word_bits) == ("bank", 2, 1, bits)
    assert back.words.dtype == dtype
    np.testing.assert_array_equal(back.words, words)
    assert head == HEAD


def test_words_without_a_ledger_head_are_refused() -> None:
    update = MaskedUpdate(holder="bank", round=0, attempt=0, word_bits=32, words=np.zeros(1, dtype=np.uint32))
    payload = encode_update(update, HEAD)
    _, rest = unframe(payload, b"RFU1")
    bare = frame(b"RFU1", canonical({"word_bits": 32, "length": 1})) + bytes(rest)
    with pytest.raises(WaistError):
        decode_update(update_envelope(bare), length=1, word_bits=32)


def test_a_head_counts_with_its_holders_signature_only() -> None:
    holder = Identity.generate()
    signed = sign_head(holder, sequence=3, entry_hash="ab" * 32)
    assert verify_head(signed, holder.public) == signed
    for forged in (replace(signed, sequence=4), replace(signed, hash="sha256:" + "cd" * 32), HEAD):
        with pytest.raises(WaistError, match="RF-W166"):
            verify_head(forged, holder.public)


@pytest.mark.parametrize(
    ("length", "bits", "tail", "kind", "code"),
    [
        (4, 32, b"", MessageKind.MASKED_UPDATE, "RF-W123"),
        (3, 64, b"", MessageKind.MASKED_UPDATE, "RF-W123"),
        (3, 32, b"", MessageKind.ROUND_CALL, "RF-W123"),
        (3, 32, b"\0", MessageKind.MASKED_UPDATE, "RF-W121"),
    ],
)
def test_words_of_another_shape_are_refused(
    length: int, bits: int, tail: bytes, kind: MessageKind, code: str
) -> None:
    update = MaskedUpdate(holder="bank", round=2, attempt=1, word_bits=32, words=np.zeros(3, dtype=np.uint32))
    with pytest.raises(WaistError, match=code):
        decode_update(update_envelope(encode_update(update, HEAD) + tail, kind), length=length, word_bits=bits)


@pytest.mark.parametrize(
    "words", [np.zeros(3, dtype=np.int32), np.zeros(3, dtype=np.uint64), np.zeros((1, 3), dtype=np.uint32)]
)
def test_words_of_another_type_are_not_sent(words: Any) -> None:
    with pytest.raises(WaistError, match="RF-W122"):
        encode_update(MaskedUpdate(holder="bank", round=0, attempt=0, word_bits=32, words=words), HEAD)


def test_words_are_little_endian_on_the_wire() -> None:
    update = MaskedUpdate(
        holder="bank", round=0, attempt=0, word_bits=32, words=np.array([1, 2], dtype=np.uint32)
    )
    assert encode_update(update, HEAD)[-8:] == b"\1\0\0\0\2\0\0\0"
    assert hashlib.sha256(b"").hexdigest() in digest_of(b"")
    header, rest = unframe(encode_update(update, HEAD), b"RFU1")
    assert (json.loads(header), len(rest)) == ({"length": 2, "word_bits": 32, "ledger": HEAD.to_json()}, 8)
