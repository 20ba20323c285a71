"""What may not stand in an event, word by word and bound by bound, so that none can go missing."""

from __future__ import annotations

import re

import pytest

from ringfence.audit import canonical, events, guard
from ringfence.audit.errors import EventError
from ringfence.audit.guard import check_numbers, check_private, check_public, check_token

IDENTIFYING = re.findall(
    r"\w+",
    """account accountnumber address birthdate cardnumber customer customerid customerids customerkey
    customername dateofbirth displayname dob email familyname firstname fullname givenname iban idcard
    identitycard idnumber lastname mobile name nationalid openid pan passport password patientid
    personname phone phonenumber plate pseudonym residentid secret ssn subjectid subjectkey surname
    taxid telephone userid username wechat""",
)
COUNTING = re.findall(r"\w+", "cohortsize count counts customers exactcount nrows records rowcount rows")
LEAST = {
    "attempt": 0,
    "entries": 0,
    "entry": 0,
    "round": -1,
    "rounds": 0,
    "size": 0,
    "version": 0,
    "word_bits": 0,
}


def spellings(word: str) -> list[str]:
    return [word, word.upper(), f"{word[:2]}_{word[2:]}", f"-{word}_", word.capitalize()]


def public_code(members: dict[str, object]) -> str:
    try:
        check_public(members)
    except EventError as error:
        return error.code
    return ""


def private_code(members: dict[str, object]) -> str:
    try:
        check_private(members)
    except EventError as error:
        return error.code
    return ""


@pytest.mark.parametrize("word", IDENTIFYING)
def test_a_persons_member_stands_nowhere_but_as_a_column_of_the_private_part(word: str) -> None:
    for key in spellings(word):
        assert public_code({key: "x"}) == "RF-A013"
        assert public_code({"inner": [{"deep": {key: "x"}}]}) == "RF-A013"
        assert private_code({key: "x"}) == "RF-A013"
    assert private_code({"missing": {word: 3}}) == ""
    assert public_code({f"{word}x": "x"}) in ("", "RF-A013")


@pytest.mark.parametrize("word", COUNTING)
def test_an_exact_count_stands_in_the_private_part_alone(word: str) -> None:
    for key in spellings(word):
        assert public_code({key: "x"}) == "RF-A013"
        assert public_code({"inner": {key: "x"}}) == "RF-A013"
        assert private_code({key: 3}) == ""


@pytest.mark.parametrize("name", LEAST)
def test_a_number_is_whole_and_of_its_range(name: str) -> None:
    for value in (LEAST[name], LEAST[name] + 1, 2**53 - 1):
        assert public_code({name: value}) == ""
        check_numbers({name: value})
    for value in (LEAST[name] - 1, 2**53, True, False, 1.0, "1", None, [1]):
        assert public_code({name: value}) in ("RF-A226", "RF-A012")
        with pytest.raises(EventError) as caught:
            check_numbers({name: value})
        assert (caught.value.code, caught.value.values["least"]) == ("RF-A226", LEAST[name])


@pytest.mark.parametrize("name", ["epsilon", "delta"])
def test_an_amount_is_a_decimal_as_text(name: str) -> None:
    for value in ("0", "1.25", "12", "1e-6", "1E+6", "1.5e10"):
        assert public_code({name: value}) == ""
    for value in ("", ".5", "1.", "-1", "+1", "1e", "1e-", "inf", "nan", "1,5", "0x1", 1, 0.5, True):
        assert public_code({name: value}) != ""


@pytest.mark.parametrize("name", ["contract", "consent_root"])
def test_a_digest_is_written_in_full(name: str) -> None:
    assert public_code({name: "sha256:" + "0f" * 32}) == ""
    for value in ("sha256:" + "0f" * 31, "sha256:" + "0F" * 32, "0f" * 32, "sha256:" + "0f" * 33, 1):
        assert public_code({name: value}) == "RF-A016"


def test_the_bounds_are_these() -> None:
    assert (guard.MAX_TOKEN, guard.MAX_PRIVATE_TEXT, guard.MAX_ITEMS) == (256, 4096, 256)
    assert (events.MAX_LEAF, events.SALT_SIZE, events.TYPE_PREFIX) == (65_536, 32, "ringfence.")
    assert (events.OUTCOMES, events.PROFILES) == (("allow", "deny", "error"), ("durable", "simulation"))
    assert (canonical.MAX_INTEGER, canonical.MAX_DEPTH) == (2**53 - 1, 16)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "RF-A010"),
        ("x" * 257, "RF-A010"),
        ("a b", "RF-A011"),
        ("a\x7f", "RF-A011"),
        ("a\u00a0b", "RF-A011"),
        ("12345678901", "RF-A012"),
        ("+8613800138000", "RF-A012"),
        ("11010519491231002X", "RF-A012"),
        ("11010519491231002x", "RF-A012"),
        ("a@b.cn", "RF-A012"),
        ("see:a@b.example", "RF-A012"),
    ],
)
def test_a_text_that_may_not_be_public(value: str, code: str) -> None:
    with pytest.raises(EventError) as caught:
        check_token(value, "note")
    assert (caught.value.code, caught.value.values["member"]) == (code, "note")
    assert public_code({"note": value}) == public_code({"notes": [{"a": [value]}]}) == code


@pytest.mark.parametrize(
    "value", ["x", "x" * 256, "1234567890", "1" * 20, "a@b", "a@b.c", "a/b@c/d.com", "银行"]
)
def test_a_text_that_may_be_public(value: str) -> None:
    assert check_token(value, "note") == value
    assert public_code({"note": value}) == ""


def test_lists_and_objects_have_a_largest_length_at_every_depth() -> None:
    many: dict[str, object] = {f"m{n}": "a" for n in range(256)}
    more: dict[str, object] = {f"m{n}": "a" for n in range(257)}
    assert (
        public_code(many)
        == private_code(many)
        == public_code({"a": [many]})
        == private_code({"a": [many]})
        == ""
    )
    assert public_code({"a": ["x"] * 256}) == private_code({"a": ["x"] * 256}) == ""
    for members in (more, {"a": [more]}, {"a": ["x"] * 257}, {"a": {"b": ("x",) * 257}}):
        assert public_code(members) == private_code(members) == "RF-A014"


def test_a_private_text_has_a_largest_length_and_may_be_free() -> None:
    assert private_code({"note": "a b\n" * 1024, "deep": {"a": ["x" * 4096]}}) == ""
    for members in ({"note": "x" * 4097}, {"deep": {"a": ["x" * 4097]}}):
        assert private_code(members) == "RF-A015"
