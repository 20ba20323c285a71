"""A bounded list of public codes for each customer: what items, paths and notes become before a task.

Invariant: every list is a function of that customer's own lines and of the signed documents alone, and none
is longer than the schema says, so that whatever is summed over lists is additive over customers and bounded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodedLists:
    """Lists of n customers with T entries in all.

    Attributes:
        offsets: where each customer's entries begin, then T; int64 `(n + 1,)`.
        codes: positions among the input's `codes`, int32 `(T,)`; in a set ascending, in a path by time.
        groups: basket of each entry within its customer, from 0 and ascending, int32 `(T,)`; 0 where there
            are no baskets.
        flags: whether the customer's path ended in a conversion, bool `(n,)`; false for other inputs.
    """

    offsets: Numbers
    codes: npt.NDArray[np.int32]
    groups: npt.NDArray[np.int32]
    flags: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, owner: Numbers, codes: Numbers, groups: Numbers, flags: npt.NDArray[np.bool_]) -> CodedLists:
        """Lists from entries that are ordered by owner.

        Args:
            owner: customer of each entry, 0 to n - 1, ascending, `(T,)`.
            codes, groups: of each entry, `(T,)`.
            flags: `(n,)`; n customers there are.
        """
        counts = np.bincount(owner, minlength=len(flags))
        return cls(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            codes=codes.astype(np.int32),
            groups=groups.astype(np.int32),
            flags=flags,
        )

    def __len__(self) -> int:
        return len(self.flags)

    @property
    def lengths(self) -> Numbers:
        """Entries of each customer, int64 `(n,)`."""
        return np.diff(self.offsets)

    def take(self, rows: npt.NDArray[np.bool_] | Numbers) -> CodedLists:
        """The lists of customers chosen by a mask or by positions, in that order; position -1 is an empty
        list, of somebody without an entry.
        """
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.asarray(rows, dtype=np.int64)
        there = chosen >= 0
        lengths = np.zeros(len(chosen), dtype=np.int64)
        lengths[there] = self.lengths[chosen[there]]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        begin = np.where(there, self.offsets[chosen], 0) if len(self) else np.zeros_like(chosen)
        places = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths)
        flags = np.zeros(len(chosen), dtype=np.bool_)
        flags[there] = self.flags[chosen[there]]
        return CodedLists(offsets=offsets, codes=self.codes[places], groups=self.groups[places], flags=flags)

    def of_customer(self, row: int) -> list[int]:
        """The codes of one customer."""
        found: list[int] = self.codes[self.offsets[row] : self.offsets[row + 1]].tolist()
        return found

    def digest(self) -> bytes:
        """SHA-256 over all of it, 32 bytes; private, since it can be guessed."""
        state = hashlib.sha256(b"ringfence/coded-lists/v1\n")
        for array, kind in ((self.offsets, "<i8"), (self.codes, "<i4"), (self.groups, "<i4")):
            state.update(len(array).to_bytes(8, "big") + np.ascontiguousarray(array, dtype=kind).tobytes())
        state.update(np.packbits(self.flags).tobytes())
        return state.digest()
