"""Every table in an artefact, of whatever kind it is, in one form, so that one set of checks sees them all.

A grid is a header and columns. It is found in frames, in JSON and TOML (records, columns of equal length,
rows of rows, objects of objects), in Markdown and plain text (bars, tabs, commas, semicolons, blanks, `name:
value`), in tables and lists of terms of HTML, and in arrays that lie side by side under names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ringfence.privacy.release.parsed import Grid, Jsonic

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_RULE = re.compile(r"[\s|:+=-]+")
_PAIR = re.compile(r"\s*(?:[-*#]+\s+)?([^:：]{1,60})[:：]\s*(\S.*)")
_SPLITTERS = tuple(re.compile(p) for p in (r"\s*\|\s*", r"\t", r"\s*,\s*", r"\s*;\s*", r"\s{2,}", r"\s+"))
MOST_LINES = 200_000


def of_frame(frame: pd.DataFrame) -> Grid:
    """The grid of a table."""
    return Grid(
        where="the table",
        names=tuple(str(name) for name in frame.columns),
        columns=tuple(frame.iloc[:, place] for place in range(frame.shape[1])),
    )


def of_rows(where: str, rows: Sequence[Sequence[object]]) -> Grid:
    """The grid of rows of which the first is the header; short rows are filled up."""
    width = max((len(row) for row in rows), default=0)
    filled = [(*row, *([None] * (width - len(row)))) for row in rows]
    header, body = filled[0], filled[1:]
    return Grid(
        where=where,
        names=tuple("" if name is None else str(name) for name in header),
        columns=tuple(zip(*body, strict=True)) if body else ((),) * width,
        lying=True,
    )


def of_document(document: Jsonic, where: str = "document") -> Iterator[Grid]:
    """The grids in a JSON or TOML document."""
    if isinstance(document, dict):
        yield from _of_object(document, where)
        for place, inner in enumerate(document.values(), start=1):
            yield from of_document(inner, f"{where}/{place}")
    elif isinstance(document, list) and document:
        if all(isinstance(row, dict) for row in document):
            records = [row for row in document if isinstance(row, dict)]
            yield _of_records(records, where)
            for place, record in enumerate(records, start=1):
                for inner in record.values():
                    yield from of_document(inner, f"{where}/{place}")
            return
        if all(isinstance(row, list) for row in document):
            yield of_rows(where, [_flat(row) for row in document if isinstance(row, list)])
        for place, inner in enumerate(document, start=1):
            yield from of_document(inner, f"{where}/{place}")


def _flat(row: list[Jsonic]) -> list[object]:
    return [None if isinstance(cell, dict | list) else cell for cell in row]


def _of_records(records: list[dict[str, Jsonic]], where: str) -> Grid:
    names = tuple(dict.fromkeys(name for record in records for name in record))
    cells = [_flat([record.get(name) for name in names]) for record in records]
    return Grid(where=where, names=names, columns=tuple(zip(*cells, strict=True)))


def _of_object(document: dict[str, Jsonic], where: str) -> Iterator[Grid]:
    """An object as a record, as columns of equal length, or as records under their names."""
    values = list(document.values())
    scalars = {k: v for k, v in document.items() if not isinstance(v, dict | list)}
    if scalars:
        yield Grid(
            where=where, names=tuple(scalars), columns=tuple((v,) for v in scalars.values()), record=True
        )
    lists = {k: _flat(v) for k, v in document.items() if isinstance(v, list)}
    for length in {len(v) for v in lists.values()} - {0}:
        same = {k: v for k, v in lists.items() if len(v) == length}
        yield Grid(where=where, names=tuple(same), columns=tuple(tuple(v) for v in same.values()))
    records = [{"": name, **inner} for name, inner in document.items() if isinstance(inner, dict)]
    if records:  # which may also be columns, each an object by row
        yield replace(_of_records(records, where), lying=True)
    yield from _of_header_and_rows(values, where)


def _of_header_and_rows(values: Sequence[Jsonic], where: str) -> Iterator[Grid]:
    """A list of names beside a list of rows that are as long."""
    lists = [value for value in values if isinstance(value, list) and value]
    for names in lists:
        for rows in lists:
            if all(isinstance(name, str) for name in names) and all(
                isinstance(row, list) and len(row) == len(names) for row in rows
            ):
                yield of_rows(where, [_flat(names), *(_flat(row) for row in rows if isinstance(row, list))])


def of_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[Grid]:
    """Arrays under names: those of one length are columns, and so are those of a single entry."""
    flat = {name: array.ravel() for name, array in arrays.items() if array.dtype.kind in "biufU"}
    for length in sorted({len(array) for array in flat.values()} - {0}):
        same = {name: array for name, array in flat.items() if len(array) == length}
        yield Grid(where="the arrays", names=tuple(same), columns=tuple(same.values()), record=length == 1)
    tables = [array for array in arrays.values() if array.ndim == 2 and array.dtype.kind in "biufU"]
    for table in tables:
        if table.dtype.kind == "U" and len(table):
            yield of_rows("the arrays", table.tolist())
        for header in arrays.values():
            if header.dtype.kind == "U" and header.shape == table.shape[1:]:
                yield of_rows("the arrays", [header.tolist(), *table.tolist()])


def of_text(lines: Sequence[str]) -> Iterator[Grid]:
    """Tables that stand in lines of text, by every sign that may part their cells."""
    kept = [(number, line) for number, line in enumerate(lines[:MOST_LINES], start=1) if not _is_rule(line)]
    yield from _blocks(kept)
    full = [(number, line) for number, line in kept if line.strip()]
    if any(not line.strip() for _, line in kept):
        yield from _blocks(full)  # a table with empty lines between its rows
    for number, line in full:
        match = _PAIR.fullmatch(line)
        while match:
            yield of_rows(f"line {number}", [["", ""], [match[1], match[2]]])
            match = _PAIR.fullmatch(match[2])


def _blocks(lines: Sequence[tuple[int, str]]) -> Iterator[Grid]:
    """Lines that one sign parts into equally many cells, one block after the other."""
    for splitter in _SPLITTERS:
        block: list[list[str]] = []
        start = 0
        for number, line in (*lines, (0, "")):
            cells = splitter.split(line.strip().strip("|").strip()) if line.strip() else []
            if block and len(cells) != len(block[0]):
                if len(block) > 1 or len(block[0]) == 2:
                    yield of_rows(f"line {start}", block)
                block = []
            if len(cells) >= 2:
                start = start if block else number
                block.append(cells)


def _is_rule(line: str) -> bool:
    """Whether a line only draws the line below a header."""
    return bool(_RULE.fullmatch(line)) and ("-" in line or "=" in line)


def of_marked(rows: Iterable[Sequence[str]], where: str) -> Iterator[Grid]:
    """The grid of a table's rows in a page."""
    found = [row for row in rows if row]
    if found:
        yield of_rows(where, found)


def transposed(grid: Grid) -> Iterator[tuple[str, list[object]]]:
    """Each row of a lying grid as a field: its name and its cells."""
    if not grid.lying or len(grid.names) < 2:
        return
    yield grid.names[0], list(grid.names[1:])
    for cells in zip_longest(*(grid.cells(place) for place in range(len(grid.names)))):
        yield str(cells[0] or ""), list(cells[1:])
