"""Lines up words and numbers in columns of a terminal, of which a Chinese character takes two."""

from __future__ import annotations

from unicodedata import east_asian_width


def padded(text: str, width: int) -> str:
    """A text with blanks after it up to so many columns."""
    return text + _blanks(text, width)


def right(text: object, width: int) -> str:
    """A text or a number with blanks before it up to so many columns, one at least."""
    said = str(text)
    return (_blanks(said, width) or " ") + said


def _blanks(text: str, width: int) -> str:
    taken = sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
    return " " * (width - taken)
