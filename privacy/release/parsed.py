"""What a parser hands to the checks: the bytes to be released and everything readable in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ringfence.privacy.errors import N_, ExportError

if TYPE_CHECKING:
    import pandas as pd

Jsonic: TypeAlias = "str | int | float | bool | list[Jsonic] | dict[str, Jsonic] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One string in an artefact.

    Attributes:
        where: place in the artefact, free of its content.
        text: the string.
        context: what it stands under (a column's name, a key), evidence for the scanner.
        column: whether it is a cell of a table's column, or a value under a name, that a list of columns may
            declare.
    """

    where: str
    text: str
    context: str = ""
    column: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One table.

    Attributes:
        where: its place in the artefact, free of its content.
        names: header of each column.
        columns: cells of each column, all of one length; a series of a frame or a tuple.
        lying: whether the header may also stand in the first column, each row being a record's field.
        record: whether it is a single record, whose fields are no table of groups.
    """

    where: str
    names: tuple[str, ...]
    columns: tuple[Any, ...]
    lying: bool = False
    record: bool = False

    @property
    def rows(self) -> int:
        """Number of rows below the header."""
        return len(self.columns[0]) if self.columns else 0

    def cells(self, place: int) -> list[object]:
        """Cells of one column."""
        column = self.columns[place]
        return list(column) if isinstance(column, tuple) else list(column.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """An artefact read strictly.

    Attributes:
        content: the bytes to be released; Parquet and npz are written anew so that nothing hides between
            their parts.
        texts: every string outside a table's cells: headers, keys, metadata, comments, attributes.
        frame: the table, if it is one; cells of CSV are strings.
        keys: names of the fields of a JSON document, for column rules.
        bare: whether it is a bare list of records, which is how tables travel in JSON.
        grids: the tables in it, whatever its kind.
    """

    content: bytes
    texts: tuple[Text, ...] = ()
    frame: pd.DataFrame | None = None
    keys: tuple[str, ...] = ()
    bare: bool = False
    grids: tuple[Grid, ...] = field(default=(), repr=False)


def not_finite() -> NoReturn:
    """Refuse a number that is infinite or not a number.

    Raises:
        ExportError: RF-X043, always.
    """
    raise ExportError(
        "RF-X043", N_("A number in the artefact is not finite. Write a missing value, or leave it out.")
    )
