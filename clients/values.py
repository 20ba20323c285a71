"""Reads the cells of one column as numbers, days or texts.

Invariant: what a cell means depends on that cell and on public facts (schema, contract) alone, never on other rows:
a customer's contribution must not change because another customer is there. Even the way of parsing is chosen by the
cell's own text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ringfence.clients.reading import Locate
from ringfence.privacy import tabular
from ringfence.privacy.celltext import by_distinct, cell_text, compute, in_utc, plain
from ringfence.privacy.documents.columns import Source
from ringfence.privacy.errors import N_, TableError

_DAY_ZERO: Final = date(1970, 1, 1).toordinal()
_NOT_NUMBERS: Final = N_(
    'Column "{column}" has entries that are not numbers: {count} (line {lines}). Check decimal and thousands in '
    "[source], or list the mark for missing in null_values."
)
_NOT_DATES: Final = N_(
    'Column "{column}" has entries that are not dates: {count} (line {lines}). Check date_format in [source].'
)
_PLAIN_NUMBER: Final = r"^-?[0-9]+([.][0-9]+)?$"
_MISFIT: Final = float("inf")
"""Stands for a cell that is no number or no date, until the rows are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A decoded column and what is needed to read and to blame it.

    Attributes:
        values: a flat Arrow array of a file, or the values of a database as its driver gave them.
        header: the column's name in the source.
        source: how text is written there.
        locate: rows to the numbers people know them by.
    """

    values: Any
    header: str
    source: Source
    locate: Locate

    @classmethod
    def of(cls, values: Any, header: str, source: Source, locate: Locate) -> Cells:
        """The cells of a column as `reading.fetch` gave it."""
        flat = values if isinstance(values, list) else plain(values)
        return cls(values=flat, header=header, source=source, locate=locate)

    def blame(self, code: str, template: str, wrong: npt.NDArray[np.bool_]) -> TableError:
        """The refusal of some rows."""
        rows = np.flatnonzero(wrong)
        lines = tabular.shown(self.locate(rows[:6].tolist()))
        return TableError(code, template, column=self.header, count=len(rows), lines=lines)

    def misfit(self, expected: str) -> TableError:
        """The refusal of a file's whole column for its declared type."""
        return TableError(
            "RF-T027",
            N_('Column "{column}" has type {found} in the source; {expected} is expected by the schema.'),
            column=self.header,
            found=str(self.values.type),
            expected=expected,
        )

    def texts(self) -> Any:
        """Trimmed text of a text column, with null for what counts as missing: blanks and the contract's null values."""
        import pyarrow as pa

        trimmed = compute().utf8_trim_whitespace(self.values)
        missing = pa.array(sorted({"", *(value.strip() for value in self.source.null_values)}), pa.string())
        return compute().if_else(compute().is_in(trimmed, missing), pa.scalar(None, pa.string()), trimmed)


class _Faults(tuple[TableError, ...]):
    """Faults, one a line, translated when printed."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return format("\n".join(str(fault) for fault in self), spec)


def raise_together(faults: Sequence[TableError], name: str) -> None:
    """Raise what was found wrong in the columns of a source, all at once, if anything was.

    Raises:
        TableError: the one fault, or RF-T033 with all of them.
    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise TableError(
            "RF-T033",
            N_("{count} columns of {file} cannot be read:\n{faults}"),
            count=len(faults),
            file=name,
            faults=_Faults(faults),
        )


def numbers(cells: Cells) -> npt.NDArray[np.float64]:
    """The cells as numbers, NaN for missing, float64 `(n,)`.

    Raises:
        TableError: RF-T025 entries that are none or not finite, RF-T027 a type that holds none.
    """
    import pyarrow as pa

    if isinstance(cells.values, list):
        return _cell_by_cell(cells, _parsed_numbers, _native_number, ("RF-T025", _NOT_NUMBERS))
    kind = cells.values.type
    if pa.types.is_string(kind):
        found = _parsed_numbers(cells)
    elif pa.types.is_null(kind):
        found = np.full(len(cells.values), np.nan)
    elif pa.types.is_boolean(kind):
        found = _as_float(cells.values.cast(pa.int8()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        found = _as_float(cells.values.cast(pa.float64(), safe=False))
    else:
        raise cells.misfit(N_("a number"))
    return _checked(cells, found, ("RF-T025", _NOT_NUMBERS))


def days(cells: Cells) -> npt.NDArray[np.float64]:
    """The cells as day numbers of the proleptic Gregorian calendar, `date.toordinal`; NaN for missing.

    Raises:
        TableError: RF-T026 entries that are no dates, RF-T027 a type that holds none.
    """
    import pyarrow as pa

    if isinstance(cells.values, list):
        return _cell_by_cell(cells, _parsed_days, _native_day, ("RF-T026", _NOT_DATES))
    kind = cells.values.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        moments = cells.values.cast(pa.timestamp("us"), safe=False)
        return _as_float(moments.cast(pa.date32(), safe=False).cast(pa.int32())) + _DAY_ZERO
    if pa.types.is_null(kind):
        return np.full(len(cells.values), np.nan)
    if pa.types.is_integer(kind) and cells.source.date_format is not None:
        cells = replace(cells, values=cells.values.cast(pa.string()))  # 20270131 kept as a number
    elif not pa.types.is_string(kind):
        raise cells.misfit(N_("a date"))
    return _checked(cells, _parsed_days(cells), ("RF-T026", _NOT_DATES))


def category_texts(cells: Cells, truth: tuple[str, str]) -> Any:
    """Trimmed text of each cell with null for missing, a `pyarrow` string array.

    Args:
        cells: the column.
        truth: what false and true are called.

    Raises:
        TableError: RF-T027 a type that is no category, RF-T034 entries of a database that are none.
    """
    import pyarrow as pa

    def text(value: object) -> str | None:
        return truth[value] if isinstance(value, bool) else cell_text(value)

    if isinstance(cells.values, list):
        return replace(cells, values=_texts_of(cells, text)).texts()
    kind, values = cells.values.type, cells.values
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = by_distinct(values, text)
    elif pa.types.is_integer(kind) or pa.types.is_null(kind) or pa.types.is_date(kind):
        values = values.cast(pa.string())
    elif not pa.types.is_string(kind):
        raise cells.misfit(N_("a category"))
    return replace(cells, values=values).texts()


def numbered_texts(cells: Cells, truth: tuple[str, str]) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """Texts of categories by number: what a number stands for is trimmed and read once.

    Args:
        cells: the column.
        truth: what false and true are called.

    Returns:
        The number of each cell's text, -1 for missing, int64 `(n,)`; and the texts by their numbers, None for missing.
        Several numbers may stand for one text, when cells differ in blanks around it.

    Raises:
        TableError: as `category_texts`.
    """
    import pyarrow as pa

    first = not isinstance(cells.values, list) and pa.types.is_string(cells.values.type)
    coded = (cells.values if first else category_texts(cells, truth)).dictionary_encode()
    texts = replace(cells, values=coded.dictionary).texts() if first else coded.dictionary
    number = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return number, texts.to_pylist()


def _texts_of(cells: Cells, text: Callable[[object], str | None]) -> Any:
    import pyarrow as pa

    found: list[str | None] = []
    wrong = np.zeros(len(cells.values), dtype=np.bool_)
    for row, value in enumerate(cells.values):
        try:
            found.append(text(value))
        except TypeError:
            found.append(None)
            wrong[row] = True
    if wrong.any():
        raise cells.blame(
            "RF-T034",
            N_('Column "{column}" has entries that are no text, number or date: {count} (line {lines}). Store or cast '
               "them as text in the database."),
            wrong,
        )  # fmt: skip
    return pa.array(found, pa.string())


def _cell_by_cell(
    cells: Cells,
    parse: Callable[[Cells], npt.NDArray[np.float64]],
    native: Callable[[object], float | str],
    fault: tuple[str, str],
) -> npt.NDArray[np.float64]:
    """Values of a database, where one column may hold text and numbers: each by its own type, texts by `parse`."""
    import pyarrow as pa

    typed = [value if value is None or isinstance(value, str) else native(value) for value in cells.values]
    texts = pa.array([value if isinstance(value, str) else None for value in typed], pa.string())
    numbers = np.array([value if isinstance(value, float) else np.nan for value in typed], dtype=np.float64)
    read = parse(replace(cells, values=texts))
    is_text = texts.is_valid().to_numpy(zero_copy_only=False)
    return _checked(cells, np.where(is_text, read, numbers), fault)


def _native_number(value: object) -> float:
    if not isinstance(value, int | float | Decimal):
        return _MISFIT
    try:
        return float(value)
    except (OverflowError, ValueError):  # beyond the floats; a signalling NaN
        return _MISFIT


def _native_day(value: object) -> float | str:
    """The day of a date; another value as text, to be read as text is."""
    if isinstance(value, datetime):
        return float(in_utc(value).toordinal())
    if isinstance(value, date):
        return float(value.toordinal())
    try:
        text = cell_text(value)
    except TypeError:
        return _MISFIT
    return float("nan") if text is None else text


def _checked(cells: Cells, found: npt.NDArray[np.float64], fault: tuple[str, str]) -> npt.NDArray[np.float64]:
    wrong = np.isinf(found)
    if wrong.any():
        raise cells.blame(*fault, wrong)
    return found


def _parsed_numbers(cells: Cells) -> npt.NDArray[np.float64]:
    """Numbers of a text column, NaN for missing, infinite for what is none.

    Arrow's parser reads what is written plainly, Python's the rest. Where the file writes numbers otherwise, a pattern
    comes first: a decimal comma read as a mark between thousands would give another number silently.
    """
    import pyarrow as pa

    texts, pc = cells.texts(), compute()
    mark, thousands = cells.source.decimal, cells.source.thousands
    strange = np.zeros(len(texts), dtype=np.bool_)
    if mark != "." or thousands is not None:
        whole = r"\d+" if thousands is None else rf"(\d{{1,3}}({re.escape(thousands)}\d{{3}})+|\d+)"
        pattern = rf"^[+-]?({whole}({re.escape(mark)}\d*)?|{re.escape(mark)}\d+)([eE][+-]?\d+)?$"
        strange = ~_matches(texts, pattern)
        texts = pc.replace_substring(texts, thousands, "") if thousands is not None else texts
        texts = pc.replace_substring(texts, mark, ".")
    easy = _matches(texts, _PLAIN_NUMBER) & ~strange
    found = _as_float(pc.if_else(pa.array(easy), texts, pa.scalar(None, pa.string())).cast(pa.float64()))
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(present & ~easy & ~strange):
        found[row] = _lenient(texts[row].as_py())
    found[strange & present] = _MISFIT
    return found


def _matches(texts: Any, pattern: str) -> npt.NDArray[np.bool_]:
    """Which texts fit a pattern; missing ones do."""
    pc = compute()
    fits: npt.NDArray[np.bool_] = pc.fill_null(pc.match_substring_regex(texts, pattern), True).to_numpy(zero_copy_only=False)
    return fits


def _lenient(text: str) -> float:
    """A number such as `+1` or `1e3`, or infinite for what is none."""
    if "_" in text or not text.isascii():
        return _MISFIT
    try:
        number = float(text)
    except ValueError:
        return _MISFIT
    return number if np.isfinite(number) else _MISFIT


def _as_float(values: Any) -> npt.NDArray[np.float64]:
    return np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _parsed_days(cells: Cells) -> npt.NDArray[np.float64]:
    """Days of a text column, NaN for missing, infinite for what is none."""
    form = cells.source.date_format
    coded = cells.texts().dictionary_encode()
    # Slow, so once per distinct text; the last entry stands for missing.
    table = np.array([_day(text, form) for text in coded.dictionary.to_pylist()] + [np.nan], dtype=np.float64)
    found: npt.NDArray[np.float64] = table[coded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)]
    return found


def _day(text: str, form: str | None) -> float:
    try:
        moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    except ValueError:
        return _MISFIT
    return float(moment.toordinal())
