"""Check digits of cards, accounts, identity numbers and credit codes; a check gives the canonical form.

Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 with ISO 7064 MOD 97-10 (IBAN), GB 11643-1999 with ISO 7064 MOD 11-2
(resident identity number), GB 32100-2015 with MOD 31-3 (unified social credit code).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable


class IdentifierFault(ValueError):
    """A text is not an identifier of the kind asked for."""


def luhn(digits: str) -> str:
    """Check the Luhn digit (ISO/IEC 7812-1 annex B) of a string of digits."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    if total % 10:
        raise IdentifierFault("the Luhn digit is wrong")
    return digits


_CARD = re.compile(
    r"(?:4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-59]\d|[689]\d\d)\d{10,15}|35(?:2[89]|[3-8]\d)\d{12,15}|(?:2131|1800)\d{11}"
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|81[0-7]\d|220[0-4])\d{12,15}"
    r"|(?:5018|5020|5038|5[678]\d\d|5893|6304|6759|676[1-3]|6390|0604)\d{8,15}|9558\d{15})"
)


def card(digits: str) -> str:
    """Check a payment card: a known issuer's prefix and length, and the Luhn digit; UnionPay is 62 and 81."""
    if not _CARD.fullmatch(digits):
        raise IdentifierFault("no issuer uses this prefix with this length")
    return luhn(digits)


_PROVINCE = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91")
_ID_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))


def resident_shape(number: str) -> str:
    """Check province, date of birth and form of a resident identity number of 18 or (old) 15 places."""
    body = number.upper()
    if not re.fullmatch(r"[1-9]\d{16}[\dX]|[1-9]\d{14}", body) or not _PROVINCE.match(body):
        raise IdentifierFault("not the form of a resident identity number")
    born = body[6:14] if len(body) == 18 else "19" + body[6:12]
    try:
        date = dt.date(int(born[:4]), int(born[4:6]), int(born[6:]))
    except ValueError as fault:
        raise IdentifierFault("the date of birth does not exist") from fault
    if not 1850 <= date.year <= 2099:
        raise IdentifierFault("the date of birth is out of range")
    return body


def resident_id(number: str) -> str:
    """Check a resident identity number of 18 places: form, date, ISO 7064 MOD 11-2 (GB 11643)."""
    body = resident_shape(number)
    if len(body) != 18:
        raise IdentifierFault("18 places are expected")
    total = sum(int(digit) * weight for digit, weight in zip(body[:17], _ID_WEIGHTS, strict=True))
    if "10X98765432"[total % 11] != body[17]:
        raise IdentifierFault("the check character is wrong")
    return body


_USCC_LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def uscc(code: str) -> str:
    """Check a unified social credit code: 18 places, ISO 7064 MOD 31-3 check character (GB 32100-2015)."""
    body = code.upper()
    if len(body) != 18 or not body[2:8].isdigit() or any(c not in _USCC_LETTERS for c in body):
        raise IdentifierFault("not the form of a unified social credit code")
    total = sum(_USCC_LETTERS.index(c) * pow(3, place, 31) for place, c in enumerate(body[:17]))
    if _USCC_LETTERS[-total % 31] != body[17]:
        raise IdentifierFault("the check character is wrong")
    return body


IBAN_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 "
        "QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20",
    )
}


def iban(code: str) -> str:
    """Check an IBAN: the country's length and MOD 97-10 (ISO 13616)."""
    body = code.upper()
    if IBAN_LENGTHS.get(body[:2]) != len(body) or not body.isalnum() or not body.isascii():
        raise IdentifierFault("not the length of an IBAN of its country")
    if int("".join(str(int(c, 36)) for c in body[4:] + body[:4])) % 97 != 1:
        raise IdentifierFault("the check digits are wrong")
    return body


def holds(check: Callable[[str], str], text: str) -> bool:
    """Whether `check(text)` accepts; for pattern code that tries many candidates."""
    try:
        check(text)
    except IdentifierFault:
        return False
    return True
