"""Reads the cells of one column as numbers or days.

Invariant: what a cell means depends on that cell and on public facts (schema, contract) alone, never on other
rows: a customer's contribution must not change because another customer is there. Even the way of parsing is
chosen by the cell's own text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ringfence.clients.rows.cells import Cells
from ringfence.privacy.agreements.date_forms import has_short_year
from ringfence.privacy.errors import N_
from ringfence.privacy.tables.celltext import by_distinct, cell_text, compute, in_parts, in_utc
from ringfence.privacy.tables.driver_cells import LATEST, DriverColumn, stamps_in_days

_DAY_MICROSECONDS: Final = 86_400_000_000
_NOT_NUMBERS: Final = N_(
    'Column "{column}" has entries that are not numbers: {count} (line {lines}). Check decimal and thousands '
    "in "
    "[source], or list the mark for missing in null_values."
)
_NOT_DATES: Final = N_(
    'Column "{column}" has entries that are not dates: {count} (line {lines}). Check date_format in [source].'
)
_NOT_DATES_OF_SHORT_YEARS: Final = N_(
    'Column "{column}" has entries that are not dates, or whose year of two digits lies within the bounds in '
    "no century: {count} (line {lines}). Check date_format in [source], or export years of four digits."
)
_BETWEEN_THOUSANDS: Final = {",": "[,]", ".": "[.]", " ": "[ \u00a0\u202f\u2009]", "'": "['\u2019]"}
"""Patterns of the marks between thousands, with the blanks and apostrophes that look like the ones named."""
_PLAIN_NUMBER: Final = r"^-?[0-9]+([.][0-9]+)?$"
_MISFIT: Final = float("inf")
"""Stands for a cell that is no number or no date, until the rows are told."""


def numbers(cells: Cells) -> npt.NDArray[np.float64]:
    """The cells as numbers, NaN for missing, float64 `(n,)`.

    Raises:
        TableError: RF-T025 entries that are none or not finite, RF-T027 a type that holds none.
    """
    import pyarrow as pa

    marks = _null_numbers(cells)
    if isinstance(cells.values, DriverColumn):
        native, unread = cells.values.native_numbers()
        texts = replace(cells, values=cells.values.plain_texts())
        return _typed_cells(texts, _parsed_numbers, native, unread, marks, ("RF-T025", _NOT_NUMBERS))
    held = cells.values.type
    if pa.types.is_string(held):
        read, marks = _parsed_numbers(cells), marks[np.isfinite(marks)]  # texts were compared as texts
    elif pa.types.is_null(held):
        read = np.full(len(cells.values), np.nan)
    elif pa.types.is_boolean(held):
        read = _as_float(cells.values.cast(pa.int8()))
    elif pa.types.is_integer(held) or pa.types.is_floating(held) or pa.types.is_decimal(held):
        read = _as_float(cells.values.cast(pa.float64(), safe=False))
    else:
        raise cells.misfit(N_("a number"))
    if pa.types.is_float32(held) or pa.types.is_float16(held):  # -999.9 is another number there
        marks = marks.astype(held.to_pandas_dtype()).astype(np.float64)
    return _checked(cells, _without(read, marks), ("RF-T025", _NOT_NUMBERS))


def days(cells: Cells, span: tuple[float, float]) -> npt.NDArray[np.float64]:
    """The cells as days, counted as in `date.toordinal`, NaN for missing, float64 `(n,)`.

    A moment with a zone is its day in UTC, whatever holds it.

    Args:
        cells: the column.
        span: first and last day that can be meant: they tell the century of a year of two digits.

    Raises:
        TableError: RF-T026 entries that are none, RF-T102 the same where years have two digits, RF-T027 a
            type that holds none.
    """
    return np.floor(points_in_time(cells, span))


def points_in_time(cells: Cells, span: tuple[float, float]) -> npt.NDArray[np.float64]:
    """The cells as moments: days as in `days`, and the part of the day that has gone by.

    A null value that is a day stands for all its moments. Two moments are told apart down to some ten
    microseconds, but for the last tenth of a millisecond of a day.

    Raises:
        TableError: as `days`.
    """
    marks = _null_days(cells, span)
    read = _read_moments(cells, span, marks)
    kept: npt.NDArray[np.float64] = np.where(np.isin(np.floor(read), np.floor(marks)), np.nan, read)
    return kept


def _read_moments(
    cells: Cells, span: tuple[float, float], marks: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    import pyarrow as pa

    form = cells.source.date_format
    short = form is not None and has_short_year(form)
    fault = ("RF-T102", _NOT_DATES_OF_SHORT_YEARS) if short else ("RF-T026", _NOT_DATES)

    def parsed(column: Cells) -> npt.NDArray[np.float64]:
        return _parsed_days(column, span)

    if isinstance(cells.values, DriverColumn):
        native = cells.values.native_moments()
        texts, unread = cells.values.texts()
        texts = compute().if_else(pa.array(np.isnan(native)), texts, pa.scalar(None, pa.string()))
        return _typed_cells(replace(cells, values=texts), parsed, native, unread, marks, fault)
    held = cells.values.type
    if pa.types.is_date(held) or pa.types.is_timestamp(held):
        return stamps_in_days(cells.values.cast(pa.timestamp("us"), safe=False))
    if pa.types.is_null(held):
        return np.full(len(cells.values), np.nan)
    if form is not None and (pa.types.is_integer(held) or pa.types.is_floating(held)):
        # 20270131 kept as a number, and as a floating-point one where a day is missing
        cells = replace(cells, values=by_distinct(cells.values, cell_text))
    elif not pa.types.is_string(held):
        raise cells.misfit(N_("a date"))
    return _checked(cells, _without(parsed(cells), marks), fault)


def _null_numbers(cells: Cells) -> npt.NDArray[np.float64]:
    """The null values that are numbers: written as the file writes them, or else plainly."""
    marks = cells.marks()
    read = _parsed_numbers(marks)
    for place, text in enumerate(marks.values.to_pylist()):
        if np.isinf(read[place]):
            read[place] = _float_or_nan(text)
    numbers: npt.NDArray[np.float64] = read[~np.isnan(read)]
    return numbers


def _null_days(cells: Cells, span: tuple[float, float]) -> npt.NDArray[np.float64]:
    """The null values that are days: written as the file writes them, or else by ISO 8601."""
    marks = cells.marks()
    plainly = replace(marks, source=marks.source.revised(date_format=None))
    read = np.concatenate([_parsed_days(marks, span), _parsed_days(plainly, span)])
    finite: npt.NDArray[np.float64] = read[np.isfinite(read)]
    return finite


def _float_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _without(read: npt.NDArray[np.float64], marks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values that are none of the marks; NaN where they are."""
    kept: npt.NDArray[np.float64] = np.where(np.isin(read, marks), np.nan, read)
    return kept


def _typed_cells(
    texts: Cells,
    parse: Callable[[Cells], npt.NDArray[np.float64]],
    native: npt.NDArray[np.float64],
    unread: npt.NDArray[np.bool_],
    marks: npt.NDArray[np.float64],
    fault: tuple[str, str],
) -> npt.NDArray[np.float64]:
    """Values of a database column of mixed types: each by its own type, texts by `parse`."""
    is_text = texts.values.is_valid().to_numpy(zero_copy_only=False)
    read = _without(parse(texts), marks[np.isfinite(marks)])
    values = np.where(is_text, read, _without(native, marks))
    return _checked(texts, np.where(unread, _MISFIT, values), fault)


def _checked(cells: Cells, read: npt.NDArray[np.float64], fault: tuple[str, str]) -> npt.NDArray[np.float64]:
    wrong = np.isinf(read)
    if wrong.any():
        raise cells.blame(*fault, wrong)
    return read


def _parsed_numbers(cells: Cells) -> npt.NDArray[np.float64]:
    """Numbers of a text column, NaN for missing, infinite for what is none.

    Arrow's parser reads what is written plainly, Python's the rest. Where the file writes numbers otherwise,
    a pattern comes first: a decimal comma read as a mark between thousands would give another number
    silently.
    """
    import pyarrow as pa

    texts, pc = cells.texts(), compute()
    mark, thousands = re.escape(cells.source.decimal), _BETWEEN_THOUSANDS.get(cells.source.thousands or "")
    strange = np.zeros(len(texts), dtype=np.bool_)
    if mark != re.escape(".") or thousands is not None:
        whole = r"\d+" if thousands is None else rf"(\d{{1,3}}({thousands}\d{{3}})+|\d+)"
        strange = ~_matches(texts, rf"^[+-]?({whole}({mark}\d*)?|{mark}\d+)([eE][+-]?\d+)?$")
        texts = texts if thousands is None else pc.replace_substring_regex(texts, thousands, "")
        texts = pc.replace_substring(texts, cells.source.decimal, ".")
    easy = _matches(texts, _PLAIN_NUMBER) & ~strange
    read = _as_float(pc.if_else(pa.array(easy), texts, pa.scalar(None, pa.string())).cast(pa.float64()))
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(present & ~easy & ~strange):
        read[row] = _lenient(texts[row].as_py())
    read[strange & present] = _MISFIT
    return read


def _matches(texts: Any, pattern: str) -> npt.NDArray[np.bool_]:
    """Which texts fit a pattern; missing ones do."""
    pc = compute()
    fits: npt.NDArray[np.bool_] = pc.fill_null(pc.match_substring_regex(texts, pattern), True).to_numpy(
        zero_copy_only=False
    )
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


def _parsed_days(cells: Cells, span: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Days of a text column, NaN for missing, infinite for what is none."""
    form = cells.source.date_format
    coded = cells.texts().dictionary_encode()
    # Slow, so once per distinct text; the last entry stands for missing.
    distinct = len(coded.dictionary)
    table = np.full(distinct + 1, np.nan)
    table[:distinct] = np.fromiter(
        (_day(text, form, span) for text in in_parts(coded.dictionary)), np.float64, distinct
    )
    read: npt.NDArray[np.float64] = table[coded.indices.fill_null(distinct).to_numpy(zero_copy_only=False)]
    return read


def _day(text: str, form: str | None, span: tuple[float, float]) -> float:
    try:
        moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    except ValueError:
        return _MISFIT
    if form is not None and has_short_year(form):
        return _day_within(moment, span)
    return _moment(in_utc(moment))


def _moment(moment: datetime) -> float:
    """Days as in `date.toordinal`, with the part of the day that has gone by."""
    since = moment - datetime.combine(moment, datetime.min.time())
    part = (since.seconds * 1_000_000 + since.microseconds) / _DAY_MICROSECONDS
    return moment.toordinal() + min(part, LATEST)


def _day_within(moment: datetime, span: tuple[float, float]) -> float:
    """The day of the one century that lies in the span; infinite where none or several do."""
    meant = []
    for years in (-200, -100, 0, 100):
        try:
            day = _moment(in_utc(moment.replace(year=moment.year + years)))
        except ValueError:  # 29 February of a year that has none
            continue
        meant += [day] if span[0] <= int(day) <= span[1] else []
    return meant[0] if len(meant) == 1 else _MISFIT
