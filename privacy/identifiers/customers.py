"""A holder's own list of customers as keyed digests, so that a name without any sign of one is still found.

Invariant: the list keeps HMAC-SHA256 digests under a key of the holder, never a name; it is built in memory from
the holder's table for one purpose and is not written anywhere. Matching is exact after normalisation (NFKC, case,
inner spaces, middle dots), over whole cells and over stretches of running text.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ringfence.privacy.identifiers.normalise import fold

_TOKEN = re.compile(r"[\u3400-\u9fff]+|[^\W_]+(?:['’-][^\W_]+)*")
_HANZI = re.compile(r"[\u3400-\u9fff]")
_GLUE = re.compile(r"[\s·•‧・.,，\-]+")
_DIGEST = 16
_LONGEST = 64
_MOST_WORDS = 12


def _canonical(text: str) -> str:
    """The one spelling under which two writings of a name are equal; `text` is folded."""
    parts = [part for part in _GLUE.split(text.casefold()) if part]
    return ("" if parts and all(_HANZI.match(part) for part in parts) else " ").join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerList:
    """Who the holder's customers are, as digests only. Make one with `CustomerList.of`.

    Attributes:
        key: the holder's key for this list, at least 16 bytes.
        people: digests of names.
        places: digests of addresses and other texts that tell a person.
        hanzi: lengths that entries of Chinese characters have.
        words: numbers of words that other entries have.
    """

    key: bytes = field(repr=False)
    people: frozenset[bytes] = field(repr=False)
    places: frozenset[bytes] = field(repr=False)
    hanzi: tuple[int, ...]
    words: tuple[int, ...]

    @classmethod
    def of(cls, key: bytes, *, names: Iterable[str], addresses: Iterable[str] = ()) -> CustomerList:
        """Build a list from plain names and addresses; they are digested at once and not kept.

        Raises:
            ValueError: the key is shorter than 16 bytes.
        """
        if len(key) < 16:
            raise ValueError("Expected a key of at least 16 bytes for the list of customers.")
        hanzi: set[int] = set()
        words: set[int] = set()
        digests: tuple[set[bytes], set[bytes]] = (set(), set())
        for into, texts in zip(digests, (names, addresses), strict=True):
            for text in texts:
                entry = _canonical(fold(text).text)
                if len(entry) < 2:
                    continue
                into.add(_digest(key, entry))
                tokens = list(_TOKEN.finditer(entry))
                if " " not in entry and _HANZI.match(entry) and len(entry) <= _LONGEST:
                    hanzi.add(len(entry))
                elif len(tokens) <= _MOST_WORDS:
                    words.add(len(tokens))
        return cls(
            key=key,
            people=frozenset(digests[0]),
            places=frozenset(digests[1]),
            hanzi=tuple(sorted(hanzi, reverse=True)),
            words=tuple(sorted(words, reverse=True)),
        )

    def find(self, text: str) -> Iterator[tuple[str, int, int, float]]:
        """Yield `(kind, start, end, score)` of entries in folded text, longest first at each place."""
        whole = self._kind(text)
        if whole:
            yield whole, 0, len(text), 1.0
            return
        tokens = list(_TOKEN.finditer(text))
        for match in tokens:
            if _HANZI.match(match[0]):
                yield from self._in_hanzi(text, match.start(), match.end())
        for count in self.words:
            for first in range(len(tokens) - count + 1):
                start, end = tokens[first].start(), tokens[first + count - 1].end()
                if count == 1 and not text[start].isupper():
                    continue  # "will" and "may" are words before they are names
                if kind := self._kind(text[start:end]):
                    yield kind, start, end, 0.9

    def _in_hanzi(self, text: str, start: int, end: int) -> Iterator[tuple[str, int, int, float]]:
        """Entries in one unbroken stretch of Chinese characters, digits of an address following it included."""
        for length in self.hanzi:
            for at in range(start, min(end, len(text) - length + 1)):
                if kind := self._kind(text[at : at + length]):
                    yield kind, at, at + length, 0.9

    def _kind(self, text: str) -> str | None:
        digest = _digest(self.key, _canonical(text))
        return "PERSON" if digest in self.people else "ADDRESS" if digest in self.places else None


def _digest(key: bytes, entry: str) -> bytes:
    return hmac.digest(key, entry.encode(), "sha256")[:_DIGEST]
