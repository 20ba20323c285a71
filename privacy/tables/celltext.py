"""The text of one cell: what a key or a category is called, whatever source and type it has.

Invariant: the text of a cell depends on that cell alone. A database may hold text, whole numbers and
fractions in one column; were a column typed by all its cells, one customer's would change how the others'
keys are spelt, and so who is found to have consented.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol, runtime_checkable
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.toml.canonical import decimal_text

UNSEEN: Final = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""What shows nothing and comes along when text is copied: soft hyphens, joiners, marks of byte order."""


def cell_text(value: object) -> str | None:
    """One value as text; None for missing (null, and what is not a number).

    Whole numbers are written without a point, whatever holds them; other floats with the fewest digits that
    mean them; decimals without closing zeros; truth values as 1 and 0; days and moments by ISO 8601, moments
    with a zone in UTC.

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
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # within a day of the first or the last moment there is
        return datetime.max if moment.year > 1 else datetime.min


def compute() -> Any:
    """Arrow's functions, whose types its stubs do not know; imported when first used."""
    import pyarrow.compute

    return pyarrow.compute


def plain_column(column: Any) -> Any:
    """An Arrow column without chunks, dictionaries, large offsets and views."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_run_end_encoded(column.type):
        column = compute().run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        # Some value types cannot be taken by their places before they are plain themselves.
        values = plain_column(column.dictionary)
        column = pa.DictionaryArray.from_arrays(column.indices, values).cast(values.type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column.cast(pa.binary()) if pa.types.is_binary_view(column.type) else column


def give_back() -> None:
    """Return to the machine what Arrow holds and does not use: of a large table that is a second one."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def in_parts(values: Any) -> Iterator[Any]:
    """Python's values of an Arrow array, one after the other, of which few are held at once."""
    for begin in range(0, len(values), 1 << 16):
        yield from values.slice(begin, 1 << 16).to_pylist()


def by_distinct(column: Any, text: Callable[[object], str | None]) -> Any:
    """Text of every cell of an Arrow column, asked for once per distinct value."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
    coded = column.dictionary_encode()
    distinct = coded.dictionary
    texts = pa.array((text(value) for value in in_parts(distinct)), pa.string(), size=len(distinct))
    return texts.take(coded.indices)


class NullMarks:
    """What a contract lists for missing entries; marks that are numbers count as numbers do.

    So -999, -999.0 and, where the file has a decimal comma, -999,00 are one mark. Leading zeros mean
    something: 007 is not 7.

    Args:
        marks: of the contract; blank is always missing.
        decimal: the mark before fractions in text.
    """

    def __init__(self, marks: Iterable[str] = (), decimal: str = ".") -> None:
        self._texts = sorted({"", *(mark.strip() for mark in marks)})
        points = re.escape(f".{decimal}")
        numbers = [_as_pattern(mark, points) for mark in self._texts]
        self._numbers = "|".join(pattern for pattern in numbers if pattern)

    def among(self, texts: Any) -> Any:
        """Which cells of an Arrow column of trimmed texts are missing, a boolean array without nulls."""
        import pyarrow as pa

        exact = compute().is_in(texts, pa.array(self._texts, pa.string()))
        if self._numbers:
            alike = compute().match_substring_regex(texts, f"^(?:{self._numbers})$")
            exact = compute().or_(exact, compute().fill_null(alike, False))
        return exact


def _as_pattern(mark: str, points: str) -> str:
    """A regular expression for all spellings of a mark that is a number; empty for other marks."""
    number = re.fullmatch(rf"([+-]?)([0-9]+)(?:[{points}]([0-9]*))?", mark)
    if number is None:
        return ""
    sign, whole, fraction = number[1], number[2], (number[3] or "").rstrip("0")
    is_zero = not (whole + fraction).strip("0")
    before = "[+-]?" if is_zero else "-" if sign == "-" else "[+]?"
    return before + whole + (f"[{points}]{fraction}0*" if fraction else f"(?:[{points}]0*)?")


_EXACT_BITS: Final = {16: 11, 32: 24, 64: 53}
_MISSING_WORDS: Final = frozenset({"nan", "null", "none", "nil", "n/a", "na", "#n/a", "<na>", "nat"})
_SHORTENED: Final = r"^[+-]?[0-9](?:[.,][0-9]+)?[eE][+][0-9]{2,}$"


@runtime_checkable
class KeyCells(Protocol):
    """Cells of a database that tell their texts as keys (`driver_cells.DriverColumn`)."""

    def key_texts(self) -> Any:
        """An Arrow array of texts; raises as `key_text` does, or TypeError."""
        ...


def key_text(column: Any, missing: NullMarks | None = None) -> Any:
    """Customer keys as text without blanks and unseen signs around it; whole numbers lose their point.

    A consent file and a customer table have to spell one customer alike, so both use this function.

    Args:
        column: an Arrow column of a file, the cells of a database, or a list of values.
        missing: what stands for no key, beside blanks.

    Raises:
        TableError: RF-T017 when there is something else than text or whole numbers, RF-T100 floating-point
            numbers too large to be exact, RF-T101 numbers that a spreadsheet has shortened.
    """
    import pyarrow as pa

    try:
        if isinstance(column, KeyCells):
            texts = column.key_texts()
        else:
            texts = _listed(column) if isinstance(column, list) else _typed(plain_column(column))
    except (pa.ArrowException, TypeError):
        raise TableError(
            "RF-T017",
            N_("The customer key column holds neither text nor whole numbers; one of them is expected."),
        ) from None
    bare = compute().utf8_trim(compute().utf8_trim_whitespace(texts), characters=UNSEEN)
    texts = compute().fill_null(compute().utf8_trim_whitespace(bare), "")
    shortened = compute().sum(compute().match_substring_regex(texts, _SHORTENED)).as_py()
    if shortened:
        raise TableError(
            "RF-T101",
            N_(
                "{count} customer keys are written as 1.23E+15 is: a spreadsheet has cut off digits, so that "
                "several customers may share one. Export them again as text."
            ),
            count=shortened,
        )
    if missing is None:
        return texts
    return compute().if_else(missing.among(texts), pa.scalar("", pa.string()), texts)


def trimmed_key(text: str) -> str:
    """A customer key that somebody gave, as `key_text` reads it from a file."""
    return text.strip().strip(UNSEEN).strip()


def reads_as_missing(keys: Any) -> npt.NDArray[np.bool_]:
    """Which customer keys are a program's word for a missing entry, bool `(n,)`."""
    import pyarrow as pa

    words = pa.array(sorted(_MISSING_WORDS), pa.string())
    found: npt.NDArray[np.bool_] = (
        compute().is_in(compute().utf8_lower(keys), words).to_numpy(zero_copy_only=False)
    )
    return found


def _listed(cells: list[object]) -> Any:
    import pyarrow as pa

    return pa.array([_key_of(value) for value in cells], pa.string())


def _key_of(value: object) -> str | None:
    if isinstance(value, float):
        require_exact(np.array([value]), 64)
    return cell_text(value)


def _typed(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):

        def whole(value: object) -> str | None:
            require_exact(np.array([value]) if isinstance(value, float) else np.zeros(0), kind.bit_width)
            return _whole_text(value)

        return by_distinct(column, whole)
    if pa.types.is_decimal(kind):
        return by_distinct(column, _whole_text)
    raise TypeError(f"no keys of type {kind}")


def require_exact(values: npt.NDArray[np.float64], width: int) -> None:
    """Refuse numbers that their neighbours were rounded to: another customer's key may be read as such a one.

    Raises:
        TableError: RF-T100.
    """
    bits = _EXACT_BITS[width]
    if (np.isfinite(values) & (np.abs(values) >= 2.0**bits)).any():
        raise TableError(
            "RF-T100",
            N_(
                "The customer keys are floating-point numbers, and some are 2^{bits} or more: from there on "
                "digits are lost, and several customers may share one key. Store them as whole numbers or "
                "text."
            ),
            bits=bits,
        )


def _whole_text(value: object) -> str | None:
    text = cell_text(value)
    if text is not None and not text.lstrip("-").isdigit():
        raise TypeError("a fraction is no key")
    return text
