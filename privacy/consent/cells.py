"""The columns of a consent file: texts coded by their distinct values, times and lists, of any type."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ringfence.privacy.consent.times import TimeColumn
from ringfence.privacy.errors import N_, ConsentError
from ringfence.privacy.tables import tabular

Codes = npt.NDArray[np.int64]
Coded = tuple[Codes, list[str]]
"""Codes `(n,)` and the distinct trimmed texts they stand for; null is the empty text."""

SEPARATOR: Final = ";"
"""Between two entries of a list that is written as text."""


def coded(table: Any, name: str, path: Path) -> Coded:
    """A column of single texts.

    Raises:
        ConsentError: RF-N203 the column holds something else.
    """
    import pyarrow as pa

    column = _plain(table[name])
    if not _single(column.type):
        raise _other_type(path, name, column.type)
    return _encoded(column.cast(pa.string()))


def coded_list(table: Any, name: str, path: Path) -> Coded:
    """A column of lists of texts, or of texts with `;` between two entries, as the latter.

    Raises:
        ConsentError: RF-N203 the column holds something else, RF-N204 an entry of a list has a `;` in it.
    """
    import pyarrow as pa

    column = _plain(table[name])
    if not _listing(column.type):
        return coded(table, name, path)
    if not _text(_plain(pa.array([], column.type.value_type)).type):
        raise _other_type(path, name, column.type)
    entries = column.to_pylist()
    for row, listed in enumerate(entries, start=1):
        if any(SEPARATOR in entry for entry in listed or () if entry is not None):
            raise ConsentError(
                "RF-N204",
                N_(
                    'Row {row} of {file} has an entry with "{mark}" in its list of "{column}", which stands '
                    "between two entries. Write the name without it."
                ),
                row=row,
                file=path.name,
                mark=SEPARATOR,
                column=name,
            )
    joined = [SEPARATOR.join(entry for entry in listed or () if entry is not None) for listed in entries]
    return _encoded(pa.array(joined, pa.string()))


def moments(table: Any, name: str, path: Path) -> TimeColumn:
    """A column of times.

    Raises:
        ConsentError: RF-N202 timestamps without a zone, RF-N203 the column holds no times at all.
    """
    import pyarrow as pa

    column = _plain(table[name])
    found = TimeColumn.of_arrow(column)
    if found is not None:
        return found
    if pa.types.is_timestamp(column.type):
        raise ConsentError(
            "RF-N202",
            N_(
                'The column "{column}" of {file} holds timestamps without a time zone, which would mean two '
                "instants; timestamps in UTC, or text such as 2026-01-31T09:30:00+08:00, are expected."
            ),
            column=name,
            file=path.name,
        )
    if not (_text(column.type) or pa.types.is_null(column.type)):
        raise _other_type(path, name, column.type)
    return TimeColumn.of_texts(*_encoded(column.cast(pa.string())))


def _plain(column: Any) -> Any:
    """An Arrow column without chunks and dictionaries."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _encoded(column: Any) -> Coded:
    texts = column.fill_null("").dictionary_encode()
    return texts.indices.to_numpy(zero_copy_only=False).astype(np.int64), [
        str(value).strip() for value in texts.dictionary.to_pylist()
    ]


def _text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _single(kind: Any) -> bool:
    """Whether a cell of this type is one text or number."""
    import pyarrow as pa

    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(_text(kind) or numbers or pa.types.is_null(kind))


def _listing(kind: Any) -> bool:
    import pyarrow as pa

    fixed = pa.types.is_fixed_size_list(kind)
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or fixed)


def _other_type(path: Path, name: str, kind: object) -> ConsentError:
    return ConsentError(
        "RF-N203",
        N_(
            'The column "{column}" of {file} holds {found}; text is expected, a list of texts only for '
            "recipients, column_groups and separate_consents, a time only for at, valid_from and "
            "valid_until. Nothing was imported."
        ),
        column=name,
        file=path.name,
        found=str(kind),
    )


def consent_columns(
    path: Path, layout: tabular.Layout, required: tuple[str, ...], optional: tuple[str, ...]
) -> Any:
    """The file's columns as an Arrow table.

    Raises:
        TableError: the file cannot be read at all.
        ConsentError: RF-N019 a column that consent files do not have.
    """
    names = tabular.column_names(path, layout)
    strange = [name for name in names if name not in required and name not in optional]
    lacking = [name for name in required if name not in names]
    if strange and not lacking:
        raise ConsentError(
            "RF-N019",
            N_('{file} has a column "{column}" that consent files do not have.{hint} Remove it.'),
            file=path.name,
            column=strange[0],
            hint=tabular.nearest(strange[0], (*required, *optional)),
        )
    return tabular.read_columns(path, [*required, *(name for name in optional if name in names)], layout)
