"""What an event may say in public: tokens, digests, decimals as text and integers, never a person.

Invariant (DESIGN, 6.3): public parts of events hold no customer id, name, free text, exact count or unsalted
hash. A program cannot see whether a hash is salted; the rest is refused here, before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ringfence.audit.canonical import is_whole
from ringfence.audit.errors import N_, EventError

MAX_TOKEN = 256
MAX_PRIVATE_TEXT = 4096
MAX_ITEMS = 256


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDENTIFYING = _words(
    """account accountnumber address birthdate cardnumber customer customerid customerids customerkey
    customername dateofbirth displayname dob email familyname firstname fullname givenname iban idcard
    identitycard idnumber
    lastname mobile name nationalid openid pan passport password patientid personname phone phonenumber plate
    pseudonym residentid secret ssn subjectid subjectkey surname taxid telephone userid username wechat"""
)
_COUNTING = _words("cohortsize count counts customers exactcount nrows records rowcount rows")
_EMAIL = re.compile(r"[^@/]+@[^@/]+\.[A-Za-z]{2,}")
_DIGITS = re.compile(r"\+?[0-9]{11,19}[Xx]?")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LEAST: Mapping[str, int] = {
    "attempt": 0,
    "entries": 0,
    "entry": 0,
    "round": -1,  # before the first: the count of the cohort
    "rounds": 0,
    "size": 0,
    "version": 0,
    "word_bits": 0,
}
"""Public members that are whole numbers, each with the smallest it can be."""


def check_token(value: str, member: str) -> str:
    """Return a text that may stand in public: printable, no space, at most 256 characters, no person.

    Args:
        value: the text.
        member: what it is called, for the message; the value itself is never quoted.

    Raises:
        EventError: when it is empty, too long, free text, or looks like an address or a personal number.
    """
    if not 0 < len(value) <= MAX_TOKEN:
        raise EventError(
            "RF-A010",
            N_("The public text {member} has {count} characters; 1 to {limit} are allowed."),
            member=member,
            count=len(value),
            limit=MAX_TOKEN,
        )
    if not value.isprintable() or " " in value:
        raise EventError(
            "RF-A011",
            N_(
                "The public text {member} holds spaces or control characters; free text belongs in the "
                "private part."
            ),
            member=member,
        )
    if _DIGITS.fullmatch(value) or ("@" in value and _EMAIL.search(value)):
        raise EventError(
            "RF-A012",
            N_(
                "The public text {member} looks like an address or number of a person; the log refuses those."
            ),
            member=member,
        )
    return value


def _check_keys(members: Mapping[str, object], forbidden: frozenset[str]) -> None:
    for key in members:
        if not isinstance(key, str) or key.replace("_", "").replace("-", "").casefold() in forbidden:
            raise EventError(
                "RF-A013",
                N_(
                    "An event may not hold a member named {key}; persons and exact counts stay out of the "
                    "log."
                ),
                key=key,
            )


def _walk(value: object, member: str, forbidden: frozenset[str], text: Callable[[str, str], object]) -> None:
    """Check one value and all within it; types are left to the canonical form, which refuses the rest."""
    match value:
        case str():
            text(value, member)
        case Mapping():
            _check_size(len(value), member)
            _check_keys(value, forbidden)
            for key, item in value.items():
                _walk(item, key, forbidden, text)
        case list() | tuple():
            _check_size(len(value), member)
            for item in value:
                _walk(item, member, forbidden, text)
        case _:
            pass


def _check_size(count: int, member: str) -> None:
    if count > MAX_ITEMS:
        raise EventError(
            "RF-A014",
            N_("The member {member} holds {count} items; at most {limit} are allowed in an event."),
            member=member,
            count=count,
            limit=MAX_ITEMS,
        )


def _check_private_text(value: str, member: str) -> None:
    if len(value) > MAX_PRIVATE_TEXT:
        raise EventError(
            "RF-A015",
            N_("The private text {member} has more than {limit} characters."),
            member=member,
            limit=MAX_PRIVATE_TEXT,
        )


def _check_form(members: Mapping[str, object], names: tuple[str, ...], form: re.Pattern[str]) -> None:
    for name in names:
        value = members.get(name)
        if value is not None and not (isinstance(value, str) and form.fullmatch(value)):
            raise EventError(
                "RF-A016",
                N_(
                    "The public member {name} is not in its form: a decimal as text (epsilon, delta) or "
                    "sha256: and 64 hexadecimal digits (contract, consent_root)."
                ),
                name=name,
            )


def check_numbers(members: Mapping[str, object]) -> None:
    """Raise `EventError` unless every number among the members is a whole one of its range."""
    for name, least in _LEAST.items():
        if name in members and not is_whole(members[name], least):
            raise EventError(
                "RF-A226",
                N_("The public member {name} is not a whole number from {least} on."),
                name=name,
                least=least,
            )


def check_public(members: Mapping[str, object]) -> None:
    """Raise `EventError` unless the members may be read by everybody."""
    _walk(members, "public", _IDENTIFYING | _COUNTING, check_token)
    _check_form(members, ("epsilon", "delta"), _DECIMAL)
    _check_form(members, ("contract", "consent_root"), _DIGEST)
    check_numbers(members)


def check_private(members: Mapping[str, object]) -> None:
    """Raise `EventError` unless the members may be kept beside the log: counts yes, persons no.

    Below the top level the keys may be names of columns (`{"missing": {"email": 3}}`).
    """
    _check_keys(members, _IDENTIFYING)
    _walk(members, "private", frozenset(), _check_private_text)
