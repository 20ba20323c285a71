"""Turns one decoded column into the schema's values: numbers, days or categories, row by row.

Every value depends on its own cell and on public facts (schema, contract) alone, never on other rows: a
customer's contribution must not change because another customer is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients.rows.cells import Cells, raise_together
from ringfence.clients.rows.reading import Locate
from ringfence.clients.rows.texts import numbered_texts
from ringfence.clients.rows.values import days, numbers
from ringfence.privacy.agreements.columns import Column, Source
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.agreements.schema import Feature, Schema
from ringfence.privacy.errors import N_, ContractError, TableError
from ringfence.privacy.tables.celltext import give_back, in_parts
from ringfence.privacy.tables.facts import ColumnFacts, TableFacts

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

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Rows that stay and whose value is known, bool `(n,)`: of a label, those a task may see."""
        return known(self.values) & self.keep

    @property
    def classes(self) -> int:
        """Distinct known values."""
        return len(pd.unique(self.values[self.known]))


def known(values: Any) -> npt.NDArray[np.bool_]:
    """Which values are neither missing nor outside the schema's categories, bool `(n,)`."""
    there: npt.NDArray[np.bool_] = ~np.asarray(pd.isna(values))
    if isinstance(values, pd.Categorical):
        return there & np.asarray(values != OTHER)
    return there


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
            return _bounded(days(cells, feature.limits), feature, column)
        case "category" | "flag":
            return _categories(cells, feature, column)
    raise TableError(
        "RF-T028",
        N_('"{column}" is free text, which is never a feature. Leave it out of the study.'),
        column=feature.name,
    )


def code_columns(
    table: dict[str, Any], contract: Contract, schema: Schema, allowed: Allowed, locate: Locate, name: str
) -> dict[str, Coded]:
    """Code all columns that a decision allows, and tell of all that cannot be coded at once.

    What is coded is taken out of the table, which may be large.
    """
    coded: dict[str, Coded] = {}
    faults: list[TableError] = []
    for feature, header in allowed.headers.items():
        column = contract.column(feature)
        if column is None:
            raise ContractError("RF-T029", N_('The contract has no column for "{column}".'), column=feature)
        try:
            coded[feature] = code(table.pop(header), schema.feature(feature), column, contract.source, locate)
        except TableError as fault:
            faults.append(fault)
        give_back()
    raise_together(faults, name)
    return coded


def one_by_one(coded: dict[str, Coded]) -> Iterator[tuple[str, Coded]]:
    """Columns in order, each let go of when the next one is asked for: whole tables are large."""
    for name in list(coded):
        yield name, coded.pop(name)


def _column_facts(coded: Mapping[str, Coded], label: str | None) -> tuple[ColumnFacts, ...]:
    """Facts of all columns; rows whose label is not known count as left out, since no task sees them."""
    return tuple(
        replace(part.facts, excluded=int((~part.known).sum())) if name == label else part.facts
        for name, part in coded.items()
    )


def facts_of(
    contract: Contract, allowed: Allowed, coded: Mapping[str, Coded], *, rows: int, customers: int
) -> TableFacts:
    """What was counted of a table whose every row has a customer of its own."""
    return TableFacts(
        rows=rows,
        customers=customers,
        keyless=0,
        repeated=0,
        surplus=0,
        duplicates=contract.duplicates,
        max_customers=contract.max_customers,
        min_cohort=contract.min_cohort,
        label=allowed.label,
        label_classes=0 if allowed.label is None else coded[allowed.label].classes,
        columns=_column_facts(coded, allowed.label),
    )


def _bounded(read: npt.NDArray[np.float64], feature: Feature, column: Column) -> Coded:
    missing = np.isnan(read)
    low, high = feature.limits
    outside = (read < low) | (read > high)
    clipped = np.clip(read, low, high)
    distinct = len(np.unique(clipped[~missing]))
    if feature.missing == "value":
        clipped = np.where(missing, _fill(feature), clipped)
    facts = ColumnFacts(
        name=feature.name,
        kind=feature.kind,
        rows=len(read),
        present=int((~missing).sum()),
        missing=int(missing.sum()),
        clipped=int(outside.sum()),
        distinct=distinct,
        max_missing=column.max_missing,
        missing_refused=feature.missing == "refuse",
    )
    return Coded(values=clipped, keep=np.ones(len(read), dtype=np.bool_), facts=facts)


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
    table = np.full(len(texts) + 1, -1, dtype=np.int64)
    for place, text in enumerate(in_parts(texts)):
        table[place] = -1 if text is None else meaning.position(text)
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
        name=feature.name,
        kind=feature.kind,
        rows=rows,
        present=present,
        missing=int(missing.sum()),
        unknown=int(unknown.sum()),
        excluded=int((~keep).sum()),
        distinct=distinct,
        max_missing=column.max_missing,
        missing_refused=feature.missing == "refuse",
    )
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
