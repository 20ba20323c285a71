"""Inverse-CDF tables with 192-bit thresholds: 16 bits decide mostly, 32 nearly always, 160 on a tie.

The magnitude k of a symmetric law is drawn as the number of thresholds `C_0 < C_1 < ...` that are not above a
uniform number, where `C_k / 2**192 = P(|X| <= k)` with the mass of zero halved, because a random sign makes
zero twice. A guide table over the leading 16 bits answers most draws without a search (Chen, Asau 1974).
Random bits are the dearest part of a draw, so the number is drawn piece by piece: 16 bits more for a draw
whose cell of the guide holds a threshold, and the rest of the 192 for one draw in 2**32 for each threshold.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from ringfence.privacy.accounting.noise_laws import THRESHOLD_BITS
from ringfence.privacy.mechanisms import entropy

# Weights are computed to so many bits before they are cut to the words of a table.
WORKING_BITS = 384
_GUIDE_BITS = 16
_LEAD_BITS = 32
_STEPS = 2
# So few are searched for one by one; stepping through whole arrays pays for more.
_FEW = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnitudeTable:
    """Thresholds of one law.

    Attributes:
        thresholds: the exact 192-bit thresholds, ascending.
        leading: their leading 32 bits and, as the last entry, 2**32; int64, shape `(entries + 1,)`.
        guide: by the leading 16 bits, the magnitude if no threshold lies in that cell, else the complement of
            the number of thresholds below the cell; int16 where that holds them, else int32.
    """

    thresholds: tuple[int, ...]
    leading: npt.NDArray[np.int64]
    guide: npt.NDArray[np.int16] | npt.NDArray[np.int32]

    def magnitudes(self, uniform: npt.NDArray[np.uint16]) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
        """Magnitudes for given leading 16 bits; those they leave open draw further ones.

        Args:
            uniform: uint16, shape `(n,)`.

        Returns:
            The guide's type, shape `(n,)`, between 0 and the number of thresholds.
        """
        # No index of 16 bits is beyond the guide, so nothing is clipped; what is saved is a look at every
        # index.
        found = self.guide.take(uniform, mode="clip")
        unsure = np.flatnonzero(found < 0)
        if unsure.size:
            further = entropy.quarters(unsure.size)
            word = (uniform[unsure].astype(np.int64) << (_LEAD_BITS - _GUIDE_BITS)) | further
            found[unsure] = self._count(found[unsure], word)
        return found

    def _count(
        self, found: npt.NDArray[np.int16] | npt.NDArray[np.int32], word: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """How many thresholds are not above each number that begins with `word`, by the guide."""
        if word.size <= _FEW:
            count = np.asarray(self.leading.searchsorted(word, side="right"))
        else:
            count = ~found.astype(np.int64)
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
    lead = [threshold >> (THRESHOLD_BITS - _LEAD_BITS) for threshold in thresholds]
    leading = np.array([*lead, 1 << _LEAD_BITS], dtype=np.int64)
    # Magnitude at the first and at the last word of each cell; they agree where no threshold lies between.
    first = np.arange(1 << _GUIDE_BITS, dtype=np.int64) << (_LEAD_BITS - _GUIDE_BITS)
    last = first + ((1 << (_LEAD_BITS - _GUIDE_BITS)) - 1)
    below = np.searchsorted(leading, first)
    above = np.searchsorted(leading, last, side="right")
    signed = np.where(below == above, below, ~below)
    guide = signed.astype(np.int16) if len(leading) <= 1 << 15 else signed.astype(np.int32)
    return MagnitudeTable(thresholds=thresholds, leading=leading, guide=guide)
