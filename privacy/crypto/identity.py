"""Identities: Ed25519 key pairs (RFC 8032), each made for one kind of use.

The secret half never appears in a representation, a message or a pickle.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringfence.privacy.errors import N_, KeyFault

KeyKind: TypeAlias = Literal["holder", "coordinator", "approver", "log"]
KINDS: tuple[KeyKind, ...] = get_args(KeyKind)


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """The public half: 32 bytes as in RFC 8032."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise KeyFault(
                "RF-K001", N_("A public key has 32 bytes; this one has {count}."), count=len(self.raw)
            )

    @classmethod
    def from_hex(cls, text: str) -> PublicIdentity:
        """Read 64 lower-case hex digits, the one written form.

        Raises:
            KeyFault: RF-K002 for anything else.
        """
        if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
            raise KeyFault("RF-K002", N_("A public key is written as 64 hex digits in lower case."))
        return cls(bytes.fromhex(text))

    @property
    def hex(self) -> str:
        """The key as 64 hex digits."""
        return self.raw.hex()

    @property
    def fingerprint(self) -> str:
        """`ed25519:` and the first 32 hex digits of SHA-256 over the raw key."""
        return "ed25519:" + hashlib.sha256(self.raw).hexdigest()[:32]

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a signature.

        Raises:
            KeyFault: RF-K003 when the signature is not this key's over the message.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise KeyFault(
                "RF-K003",
                N_("The signature does not verify under the key {fingerprint}."),
                fingerprint=self.fingerprint,
            ) from error


class Identity:
    """A key pair of one kind; a simulation's is marked and refused where rows are real."""

    __slots__ = ("_secret", "kind", "public", "simulation")

    def __init__(
        self, secret: Ed25519PrivateKey, *, kind: KeyKind = "holder", simulation: bool = False
    ) -> None:
        self._secret = secret
        self.kind: KeyKind = kind
        self.simulation = simulation
        self.public = PublicIdentity(secret.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, kind: KeyKind = "holder", *, simulation: bool = False) -> Identity:
        """A fresh key pair from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate(), kind=kind, simulation=simulation)

    @classmethod
    def from_secret(cls, secret: bytes, *, kind: KeyKind = "holder", simulation: bool = False) -> Identity:
        """The key pair of a 32-byte secret, as a key file holds it.

        Raises:
            KeyFault: RF-K004 when the secret does not have 32 bytes.
        """
        if len(secret) != 32:
            raise KeyFault(
                "RF-K004", N_("A secret key has 32 bytes; this one has {count}."), count=len(secret)
            )
        return cls(Ed25519PrivateKey.from_private_bytes(secret), kind=kind, simulation=simulation)

    def sign(self, message: bytes) -> bytes:
        """A signature of 64 bytes; callers separate domains by a prefix of the message."""
        return self._secret.sign(message)

    def secret_bytes(self) -> bytes:
        """The 32-byte secret, for the key file only."""
        return self._secret.private_bytes_raw()

    def __repr__(self) -> str:
        return f"Identity(kind={self.kind!r}, public={self.public.fingerprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is not pickled")
