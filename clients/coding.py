"""Turns one decoded column into the schema's values: numbers, days or categories, row by row.

Every value depends on its own cell and on public facts (schema, contract) alone, never on other rows: a
customer's contribution must not change because another customer is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients.reading import Locate
from ringfence.clients.values import Cells, days, numbered_texts, numbers
from ringfence.privacy.documents.columns import Column, Source
from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.quality import ColumnFacts
from ringfence.privacy.schema import Feature

OTHER: Final = "(other)"
"""Category of an entry that the schema does not list, where it says `unknown = "other"`."""

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
        values: a `pyarrow` array of a file, text or of its own type, or a list of the values of a database.
        feature: what the schema says of it.
        column: what the contract says of it.
        source: how the file writes numbers, dates and missing entries.
        locate: rows to line numbers, for messages.

    Raises:
        TableError: RF-T025 entries that are no numbers, RF-T026 no dates, RF-T027 a type that does not fit,
            RF-T028 free text as a feature, RF-T034 neither text, number nor date.
    """
    cells = Cells.of(values, column.header, source, locate)
    match feature.kind:
        case "number":
            return _bounded(numbers(cells), feature, column)
        case "date":
            return _bounded(days(cells), feature, column)
        case "category" | "flag":
            return _categories(cells, feature, column)
    raise TableError(
        "RF-T028", N_('"{column}" is free text, which is never a feature. Leave it out of the study.'), column=feature.name
    )


def _bounded(found: npt.NDArray[np.float64], feature: Feature, column: Column) -> Coded:
    missing = np.isnan(found)
    low, high = feature.limits
    outside = (found < low) | (found > high)
    clipped = np.clip(found, low, high)
    distinct = len(np.unique(clipped[~missing]))
    if feature.missing == "value":
        clipped = np.where(missing, _fill(feature), clipped)
    facts = ColumnFacts(
        name=feature.name, kind=feature.kind, rows=len(found), present=int((~missing).sum()),
        missing=int(missing.sum()), clipped=int(outside.sum()), distinct=distinct,
        max_missing=column.max_missing, missing_refused=feature.missing == "refuse",
    )  # fmt: skip
    return Coded(values=clipped, keep=np.ones(len(found), dtype=np.bool_), facts=facts)


def _fill(feature: Feature) -> float:
    value = feature.missing_value
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if isinstance(value, Decimal | int) else float("nan")


def _categories(cells: Cells, feature: Feature, column: Column) -> Coded:
    categories = list(feature.categories or ())
    truth = (categories[0], categories[1]) if feature.kind == "flag" else ("false", "true")
    number, texts = numbered_texts(cells, truth)
    meaning = _Meaning.of(column, categories)
    # The last entry stands for missing; unknown texts get -2 until the schema's rule is applied.
    table = np.array([*(-1 if text is None else meaning.position(text) for text in texts), -1], dtype=np.int64)
    codes = table[number]
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
