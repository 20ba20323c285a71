"""Canonical JSON (RFC 8785) for strings, integers, booleans, lists and objects; no floats and no null.

One value has one byte string, so two programs that agree on an event agree on its leaf hash. Without floats
the number rules of the RFC shrink to plain decimal integers.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import NoReturn, TypeAlias, TypeGuard

from ringfence.audit.errors import N_, CanonicalError

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json]"

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 16
HEX_64 = re.compile(r"[0-9a-f]{64}")


def is_whole(value: object, least: int, most: int = MAX_INTEGER) -> TypeGuard[int]:
    """Whether a value is a whole number in a range; a truth value is none, though Python counts it as one."""
    return type(value) is int and least <= value <= most


def canonical_string(value: str) -> str:
    """A string in its canonical form, quotes included.

    Raises:
        CanonicalError: for lone surrogates.
    """
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise CanonicalError(
                "RF-A001",
                N_("A string holds half of a surrogate pair; whole Unicode characters are expected."),
            ) from None
    return encode_basestring(value)


def _ordered(members: dict[str, object]) -> list[str]:
    """Names in the order of their UTF-16 code units; for ASCII that is the order Python knows."""
    if "".join(members).isascii():
        return sorted(members)
    return sorted(members, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _named(members: dict[object, object]) -> TypeGuard[dict[str, object]]:
    return all(isinstance(name, str) for name in members)


def _text(value: object, depth: int) -> str:
    if isinstance(value, str):
        return canonical_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise CanonicalError(
                "RF-A002", N_("An integer is beyond 2^53 - 1 in size; write larger numbers as strings.")
            )
        return int.__repr__(value)
    if depth == MAX_DEPTH:
        raise CanonicalError(
            "RF-A003", N_("A value is nested more than {depth} levels deep; flatten it."), depth=MAX_DEPTH
        )
    if isinstance(value, list | tuple):
        return f"[{','.join([_text(item, depth + 1) for item in value])}]"
    if isinstance(value, dict) and _named(value):
        pairs = [f"{canonical_string(name)}:{_text(value[name], depth + 1)}" for name in _ordered(value)]
        return f"{{{','.join(pairs)}}}"
    raise CanonicalError(
        "RF-A004",
        N_(
            "A value of type {type} has no canonical form here; use strings (decimals too), integers, "
            "booleans, lists and objects with string keys."
        ),
        type=type(value).__name__,
    )


def dumps(value: object) -> bytes:
    """The one canonical byte string of a value.

    Raises:
        CanonicalError: for floats, null, integers beyond 2^53 - 1, lone surrogates, nesting over 16 levels.
    """
    return _text(value, 0).encode("utf-8")


def _refuse_number(_literal: str) -> NoReturn:
    raise CanonicalError(
        "RF-A005", N_("The JSON holds a number that is no integer; decimals are written as strings here.")
    )


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CanonicalError(
            "RF-A006", N_("The JSON names a member twice in one object; each may stand once.")
        )
    return members


# Made once: `json.loads` with hooks would make a decoder for every call.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number
)


def parse(data: bytes) -> Json:
    """Parse JSON that may not be canonical; the caller compares its bytes with the canonical form.

    Raises:
        CanonicalError: when the bytes are not JSON, name a member twice, or hold a float.
    """
    try:
        value: Json = _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise CanonicalError("RF-A007", N_("The bytes are not JSON in UTF-8.")) from None
    return value


def refuse_form() -> NoReturn:
    """Raise the refusal of JSON that has another form than its canonical one."""
    raise CanonicalError(
        "RF-A008",
        N_("The JSON is not in its canonical form (RFC 8785): members sorted, no spaces, shortest escapes."),
    )


def loads(data: bytes) -> Json:
    """Parse canonical JSON strictly: what is returned has exactly these bytes as its canonical form.

    Raises:
        CanonicalError: when the bytes are not JSON, name a member twice, hold a float or null, or are JSON
            in another form than the canonical one (spaces, order of members, escapes).
    """
    value = parse(data)
    if dumps(value) != data:
        refuse_form()
    return value
