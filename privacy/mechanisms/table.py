"""Inverse-CDF tables with 192-bit thresholds: 32 bits decide almost always, the next 160 only on a tie.

The magnitude k of a symmetric law is drawn as the number of thresholds `C_0 < C_1 < ...` that are not above a
uniform number, where `C_k / 2**192 = P(|X| <= k)` with the mass of zero halved, because a random sign makes
zero twice. A guide table over the leading 16 bits answers most draws without a search (Chen, Asau 1974). Random
bits are the dearest part of a draw, so the first word is short: it decides all but one draw in 2**32 for each
threshold, and then the rest of the 192 bits is drawn.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms.law import THRESHOLD_BITS

_GUIDE_BITS = 16
_LEAD_BITS = 32
_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnitudeTable:
    """Thresholds of one law.

    Attributes:
        thresholds: the exact 192-bit thresholds, ascending.
        leading: their leading 32 bits and, as the last entry, 2**32; int64, shape `(entries + 1,)`.
        guide: by the leading 16 bits, the magnitude if no threshold lies in that cell, else the complement of the
            number of thresholds below the cell; int32.
    """

    thresholds: tuple[int, ...]
    leading: npt.NDArray[np.int64]
    guide: npt.NDArray[np.int32]

    def magnitudes(self, uniform: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """Magnitudes for given leading words; ties draw their further 160 bits.

        Args:
            uniform: uint32, shape `(n,)`.

        Returns:
            int32, shape `(n,)`, between 0 and the number of thresholds.
        """
        found = self.guide[(uniform >> np.uint32(_LEAD_BITS - _GUIDE_BITS)).astype(np.intp)]
        unsure = np.flatnonzero(found < 0)
        if unsure.size:
            found[unsure] = self._count(~found[unsure], uniform[unsure].astype(np.int64))
        return found

    def _count(self, count: npt.NDArray[np.int32], word: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """How many thresholds are not above each number that begins with `word`, given how many are below its cell."""
        for _ in range(_STEPS):
            count += self.leading[count] <= word
        # Few cells, all in the tails, hold more thresholds than a step or two pass.
        far = np.flatnonzero(self.leading[count] <= word)
        count[far] = np.searchsorted(self.leading, word[far], side="right")
        # A tie: the last threshold counted has the same leading word, so the word does not decide.
        for tie in np.flatnonzero(self.leading[count - 1] == word):
            further = int.from_bytes(entropy.words(3).tobytes()) >> _LEAD_BITS
            count[tie] = bisect_right(
                self.thresholds, (int(word[tie]) << (THRESHOLD_BITS - _LEAD_BITS)) | further
            )
        return count


def build_table(weights: list[int]) -> MagnitudeTable:
    """Make a table from the weights of the magnitudes 0, 1, 2, ...

    Args:
        weights: non-negative fixed-point numbers far longer than 192 bits; the last magnitude takes what is
            left of the unit mass, and zero's weight is already halved.
    """
    total = sum(weights)
    thresholds = tuple((running << THRESHOLD_BITS) // total for running in accumulate(weights[:-1]))
    leading = np.array(
        [*(threshold >> (THRESHOLD_BITS - _LEAD_BITS) for threshold in thresholds), 1 << _LEAD_BITS],
        dtype=np.int64,
    )
    # Magnitude at the first and at the last word of each cell; they agree where no threshold lies between.
    first = np.arange(1 << _GUIDE_BITS, dtype=np.int64) << (_LEAD_BITS - _GUIDE_BITS)
    last = first + ((1 << (_LEAD_BITS - _GUIDE_BITS)) - 1)
    below = np.searchsorted(leading, first, side="left")
    above = np.searchsorted(leading, last, side="right")
    guide = np.where(below == above, below, ~below).astype(np.int32)
    return MagnitudeTable(thresholds=thresholds, leading=leading, guide=guide)
