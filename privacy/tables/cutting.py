"""Cuts delimited text into records as RFC 4180 has it, and tells the line where it does not.

A field that begins with a quotation mark ends at the next mark that is not doubled, and a delimiter or a line
end follows. Whether a file holds to that never depends on how many marks it has: a mark that is not closed
swallows rows silently until another one happens to come. Inside a field that begins otherwise, as in 5" pipe,
a mark is only a character, for no cell is cut at another place by it; but not after blanks alone, where it
was meant to begin the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, Final

import numpy as np

WHITESPACE: Final = "whitespace"
"""Delimiter of a file whose cells stand apart by any number of blanks, and are never quoted."""

UTF8_MARK: Final = b"\xef\xbb\xbf"
BLOCK: Final = 1 << 22
DELIMITERS: Final = (",", ";", "\t", "|")
_MARK: Final = ord('"')
_ENDS: Final = (ord("\n"), ord("\r"))
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


class StrayMark(ValueError):
    """A quotation mark that RFC 4180 does not allow.

    Attributes:
        line: where it stands; of a field that is not closed, where the field begins.
    """

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row of a file.

    Attributes:
        line, last: its first and last line, from 1.
        text: all of it but the line end.
    """

    line: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class _Grammar:
    """What a line may be: from outside (`whole`, `opening`) or inside a quoted field (the others)."""

    whole: re.Pattern[str]
    opening: re.Pattern[str]
    inside: re.Pattern[str]
    closed: re.Pattern[str]
    closing: re.Pattern[str]
    reopening: re.Pattern[str]


@lru_cache(maxsize=16)
def _grammar(delimiter: str) -> _Grammar:
    cut, body = re.escape(delimiter), '(?:[^"]++|"")*+'
    blanks = "[ ]*+" if delimiter == "\t" else "[ \\t]*+"
    cell = f'(?:"{body}"|(?!{blanks}")[^{cut}]*+)'
    return _Grammar(
        whole=re.compile(f"{cell}(?:{cut}{cell})*"),
        opening=re.compile(f'(?:{cell}{cut})*+"{body}'),
        inside=re.compile(body),
        closed=re.compile(f'{body}"(?:{cut}|$)'),
        closing=re.compile(f'{body}"(?:{cut}{cell})*'),
        reopening=re.compile(f'{body}"(?:{cut}{cell})*{cut}"{body}'),
    )


def bare(line: str) -> str:
    """A line without its end: CR LF, LF, or the CR of old programs."""
    return line[:-2] if line.endswith("\r\n") else line[:-1] if line.endswith(("\n", "\r")) else line


def separator_line(line: str) -> str | None:
    """The delimiter that a spreadsheet's first line such as `sep=;` names; such a line is no header."""
    named = _SEPARATOR_LINE.fullmatch(bare(line))
    return named[1] if named else None


def text_rows(
    lines: Iterable[str], delimiter: str, *, width: int | None = None, first: int = 1, is_cut: bool = False
) -> Iterator[TextRow]:
    """The rows that lines hold; blank ones are passed over.

    Args:
        lines: with their line ends, as a text file opened with `newline=""` gives them.
        delimiter: one character.
        width: cells of the header, to notice a mark that swallows rows though a later one closes it.
        first: number of the first line.
        is_cut: the lines end anywhere; a last record that is not closed is left out.

    Raises:
        StrayMark: where a quotation mark is not as RFC 4180 has it.
    """
    grammar = _grammar(delimiter)
    held: list[str] = []
    begun = opened = first
    for number, line in enumerate(lines, start=first):
        text = bare(line)
        if not held:
            if not text:
                continue
            if '"' not in text or grammar.whole.fullmatch(text):
                yield TextRow(number, number, text)
                continue
            if not grammar.opening.fullmatch(text):
                raise StrayMark(number)
            begun = opened = number
            held.append(line)
            continue
        held.append(line)
        if '"' not in text or grammar.inside.fullmatch(text):
            continue
        if grammar.reopening.fullmatch(text):
            opened = number
            continue
        if not grammar.closing.fullmatch(text):
            raise StrayMark(number if grammar.closed.match(text) else opened)
        if _swallows(held, delimiter, width):
            raise StrayMark(opened)
        yield TextRow(begun, number, bare("".join(held)))
        held = []
    if held and not is_cut:
        raise StrayMark(opened)


def _swallows(lines: Sequence[str], delimiter: str, width: int | None) -> bool:
    """Whether most lines of one record would each be a row by themselves.

    Text of several lines hardly ever has the header's number of cells in most of them, rows always have. With
    two columns one comma a line is enough, so all of at least three lines have to look like rows; with two
    lines, a comma before a blank is one of prose.
    """
    if width is None or width < 2:
        return False
    some = [bare(line) for line in lines if bare(line)]
    rows = sum(line.count(delimiter) == width - 1 for line in some)
    if len(some) == 2:
        prose = any(delimiter + " " in line or line.endswith(delimiter) for line in some)
        return width > 2 and rows == 2 and not prose
    return rows == len(some) if width == 2 else 2 * rows > len(some)


def cells(text: str, delimiter: str) -> list[str]:
    """The cells of a record, without quotation marks."""
    if '"' not in text:
        return text.split(delimiter)
    quoted = re.compile('"((?:[^"]++|"")*+)"')
    made: list[str] = []
    at = 0
    while True:
        if mark := quoted.match(text, at):
            made.append(mark[1].replace('""', '"'))
            at = mark.end()
        else:
            end = text.find(delimiter, at)
            made.append(text[at:] if end < 0 else text[at:end])
            at += len(made[-1])
        if at >= len(text):
            return made
        at += 1


def is_plainly_quoted(stream: BinaryIO, delimiter: bytes) -> bool:
    """Whether every mark is as RFC 4180 has it and no quoted field holds a line end.

    A quick look at the bytes; where it says no, `text_rows` tells whether there is a fault, and where.

    Args:
        stream: from its first byte on, in an encoding whose characters hold no byte of a mark, a line end or
            the delimiter.
        delimiter: one byte.
    """
    around, ends_line = np.zeros((2, 256), dtype=np.bool_)
    around[[*delimiter, *_ENDS, _MARK]] = True
    ends_line[[*_ENDS]] = True
    held, marks_before, at_end = b"\n", 0, False
    skipped = False
    while not at_end:
        block = stream.read(BLOCK)
        if not skipped:
            while block.startswith(UTF8_MARK):
                block = block[len(UTF8_MARK) :]
            skipped = True
        at_end = not block
        held += block or b"\n"
        if b'"' in held or marks_before % 2:
            # The first byte was looked at with the block before, the last one will be with the next.
            view = np.frombuffer(held, dtype=np.uint8)
            marks = np.flatnonzero(view[1:-1] == _MARK) + 1
            is_opening = (marks_before + np.arange(len(marks))) % 2 == 0
            beside = np.where(is_opening, view[marks - 1], view[marks + 1])
            if not around[beside].all():
                return False
            ends = np.flatnonzero(ends_line[view[1:-1]]) + 1
            if ((marks_before + np.searchsorted(marks, ends)) % 2).any():
                return False
            marks_before += len(marks)
        held = held[-2:]
    return marks_before % 2 == 0
