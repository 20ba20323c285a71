"""Reads named columns of a CSV or Parquet file into Arrow, and decodes no other column.

Every fault is one sentence with a line number where there is one, and never a value: Arrow's own messages
quote the offending row, so they are not passed on.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from ringfence.privacy.errors import N_, TableError, _, reason_of
from ringfence.privacy.tables import encodings
from ringfence.privacy.tables.celltext import key_text, plain_column
from ringfence.privacy.tables.cutting import DELIMITERS
from ringfence.privacy.tables.delimited import read_delimited
from ringfence.privacy.tables.layouts import Layout, header, header_bytes, records, shown

__all__ = [
    "ROWS",
    "Layout",
    "all_lines",
    "column_names",
    "is_parquet",
    "key_text",
    "keyless_advice",
    "lacking",
    "line_numbers",
    "nearest",
    "packed_row_numbers",
    "read_columns",
    "shown",
    "without_views",
]

ROWS: Final = b"ringfence:rows"


def is_parquet(path: Path) -> bool:
    """Whether the file is named as Parquet."""
    return path.suffix.lower() in {".parquet", ".pq"}


def column_names(path: Path, layout: Layout) -> list[str]:
    """Names of the file's columns in order, from its header or Parquet footer alone."""
    _check_file(path)
    if not is_parquet(path):
        _check_text(path, layout)
    return list(_parquet(path).schema_arrow.names) if is_parquet(path) else header(path, layout)[0]


def keyless_advice() -> str:
    """What to do where no column of a table names the customer."""
    return _(
        "If no column names the customer and every row is another one: ringfence-simulate run takes the "
        "table with --row-is-customer; between holders a table needs a column of customer keys, since "
        "consent and privacy go by customer."
    )


def read_columns(
    path: Path, wanted: Sequence[str], layout: Layout, *, key: str | None = None, compact: bool = False
) -> Any:
    """Read columns by name.

    Args:
        path: a `.parquet`/`.pq` file, or anything else as delimited text with a header line.
        wanted: names of columns; nothing else is decoded.
        layout: delimiter and encoding of delimited text.
        key: the one of them that names the customer; advice is given where it is missing.
        compact: hold texts that recur once each (dictionaries, in chunks), for large tables; the cells are
            the same.

    Returns:
        A `pyarrow.Table` of the wanted columns in that order; text columns for delimited files, the file's
        own types for Parquet.

    Raises:
        TableError: RF-T001 to RF-T015 for a file that cannot be read as asked, in one sentence each.
    """
    _check_file(path)
    before = _state(path)
    names = column_names(path, layout)
    _check_names(path, names, wanted, layout, key)
    if is_parquet(path):
        table = _read_parquet(path, wanted, compact, key)
    else:
        table = read_delimited(path, names, wanted, layout, compact)
    if _state(path) != before:
        raise TableError(
            "RF-T171",
            N_("The file {file} was changed while it was read, so nothing of it is used. Read it again."),
            file=path.name,
        )
    if not table.num_rows:
        raise TableError(
            "RF-T004",
            N_(
                "The file {file} has a header but no rows; at least one row is expected. Check the export "
                "that made it."
            ),
            file=path.name,
        )
    return table


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written, or another one takes its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def all_lines(path: Path, layout: Layout) -> tuple[int, tuple[int, ...]]:
    """How many lines of delimited text come up to and with the header, and the first line of every row."""
    return header(path, layout)[1], tuple(line for line, _fields in records(path, layout))


def packed_row_numbers(rows: Any) -> bytes:
    """Numbers of rows from 0, int64 `(n,)`, for `ROWS` in the metadata of a Parquet file's part."""
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
    """` Did you mean "X"?`, that a name only looks the same, or nothing when no name is near."""
    names = tuple(names)
    if any(_seen(candidate) == _seen(name) and candidate != name for candidate in names):
        return _(' "{name}" stands there with characters that cannot be seen; remove them.').format(name=name)
    by_folded = {candidate.casefold(): candidate for candidate in names}
    match = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return _(' Did you mean "{name}"?').format(name=by_folded[match[0]]) if match else ""


def _seen(name: str) -> str:
    """A name without the characters that have no width, and with every blank as one."""
    return " ".join("".join(char for char in name if unicodedata.category(char) != "Cf").split())


def _check_file(path: Path) -> None:
    if not path.exists():
        raise TableError(
            "RF-T001",
            N_("The file {file} does not exist. Check its path, in [source] or on the command line."),
            file=str(path),
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
            reason=reason_of(fault),
        ) from None
    if not start:
        raise TableError(
            "RF-T003",
            N_(
                "The file {file} is empty; a table with a header line is expected. Name the right one, in "
                "[source] or on the command line."
            ),
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
    _check_kind(path, start)


def _check_kind(path: Path, start: bytes) -> None:
    if start[:2] in (b"PK", b"\x1f\x8b") or start == b"\xd0\xcf\x11\xe0":
        raise TableError(
            "RF-T007",
            N_(
                "The file {file} is a spreadsheet or an archive; plain CSV or Parquet is expected. Export it "
                "as CSV."
            ),
            file=path.name,
        )


def _check_text(path: Path, layout: Layout) -> None:
    """Refuse what is no text in any encoding whose characters ASCII's bytes stand for themselves in."""
    if layout.codec().startswith(("utf-16", "utf-32")):
        return
    with path.open("rb") as stream:
        start = stream.read(1 << 12)
    if encodings.is_utf16(start):
        raise TableError(
            "RF-T103",
            N_(
                'The file {file} is UTF-16 text. Set encoding = "utf-16" in [source], or --encoding of a '
                "command, or save it as UTF-8."
            ),
            file=path.name,
        )
    if b"\0" in start:
        raise TableError(
            "RF-T104",
            N_(
                "The file {file} holds zero bytes, so it is no {encoding} text: UTF-16 without a byte order "
                "mark, or no text at all. Export it again as UTF-8 CSV."
            ),
            file=path.name,
            encoding=layout.encoding,
        )


def lacking(missing: Sequence[str], wanted: Sequence[str], key: str | None, hint: str) -> str:
    """What may help where columns are missing: a name that was meant, or advice where it is the key's and
    the table is the right one otherwise.
    """
    if key not in missing or len(missing) == len(wanted) or (hint and missing[0] == key):
        return hint
    return f"{hint} {keyless_advice()}"


def _check_names(
    path: Path, names: Sequence[str], wanted: Sequence[str], layout: Layout, key: str | None
) -> None:
    missing = [name for name in wanted if name not in names]
    if missing and len(names) == 1 and not is_parquet(path):
        best = max(DELIMITERS, key=names[0].count)
        if names[0].count(best):
            raise TableError(
                "RF-T008",
                N_(
                    "The file {file} has one column when cut at {delimiter}; {wanted} are expected. "
                    "Its header holds {best}: set delimiter = {best} in [source], or --delimiter "
                    "of a command."
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
            hint=lacking(missing, wanted, key, nearest(missing[0], names) or _other_encoding(path, layout)),
        )
    twice = sorted({name for name in wanted if names.count(name) > 1})
    if twice:
        raise TableError(
            "RF-T011",
            N_(
                "The header of {file} names {columns} more than once; each column is expected once. Rename "
                "one."
            ),
            file=path.name,
            columns=", ".join(f'"{name}"' for name in twice),
        )


def _other_encoding(path: Path, layout: Layout) -> str:
    """A hint when a header was read as GB18030 although its bytes are UTF-8."""
    if is_parquet(path) or layout.codec() == "utf-8":
        return ""
    raw = header_bytes(path, layout)
    try:
        if raw.decode().isascii():
            return ""
    except UnicodeDecodeError:
        return ""
    return _(' Its header is valid UTF-8: try encoding = "utf-8".')


def _parquet(path: Path, dictionaries: Sequence[str] = ()) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path, read_dictionary=list(dictionaries) or None)
    except (pa.ArrowException, OSError):
        raise _broken_parquet(path) from None


def _read_parquet(path: Path, wanted: Sequence[str], compact: bool, key: str | None) -> Any:
    import pyarrow as pa

    try:
        if compact:
            # Keys do not recur, and a dictionary of them would hold each twice.
            with _parquet(path, _flat_texts(path, [name for name in wanted if name != key])) as file:
                return without_views(file.read(columns=list(wanted)).select(list(wanted)))
        with _parquet(path) as file:
            return without_views(file.read(columns=list(wanted)).select(list(wanted))).combine_chunks()
    except (pa.ArrowException, OSError):
        raise _broken_parquet(path) from None


def _flat_texts(path: Path, wanted: Sequence[str]) -> list[str]:
    """Which columns are text and nothing else, so that they may be read as dictionaries."""
    import pyarrow.types as kinds

    with _parquet(path) as file:
        held = {field.name: field.type for field in file.schema_arrow}
    return [name for name in wanted if kinds.is_string(held[name])]


def without_views(table: Any) -> Any:
    """A table whose texts are held as they are by older writers; few functions know views."""
    import pyarrow as pa

    columns = [plain_column(column) if _holds_views(column.type) else column for column in table.columns]
    return pa.table(dict(zip(table.column_names, columns, strict=True)), metadata=table.schema.metadata)


def _holds_views(held: Any) -> bool:
    import pyarrow.types as kinds

    if kinds.is_dictionary(held):
        return _holds_views(held.value_type)
    return bool(kinds.is_string_view(held) or kinds.is_binary_view(held) or kinds.is_run_end_encoded(held))


def _broken_parquet(path: Path) -> TableError:
    return TableError(
        "RF-T005",
        N_(
            "The file {file} is named as Parquet but is not a Parquet file. Export it again, or name it .csv."
        ),
        file=path.name,
    )
