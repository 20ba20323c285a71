"""Rules for the columns and cells of a table: the contract's columns, small counts, formulas, finite numbers.

Invariant: a column that the caller's list does not name, or names an identifier, never leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers.masking import cell_text, is_missing
from ringfence.privacy.identifiers.normalise import fold
from ringfence.privacy.identifiers.patterns import smallest_number
from ringfence.privacy.release.artefact import ColumnRule, SmallCells
from ringfence.privacy.release.parsed import Jsonic, Text, not_finite

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"[\s\"\u200b\ufeff]*[=+\-@＝＋－＠\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)*|\.\d+)(?:[eE][+-]?\d+)?%?")
_WHOLE = re.compile(r"[+-]?\d{1,18}(?:\.0*)?")
_NOT_FINITE = re.compile(r"(?i)[+-]?(?:nan|inf|infinity|1\.#inf|1\.#qnan)")


def check_columns(names: list[str], rules: tuple[ColumnRule, ...]) -> dict[str, ColumnRule]:
    """Check that every column is on the caller's list and none is an identifier.

    Returns:
        The rule of each column.

    Raises:
        ExportError: RF-X036 no list, RF-X037 a name twice on it, RF-X030 a column not on it, RF-X031 an identifier,
            RF-X034 a quasi-identifier or sensitive column in a table that counts nobody.
    """
    listed = {rule.name: rule for rule in rules}
    if not rules:
        raise ExportError(
            "RF-X036",
            N_(
                "A table is released only with the list of columns that the contract lets out. Give that list."
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
                "The table shows quasi-identifiers or sensitive values but no count of customers, so its rows may be people. Release counts by group."
            ),
        )
    return used


def _counts(values: list[object], column: int) -> list[int | None]:
    """The whole numbers of a count column; `None` where a cell is suppressed."""
    found: list[int | None] = []
    for value in values:
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            found.append(None)
            continue
        text = str(value).strip()
        if not _WHOLE.fullmatch(text):
            raise ExportError(
                "RF-X035",
                N_("Column {column} is declared a count but holds something else. Write whole numbers."),
                column=column,
            )
        found.append(int(text.partition(".")[0]))
    return found


def check_small_cells(frame: pd.DataFrame, rules: dict[str, ColumnRule], limits: SmallCells) -> str:
    """Check counts of customers against the threshold and give the note that goes with the release.

    A suppressed cell is an empty one. One alone in its column can be taken from a total, so it needs a second
    (complementary suppression).

    Raises:
        ExportError: RF-X032 a count below the threshold, RF-X033 one suppressed cell alone, RF-X035.
    """
    threshold = _threshold(rules, limits)
    suppressed = 0
    for place, name in enumerate(frame.columns, start=1):
        if not rules[name].count:
            continue
        counts = _counts(frame[name].tolist(), place)
        _refuse_small(counts, threshold, place)
        hidden = counts.count(None)
        if hidden == 1:
            raise ExportError(
                "RF-X033",
                N_(
                    "Column {column} has one suppressed count, which a total would give away. Suppress a second one."
                ),
                column=place,
            )
        suppressed += hidden
    if not suppressed:
        return ""
    return "Counts are suppressed; complementary suppression was checked within this table, not against earlier ones."


def _threshold(rules: dict[str, ColumnRule], limits: SmallCells) -> int:
    quasi = any(rule.sensitivity == "quasi" for rule in rules.values())
    return limits.with_quasi if quasi else limits.threshold


def _refuse_small(counts: list[int | None], threshold: int, column: int | str) -> None:
    if any(count is not None and count < threshold for count in counts):
        raise ExportError(
            "RF-X032",
            N_(
                "A count in column {column} stands for fewer than {threshold} customers. Merge groups or suppress it."
            ),
            column=column,
            threshold=threshold,
        )


def check_records(
    records: tuple[tuple[str, Jsonic], ...], rules: tuple[ColumnRule, ...], limits: SmallCells
) -> None:
    """Apply column rules to the keys and values of a JSON document; raises as for tables."""
    keys = list(dict.fromkeys(key for key, _ in records))
    used = check_columns(keys, rules)
    for place, key in enumerate(keys, start=1):
        if used[key].count:
            counts = _counts([value for k, value in records if k == key], place)
            _refuse_small(counts, _threshold(used, limits), place)


def suppress_small_cells(
    frame: pd.DataFrame, rules: tuple[ColumnRule, ...], limits: SmallCells
) -> pd.DataFrame:
    """Empty every count below the threshold, and the next smallest where one alone would be empty.

    Args:
        frame: `(n, m)` with the columns of `rules`.
        rules: the columns, of which some are counts.
        limits: the thresholds.

    Returns:
        A new frame; count columns become nullable integers.
    """
    used = {rule.name: rule for rule in rules if rule.name in frame.columns}
    threshold = _threshold(used, limits)
    out = frame.copy()
    for place, name in enumerate(frame.columns, start=1):
        if name not in used or not used[name].count:
            continue
        counts = _counts(frame[name].tolist(), place)
        kept = [c if c is not None and c >= threshold else None for c in counts]
        left = [c for c in kept if c is not None]
        if kept.count(None) == 1 and left:
            kept[kept.index(min(left))] = None
        out[name] = np.array(kept, dtype=object)
        out[name] = out[name].astype("Int64")
    return out


def cell_texts(frame: pd.DataFrame) -> Iterator[Text]:
    """Every distinct cell of a table in which an identifier could stand, column by column, headers first."""
    for place, name in enumerate(frame.columns, start=1):
        yield Text(where=f"the name of column {place}", text=str(name))
        for text in column_texts(frame.iloc[:, place - 1], smallest_number(fold(str(name)).text)):
            yield Text(where=f"column {place}", text=text, context=str(name))


def column_texts(column: pd.Series, smallest: int) -> Iterator[str]:
    """The distinct texts of one column; numbers below `smallest` or with a fraction are passed over in bulk."""
    if column.dtype.kind in "iuf" and isinstance(column.dtype, np.dtype):
        values = column.to_numpy()
        with np.errstate(invalid="ignore"):
            values = values[np.abs(values) >= smallest]
        yield from (text for value in np.unique(values).tolist() if (text := cell_text(value)))
    elif column.dtype.kind not in "bmM":
        yield from (text for value in column.unique().tolist() if (text := cell_text(value)))


def check_finite(frame: pd.DataFrame) -> None:
    """Refuse numbers that are not finite, and texts that spell one.

    Raises:
        ExportError: RF-X043.
    """
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind == "f":
            bad = bool(np.isinf(column.to_numpy(dtype=np.float64, na_value=0.0)).any())
        elif column.dtype.kind in "iubmM":
            bad = False
        else:
            bad = any(_not_finite_cell(v) for v in column.unique().tolist())
        if bad:
            not_finite()


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
        texts = column.unique().tolist() if column.dtype.kind not in "iufbmM" else []
        if any(is_formula(t) for t in (str(name), *texts) if isinstance(t, str)):
            raise ExportError(
                "RF-X042",
                N_(
                    "A cell in column {column} begins like a spreadsheet formula. Begin it with another character."
                ),
                column=place,
            )


def neutralise_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before every cell that a spreadsheet would run; headers are left to the check."""
    out = frame.copy()
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind not in "iufbmM":
            values = [f"'{v}" if isinstance(v, str) and is_formula(v) else v for v in column.tolist()]
            out.isetitem(place, np.array(values, dtype=object))
    return out
