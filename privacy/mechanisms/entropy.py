"""Random words from the operating system's CSPRNG; no other source of randomness exists for noise.

Invariant (DESIGN, 6.1): noise comes from the operating system. There is no seed and no way to set one.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt


def words(count: int) -> npt.NDArray[np.uint64]:
    """Uniform 64-bit words, shape `(count,)`."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


def quarters(count: int) -> npt.NDArray[np.uint16]:
    """Uniform 16-bit words, shape `(count,)`."""
    return words((count + 3) // 4).view(np.uint16)[:count]


def octets(count: int) -> npt.NDArray[np.uint8]:
    """Uniform bytes, shape `(count,)`."""
    return words((count + 7) // 8).view(np.uint8)[:count]


def bits(count: int) -> npt.NDArray[np.uint8]:
    """Uniform bits as 0 and 1, shape `(count,)`."""
    return np.unpackbits(octets((count + 7) // 8), count=count)
