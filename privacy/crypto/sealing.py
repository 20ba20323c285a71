"""Sealing to a recipient: HPKE (RFC 9180) in base mode with the hybrid of ML-KEM-768 and X25519.

Whoever records the traffic of today can open it only by breaking both. Base mode says nothing of the sender;
who wrote a message is said by a signature inside (`privacy/wire/letters.py`).
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from ringfence.privacy.errors import N_, KeyFault

MLKEM_BYTES = 1184
PUBLIC_BYTES = MLKEM_BYTES + 32
ENCAPSULATED_BYTES = 1088 + 32
OVERHEAD = ENCAPSULATED_BYTES + 16
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def key_id(public: bytes) -> bytes:
    """The 32 bytes by which a sealed message names the key that opens it."""
    return hashlib.sha256(b"ringfence/sealing-key/v2\n" + public).digest()


def seal_to(public: bytes, plaintext: bytes, *, info: bytes) -> bytes:
    """Seal for the owner of a key.

    Args:
        public: `PUBLIC_BYTES` bytes as `SealingKey.public` gives them.
        plaintext: what is sealed.
        info: what both sides have to know and agree on.

    Returns:
        The encapsulated key and the ciphertext, `OVERHEAD` bytes more than the plaintext.

    Raises:
        KeyFault: RF-K090 the key is none.
    """
    try:
        recipient = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:MLKEM_BYTES]),
            X25519PublicKey.from_public_bytes(public[MLKEM_BYTES:]),
        )
        # Some keys are refused only when they are used, such as points of low order.
        return _SUITE.encrypt(plaintext, recipient, info=info)
    except ValueError as error:
        raise KeyFault(
            "RF-K090",
            N_("An encryption key of {count} bytes is none of ML-KEM-768 with X25519."),
            count=len(public),
        ) from error


class SealingKey:
    """A key pair that lives in this process alone, for one run.

    Attributes:
        public: `PUBLIC_BYTES` bytes, ML-KEM's key first.
        id: names it in what is sealed to it.
    """

    __slots__ = ("_secret", "id", "public")

    def __init__(self) -> None:
        """A fresh key pair from the operating system's generator."""
        lattice, curve = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self._secret: MLKEM768X25519PrivateKey | None = MLKEM768X25519PrivateKey(lattice, curve)
        self.public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        self.id = key_id(self.public)

    def open(self, sealed: bytes, *, info: bytes) -> bytes:
        """What was sealed to this key under the same `info`.

        Raises:
            KeyFault: RF-K091 it was sealed to another key, under another `info`, or altered; RF-K092 the key
                was destroyed.
        """
        if self._secret is None:
            raise KeyFault("RF-K092", N_("The encryption key of a run that is over is gone."))
        try:
            return _SUITE.decrypt(sealed, self._secret, info=info)
        except (InvalidTag, ValueError) as error:
            raise KeyFault(
                "RF-K091", N_("A sealed message does not open: it is for another key, or was altered.")
            ) from error

    def close(self) -> None:
        """Drop the secret; what was sealed to it stays closed."""
        self._secret = None

    def __repr__(self) -> str:
        return f"SealingKey(id={self.id.hex()[:16]})"

    def __reduce__(self) -> str:
        raise TypeError("an encryption key is not pickled")
