"""How a delimited file is laid out: its header, the lines its rows stand on, and what is wrong with them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from ringfence.privacy.errors import N_, TableError, _
from ringfence.privacy.tables import cutting, encodings
from ringfence.privacy.tables.cutting import WHITESPACE, StrayMark, TextRow

_HEADER_LIMIT: Final = 1 << 20
MULTIBYTE: Final = frozenset({"gb18030", "gbk", "gb2312"})
_ONE_BYTE: Final = frozenset({"utf-8", "utf-8-sig", "ascii", "iso8859-1", "cp1252", "iso8859-15"})
_BYTE_ORDER_MARKS: Final = ("\ufeff", cutting.UTF8_MARK.decode("latin-1"))
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a delimited file is written; Parquet files ignore it.

    Attributes:
        delimiter: one character, or `WHITESPACE`.
        encoding: as Python or the contract calls it.
        names: of the columns of a file without a header line; None where the file has one.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    names: tuple[str, ...] | None = None

    def codec(self) -> str:
        """The encoding's canonical name; raises `TableError` RF-T010 when Python knows no such encoding."""
        try:
            return codecs.lookup(self.encoding).name
        except LookupError:
            raise TableError(
                "RF-T010",
                N_('The encoding "{encoding}" is unknown; use one such as "utf-8" or "gb18030".'),
                encoding=self.encoding,
            ) from None

    def splits_as_bytes(self) -> bool:
        """Whether fields can be cut before decoding: no byte of a character looks like the delimiter."""
        codec = self.codec()
        if self.delimiter == WHITESPACE:
            return codec in MULTIBYTE | _ONE_BYTE
        if codec in MULTIBYTE:  # second and fourth bytes lie in 0x30-0x39 and 0x40-0x7E
            return ord(self.delimiter) < 0x30 or 0x3A <= ord(self.delimiter) <= 0x3F
        return codec in _ONE_BYTE


def shown(numbers: Sequence[int]) -> str:
    """The first few numbers for a message, e.g. `3, 8, 12 ...`."""
    return ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")


@dataclass(frozen=True, slots=True)
class _Start:
    """What stands before the first row.

    Attributes:
        lines: how many lines that are.
        header: the header's record, or None where the file has none.
    """

    lines: int
    header: TextRow | None


def header(path: Path, layout: Layout) -> tuple[list[str], int]:
    """Column names and the number of physical lines up to and with the header.

    Raises:
        TableError: RF-T012 a header without an end, RF-T013 one in another encoding, RF-T036 one with a stray
            quotation mark.
    """
    start = _start(path, layout)
    if layout.names is not None:
        return list(layout.names), start.lines
    if start.header is None:
        return [], start.lines
    text = start.header.text
    if layout.splits_as_bytes():
        raw = text.encode("latin-1")
        try:
            text = raw.decode(layout.codec())
        except UnicodeDecodeError:
            raise undecodable(path, layout, None, raw) from None
    if layout.delimiter == WHITESPACE:
        return text.split(), start.lines
    return [name.strip("\ufeff \t\u00a0") for name in cutting.cells(text, layout.delimiter)], start.lines


def header_bytes(path: Path, layout: Layout) -> bytes:
    """The bytes of the header where fields are cut as bytes, otherwise none."""
    start = _start(path, layout).header if layout.splits_as_bytes() else None
    return b"" if start is None else start.text.encode("latin-1")


@contextmanager
def _opened(path: Path, layout: Layout) -> Iterator[TextIO]:
    """The file as text after its byte order marks; a character stands for a byte where they are cut so."""
    codec = "latin-1" if layout.splits_as_bytes() else layout.codec()
    with path.open(encoding=codec, errors="replace", newline="") as text:
        skipped = 0
        while (begin := text.read(3)).startswith(_BYTE_ORDER_MARKS):
            mark = next(mark for mark in _BYTE_ORDER_MARKS if begin.startswith(mark))
            skipped += len(mark)
            text.seek(0)
            text.read(skipped)
        text.seek(0)
        text.read(skipped)
        yield text


def _lines(path: Path, text: TextIO) -> Iterator[str]:
    """Lines while a header is looked for: one without an end is refused before it fills the memory."""
    while line := text.readline(_HEADER_LIMIT):
        if len(line) == _HEADER_LIMIT:
            raise unparsable(path)
        yield line


def _start(path: Path, layout: Layout) -> _Start:
    with _opened(path, layout) as text:
        first = next(_lines(path, text), "")
        named = layout.delimiter != WHITESPACE and cutting.separator_line(first) is not None
        if layout.names is not None:
            return _Start(1 if named else 0, None)
        lines = _lines(path, text) if named else _and_more(first, _lines(path, text))
        record = next(_records(path, lines, layout, first=2 if named else 1), None)
    return _Start(0 if record is None else record.last, record)


def _and_more(first: str, more: Iterator[str]) -> Iterator[str]:
    yield first
    yield from more


def _records(
    path: Path, lines: Iterator[str], layout: Layout, *, width: int | None = None, first: int = 1
) -> Iterator[TextRow]:
    if layout.delimiter == WHITESPACE:
        for number, line in enumerate(lines, start=first):
            if line.strip():
                yield TextRow(number, number, cutting.bare(line))
        return
    try:
        yield from cutting.text_rows(lines, layout.delimiter, width=width, first=first)
    except StrayMark as stray:
        raise _stray(path, stray.line) from None


def records(path: Path, layout: Layout) -> Iterator[tuple[int, int]]:
    """(first line, number of fields) of every record after the header, cut but not decoded.

    Raises:
        TableError: RF-T036 where a quotation mark is not as RFC 4180 has it.
    """
    for record in _rows(path, layout):
        yield record.line, len(_cells(record, layout))


def _cells(record: TextRow, layout: Layout) -> list[str]:
    blanks = layout.delimiter == WHITESPACE
    return record.text.split() if blanks else cutting.cells(record.text, layout.delimiter)


def _rows(path: Path, layout: Layout) -> Iterator[TextRow]:
    start = _start(path, layout)
    width = len(layout.names or ()) if start.header is None else len(_cells(start.header, layout))
    with _opened(path, layout) as text:
        for _ in range(start.lines):
            text.readline()
        yield from _records(path, text, layout, width=width, first=start.lines + 1)


def require_strict(path: Path, layout: Layout) -> None:
    """Refuse stray quotation marks before anything is read: they move cells into other customers' rows."""
    if layout.delimiter == WHITESPACE:
        return
    if layout.splits_as_bytes():
        with path.open("rb") as stream:
            if cutting.is_plainly_quoted(stream, layout.delimiter.encode("latin-1")):
                return
    for _record in _rows(path, layout):
        pass


def unparsable(path: Path) -> TableError:
    """The refusal of a file that has no rows to be found."""
    return TableError(
        "RF-T012",
        N_(
            "The file {file} cannot be cut into rows and columns. Export it again as CSV with a header line "
            "and one row a line."
        ),
        file=path.name,
    )


def _stray(path: Path, line: int) -> TableError:
    return TableError(
        "RF-T036",
        N_(
            "The file {file} cannot be cut into rows and columns from line {line} on: a quotation mark "
            "there is not at the edge of its field, is never closed, or closes so late that it swallows "
            "rows. Export it again with text quoted as in RFC 4180."
        ),
        file=path.name,
        line=line,
    )


def undecodable(path: Path, layout: Layout, column: str | None, raw: bytes) -> TableError:
    """The refusal of text in another encoding, with the one it seems to be in."""
    other = encodings.guessed_encoding(raw)
    if other is None or codecs.lookup(other).name == layout.codec():
        hint = _(" Name its encoding where the file is named, or save it as UTF-8.")
    else:
        hint = _(
            ' It looks like {other}: set encoding = "{other}" in [source], or --encoding of a command.'
        ).format(other=other)
    if column is None:
        return TableError(
            "RF-T013",
            N_("The header of {file} is not valid {encoding} text.{hint}"),
            file=path.name,
            encoding=layout.encoding,
            hint=hint,
        )
    return TableError(
        "RF-T016",
        N_('Column "{column}" of {file} is not valid {encoding} text.{hint}'),
        column=column,
        file=path.name,
        encoding=layout.encoding,
        hint=hint,
    )


def misfits(path: Path, expected: int, layout: Layout) -> TableError | None:
    """The refusal of the rows with too many or too few fields, if there are any."""
    lines = [line for line, length in records(path, layout) if length != expected]
    if not lines:
        return None
    return TableError(
        "RF-T014",
        N_(
            "{count} row(s) of {file} do not have {expected} fields as the header has (line {lines}). "
            "Quote fields that hold the delimiter, or export the file again."
        ),
        count=len(lines),
        file=path.name,
        expected=expected,
        lines=shown(lines),
    )
