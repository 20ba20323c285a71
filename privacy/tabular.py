"""Reads named columns of a CSV or Parquet file into Arrow, and decodes no other column.

A CSV file is split into fields as bytes; only the columns asked for are then turned into text, so a column
nobody may use is never decoded, whatever it holds. Every fault is one sentence with a line number where there
is one, and never a value: Arrow's own messages quote the offending row, so they are not passed on.
"""

from __future__ import annotations

import codecs
import csv
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from ringfence.privacy.errors import N_, TableError, _

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEADER_LIMIT: Final = 1 << 20
_MULTIBYTE: Final = frozenset({"gb18030", "gbk", "gb2312"})
_ONE_BYTE: Final = frozenset({"utf-8", "utf-8-sig", "ascii", "iso8859-1", "cp1252", "iso8859-15"})
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a delimited file is written; Parquet files ignore it."""

    delimiter: str = ","
    encoding: str = "utf-8"

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
        if codec in _MULTIBYTE:  # second and fourth bytes lie in 0x30-0x39 and 0x40-0x7E
            return ord(self.delimiter) < 0x30 or 0x3A <= ord(self.delimiter) <= 0x3F
        return codec in _ONE_BYTE


def is_parquet(path: Path) -> bool:
    """Whether the file is named as Parquet."""
    return path.suffix.lower() in {".parquet", ".pq"}


def column_names(path: Path, layout: Layout) -> list[str]:
    """Names of the file's columns in order, from its header or Parquet footer alone."""
    _check_file(path)
    return list(_parquet(path).schema_arrow.names) if is_parquet(path) else _header(path, layout)[0]


def read_columns(path: Path, wanted: Sequence[str], layout: Layout) -> Any:
    """Read columns by name.

    Args:
        path: a `.parquet`/`.pq` file, or anything else as delimited text with a header line.
        wanted: names of columns; nothing else is decoded.
        layout: delimiter and encoding of delimited text.

    Returns:
        A `pyarrow.Table` of the wanted columns in that order; text columns for delimited files, the file's
        own types for Parquet.

    Raises:
        TableError: RF-T001 to RF-T015 for a file that cannot be read as asked, in one sentence each.
    """
    names = column_names(path, layout)
    _check_names(path, names, wanted, layout)
    table = _read_parquet(path, wanted) if is_parquet(path) else _read_delimited(path, names, wanted, layout)
    if not table.num_rows:
        raise TableError(
            "RF-T004",
            N_("The file {file} has a header but no rows; at least one row is expected. Check the export that made it."),
            file=path.name,
        )
    return table


def line_numbers(path: Path, layout: Layout, rows: Iterable[int]) -> list[int]:
    """Where rows (from 0) stand: their first line in delimited text, their number from 1 in Parquet.

    Only for messages about faults: the file is read again, cut into fields but not decoded.
    """
    wanted = sorted(set(rows))
    if is_parquet(path):
        return [row + 1 for row in wanted]
    ask = iter(wanted)
    target, found = next(ask, None), []
    for row, (line, _length) in enumerate(_records(path, layout)):
        if target is None:
            break
        if row == target:
            found.append(line)
            target = next(ask, None)
    return found


def shown(numbers: Sequence[int]) -> str:
    """The first few numbers for a message, e.g. `3, 8, 12 ...`."""
    return ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")


def nearest(name: str, names: Iterable[str]) -> str:
    """` Did you mean "X"?`, or nothing when no name is near."""
    by_folded = {candidate.casefold(): candidate for candidate in names}
    match = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return _(' Did you mean "{name}"?').format(name=by_folded[match[0]]) if match else ""


def _check_file(path: Path) -> None:
    if not path.exists():
        raise TableError(
            "RF-T001", N_("The file {file} does not exist. Point [source] at the table."), file=str(path)
        )
    if not path.is_file():
        raise TableError(
            "RF-T002",
            N_("{file} is a folder or a device; one CSV or Parquet file is expected. Name the file itself."),
            file=str(path),
        )
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as fault:
        raise TableError(
            "RF-T015",
            N_("The file {file} cannot be opened ({reason}). Check its permissions."),
            file=path.name,
            reason=fault.strerror or "input/output error",
        ) from None
    if not start:
        raise TableError(
            "RF-T003",
            N_("The file {file} is empty; a table with a header line is expected. Point [source] at the right file."),
            file=path.name,
        )
    if is_parquet(path) != (start == b"PAR1"):
        template = (
            N_("The file {file} is named as Parquet but is not a Parquet file. Export it again, or name it .csv.")
            if is_parquet(path)
            else N_("The file {file} is a Parquet file by content. Give it the ending .parquet.")
        )
        raise TableError("RF-T005" if is_parquet(path) else "RF-T006", template, file=path.name)
    if start[:2] in (b"PK", b"\x1f\x8b") or start == b"\xd0\xcf\x11\xe0":
        raise TableError(
            "RF-T007",
            N_("The file {file} is a spreadsheet or an archive; plain CSV or Parquet is expected. Export it as CSV."),
            file=path.name,
        )


def _check_names(path: Path, names: Sequence[str], wanted: Sequence[str], layout: Layout) -> None:
    missing = [name for name in wanted if name not in names]
    if missing and len(names) == 1 and not is_parquet(path):
        best = max(_DELIMITERS, key=names[0].count)
        if names[0].count(best):
            raise TableError(
                "RF-T008",
                N_(
                    "The file {file} has one column when cut at {delimiter}; {wanted} are expected. "
                    "Its header holds {best}: set delimiter = {best} in [source]."
                ),
                file=path.name,
                delimiter=repr(layout.delimiter),
                wanted=len(wanted),
                best=repr(best),
            )
    if missing:
        raise TableError(
            "RF-T009",
            N_("The file {file} lacks {count} column(s) that are needed: {columns}.{hint}"),
            file=path.name,
            count=len(missing),
            columns=", ".join(f'"{name}"' for name in missing[:10]),
            hint=nearest(missing[0], names) or _other_encoding(path, layout),
        )
    twice = sorted({name for name in wanted if names.count(name) > 1})
    if twice:
        raise TableError(
            "RF-T011",
            N_("The header of {file} names {columns} more than once; each column is expected once. Rename one."),
            file=path.name,
            columns=", ".join(f'"{name}"' for name in twice),
        )


def _other_encoding(path: Path, layout: Layout) -> str:
    """A hint when a header was read as GB18030 although its bytes are UTF-8."""
    if is_parquet(path) or layout.codec() == "utf-8":
        return ""
    with path.open("rb") as stream:
        header = _header_bytes(path, stream)
    if header.isascii() or not _is_utf8(header):
        return ""
    return _(' Its header is valid UTF-8: try encoding = "utf-8".')


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header_bytes(path: Path, stream: BinaryIO) -> bytes:
    """The bytes of the header record: lines until the quotation marks are even."""
    header = b""
    while line := stream.readline(_HEADER_LIMIT):
        header += line if header or line.strip(b"\xef\xbb\xbf \t\r\n") else b""
        if header and header.count(b'"') % 2 == 0:
            break
        if len(header) >= _HEADER_LIMIT:
            raise _unparsable(path)
    return header


def _header(path: Path, layout: Layout) -> tuple[list[str], int]:
    """Column names and the number of physical lines up to and with the header."""
    codec = layout.codec()
    if not layout.splits_as_bytes():
        with path.open(encoding=codec, errors="replace", newline="") as text:
            reader = csv.reader(text, delimiter=layout.delimiter)
            names = next((row for row in reader if row), [])
            return [name.strip().removeprefix("\ufeff") for name in names], reader.line_num
    with path.open("rb") as stream:
        raw = _header_bytes(path, stream)
        consumed = stream.tell()
        stream.seek(0)
        lines = stream.read(consumed).count(b"\n")
    try:
        text_header = raw.decode("utf-8-sig" if codec == "utf-8" else codec)
    except UnicodeDecodeError:
        raise _undecodable(path, layout, None) from None
    names = next(csv.reader([text_header], delimiter=layout.delimiter), [])
    return [name.strip() for name in names], max(lines, 1)


def _records(path: Path, layout: Layout) -> Iterator[tuple[int, int]]:
    """(first line, number of fields) of every record after the header, cut but not decoded."""
    codec = "latin-1" if layout.splits_as_bytes() else layout.codec()
    with path.open(encoding=codec, errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=layout.delimiter)
        start, seen_header = 1, False
        try:
            for row in reader:
                if row and seen_header:
                    yield start, len(row)
                seen_header = seen_header or bool(row)
                start = reader.line_num + 1
        except csv.Error:
            return


def _unparsable(path: Path) -> TableError:
    return TableError(
        "RF-T012",
        N_(
            "The file {file} cannot be cut into rows and columns, most often for a quotation mark that is never "
            "closed. Export it again with quoted text."
        ),
        file=path.name,
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


def _read_delimited(path: Path, names: Sequence[str], wanted: Sequence[str], layout: Layout) -> Any:
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    ragged = False

    def skip(_row: object) -> str:
        nonlocal ragged
        ragged = True
        return "skip"

    as_bytes = layout.splits_as_bytes()
    positions = [str(names.index(name)) for name in wanted]
    try:
        table = pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(
                column_names=[str(i) for i in range(len(names))],
                skip_rows=_header(path, layout)[1],
                encoding="utf8" if as_bytes else layout.codec(),
                block_size=1 << 22,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=skip
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
        if not any(True for _ in _records(path, layout)):  # a header and nothing else
            table = pa.table({position: pa.array([], pa.binary()) for position in positions})
        else:
            raise _unparsable(path) from None
    if ragged:
        raise _ragged(path, len(names), layout)
    codec = layout.codec() if as_bytes else "utf-8"
    columns = []
    for name, position in zip(wanted, positions, strict=True):
        try:
            columns.append(_decode(table[position].combine_chunks(), codec))
        except (UnicodeDecodeError, pa.ArrowInvalid):
            raise _undecodable(path, layout, name) from None
    return pa.table(dict(zip(wanted, columns, strict=True)))


def _decode(column: Any, codec: str) -> Any:
    """Bytes to text; multi-byte encodings once per distinct value."""
    import pyarrow as pa

    if codec in {"utf-8", "utf-8-sig", "ascii"}:
        return column.cast(pa.string())
    coded = column.dictionary_encode()
    texts = [value.decode(codec) for value in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(texts, pa.string())).cast(pa.string())


def _ragged(path: Path, expected: int, layout: Layout) -> TableError:
    lines = [line for line, length in _records(path, layout) if length != expected]
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


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError):
        raise _broken_parquet(path) from None


def _read_parquet(path: Path, wanted: Sequence[str]) -> Any:
    import pyarrow as pa

    try:
        with _parquet(path) as file:
            return file.read(columns=list(wanted)).select(list(wanted)).combine_chunks()
    except (pa.ArrowException, OSError):
        raise _broken_parquet(path) from None


def _broken_parquet(path: Path) -> TableError:
    return TableError(
        "RF-T005",
        N_("The file {file} is named as Parquet but is not a Parquet file. Export it again, or name it .csv."),
        file=path.name,
    )


def key_text(column: Any) -> Any:
    """Customer keys as trimmed text; whole numbers lose their decimal point, null becomes empty.

    A consent file and a customer table have to spell one customer alike, so both use this function.

    Raises:
        TableError: RF-T017 when the column's type is not text or whole numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_floating(column.type):
            column = column.cast(pa.int64(), safe=True)
        elif not (pa.types.is_integer(column.type) or pa.types.is_large_string(column.type)):
            column = pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column
            if not pa.types.is_string(column.type):
                raise pa.ArrowInvalid
        return pc.fill_null(pc.utf8_trim_whitespace(column.cast(pa.string())), "")
    except pa.ArrowException:
        raise TableError(
            "RF-T017", N_("The customer key column holds neither text nor whole numbers; one of them is expected.")
        ) from None
