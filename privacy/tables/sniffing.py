"""How a file seems to be written, from its first lines: encoding, delimiter, decimal mark, kinds of columns.

It cuts a file as `layouts` does, so that what is drafted from it can be read. No value of a row leaves here.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ringfence.privacy.errors import N_, ContractError
from ringfence.privacy.tables import cutting
from ringfence.privacy.tables.cutting import DELIMITERS, WHITESPACE, StrayMark
from ringfence.privacy.tables.encodings import guessed_encoding
from ringfence.privacy.toml.faults import PLACEHOLDER

SAMPLE_BYTES: Final = 256 * 1024
SAMPLE_ROWS: Final = 2000
_NULLS: Final = ["", "NA", "N/A", "NULL", "null", "nan", "NaN", "-"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sniffed:
    """How a file is written: what goes into `[source]`, and the kind of each column.

    Attributes:
        columns: header and kind of each; a kind of `PLACEHOLDER` has no entries.
        delimiter: None of Parquet.
        encoding: `PLACEHOLDER` where the bytes do not tell.
        decimal: the mark before fractions.
    """

    columns: tuple[tuple[str, str], ...]
    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."


def sniffed(path: Path) -> Sniffed:
    """How a CSV file with a header line, or a Parquet file, is written.

    Raises:
        ContractError: RF-C080 it cannot be read, RF-C081 its header's encoding is not known, RF-C082 it is
            empty or has no rows, RF-C085 its lines do not fit its header, RF-C300 a quotation mark is not as
            RFC 4180 has it.
    """
    return _parquet(path) if path.suffix.lower() in {".parquet", ".pq"} else _delimited(path)


def _parquet(path: Path) -> Sniffed:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path) from error
    return Sniffed(columns=tuple((field.name, _kind(field.type)) for field in schema))


def _delimited(path: Path) -> Sniffed:
    raw, whole = _sample(path)
    text, encoding = _decoded(path, raw, whole)
    lines = list(io.StringIO(text, newline=""))
    named = cutting.separator_line(lines[0]) if lines else None
    delimiter = named or _delimiter(lines[:SAMPLE_ROWS])
    rows = _rows(path, lines[1:] if named else lines, delimiter, whole, first=2 if named else 1)
    if len(rows) < 2:
        raise ContractError(
            "RF-C082",
            N_("The file {file} is empty or has no rows; a header line and some rows are needed."),
            file=path.name,
        )
    header, body = [name.strip("\ufeff \t\u00a0") for name in rows[0]], rows[1:]
    if encoding == PLACEHOLDER and not "".join(header).isascii():
        raise _unknown(path)
    fitting = [row for row in body if len(row) == len(header)]
    if 2 * len(fitting) < len(body):
        raise ContractError(
            "RF-C085",
            N_("Most lines of {file} do not have as many cells as its header; is the file damaged?"),
            file=path.name,
        )
    kinds, decimal = _infer(header, fitting, delimiter)
    return Sniffed(
        columns=tuple(zip(header, kinds, strict=True)),
        delimiter=delimiter,
        encoding=encoding,
        decimal=decimal,
    )


def _sample(path: Path) -> tuple[bytes, bool]:
    try:
        with path.open("rb") as file:
            raw = file.read(SAMPLE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path) from error
    return raw[:SAMPLE_BYTES], len(raw) <= SAMPLE_BYTES


def _unreadable(path: Path) -> ContractError:
    return ContractError(
        "RF-C080",
        N_("The table {file} cannot be read; is it a CSV or Parquet file, and may you read it?"),
        file=path.name,
    )


def _decoded(path: Path, raw: bytes, whole: bool) -> tuple[str, str]:
    """Text and encoding; a sample may end within a character."""
    encoding = guessed_encoding(raw, whole=whole)
    if encoding is None and (b"\0" in raw or raw.startswith(codecs.BOM_UTF8)):
        raise _unknown(path)
    if encoding is None:  # good for the types of columns, not for their texts
        return raw.decode("latin-1"), PLACEHOLDER
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(raw, final=whole)
    except UnicodeDecodeError:
        raise _unknown(path) from None
    return text.lstrip("\ufeff"), encoding


def _unknown(path: Path) -> ContractError:
    return ContractError(
        "RF-C081",
        N_("The encoding of {file} does not tell itself by its bytes; save it again as UTF-8."),
        file=path.name,
    )


def _rows(path: Path, lines: list[str], delimiter: str, whole: bool, first: int) -> list[list[str]]:
    if not whole:
        lines = lines[:-1]  # the last line of a sample is cut
    try:
        width = len(next(_cut(lines, delimiter, is_cut=not whole), ()))
        rows = _cut(lines, delimiter, is_cut=not whole, first=first, width=width)
        return list(islice(rows, SAMPLE_ROWS))
    except StrayMark as stray:
        raise ContractError(
            "RF-C300",
            N_(
                "The file {file} cannot be cut into rows and columns from line {line} on: a quotation mark "
                "there is not at the edge of its field, is never closed, or closes so late that it swallows "
                "rows. Export it again with text quoted as in RFC 4180."
            ),
            file=path.name,
            line=stray.line,
        ) from None


def _cut(
    lines: Iterable[str], delimiter: str, *, is_cut: bool, first: int = 1, width: int | None = None
) -> Iterator[list[str]]:
    if delimiter == WHITESPACE:
        yield from (cells for line in lines if (cells := line.split()))
        return
    for record in cutting.text_rows(lines, delimiter, width=width, is_cut=is_cut, first=first):
        yield cutting.cells(record.text, delimiter)


def _delimiter(lines: list[str]) -> str:
    """The delimiter that cuts most lines into as many cells as the first, and into most; or blanks."""

    def score(delimiter: str) -> tuple[float, int]:
        rows: list[list[str]] = []
        try:
            for row in _cut(lines, delimiter, is_cut=True):
                rows.append(row)
                if len(rows) == 200:
                    break
        except StrayMark:
            pass  # told when the file is cut at the delimiter that is chosen
        width = len(rows[0]) if rows else 0
        if width < 2:
            return (0.0, 0)
        return (round(sum(len(row) == width for row in rows) / len(rows), 1), width)

    best = max(DELIMITERS, key=score)
    blanks = score(best) == (0.0, 0) and score(WHITESPACE)[0] == 1.0
    return WHITESPACE if blanks and not any('"' in line for line in lines) else best


def _infer(header: list[str], rows: list[list[str]], delimiter: str) -> tuple[list[str], str]:
    """The kinds of the columns and the decimal mark under which more of them are numbers."""
    point = _types(len(header), rows, ".")
    if delimiter == ",":
        return point, "."
    comma = _types(len(header), rows, ",")
    return (comma, ",") if comma.count("number") > point.count("number") else (point, ".")


def _types(width: int, rows: list[list[str]], decimal: str) -> list[str]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [f"c{position}" for position in range(width)]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([[cell.strip() for cell in row] for row in rows])
    table = arrow_csv.read_csv(
        pa.BufferReader(buffer.getvalue().encode("utf-8")),
        read_options=arrow_csv.ReadOptions(column_names=names, block_size=64 * 2**20),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            null_values=_NULLS, strings_can_be_null=True, decimal_point=decimal
        ),
    )
    return [_kind(field.type) for field in table.schema]


def _kind(arrow_type: Any) -> str:
    import pyarrow.types as kinds

    if kinds.is_dictionary(arrow_type):
        return _kind(arrow_type.value_type)
    if kinds.is_boolean(arrow_type):
        return "flag"
    if kinds.is_integer(arrow_type) or kinds.is_floating(arrow_type) or kinds.is_decimal(arrow_type):
        return "number"
    if kinds.is_date(arrow_type) or kinds.is_timestamp(arrow_type):
        return "date"
    if kinds.is_null(arrow_type):
        return PLACEHOLDER
    if kinds.is_string(arrow_type) or kinds.is_large_string(arrow_type) or kinds.is_string_view(arrow_type):
        return "category"
    return "text"
