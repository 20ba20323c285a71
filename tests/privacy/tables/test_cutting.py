"""Text is cut as RFC 4180 has it: checked against a reader that goes character by character."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence.privacy.tables import cutting
from ringfence.privacy.tables.cutting import StrayMark, cells, is_plainly_quoted, text_rows

TEXT = st.text(st.sampled_from('a ,"\n\r'), max_size=14)


class Oracle:
    """RFC 4180, one character after the other: rows with their first lines, or the line of a stray mark."""

    def __init__(self, text: str) -> None:
        self.rows: list[tuple[int, list[str]]] = []
        self.stray: int | None = None
        self.bare_marks = False
        self.text, self.at, self.line = text, 0, 1
        while self.at < len(text) and self.stray is None:
            start, row, was_quoted = self.line, [self._field()], self._quoted
            while self.stray is None and self._next() == ",":
                self.at += 1
                row.append(self._field())
            self._end()
            if self.stray is None and (row != [""] or was_quoted):
                self.rows.append((start, row))

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _end(self) -> str:
        """Pass over a line end, if one is here."""
        end = self.text[self.at : self.at + 2]
        end = end if end == "\r\n" else end[:1] if end[:1] in {"\r", "\n"} else ""
        self.at += len(end)
        self.line += bool(end)
        return end

    def _field(self) -> str:
        self._quoted = self._next() == '"'
        return self._inside(self.line) if self._quoted else self._plain()

    def _plain(self) -> str:
        begin = self.at
        while self._next() not in {"", ",", "\r", "\n"}:
            self.at += 1
        field = self.text[begin : self.at]
        self.bare_marks |= '"' in field
        if field.lstrip(" ").startswith('"'):
            self.stray = self.line
        return field

    def _inside(self, opened: int) -> str:
        made, self.at = "", self.at + 1
        while True:
            if end := self._end():
                made += end
            elif self.text.startswith('""', self.at):
                made, self.at = made + '"', self.at + 2
            elif self._next() == '"':
                self.at += 1
                if self._next() not in {"", ",", "\r", "\n"}:
                    self.stray = opened
                return made
            elif not self._next():
                self.stray = opened
                return made
            else:
                made, self.at = made + self._next(), self.at + 1


@settings(max_examples=600, deadline=None)
@given(TEXT, st.integers(1, 5))
@example('a,"b\na,"b', 2)
@example('a"a,"a"\n a "\n, "a"', 2)
@example('"\n",a"\n', 1)
@example('"a""', 1)
@example('"a\r\nb"\r\n\r\nc', 3)
def test_rows_and_strays_are_those_of_the_standard(text: str, block: int) -> None:
    oracle = Oracle(text)
    made: list[tuple[int, list[str]]] = []
    stray = None
    try:
        cut = text_rows(io.StringIO(text, newline=""), ",")
        made.extend((record.line, cells(record.text, ",")) for record in cut)
    except StrayMark as found:
        stray = found.line
    assert stray == oracle.stray
    if stray is None:
        assert made == oracle.rows
    plainly = stray is None and not any(mark in cell for _, row in made for cell in row for mark in "\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK", block)
        quick = is_plainly_quoted(io.BytesIO(text.encode()), b",")
    if oracle.bare_marks:  # only a character, but beyond the quick look
        assert not quick
    else:
        assert quick == plainly


@pytest.mark.parametrize(
    ("text", "width", "stray"),
    [
        ('1,"x,2.5\n2,y,3.5\n3,z",4.5\n', 3, 1),  # rows of three cells are swallowed
        ('0,x,1.5\n1,"x,2.5\n2,y",3.5\n', 3, 2),
        ('1,"Dear all,\nthank you, and bye",4.5\n', 3, None),
        ('1,"line one\nline two, still"\n', 2, None),
        ('1,"x\n2,y\n3,z"\n', 2, 1),
        ('1,"one\ntwo\nthree"\n', 2, None),
        ('1,"a\n\n\nb"\n', 2, None),
        ('"a\nb"\n', 1, None),
    ],
)
def test_a_mark_that_swallows_rows_is_noticed_though_it_is_closed(
    text: str, width: int, stray: int | None
) -> None:
    lines = io.StringIO(text, newline="")
    if stray is None:
        assert list(text_rows(lines, ",", width=width))
    else:
        with pytest.raises(StrayMark) as caught:
            list(text_rows(lines, ",", width=width))
        assert caught.value.line == stray
    assert list(text_rows(io.StringIO(text, newline=""), ","))


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("sep=;\r\n", ";"),
        ("SEP=,\n", ","),
        ('"sep=\t"', "\t"),
        ("sep=;;", None),
        ("a;b", None),
        ("sep=", None),
    ],
)
def test_a_line_that_names_the_delimiter(line: str, delimiter: str | None) -> None:
    assert cutting.separator_line(line) == delimiter
