"""One form for text before identifiers are looked for, with every offset kept.

Invariant: `fold` never loses a place: each character of the folded text knows the stretch of the original it
came from, so that what is found in the folded text can be masked in the original. NFKC (Unicode Annex 15)
turns full-width and circled digits into ASCII; decimal digits of other scripts follow; dashes and spaces of
every kind become one; invisible format characters go. Cyrillic letters and Greek capitals that look like a
letter of ours become it: nobody who reads `А7120` on a screen sees in which alphabet its first letter is.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_ALIKE = dict(
    zip(
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u04ae\u04c0\u050c\u051a\u051c"
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04cf\u0501\u051b\u051d\u04bb"
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
        "ABEKMHOPCTYXSIJYIGQWaeopcyxsijldqwhABEZHIKMNOPTYXo",
        strict=True,
    )
)
"""Cyrillic letters, then Greek ones, as the Latin letters that they look like."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded text and where each of its characters came from.

    Attributes:
        text: the folded text.
        starts: start in the original of the stretch behind each character; `None` when nothing moved.
        ends: its end.
    """

    text: str
    starts: tuple[int, ...] | None = None
    ends: tuple[int, ...] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Stretch of the original behind `text[start:end]`, for `start < end`."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


@lru_cache(maxsize=1)
def _second_halves() -> frozenset[str]:
    """Starters that a canonical composition may draw into the character before them."""
    found = {chr(point) for point in chain(range(0x1161, 0x1176), range(0x11A8, 0x11C3))}
    for point in chain(range(0xC0, 0x3400), range(0xA000, 0x10000), range(0x10400, 0x1F000)):
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add(chr(int(parts[1], 16)))
    return frozenset(found)


@lru_cache(maxsize=4096)
def _joins(character: str) -> bool:
    """Whether a character may combine with the one before it under NFKC."""
    if character.isascii() or "\u4e00" <= character <= "\u9fff":
        return False
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.combining(first) != 0 or first in _second_halves()


def nfkc(text: str) -> tuple[str, list[int], list[int]]:
    """NFKC of a text with start and end in the original of the stretch behind each character.

    Returns:
        `(normalised, starts, ends)`; the first equals `unicodedata.normalize("NFKC", text)` and all three
        have one length.
    """
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    start, size = 0, len(text)
    while start < size:
        end = start + 1
        while end < size and _joins(text[end]):
            end += 1
        piece = unicodedata.normalize("NFKC", text[start:end])
        pieces.append(piece)
        starts.extend([start] * len(piece))
        ends.extend([end] * len(piece))
        start = end
    return "".join(pieces), starts, ends


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """What a normalised character counts as: itself, letter or digit of ASCII, a blank, a hyphen, nothing."""
    if character.isascii():
        return character
    if character in _ALIKE:
        return _ALIKE[character]
    if character in _DASHES:
        return "-"
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Zs":
        return " "
    return "" if category in ("Cf", "Mn") and not unicodedata.combining(character) else character


def fold(text: str) -> Folded:
    """Bring a text to the form that recognisers read. ASCII text comes back untouched."""
    if text.isascii():
        return Folded(text)
    marks = any(unicodedata.category(c) in ("Me", "Mn") for c in text)
    if not marks and unicodedata.is_normalized("NFKC", text) and all(_plain(c) == c for c in text):
        return Folded(text)
    normalised, starts, ends = nfkc(text)
    kept: list[tuple[str, int, int]] = []
    for place, character in enumerate(normalised):
        plain = _plain(character)
        mark = unicodedata.category(character) in ("Me", "Mn") and bool(kept) and kept[-1][0].isdigit()
        if plain and not mark:  # a mark on a digit, as of a keycap, leaves it the digit it is
            kept.append((plain, starts[place], ends[place]))
    return Folded("".join(k[0] for k in kept), tuple(k[1] for k in kept), tuple(k[2] for k in kept))
