"""Reads the cells of one column as texts: what a category, an order or a kind is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.clients.rows.cells import Cells
from ringfence.privacy.errors import N_
from ringfence.privacy.tables.celltext import by_distinct, cell_text, compute
from ringfence.privacy.tables.driver_cells import DriverColumn


def category_texts(cells: Cells, truth: tuple[str, str]) -> Any:
    """Trimmed text of each cell with null for missing, a `pyarrow` string array.

    Args:
        cells: the column.
        truth: what false and true are called.

    Raises:
        TableError: RF-T027 a type that is no category, RF-T034 entries of a database that are none.
    """
    import pyarrow as pa

    def text(value: object) -> str | None:
        return truth[value] if isinstance(value, bool) else cell_text(value)

    if isinstance(cells.values, DriverColumn):
        return replace(cells, values=_texts_of(cells, truth)).texts()
    kind, values = cells.values.type, cells.values
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = by_distinct(values, text)
    elif pa.types.is_integer(kind) or pa.types.is_null(kind) or pa.types.is_date(kind):
        values = values.cast(pa.string())
    elif not pa.types.is_string(kind):
        raise cells.misfit(N_("a category"))
    return replace(cells, values=values).texts()


def numbered_texts(cells: Cells, truth: tuple[str, str]) -> tuple[npt.NDArray[np.int64], Any]:
    """Texts of categories by number: what a number stands for is trimmed and read once.

    Args:
        cells: the column.
        truth: what false and true are called.

    Returns:
        The number of each cell's text, -1 for missing, int64 `(n,)`; and the texts by their numbers, an Arrow
        array, null for missing. Several numbers may stand for one text, when cells differ in blanks around
        it.

    Raises:
        TableError: as `category_texts`.
    """
    import pyarrow as pa

    first = not isinstance(cells.values, DriverColumn) and pa.types.is_string(cells.values.type)
    coded = (cells.values if first else category_texts(cells, truth)).dictionary_encode()
    texts = replace(cells, values=coded.dictionary).texts() if first else coded.dictionary
    number = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return number, texts


def _texts_of(cells: Cells, truth: tuple[str, str]) -> Any:
    texts, wrong = cells.values.texts(truth)
    if wrong.any():
        raise cells.blame(
            "RF-T034",
            N_(
                'Column "{column}" has entries that are no text, number or date: {count} (line {lines}). '
                "Store or cast "
                "them as text in the database."
            ),
            wrong,
        )
    return texts


def plain_texts(cells: Cells) -> Any:
    """Trimmed texts of a column, null for missing, an Arrow array."""
    return category_texts(cells, ("false", "true"))


def numbered_apart(texts: Any, blank: str | None = None) -> tuple[npt.NDArray[np.int64], Any]:
    """A number for each text, -1 for none, int64 `(n,)`; and the texts by their numbers, an Arrow array."""
    import pyarrow as pa

    if blank is not None:
        texts = compute().if_else(compute().equal(texts, blank), pa.scalar(None, pa.string()), texts)
    coded = (texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts).dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary


def looked_up(distinct: Any, meaning: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """What distinct texts mean, -1 for those without a meaning, int64 `(n,)`."""
    import pyarrow as pa

    found = compute().index_in(distinct, pa.array(list(meaning), pa.string()))
    known = np.array([*meaning.values(), -1], dtype=np.int64)
    places: npt.NDArray[np.int64] = known[found.fill_null(len(meaning)).to_numpy(zero_copy_only=False)]
    return places
