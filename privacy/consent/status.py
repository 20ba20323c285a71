"""What the holder's own people may see: one customer's standing by purpose, and counts for every purpose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from ringfence.privacy.consent import tables
from ringfence.privacy.consent.eligibility import permits
from ringfence.privacy.consent.records import EventKind
from ringfence.privacy.consent.snapshot import standings
from ringfence.privacy.consent.tables import from_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeStatus:
    """One customer's standing for one purpose.

    Attributes:
        purpose: name of the purpose.
        kind: kind of the latest event.
        since: when that event took place.
        valid_from, valid_until: its validity; `valid_until` is None when it has no end.
        eligible: whether the customer may be used now.
        terms: the record's notice, processing and party sections (ISO/IEC TS 27560), None without terms.
    """

    purpose: str
    kind: EventKind
    since: datetime | None
    valid_from: datetime | None
    valid_until: datetime | None
    eligible: bool
    terms: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many subjects stand where for one purpose; exact counts, so for the holder's own people only.

    Attributes:
        eligible: may be used now.
        lapsed: latest event permits, but its validity has ended, or an event says expired.
        pending: latest event permits, but its validity has not begun.
        refused, withdrawn, objected: by the latest event.
        subjects: all with any event for the purpose.
    """

    eligible: int
    lapsed: int
    pending: int
    refused: int
    withdrawn: int
    objected: int
    subjects: int

    def as_dict(self) -> dict[str, int]:
        """Counts by name."""
        return asdict(self)


def status_of(
    reader: Connection, subject: int, instant: int, purposes: Sequence[str], sequence: int
) -> Mapping[str, PurposeStatus]:
    """Standing of one subject for every purpose it has an event for."""
    found: dict[str, PurposeStatus] = {}
    for purpose in purposes:
        for standing in standings(reader, purpose, instant, sequence=sequence, subject=subject):
            for place, eligible in enumerate(standing.eligible(instant).tolist()):
                found[purpose] = PurposeStatus(
                    purpose=purpose,
                    kind=EventKind(int(standing.kind[place])),
                    since=from_micros(int(standing.at[place])),
                    valid_from=from_micros(int(standing.valid_from[place])),
                    valid_until=from_micros(int(standing.valid_until[place])),
                    eligible=eligible,
                    terms=_terms_of(reader, int(standing.terms[place])),
                )
    return found


def _terms_of(reader: Connection, number: int) -> Mapping[str, Any] | None:
    c = tables.terms.c
    body = reader.scalar(select(c.body).where(c.id == number)) if number else None
    return None if body is None else json.loads(body)


def coverage_of(reader: Connection, purpose: str, instant: int, sequence: int) -> Coverage:
    """Counts of subjects by standing."""
    counts = np.zeros(7, dtype=np.int64)
    for standing in standings(reader, purpose, instant, sequence=sequence):
        some = permits(standing.kind)
        counts += [
            int(np.count_nonzero(part))
            for part in (
                standing.eligible(instant),
                (some & (standing.valid_until <= instant)) | (standing.kind == EventKind.EXPIRED),
                some & (standing.valid_from > instant),
                standing.kind == EventKind.REFUSED,
                standing.kind == EventKind.WITHDRAWN,
                standing.kind == EventKind.OBJECTED,
                np.ones(len(standing.kind), dtype=np.bool_),
            )
        ]
    eligible, lapsed, pending, refused, withdrawn, objected, subjects = map(int, counts)
    return Coverage(
        eligible=eligible,
        lapsed=lapsed,
        pending=pending,
        refused=refused,
        withdrawn=withdrawn,
        objected=objected,
        subjects=subjects,
    )
