"""How a carrier such as Flower holds one sealed message: an array of bytes under a form of our own.

The form keeps a carrier from parsing the bytes before their signature has been checked. Holder and coordinator, which
share no code, both take it from here.
"""

from __future__ import annotations

from typing import Protocol

from ringfence.privacy.wire.control import MAX_CONTROL
from ringfence.privacy.wire.payload import MAX_ENTRIES

FORM = "ringfence.sealed/v1"
NAME = "sealed"
DTYPE = "uint8"
MAX_BYTES = MAX_CONTROL + 8 * MAX_ENTRIES


class CarriedArray(Protocol):
    """What carriers say of an array."""

    dtype: str
    shape: tuple[int, ...]
    stype: str
    data: bytes


def carried(array: CarriedArray) -> bytes:
    """The bytes of an array of exactly this form and of no more than the largest message; none for every other."""
    plain = array.stype == FORM and array.dtype == DTYPE and tuple(array.shape) == (len(array.data),)
    return bytes(array.data) if plain and len(array.data) <= MAX_BYTES else b""
