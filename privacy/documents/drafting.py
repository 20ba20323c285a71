"""A first contract for a table, from its header and column types only: no value of a row is ever written.

What only people know (bounds and categories of the data dictionary, purposes, who the holder is) is left as
`"???"`, and `check` reports each one that is still to be filled.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence.privacy.contract import load_contract
from ringfence.privacy.documents.columns import WHITESPACE
from ringfence.privacy.documents.faults import Fault, faults_of
from ringfence.privacy.errors import N_, ContractError

SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 2000
_DELIMITERS = (",", ";", "\t", "|")
_NULLS = ["", "NA", "N/A", "NULL", "null", "nan", "NaN", "-"]
_VALUE = re.compile(
    r"[-+]?\d*[.,]\d+|\d{5,}|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\S+@\S+\.\S+|\+?\d[\d -]{6,}"
)  # what a value looks like and a header does not


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How a file is written: what goes into `[source]`, and the kind of each column."""

    columns: tuple[tuple[str, str], ...]
    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."


def draft(path: str | Path) -> str:
    """A contract with its schema inlined, as TOML text.

    Args:
        path: a CSV file with a header line (comma, semicolon, tab or bar; UTF-8 or GB18030) or a Parquet file.

    Raises:
        ContractError: RF-C080 the file cannot be read, RF-C081 its encoding is not known, RF-C082 it is empty
            or has no rows, RF-C083 it seems to have no header line, RF-C084 a header is empty or stands
            twice, RF-C085 the lines do not fit the header.
    """
    path = Path(path)
    layout = _parquet(path) if path.suffix.lower() in {".parquet", ".pq"} else _csv(path)
    _check_headers(path, [header for header, _ in layout.columns])
    return _write(path, layout)


def check(path: str | Path) -> list[Fault]:
    """All faults of a contract's file and of its schema, in the order of their lines; empty when it is ready."""
    try:
        load_contract(path)
    except ContractError as error:
        return list(faults_of(error))
    return []


def _parquet(path: Path) -> _Layout:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path) from error
    return _Layout(columns=tuple((field.name, _kind(field.type)) for field in schema))


def _csv(path: Path) -> _Layout:
    raw, whole = _sample(path)
    text, encoding = _decode(path, raw, whole)
    delimiter = _delimiter(text)
    if delimiter == WHITESPACE:
        rows = [line.split() for line in text.splitlines()]
    else:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    if not whole:
        rows = rows[:-1]  # the last line of a sample is cut
    rows = [row for row in rows if row][:SAMPLE_ROWS]
    if len(rows) < 2:
        raise ContractError(
            "RF-C082",
            N_("The file {file} is empty or has no rows; a header line and some rows are needed."),
            file=path.name,
        )
    header, body = rows[0], rows[1:]
    fitting = [row for row in body if len(row) == len(header)]
    if 2 * len(fitting) < len(body):
        raise ContractError(
            "RF-C085",
            N_("Most lines of {file} do not have as many cells as its header; is the file damaged?"),
            file=path.name,
        )
    kinds, decimal = _infer(header, fitting, delimiter)
    return _Layout(
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


def _decode(path: Path, raw: bytes, whole: bool) -> tuple[str, str]:
    """Text and encoding; a sample may end within a character."""
    encodings = ("utf-8-sig",) if raw.startswith(codecs.BOM_UTF8) else ("utf-8", "gb18030")
    for encoding in encodings:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(raw, final=whole)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise ContractError(
        "RF-C081",
        N_("The encoding of {file} is neither UTF-8 nor GB18030; save it again as UTF-8."),
        file=path.name,
    )


def _delimiter(text: str) -> str:
    """The delimiter that cuts most lines into as many cells as the first, and into the most cells; blanks if no other does."""

    def score(delimiter: str) -> tuple[float, int]:
        cut = text[:65536]
        if delimiter == WHITESPACE:
            rows = [cells for line in cut.splitlines() if (cells := line.split())]
        else:
            rows = [row for row in csv.reader(io.StringIO(cut, newline=""), delimiter=delimiter) if row]
        width = len(rows[0]) if rows else 0
        if width < 2:
            return (0.0, 0)
        fitting = sum(len(row) == width for row in rows[:200]) / len(rows[:200])
        return (round(fitting, 1), width)

    best = max(_DELIMITERS, key=score)
    return WHITESPACE if score(best) == (0.0, 0) and score(WHITESPACE)[0] == 1.0 else best


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

    if kinds.is_boolean(arrow_type):
        return "flag"
    if kinds.is_integer(arrow_type) or kinds.is_floating(arrow_type) or kinds.is_decimal(arrow_type):
        return "number"
    if kinds.is_date(arrow_type) or kinds.is_timestamp(arrow_type):
        return "date"
    if kinds.is_null(arrow_type):
        return "???"
    if kinds.is_dictionary(arrow_type) or kinds.is_string(arrow_type) or kinds.is_large_string(arrow_type):
        return "category"
    return "text"


def _check_headers(path: Path, headers: list[str]) -> None:
    numbers = sum(header.isdigit() for header in headers)
    if any(_VALUE.fullmatch(header) for header in headers) or 2 * numbers > len(headers):
        raise ContractError(
            "RF-C083",
            N_(
                "The first line of {file} looks like values; a header line with the columns' names is needed."
            ),
            file=path.name,
        )
    counts = Counter(headers)
    for position, header in enumerate(headers, 1):
        if not header.strip() or counts[header] > 1:
            raise ContractError(
                "RF-C084",
                N_("Column {position} of {file} has no name, or one that stands in the header twice."),
                file=path.name,
                position=position,
            )


def _names(headers: list[str]) -> list[str]:
    """Names of features: the headers where they are valid names, otherwise something close to them."""
    names: list[str] = []
    for header in headers:
        base = re.sub(r"[^\w.\-]+", "_", header).strip("_.-")[:60] or "column"
        name, count = base, 2
        while name in names:
            name, count = f"{base}_{count}", count + 1
        names.append(name)
    return names


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_HEAD = """\
# Draft of a contract, made from the header and the column types of the table; no value of a row stands here.
# Replace every ??? in quotation marks, delete the columns that no study shall ever use, and check:
#     ringfence-client contract check FILE
# Every key is explained in docs/reference/contract.md and docs/reference/schema.md.
# One row a customer is taken for granted. If the file has one line an order, replace all [[column]] tables by one
# [events] table and the features by the schema's own [events]; they are not drafted.
id = {id}
holder = "???"         # short name of your organisation, e.g. north-bank
version = 1
subject = "???"        # column that names the customer; then delete its [[column]] and [[schema.feature]] below
population = "???"     # whom these customers are, e.g. retail-customers; one privacy ledger counts for all of them
jurisdiction = "???"   # country whose law applies, two capital letters, e.g. CN or DE
max_customers = "???"  # public upper limit of the number of customers: a round whole number, no quotation marks
# min_cohort = 1000    # fewest customers a study may run on
# overlap = 2          # in how many holders one customer may be; in all when left out
# peers = []           # fingerprints of the other holders' keys; without them no study runs
duplicates = "refuse"

[source]
file = {file}
"""
_HINTS = {
    "number": 'bounds = ["???", "???"]  # smallest and largest value of the data dictionary, without quotation marks',
    "date": 'bounds = ["???", "???"]  # first and last day of the data dictionary, such as 1920-01-01',
    "category": 'categories = ["???"]  # all values of the data dictionary; kind = "text" if it is free text',
    "flag": '# categories = ["no", "yes"]  # the second one is positive',
    "text": "# free text is never a feature; delete it unless it has to be named",
    "???": "# empty in the sample: number (with bounds), category (with categories), flag, date (with bounds) or text",
}


def _write(path: Path, layout: _Layout) -> str:
    headers = [header for header, _ in layout.columns]
    names = _names(headers)
    stem = _names([path.stem])[0]
    parts = [_HEAD.format(id=_quote(stem), file=_quote(path.name))]
    if layout.delimiter is not None:
        parts.append(f"delimiter = {_quote(layout.delimiter)}\nencoding = {_quote(layout.encoding)}\n")
        parts.append(f"decimal = {_quote(layout.decimal)}\n")
    for name, (header, kind) in zip(names, layout.columns, strict=True):
        parts.append(_column(name, header, kind))
    parts.append(
        f"\n# The schema is shared with the other holders: agree on it, then refer to one file.\n[schema]\nid = {_quote(stem)}\nversion = 1\n"
    )
    for name, (_, kind) in zip(names, layout.columns, strict=True):
        parts.append(f"\n[[schema.feature]]\nname = {_quote(name)}\nkind = {_quote(kind)}\n{_HINTS[kind]}\n")
    return "".join(parts)


def _column(name: str, header: str, kind: str) -> str:
    lines = ["", "[[column]]", f"name = {_quote(name)}"]
    if header != name:
        lines.append(f"source = {_quote(header)}")
    if kind in {"flag", "category"}:
        lines.append('# values = { "code in the file" = "category" }')
    lines.append('sensitivity = "quasi"  # identifier, quasi, sensitive or plain')
    lines.append('purposes = ["???"]  # from docs/reference/purposes.md; [] if it is used for nothing')
    return "\n".join(lines) + "\n"
