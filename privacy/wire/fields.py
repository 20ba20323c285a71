"""The closed set of field types that a message between parties is made of, with their checks and encoding.

Invariant 6 (owned here): nothing from the network is used before its size, form and range were checked, and
nothing is ever deserialised with pickle. A `Record` is a frozen dataclass whose fields are names, digests,
keys, signatures, bounded integers, signed documents, or records and bounded tuples of those. There is no type
for free text, so a sentence (an exception's text, a customer's value) has nowhere to stand.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
import types
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self, TypeAlias, Union, get_args, get_origin, get_type_hints

import rfc8785

from ringfence.privacy.errors import N_, WaistError

MAX_DOCUMENT = 1 << 18
MAX_NUMBER = (1 << 53) - 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextRule:
    """A text field: its kind in words, the pattern it must match in full, and its most UTF-8 bytes."""

    kind: str
    pattern: re.Pattern[str]
    max_bytes: int

    def accepts(self, value: object) -> bool:
        """Whether the value is a string of this form (the caller raises)."""
        if not isinstance(value, str) or len(value) > self.max_bytes:
            return False
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            return False
        return size <= self.max_bytes and self.pattern.fullmatch(value) is not None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberRule:
    """An integer field, both ends included; booleans are not integers."""

    low: int
    high: int
    kind: ClassVar[str] = "number"

    def accepts(self, value: object) -> bool:
        """Whether the value is an integer in range (the caller raises)."""
        return type(value) is int and self.low <= value <= self.high


@dataclasses.dataclass(frozen=True, slots=True)
class AtMost:
    """A bound on the length of a tuple field."""

    length: int


def _text(kind: str, pattern: str, max_bytes: int) -> TextRule:
    return TextRule(kind=kind, pattern=re.compile(pattern, re.DOTALL), max_bytes=max_bytes)


NAME_RULE = _text("name", r"\w(?:[\w .:@/+\-]{0,126}[\w.:@/+\-])?", 256)
Name: TypeAlias = Annotated[str, NAME_RULE]
Kind: TypeAlias = Annotated[str, _text("kind", r"[a-z][a-z-]{0,31}", 32)]
Digest: TypeAlias = Annotated[str, _text("digest", r"sha256:[0-9a-f]{64}", 71)]
RunId: TypeAlias = Annotated[str, _text("run id", r"[0-9a-f]{32}", 32)]
Nonce: TypeAlias = Annotated[str, _text("nonce", r"[0-9a-f]{64}", 64)]
PublicKey: TypeAlias = Annotated[str, _text("key", r"[0-9a-f]{64}", 64)]
SignatureHex: TypeAlias = Annotated[str, _text("signature", r"[0-9a-f]{128}", 128)]
MarkHex: TypeAlias = Annotated[str, _text("ledger mark", r"[0-9a-f]{128}", 128)]
ShareHex: TypeAlias = Annotated[str, _text("share", r"[0-9a-f]{132}", 132)]
SealedHex: TypeAlias = Annotated[str, _text("sealed share", r"[0-9a-f]{320}", 320)]
SignedText: TypeAlias = Annotated[str, _text("signed document", r"\s*\{.*\}\s*", MAX_DOCUMENT)]
NoteText: TypeAlias = Annotated[
    str,
    _text(
        "signed checkpoint",
        r"[^\s+]{1,128}\n(?:0|[1-9][0-9]{0,15})\n[A-Za-z0-9+/]{43}=\n\n(?:— [^\s+]{1,128} "
        r"[A-Za-z0-9+/]{4,256}={0,2}\n){1,16}",
        1 << 14,
    ),
]
LeafText: TypeAlias = Annotated[str, _text("log leaf", r"\{.*\}", 1 << 16)]
Number: TypeAlias = Annotated[int, NumberRule(low=0, high=MAX_NUMBER)]
Turn: TypeAlias = Annotated[int, NumberRule(low=0, high=(1 << 31) - 1)]


def utc_now() -> datetime:
    """The present moment, UTC: the clock of everybody who is given no other."""
    return datetime.now(UTC)


def new_run_id() -> str:
    """A fresh run id: 128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def new_nonce() -> str:
    """A fresh nonce: 256 random bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)


def digest_of(data: bytes) -> str:
    """SHA-256 in the form used in messages, `sha256:<64 hex digits>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785 bytes of a JSON object."""
    plain = dict(value)
    with suppress(TypeError, ValueError, RecursionError):
        data = _ENCODER.encode(plain).encode()
        # Read back to be sure: keys that are no texts, for one, would have been written as if they were.
        if _plainly(data) == plain:
            return data
    return rfc8785.dumps(plain)


def parse_canonical(data: bytes) -> dict[str, Any]:
    """The JSON object whose one canonical encoding is `data`.

    Raises:
        WaistError: RF-W102 when the bytes are anything else (other spacing or order, doubled keys, floats
            that do not round-trip, numbers past 2^53, lone surrogates, deep nesting).
    """
    if (plain := _plainly(data)) is not None:
        return plain
    try:
        value = json.loads(data.decode())
        if isinstance(value, dict) and rfc8785.dumps(value) == data:
            return value
    except (ValueError, RecursionError):
        pass
    raise WaistError("RF-W102", N_("A message's header is not canonical JSON; the message was refused."))


def _whole(text: str) -> int:
    """A number as RFC 8785 writes it, when it is an integer that every reader has exactly."""
    number = int(text)
    if abs(number) > MAX_NUMBER:
        raise ValueError
    return number


def _no_float(text: str) -> float:
    raise ValueError(text)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_no_float, parse_constant=_no_float)


def _plainly(data: bytes) -> dict[str, Any] | None:
    """The object in ASCII bytes without floats whose canonical encoding is `data`; None: check in full.

    In ASCII the order of keys, the escapes and the integers of the standard library are those of RFC 8785. It
    is some twenty times as fast, which a study of a hundred holders needs: everybody reads what everybody
    signed.
    """
    if not data.isascii():
        return None
    try:
        value = _DECODER.decode(data.decode())
        return value if isinstance(value, dict) and _ENCODER.encode(value).encode() == data else None
    except (ValueError, RecursionError):
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Base of every message part: fields are checked on construction, and encode to one JSON object."""

    def __post_init__(self) -> None:
        """Refuse any field outside its declared form, also on the sender's side."""
        for name, hint in field_types(type(self)).items():
            _check(hint, getattr(self, name), f"{type(self).__name__}.{name}")

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {name: _plain(getattr(self, name)) for name in field_types(type(self))}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The record that `value` encodes.

        Raises:
            WaistError: RF-W103 for missing or unknown fields, RF-W101 for a field of another form.
        """
        hints = field_types(cls)
        if not isinstance(value, dict) or set(value) != set(hints):
            raise WaistError(
                "RF-W103",
                N_("A {record} message has missing or unknown fields; both sides must run the same version."),
                record=cls.__name__,
            )
        return cls(**{name: _build(hint, value[name]) for name, hint in hints.items()})


_TYPES: dict[type[Any], dict[str, Any]] = {}


def field_types(record: type[Record]) -> dict[str, Any]:
    """Field name to annotated type, in order of declaration; resolved once a class."""
    if record not in _TYPES:
        hints = get_type_hints(record, include_extras=True)
        _TYPES[record] = {field.name: hints[field.name] for field in dataclasses.fields(record)}
    return _TYPES[record]


def _refuse(where: str, kind: str) -> WaistError:
    return WaistError(
        "RF-W101", N_("Message field {field} is not a well-formed {kind}."), field=where, kind=kind
    )


def _tuple_of(hint: Any) -> tuple[Any, int] | None:
    """Item type and greatest length when the hint is a bounded tuple."""
    if get_origin(hint) is not Annotated:
        return None
    base, rule = get_args(hint)[:2]
    return (get_args(base)[0], rule.length) if isinstance(rule, AtMost) else None


def _optional(hint: Any) -> Any | None:
    """The type X when the hint is `X | None`."""
    if get_origin(hint) not in (Union, types.UnionType):
        return None
    (inner,) = (part for part in get_args(hint) if part is not type(None))
    return inner


def _check(hint: Any, value: object, where: str) -> None:
    if (inner := _optional(hint)) is not None:
        if value is not None:
            _check(inner, value, where)
    elif (items := _tuple_of(hint)) is not None:
        if not isinstance(value, tuple) or len(value) > items[1]:
            raise _refuse(where, f"list of at most {items[1]}")
        for item in value:
            _check(items[0], item, where)
    elif get_origin(hint) is Annotated:
        rule = get_args(hint)[1]
        if not rule.accepts(value):
            raise _refuse(where, rule.kind)
    elif not isinstance(value, hint):
        raise _refuse(where, hint.__name__)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _build(hint: Any, value: Any) -> Any:
    if (inner := _optional(hint)) is not None:
        return None if value is None else _build(inner, value)
    if (items := _tuple_of(hint)) is not None:
        if not isinstance(value, list) or len(value) > items[1]:
            raise _refuse("list", f"list of at most {items[1]}")
        return tuple(_build(items[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_json(value)
    return value
