r"""Structured identifiers of people in text: patterns, checksums and shapes, English and mainland China.

Pure functions over text that `ringfence.privacy.identifiers.normalise.fold` has already brought to one form:
no model, no network, no third party. What a number is, its digits and check digits say; `\b` does not
separate a digit from a Chinese character, and no comma, letter or character beside an identifier may hide it.
"""

from __future__ import annotations

import re

from ringfence.privacy.identifiers.digits import has_numerals, names_number, scan_digits
from ringfence.privacy.identifiers.documents import scan_documents, scan_plates
from ringfence.privacy.identifiers.names import scan_names
from ringfence.privacy.identifiers.network import scan_hardware, scan_network
from ringfence.privacy.identifiers.spans import Span, keep_best
from ringfence.privacy.identifiers.telephones import names_telephone, scan_phones

# What rests on the digits alone: a whole number of the size of an amount may have such a shape by accident.
SHAPES_ALONE = frozenset(("CN_MOBILE", "PHONE"))
KINDS = (
    "CN_RESIDENT_ID",
    "CREDIT_CARD",
    "CN_MOBILE",
    "PHONE",
    "EMAIL",
    "IBAN",
    "CN_USCC",
    "CN_PASSPORT",
    "PASSPORT",
    "CN_PLATE",
    "IP_ADDRESS",
    "MAC_ADDRESS",
    "URL",
    "US_SSN",
    "US_ITIN",
    "UK_NINO",
    "PERSON",
    "ADDRESS",
)

_HEX = re.compile(
    r"(?i)(?<![0-9a-z])(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])"
    r"(?:[0-9a-f]{128}|[0-9a-f]{96}|[0-9a-f]{64}|[0-9a-f]{56}|[0-9a-f]{48}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{24}))"
    r"(?![0-9a-z])"
)
_LONG_RUN = re.compile(r"\d{14,}")
_RUN_AT_END = re.compile(r"\d{14,}\Z")
_WHOLE = 64
"""Hexadecimal digits of a digest to which no usual digest and a number of a person add up."""
_PIECES = re.compile(r"\d{14,}|.", re.DOTALL)
# Of 46 signs around a run in a digest of 32 bytes, ten kinds and more are sure; a person's padding has few.
_FEWEST_BY_CHANCE = 10
_TRIVIAL = re.compile(
    r"[+-]?\d{0,5}|[+-]?\d{0,9}\.\d*(?:[eE]-\d{1,3})?|\d{4}-\d\d-\d\d(?:[ "
    r"T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?Z?"
)
_DECIMAL = re.compile(r"\s*[+-]?\d+\.\d*[1-9]\d*\s*")
_SIX_DIGITS = re.compile(r"\d(?:[^\dA-Za-z]{0,3}\d){5}")
_HANZI_OR_TITLE = re.compile(r"[\u4e00-\u9fff]|[A-Z]|(?i:name|address)")


def hide_digests(text: str) -> str:
    """Blank UUIDs and hexadecimal digests, which are full of accidental digits, keeping every offset.

    A run of 14 digits and more stays where what is around it is no chance (`abcd` before a card and behind
    it). Within what looks drawn by chance it goes too: of 30,000 digests of 32 bytes, 13 held such a run
    whose check digits were right. At either end of a shorter word a run stays: a digest of 16 or 20 bytes
    with a card behind it is as long as one of 24 or 28.
    """
    return _HEX.sub(_hidden, text)


def _hidden(word: re.Match[str]) -> str:
    """One digest with its signs blanked, its long runs of digits too where the rest looks drawn by chance."""
    around = set(_LONG_RUN.sub("", word[0]).lower())
    joined = len(word[0]) < _WHOLE and (_LONG_RUN.match(word[0]) or _RUN_AT_END.search(word[0]))
    if len(around - {"-"}) >= _FEWEST_BY_CHANCE and not joined:
        return "~" * len(word[0])
    return "".join(piece if len(piece) > 1 else "~" for piece in _PIECES.findall(word[0]))


def smallest_number(context: str) -> int:
    """The smallest whole number that can be an identifier in a column of this name; for skipping in bulk."""
    return 100_000 if names_telephone(context) or names_number(context) else 10**10


def scan(text: str, context: str = "") -> list[Span]:
    """Find every structured identifier in folded text; spans do not overlap.

    Args:
        text: folded text, see `ringfence.privacy.identifiers.normalise.fold`.
        context: what the text stands under, such as a column's name; evidence for loose shapes.
    """
    if _TRIVIAL.fullmatch(text):
        return []
    spans: list[Span] = []
    digits = _SIX_DIGITS.search(text)
    if "@" in text or ":" in text or "." in text or "at" in text:
        spans += scan_network(text)
    if ":" in text or "." in text or text.count("-") >= 5:
        spans += scan_hardware(text)
    if digits or "e" in text or "E" in text:
        visible = hide_digests(text) if len(text) >= 24 else text
        found = scan_digits(visible, context) if digits or len(text) >= 10 else ()
        decimal = _DECIMAL.fullmatch(text)
        spans += [span for span in found if not (decimal and span.kind in SHAPES_ALONE)]
        if digits and not decimal:
            spans += scan_phones(visible, context)
            spans += scan_documents(visible)
    if not digits and not text.isascii():
        if has_numerals(text):
            spans += scan_digits(text, context)
        spans += scan_plates(text)
    if _HANZI_OR_TITLE.search(text):
        spans += [Span(kind, start, end, score) for kind, start, end, score in scan_names(text, context)]
    return keep_best(spans) if len(spans) > 1 else spans
