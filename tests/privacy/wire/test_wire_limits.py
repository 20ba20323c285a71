"""Queries and words at their limits: what is just allowed is taken, one more is refused, by its rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rfc8785

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import MaskedUpdate, Query, Update, VisibleUpdate
from ringfence.privacy.wire.envelope import Envelope, MessageKind, frame
from ringfence.privacy.wire.fields import digest_of
from ringfence.privacy.wire.heads import sign_head
from ringfence.privacy.wire.payload import (
    MAX_ENTRIES,
    MAX_NAMED,
    MAX_RANK,
    decode_query,
    decode_update,
    encode_query,
    encode_update,
)

HEAD = sign_head(Identity.generate(), mark="ab" * 64, log="bank.example/log")


def query_bytes(body: bytes = b"", **changes: Any) -> bytes:
    header = {"task": "t", "round": 0, "numbers": {}, "arrays": {}} | changes
    return frame(b"RFQ1", rfc8785.dumps(header)) + body


def rule(data: bytes) -> str:
    """The rule that a query breaks, or its code where it is not one of limits."""
    with pytest.raises(WaistError) as caught:
        decode_query(data)
    return str(caught.value.values.get("what", caught.value.code))


def test_the_limits_are_these() -> None:
    assert (MAX_ENTRIES, MAX_NAMED, MAX_RANK) == (1 << 24, 1 << 12, 4)


def test_the_bytes_of_a_query_are_written_out() -> None:
    """Arrays follow the header in order of name, little-endian, eight bytes each."""
    query = Query(
        task="scorecard",
        round=2,
        numbers={"step": -5},
        arrays={"b": np.array([[1, -1]], dtype=np.int64), "a": np.array([7], dtype=np.int64)},
    )
    header = rfc8785.dumps(
        {"task": "scorecard", "round": 2, "numbers": {"step": "-5"}, "arrays": {"b": [1, 2], "a": [1]}}
    )
    body = b"\7" + bytes(7) + b"\1" + bytes(7) + b"\xff" * 8
    data = b"RFQ1" + len(header).to_bytes(4, "big") + header + body
    assert encode_query(query) == data
    for given in (data, memoryview(data)):
        back = decode_query(given)
        assert (back.task, back.round, dict(back.numbers)) == ("scorecard", 2, {"step": -5})
        assert {name: array.tolist() for name, array in back.arrays.items()} == {"a": [7], "b": [[1, -1]]}
    columns = Query(task="t", round=0, arrays={"a": np.asfortranarray(np.arange(6).reshape(2, 3))})
    assert decode_query(encode_query(columns)).arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (query_bytes(arrays={"a": [1] * 5}, body=bytes(8)), "the rank of an array"),
        (query_bytes(arrays={"a": "1"}, body=bytes(8)), "the rank of an array"),
        (query_bytes(arrays={"a": [MAX_ENTRIES + 1]}), "the shape of an array"),
        (query_bytes(arrays={"a": [0, MAX_ENTRIES + 1]}), "the shape of an array"),
        (query_bytes(arrays={"a": [-1]}), "the shape of an array"),
        (query_bytes(arrays={"a": ["1"]}), "the shape of an array"),
        (query_bytes(arrays={"a": [MAX_ENTRIES], "b": [0]}), "too many array entries"),
        (query_bytes(arrays={"a": [MAX_ENTRIES // 2, 2, 0], "b": [1]}), "too many array entries"),
        (query_bytes(arrays={f"a{i}": [0] for i in range(MAX_NAMED + 1)}), "too many arrays"),
        (query_bytes(numbers={f"a{i}": "0" for i in range(MAX_NAMED + 1)}), "too many numbers"),
        (query_bytes(numbers={"a": 5}), "a number is not a decimal integer"),
        (query_bytes(numbers={"a": "+5"}), "a number is not a decimal integer"),
        (query_bytes(numbers={"a": "05"}), "a number is not a decimal integer"),
        (query_bytes(numbers={"a": "5 "}), "a number is not a decimal integer"),
        (query_bytes(numbers={"a": "1" * 20}), "a number is not a decimal integer"),
        (query_bytes(numbers={"a": "-" + "1" * 20}), "a number is not a decimal integer"),
        (query_bytes(numbers={"a": str(1 << 63)}), "a number does not fit in 64 bits"),
        (query_bytes(numbers={"a": str(-(1 << 63) - 1)}), "a number does not fit in 64 bits"),
        (query_bytes(numbers={" a": "1"}), "a name is not well-formed"),
        (query_bytes(arrays={"": [0]}), "a name is not well-formed"),
        (query_bytes(numbers=[]), "a name is not well-formed"),
        (query_bytes(round=1 << 31), "its round"),
        (query_bytes(round=-1), "its round"),
        (query_bytes(round=True), "its round"),
        (query_bytes(round="0"), "its round"),
        (query_bytes(task=""), "its header"),
        (query_bytes(more=0), "its header"),
        (frame(b"RFQ1", rfc8785.dumps({"task": "t", "round": 0, "numbers": {}})), "its header"),
        (query_bytes(arrays={"a": [2, 3]}, body=bytes(47)), "RF-W121"),
        (query_bytes(arrays={"a": [2, 3]}, body=bytes(49)), "RF-W121"),
        (query_bytes(arrays={"a": [2, 0]}, body=bytes(8)), "RF-W121"),
        (frame(b"RFU1", b"{}"), "RF-W111"),
    ],
)
def test_each_limit_of_a_query_refuses_one_more(data: bytes, expected: str) -> None:
    assert rule(data) == expected


def test_what_is_just_allowed_is_taken() -> None:
    named = {f"a{i}": "0" for i in range(MAX_NAMED)}
    assert len(decode_query(query_bytes(numbers=named)).numbers) == MAX_NAMED
    shapes = {f"a{i}": [0] for i in range(MAX_NAMED)}
    assert len(decode_query(query_bytes(arrays=shapes)).arrays) == MAX_NAMED
    wide = decode_query(query_bytes(arrays={"a": [1, 2, 1, 1], "b": [MAX_ENTRIES - 2, 0]}, body=bytes(16)))
    assert (wide.arrays["a"].shape, wide.arrays["b"].shape) == ((1, 2, 1, 1), (MAX_ENTRIES - 2, 0))
    assert decode_query(query_bytes(arrays={"a": []}, body=bytes(8))).arrays["a"].shape == ()
    low, high = -(1 << 63), (1 << 63) - 1
    ends = decode_query(
        query_bytes(numbers={"low": str(low), "high": str(high), "none": "0"}, round=(1 << 31) - 1)
    )
    assert (dict(ends.numbers), ends.round) == ({"low": low, "high": high, "none": 0}, (1 << 31) - 1)


def test_a_header_of_a_query_has_at_most_two_mebibytes() -> None:
    """Longer than an envelope's, for its names; a longer one is refused before it is read."""
    for size, code in ((1 << 21, "RF-W102"), ((1 << 21) + 1, "RF-W111")):
        assert rule(frame(b"RFQ1", b" " * size)) == code


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": {"a": np.zeros(1, dtype=np.int32)}},
        {"arrays": {"a": np.zeros((1,) * 5, dtype=np.int64)}},
        {"numbers": {"a": -(1 << 63) - 1}},
        {"numbers": {"": 1}},
        {"round": 1 << 31},
        {"task": "a\n"},
    ],
)
def test_a_query_that_would_be_refused_is_not_sent(change: dict[str, Any]) -> None:
    with pytest.raises(WaistError, match="RF-W120"):
        encode_query(Query(**({"task": "t", "round": 0} | change)))


# --- words -----------------------------------------------------------------------------------------------


def envelope(payload: bytes, kind: MessageKind = MessageKind.MASKED_UPDATE) -> Envelope:
    return Envelope(
        kind=kind,
        study=digest_of(b"study"),
        run="0" * 32,
        round=4,
        attempt=2,
        sender="bank",
        recipient="coordinator",
        payload=payload,
    )


@pytest.mark.parametrize(("bits", "dtype"), [(32, "<u4"), (64, "<u8")])
@pytest.mark.parametrize(
    ("kind", "form"),
    [(MessageKind.MASKED_UPDATE, MaskedUpdate), (MessageKind.VISIBLE_UPDATE, VisibleUpdate)],
)
def test_the_bytes_of_words_are_written_out(
    bits: int, dtype: str, kind: MessageKind, form: type[Update]
) -> None:
    """Whether words are masked is what the envelope says, as are holder, round and attempt."""
    words = np.array([1, (1 << bits) - 1], dtype=np.dtype(dtype).newbyteorder("="))
    header = rfc8785.dumps({"word_bits": bits, "length": 2, "ledger": HEAD.to_json()})
    data = frame(b"RFU1", header) + words.astype(dtype).tobytes()
    update = form(holder="x", round=0, attempt=0, word_bits=bits, words=words)
    assert encode_update(update, HEAD) == data
    back, head = decode_update(envelope(data, kind), length=2, word_bits=bits)
    assert (type(back), back.holder, back.round, back.attempt, back.word_bits) == (form, "bank", 4, 2, bits)
    assert (back.words.tolist(), back.words.dtype, head) == (words.tolist(), words.dtype, HEAD)
    # Read in place: sixteen million words are not copied for each holder.
    assert not back.words.flags.writeable
    for wrong in (data[:-1], data + b"\0", data[: -bits // 8]):
        with pytest.raises(WaistError, match="RF-W121"):
            decode_update(envelope(wrong, kind), length=2, word_bits=bits)
    for changes in ({"length": 1}, {"length": 3}, {"word_bits": 96 - bits}):
        with pytest.raises(WaistError, match="RF-W123"):
            decode_update(envelope(data, kind), **({"length": 2, "word_bits": bits} | changes))


@pytest.mark.parametrize(
    "kind", sorted(set(MessageKind) - {MessageKind.MASKED_UPDATE, MessageKind.VISIBLE_UPDATE})
)
def test_no_other_message_holds_words(kind: MessageKind) -> None:
    update = MaskedUpdate(holder="x", round=0, attempt=0, word_bits=32, words=np.zeros(1, dtype=np.uint32))
    with pytest.raises(WaistError, match="RF-W123"):
        decode_update(envelope(encode_update(update, HEAD), kind), length=1, word_bits=32)


@pytest.mark.parametrize(
    "header",
    [
        {"word_bits": 32, "length": 0},
        {"word_bits": 32, "length": 0, "ledger": {}},
        {"word_bits": 32, "length": 0, "ledger": None},
        {"word_bits": 32, "length": 0, "ledger": HEAD.to_json(), "more": 1},
        {"length": 0, "ledger": HEAD.to_json()},
        {"word_bits": 32, "ledger": HEAD.to_json()},
        {"word_bits": "32", "length": 0, "ledger": HEAD.to_json()},
    ],
)
def test_words_with_another_header_are_refused(header: dict[str, Any]) -> None:
    with pytest.raises(WaistError, match=r"RF-W123|RF-W103"):
        decode_update(envelope(frame(b"RFU1", rfc8785.dumps(header))), length=0, word_bits=32)


@pytest.mark.parametrize(("bits", "dtype"), [(16, "u2"), (32, "u8"), (64, "u4"), (64, "i8"), (8, "u4")])
def test_words_of_another_size_than_they_say_are_not_sent(bits: int, dtype: str) -> None:
    update = MaskedUpdate(holder="x", round=0, attempt=0, word_bits=bits, words=np.zeros(2, dtype=dtype))  # type: ignore[arg-type]
    with pytest.raises(WaistError, match="RF-W122"):
        encode_update(update, HEAD)
