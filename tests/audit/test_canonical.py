"""Canonical JSON against the rfc8785 package, and what must be refused."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.audit.canonical import MAX_DEPTH, MAX_INTEGER, dumps, is_whole, loads
from ringfence.audit.errors import CanonicalError

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_same_bytes_as_an_independent_implementation(value: object) -> None:
    assert dumps(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@settings(deadline=None)
@given(VALUES)
def test_parse_gives_back_what_was_written(value: object) -> None:
    assert loads(dumps(value)) == value


def test_members_are_sorted_by_utf16_and_not_by_code_point() -> None:
    # U+1F600 is D83D DE00 in UTF-16 and so sorts before U+FB33, though its code point is larger.
    value = {"\ufb33": 1, "\U0001f600": 2}
    assert dumps(value) == '{"\U0001f600":2,"\ufb33":1}'.encode()
    assert json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() != dumps(
        value
    )


def test_control_characters_are_escaped_the_short_way() -> None:
    assert dumps('\x00\b\t\n\f\r"\\\x7f€') == b'"\\u0000\\b\\t\\n\\f\\r\\"\\\\\x7f\xe2\x82\xac"'


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1.0, "RF-A004"),
        (None, "RF-A004"),
        ({1: "a"}, "RF-A004"),
        (b"bytes", "RF-A004"),
        ([float("nan")], "RF-A004"),
        (MAX_INTEGER + 1, "RF-A002"),
        (-MAX_INTEGER - 1, "RF-A002"),
        ("\ud800", "RF-A001"),
        ({"\udc00": 1}, "RF-A001"),
    ],
)
def test_values_without_a_canonical_form_are_refused(value: object, code: str) -> None:
    with pytest.raises(CanonicalError) as caught:
        dumps(value)
    assert caught.value.code == code


@pytest.mark.parametrize("value", [0, 5, 2**53 - 1])
def test_a_whole_number_of_a_range(value: int) -> None:
    assert is_whole(value, 0)
    assert is_whole(value, value, value)
    assert not is_whole(value, value + 1)
    assert not is_whole(value, 0, value - 1)


@pytest.mark.parametrize("value", [True, False, -1, 2**53, 1.0, "1", None, [1]])
def test_what_is_no_whole_number_from_nought(value: object) -> None:
    assert not is_whole(value, 0)


def test_integers_have_a_largest_size_both_ways() -> None:
    for value in (MAX_INTEGER, -MAX_INTEGER):
        assert loads(dumps(value)) == value
    for value in (MAX_INTEGER + 1, -MAX_INTEGER - 1):
        with pytest.raises(CanonicalError, match="RF-A002"):
            dumps(value)
        with pytest.raises(CanonicalError, match="RF-A002"):
            loads(str(value).encode())


def test_deep_nesting_is_refused_both_ways() -> None:
    value: object = "end"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert loads(dumps(value)) == value
    with pytest.raises(CanonicalError, match="RF-A003"):
        dumps([value])
    with pytest.raises(CanonicalError):
        loads(b"[" * 100_000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":1,"a":1}', "RF-A006"),
        (b"1.0", "RF-A005"),
        (b"1e3", "RF-A005"),
        (b"NaN", "RF-A005"),
        (b"-Infinity", "RF-A005"),
        (b"null", "RF-A004"),
        (b"-0", "RF-A008"),
        (b'{"b":1,"a":1}', "RF-A008"),
        (b'{"a": 1}', "RF-A008"),
        (b'"\\u0041"', "RF-A008"),
        (b'"\\ud800"', "RF-A001"),
        (b"9007199254740992", "RF-A002"),
        (b"9" * 5000, "RF-A007"),
        (b"", "RF-A007"),
        (b"{", "RF-A007"),
        (b"\xff", "RF-A007"),
        (b"\xef\xbb\xbf1", "RF-A007"),
        ('{"a":1}'.encode("utf-16"), "RF-A007"),
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(CanonicalError) as caught:
        loads(data)
    assert caught.value.code == code
