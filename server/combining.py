"""Visible uploads made into one: their sum, or `holders` times a middle that few wrong ones hardly move.

Coordinate by coordinate, after Yin, Chen, Ramchandran, Bartlett (2018), "Byzantine-Robust Distributed
Learning": with at most f of n >= 2 f + 1 holders wrong, the median, and the mean without the f least and the
f largest, stay between the least and the largest entry of an honest holder. Noisy uploads are released
values, so this costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.waist import Combination, IntVector


def combined(vectors: Sequence[IntVector], combination: Combination) -> IntVector:
    """One vector of many, on the scale of their sum, so that whoever divides by `holders` has their middle.

    Args:
        vectors: one a holder, each of shape `(length,)`, int64.
        combination: as the round's plan says.

    Returns:
        Shape `(length,)`, int64, rounded half upwards.

    Raises:
        WaistError: RF-W205 fewer than `2 wrong + 1` vectors.
    """
    holders, wrong = len(vectors), combination.wrong
    if holders < 2 * wrong + 1:
        raise WaistError(
            "RF-W205",
            N_("Uploads that came in: {found}; to withstand {wrong} wrong ones, {needed} are needed."),
            found=holders,
            wrong=wrong,
            needed=2 * wrong + 1,
        )
    stacked = np.stack(vectors)
    if combination.rule == "mean":
        return np.asarray(stacked.sum(axis=0, dtype=np.int64))
    dropped = wrong if combination.rule == "trimmed-mean" else (holders - 1) // 2
    kept = np.sort(stacked, axis=0)[dropped : holders - dropped]
    # Whole numbers throughout: the quotient is scaled before the rest, so nothing is larger than an honest
    # sum.
    whole, rest = np.divmod(kept.sum(axis=0, dtype=np.int64), len(kept))
    return np.asarray(holders * whole + (2 * holders * rest + len(kept)) // (2 * len(kept)))
