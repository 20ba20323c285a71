"""Reads a whole table as its holders would, and writes each holder's part so that line numbers stay those of the whole.

For simulations only: nobody else ever reads all columns of a table. In a delimited part the lines of other holders are
left blank, which readers pass over; a Parquet part says in its metadata which rows it holds. So a fault that a simulated
holder finds in its part names the line of the file that the user gave.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ringfence.privacy import tabular
from ringfence.privacy.contract import Contract
from ringfence.privacy.documents.columns import WHITESPACE
from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.tabular import Layout


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeTable:
    """A table before it is cut.

    Attributes:
        path: its file.
        layout: how it is written; None for Parquet.
        frame: `(n, p)`, every cell as it stands in the file; the index counts rows from 0.
        lines: of every row in the file, `(n,)`; rows from 1 in Parquet.
        begin: lines up to and with the header.
    """

    path: Path
    layout: Layout | None
    frame: pd.DataFrame
    lines: tuple[int, ...]
    begin: int

    @property
    def suffix(self) -> str:
        """Ending of a part's file."""
        return ".csv" if self.layout is not None else self.path.suffix.lower()


def read_whole(path: Path, contract: Contract) -> WholeTable:
    """Read all columns of a table; customers' keys and features have to be there once each.

    Args:
        path: of a CSV or Parquet file.
        contract: says how it is written.

    Raises:
        TableError: RF-T090 no such file, RF-T093 no column of the contract's subject, RF-T002 to RF-T016 it cannot be
            read.
    """
    if not path.exists():
        raise TableError(
            "RF-T090",
            N_("The table {file} was not found; give its path with --data, or its folder with RINGFENCE_DATA."),
            file=path.name,
        )
    source = contract.source
    layout = Layout(delimiter=source.delimiter, encoding=source.encoding, names=source.header)
    names = tabular.column_names(path, layout)
    if contract.subject not in names:
        raise TableError(
            "RF-T093",
            N_("The table {file} has no column {column}, the contract's subject; its {count} columns begin with "
               "{first}. If that looks wrong, check the delimiter."),
            file=path.name,
            column=repr(contract.subject),
            count=len(names),
            first=repr(str((names or [""])[0])[:60]),
        )  # fmt: skip
    needed = {contract.subject, *(column.header for column in contract.columns)}
    needed |= set() if contract.events is None else set(contract.events.headers)
    # A name that stands twice is refused only where it is needed.
    wanted = [name for name in dict.fromkeys(names) if name in needed or names.count(name) == 1]
    table = tabular.read_columns(path, wanted, layout)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    if tabular.is_parquet(path):
        return WholeTable(path=path, layout=None, frame=frame, lines=tuple(range(1, len(frame) + 1)), begin=0)
    begin, lines = tabular.all_lines(path, layout)
    if len(lines) != len(frame):  # cut otherwise by the two readers; then rows are counted
        lines = tuple(range(begin + 1, begin + 1 + len(frame)))
    return WholeTable(path=path, layout=layout, frame=frame, lines=lines, begin=begin)


def write_part(whole: WholeTable, part: pd.DataFrame, file: Path) -> None:
    """Write one holder's rows in the whole table's own form; Parquet columns keep their types.

    Args:
        whole: the table.
        part: rows of its frame, in order.
        file: to write.
    """
    layout, rows = whole.layout, part.index.to_numpy()
    if layout is None:
        from pyarrow import parquet

        table = parquet.read_table(whole.path).take(rows)
        metadata = {**(table.schema.metadata or {}), tabular.ROWS: tabular.packed(rows)}
        parquet.write_table(table.replace_schema_metadata(metadata), file)
        return
    with file.open("w", encoding=layout.encoding, newline="") as stream:
        if layout.delimiter == WHITESPACE:
            stream.writelines(" ".join(row) + "\n" for row in _with_blanks(whole, part))
        else:
            csv.writer(stream, delimiter=layout.delimiter, lineterminator="\n").writerows(_with_blanks(whole, part))


def _with_blanks(whole: WholeTable, part: pd.DataFrame) -> Iterator[list[str]]:
    """Header and rows, with an empty one for every line that another holder's rows take."""
    assert whole.layout is not None
    names, line = [str(name) for name in part.columns], 0
    if whole.layout.names is None:
        for _ in range(whole.begin - _height(names)):
            yield []
        yield names
        line = max(whole.begin, _height(names))
    cells = zip(*(part[name].tolist() for name in part.columns), strict=True)
    for position, row in zip(part.index, cells, strict=True):
        for _ in range(whole.lines[position] - line - 1):
            yield []
        yield list(row)
        line = max(line + 1, whole.lines[position]) + _height(row) - 1


def _height(cells: Sequence[str]) -> int:
    """Lines that a row takes."""
    return 1 + sum(cell.count("\n") for cell in cells)
