"""Rules for the columns and cells of a table: contract, formulas, finite numbers, what may be read.

Invariant: a column that the caller's list does not name, or names an identifier, never leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers.masking import scanned_text
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.privacy.release.artefact import ColumnRule
from ringfence.privacy.release.parsed import Text, not_finite

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"[\s\"\u200b\ufeff]*[=+\-@＝＋－＠\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)*|\.\d+)(?:[eE][+-]?\d+)?%?")
_NOT_FINITE = re.compile(r"(?i)[+-]?(?:nan|inf|infinity|1\.#inf|1\.#qnan)")


def check_columns(names: list[str], rules: tuple[ColumnRule, ...]) -> dict[str, ColumnRule]:
    """Check that every column is on the caller's list and none is an identifier.

    Returns:
        The rule of each column.

    Raises:
        ExportError: RF-X036 no list, RF-X037 a name twice on it, RF-X030 a column not on it, RF-X031 an
            identifier, RF-X034 a quasi-identifier or sensitive column in a table that counts nobody.
    """
    listed = {rule.name: rule for rule in rules}
    if not rules:
        raise ExportError(
            "RF-X036",
            N_(
                "A table is released only with the list of columns that the contract lets out. Give that "
                "list."
            ),
        )
    if len(listed) != len(rules):
        raise ExportError("RF-X037", N_("The list of columns names one column twice. Name each once."))
    for place, name in enumerate(names, start=1):
        if name not in listed:
            raise ExportError(
                "RF-X030",
                N_("Column {column} is not among those the contract lets out. Drop it."),
                column=place,
            )
        if listed[name].sensitivity == "identifier":
            raise ExportError(
                "RF-X031",
                N_("Column {column} identifies customers and is never released. Drop it."),
                column=place,
            )
    used = {name: listed[name] for name in names}
    if any(r.sensitivity in ("quasi", "sensitive") for r in used.values()) and not any(
        r.count for r in used.values()
    ):
        raise ExportError(
            "RF-X034",
            N_(
                "The table shows quasi-identifiers or sensitive values but no count of customers, so its "
                "rows may be people. Release counts by group."
            ),
        )
    return used


def cell_texts(frame: pd.DataFrame, scanner: Scanner) -> Iterator[Text]:
    """Every distinct cell of a table in which an identifier could stand, column by column, headers first."""
    for place, name in enumerate(frame.columns, start=1):
        yield Text(where=f"the name of column {place}", text=str(name))
        for text in column_texts(frame.iloc[:, place - 1], scanner.smallest_number(str(name))):
            yield Text(where=f"column {place}", text=text, context=str(name), column=True)


def column_texts(column: pd.Series, smallest: int) -> Iterator[str]:
    """The distinct texts of one column; numbers that are too small are passed over in bulk."""
    if column.dtype.kind in "iuf" and isinstance(column.dtype, np.dtype):
        yield from number_texts(column.to_numpy(), smallest)
    elif column.dtype.kind not in "bmM":  # moments are read as they are stored, by the parser
        yield from (text for value in column.unique().tolist() if (text := scanned_text(value, smallest)))


def number_texts(values: npt.NDArray[Any], smallest: int) -> Iterator[str]:
    """The distinct numbers of an array, of whatever type and width, that an identifier could be."""
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        with np.errstate(invalid="ignore"):
            values = values[np.abs(values) >= min(smallest, 10**13)]
    elif smallest <= np.iinfo(values.dtype).max:
        large = values >= smallest
        values = values[large | (values <= -smallest) if values.dtype.kind == "i" else large]
    else:
        return
    yield from (text for value in np.unique(values).tolist() if (text := scanned_text(value, smallest)))


def check_finite(frame: pd.DataFrame) -> None:
    """Refuse numbers that are not finite, and texts that spell one.

    Raises:
        ExportError: RF-X043.
    """
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        infinite = (
            column.dtype.kind == "f" and np.isinf(column.to_numpy(dtype=np.float64, na_value=0.0)).any()
        )
        if infinite or any(_not_finite_cell(value) for value in _spelled(column)):
            not_finite()


def _spelled(column: pd.Series) -> list[object]:
    """The distinct cells of a column that may hold texts: none of a column of numbers or moments."""
    return column.unique().tolist() if _may_hold_texts(column) else []


def _may_hold_texts(column: pd.Series) -> bool:
    return column.dtype.kind not in "iufbmM"


def _not_finite_cell(value: object) -> bool:
    if isinstance(value, float):
        return value in (float("inf"), float("-inf"))
    return isinstance(value, str) and bool(_NOT_FINITE.fullmatch(value.strip()))


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a text cell (OWASP, CSV injection); signed numbers are not formulas."""
    return bool(_FORMULA.match(text)) and not _NUMBER.fullmatch(text.strip())


def check_formulas(frame: pd.DataFrame) -> None:
    """Refuse cells and headers that a spreadsheet would run.

    Raises:
        ExportError: RF-X042.
    """
    for place, name in enumerate(frame.columns, start=1):
        column = frame.iloc[:, place - 1]
        if any(is_formula(t) for t in (str(name), *_spelled(column)) if isinstance(t, str)):
            raise ExportError(
                "RF-X042",
                N_(
                    "A cell in column {column} begins like a spreadsheet formula. Begin it with another "
                    "character."
                ),
                column=place,
            )


def neutralise_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before every cell that a spreadsheet would run; headers are left to the check."""
    out = frame.copy()
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if _may_hold_texts(column):
            values = [f"'{v}" if isinstance(v, str) and is_formula(v) else v for v in column.tolist()]
            out.isetitem(place, np.array(values, dtype=object))
    return out
