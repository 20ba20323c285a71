"""Account numbers, credit codes, passports, number plates and social security numbers.

Where a check digit proves the number, what stands beside it does not matter and signs may stand between its
places. Sources: ISO 13616 (IBAN), GB 32100-2015, GA 36-2018 (number plates); check digits are in `checksums`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ringfence.privacy.identifiers.checksums import IBAN_LENGTHS, holds, iban, uscc
from ringfence.privacy.identifiers.spans import Span

_IBAN_START = re.compile(r"(?i)(?=[A-Z]{2}\d\d)(?:" + "|".join(sorted(IBAN_LENGTHS)) + r")\d\d")
_PLACE = re.compile(r"(?:[^\w\n]|_){0,3}([A-Za-z0-9])")
_USCC = re.compile(
    r"(?i)(?<!\d)(?=([0-9A-HJ-NPQRTUWXY][ ._/-]{0,3}[0-9A-HJ-NPQRTUWXY](?:[ ._/-]{0,3}\d){6}(?:[ "
    r"._/-]{0,3}[0-9A-HJ-NPQRTUWXY]){10})(?!\d))"
)
_EXPONENT = re.compile(r"(?i)\de[+-]\d")
_SIGNS = re.compile(r"[ ._/-]+")
_PASSPORT_CN = re.compile(r"(?<![0-9A-Za-z])(?:[EG]\d{8}|(?:E[A-HJ-NP-Z]|[DSP]E)\d{7})(?!\d)")
_PASSPORT = re.compile(
    r"(?i)(?:passport|护照|通行证)[^\w\n]{0,3}(?:number|no\.?|num|号码?|is|为|是|[ "
    r":#_-]){0,5}((?=[A-Za-z]{0,2}\d)[A-Z0-9]{7,20})"
)
_PLATE = re.compile(
    r"(?i)[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·•.\- ]?"
    r"(?=[A-HJ-NP-Z]{0,5}\d)[A-HJ-NP-Z0-9]{4,5}(?:[A-HJ-NP-Z0-9]|[挂学警港澳])(?!\d)"
)
_SSN = re.compile(
    r"(?<!\d)(?<!\d-)(?!000|666|9)\d{3}( ?[-._/] ?|[ \t]{1,2})(?!00)\d\d\1(?!0000)\d{4}(?!\d)(?!-\d)"
)
_SSN_BARE = re.compile(
    r"(?i)(?:ssn|social security)[^\d\n]{0,20}(\d{9}|\d{3}[ ._/-]{0,3}\d\d[ ._/-]{0,3}\d{4})(?!\d)"
)
_ITIN = re.compile(r"(?<!\d)(?<!\d-)9\d\d([- ])(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\1\d{4}(?!\d)(?!-\d)")
_NINO = re.compile(
    r"(?i)(?<![A-Z0-9])(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?"
    r"\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-D](?!\d)"
)
_LETTER = re.compile(r"[A-Za-z]")
_FORMS = (
    ("CN_PASSPORT", _PASSPORT_CN, 0.6),
    ("CN_PLATE", _PLATE, 0.8),
    ("US_SSN", _SSN, 0.7),
    ("US_ITIN", _ITIN, 0.6),
    ("UK_NINO", _NINO, 0.6),
)


def _has_words(code: re.Match[str]) -> bool:
    """Whether words, or what is cut off from them, stand among the places of a code with signs between.

    One check digit in 31 is right: `interval 0.757 - 0.825. 0.831 exact` has two codes that could be.
    """
    pieces = _SIGNS.split(code[1])
    if len(pieces) == 1:
        return False
    before, after = code.string[: code.start(1)][-1:], code.string[code.end(1) :][:1]
    return (
        any(len(piece) > 2 and piece.isalpha() and not piece.isupper() for piece in pieces)
        or (pieces[0].isalpha() and before.isalpha())
        or (pieces[-1].isalpha() and after.isalpha())
    )


def scan_plates(text: str) -> Iterator[Span]:
    """Yield number plates of mainland China."""
    for match in _PLATE.finditer(text):
        yield Span("CN_PLATE", match.start(), match.end(), 0.8)


def scan_documents(text: str) -> Iterator[Span]:
    """Yield IBANs, credit codes, passports, plates, social security and national insurance numbers."""
    if _LETTER.search(text):
        yield from _ibans(text)
    for match in _USCC.finditer(text):
        compact = _SIGNS.sub("", match[1])
        plain = len(compact) == len(match[1])
        if compact.isdigit():
            if plain and compact[0] in "159" and holds(uscc, compact):
                yield Span("CN_USCC", match.start(1), match.end(1), 0.8)
        elif holds(uscc, compact) and not (_EXPONENT.search(match[1]) or _has_words(match)):
            yield Span("CN_USCC", match.start(1), match.end(1), 1.0)
    for kind, pattern, score in _FORMS:
        for match in pattern.finditer(text):
            yield Span(kind, match.start(), match.end(), score)
    for kind, pattern in (("PASSPORT", _PASSPORT), ("US_SSN", _SSN_BARE)):
        for match in pattern.finditer(text):
            yield Span(kind, match.start(1), match.end(1), 0.7)


def _ibans(text: str) -> Iterator[Span]:
    """Account numbers whose country, length and check digits hold, whatever follows them."""
    for match in _IBAN_START.finditer(text):
        body, at = match[0], match.end()
        while len(body) < IBAN_LENGTHS[match[0][:2].upper()] and (place := _PLACE.match(text, at)):
            body, at = body + place[1], place.end()
        if holds(iban, body):
            yield Span("IBAN", match.start(), at, 1.0)
