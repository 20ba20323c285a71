"""Encodings of the messages that hold arrays: a round's query, and a holder's words, masked or visible.

Both are a small canonical JSON header followed by little-endian integers, length and type declared and
checked before an array is made (invariant 6: nothing is deserialised with pickle, sizes and shapes are
checked before use).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ringfence.privacy.errors import N_, Clause, WaistError
from ringfence.privacy.waist import IntVector, MaskedUpdate, Query, Update, VisibleUpdate
from ringfence.privacy.wire.envelope import Envelope, MessageKind, frame, unframe
from ringfence.privacy.wire.fields import NAME_RULE, canonical, parse_canonical
from ringfence.privacy.wire.heads import LedgerHead

MAX_ENTRIES = 1 << 24
"""Most integers in all arrays of one query, and most words of one update."""
MAX_NAMED = 4096
"""Most named numbers, and most named arrays, of one query."""
MAX_RANK = 4
_MAX_HEADER = 1 << 21
_QUERY = b"RFQ1"
_WORDS = b"RFU1"
_FORMS: Mapping[MessageKind, type[Update]] = {
    MessageKind.MASKED_UPDATE: MaskedUpdate,
    MessageKind.VISIBLE_UPDATE: VisibleUpdate,
}
_INT64 = re.compile(r"0|-?[1-9][0-9]{0,18}")


def _limit(what: str) -> WaistError:
    return WaistError("RF-W120", N_("A query is outside its limits: {what}."), what=Clause(what))


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The declared shapes, checked for rank, sign and total size before any array is made."""
    if len(arrays) > MAX_NAMED:
        raise _limit(N_("too many arrays"))
    shapes: dict[str, tuple[int, ...]] = {}
    total = 0
    for name, shape in arrays.items():
        if not isinstance(shape, list) or len(shape) > MAX_RANK:
            raise _limit(N_("the rank of an array"))
        if any(type(side) is not int or not 0 <= side <= MAX_ENTRIES for side in shape):
            raise _limit(N_("the shape of an array"))
        total += math.prod(max(side, 1) for side in shape)
        shapes[name] = tuple(shape)
    if total > MAX_ENTRIES:
        raise _limit(N_("too many array entries"))
    return shapes


def _numbers(numbers: Mapping[str, Any]) -> dict[str, int]:
    if len(numbers) > MAX_NAMED:
        raise _limit(N_("too many numbers"))
    parsed = {}
    for name, text in numbers.items():
        if not isinstance(text, str) or len(text) > 20 or _INT64.fullmatch(text) is None:
            raise _limit(N_("a number is not a decimal integer"))
        parsed[name] = int(text)
        if not -(1 << 63) <= parsed[name] < 1 << 63:
            raise _limit(N_("a number does not fit in 64 bits"))
    return parsed


def _named(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(NAME_RULE.accepts(name) for name in value):
        raise _limit(N_("a name is not well-formed"))
    return value


def encode_query(query: Query) -> bytes:
    """The query's bytes; refused (RF-W120) when the receiver would refuse them."""
    if any(array.dtype != np.int64 for array in query.arrays.values()):
        raise _limit(N_("an array is not int64"))
    header = {
        "task": query.task,
        "round": query.round,
        "numbers": {name: str(int(value)) for name, value in query.numbers.items()},
        "arrays": {name: list(array.shape) for name, array in query.arrays.items()},
    }
    _checked_header(header)
    body = (np.ascontiguousarray(query.arrays[name], dtype="<i8").tobytes() for name in sorted(query.arrays))
    return b"".join((frame(_QUERY, canonical(header)), *body))


def _checked_header(header: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    if set(header) != {"task", "round", "numbers", "arrays"} or not NAME_RULE.accepts(header["task"]):
        raise _limit(N_("its header"))
    if type(header["round"]) is not int or not 0 <= header["round"] < 1 << 31:
        raise _limit(N_("its round"))
    return _numbers(_named(header["numbers"])), _shapes(_named(header["arrays"]))


def decode_query(data: bytes | memoryview) -> Query:
    """The query in `data`; arrays are read-only, int64.

    Raises:
        WaistError: RF-W120 outside the limits, RF-W121 when the array bytes are not exactly those declared.
    """
    encoded, rest = unframe(data, _QUERY, _MAX_HEADER)
    header = parse_canonical(encoded)
    numbers, shapes = _checked_header(header)
    if len(rest) != 8 * sum(math.prod(shape) for shape in shapes.values()):
        raise WaistError("RF-W121", N_("The bytes of a message's arrays are not as many as it declares."))
    arrays: dict[str, IntVector] = {}
    start = 0
    for name in sorted(shapes):
        count = math.prod(shapes[name])
        flat = np.frombuffer(bytes(rest[start : start + 8 * count]), dtype="<i8")
        arrays[name] = flat.astype(np.int64, copy=False).reshape(shapes[name])
        start += 8 * count
    return Query(task=header["task"], round=header["round"], numbers=numbers, arrays=arrays)


def encode_update(update: Update, head: LedgerHead) -> bytes:
    """The words' bytes, and where the holder's ledger stands after they were charged.

    Holder, round and attempt stand in the envelope around them, and its kind says whether they are masked.
    """
    dtype = np.dtype("<u4") if update.word_bits == 32 else np.dtype("<u8")
    if (
        update.word_bits not in (32, 64)
        or update.words.ndim != 1
        or update.words.dtype != dtype.newbyteorder("=")
    ):
        raise WaistError("RF-W122", N_("Masked words must be one vector of 32-bit or 64-bit words."))
    header = {"word_bits": update.word_bits, "length": len(update.words), "ledger": head.to_json()}
    return frame(_WORDS, canonical(header)) + update.words.astype(dtype, copy=False).tobytes()


def decode_update(envelope: Envelope, *, length: int, word_bits: int) -> tuple[Update, LedgerHead]:
    """The words in an opened envelope, whose kind, sender, round and attempt they take, and a ledger head.

    The head's own signature is not verified here (`heads.verify_head`).

    Args:
        envelope: as `open_envelope` returned it.
        length: number of words of the round, from plan and query.
        word_bits: 32 or 64, from `choose_word_bits`.

    Raises:
        WaistError: RF-W123 for another kind, length or word size, RF-W121 for missing or spare bytes.
    """
    encoded, rest = unframe(envelope.payload, _WORDS)
    header = parse_canonical(encoded)
    head = header.pop("ledger", None)
    form = _FORMS.get(envelope.kind)
    if form is None or header != {"word_bits": word_bits, "length": length}:
        raise WaistError(
            "RF-W123",
            N_("The words from {holder} are not the {length} words of {bits} bits that the round has."),
            holder=envelope.sender,
            length=length,
            bits=word_bits,
        )
    if len(rest) != length * word_bits // 8:
        raise WaistError("RF-W121", N_("The bytes of a message's arrays are not as many as it declares."))
    words = (
        np.frombuffer(rest, dtype="<u4").astype(np.uint32, copy=False)
        if word_bits == 32
        else np.frombuffer(rest, dtype="<u8").astype(np.uint64, copy=False)
    )
    update = form(
        holder=envelope.sender,
        round=envelope.round,
        attempt=envelope.attempt,
        word_bits=word_bits,
        words=words,
    )
    return update, LedgerHead.from_json(head)
