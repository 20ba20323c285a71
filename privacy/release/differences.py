"""What two tables of counts give away together: a group that differs by few from an earlier one.

Two tables are compared by every column that both have, by all these columns together, and by their totals;
where a group, or the total, differs by fewer customers than the threshold but not by none, the difference
tells of those few. A suppressed count belongs to no group that is compared. Counts with noise are released
with the digest of their cohort as it was signed: two of the same cohort are two noisy values of the same
customers, whose difference is noise that was paid for, and are not compared; of other cohorts they are, by
their noisy values. Tables that share no column are compared by totals only, and differences of differences
over three tables and more are not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers.masking import is_missing, whole_text
from ringfence.privacy.identifiers.normalise import fold
from ringfence.privacy.release.artefact import ColumnRule, SmallCells
from ringfence.privacy.release.counts import (
    count_columns,
    counts_people,
    declared_counts,
    threshold_of,
    written_counts,
)
from ringfence.privacy.release.grids import transposed
from ringfence.privacy.release.parsed import Grid

MOST_CELLS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTable:
    """A table of counts as it is remembered: nothing that was not released.

    Attributes:
        names: the columns that tell the groups apart.
        groups: their cells, a row a group.
        counts: customers of each group; None where the count is suppressed.
        threshold: below which a difference is small.
        whole: whether its groups are all there are, so that they may be added up; a single figure stands
            alone, and is compared with the figure of an earlier release at the same place.
        cohort: digest of whose noisy counts they are, as they were signed; empty for exact ones.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    counts: tuple[int | None, ...]
    threshold: int
    whole: bool = True
    cohort: str = ""


def tables_of(
    grids: tuple[Grid, ...], rules: Mapping[str, ColumnRule], limits: SmallCells, cohort: str = ""
) -> tuple[CountTable, ...]:
    """The tables of counts in an artefact that passed `check_counts`; `cohort` where they have noise.

    Raises:
        ExportError: RF-X101, a table too large to be remembered.
    """
    found: dict[CountTable, None] = {}
    for grid in grids:
        threshold = threshold_of(rules, grid.names, limits)
        counting = dict(count_columns(grid, rules))
        keys = [place for place in range(len(grid.names)) if place not in counting]
        for place, declared in counting.items():
            cells = grid.cells(place)
            counts = declared_counts(cells, place + 1) if declared else written_counts(cells)
            if len(counts) != len(cells) or not any(count is not None for count in counts):
                continue  # cells that are no counts: a column that only has such a name
            if len(cells) * (1 + len(keys)) > MOST_CELLS:
                raise _too_large()
            if grid.record:
                texts = [grid.cells(key)[0] for key in keys]
                where = [
                    grid.where,
                    grid.names[place],
                    *(_cell(text) for text in texts if isinstance(text, str)),
                ]
                found[_figure(where, counts[0], threshold)] = None
                continue
            columns = [[_cell(value) for value in grid.cells(key)] for key in keys]
            table = CountTable(
                names=tuple(_cell(grid.names[key]) for key in keys),
                groups=tuple(zip(*columns, strict=True)) if columns else ((),) * len(cells),
                counts=tuple(counts),
                threshold=threshold,
            )
            found[table] = None
        for name, cells in transposed(grid):
            if counts_people(name) and (name not in rules or rules[name].count is not False):
                for place, count in enumerate(written_counts(cells)):
                    found[_figure([grid.where, _cell(name), str(place)], count, threshold)] = None
    return tuple(replace(table, cohort=cohort) for table in found)


def _figure(where: list[str], count: int | None, threshold: int) -> CountTable:
    """A single figure, known by its place."""
    return CountTable(
        names=("place",), groups=((" ".join(where),),), counts=(count,), threshold=threshold, whole=False
    )


def _too_large() -> ExportError:
    return ExportError(
        "RF-X101",
        N_(
            "A table of counts has more than {most} cells, too many to be compared with earlier releases. "
            "Release fewer groups."
        ),
        most=MOST_CELLS,
    )


def _cell(value: object) -> str:
    return "" if is_missing(value) else " ".join(fold(whole_text(value)).text.casefold().split())


def refuse_small_difference(earlier: CountTable, later: CountTable) -> None:
    """Compare two tables that would both be out.

    Raises:
        ExportError: RF-X100, a group or the total differs by fewer customers than the threshold.
    """
    if earlier.cohort and earlier.cohort == later.cohort:
        return
    threshold = max(earlier.threshold, later.threshold)
    for columns in _shared(earlier, later):
        before, after = _added(earlier, columns), _added(later, columns)
        for group in before.keys() & after.keys():
            first, second = before[group], after[group]
            if first is not None and second is not None and 0 < abs(first - second) < threshold:
                raise ExportError(
                    "RF-X100",
                    N_(
                        "Together with a table released earlier this one tells of fewer than {threshold} "
                        "customers: a count or total differs by that few. Release the earlier table again, "
                        "or one with noise."
                    ),
                    threshold=threshold,
                )


def _shared(earlier: CountTable, later: CountTable) -> Iterator[tuple[str, ...]]:
    """The columns by which two tables are compared, one choice after the other."""
    if earlier.whole != later.whole:
        return
    common = tuple(name for name in later.names if name and name in earlier.names)
    if not later.whole:
        yield common
        return
    yield from dict.fromkeys([common, *((name,) for name in common), ()])


def _added(table: CountTable, columns: tuple[str, ...]) -> dict[tuple[str, ...], int | None]:
    """Counts added up over groups that agree in some columns; None where one of them is suppressed."""
    places = [table.names.index(name) for name in columns]
    sums: dict[tuple[str, ...], int | None] = {}
    for group, count in zip(table.groups, table.counts, strict=True):
        key = tuple(group[place] for place in places)
        so_far = sums.get(key, 0)
        sums[key] = None if count is None or so_far is None else so_far + count
    return sums
