r"""Structured identifiers of people in text: patterns, checksums and shapes, English and mainland China.

Pure functions over text that `ringfence.privacy.identifiers.normalise.fold` has already brought to one form: no model, no
network, no third party. Boundaries are written as look-arounds over ASCII because `\b` does not separate a
digit from a Chinese character.

Sources: ITU-T E.164 (telephone numbers), RFC 5321 and 3986 (mail addresses, URLs), GA 36-2018 (number plates); check
digits are in `ringfence.privacy.identifiers.checksums`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ringfence.privacy.identifiers.checksums import (
    IBAN_LENGTHS,
    card,
    holds,
    iban,
    luhn,
    resident_id,
    resident_shape,
    uscc,
)
from ringfence.privacy.identifiers.names import scan_names

DIGIT_KINDS = ("CN_RESIDENT_ID", "CREDIT_CARD", "CN_MOBILE", "PHONE")
KINDS = (
    *DIGIT_KINDS,
    "EMAIL", "IBAN", "CN_USCC", "CN_PASSPORT", "PASSPORT", "CN_PLATE",
    "IP_ADDRESS", "URL", "US_SSN", "PERSON", "ADDRESS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """One identifier in folded text, `[start, end)`, with a score in (0, 1]."""

    kind: str
    start: int
    end: int
    score: float


# --- digit runs ---------------------------------------------------------------------------------------------------

_RUN = re.compile(r"(?<!\d)(?<!\d[.,])(?:\d[ -]?){9,}[\dXx](?![0-9])(?!\.\d*[1-9])")
_GROUP = re.compile(r"[\dXx]+")
_MOBILE = re.compile(r"(?:0{0,2}86)?(1[3-9]\d{9})")
_ID_WORD = re.compile(r"(?i)身份证|证件|公民身份|identity|id (?:card|number|no)|national id|resident id")
_CARD_WORD = re.compile(r"(?i)card|visa|maestro|\bcc\b|credit|debit|卡|信用|银联")
_CN_DIGITS = str.maketrans("〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖", "0001234567891123456789")
_CN_RUN = re.compile(r"[〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖]{11,19}")


def _number_kind(digits: str, context: str) -> tuple[str, float] | None:
    """Name what a bare run of digits is, if it is anything, with the words before it as evidence."""
    size = len(digits)
    if size == 18 and holds(resident_id, digits):
        return "CN_RESIDENT_ID", 1.0
    if size in (15, 18) and _ID_WORD.search(context) and holds(resident_shape, digits):
        return "CN_RESIDENT_ID", 0.7
    if 12 <= size <= 19 and digits.isdigit():
        if size >= 14 and holds(card, digits):
            return "CREDIT_CARD", 1.0
        if _CARD_WORD.search(context) and digits[0] != "0" and holds(luhn, digits):
            return "CREDIT_CARD", 0.8
    mobile = _MOBILE.fullmatch(digits)
    if mobile and len(set(mobile[1][2:])) > 1:
        return "CN_MOBILE", 0.8
    return None


def _windows(groups: list[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """Stretches of digit groups that a person may have meant as one number, longest first."""
    count = len(groups)
    if all(len(g[0]) == 1 for g in groups):
        yield 0, count
        return
    for width in range(min(count, 7), 0, -1):
        for first in range(count - width + 1):
            inner = groups[first : first + width]
            if all(len(g[0]) >= 3 for g in inner[1:-1]) and (width == 1 or len(inner[0][0]) >= 2):
                yield first, first + width


def scan_digits(text: str, context: str) -> Iterator[Span]:
    """Yield resident identity numbers, cards and mainland mobiles, with or without spaces and hyphens."""
    for run in _RUN.finditer(text):
        groups = list(_GROUP.finditer(text, run.start(), run.end()))
        taken: set[int] = set()
        words = context + text[max(0, run.start() - 40) : run.start()]
        for first, last in _windows(groups):
            if taken.intersection(range(first, last)):
                continue
            found = _number_kind("".join(g[0] for g in groups[first:last]), words)
            if found:
                taken.update(range(first, last))
                yield Span(found[0], groups[first].start(), groups[last - 1].end(), found[1])
    for run in _CN_RUN.finditer(text):
        found = _number_kind(
            run[0].translate(_CN_DIGITS), context + text[max(0, run.start() - 40) : run.start()]
        )
        if found:
            yield Span(found[0], run.start(), run.end(), found[1])


# --- telephone numbers --------------------------------------------------------------------------------------------

_PHONE = re.compile(
    r"(?<![\dA-Za-z.])(?:"
    r"\+\d{1,3}[ .-]?(?:\(0?\d{0,4}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}"
    r"|(?:\+?\d{1,2}[ .-]|001-)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])\d{3}[-. ]\d{4}"
    r"|\(?0(?:10|2\d|[3-9]\d\d)\)?[ -]\d{7,8}|[48]00[- ]\d{3}[- ]\d{4}"
    r"|0[1-9](?:[. -]\d\d){4}|0\d{3,4} \d{3} \d{3,4}|0\d{3}(?: \d\d){3}"
    r")(?:\s?(?:x|ext\.?|转)\s?\d{1,5})?(?![\dA-Za-z])(?![.,]\d)"
)
_PHONE_LOOSE = re.compile(
    r"(?<![\dA-Za-z])(?<!\d[.,])\+?\(?\d{1,4}\)?(?:[ .-]?\(?\d{1,11}\)?){1,5}(?:x\d{1,5})?(?![\dA-Za-z])(?![.,]\d)"
)
_PHONE_WORD = re.compile(
    r"(?i)(?:(?<![a-z])(?:tel(?:ephone)?|(?:tele|cell)?phone|mobile|cell|fax|desk|whatsapp|call|reach|answering"
    r"|contact|messages?|sms|text)(?![a-z])|电话|手机|座机|传真|联系方式|致电|拨打|微信)[^\d\n]{0,20}\n?$"
)
_PHONE_HINT = re.compile(
    r"(?i)tel|phone|mobile|cell|fax|desk|whatsapp|call|reach|answering|contact|message|sms|text|office|home|[电手座传联致拨微]"
)
_PHONE_AFTER = re.compile(r"(?i)[ -]{0,2}(?:office|fax|mobile|home|cell)(?![a-z])")
_PHONE_COLUMN = re.compile(
    r"(?i)(?:phone|mobile|telephone|(?<![a-z])tel|fax|cell|电话|手机|座机)[ _-]?(?:no|num|number|号|号码|号碼)?$"
)
_DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}(?: \d{1,2})?|\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d\d)")


def scan_phones(text: str, context: str) -> Iterator[Span]:
    """Yield telephone numbers: telling shapes anywhere, loose ones beside a word or under a column that says so."""
    for match in _PHONE.finditer(text):
        if 8 <= sum(map(str.isdigit, match[0])) <= 20:
            yield Span("PHONE", match.start(), match.end(), 0.6)
    named = bool(context and _PHONE_COLUMN.search(context))
    if not named and not _PHONE_HINT.search(text):
        return
    for match in _PHONE_LOOSE.finditer(text):
        if not 6 <= sum(map(str.isdigit, match[0])) <= 17 or _DATE.fullmatch(match[0]):
            continue
        whole = named and match[0] == text.strip()
        if (
            whole
            or _PHONE_WORD.search(text, max(0, match.start() - 40), match.start())
            or _PHONE_AFTER.match(text, match.end())
        ):
            yield Span("PHONE", match.start(), match.end(), 0.6)


# --- addresses of machines, mail, accounts, documents ---------------------------------------------------------------

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(
    r"(?:(?<![A-Za-z0-9._%+'-])[A-Za-z0-9_][A-Za-z0-9._%+'-]{0,63}|[\u4e00-\u9fff]{2,8})"
    rf"(?: ?@ ?|\s?[\[(]at[\])]\s?)(?:(?:{_LABEL}|[\u4e00-\u9fff]{{1,10}})\.)+(?:[A-Za-z]{{2,24}}|中国|公司|网络)"
    r"(?![A-Za-z0-9])"
)
_URL = re.compile(
    r"(?i)(?:https?|ftp|wxp|alipays?)://[^\s<>\"'\u3000-\u9fff]+|(?<![A-Za-z0-9.])www\.[a-z0-9-]+\.[^\s<>\"'\u3000-\u9fff]+"
)
_IPV4 = re.compile(r"(?<![0-9A-Za-z.])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z])(?!\.\d)")
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![0-9A-Za-z:])")
_VERSION_WORD = re.compile(r"(?i)(?:version|release|v)\s*$")
_LETTER = re.compile(r"[A-Za-z]")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]){11,30}")
_USCC = re.compile(r"(?<![0-9A-Za-z])[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Za-z])")
_PASSPORT_CN = re.compile(
    r"(?<![0-9A-Za-z])(?:[EG]\d{8}|(?:E[A-HJ-NP-Z]|[DSP]E)\d{7})(?![0-9A-Za-z])(?!\.\d)"
)
_PASSPORT = re.compile(
    r"(?i)(?:passport|护照|通行证)[^\w\n]{0,3}(?:number|no\.?|num|号码?|is|为|是|[ :#_-]){0,5}((?=[A-Za-z]{0,2}\d)[A-Z0-9]{7,10})(?![0-9A-Za-z])"
)
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·•.\- ]?"
    r"(?=[A-HJ-NP-Z]{0,5}\d)[A-HJ-NP-Z0-9]{4,5}(?:[A-HJ-NP-Z0-9]|[挂学警港澳])(?![A-Za-z0-9])"
)
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)(\d{3})([- ])(?!00)\d\d\2(?!0000)\d{4}(?![\d-])")
_SSN_BARE = re.compile(r"(?i)(?:ssn|social security)[^\d\n]{0,20}(\d{9}|\d{3}[ .-]?\d\d[ .-]?\d{4})(?!\d)")


def scan_network(text: str) -> Iterator[Span]:
    """Yield mail addresses, URLs and IP addresses other than loopback and unspecified ones."""
    if "@" in text or "at" in text:
        for match in _EMAIL.finditer(text):
            yield Span("EMAIL", match.start(), match.end(), 1.0)
    for match in _URL.finditer(text) if ":" in text or "." in text else ():
        yield Span("URL", match.start(), match.start() + len(match[0].rstrip(".,;:!?)]}。，")), 0.6)
    for mark, times, pattern in ((".", 3, _IPV4), (":", 2, _IPV6)):
        if text.count(mark) < times:
            continue
        for match in pattern.finditer(text):
            if match[0].count(mark) < times:
                continue
            try:
                address = ipaddress.ip_address(match[0])
            except ValueError:
                continue
            version = _VERSION_WORD.search(text, max(0, match.start() - 12), match.start())
            if not (address.is_loopback or address.is_unspecified or version):
                yield Span("IP_ADDRESS", match.start(), match.end(), 0.8)


def scan_documents(text: str) -> Iterator[Span]:
    """Yield IBANs, social credit codes, passports, number plates and US social security numbers."""
    letters = bool(_LETTER.search(text))
    for match in _IBAN.finditer(text) if letters else ():
        length = IBAN_LENGTHS.get(match[0][:2].upper(), 0)
        places = [m.start() for m in re.finditer(r"[A-Za-z0-9]", match[0])][:length]
        if length and len(places) == length:
            end = match.start() + places[-1] + 1
            compact = "".join(match[0][p] for p in places)
            if (end == len(text) or not text[end].isalnum()) and holds(iban, compact):
                yield Span("IBAN", match.start(), end, 1.0)
    for match in _USCC.finditer(text):
        if not match[0].isdigit() and holds(uscc, match[0]):
            yield Span("CN_USCC", match.start(), match.end(), 1.0)
        elif match[0].isdigit() and match[0][0] in "159" and holds(uscc, match[0]):
            yield Span("CN_USCC", match.start(), match.end(), 0.8)
    for kind, pattern, score in (
        ("CN_PASSPORT", _PASSPORT_CN, 0.6),
        ("CN_PLATE", _PLATE, 0.8),
        ("US_SSN", _SSN, 0.7),
    ):
        for match in pattern.finditer(text):
            yield Span(kind, match.start(), match.end(), score)
    for kind, pattern in (("PASSPORT", _PASSPORT), ("US_SSN", _SSN_BARE)):
        for match in pattern.finditer(text):
            yield Span(kind, match.start(1), match.end(1), 0.7)


# --- all of it ------------------------------------------------------------------------------------------------------

_HEX = re.compile(
    r"(?i)(?<![0-9a-z])(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{24,})(?![0-9a-z])"
)
_TRIVIAL = re.compile(
    r"[+-]?\d{0,5}|[+-]?\d{0,9}\.\d*(?:[eE][+-]?\d{1,3})?|\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?Z?"
)
_SEVEN_DIGITS = re.compile(r"\d(?:[^\dA-Za-z]{0,3}\d){5}")
_HANZI_OR_TITLE = re.compile(r"[\u4e00-\u9fff]|[A-Z]|(?i:name|address)")


def hide_digests(text: str) -> str:
    """Blank UUIDs and hexadecimal digests, which are full of accidental digits, keeping every offset."""
    return _HEX.sub(lambda m: "_" * len(m[0]), text)


def keep_best(spans: list[Span]) -> list[Span]:
    """Resolve overlaps in favour of the higher score, then the longer span; sorted by start."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.score, s.start - s.end, s.start)):
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def smallest_number(context: str) -> int:
    """The smallest whole number that can be an identifier in a column of this name; for skipping in bulk."""
    return (
        100_000
        if _PHONE_COLUMN.search(context) or _CARD_WORD.search(context) or _ID_WORD.search(context)
        else 10**10
    )


def scan(text: str, context: str = "") -> list[Span]:
    """Find every structured identifier in folded text; spans do not overlap.

    Args:
        text: folded text, see `ringfence.privacy.identifiers.normalise.fold`.
        context: what the text stands under, such as a column's name; evidence for loose shapes.
    """
    if _TRIVIAL.fullmatch(text):
        return []
    spans: list[Span] = []
    digits = _SEVEN_DIGITS.search(text)
    if "@" in text or ":" in text or "." in text or "at" in text:
        spans += scan_network(text)
    if digits:
        visible = hide_digests(text) if len(text) >= 24 else text
        spans += scan_digits(visible, context)
        spans += scan_phones(visible, context)
        spans += scan_documents(visible)
    elif not text.isascii():
        if _CN_RUN.search(text):
            spans += scan_digits(text, context)
        if _PLATE.search(text):
            spans += scan_documents(text)
    if _HANZI_OR_TITLE.search(text):
        spans += [Span(kind, start, end, score) for kind, start, end, score in scan_names(text, context)]
    return keep_best(spans) if len(spans) > 1 else spans
