"""Who may be used for one purpose at one instant: the event log folded into a Roaring bitmap of subject indices.

A subject is in the bitmap iff its latest event for the purpose (or for all purposes) is granted or renewed and
the instant lies within that event's validity. "Latest" goes by the time of the event, then a refusal before a
grant at the same instant, then the order of recording: an old grant that arrives late revives nobody, and
where two events cannot be told apart the subject is left out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import rfc8785
from pyroaring import BitMap, FrozenBitMap
from sqlalchemy import ColumnElement, Connection, func, select

from ringfence.privacy.consent.bulk import numbers, spans
from ringfence.privacy.consent.events import ALL_PURPOSES, LAST_PERMITTING
from ringfence.privacy.consent.tables import FOREVER, event, to_micros

_CHUNK = 1 << 20
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The latest event of each subject for one purpose, one entry a subject.

    Attributes:
        subject, kind, valid_from, valid_until: int64 `(n,)`.
        terms: number of the terms, 0 for none, int64 `(n,)`.
        next_event: the earliest event still in the future, microseconds.
    """

    subject: Numbers
    kind: Numbers
    valid_from: Numbers
    valid_until: Numbers
    terms: Numbers
    next_event: int

    def eligible(self, at: int, terms: frozenset[int] | None = None) -> npt.NDArray[np.bool_]:
        """Which subjects may be used at the instant; with `terms`, only those who agreed to one of them."""
        now = (self.kind <= LAST_PERMITTING) & (self.valid_from <= at) & (at < self.valid_until)
        return now if terms is None else now & np.isin(self.terms, list(terms))

    def next_change(self, at: int) -> int:
        """The earliest instant after `at` at which anybody's eligibility may change without a new event."""
        permits = self.kind <= LAST_PERMITTING
        edges = np.concatenate([self.valid_from[permits], self.valid_until[permits]])
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


def members(bitmap: BitMap | FrozenBitMap, indices: Numbers) -> npt.NDArray[np.bool_]:
    """Which of the indices are in the bitmap, bool `(n,)`; -1 (unknown) is in none."""
    present = np.zeros(int(bitmap.max()) + 2 if bitmap else 1, dtype=np.bool_)
    present[np.asarray(bitmap.to_array(), dtype=np.int64)] = True
    outside = (indices < 0) | (indices >= len(present))
    return present[np.where(outside, len(present) - 1, indices)]


def as_bitmap(indices: Numbers) -> BitMap:
    """Bitmap of non-negative indices, int64 `(n,)`."""
    # Sorted, and as an array of the standard library, it is built eight times as fast as from numpy's.
    return BitMap(array("I", np.sort(indices.astype(np.uint32)).tobytes()))


def standings(connection: Connection, purpose: str, at: int, *, sequence: int, since: int = 0) -> Iterator[Standing]:
    """Fold the log, a million subjects at a time, so that memory stays bounded.

    Args:
        connection: an open transaction.
        purpose: name of the purpose.
        at: instant in microseconds.
        sequence: last event to take into account.
        since: fold only subjects that have an event after this one.
    """
    relevant = event.c.purpose.in_([purpose, ALL_PURPOSES]) & (event.c.sequence <= sequence)
    last = connection.scalar(select(event.c.subject).order_by(event.c.subject.desc()).limit(1))
    if last is None:
        return
    if since:
        touched = select(event.c.subject).where(event.c.sequence > since).distinct()
        some = spans(event.c.subject, last)
        yield _fold(connection, (relevant & event.c.subject.in_(touched.where(span)) for span in some), at)
        return
    if last < _CHUNK:
        # A registry that fits into one piece is read in the log's own order, without its index.
        yield _fold(connection, (relevant & span for span in spans(event.c.sequence, sequence)), at)
        return
    for start in range(0, last + 1, _CHUNK):
        some = spans(event.c.subject, min(start + _CHUNK - 1, last), start)
        yield _fold(connection, (relevant & span for span in some), at)


def _fold(connection: Connection, pieces: Iterable[ColumnElement[bool]], at: int) -> Standing:
    c = event.c
    wanted = (c.subject, c.kind, c.at, c.valid_from, c.valid_until, c.sequence, func.coalesce(c.terms, 0))
    table = numbers(connection, wanted, pieces)
    ahead = table[2] > at
    next_event = int(table[2][ahead].min()) if ahead.any() else FOREVER
    subject, kind, when, valid_from, valid_until, number, terms = table[:, ~ahead] if ahead.any() else table
    latest = _latest(subject, when, kind > LAST_PERMITTING, number)
    return Standing(
        subject=subject[latest],
        kind=kind[latest],
        valid_from=valid_from[latest],
        valid_until=valid_until[latest],
        terms=terms[latest],
        next_event=next_event,
    )


def _latest(
    subject: Numbers, when: Numbers, refuses: npt.NDArray[np.bool_], number: Numbers
) -> Numbers | slice:
    """Where each subject's latest event stands."""
    if (subject[1:] > subject[:-1]).all():
        return slice(None)  # one event each, in order, as an import leaves them
    order = np.lexsort((number, refuses, when, subject))
    ordered = subject[order]
    found: Numbers = order[np.append(ordered[1:] != ordered[:-1], True)]
    return found
