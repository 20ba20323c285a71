"""How a carrier such as Flower holds one sealed message: an array of bytes under a form of our own.

The form keeps a carrier from parsing the bytes before their signature has been checked. Holder and
coordinator, which share no code, both take it from here.

Over a link of our own a message that fits into one piece travels as that piece alone, since each object
that a link keeps costs a request at both ends: `NONCE_BYTES` of chance, then the sealed bytes. A link knows a
piece by its hash, and what is sent again has to be a message of its own.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from ringfence.privacy.protocol.control import MAX_MESSAGE

FORM = "ringfence.sealed/v1"
NAME = "sealed"
DTYPE = "uint8"
NONCE_BYTES = 16
MOST_BYTES = MAX_MESSAGE + (1 << 20)
"""Bytes of one message with what a carrier adds, at most."""


class CarriedArray(Protocol):
    """What carriers say of an array."""

    dtype: str
    shape: tuple[int, ...]
    stype: str
    data: bytes


def carried(array: CarriedArray) -> bytes:
    """The bytes of an array of exactly this form, within the largest message; none for others."""
    plain = array.stype == FORM and array.dtype == DTYPE and tuple(array.shape) == (len(array.data),)
    return bytes(array.data) if plain and len(array.data) <= MAX_MESSAGE else b""


def most_parts(part_bytes: int) -> int:
    """In how many parts of a carrier, of so many bytes each, one message comes at most."""
    return MAX_MESSAGE // part_bytes + 16


def one_piece(data: bytes) -> bytes:
    """What stands for a message that travels as one piece, another one each time."""
    return secrets.token_bytes(NONCE_BYTES) + data


def of_one_piece(piece: bytes) -> bytes:
    """The bytes of a message that came as one piece; none where there are too few or too many of them."""
    return piece[NONCE_BYTES:] if len(piece) <= MAX_MESSAGE + NONCE_BYTES else b""
