"""Payloads that hold arrays: queries, and words with the ledger's head; what is malformed is refused."""

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
    Envelope,
    Expected,
    MessageKind,
    frame,
    open_envelope,
    seal,
    unframe,
)
from ringfence.privacy.wire.fields import canonical, digest_of, new_run_id
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


HEAD = sign_head(Identity.generate(), mark="ab" * 64, log="bank.example/log")


GOOD = seal(
    BANK,
    kind=MessageKind.MASKED_UPDATE,
    study=STUDY,
    run=RUN,
    sender="bank",
    recipient="coordinator",
    round=2,
    attempt=1,
    payload=b"words of the bank",
)


def update_envelope(payload: bytes, kind: MessageKind = MessageKind.MASKED_UPDATE) -> Envelope:
    opened = open_envelope(GOOD, senders={"bank": BANK.public}, expect=EXPECT, max_bytes=1000)
    return replace(opened, payload=payload, kind=kind)


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
    signed = sign_head(holder, mark="ab" * 64, log="bank.example/log")
    assert verify_head(signed, holder.public, "bank.example/log") == signed
    for forged in (replace(signed, mark="cd" * 64), HEAD):
        with pytest.raises(WaistError, match="RF-W166"):
            verify_head(forged, holder.public, "bank.example/log")


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
        decode_update(
            update_envelope(encode_update(update, HEAD) + tail, kind), length=length, word_bits=bits
        )


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
