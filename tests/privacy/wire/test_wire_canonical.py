"""The quick way to canonical JSON agrees with the reference implementation of RFC 8785, byte for byte and
refusal for refusal.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence.privacy.errors import WaistError
from ringfence.privacy.wire.fields import MAX_NUMBER, canonical, parse_canonical

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 54), 1 << 54)
    | st.floats(allow_nan=True)
    | st.text(max_size=12)
    | st.text(st.characters(max_codepoint=127), max_size=12)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5)


def reference(value: dict[str, Any]) -> bytes | type[Exception]:
    """The bytes, or the kind of error that refuses them."""
    try:
        return rfc8785.dumps(value)
    except Exception as error:
        return type(error)


@settings(max_examples=400, deadline=None)
@given(OBJECTS)
@example({"b": 1, "a": '\x7f\x00\t"\\/\u2028', "A": [True, None, -0, MAX_NUMBER]})
@example({"too large": MAX_NUMBER + 1})
@example({"float": 1.0})
@example({"nan": float("nan")})
@example({"\ue000": 1, "\U0001f600": 2})
@example({"surrogate": "\ud800"})
def test_what_is_written_is_the_reference_form(value: dict[str, Any]) -> None:
    expected = reference(value)
    if isinstance(expected, bytes):
        assert canonical(value) == expected
    else:
        with pytest.raises(Exception) as caught:  # the reference's own, of several kinds
            canonical(value)
        assert caught.type is expected


def slow(data: bytes) -> dict[str, Any] | None:
    """The check by the reference alone."""
    try:
        value = json.loads(data.decode())
        return value if isinstance(value, dict) and rfc8785.dumps(value) == data else None
    except (ValueError, RecursionError):
        return None


def verdict(data: bytes) -> dict[str, Any] | None:
    try:
        return parse_canonical(data)
    except WaistError:
        return None


@settings(max_examples=400, deadline=None)
@given(OBJECTS, st.data())
def test_what_is_read_is_what_the_reference_would_read(value: dict[str, Any], data: st.DataObject) -> None:
    written = reference(value)
    if not isinstance(written, bytes):
        return
    assert repr(verdict(written)) == repr(slow(written))
    mangled = bytearray(written)
    mangled[data.draw(st.integers(0, len(mangled) - 1))] = data.draw(st.integers(0, 255))
    assert repr(verdict(bytes(mangled))) == repr(slow(bytes(mangled)))


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":"\\/"}',
        b'{"a":"\x01"}',
        b"[1]",
        b"1",
        b"",
        b'{"a":1}\n',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(WaistError, match="RF-W102"):
        parse_canonical(data)


def test_the_standard_librarys_ways_do_not_slip_in() -> None:
    """Keys that are no texts are no JSON; the library would write them as texts."""
    with pytest.raises(Exception):  # noqa: B017  # the reference's own
        canonical({1: "a"})  # type: ignore[dict-item]
