"""What another party is shown of a ledger's head: a mark that only the holder can read.

    mark = nonce || AES-SIV(key, nonce, number of the entry || moment || first half of the entry's hash)

The nonce is 16 random bytes, number and moment are 8 bytes each, and AES-SIV (RFC 5297) puts 16 bytes before
what it encrypts: 64 bytes. The key is derived from a secret of the home and from the log that the mark is
shown beside, so it is another one for every federation. The other party keeps the mark and shows it back; the
holder reads which entry it was of, and looks whether its chain holds that one. How long this takes does not
depend on how many entries came since.

Formal guarantees:
    Without the home's secret a mark cannot be told from random bytes, and none can be made (AES-SIV as
    authenticated encryption with a nonce, under a key by HMAC-SHA512 as a pseudorandom function). Neither one
    party nor several together learn the number of an entry, which of two marks came first, how many entries
    lie between them, or whether they are of one entry.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_DOMAIN = b"ringfence/ledger-mark/v2\n"
_NONCE = 16
_NUMBER = 8
_HALF = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedEntry:
    """What a mark says to its holder.

    Attributes:
        sequence: number of the entry.
        made: when the mark was made, in milliseconds since 1970.
        half: the first 16 bytes of the entry's hash.
    """

    sequence: int
    made: int
    half: bytes

    def has(self, digest: bytes) -> bool:
        """Whether an entry of this hash made the mark."""
        return digest[:_HALF] == self.half


@dataclass(frozen=True, slots=True)
class HeadMarks:
    """Makes marks for one other party, and reads its own.

    Attributes:
        key: 64 bytes, of the home and of that party.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, log: str) -> Self:
        """Marks for the party that is shown a log.

        Args:
            secret: of the home, kept for its life.
            log: name of the log.
        """
        return cls(hmac.digest(secret, _DOMAIN + log.encode(), "sha512"))

    def fresh(self, sequence: int, digest: bytes, made: int) -> str:
        """A new mark of an entry, 128 hexadecimal digits; two of one entry have nothing in common.

        Args:
            sequence: number of the entry.
            digest: its hash, 32 bytes.
            made: the moment (`losses.moment_after`).
        """
        nonce = secrets.token_bytes(_NONCE)
        said = sequence.to_bytes(_NUMBER, "big") + made.to_bytes(_NUMBER, "big") + digest[:_HALF]
        return (nonce + AESSIV(self.key).encrypt(said, [nonce])).hex()

    def read(self, mark: str) -> MarkedEntry | None:
        """What a mark says; None for one that was not made here for this party.

        Args:
            mark: 128 hexadecimal digits.
        """
        found = bytes.fromhex(mark)
        nonce, sealed = found[:_NONCE], found[_NONCE:]
        try:
            said = AESSIV(self.key).decrypt(sealed, [nonce])
        except InvalidTag:
            return None
        return MarkedEntry(
            sequence=int.from_bytes(said[:_NUMBER], "big"),
            made=int.from_bytes(said[_NUMBER : 2 * _NUMBER], "big"),
            half=said[2 * _NUMBER :],
        )
