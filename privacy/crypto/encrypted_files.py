"""Encrypted files: AES-256-GCM in pieces, under a key of the file's own, bound to what the file is for.

The construction of streams by Hoang, Reyhanitabar, Rogaway, Vizár (2015), "Online authenticated-encryption
and its nonce-reuse misuse-resistance": each piece has its number and whether it is the last in its nonce, so
pieces cannot be cut off, swapped or repeated. The file's key is derived (HKDF-SHA256, RFC 5869) from a secret
and 32 random bytes at the file's head, so no two files share a nonce under one key.
"""

from __future__ import annotations

import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringfence.privacy.errors import N_, KeyFault

MAGIC = b"RFE1"
PIECE = 1 << 24
"""Bytes of content in a piece, the last one apart."""
_SALT, _TAG = 32, 16


def write_encrypted(file: BinaryIO, secret: bytes, content: bytes, *, context: bytes) -> None:
    """Write content so that it can be read with the secret and the same context alone.

    Args:
        file: open for writing in binary.
        secret: 32 bytes.
        content: what is written.
        context: what the file is for; the reader has to know it.
    """
    salt = secrets.token_bytes(_SALT)
    cipher, view = _cipher(secret, salt, context), memoryview(content)
    file.write(MAGIC + salt)
    for number, start in enumerate(range(0, max(len(view), 1), PIECE)):
        piece = view[start : start + PIECE]
        file.write(cipher.encrypt(_nonce(number, last=start + PIECE >= len(view)), piece, None))


def read_encrypted(file: BinaryIO, secret: bytes, *, context: bytes) -> bytes:
    """The content of an encrypted file.

    Raises:
        KeyFault: RF-K110 it is no such file, was written with another secret or for something else, or was
            altered or cut short.
    """
    head = file.read(len(MAGIC) + _SALT)
    if len(head) < len(MAGIC) + _SALT or not head.startswith(MAGIC):
        raise _unreadable()
    cipher, parts, number = _cipher(secret, head[len(MAGIC) :], context), list[bytes](), 0
    piece = file.read(PIECE + _TAG)
    while True:
        following = file.read(PIECE + _TAG)
        try:
            parts.append(cipher.decrypt(_nonce(number, last=not following), piece, None))
        except (InvalidTag, ValueError) as error:
            raise _unreadable() from error
        if not following:
            return b"".join(parts)
        piece, number = following, number + 1


def _cipher(secret: bytes, salt: bytes, context: bytes) -> AESGCM:
    info = b"ringfence/encrypted-file/v1\n" + context
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _unreadable() -> KeyFault:
    return KeyFault(
        "RF-K110",
        N_("An encrypted file does not open with this secret; it is of another home, or was altered."),
    )
