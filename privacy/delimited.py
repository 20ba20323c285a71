"""Cuts delimited text into fields as bytes, and decodes only the columns that are asked for.

A column nobody may use is thus never decoded, whatever it holds. `tabular` is the way in.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from ringfence.privacy.documents.columns import WHITESPACE
from ringfence.privacy.errors import N_, TableError

_HEADER_LIMIT: Final = 1 << 20
_MULTIBYTE: Final = frozenset({"gb18030", "gbk", "gb2312"})
_ONE_BYTE: Final = frozenset({"utf-8", "utf-8-sig", "ascii", "iso8859-1", "cp1252", "iso8859-15"})
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
                N_('The encoding "{encoding}" is unknown; use "utf-8" or "gb18030" in [source].'),
                encoding=self.encoding,
            ) from None

    def splits_as_bytes(self) -> bool:
        """Whether fields can be cut before decoding: no byte of a character looks like the delimiter."""
        codec = self.codec()
        if self.delimiter == WHITESPACE:
            return codec in _MULTIBYTE | _ONE_BYTE
        if codec in _MULTIBYTE:  # second and fourth bytes lie in 0x30-0x39 and 0x40-0x7E
            return ord(self.delimiter) < 0x30 or 0x3A <= ord(self.delimiter) <= 0x3F
        return codec in _ONE_BYTE


def shown(numbers: Sequence[int]) -> str:
    """The first few numbers for a message, e.g. `3, 8, 12 ...`."""
    return ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")


def header_bytes(path: Path, stream: BinaryIO) -> bytes:
    """The bytes of the header record: lines until the quotation marks are even."""
    header = b""
    while line := stream.readline(_HEADER_LIMIT):
        header += line if header or line.strip(b"\xef\xbb\xbf \t\r\n") else b""
        if header and header.count(b'"') % 2 == 0:
            break
        if len(header) >= _HEADER_LIMIT:
            raise _unparsable(path)
    return header


def header(path: Path, layout: Layout) -> tuple[list[str], int]:
    """Column names and the number of physical lines up to and with the header."""
    codec = layout.codec()
    if layout.names is not None:
        return list(layout.names), 0
    if not layout.splits_as_bytes():
        with path.open(encoding=codec, errors="replace", newline="") as text:
            reader = csv.reader(text, delimiter=layout.delimiter)
            names = next((row for row in reader if row), [])
            return [name.strip().removeprefix("\ufeff") for name in names], reader.line_num
    with path.open("rb") as stream:
        raw = header_bytes(path, stream)
        consumed = stream.tell()
        stream.seek(0)
        lines = stream.read(consumed).count(b"\n")
    try:
        text_header = raw.decode("utf-8-sig" if codec == "utf-8" else codec)
    except UnicodeDecodeError:
        raise _undecodable(path, layout, None) from None
    if layout.delimiter == WHITESPACE:
        return text_header.split(), max(lines, 1)
    try:
        names = next(csv.reader([text_header], delimiter=layout.delimiter), [])
    except csv.Error:
        raise _unparsable(path) from None
    return [name.strip() for name in names], max(lines, 1)


def records(path: Path, layout: Layout, *, strict: bool = False) -> Iterator[tuple[int, int]]:
    """(first line, number of fields) of every record after the header, cut but not decoded.

    With `strict`, raises RF-T036 where quotation marks do not pair up; else ends there.
    """
    codec = "latin-1" if layout.splits_as_bytes() else layout.codec()
    if layout.delimiter == WHITESPACE:
        yield from _blank_records(path, layout)
        return
    with path.open(encoding=codec, errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=layout.delimiter, strict=strict)
        start, seen_header = 1, layout.names is not None
        try:
            for row in reader:
                if row and seen_header:
                    yield start, len(row)
                seen_header = seen_header or bool(row)
                start = reader.line_num + 1
        except csv.Error:
            if strict:
                raise _unparsable_from(path, start) from None


def _blank_records(path: Path, layout: Layout) -> Iterator[tuple[int, int]]:
    seen_header = layout.names is not None
    with path.open("rb") as stream:
        for line, raw in enumerate(stream, start=1):
            cells = len(raw.split())
            if cells and seen_header:
                yield line, cells
            seen_header = seen_header or bool(cells)


def _cut_at_blanks(path: Path) -> io.BytesIO:
    """The file with one tab between two cells and none around a line, for the one reader there is."""
    with path.open("rb") as stream:
        return io.BytesIO(b"\n".join(b"\t".join(line.split()) for line in stream))


def _unparsable(path: Path) -> TableError:
    return TableError(
        "RF-T012",
        N_(
            "The file {file} cannot be cut into rows and columns, most often for a quotation mark that is never "
            "closed. Export it again with quoted text."
        ),
        file=path.name,
    )


def _unparsable_from(path: Path, line: int) -> TableError:
    return TableError(
        "RF-T036",
        N_(
            "The file {file} cannot be cut into rows and columns from line {line} on, most often for a quotation mark "
            "that is never closed there. Export it again with quoted text."
        ),
        file=path.name,
        line=line,
    )


def _undecodable(path: Path, layout: Layout, column: str | None) -> TableError:
    other = "utf-8" if layout.codec() in _MULTIBYTE else "gb18030"
    if column is None:
        return TableError(
            "RF-T013",
            N_('The header of {file} is not valid {encoding} text. Try encoding = "{other}" in [source].'),
            file=path.name,
            encoding=layout.encoding,
            other=other,
        )
    return TableError(
        "RF-T016",
        N_('Column "{column}" of {file} is not valid {encoding} text. Try encoding = "{other}" in [source].'),
        column=column,
        file=path.name,
        encoding=layout.encoding,
        other=other,
    )


def read_delimited(path: Path, names: Sequence[str], wanted: Sequence[str], layout: Layout) -> Any:
    """The wanted columns as text, a `pyarrow.Table`; `names` are all columns of the header, each wanted one once."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    ragged = False

    def skip(_row: object) -> str:
        nonlocal ragged
        ragged = True
        return "skip"

    as_bytes, blanks = layout.splits_as_bytes(), layout.delimiter == WHITESPACE
    positions = [str(names.index(name)) for name in wanted]
    try:
        table = pa_csv.read_csv(
            _cut_at_blanks(path) if blanks else path,
            read_options=pa_csv.ReadOptions(
                column_names=[str(i) for i in range(len(names))],
                skip_rows=header(path, layout)[1],
                encoding="utf8" if as_bytes else layout.codec(),
                block_size=1 << 22,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter="\t" if blanks else layout.delimiter,
                quote_char=False if blanks else '"',
                newlines_in_values=not blanks,
                invalid_row_handler=skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=positions,
                column_types=dict.fromkeys(positions, pa.binary()),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except UnicodeDecodeError:
        raise _undecodable(path, layout, None) from None
    except pa.ArrowInvalid:
        if not any(True for _ in records(path, layout, strict=True)):  # a header and nothing else
            table = pa.table({position: pa.array([], pa.binary()) for position in positions})
        else:
            raise (_misfits(path, len(names), layout) or _unparsable(path)) from None
    if not blanks and _quotes_are_odd(path):
        for _ in records(path, layout, strict=True):  # a mark that is never closed swallows what follows
            pass
    if ragged:
        raise _misfits(path, len(names), layout) or _unparsable(path)
    codec = layout.codec() if as_bytes else "utf-8"
    columns = []
    for name, position in zip(wanted, positions, strict=True):
        try:
            columns.append(_decode(table[position].combine_chunks(), codec))
        except (UnicodeDecodeError, pa.ArrowInvalid):
            raise _undecodable(path, layout, name) from None
    return pa.table(dict(zip(wanted, columns, strict=True)))


def _quotes_are_odd(path: Path) -> bool:
    with path.open("rb") as stream:
        return sum(block.count(b'"') for block in iter(lambda: stream.read(1 << 20), b"")) % 2 == 1


def _decode(column: Any, codec: str) -> Any:
    """Bytes to text; multi-byte encodings once per distinct value."""
    import pyarrow as pa

    if codec in {"utf-8", "utf-8-sig", "ascii"}:
        return column.cast(pa.string())
    coded = column.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    texts = [value.decode(codec) for value in distinct]
    if codec in _MULTIBYTE and _is_chinese_utf8([value for value in distinct if not value.isascii()]):
        raise UnicodeDecodeError(codec, b"", 0, 0, "UTF-8")
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(texts, pa.string())).cast(pa.string())


def _is_chinese_utf8(values: Sequence[bytes]) -> bool:
    """Whether every one of some texts is UTF-8 of East Asian characters, which GB18030 bytes practically never are.

    Read as GB18030 they would decode into other characters without an error.
    """
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError:
        return False
    return bool(texts) and all(char.isascii() or char >= "\u2e80" for text in texts for char in text)


def _misfits(path: Path, expected: int, layout: Layout) -> TableError | None:
    """The refusal of the rows with too many or too few fields, if there are any."""
    lines = [line for line, length in records(path, layout, strict=True) if length != expected]
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
