"""What another party is shown of a ledger's head: a mark that only the holder can recognise.

    mark = salt || HMAC-SHA256(key, salt || hash of the entry)        salt and HMAC of 32 bytes each

The key is derived from a secret of the home and from the log that the mark is shown beside, so it is another
one for every federation. The other party keeps the mark and shows it back; the holder looks whether any entry
of its chain makes it.

Formal guarantees:
    Without the home's secret a mark cannot be told from random bytes (HMAC-SHA256 as a pseudorandom
    function). Neither one party nor several together learn the number of an entry, which of two marks came
    first, how many entries lie between them, or whether they are of one entry.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

_DOMAIN = b"ringfence/ledger-mark/v1\n"
_SALT = 32


@dataclass(frozen=True, slots=True)
class HeadMarks:
    """Makes marks for one other party, and recognises its own.

    Attributes:
        key: 32 bytes, of the home and of that party.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, log: str) -> Self:
        """Marks for the party that is shown a log.

        Args:
            secret: of the home, kept for its life.
            log: name of the log.
        """
        return cls(hmac.digest(secret, _DOMAIN + log.encode(), "sha256"))

    def fresh(self, entry: str) -> str:
        """A new mark of an entry, 128 hexadecimal digits; two of one entry have nothing in common.

        Args:
            entry: hash of the entry, hexadecimal.
        """
        salt = secrets.token_bytes(_SALT)
        return (salt + self._tag(salt, bytes.fromhex(entry))).hex()

    def recognises(self, mark: str) -> Callable[[bytes], bool]:
        """Whether an entry, given its hash, made a mark."""
        found = bytes.fromhex(mark)
        salt, tag = found[:_SALT], found[_SALT:]
        return lambda entry: hmac.compare_digest(self._tag(salt, entry), tag)

    def _tag(self, salt: bytes, entry: bytes) -> bytes:
        return hmac.digest(self.key, salt + entry, "sha256")
