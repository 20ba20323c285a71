"""How a carrier such as Flower holds one sealed message: an array of bytes under a form of our own.

The form keeps a carrier from parsing the bytes before their signature has been checked. Holder and
coordinator, which share no code, both take it from here.
"""

from __future__ import annotations

from typing import Protocol

from ringfence.privacy.protocol.control import MAX_MESSAGE

FORM = "ringfence.sealed/v1"
NAME = "sealed"
DTYPE = "uint8"


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
