"""Customer keys of a table: held as Arrow holds text, counted, and one row of each customer chosen.

Works for `clients/rows/table` alone. A key becomes a Python string for the moment in which it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ringfence.privacy.tables.celltext import in_parts, reads_as_missing

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class KeyColumn(Sequence[str]):
    """Customer keys in the order of rows, without a Python string for each."""

    __slots__ = ("texts",)

    def __init__(self, texts: Any) -> None:
        """Of a `pyarrow` array of text without nulls, in chunks or not."""
        import pyarrow as pa

        plain = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        # Whole tables have more than 2 GiB of keys at once.
        self.texts = plain.cast(pa.large_string())

    @classmethod
    def distinct(cls, columns: Sequence[KeyColumn]) -> KeyColumn:
        """Every key of some columns once, in the order in which they come."""
        import pyarrow as pa

        return cls(pa.chunked_array([each.texts for each in columns], pa.large_string()).unique())

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> KeyColumn: ...
    def __getitem__(self, place: int | slice) -> str | KeyColumn:
        if isinstance(place, slice):
            return KeyColumn(self.texts[place])
        return str(self.texts[place].as_py())

    def __iter__(self) -> Iterator[str]:
        return in_parts(self.texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"KeyColumn of {len(self)}"

    def take(self, rows: Flags | Numbers) -> KeyColumn:
        """The keys of rows chosen by a mask or by positions."""
        import pyarrow as pa

        chosen = pa.array(rows)
        return KeyColumn(self.texts.filter(chosen) if rows.dtype == np.bool_ else self.texts.take(chosen))

    def among(self, others: KeyColumn) -> Numbers:
        """Position of each key among others without repeats, -1 for those not there, int64 `(n,)`."""
        import pyarrow.compute as pc

        found = pc.index_in(self.texts, others.texts)
        positions: Numbers = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return positions


@dataclass(frozen=True, slots=True)
class Customers:
    """Whose rows they are.

    Attributes:
        number: of each row's customer, -1 without a key, int64 `(n,)`.
        rows: how many each customer has, int64 `(customers,)`.
        named: customers whose key is not written like a missing one, bool `(customers,)`.
        chosen: the one row of each customer that stays, bool `(n,)`.
    """

    number: Numbers
    rows: Numbers
    named: Flags
    chosen: Flags


def counted_customers(keys: Any, rule: str) -> Customers:
    """Count the rows of each customer, and choose one of them.

    Args:
        keys: customer keys as text, empty for none.
        rule: the contract's `duplicates`; `refuse` chooses as `first` does, for the report.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    some = pc.if_else(pc.equal(keys, ""), pa.scalar(None, pa.string()), keys)
    coded = (some.combine_chunks() if isinstance(some, pa.ChunkedArray) else some).dictionary_encode()
    number = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.flatnonzero(number >= 0)
    chosen = np.zeros(len(coded.dictionary), dtype=np.int64)
    # The last assignment to a place wins.
    wins = rows if rule == "last" else rows[::-1]
    chosen[number[wins]] = wins
    keep = np.zeros(len(number), dtype=np.bool_)
    keep[chosen] = len(chosen) > 0
    counts = np.bincount(number[rows], minlength=len(chosen))
    return Customers(number, counts, ~reads_as_missing(coded.dictionary), keep)
