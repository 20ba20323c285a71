"""One decoded column with what is needed to read it and to say what is wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.clients.rows.reading import Locate
from ringfence.privacy.agreements.columns import Source
from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.celltext import NullMarks, compute, plain_column
from ringfence.privacy.tables.driver_cells import DriverColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A decoded column and what is needed to read and to blame it.

    Attributes:
        values: a flat Arrow array of a file, or a `DriverColumn` of a database.
        header: the column's name in the source.
        source: how text is written there.
        locate: rows to the numbers people know them by.
    """

    values: Any
    header: str
    source: Source
    locate: Locate

    @classmethod
    def of(cls, values: Any, header: str, source: Source, locate: Locate) -> Cells:
        """The cells of a column as `reading.fetch` gave it."""
        if isinstance(values, list):
            values = DriverColumn.of(values)
        flat = values if isinstance(values, DriverColumn) else plain_column(values)
        return cls(values=flat, header=header, source=source, locate=locate)

    def blame(self, code: str, template: str, wrong: npt.NDArray[np.bool_]) -> TableError:
        """The refusal of some rows."""
        rows = np.flatnonzero(wrong)
        lines = tabular.shown(self.locate(rows[:6].tolist()))
        return TableError(code, template, column=self.header, count=len(rows), lines=lines)

    def misfit(self, expected: str) -> TableError:
        """The refusal of a file's whole column for its declared type."""
        return TableError(
            "RF-T027",
            N_('Column "{column}" has type {found} in the source; {expected} is expected by the schema.'),
            column=self.header,
            found=str(self.values.type),
            expected=expected,
        )

    def texts(self) -> Any:
        """Trimmed text of a text column, null for what is missing: blanks and the contract's marks."""
        import pyarrow as pa

        trimmed = compute().utf8_trim_whitespace(self.values)
        missing = null_marks(self.source).among(trimmed)
        return compute().if_else(missing, pa.scalar(None, pa.string()), trimmed)

    def marks(self) -> Cells:
        """The contract's null values as a column of text, to be read as the cells are."""
        import pyarrow as pa

        written = [mark.strip() for mark in self.source.null_values]
        return replace(
            self, values=pa.array(written, pa.string()), source=self.source.revised(null_values=())
        )


def null_marks(source: Source) -> NullMarks:
    """What counts as missing in a source."""
    return NullMarks(source.null_values, source.decimal)


class _ColumnFaults(tuple[TableError, ...]):
    """Faults, one a line, translated when printed."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return format("\n".join(str(fault) for fault in self), spec)


def raise_together(faults: Sequence[TableError], name: str) -> None:
    """Raise what was found wrong in the columns of a source, all at once, if anything was.

    Raises:
        TableError: the one fault, or RF-T033 with all of them.
    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise TableError(
            "RF-T033",
            N_("Columns of {file} that cannot be read ({count}):\n{faults}"),
            count=len(faults),
            file=name,
            faults=_ColumnFaults(faults),
        )
