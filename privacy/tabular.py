"""Reads named columns of a CSV or Parquet file into Arrow, and decodes no other column.

Every fault is one sentence with a line number where there is one, and never a value: Arrow's own messages
quote the offending row, so they are not passed on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from ringfence.privacy.celltext import key_text
from ringfence.privacy.delimited import Layout, header, header_bytes, read_delimited, records, shown
from ringfence.privacy.errors import N_, TableError, _

__all__ = [
    "ROWS", "Layout", "all_lines", "column_names", "is_parquet", "key_text", "line_numbers", "nearest", "packed",
    "read_columns", "shown",
]  # fmt: skip

ROWS: Final = b"ringfence:rows"
_DELIMITERS: Final = (",", ";", "\t", "|")


def is_parquet(path: Path) -> bool:
    """Whether the file is named as Parquet."""
    return path.suffix.lower() in {".parquet", ".pq"}


def column_names(path: Path, layout: Layout) -> list[str]:
    """Names of the file's columns in order, from its header or Parquet footer alone."""
    _check_file(path)
    return list(_parquet(path).schema_arrow.names) if is_parquet(path) else header(path, layout)[0]


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
    table = _read_parquet(path, wanted) if is_parquet(path) else read_delimited(path, names, wanted, layout)
    if not table.num_rows:
        raise TableError(
            "RF-T004",
            N_("The file {file} has a header but no rows; at least one row is expected. Check the export that made it."),
            file=path.name,
        )
    return table


def all_lines(path: Path, layout: Layout) -> tuple[int, tuple[int, ...]]:
    """How many lines of delimited text come up to and with the header, and the first line of every row."""
    return header(path, layout)[1], tuple(line for line, _fields in records(path, layout))


def packed(rows: Any) -> bytes:
    """Numbers of rows from 0, int64 `(n,)`, for the metadata `ROWS` of a Parquet file cut from another one."""
    return bytes(rows.astype("<i8").tobytes())


def line_numbers(path: Path, layout: Layout, rows: Iterable[int]) -> list[int]:
    """Where rows (from 0) stand: their first line in delimited text, their number from 1 in Parquet.

    A Parquet file that says which rows of another one it holds is known by those.
    Only for messages about faults: the file is read again, cut into fields but not decoded.
    """
    wanted = sorted(set(rows))
    if is_parquet(path):
        return [row + 1 for row in _rows_of_whole(path, wanted)]
    ask = iter(wanted)
    target, found = next(ask, None), []
    for row, (line, _length) in enumerate(records(path, layout)):
        if target is None:
            break
        if row == target:
            found.append(line)
            target = next(ask, None)
    return found


def _rows_of_whole(path: Path, rows: Sequence[int]) -> Sequence[int]:
    file = _parquet(path)
    known = (file.schema_arrow.metadata or {}).get(ROWS, b"")
    if len(known) != 8 * file.metadata.num_rows:
        return rows
    return [int.from_bytes(known[8 * row : 8 * row + 8], "little", signed=True) for row in rows]


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
    if is_parquet(path) and start != b"PAR1":
        raise _broken_parquet(path)
    if start == b"PAR1" and not is_parquet(path):
        raise TableError(
            "RF-T006",
            N_("The file {file} is a Parquet file by content. Give it the ending .parquet."),
            file=path.name,
        )
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
        raw = header_bytes(path, stream)
    try:
        if raw.decode().isascii():
            return ""
    except UnicodeDecodeError:
        return ""
    return _(' Its header is valid UTF-8: try encoding = "utf-8".')


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
