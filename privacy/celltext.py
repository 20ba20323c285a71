"""The text of one cell: what a key or a category is called, whether a file or a database holds it, and in what type.

Invariant: the text of a cell depends on that cell alone. A database may hold text, whole numbers and fractions in one
column; were a column typed by all its cells, one customer's would change how the others' keys are spelt, and so who
is found to have consented.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ringfence.privacy.documents.canonical import decimal_text
from ringfence.privacy.errors import N_, TableError


def cell_text(value: object) -> str | None:
    """One value as text; None for missing (null, and what is not a number).

    Whole numbers are written without a point, whatever holds them; other floats with the fewest digits that mean them;
    decimals without closing zeros; truth values as 1 and 0; days and moments by ISO 8601, moments with a zone in UTC.

    Raises:
        TypeError: for anything else, such as bytes.
    """
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case float():
            return _float_text(value)
        case Decimal():
            return None if value.is_nan() else decimal_text(value) if value.is_finite() else str(value)
        case datetime():
            return in_utc(value).isoformat()
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
    raise TypeError(f"no text for a cell of type {type(value).__name__}")


def _float_text(value: float) -> str | None:
    if math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def in_utc(moment: datetime) -> datetime:
    """A moment without a zone as it is; one with a zone in UTC, without it."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def compute() -> Any:
    """Arrow's functions, whose types its stubs do not know; imported when first used."""
    import pyarrow.compute

    return pyarrow.compute


def plain(column: Any) -> Any:
    """An Arrow column without chunks, dictionaries and large offsets."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column


def by_distinct(column: Any, text: Callable[[object], str | None]) -> Any:
    """Text of every cell of an Arrow column, asked for once per distinct value."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
    coded = column.dictionary_encode()
    texts = pa.array([text(value) for value in coded.dictionary.to_pylist()], pa.string())
    return texts.take(coded.indices)


def key_text(column: Any) -> Any:
    """Customer keys as trimmed text; whole numbers lose their decimal point, null becomes empty.

    A consent file and a customer table have to spell one customer alike, so both use this function.

    Args:
        column: an Arrow column of a file, or a list of the values of a database.

    Raises:
        TableError: RF-T017 when there is something else than text or whole numbers.
    """
    import pyarrow as pa

    try:
        texts = _listed(column) if isinstance(column, list) else _typed(plain(column))
        return compute().fill_null(compute().utf8_trim_whitespace(texts), "")
    except (pa.ArrowException, TypeError):
        raise TableError(
            "RF-T017", N_("The customer key column holds neither text nor whole numbers; one of them is expected.")
        ) from None


def _listed(cells: list[object]) -> Any:
    import pyarrow as pa

    return pa.array([cell_text(value) for value in cells], pa.string())


def _typed(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return by_distinct(column, _whole_text)
    raise TypeError(f"no keys of type {kind}")


def _whole_text(value: object) -> str | None:
    text = cell_text(value)
    if text is not None and not text.lstrip("-").isdigit():
        raise TypeError("a fraction is no key")
    return text
