"""Keeps the bitmaps that were folded from the log, and brings them up to date instead of folding anew."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from pyroaring import BitMap
from sqlalchemy import Connection, func, select

from ringfence.privacy.agreements.law import SEPARATE_CONSENTS
from ringfence.privacy.consent import tables
from ringfence.privacy.consent.snapshot import as_bitmap, standings
from ringfence.privacy.consent.tables import FOREVER
from ringfence.privacy.errors import N_, ConsentError

# Built once: making the expression anew costs more than running it.
_LAST = select(func.max(tables.event.c.sequence))


@dataclass(frozen=True, slots=True)
class EligibilityQuestion:
    """What is asked of the log, but for the instant."""

    purpose: str
    separate: frozenset[str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A bitmap that holds for every instant in `[at, next_change)` while the log ends at `sequence`."""

    sequence: int
    at: int
    next_change: int
    bitmap: BitMap


class CompiledBitmaps:
    """One bitmap a question; may be used by several threads."""

    def __init__(self) -> None:
        self._found: dict[EligibilityQuestion, Compiled] = {}
        self._lock = threading.Lock()

    def answer(
        self, reader: Connection, question: EligibilityQuestion, instant: int, *, keep: bool
    ) -> Compiled:
        """The bitmap at an instant, microseconds, as of the log's end; the caller must not change it.

        Args:
            reader: an open transaction.
            question: purpose and separate consents.
            instant: microseconds UTC.
            keep: remember the answer; only for a transaction that sees committed events alone.
        """
        with self._lock:
            last = last_sequence(reader)
            found = self._found.get(question)
            if found is not None and not (found.at <= instant < found.next_change and found.sequence <= last):
                found = None
            if found is None or found.sequence < last:
                found = fold_events(reader, question, instant, last, found)
            if keep:
                self._found[question] = found
            return found


def fold_events(
    reader: Connection, question: EligibilityQuestion, instant: int, last: int, old: Compiled | None = None
) -> Compiled:
    """Fold the whole log, or bring an older bitmap up to date with the subjects that have newer events."""
    bitmap, change, since = (
        (BitMap(), FOREVER, 0) if old is None else (old.bitmap.copy(), old.next_change, old.sequence)
    )
    terms = _terms_with(reader, question.separate) if question.separate else None
    for standing in standings(reader, question.purpose, instant, sequence=last, since=since):
        bitmap -= as_bitmap(standing.subject)
        bitmap |= as_bitmap(standing.subject[standing.eligible(instant, terms)])
        change = min(change, standing.next_change(instant))
    if old is None:
        bitmap.run_optimize()
    return Compiled(last, instant, change, bitmap)


def _terms_with(reader: Connection, separate: frozenset[str]) -> frozenset[int]:
    """Terms under which all these separate consents were given."""
    strange = separate - set(SEPARATE_CONSENTS)
    if strange:
        raise ConsentError(
            "RF-N006",
            N_('"{name}" is not a separate consent; expected some of {known}.'),
            name=min(strange),
            known=", ".join(SEPARATE_CONSENTS),
        )
    rows = reader.execute(select(tables.terms.c.id, tables.terms.c.body))
    return frozenset(
        int(row[0]) for row in rows if separate <= set(json.loads(row[1])["processing"]["separateConsents"])
    )


def last_sequence(reader: Connection) -> int:
    """Number of the log's last event, 0 when it is empty."""
    return int(reader.scalar(_LAST) or 0)
