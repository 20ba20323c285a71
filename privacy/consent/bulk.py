"""Reads whole columns of the registry's tables at once: the database joins a piece of each into one text.

A row handed over by a driver is a tuple of objects, which costs more than everything that is done with it
later. Here a piece of 65,536 rows comes as one row with a list of numbers a column. Memory for a piece is
bounded; columns of a piece are lists over the same rows in the same order, which is checked by their lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

PIECE = 1 << 16
"""Keys in a piece that is read at once."""

Numbers = npt.NDArray[np.int64]


def key_ranges(key: ColumnElement[int], last: int, first: int = 0) -> Iterable[ColumnElement[bool]]:
    """Conditions that cut the keys `first..last` into pieces; none where there are no keys."""
    return ((key >= start) & (key < start + PIECE) for start in range(first, last + 1, PIECE))


def integer_columns(
    reader: Connection, columns: Sequence[ColumnElement[int]], pieces: Iterable[ColumnElement[bool]]
) -> Numbers:
    """Integer columns of the rows that meet a condition, int64 `(columns, n)`; no column may be null.

    Args:
        reader: an open transaction.
        columns: of one table, or expressions over them.
        pieces: conditions that no row meets twice.
    """
    wanted = [func.aggregate_strings(cast(column, Text), ",") for column in columns]
    parts = [_parsed(reader.execute(select(*wanted).where(piece)).one()) for piece in pieces]
    return np.concatenate([np.empty((len(columns), 0), dtype=np.int64), *parts], axis=1)


def joined(
    reader: Connection,
    reference: ColumnElement[bytes],
    number: ColumnElement[int],
    pieces: Iterable[ColumnElement[bool]],
) -> tuple[bytes, Numbers]:
    """A column of bytes, joined, with the integer that stands beside each, int64 `(n,)`.

    Args:
        reader: an open transaction.
        reference: bytes, all of one length; rows where they are null are left out.
        number: an integer of the same row.
        pieces: conditions that no row meets twice.
    """
    sqlite = reader.dialect.name == "sqlite"
    text = func.hex(reference, type_=Text) if sqlite else func.encode(reference, "hex", type_=Text)
    wanted = func.aggregate_strings(text, ""), func.aggregate_strings(cast(number, Text), ",")
    found, counted = bytearray(), [np.empty((1, 0), dtype=np.int64)]
    for piece in pieces:
        texts = reader.execute(select(*wanted).where(piece & reference.is_not(None))).one()
        found += bytes.fromhex(texts[0] or "")
        counted.append(_parsed(texts[1:]))
    return bytes(found), np.concatenate(counted, axis=1)[0]


def _parsed(texts: Sequence[str | None]) -> Numbers:
    """Lists of numbers, int64 `(lists, n)`; a list that is null has none."""
    lists = [
        np.fromstring(text, dtype=np.int64, sep=",") if text else np.empty(0, dtype=np.int64)
        for text in texts
    ]
    if len({len(each) for each in lists}) > 1:
        raise ValueError("columns of one piece have other lengths")
    return np.stack(lists)
