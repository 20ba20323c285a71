"""Summing answers: one of each member, all alike, decoded by two's complement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.masks import sum_words
from ringfence.privacy.waist import MaskedUpdate

MEMBERS = ("bank", "shop", "telco")


def answer(holder: str, words: list[int], bits: int = 32) -> MaskedUpdate:
    dtype: Any = np.uint32 if bits == 32 else np.uint64
    return MaskedUpdate(holder=holder, round=2, attempt=1, word_bits=bits, words=np.array(words, dtype=dtype))


UPDATES = [answer(name, [i + 1]) for i, name in enumerate(MEMBERS)]


def test_the_order_of_answers_does_not_matter() -> None:
    assert sum_words(UPDATES, members=MEMBERS).tolist() == [6]
    assert sum_words(UPDATES[::-1], members=MEMBERS).tolist() == [6]


@pytest.mark.parametrize("bits", [32, 64])
def test_words_wrap_and_decode_by_twos_complement(bits: int) -> None:
    top, half = (1 << bits) - 1, 1 << (bits - 1)
    parts = [answer("bank", [top, half, half - 1, top], bits), answer("shop", [top, 0, 0, 2], bits)]
    assert sum_words(parts, members=("bank", "shop")).tolist() == [-2, -half, half - 1, 1]


def test_the_answers_are_left_as_they_were() -> None:
    sum_words(UPDATES, members=MEMBERS)
    assert [update.words.tolist() for update in UPDATES] == [[1], [2], [3]]


STRANGER = replace(UPDATES[2], holder="stranger")


@pytest.mark.parametrize(
    "updates",
    [
        [],
        UPDATES[:2],
        [*UPDATES, UPDATES[0]],
        [*UPDATES[:2], UPDATES[0]],
        [*UPDATES[:2], STRANGER],
        [*UPDATES, STRANGER],
    ],
    ids=["none", "missing", "doubled", "doubled and missing", "stranger instead", "stranger besides"],
)
def test_a_sum_needs_one_answer_of_each_member(updates: list[MaskedUpdate]) -> None:
    with pytest.raises(WaistError, match="RF-W153"):
        sum_words(updates, members=MEMBERS)


def test_a_sum_over_nobody_is_refused() -> None:
    with pytest.raises(WaistError, match="RF-W153"):
        sum_words([], members=[])


@pytest.mark.parametrize(
    "change",
    [
        {"round": 1},
        {"attempt": 0},
        {"word_bits": 64},
        {"words": np.zeros(2, dtype=np.uint32)},
        {"words": np.zeros(1, dtype=np.uint64)},
        {"words": np.zeros((1, 1), dtype=np.uint32)},
    ],
)
def test_a_sum_of_unlike_answers_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WaistError, match="RF-W154"):
        sum_words([*UPDATES[:2], replace(UPDATES[2], **change)], members=MEMBERS)


def test_words_of_another_size_than_declared_are_refused() -> None:
    with pytest.raises(WaistError, match="RF-W154"):
        sum_words([replace(update, word_bits=64) for update in UPDATES], members=MEMBERS)
