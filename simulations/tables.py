"""Reads a whole table as its holders would, and writes each one's part under the whole's line numbers.

For simulations only: nobody else ever reads all columns of a table. In a delimited part the lines of other
holders are left blank, which readers pass over; a Parquet part says in its metadata which rows it holds. So a
fault that a simulated holder finds in its part names the line of the file that the user gave.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ringfence.privacy.agreements.contract import Contract, Source
from ringfence.privacy.agreements.input_sources import AnySource
from ringfence.privacy.agreements.schema import INPUT_KEYS
from ringfence.privacy.errors import N_, TableError, UsageError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.celltext import NullMarks, key_text
from ringfence.privacy.tables.cutting import WHITESPACE
from ringfence.privacy.tables.tabular import Layout


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
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(str(name) for name in self.frame.columns)

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
        TableError: RF-T090 no such file, RF-T093 no column of the contract's subject, RF-T002 to RF-T016 it
            cannot be read.
    """
    layout, names = _header(path, contract)
    if contract.subject not in names:
        raise TableError(
            "RF-T093",
            N_(
                "The table {file} has no column {column}, the contract's subject; its {count} columns begin "
                "with {first}. If that looks wrong, check the delimiter. {advice}"
            ),
            file=path.name,
            column=repr(contract.subject),
            count=len(names),
            first=repr(str((names or [""])[0])[:60]),
            advice=tabular.keyless_advice(),
        )
    return _read(path, contract, layout, names)


def with_row_keys(path: Path, contract: Contract) -> WholeTable:
    """Read a table in which every row is another customer, with a key for each under the subject's name.

    Raises:
        TableError: RF-T090 no such file, RF-T002 to RF-T016 it cannot be read.
        UsageError: it has a column of that name, or is of events, whose lines belong to customers.
    """
    layout, names = _header(path, contract)
    if contract.events is not None or contract.subject in names:
        raise UsageError(
            "RF-U624",
            N_(
                "--row-is-customer is for a table without a customer key; {file} has the contract's column "
                "{column}, or a line for each event. Leave the option out."
            ),
            file=path.name,
            column=repr(contract.subject),
        )
    whole = _read(path, contract, layout, names)
    keys = [f"row-{line}" for line in whole.lines]
    return replace(whole, frame=whole.frame.assign(**{contract.subject: keys}))


def _header(path: Path, contract: Contract) -> tuple[Layout, list[str]]:
    """How the table is written, and the names of its columns."""
    if not path.exists():
        raise TableError(
            "RF-T090",
            N_(
                "The table {file} was not found; give its path with --data, or its folder with "
                "RINGFENCE_DATA."
            ),
            file=path.name,
        )
    source = contract.source
    layout = Layout(delimiter=source.delimiter, encoding=source.encoding, names=source.header)
    return layout, [str(name) for name in tabular.column_names(path, layout)]


def _read(path: Path, contract: Contract, layout: Layout, names: list[str]) -> WholeTable:
    """All columns that stand once, or are needed."""
    needed = {contract.subject, *(column.header for column in contract.columns)}
    needed |= set() if contract.events is None else set(contract.events.headers)
    for each in contract.inputs.values():
        needed |= set() if each.source is not None else {each.key(contract.subject), *each.columns.values()}
    # A name that stands twice is refused only where it is needed.
    wanted = [name for name in dict.fromkeys(names) if name in needed or names.count(name) == 1]
    table = tabular.read_columns(path, wanted, layout)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    if tabular.is_parquet(path) and contract.subject in wanted:
        # As the holders will spell them: pandas makes floating-point numbers of whole ones with a gap.
        frame[contract.subject] = tabular.key_text(table[contract.subject]).to_pylist()
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

        table = tabular.without_views(parquet.read_table(whole.path)).take(rows)
        for name in set(whole.names) - set(table.column_names):  # the rows' own keys
            table = table.append_column(name, [part[name].astype(str).tolist()])
        metadata = {**(table.schema.metadata or {}), tabular.ROWS: tabular.packed_row_numbers(rows)}
        parquet.write_table(table.replace_schema_metadata(metadata), file)
        return
    with file.open("w", encoding=layout.encoding, newline="") as stream:
        if layout.delimiter == WHITESPACE:
            stream.writelines(" ".join(row) + "\n" for row in _with_blanks(whole, part))
        else:
            csv.writer(stream, delimiter=layout.delimiter, lineterminator="\n").writerows(
                _with_blanks(whole, part)
            )


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
    return 1 + sum(len(re.findall("\r\n|\r|\n", cell)) for cell in cells)


def cut_inputs(
    contract: Contract, base: Path, owners: Mapping[str, str], holders: Sequence[str], folder: Path
) -> dict[str, dict[str, Source]]:
    """Write each holder's part of every input with a file of its own: a line goes where its customer went.

    A customer who is not in the table goes to one of the holders by its key, the same in every file, and a
    line without a customer to the first holder, who leaves it out.

    Args:
        contract: of the whole.
        base: what its file names are relative to.
        owners: customer key to holder, of the table.
        holders: names, in order.
        folder: where the parts are written.

    Returns:
        By holder, the sources of the parts by input.

    Raises:
        TableError: a file cannot be read.
        UsageError: RF-U840 an input stands in a database.
    """
    made: dict[str, dict[str, Source]] = {name: {} for name in holders}
    for each in contract.inputs.values():
        if each.source is None:
            continue
        if each.source.file is None:
            raise UsageError(
                "RF-U840",
                N_("The input {input} names no file; a simulation cuts files alone."),
                input=each.name,
            )
        whole = read_whole(base / each.source.file, _alone(contract, each, each.source))
        keys = spelt_keys(whole.frame[each.key(contract.subject)], each.source)
        place = keys.map(lambda key: _holder_of(str(key), owners, holders)).to_numpy()
        for name in holders:
            file = folder / f"{name}-{each.name}{whole.suffix}"
            write_part(whole, whole.frame[place == name], file)
            header = whole.names if each.source.header else None
            made[name][each.name] = each.source.revised(file=file.name, header=header)
    return made


def spelt_keys(column: pd.Series, source: Source) -> pd.Series:
    """Customer keys as a holder's table will spell them, empty for none."""
    import pyarrow as pa

    missing = NullMarks(source.null_values, source.decimal)
    return pd.Series(key_text(pa.array(column, from_pandas=True), missing).to_pylist(), dtype=object)


def _holder_of(key: str, owners: Mapping[str, str], holders: Sequence[str]) -> str:
    if not key:
        return holders[0]
    word = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return owners.get(key) or holders[word % len(holders)]


def _alone(contract: Contract, each: AnySource, source: Source) -> Contract:
    """A contract by which the file of one input is read whole."""
    kinds = {kind: _only(getattr(contract, kind), each.name) for kind in INPUT_KEYS}
    subject = each.key(contract.subject)
    return contract.revised(
        source=source, subject=subject, events=None, columns=(), duplicates="refuse", **kinds
    )


def _only(sources: Sequence[AnySource] | None, name: str) -> tuple[AnySource, ...] | None:
    return tuple(each.revised(source=None) for each in sources or () if each.name == name) or None


def with_sources(contract: Contract, sources: Mapping[str, Source]) -> Contract:
    """The contract with other sources of its inputs."""
    values: dict[str, object] = {}
    for kind in INPUT_KEYS:
        given: Sequence[AnySource] | None = getattr(contract, kind)
        if given is not None:
            values[kind] = tuple(
                each.revised(source=sources[each.name]) if each.name in sources else each for each in given
            )
    return contract.revised(**values) if values else contract
