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


def halves(count: int) -> npt.NDArray[np.uint32]:
    """Uniform 32-bit words, shape `(count,)`."""
    return words((count + 1) // 2).view(np.uint32)[:count]


def bits(count: int) -> npt.NDArray[np.uint8]:
    """Uniform bits as 0 and 1, shape `(count,)`."""
    packed = np.frombuffer(os.urandom((count + 7) // 8), dtype=np.uint8)
    return np.unpackbits(packed, count=count)
