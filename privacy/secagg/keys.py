"""A holder's key pair for one run, and the signed message that publishes its public half.

Invariant: the private half lives in one process and one run. It is never written down, copied, pickled or
used after a fork, and each mask it makes is made once. A restarted holder makes a new pair and publishes it,
which opens a new attempt.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.wire.fields import Digest, Name, PublicKey, Record, RunId, SignatureHex, canonical

_PRIME = (1 << 255) - 19


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMessage(Record):
    """A holder's public key for one run, signed by its long-term identity.

    Attributes:
        holder: name in the signed study.
        identity: long-term Ed25519 public key, 64 hex digits.
        x25519: public key for this run, 64 hex digits (RFC 7748 encoding).
        study: digest of the signed study.
        run: run id.
        signature: Ed25519 over the other fields, 128 hex digits.
    """

    holder: Name
    identity: PublicKey
    x25519: PublicKey
    study: Digest
    run: RunId
    signature: SignatureHex

    DOMAIN: ClassVar[bytes] = b"ringfence/key-message/v1\n"

    @property
    def turn(self) -> tuple[int, ...]:
        """Round, attempt and roster that the keys are for; empty when they are for the whole run."""
        return ()

    @property
    def listing(self) -> list[str | int]:
        """What a roster's hash says of the member."""
        return [self.holder, self.identity, self.x25519]

    def signed_bytes(self) -> bytes:
        """What the signature is over: everything but itself, under the domain of this kind of message."""
        body = self.to_json()
        del body["signature"]
        return self.DOMAIN + canonical(body)


class SessionKeys:
    """An X25519 key pair of one holder for one run; use it as a context manager or call `close`."""

    __slots__ = ("_pid", "_private", "_used", "holder", "public", "run", "study")

    def __init__(self, *, holder: str, study: str, run: str) -> None:
        private = X25519PrivateKey.generate()
        self.holder = holder
        self.study = study
        self.run = run
        self.public: bytes = private.public_key().public_bytes_raw()
        self._private: X25519PrivateKey | None = private
        self._pid = os.getpid()
        self._used: set[tuple[int, int, int]] = set()

    @property
    def self_seed(self) -> bytes | None:
        """Seed of a mask of the holder's own; only the keys of one attempt have one (`ephemeral.py`)."""
        return None

    def exchange(self, public: bytes) -> bytes:
        """The 32-byte secret shared with the owner of `public`.

        Raises:
            WaistError: RF-W130 after `close` or in another process, RF-W131 for a low-order point.
        """
        return exchanged(self._held(self._private), public)

    def _held(self, private: X25519PrivateKey | None) -> X25519PrivateKey:
        """A private half, while this process may use it."""
        if private is None or self._pid != os.getpid():
            raise WaistError(
                "RF-W130", N_("The run's key pair is gone (closed, or another process); open a new attempt.")
            )
        return private

    def claim(self, *, round: int, attempt: int, vector: int) -> None:
        """Take the one mask of a vector, so that no two values ever go out under the same mask.

        Raises:
            WaistError: RF-W132 when it was taken before.
        """
        if (round, attempt, vector) in self._used:
            raise WaistError(
                "RF-W132",
                N_(
                    "Attempt {attempt} at round {round} was masked before; a repeat must send the stored "
                    "bytes."
                ),
                attempt=attempt,
                round=round,
            )
        self._used.add((round, attempt, vector))

    def close(self) -> None:
        """Drop the private half; every later use is refused."""
        self._private = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise WaistError("RF-W133", N_("The key pair of a run is never copied or written down."))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(holder={self.holder!r}, run={self.run!r})"


def exchanged(private: X25519PrivateKey, public: bytes) -> bytes:
    """RFC 7748 exchange with the encodings and points refused that let two parties share one secret."""
    if len(public) != 32 or int.from_bytes(public, "little") >= _PRIME:
        raise WaistError("RF-W131", N_("A run key is not a canonical X25519 point of full order."))
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise WaistError("RF-W131", N_("A run key is not a canonical X25519 point of full order.")) from error


def check_point(public: str) -> None:
    """Refuse a public key that is a low-order or non-canonical point.

    With a low-order point an exchange gives zero, whatever the private half: one probe finds it.

    Raises:
        WaistError: RF-W131.
    """
    exchanged(_PROBE, bytes.fromhex(public))


_PROBE = X25519PrivateKey.generate()


def key_message(identity: Identity, keys: SessionKeys) -> KeyMessage:
    """Publish the public half of `keys` under the holder's long-term identity."""
    return KeyMessage(**signed_fields(identity, keys, KeyMessage.DOMAIN, {}))


def signed_fields(
    identity: Identity, keys: SessionKeys, domain: bytes, more: Mapping[str, str | int]
) -> dict[str, Any]:
    """The fields of a key message with its signature."""
    body = {
        "holder": keys.holder,
        "identity": identity.public.hex,
        "x25519": keys.public.hex(),
        "study": keys.study,
        "run": keys.run,
    } | dict(more)
    return body | {"signature": identity.sign(domain + canonical(body)).hex()}


def verify_key_message(message: KeyMessage, *, study: str, run: str, pinned: PublicIdentity) -> KeyMessage:
    """The message, once it is known to be what the pinned holder published for this study and run.

    Raises:
        WaistError: RF-W134 another study or run, RF-W135 not the pinned key, RF-W136 wrong signature,
            RF-W131 a low-order or non-canonical point.
    """
    if (message.study, message.run) != (study, run):
        raise WaistError(
            "RF-W134", N_("The key of {holder} was made for another study or run."), holder=message.holder
        )
    if message.identity != pinned.hex:
        raise WaistError(
            "RF-W135",
            N_("The key of {holder} is not the one pinned in the signed study."),
            holder=message.holder,
        )
    try:
        pinned.verify(bytes.fromhex(message.signature), message.signed_bytes())
    except KeyFault as fault:
        raise WaistError(
            "RF-W136", N_("The key message of {holder} is not signed by its identity."), holder=message.holder
        ) from fault
    check_point(message.x25519)
    return message
