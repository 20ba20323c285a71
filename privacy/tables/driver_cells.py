"""A column of a database as its driver gave it: each cell keeps its own type, and none stays a Python object.

A database may hold text, numbers and days in one column, and what a cell means depends on that cell alone
(`celltext`). So cells are held part by part, those of one type together as Arrow holds them, with their
places; what a type means is asked for once a distinct value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ringfence.privacy.tables.celltext import by_distinct, cell_text, compute, in_parts, in_utc, require_exact

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ORDER: Final = (bool, int, float, str, Decimal, datetime, date, UUID)
"""Types that mean something, the more special first; a truth value is a whole number for Python."""
_INT64: Final = range(-(2**63), 2**63)
_DAY_ZERO: Final = date(1970, 1, 1).toordinal()
_DAY: Final = 86_400_000_000
LATEST: Final = 1 - 2.0**-30
"""The latest part of a day that stays in the day when it is added to a day's number as a float."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Cells of one type in a part of a column.

    Attributes:
        kind: the type; None for what means nothing anywhere, such as bytes.
        within: places within the column, int64 `(k,)`, or where k cells beside each other begin.
        count: k.
        cells: an Arrow array of them, null where nothing stands; None where they mean nothing.
    """

    kind: type | None
    within: npt.NDArray[np.int64] | int
    count: int
    cells: Any

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Places within the column, int64 `(k,)`."""
        if isinstance(self.within, int):
            return np.arange(self.within, self.within + self.count)
        return self.within


class DriverColumn:
    """Cells of one column, in the order of rows."""

    def __init__(self) -> None:
        """Without a cell."""
        self._length = 0
        self._groups: list[_Group] = []

    @classmethod
    def of(cls, values: Sequence[object]) -> DriverColumn:
        """The cells of values as a driver gives them."""
        made = cls()
        made.extend(values)
        return made

    def __len__(self) -> int:
        return self._length

    def extend(self, values: Sequence[object]) -> None:
        """More cells at the end."""
        kinds = [_kind(type(value)) for value in values]
        begin = self._length
        self._length += len(values)
        found = [kind for kind in dict.fromkeys(kinds) if kind is not type(None)]
        if len(found) == 1 and found[0] is not None:
            # The rule: one type, and here and there nothing.
            self._groups.append(_Group(found[0], begin, len(values), _held(found[0], values)))
            return
        for kind in found:
            places = [place for place, each in enumerate(kinds) if each is kind]
            whole = np.array(places, dtype=np.int64) + begin
            held = _held(kind, [values[place] for place in places])
            self._groups.append(_Group(kind, whole, len(places), held))

    def texts(self, truth: tuple[str, str] = ("0", "1")) -> tuple[Any, Flags]:
        """Text of each cell as `cell_text` tells it, an Arrow array with null for missing; and which cells
        have none, since they are no text, number or date.
        """
        wrong = np.zeros(len(self), dtype=np.bool_)
        found: list[tuple[npt.NDArray[np.int64], Any]] = []
        for group in self._groups:
            if group.kind is None:
                wrong[group.places] = True
            else:
                found.append((group.places, _texts_of_group(group, truth)))
        return self._assembled(found), wrong

    def plain_texts(self) -> Any:
        """The cells that are text, null for all others."""
        return self._assembled([(group.places, group.cells.cast("string")) for group in self._of(str)])

    def native_numbers(self) -> tuple[Values, Flags]:
        """Cells that are numbers, NaN for others; and which cells are neither number nor text."""
        numbers, unread = np.full(len(self), np.nan), np.zeros(len(self), dtype=np.bool_)
        for group in self._groups:
            if group.kind is str:
                continue
            if group.kind in (bool, int, float, Decimal):
                numbers[group.places], unread[group.places] = _numbers_of_group(group)
            else:
                unread[group.places] = True if group.kind is None else _there(group.cells)
        return numbers, unread

    def native_moments(self) -> Values:
        """Cells that are dates or moments, as `clients.rows.values.points_in_time` counts them; NaN else."""
        found = np.full(len(self), np.nan)
        for group in self._of(datetime):
            found[group.places] = stamps_in_days(group.cells)
        for group in self._of(date):
            found[group.places] = group.cells.cast("int32").to_numpy(zero_copy_only=False) + _DAY_ZERO
        return found

    def key_texts(self) -> Any:
        """Text of each cell as a customer key.

        Raises:
            TypeError: something is no text, number or date.
            TableError: RF-T100 floating-point numbers too large to be exact.
        """
        for group in self._of(float):
            require_exact(group.cells.to_numpy(zero_copy_only=False), 64)
        texts, wrong = self.texts()
        if wrong.any():
            raise TypeError("a cell that is no text, number or date is no key")
        return texts

    def _of(self, kind: type) -> Iterator[_Group]:
        return (group for group in self._groups if group.kind is kind)

    def _assembled(self, found: Sequence[tuple[npt.NDArray[np.int64], Any]]) -> Any:
        """Texts at their places, null everywhere else."""
        import pyarrow as pa

        order = np.full(len(self), -1, dtype=np.int64)
        begin = 0
        for places, _texts in found:
            order[places] = np.arange(begin, begin + len(places))
            begin += len(places)
        everything = pa.chunked_array([texts for _places, texts in found], pa.string()).combine_chunks()
        if len(everything) == len(self) and bool((order == np.arange(len(self))).all()):
            return everything
        return everything.take(pa.array(order, mask=order < 0))


_KNOWN: dict[type, type | None] = {kind: kind for kind in (*_ORDER, type(None))}


def _kind(found: type) -> type | None:
    """Which of the types that mean something a cell has; None for another one."""
    if found not in _KNOWN:
        _KNOWN[found] = next((kind for kind in _ORDER if issubclass(found, kind)), None)
    return _KNOWN[found]


def _held(kind: type | None, values: Sequence[Any]) -> Any:
    """Cells of one type as Arrow holds them."""
    import pyarrow as pa

    if kind is None:
        return None
    if kind is str:
        texts = pa.array(values, pa.string())
        coded = texts.dictionary_encode()
        return coded if 4 * len(coded.dictionary) < len(texts) else texts
    if kind is int and not all(value is None or value in _INT64 for value in values):
        return pa.array(_told(str, values), pa.string())
    if kind is Decimal or kind is UUID:
        return pa.array(_told(str, values), pa.string()).dictionary_encode()
    if kind is datetime:
        return pa.array(_told(in_utc, values), pa.timestamp("us"))
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), date: pa.date32()}
    return pa.array(values, types[kind])


def _there(cells: Any) -> Flags:
    found: Flags = cells.is_valid().to_numpy(zero_copy_only=False)
    return found


def _told(how: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    return [None if value is None else how(value) for value in values]


def _texts_of_group(group: _Group, truth: tuple[str, str]) -> Any:
    import pyarrow as pa

    if group.kind in (str, UUID):
        return group.cells.cast(pa.string())
    if group.kind in (int, date):
        return group.cells.cast(pa.string())
    if group.kind is bool:
        return compute().if_else(group.cells, truth[1], truth[0])
    if group.kind is Decimal:
        return _by_text(group.cells, lambda text: cell_text(Decimal(text)))
    return by_distinct(group.cells, cell_text)


def _by_text(coded: Any, text: Callable[[str], str | None]) -> Any:
    """Texts of cells that are held as other texts, asked for once a distinct one."""
    import pyarrow as pa

    distinct = coded.dictionary
    texts = pa.array((text(value) for value in in_parts(distinct)), pa.string(), size=len(distinct))
    return texts.take(coded.indices)


def _numbers_of_group(group: _Group) -> tuple[Values, Flags]:
    """Floats of numbers; and which are beyond the floats or signal."""
    import pyarrow as pa

    cells = group.cells
    if not pa.types.is_string(cells.type) and not pa.types.is_dictionary(cells.type):
        read = cells.cast(pa.int8()) if group.kind is bool else cells
        values: Values = read.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return values, np.zeros(len(values), dtype=np.bool_)
    coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    exact: Callable[[str], Any] = Decimal if group.kind is Decimal else int
    distinct = coded.dictionary
    which = coded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    # The last entry is for what is not there.
    values, beyond = np.full(len(distinct) + 1, np.nan), np.zeros(len(distinct) + 1, dtype=np.bool_)
    for place, text in enumerate(in_parts(distinct)):
        number = _float_or_none(exact(text))
        values[place], beyond[place] = (np.nan, True) if number is None else (number, False)
    return values[which], beyond[which]


def _float_or_none(value: Any) -> float | None:
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def stamps_in_days(stamps: Any) -> Values:
    """Moments of an Arrow array of timestamps in microseconds: days as in `date.toordinal` and the part of
    the day that has gone by, NaN for missing.
    """
    since_1970 = compute().fill_null(stamps.cast("int64"), 0).to_numpy(zero_copy_only=False)
    whole = since_1970 // _DAY
    part = np.minimum((since_1970 - whole * _DAY) / _DAY, LATEST)
    there = stamps.is_valid().to_numpy(zero_copy_only=False)
    made: Values = np.where(there, whole + _DAY_ZERO + part, np.nan)
    return made


def extend_all(columns: Sequence[DriverColumn], rows: Iterable[Sequence[object]]) -> None:
    """Enter rows of a driver into their columns."""
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        column.extend(values)
