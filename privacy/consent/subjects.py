"""Subject indices: which number a pseudonym has, and numbers for those not seen before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select, update

from ringfence.privacy.consent import tables
from ringfence.privacy.consent.bulk import joined, key_ranges
from ringfence.privacy.consent.pseudonym import SubjectIndex

_ROWS = 20_000
_FEW = 2_000


class Subjects:
    """The subjects of one registry, with an index in memory for many look-ups at once."""

    def __init__(self) -> None:
        self._index: tuple[int, SubjectIndex] | None = None

    def forget(self) -> None:
        """Drop the index, after an erasure."""
        self._index = None

    def find(
        self, reader: Connection, references: Sequence[bytes], *, keep: bool = False
    ) -> npt.NDArray[np.int64]:
        """Subject indices of pseudonyms, int64 `(n,)`, -1 where unknown.

        Args:
            reader: an open transaction.
            references: the pseudonyms.
            keep: remember the index made for many of them; only where all that is read is committed.
        """
        total = int(reader.scalar(select(tables.registry.c.subjects)) or 0)
        cached = self._index
        if cached is not None and cached[0] == total:
            return cached[1].find(references)
        if len(references) <= _FEW:
            return _look_up(reader, references)
        index = _whole_index(reader, total)
        if keep:
            self._index = (total, index)
        return index.find(references)

    def enrol(self, connection: Connection, references: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], int]:
        """Subject indices of pseudonyms; unknown ones get the next numbers in the order of their pseudonyms.

        That order is random to everybody without the key, so a subject's number says nothing about its place
        in the holder's file.
        """
        subject = self.find(connection, references)
        unknown = np.flatnonzero(subject < 0)
        fresh = sorted({references[i] for i in unknown.tolist()})
        if not fresh:
            return subject, 0
        start = int(connection.scalar(select(tables.registry.c.subjects)) or 0)
        number = {reference: start + i for i, reference in enumerate(fresh)}
        for part in parts(fresh, _ROWS):
            tables.insert_many(
                connection, tables.subject, ("id", "pseudonym"), [(number[r], r) for r in part]
            )
        connection.execute(update(tables.registry).values(subjects=start + len(fresh)))
        subject[unknown] = [number[references[i]] for i in unknown.tolist()]
        return subject, len(fresh)


def _whole_index(reader: Connection, total: int) -> SubjectIndex:
    """All pseudonyms with their numbers, which are 0 to `total - 1`."""
    c = tables.subject.c
    return SubjectIndex(*joined(reader, c.pseudonym, c.id, key_ranges(c.id, total - 1)))


def _look_up(reader: Connection, references: Sequence[bytes]) -> npt.NDArray[np.int64]:
    known: dict[bytes, int] = {}
    for part in parts(sorted(set(references))):
        rows = reader.execute(
            select(tables.subject.c.pseudonym, tables.subject.c.id).where(
                tables.subject.c.pseudonym.in_(part)
            )
        )
        known.update({bytes(row[0]): int(row[1]) for row in rows})
    return np.array([known.get(reference, -1) for reference in references], dtype=np.int64)


def parts(items: Sequence[bytes], size: int = 500) -> Iterator[Sequence[bytes]]:
    """Pieces short enough for one statement's parameters."""
    return (items[start : start + size] for start in range(0, len(items), size))
