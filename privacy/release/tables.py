"""Strict reading and writing of tables: CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.release.cells import number_texts
from ringfence.privacy.release.formats import text_of
from ringfence.privacy.release.grids import of_frame
from ringfence.privacy.release.parsed import Parsed, Text

if TYPE_CHECKING:
    import pandas as pd

_PARTS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_KNOWN_METADATA = (b"pandas", b"ARROW:schema")


def _csv_fault(line: int) -> ExportError:
    return ExportError(
        "RF-X011",
        N_(
            "The CSV is malformed at line {line}: one header of distinct names and rows of equal width are "
            "expected."
        ),
        line=line,
    )


def parse_csv(content: bytes) -> Parsed:
    """Read comma-separated UTF-8 with one header line; every cell stays a string.

    Raises:
        ExportError: RF-X011, empty, quoting broken, rows of unequal width, or headers missing or repeated.
    """
    import pandas as pd

    reader = csv.reader(io.StringIO(text_of(content).removeprefix("\ufeff"), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error:
        raise _csv_fault(reader.line_num) from None
    if not rows or not all(rows[0]) or len(set(rows[0])) != len(rows[0]):
        raise _csv_fault(1)
    header = rows[0]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise _csv_fault(number)
    frame = pd.DataFrame(rows[1:], columns=header, dtype="object")
    return Parsed(content=content, frame=frame, grids=(of_frame(frame),))


def write_csv(frame: pd.DataFrame) -> bytes:
    """Write a frame as CSV without its index."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _unreadable() -> ExportError:
    return ExportError(
        "RF-X019", N_("The Parquet file cannot be read. Write it again with a current library.")
    )


def parse_parquet(content: bytes) -> Parsed:
    """Read Parquet with flat columns of plain types and write it anew without metadata.

    Raises:
        ExportError: RF-X019 unreadable or with nested, binary or unknown types; RF-X020 foreign metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content), memory_map=False)
        created = pq.ParquetFile(pa.BufferReader(content)).metadata.created_by or ""
    except (pa.ArrowException, OSError, ValueError):
        raise _unreadable() from None
    texts = [Text(where="metadata", text=created), *_metadata(table)]
    for field in table.schema:
        if not _plain(field.type):
            raise ExportError(
                "RF-X062",
                N_(
                    "A Parquet column is nested, binary or of an unknown type. Release flat columns of "
                    "numbers, dates and text."
                ),
            )
    if len(set(table.column_names)) != len(table.column_names) or not all(table.column_names):
        raise ExportError(
            "RF-X063",
            N_("Parquet columns without a name or with one name twice are not released. Rename them."),
        )
    texts += _moments(table)
    anew = _anew(table)
    for place, field in enumerate(table.schema):
        if pa.types.is_time(field.type):  # of which Python knows no nanoseconds
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    try:
        frame = table.replace_schema_metadata(None).to_pandas()
    except (pa.ArrowException, ValueError, OverflowError):  # such as a date of the year 172666
        raise _unreadable() from None
    return Parsed(content=anew, texts=tuple(texts), frame=frame, grids=(of_frame(frame),))


def _metadata(table: Any) -> Iterator[Text]:
    """Every string of a table's metadata, and a mark for what another program left there."""
    foreign = 0
    for holder in (table.schema, *table.schema):
        for key, value in (holder.metadata or {}).items():
            foreign += key not in _KNOWN_METADATA and not key.startswith(b"PARQUET:")
            if key != b"ARROW:schema":
                for part in (key, value):
                    yield Text(where="metadata", text=part.decode("utf-8", "replace"))
    if foreign:
        yield Text(where="metadata", text="", context="foreign")


def _moments(table: Any) -> Iterator[Text]:
    """Dates, times, moments and spans as the whole numbers they are stored as: numbers hide there."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    for place, field in enumerate(table.schema, start=1):
        column = table.column(place - 1)
        if is_.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if not is_.is_temporal(column.type):
            continue
        stored = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
        numbers = pc.unique(stored).drop_null().to_numpy(zero_copy_only=False)
        parts = _PARTS.get(getattr(column.type, "unit", ""), 0)
        numbers = numbers[~_ordinary(numbers, parts)] if parts else numbers
        for unit in (1, 10**3, 10**6, 10**9):  # Parquet keeps seconds as thousandths
            for text in number_texts(numbers[numbers % unit == 0] // unit, 100_000):
                yield Text(where=f"column {place}", text=text, context=field.name, column=True)


def _ordinary(numbers: npt.NDArray[Any], parts: int) -> npt.NDArray[np.bool_]:
    """Whole days, and moments of 2017 to 2030: no identifier has as many digits and begins so."""
    days: npt.NDArray[np.bool_] = numbers % (86_400 * parts) == 0
    return days | ((numbers >= 15 * 10**8 * parts) & (numbers < 19 * 10**8 * parts))


def _plain(kind: Any) -> bool:
    import pyarrow.types as is_

    inner = kind.value_type if is_.is_dictionary(kind) else kind
    tests = (
        is_.is_integer,
        is_.is_floating,
        is_.is_boolean,
        is_.is_string,
        is_.is_large_string,
        is_.is_string_view,
        is_.is_date,
        is_.is_timestamp,
        is_.is_decimal,
        is_.is_time,
        is_.is_duration,
        is_.is_null,
    )
    return any(test(inner) for test in tests)


def _anew(table: Any) -> bytes:
    """A Parquet file of the table's values alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    bare = pa.schema([pa.field(f.name, f.type, f.nullable) for f in table.schema])
    sink = io.BytesIO()
    pq.write_table(table.cast(bare), sink, store_schema=False, compression="zstd")
    return sink.getvalue()


def write_parquet(frame: pd.DataFrame) -> bytes:
    """Write a frame as Parquet without index and metadata."""
    import pyarrow as pa

    return _anew(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None))
