"""A holder's own list of customers as keyed digests, which finds names and keys without any sign of one.

Invariant: the list keeps HMAC-SHA256 digests under a key of the holder, never a name or a customer key; it is
built in memory from the holder's table for one purpose and is not written anywhere. Matching is exact after
normalisation (NFKC, case, inner spaces, middle dots; in customer keys also the signs between their parts and
leading zeros), over whole cells and over stretches of running text.

A key that is shorter than five places, or a number of fewer than six digits, would be found in every figure:
such keys count only where a column's or field's name says that keys stand there.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from ringfence.privacy.identifiers.normalise import fold

_TOKEN = re.compile(r"[\u3400-\u9fff]+|[^\W_]+(?:['’-][^\W_]+)*")
_HANZI = re.compile(r"[\u3400-\u9fff]")
_GLUE = re.compile(r"[\s·•‧・.,，\-]+")
_DIGEST = 16
_LONGEST = 64
_MOST_WORDS = 12
_PIECE = re.compile(r"[^\W_\u3400-\u9fff]+")
_MOST_PIECES = 6
_HEX = re.compile(r"[0-9a-f]+")
_GLUED = re.compile(r"[^\W\d_]*(\d+)[^\W\d_]*")
_KEY_COLUMN = re.compile(
    r"(?i)(?:^|[\W_])(?:id|ids|key|keys|ref|reference|no|number|nr|code|customer|client|account|uid|cid)$"
    r"|编号|客户号|账号|帐号|户号|卡号|标识|主键"
)


def _canonical(text: str) -> str:
    """The one spelling under which two writings of a name are equal; `text` is folded."""
    parts = [part for part in _GLUE.split(text.casefold()) if part]
    return ("" if parts and all(_HANZI.match(part) for part in parts) else " ").join(parts)


def names_keys(context: str) -> bool:
    """Whether the name of a column or field says that customer keys stand in it."""
    return bool(_KEY_COLUMN.search(context))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerList:
    """Who the holder's customers are, as digests only. Make one with `CustomerList.of`.

    Attributes:
        key: the holder's key for this list, at least 16 bytes.
        people: digests of names.
        places: digests of addresses and other texts that tell a person.
        hanzi: lengths that entries of Chinese characters have.
        words: numbers of words that other entries have.
        keys: digests of customer keys.
        pieces: numbers of parts that keys have, as in `AB-12-9`.
        smallest: the smallest whole number that is a key to be found anywhere; None without such keys.
    """

    key: bytes = field(repr=False)
    people: frozenset[bytes] = field(repr=False)
    places: frozenset[bytes] = field(repr=False)
    hanzi: tuple[int, ...]
    words: tuple[int, ...]
    keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    pieces: tuple[int, ...] = ()
    smallest: int | None = None

    @classmethod
    def of(
        cls,
        key: bytes,
        *,
        names: Iterable[str] = (),
        addresses: Iterable[str] = (),
        keys: Iterable[object] = (),
    ) -> CustomerList:
        """Build a list from plain names, addresses and customer keys; they are digested at once and not kept.

        Args:
            key: the holder's key for this list.
            names: of customers.
            addresses: of customers, or other texts that tell one.
            keys: what stands in the table's key column, texts or numbers.

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
        known, pieces, smallest = _digested_keys(key, keys)
        return cls(
            key=key,
            keys=known,
            pieces=pieces,
            smallest=smallest,
            people=frozenset(digests[0]),
            places=frozenset(digests[1]),
            hanzi=tuple(sorted(hanzi, reverse=True)),
            words=tuple(sorted(words, reverse=True)),
        )

    def find(self, text: str, context: str = "") -> Iterator[tuple[str, int, int, float]]:
        """Yield `(kind, start, end, score)` of entries in folded text, longest first at each place.

        Args:
            text: folded text.
            context: folded name of what it stands under; where it speaks of keys, short ones count too.
        """
        if self.keys:
            yield from self._find_keys(text, context)
        if not self.people and not self.places:
            return
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

    def _find_keys(self, text: str, context: str) -> Iterator[tuple[str, int, int, float]]:
        """Customer keys, part by part, whatever signs stand between the parts.

        One with letters and digits is found in more or fewer parts than its own too; figures side by side are
        no key because their digits happen to be those of one, but where the name speaks of keys.
        """
        parts, named = list(_PIECE.finditer(text)), names_keys(context)
        for count in range(min(_MOST_PIECES, self.pieces[0] + 1), 0, -1):
            for first in range(len(parts) - count + 1):
                inner = parts[first : first + count]
                if any(b.start() - a.end() > 3 for a, b in pairwise(inner)):
                    continue
                entry = "".join(part[0] for part in inner).casefold()
                accident = count not in self.pieces and (entry.isdigit() or entry.isalpha())
                if not named and (accident or not _tells(entry)):
                    continue
                if self.holds_key(entry):
                    yield "CUSTOMER_KEY", inner[0].start(), inner[-1].end(), 1.0
        for part in parts:
            number = _GLUED.fullmatch(text, part.start(), part.end())
            # A word that could be a piece of a digest holds digits by accident.
            if number is None or _HEX.fullmatch(part[0].casefold()) or not _tells(number[1]):
                continue
            if self.holds_key(number[1]):
                yield "CUSTOMER_KEY", number.start(1), number.end(1), 1.0

    def holds_key(self, entry: str) -> bool:
        """Whether a text without signs between its parts is a customer key."""
        return _digest(self.key, _key_form(entry)) in self.keys

    def _in_hanzi(self, text: str, start: int, end: int) -> Iterator[tuple[str, int, int, float]]:
        """Entries in one unbroken stretch of Chinese characters, digits of an address included."""
        for length in self.hanzi:
            for at in range(start, min(end, len(text) - length + 1)):
                if kind := self._kind(text[at : at + length]):
                    yield kind, at, at + length, 0.9

    def _kind(self, text: str) -> str | None:
        digest = _digest(self.key, _canonical(text))
        return "PERSON" if digest in self.people else "ADDRESS" if digest in self.places else None


def _key_form(entry: str) -> str:
    """The one spelling of a key whose parts are joined: leading zeros of a number do not count."""
    return "key\n" + (entry.lstrip("0") or "0" if entry.isdigit() else entry)


def _tells(entry: str) -> bool:
    """Whether a key is long enough to be looked for in any text."""
    return len(entry) >= (6 if entry.isdigit() else 5)


def _digested_keys(
    key: bytes, customer_keys: Iterable[object]
) -> tuple[frozenset[bytes], tuple[int, ...], int | None]:
    """Digests of customer keys, numbers of their parts, and the smallest key of six digits or more."""
    digests: set[bytes] = set()
    pieces: set[int] = set()
    smallest: int | None = None
    for each in customer_keys:
        text = str(int(each)) if isinstance(each, float) and each.is_integer() else str(each)
        parts = _PIECE.findall(fold(text).text)
        entry = "".join(parts).casefold()
        if not entry or len(parts) > _MOST_PIECES:
            continue
        digests.add(_digest(key, _key_form(entry)))
        pieces.add(len(parts))
        if entry.isdigit() and len(entry) >= 6:
            smallest = min(smallest or int(entry), int(entry))
    return frozenset(digests), tuple(sorted(pieces, reverse=True)), smallest


def _digest(key: bytes, entry: str) -> bytes:
    return hmac.digest(key, entry.encode(), "sha256")[:_DIGEST]
