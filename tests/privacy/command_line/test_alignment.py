"""Columns of a terminal stand below each other in both languages."""

from __future__ import annotations

import pytest

from ringfence.privacy.command_line.alignment import padded, right


@pytest.mark.parametrize("text", ["left", "剩余", "（mu²）剩", "", "longer than twelve columns"])
def test_columns_of_a_terminal_are_counted_not_characters(text: str) -> None:
    width = sum(2 if ord(character) > 0x2E80 else 1 for character in text)
    assert padded(text, 12) == text + " " * max(0, 12 - width)
    assert right(text, 12) == (" " * max(0, 12 - width) or " ") + text


def test_numbers_stand_right_below_their_headings() -> None:
    assert right(1234, 6) == "  1234"
    assert right(1234567, 6) == " 1234567"
