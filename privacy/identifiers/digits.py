r"""Resident identity numbers, cards and mainland mobiles, from runs of digits however grouped.

A number is looked for in *chains*: groups of digits with one to three signs between them, whatever the signs
are. What stands beside a chain (a comma, a letter, a Chinese character) does not matter; what joins its
groups does:

    blanks, hyphens, low lines   groups anywhere in the chain, in the groupings that people write numbers in;
                                 but three of many figures with blanks between them are no mobile without a
                                 word
    one other sign throughout    the whole stretch that it joins, in these groupings
    commas, semicolons           the same, and beside a word that says what it is: else it is a list

Check digits of a resident identity number leave so little doubt that any grouping of a whole stretch will do.
Digits behind one decimal point are a fraction and not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from ringfence.privacy.identifiers.checksums import card, holds, luhn, resident_id, resident_shape
from ringfence.privacy.identifiers.spans import Span

_CHAIN = re.compile(r"\d+(?:(?:[^\w\n]|_){1,3}\d+)*")
_GROUP = re.compile(r"\d+")
_MOBILE = re.compile(r"(0{0,2}86|0)?(1[3-9]\d{9})")
_ID_WORD = re.compile(r"(?i)身份证|证件|公民身份|identity|id (?:card|number|no)|national id|resident id")
_CARD_WORD = re.compile(r"(?i)card|visa|maestro|\bcc\b|credit|debit|卡|信用|银联")
_MOBILE_WORD = re.compile(r"(?i)phone|mobile|cell|(?<![a-z])tel|电话|手机|联系方式|致电|拨打|微信")
_CN_DIGITS = str.maketrans("〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖", "0001234567891123456789")
_CN_RUN = re.compile(r"[〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖]{3}")
_SCIENCE = re.compile(r"(?<!\d)[+-]?(\d{1,20})(?:[.,](\d{1,20}))?[eE]([+-]?\d{1,2})(?!\d)")
_STRONG = frozenset(" -_")
_LISTS = frozenset(",;、")
_MOBILE_SIZES = frozenset(((3, 4, 4), (3, 8), (7, 4)))
_CARD_SIZES = frozenset(
    (
        (4, 4, 4, 4),
        (4, 4, 4, 4, 3),
        (4, 4, 4, 4, 2),
        (4, 6, 5),
        (4, 6, 4),
        (6, 13),
        (6, 10),
        (8, 8),
        (8, 4, 4),
    )
)
_MOST_GROUPS = 7
_NO_FRACTION = re.compile(r"\.0+(?!\d)")
_FEWEST_TOLD = 8


class _Window(NamedTuple):
    """A stretch of groups that may be one number; `way` says how much its grouping proves."""

    first: int
    last: int
    way: str


def names_number(context: str) -> bool:
    """Whether words speak of cards or identity numbers, so that shorter numbers count."""
    return bool(_CARD_WORD.search(context) or _ID_WORD.search(context))


def number_kind(digits: str, context: str) -> tuple[str, float] | None:
    """Name what a bare run of digits is, if it is anything, with the words before it as evidence.

    Args:
        digits: 11 to 19 digits, or 17 and an X.
        context: words before it, and what it stands under.
    """
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
    if mobile and len(set(mobile[2][2:])) > 1 and (mobile[1] != "0" or _MOBILE_WORD.search(context)):
        return "CN_MOBILE", 0.8
    return None


def _core(link: str) -> str:
    """The sign that joins two groups, blanks and brackets around it left out."""
    signs = "".join(sign for sign in link if not sign.isspace() and sign not in "()[]{}")
    return " " if not signs else signs[0] if len(set(signs)) == 1 else signs


def _stretches(cores: list[str]) -> Iterator[tuple[int, int, str]]:
    """Maximal stretches `[first, last)` of groups that are joined in one way, two groups at least."""
    start = 0
    for place in range(1, len(cores) + 1):
        here = cores[start] if cores[start] not in _STRONG else " "
        following = "" if place == len(cores) else cores[place] if cores[place] not in _STRONG else " "
        if following != here:
            yield start, place + 1, here
            start = place


def _windows(groups: list[re.Match[str]], cores: list[str]) -> Iterator[_Window]:
    """Stretches of digit groups that a person may have meant as one number, longest first."""
    for first, last, sign in _stretches(cores) if cores else ():
        sizes = [len(g[0]) for g in groups[first:last]]
        if sum(sizes) < 11:
            continue
        if sum(sizes) <= 19:
            yield _Window(first, last, "any")  # for check digits that leave no doubt
        if sign != " ":
            if min(sizes) >= 2 and 11 <= sum(sizes) <= 21:
                yield _Window(first, last, "list" if sign in _LISTS else "grouped")
            continue
        if max(sizes) == 1:
            yield _Window(first, last, "free")
            continue
        for width in range(min(last - first, _MOST_GROUPS), 1, -1):
            for at in range(first, last - width + 1):
                inner = [len(g[0]) for g in groups[at : at + width]]
                if inner[0] >= 2 and all(size >= 3 for size in inner[1:-1]):
                    blank = all(core == " " for core in cores[at : at + width - 1])
                    more = last - first - width
                    yield _Window(
                        at, at + width, "figures" if blank and more > 1 else "part" if more else "whole"
                    )
    for place in range(len(groups)):
        if len(groups[place][0]) >= 11:
            yield _Window(place, place + 1, "run")


def _fraction(text: str, start: int, end: int) -> bool:
    """Whether digits are all that stands behind a single decimal point."""
    whole = re.search(r"(?<![\d.])\d+\.$", text[max(0, start - 24) : start])
    return bool(whole) and not re.match(r"\.\d", text[end:])


def _judged(way: str, sizes: tuple[int, ...], kind: str, words: str) -> bool:
    """Whether a grouping is one that numbers of this kind are written in."""
    if kind == "CN_RESIDENT_ID" or way in ("run", "free"):
        return True
    if way == "any":
        return False
    told = bool((_CARD_WORD if kind == "CREDIT_CARD" else _MOBILE_WORD).search(words))
    if kind == "CN_MOBILE":
        usual = sizes in _MOBILE_SIZES or (sizes[0] in (2, 4) and sizes[1:] in (*_MOBILE_SIZES, (11,)))
        return (usual and way not in ("list", "figures")) or (told and min(sizes) >= 2)
    usual = sizes in _CARD_SIZES or (way == "whole" and min(sizes) >= 3 and len(sizes) <= 4)
    return (usual and way != "list") or (told and min(sizes) >= 3)


def _in_chains(text: str, context: str) -> Iterator[Span]:
    for chain in _CHAIN.finditer(text):
        if chain.end() - chain.start() < 11:
            continue
        groups = list(_GROUP.finditer(text, chain.start(), chain.end()))
        cores = [_core(text[a.end() : b.start()]) for a, b in pairwise(groups)]
        taken: set[int] = set()
        for first, last, way in _windows(groups, cores):
            if taken.intersection(range(first, last)):
                continue
            start, end = groups[first].start(), groups[last - 1].end()
            digits = "".join(g[0] for g in groups[first:last])
            if len(digits) == 17 and text[end : end + 1] in ("x", "X"):
                digits, end = digits + "X", end + 1
            words = context + " " + text[max(0, start - 40) : start]
            found = number_kind(digits, words) if 11 <= len(digits) <= 19 else None
            if found is None or (way == "run" and _fraction(text, start, end)):
                continue
            if _judged(way, tuple(len(g[0]) for g in groups[first:last]), found[0], words):
                taken.update(range(first, last))
                tail = _NO_FRACTION.match(text, end) if way == "run" else None
                yield Span(found[0], start, tail.end() if tail else end, found[1])


def scientific(text: str) -> Iterator[tuple[str, int, int]]:
    """Whole numbers written with an exponent: `(digits, start, end)`."""
    for match in _SCIENCE.finditer(text):
        fraction = match[2] or ""
        digits, shift = (match[1] + fraction).lstrip("0"), int(match[3]) - len(fraction)
        if len(digits.rstrip("0")) < _FEWEST_TOLD or not -20 <= shift <= 20:
            continue
        cut = digits if shift >= 0 else digits[:shift]
        if shift < 0 and digits[shift:].strip("0"):
            continue
        yield cut + "0" * max(0, shift), match.start(), match.end()


def scan_digits(text: str, context: str) -> Iterator[Span]:
    """Yield resident identity numbers, cards and mainland mobiles, however their digits are grouped.

    Chinese numerals count as digits; so does a number written with an exponent.
    """
    yield from _in_chains(text, context)
    if not text.isascii() and _CN_RUN.search(text):
        yield from _in_chains(text.translate(_CN_DIGITS), context)
    if "e" in text or "E" in text:
        for digits, start, end in scientific(text):
            found = number_kind(digits, context + " " + text[max(0, start - 40) : start])
            if found:
                yield Span(found[0], start, end, found[1])


def has_numerals(text: str) -> bool:
    """Whether a text may spell a number in Chinese numerals."""
    return bool(_CN_RUN.search(text))
