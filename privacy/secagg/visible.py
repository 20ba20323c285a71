"""Vectors that leave without a mask, in words of the round's size: for studies whose uploads are visible.

Only local noise makes such a vector private; what the signed study says about both is checked in
`privacy/agreements/terms.py`.
"""

from __future__ import annotations

import numpy as np

from ringfence.privacy.secagg.masks import to_words
from ringfence.privacy.waist import IntVector, VisibleUpdate


def show(vector: IntVector, *, holder: str, round: int, attempt: int, word_bits: int) -> VisibleUpdate:
    """Put a noisy vector into words as it is.

    Args:
        vector: shape `(length,)`, int64; the holder's whole noise is already in it.
        holder: whose it is.
        round: index of the round.
        attempt: number of the attempt.
        word_bits: 32 or 64, from `choose_word_bits`.

    Raises:
        WaistError: RF-W150 not an int64 vector or word size, RF-W151 an entry needs more bits than a word
            has.
    """
    words = to_words(vector, word_bits)
    return VisibleUpdate(holder=holder, round=round, attempt=attempt, word_bits=word_bits, words=words)


def seen(update: VisibleUpdate) -> IntVector:
    """The vector in the words, shape `(length,)`, int64."""
    return update.words.view(np.int32 if update.word_bits == 32 else np.int64).astype(np.int64)
