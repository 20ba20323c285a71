"""Known words in place of the system's randomness, for tests of tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ringfence.privacy.mechanisms.table import MagnitudeTable


class Fed:
    """Stands in for `entropy.quarters`: leading halves of 32-bit words, then the other halves of those left
    open.

    Args:
        words: a table, and the word that is to be looked up in it, in the order they are asked for.
    """

    def __init__(self, words: Sequence[tuple[MagnitudeTable, int]]) -> None:
        self.left, self.open = list(words), list[int]()

    def __call__(self, count: int) -> npt.NDArray[np.uint16]:
        if self.open:
            found, self.open = self.open, []
        else:
            batch, self.left = self.left[:count], self.left[count:]
            found = [word >> 16 for _, word in batch]
            self.open = [word & 0xFFFF for table, word in batch if table.guide[word >> 16] < 0]
        assert len(found) == count
        return np.array(found, dtype=np.uint16)
