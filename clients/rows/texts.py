"""Reads the cells of one column as texts: what a category, an order or a kind is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.clients.rows.cells import Cells
from ringfence.privacy.errors import N_
from ringfence.privacy.tables.celltext import by_distinct, cell_text


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

    if isinstance(cells.values, list):
        return replace(cells, values=_texts_of(cells, text)).texts()
    kind, values = cells.values.type, cells.values
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = by_distinct(values, text)
    elif pa.types.is_integer(kind) or pa.types.is_null(kind) or pa.types.is_date(kind):
        values = values.cast(pa.string())
    elif not pa.types.is_string(kind):
        raise cells.misfit(N_("a category"))
    return replace(cells, values=values).texts()


def numbered_texts(cells: Cells, truth: tuple[str, str]) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """Texts of categories by number: what a number stands for is trimmed and read once.

    Args:
        cells: the column.
        truth: what false and true are called.

    Returns:
        The number of each cell's text, -1 for missing, int64 `(n,)`; and the texts by their numbers, None for
        missing. Several numbers may stand for one text, when cells differ in blanks around it.

    Raises:
        TableError: as `category_texts`.
    """
    import pyarrow as pa

    first = not isinstance(cells.values, list) and pa.types.is_string(cells.values.type)
    coded = (cells.values if first else category_texts(cells, truth)).dictionary_encode()
    texts = replace(cells, values=coded.dictionary).texts() if first else coded.dictionary
    number = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return number, texts.to_pylist()


def _texts_of(cells: Cells, text: Callable[[object], str | None]) -> Any:
    import pyarrow as pa

    texts: list[str | None] = []
    wrong = np.zeros(len(cells.values), dtype=np.bool_)
    for row, value in enumerate(cells.values):
        try:
            texts.append(text(value))
        except TypeError:
            texts.append(None)
            wrong[row] = True
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
    return pa.array(texts, pa.string())
