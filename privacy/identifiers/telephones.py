"""Telephone numbers other than mainland mobiles: telling shapes anywhere, loose ones beside a word.

Three groups of digits with nothing but blanks between them are a list of figures as often as a number of
North America; they count beside a word only. Source: ITU-T E.164; North American area codes and exchanges
begin with 2 to 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ringfence.privacy.identifiers.spans import Span

_AREA_CN = r"0(?:10|2[0-57-9]|[3-9]\d\d)"
_GAP = r"(?: ?[-./_] ?| {1,2}|\t)"
_TELLING = re.compile(
    r"(?<![\d.])(?:"
    rf"(?:\+\d{{1,3}}{_GAP}?|00[1-9]\d{{0,2}}{_GAP})(?:\(0?\d{{0,4}}\){_GAP}?)?\d{{1,5}}(?:{_GAP}?\d{{2,5}}){{1,4}}"
    rf"|(?:\+?\d{{1,2}}[ .-]|001-)?\([2-9]\d\d\) {{0,2}}[2-9]\d\d{_GAP}\d{{4}}"
    r"|(?:\+?\d{1,2}[ .-]|001-)?[2-9]\d\d ?([-._/]) ?[2-9]\d\d ?\1 ?\d{4}"
    rf"|\({_AREA_CN}\) {{0,2}}-?[2-8]\d{{2,3}}{_GAP}?\d{{4}}"
    rf"|{_AREA_CN}{_GAP}[2-8]\d{{2,3}}{_GAP}?\d{{4}}"
    rf"|{_AREA_CN}{_GAP}\d{{7,8}}"
    r"|[48]00 ?- ?\d{3} ?- ?\d{4}|[48]00 ?- ?\d{4} ?- ?\d{3}"
    rf"|0[1-9](?:[. -]\d\d){{4}}|\(?0\d{{2,4}}\)?{_GAP}\d{{3,4}}{_GAP}\d{{3,4}}|0\d{{3}}(?: \d\d){{3}}"
    r")(?:\s?(?:x|ext\.?|转)\s?\d{1,5})?(?!\d)"
)
_BLANKS_ONLY = re.compile(
    r"(?<![\d.])(?:\+?1 )?(?:[2-9]\d\d {1,2}\d{3} {1,2}\d{4}|[48]00 \d{4} \d{3})(?!\d)(?!\.\d)"
)
_LOOSE = re.compile(
    r"(?:(?<![\dA-Za-z])|(?<=tel)|(?<=phone)|(?<=mobile)|(?<=fax))(?<!\d\.)\+?\(?\d{1,4}\)?"
    r"(?:(?: ?[._/-] ?| {1,2}|\t)?\(?\d{1,11}\)?){1,5}(?:x\d{1,5})?(?!\d)(?!\.\d)"
)
_WORD = re.compile(
    r"(?i)(?:(?<![a-z])(?:tel(?:ephone)?|(?:tele|cell)?phone|mobile|cell|fax|desk|whatsapp|call|reach|answering"
    r"|contact|messages?|sms|text)(?![a-z])|电话|手机|座机|传真|联系方式|致电|拨打|微信)[^\d\n]{0,20}\n?$"
)
_HINT = re.compile(
    r"(?i)tel|phone|mobile|cell|fax|desk|whatsapp|call|reach|answering|contact|message|sms|text|office|home|[电手座传联致拨微]"
)
_AFTER = re.compile(r"(?i)[ -]{0,2}(?:office|fax|mobile|home|cell)(?![a-z])")
_COLUMN = re.compile(
    r"(?i)(?:phone|mobile|telephone|(?<![a-z])tel|fax|cell|电话|手机|座机)"
    r"[ _-]?(?:no|num|number|号|号码|号碼)?$"
)
_DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}(?: \d{1,2})?|\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d\d)")


def names_telephone(context: str) -> bool:
    """Whether a column's name says that telephone numbers stand in it."""
    return bool(context and _COLUMN.search(context))


def beside_a_word(text: str, start: int, end: int) -> bool:
    """Whether a word beside a stretch says that it is a telephone number."""
    return bool(_WORD.search(text, max(0, start - 40), start) or _AFTER.match(text, end))


def scan_phones(text: str, context: str) -> Iterator[Span]:
    """Yield telephone numbers in folded text."""
    for match in _TELLING.finditer(text):
        if 8 <= sum(map(str.isdigit, match[0])) <= 20:
            yield Span("PHONE", match.start(), match.end(), 0.6)
    named = names_telephone(context)
    if not named and not _HINT.search(text):
        return
    for pattern in (_BLANKS_ONLY, _LOOSE):
        for match in pattern.finditer(text):
            if not 6 <= sum(map(str.isdigit, match[0])) <= 17 or _DATE.fullmatch(match[0]):
                continue
            if (named and match[0] == text.strip()) or beside_a_word(text, match.start(), match.end()):
                yield Span("PHONE", match.start(), match.end(), 0.6)
