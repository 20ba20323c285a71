"""Inverse-CDF tables with 192-bit thresholds: 64 bits decide almost always, the next 128 only on a tie.

The magnitude k of a symmetric law is drawn as the number of thresholds `C_0 < C_1 < ...` that are not above a
uniform number, where `C_k / 2**192 = P(|X| <= k)` with the mass of zero halved, because a random sign makes
zero twice. A guide table over the leading 16 bits answers most draws without a search (Chen, Asau 1974).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from ringfence.privacy.mechanisms import entropy
from ringfence.privacy.mechanisms.law import THRESHOLD_BITS, WORD_BITS

_GUIDE_BITS = 16
_SEARCH = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnitudeTable:
    """Thresholds of one symmetric law.

    Attributes:
        thresholds: the exact 192-bit thresholds, ascending.
        leading: their leading 64 bits, uint64, shape `(entries,)`.
        guide: by the leading 16 bits, the magnitude if no threshold lies in that cell, else -1; int32.
    """

    thresholds: tuple[int, ...]
    leading: npt.NDArray[np.uint64]
    guide: npt.NDArray[np.int32]

    def magnitudes(self, uniform: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """Magnitudes for given leading words; ties draw their further 128 bits.

        Args:
            uniform: uint64, shape `(n,)`.

        Returns:
            int32, shape `(n,)`, between 0 and the number of thresholds.
        """
        found = self.guide[(uniform >> np.uint64(WORD_BITS - _GUIDE_BITS)).astype(np.intp)]
        unsure = np.flatnonzero(found == _SEARCH)
        if unsure.size:
            narrow = uniform[unsure]
            count = np.searchsorted(self.leading, narrow, side="right").astype(np.int32)
            # A tie: the last threshold counted has the same leading word, so 64 bits do not decide.
            for tie in np.flatnonzero(self.leading[np.maximum(count - 1, 0)] == narrow):
                further = int.from_bytes(entropy.words(THRESHOLD_BITS // WORD_BITS - 1).tobytes())
                count[tie] = bisect_right(
                    self.thresholds, (int(narrow[tie]) << (THRESHOLD_BITS - WORD_BITS)) | further
                )
            found[unsure] = count
        return found


def build_table(weights: list[int]) -> MagnitudeTable:
    """Make a table from the weights of the magnitudes 0, 1, 2, ...

    Args:
        weights: non-negative fixed-point numbers far longer than 192 bits; the last magnitude takes what is
            left of the unit mass, and zero's weight is already halved.
    """
    total = sum(weights)
    thresholds = tuple((running << THRESHOLD_BITS) // total for running in accumulate(weights[:-1]))
    leading = np.array(
        [threshold >> (THRESHOLD_BITS - WORD_BITS) for threshold in thresholds], dtype=np.uint64
    )
    # Magnitude at the first and at the last word of each cell; they agree where no threshold lies between.
    first = np.arange(1 << _GUIDE_BITS, dtype=np.uint64) << np.uint64(WORD_BITS - _GUIDE_BITS)
    last = first + np.uint64((1 << (WORD_BITS - _GUIDE_BITS)) - 1)
    below = np.searchsorted(leading, first, side="left")
    above = np.searchsorted(leading, last, side="right")
    guide = np.where(below == above, below, _SEARCH).astype(np.int32)
    return MagnitudeTable(thresholds=thresholds, leading=leading, guide=guide)
