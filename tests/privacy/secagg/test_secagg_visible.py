"""Vectors that leave without a mask: the same numbers on both sides, also negative ones."""

from __future__ import annotations

import numpy as np
import pytest

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.visible import seen, show


@pytest.mark.parametrize(("bits", "dtype"), [(32, "uint32"), (64, "uint64")])
def test_what_is_shown_is_what_is_seen(bits: int, dtype: str) -> None:
    limit = 1 << (bits - 1)
    vector = np.array([0, -1, 7, limit - 1, -limit], dtype=np.int64)
    update = show(vector, holder="bank", round=3, attempt=2, word_bits=bits)
    assert (update.holder, update.round, update.attempt, update.word_bits) == ("bank", 3, 2, bits)
    assert update.words.dtype == dtype
    found = seen(update)
    assert found.dtype == np.int64
    assert found.tolist() == vector.tolist()
    update.words[0] += 1
    assert vector[0] == 0


def test_what_needs_more_bits_is_not_shown() -> None:
    with pytest.raises(WaistError, match="RF-W151"):
        show(np.array([1 << 31]), holder="bank", round=0, attempt=0, word_bits=32)
    with pytest.raises(WaistError, match="RF-W150"):
        show(np.array([1]), holder="bank", round=0, attempt=0, word_bits=16)
