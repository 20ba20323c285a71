"""A holder's keys for one roster of one attempt, used where a sum has to outlive drop-outs.

Invariant: no secret here serves a second attempt or a second roster. What is revealed of a member that
dropped out (its masking key) or of one that did not (the seed of its own mask) therefore opens this attempt
and no other. The private halves live in one process and are never written down; what peers are given is
shares (`recovery.py`).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.secagg.keys import KeyMessage, SessionKeys, check_point, exchanged, signed_fields
from ringfence.privacy.wire.fields import Digest, PublicKey, Turn

SEED_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralMessage(KeyMessage):
    """A holder's public keys for one roster of one attempt, signed by its long-term identity.

    Attributes:
        x25519: makes the masks of pairs; revealed if the holder drops out.
        sealing: makes the keys under which shares travel; never revealed.
        seed: digest of the seed of the holder's own mask, so that a wrong one is found out.
        round: index of the round.
        attempt: number of the attempt.
        number: number of the roster.
    """

    sealing: PublicKey
    seed: Digest
    round: Turn
    attempt: Turn
    number: Turn

    DOMAIN: ClassVar[bytes] = b"ringfence/ephemeral-keys/v1\n"

    @property
    def turn(self) -> tuple[int, ...]:
        """Round, attempt and roster that the keys are for."""
        return (self.round, self.attempt, self.number)

    @property
    def listing(self) -> list[str | int]:
        """What a roster's hash says of the member."""
        return [self.holder, self.identity, self.x25519, self.sealing, self.seed, *self.turn]


class EphemeralKeys(SessionKeys):
    """The secrets of one holder for one roster of one attempt."""

    __slots__ = ("_sealing", "_seed", "sealing", "turn")

    def __init__(self, *, holder: str, study: str, run: str, round: int, attempt: int, number: int) -> None:
        super().__init__(holder=holder, study=study, run=run)
        private = X25519PrivateKey.generate()
        self.turn = (round, attempt, number)
        self.sealing: bytes = private.public_key().public_bytes_raw()
        self._sealing: X25519PrivateKey | None = private
        self._seed: bytes | None = secrets.token_bytes(SEED_BYTES)

    @property
    def self_seed(self) -> bytes:
        """Seed of the mask that is the holder's own.

        Raises:
            WaistError: RF-W130 after `close` or in another process.
        """
        self._held(self._private)
        assert self._seed is not None
        return self._seed

    def masking_key(self) -> bytes:
        """The private half of the masking key, 32 bytes: to be shared out, and for nothing else."""
        return self._held(self._private).private_bytes_raw()

    def seal_with(self, public: bytes) -> bytes:
        """The 32-byte secret shared with the owner of a sealing key.

        Raises:
            WaistError: RF-W130 after `close` or in another process, RF-W131 for a low-order point.
        """
        return exchanged(self._held(self._sealing), public)

    def close(self) -> None:
        """Drop all secrets; every later use is refused."""
        super().close()
        self._sealing, self._seed = None, None


def seed_digest(seed: bytes) -> str:
    """What is published of a seed: it binds its owner, and 32 random bytes are not found from it."""
    return "sha256:" + hashlib.sha256(b"ringfence/self-mask-seed/v1\n" + seed).hexdigest()


def ephemeral_message(identity: Identity, keys: EphemeralKeys) -> EphemeralMessage:
    """Publish the public half of `keys` under the holder's long-term identity."""
    round_index, attempt, number = keys.turn
    more: dict[str, str | int] = {
        "sealing": keys.sealing.hex(),
        "seed": seed_digest(keys.self_seed),
        "round": round_index,
        "attempt": attempt,
        "number": number,
    }
    return EphemeralMessage(**signed_fields(identity, keys, EphemeralMessage.DOMAIN, more))


def check_turn(message: KeyMessage, turn: tuple[int, ...]) -> None:
    """Refuse keys of another attempt or roster, and keys of a run where those of an attempt are due.

    Raises:
        WaistError: RF-W174; RF-W131 for a sealing key that is a low-order or non-canonical point.
    """
    if message.turn != turn:
        raise WaistError(
            "RF-W174",
            N_("The key of {holder} was made for another attempt or roster, or for another way to sum."),
            holder=message.holder,
        )
    if isinstance(message, EphemeralMessage):
        check_point(message.sealing)
