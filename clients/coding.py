"""Turns one decoded column into the schema's values: numbers, days or categories, row by row.

Every value depends on its own cell and on public facts (schema, contract) alone, never on other rows: a
customer's contribution must not change because another customer is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients.reading import Locate
from ringfence.privacy import tabular
from ringfence.privacy.documents.columns import Column, Source
from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.quality import ColumnFacts
from ringfence.privacy.schema import Feature

OTHER: Final = "(other)"
"""Category of an entry that the schema does not list, where it says `unknown = "other"`."""

_DAY_ZERO: Final = date(1970, 1, 1).toordinal()
_WHOLE_WITH_POINT: Final = re.compile(r"([+-]?\d+)\.0+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One column in the schema's terms.

    Attributes:
        values: float64 `(n,)` with NaN for missing (numbers; days as in `date.toordinal`), or a categorical
            of the schema's categories and `OTHER`, missing as its null.
        keep: rows that stay, bool `(n,)`; false where the schema excludes unknown categories.
        facts: counts for the quality gate.
    """

    values: npt.NDArray[np.float64] | pd.Categorical
    keep: npt.NDArray[np.bool_]
    facts: ColumnFacts


def code(values: Any, feature: Feature, column: Column, source: Source, locate: Locate) -> Coded:
    """Code one column.

    Args:
        values: a `pyarrow` array, text or the source's own type.
        feature: what the schema says of it.
        column: what the contract says of it.
        source: how the file writes numbers, dates and missing entries.
        locate: rows to line numbers, for messages.

    Raises:
        TableError: RF-T025 entries that are no numbers, RF-T026 no dates, RF-T027 a type that does not fit,
            RF-T028 free text as a feature.
    """
    cells = _Cells(values=_plain(values), header=column.header, source=source, locate=locate)
    match feature.kind:
        case "number":
            return _bounded(_numbers(cells), feature, column)
        case "date":
            return _bounded(_days(cells), feature, column)
        case "category" | "flag":
            return _categories(cells, feature, column)
    raise TableError(
        "RF-T028", N_('"{column}" is free text, which is never a feature. Leave it out of the study.'), column=feature.name
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """A decoded column and what is needed to read and to blame it."""

    values: Any
    header: str
    source: Source
    locate: Locate

    def blame(self, code: str, template: str, wrong: npt.NDArray[np.bool_]) -> TableError:
        rows = np.flatnonzero(wrong)
        lines = tabular.shown(self.locate(rows[:6].tolist()))
        return TableError(code, template, column=self.header, count=len(rows), lines=lines)

    def misfit(self, expected: str) -> TableError:
        return TableError(
            "RF-T027",
            N_('Column "{column}" has type {found} in the source; {expected} is expected by the schema.'),
            column=self.header,
            found=str(self.values.type),
            expected=expected,
        )


def _plain(values: Any) -> Any:
    """Without chunks, dictionaries and large offsets."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values.cast(pa.string()) if pa.types.is_large_string(values.type) else values


def _texts(cells: _Cells) -> Any:
    """Trimmed text with null for what counts as missing: blank cells and the contract's null values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(cells.values)
    missing = pa.array(sorted({"", *(value.strip() for value in cells.source.null_values)}), pa.string())
    return pc.if_else(pc.is_in(trimmed, missing), pa.scalar(None, pa.string()), trimmed)


def _numbers(cells: _Cells) -> npt.NDArray[np.float64]:
    import pyarrow as pa

    kind = cells.values.type
    if pa.types.is_string(kind):
        return _parsed_numbers(cells)
    if pa.types.is_null(kind):
        return np.full(len(cells.values), np.nan)
    if pa.types.is_boolean(kind):
        cells = _Cells(values=cells.values.cast(pa.int8()), header=cells.header, source=cells.source, locate=cells.locate)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise cells.misfit(N_("a number"))
    numbers = _as_float(cells.values.cast(pa.float64(), safe=False))
    if np.isinf(numbers).any():
        raise cells.blame("RF-T025", _NOT_NUMBERS, np.isinf(numbers))
    return numbers


_NOT_NUMBERS: Final = N_(
    'Column "{column}" holds {count} entries that are not numbers (line {lines}). Check decimal and thousands in '
    "[source], or list the mark for missing in null_values."
)
_NOT_DATES: Final = N_(
    'Column "{column}" holds {count} entries that are not dates (line {lines}). Check date_format in [source].'
)


def _parsed_numbers(cells: _Cells) -> npt.NDArray[np.float64]:
    """Strict numbers: Arrow's parser where the file writes them plainly, else a pattern first.

    Without the pattern a decimal comma read as a mark between thousands would give another number silently.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = _texts(cells)
    mark, thousands = cells.source.decimal, cells.source.thousands
    plain = texts
    if mark != "." or thousands is not None:
        whole = r"\d+" if thousands is None else rf"(\d{{1,3}}({re.escape(thousands)}\d{{3}})+|\d+)"
        pattern = rf"^[+-]?({whole}({re.escape(mark)}\d*)?|{re.escape(mark)}\d+)([eE][+-]?\d+)?$"
        bad = ~pc.fill_null(pc.match_substring_regex(texts, pattern), True).to_numpy(zero_copy_only=False)
        if bad.any():
            raise cells.blame("RF-T025", _NOT_NUMBERS, bad)
        plain = pc.replace_substring(plain, thousands, "") if thousands is not None else plain
        plain = pc.replace_substring(plain, mark, ".")
    try:
        numbers = _as_float(plain.cast(pa.float64()))
    except pa.ArrowInvalid:
        numbers = np.array([_lenient(text) for text in plain.to_pylist()], dtype=np.float64)
    wrong = ~np.isfinite(numbers) & pc.is_valid(texts).to_numpy(zero_copy_only=False)
    if wrong.any():
        raise cells.blame("RF-T025", _NOT_NUMBERS, wrong)
    return numbers


def _lenient(text: str | None) -> float:
    """A number, or NaN for anything else, so that every wrong row can be named; `+1` is one that Arrow refuses."""
    if text is None or "_" in text or not text.isascii():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _as_float(values: Any) -> npt.NDArray[np.float64]:
    return np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _days(cells: _Cells) -> npt.NDArray[np.float64]:
    """Dates as day numbers of the proleptic Gregorian calendar, `date.toordinal`; NaN for missing."""
    import pyarrow as pa

    kind = cells.values.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        days = _as_float(cells.values.cast(pa.timestamp("us")).cast(pa.date32(), safe=False).cast(pa.int32()))
        return days + _DAY_ZERO
    if pa.types.is_null(kind):
        return np.full(len(cells.values), np.nan)
    if not pa.types.is_string(kind):
        raise cells.misfit(N_("a date"))
    form = cells.source.date_format
    days, wrong = _by_distinct(_texts(cells), lambda text: _day(text, form))
    if wrong.any():
        raise cells.blame("RF-T026", _NOT_DATES, wrong)
    return days


def _day(text: str, form: str | None) -> float:
    try:
        moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    except ValueError:
        return float("nan")
    return float(moment.toordinal())


def _by_distinct(
    texts: Any, meaning: Callable[[str], float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Apply a slow function once per distinct text; also which rows hold a text that means nothing."""
    coded = texts.dictionary_encode()
    table = np.array([meaning(text) for text in coded.dictionary.to_pylist()] + [np.nan], dtype=np.float64)
    positions = coded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)
    found = table[positions]
    return found, np.isnan(found) & (positions < len(table) - 1)


def _bounded(numbers: npt.NDArray[np.float64], feature: Feature, column: Column) -> Coded:
    missing = np.isnan(numbers)
    low, high = feature.limits
    outside = (numbers < low) | (numbers > high)
    clipped = np.clip(numbers, low, high)
    distinct = len(np.unique(clipped[~missing]))
    if feature.missing == "value":
        clipped = np.where(missing, _fill(feature), clipped)
    facts = ColumnFacts(
        name=feature.name, kind=feature.kind, rows=len(numbers), present=int((~missing).sum()),
        missing=int(missing.sum()), clipped=int(outside.sum()), distinct=distinct,
        max_missing=column.max_missing, missing_refused=feature.missing == "refuse",
    )  # fmt: skip
    return Coded(values=clipped, keep=np.ones(len(numbers), dtype=np.bool_), facts=facts)


def _fill(feature: Feature) -> float:
    value = feature.missing_value
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if isinstance(value, Decimal | int) else float("nan")


def _categories(cells: _Cells, feature: Feature, column: Column) -> Coded:
    categories = list(feature.categories or ())
    texts = _category_texts(cells, categories, feature)
    coded = texts.dictionary_encode()
    meaning = _Meaning.of(column, categories)
    # The last entry stands for missing; unknown texts get -2 until the schema's rule is applied.
    table = np.array([meaning.position(text) for text in coded.dictionary.to_pylist()] + [-1], dtype=np.int64)
    codes = table[coded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)]
    unknown, absent = codes == -2, codes == -1
    rows, present = len(codes), int(len(codes) - absent.sum())
    labels = categories if OTHER in categories else [*categories, OTHER]
    keep = np.ones(rows, dtype=np.bool_)
    match feature.unknown:
        case "other":
            codes = np.where(unknown, labels.index(OTHER), codes)
        case "missing":
            codes = np.where(unknown, -1, codes)
        case "exclude":
            codes, keep = np.where(unknown, -1, codes), ~unknown
    missing = (codes == -1) & keep
    distinct = len(np.unique(codes[(codes >= 0) & keep]))
    if feature.missing == "value":
        codes = np.where(missing, categories.index(str(feature.missing_value)), codes)
    facts = ColumnFacts(
        name=feature.name, kind=feature.kind, rows=rows, present=present, missing=int(missing.sum()),
        unknown=int(unknown.sum()), excluded=int((~keep).sum()), distinct=distinct,
        max_missing=column.max_missing, missing_refused=feature.missing == "refuse",
    )  # fmt: skip
    values = pd.Categorical.from_codes(codes, categories=pd.Index(labels, dtype="str"))
    return Coded(values=values, keep=keep, facts=facts)


def _category_texts(cells: _Cells, categories: Sequence[str], feature: Feature) -> Any:
    """Text of a category column whatever its type: whole numbers without a point, truth values by their place."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, values = cells.values.type, cells.values
    if pa.types.is_boolean(kind):
        if feature.kind == "flag":
            return pc.if_else(values, categories[1], categories[0])
        values = pc.if_else(values, "true", "false")
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = values.cast(pa.float64(), safe=False)
        texts = numbers.cast(pa.string())
        values = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.string()), texts)
    elif pa.types.is_integer(kind) or pa.types.is_null(kind) or pa.types.is_date(kind):
        values = values.cast(pa.string())
    elif not pa.types.is_string(kind):
        raise cells.misfit(N_("a category"))
    return _texts(_Cells(values=values, header=cells.header, source=cells.source, locate=cells.locate))


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Codes of the file to positions among the categories; exact spelling first, then 1.0 and +1 as 1."""

    exact: dict[str, int]
    loose: dict[str, int]

    @classmethod
    def of(cls, column: Column, categories: Sequence[str]) -> _Meaning:
        position = {category: number for number, category in enumerate(categories)}
        exact = position | {code.strip(): position[category] for code, category in column.values.items()}
        return cls(exact, {_loose(code): number for code, number in exact.items()})

    def position(self, text: str) -> int:
        return self.exact.get(text, self.loose.get(_loose(text), -2))


def _loose(text: str) -> str:
    whole = _WHOLE_WITH_POINT.fullmatch(text)
    return (whole[1] if whole else text).removeprefix("+")
