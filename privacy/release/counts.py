"""Small cells: counts of customers in every table of an artefact, against the threshold and for suppression.

A column counts customers when the caller's list says so, or, where the list says nothing of it, when its name
does. A column beside it that nobody declared may be a quasi-identifier, so the higher threshold holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers.masking import is_missing
from ringfence.privacy.identifiers.normalise import fold
from ringfence.privacy.release.artefact import ColumnRule, SmallCells
from ringfence.privacy.release.grids import transposed
from ringfence.privacy.release.parsed import Grid

if TYPE_CHECKING:
    import pandas as pd

_WHOLE = re.compile(r"[+-]?\d{1,18}(?:\.0*)?")
_PEOPLE = re.compile(
    r"(?i)(?:n|no\.?|num|nr|number|count|total)?[ _-]?(?:of[ _-])?(?:all |distinct |unique |noisy )?"
    r"(?:(?:customers|clients|persons|people|individuals|(?:data )?subjects|users|households|patients"
    r"|respondents|borrowers|subscribers)(?:[ _-](?:count|counts|number|n|total))?"
    r"|(?:customer|client|person|subject|user|household|patient)[ _-](?:count|counts|total))"
    r"|.*(?:人数|客户数|客户数量|用户数|户数|人次|会员数)"
)
# What stands around the name itself: a number sign, a unit or note in brackets, a year.
_BESIDE = re.compile(r"^[#№]\s*|\s*[(\[][^()\[\]]*[)\]]$|[ _-]\d{2,4}$|[ _-](?:in|by)[ _-]\w+$")
_NUMBER_OF = re.compile(r"(?i)n|count|counts|freq|frequency|计数|样本数")
_WRITTEN = re.compile(
    r"[~≈]?\s*([+-]?\d{1,3}(?:[, '\u2009]\d{3})+|[+-]?\d{1,18})(?:\.0*)?\s*"
    r"(?:\(.*\)|人|户|位|customers?|clients?|people|persons?|users?)?"
)
_SCALED = re.compile(r"\d{1,6}(?:\.\d{1,6})?[eE][+-]?\d")
_HIDDEN = re.compile(r"|[-–—*.…]+|[<≤]\s*\d+|n/?a|null|none|nan|suppressed|已?隐藏|不显示", re.IGNORECASE)


def counts_people(name: str) -> bool:
    """Whether a name says that what stands under it is a number of customers."""
    plain = _BESIDE.sub("", fold(name).text.strip())
    return any(_PEOPLE.fullmatch(part.strip()) for part in {plain, plain.rpartition(".")[2]})


def threshold_of(rules: Mapping[str, ColumnRule], names: tuple[str, ...], limits: SmallCells) -> int:
    """The threshold for a table of these columns; one nobody declared may be a quasi-identifier."""
    told = [name for name in names if re.search(r"\w", name)]
    quasi = not told or any(name not in rules or rules[name].sensitivity == "quasi" for name in told)
    return limits.with_quasi if quasi else limits.threshold


def count_columns(grid: Grid, rules: Mapping[str, ColumnRule]) -> Iterator[tuple[int, bool]]:
    """Columns that count customers: `(place, declared)`."""
    for place, name in enumerate(grid.names):
        said = rules[name].count if name in rules else None
        table = not grid.record and len(grid.names) > 1
        if said or (
            said is None and (counts_people(name) or (table and _by_number(name) and name not in rules))
        ):
            yield place, bool(said)


def _by_number(name: str) -> bool:
    return bool(_NUMBER_OF.fullmatch(fold(name).text.strip()))


def declared_counts(values: list[object], column: int) -> list[int | None]:
    """The whole numbers of a declared count column; `None` where a cell is suppressed.

    Raises:
        ExportError: RF-X035, something else stands there.
    """
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


def written_counts(values: list[object]) -> list[int | None]:
    """What reads as a count in cells that nobody declared; others go, suppressed ones are `None`."""
    found: list[int | None] = []
    for value in values:
        if is_missing(value):
            found.append(None)
            continue
        if isinstance(value, bool):
            continue
        text = _unscaled(fold(str(value)).text.strip())
        if _HIDDEN.fullmatch(text):
            found.append(None)
        elif match := _WRITTEN.fullmatch(text):
            found.append(int(re.sub(r"[^\d+-]", "", match[1])))
    return found


def _unscaled(text: str) -> str:
    """A whole number written with an exponent as its digits, other texts as they are."""
    return str(int(float(text))) if _SCALED.fullmatch(text) and float(text).is_integer() else text


def check_counts(grids: tuple[Grid, ...], rules: Mapping[str, ColumnRule], limits: SmallCells) -> str:
    """Check counts of customers in every table, and give the note that goes with the release.

    A suppressed cell is an empty one. One alone in its column can be taken from a total, so it needs a second
    (complementary suppression).

    Raises:
        ExportError: RF-X032 a count below the threshold, RF-X033 one suppressed cell alone, RF-X035.
    """
    suppressed = 0
    for grid in grids:
        threshold = threshold_of(rules, grid.names, limits)
        for place, declared in count_columns(grid, rules):
            cells = grid.cells(place)
            counts = declared_counts(cells, place + 1) if declared else written_counts(cells)
            _refuse_small(counts, threshold, place + 1, grid.where)
            hidden = 0 if grid.record or len(counts) == counts.count(None) else counts.count(None)
            if hidden == 1 and grid.rows > 1:
                raise ExportError(
                    "RF-X033",
                    N_(
                        "Column {column} has one suppressed count, which a total would give away. Suppress a "
                        "second one."
                    ),
                    column=place + 1,
                )
            suppressed += hidden
        for name, cells in transposed(grid):
            if counts_people(name) and (name not in rules or rules[name].count is not False):
                _refuse_small(written_counts(cells), threshold, 1, grid.where)
    if not suppressed:
        return ""
    return "Counts are suppressed, at least two in a column; what other tables give away was not checked."


def _refuse_small(counts: list[int | None], threshold: int, column: int, where: str) -> None:
    if any(count is not None and count < threshold for count in counts):
        raise ExportError(
            "RF-X032",
            N_(
                "A count in column {column} of {where} stands for fewer than {threshold} customers. Merge "
                "groups or suppress it; if it counts something else, say so in the list of columns."
            ),
            column=column,
            where=where,
            threshold=threshold,
        )


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
    threshold = threshold_of(used, tuple(used), limits)
    out = frame.copy()
    for place, name in enumerate(frame.columns, start=1):
        if name not in used or not used[name].count:
            continue
        counts = declared_counts(frame[name].tolist(), place)
        kept = [c if c is not None and c >= threshold else None for c in counts]
        left = [c for c in kept if c is not None]
        if kept.count(None) == 1 and left:
            kept[kept.index(min(left))] = None
        out[name] = np.array(kept, dtype=object)
        out[name] = out[name].astype("Int64")
    return out
