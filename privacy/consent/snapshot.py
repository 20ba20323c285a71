"""Who may be used for a purpose at an instant: the event log folded into a Roaring bitmap.

A subject is in the bitmap iff its last event for the purpose (or for all purposes) lets it be used at the
instant (`eligibility`): an old grant that arrives late revives nobody, and where two events cannot be told
apart the subject is left out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import numpy as np
import rfc8785
from pyroaring import BitMap, FrozenBitMap
from sqlalchemy import ColumnElement, Connection, func, select

from ringfence.privacy.consent.bulk import integer_columns, key_ranges
from ringfence.privacy.consent.eligibility import Flags, Numbers, in_force, last_of_each, permits
from ringfence.privacy.consent.records import ALL_PURPOSES
from ringfence.privacy.consent.tables import FOREVER, event, to_micros

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestEvents:
    """The latest event of each subject for one purpose, one entry a subject.

    Attributes:
        subject, kind, at, valid_from, valid_until: int64 `(n,)`.
        terms: number of the terms, 0 for none, int64 `(n,)`.
        next_event: the earliest event still in the future, microseconds.
    """

    subject: Numbers
    kind: Numbers
    at: Numbers
    valid_from: Numbers
    valid_until: Numbers
    terms: Numbers
    next_event: int

    def eligible(self, at: int, terms: frozenset[int] | None = None) -> Flags:
        """Which subjects may be used at the instant; with `terms`, only those who agreed to one of them."""
        now = in_force(self.kind, self.valid_from, self.valid_until, at)
        return now if terms is None else now & np.isin(self.terms, list(terms))

    def next_change(self, at: int) -> int:
        """The earliest instant after `at` at which anybody's eligibility may change without a new event."""
        some = permits(self.kind)
        edges = np.concatenate([self.valid_from[some], self.valid_until[some]])
        ahead = edges[edges > at]
        return min(self.next_event, int(ahead.min()) if len(ahead) else FOREVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The registry's answer for one purpose at one instant, as of one entry of its event log.

    Attributes:
        purpose: name of the purpose.
        at: the instant.
        separate: separate consents asked for.
        sequence: last event taken into account.
        eligible: indices of the subjects that may be used.
        root: keyed commitment to all of the above.
    """

    purpose: str
    at: datetime
    separate: tuple[str, ...]
    sequence: int
    eligible: BitMap
    root: str


def commitment(
    key: bytes, *, purpose: str, at: datetime, separate: Sequence[str], sequence: int, eligible: BitMap
) -> str:
    """Keyed commitment to a snapshot, `blake2b:<64 hex digits>`.

    The instant and the sequence are part of it, so two commitments of an unchanged registry differ and nobody
    without the key can tell whether somebody withdrew in between. Indices are hashed in order, not the
    bitmap's own encoding, which is not unique.
    """
    header = rfc8785.dumps(
        {"purpose": purpose, "at": str(to_micros(at)), "separate": list(separate), "sequence": sequence}
    )
    state = blake2b(key=key, digest_size=32, person=b"rf-snapshot")
    state.update(len(header).to_bytes(8, "big") + header)
    state.update(np.asarray(eligible.to_array(), dtype="<u4").tobytes())
    return "blake2b:" + state.hexdigest()


def members(bitmap: BitMap | FrozenBitMap, indices: Numbers) -> Flags:
    """Which of the indices are in the bitmap, bool `(n,)`; -1 (unknown) is in none."""
    present = np.zeros(int(bitmap.max()) + 2 if bitmap else 1, dtype=np.bool_)
    present[np.asarray(bitmap.to_array(), dtype=np.int64)] = True
    outside = (indices < 0) | (indices >= len(present))
    return present[np.where(outside, len(present) - 1, indices)]


def as_bitmap(indices: Numbers) -> BitMap:
    """Bitmap of non-negative indices, int64 `(n,)`."""
    # Sorted, and as an array of the standard library, it is built eight times as fast as from numpy's.
    return BitMap(array("I", np.sort(indices.astype(np.uint32)).tobytes()))


def standings(
    connection: Connection,
    purpose: str,
    at: int,
    *,
    sequence: int,
    since: int = 0,
    subject: int | None = None,
) -> Iterator[LatestEvents]:
    """Fold the log, a million subjects at a time, so that memory stays bounded.

    Args:
        connection: an open transaction.
        purpose: name of the purpose.
        at: instant in microseconds.
        sequence: last event to take into account.
        since: fold only subjects that have an event after this one.
        subject: fold this one alone.
    """
    relevant = event.c.purpose.in_([purpose, ALL_PURPOSES]) & (event.c.sequence <= sequence)
    if subject is not None:
        yield _fold(connection, [relevant & (event.c.subject == subject)], at)
        return
    last = connection.scalar(select(event.c.subject).order_by(event.c.subject.desc()).limit(1))
    if last is None:
        return
    if since:
        touched = select(event.c.subject).where(event.c.sequence > since).distinct()
        some = key_ranges(event.c.subject, last)
        yield _fold(connection, (relevant & event.c.subject.in_(touched.where(span)) for span in some), at)
        return
    if last < CHUNK:
        # A registry that fits into one piece is read in the log's own order, without its index.
        yield _fold(connection, (relevant & span for span in key_ranges(event.c.sequence, sequence)), at)
        return
    for start in range(0, last + 1, CHUNK):
        some = key_ranges(event.c.subject, min(start + CHUNK - 1, last), start)
        yield _fold(connection, (relevant & span for span in some), at)


def _fold(connection: Connection, pieces: Iterable[ColumnElement[bool]], at: int) -> LatestEvents:
    c = event.c
    wanted = (c.subject, c.kind, c.at, c.valid_from, c.valid_until, c.sequence, func.coalesce(c.terms, 0))
    table = integer_columns(connection, wanted, pieces)
    ahead = table[2] > at
    next_event = int(table[2][ahead].min()) if ahead.any() else FOREVER
    subject, kind, when, valid_from, valid_until, number, terms = table[:, ~ahead] if ahead.any() else table
    last = last_of_each(subject, when, kind, number)
    return LatestEvents(
        subject=subject[last],
        kind=kind[last],
        at=when[last],
        valid_from=valid_from[last],
        valid_until=valid_until[last],
        terms=terms[last],
        next_event=next_event,
    )
