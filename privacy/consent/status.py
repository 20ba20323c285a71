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
from ringfence.privacy.consent.events import ALL_PURPOSES, EventKind
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
    reader: Connection, subject: int, instant: int, purposes: Sequence[str]
) -> Mapping[str, PurposeStatus]:
    """Standing of one subject for every purpose it has an event for."""
    c = tables.event.c
    rows = reader.execute(
        select(c.purpose, c.kind, c.at, c.valid_from, c.valid_until, c.sequence, tables.terms.c.body)
        .join_from(tables.event, tables.terms, isouter=True)
        .where((c.subject == subject) & (c.at <= instant))
    ).all()
    found: dict[str, PurposeStatus] = {}
    for purpose in purposes:
        relevant = [row for row in rows if row.purpose in {purpose, ALL_PURPOSES}]
        if not relevant:
            continue
        # The same order as `snapshot`: time, then a refusal before a grant, then the log.
        last = max(relevant, key=lambda row: (row.at, not EventKind(row.kind).permits, row.sequence))
        kind = EventKind(last.kind)
        found[purpose] = PurposeStatus(
            purpose=purpose,
            kind=kind,
            since=from_micros(last.at),
            valid_from=from_micros(last.valid_from),
            valid_until=from_micros(last.valid_until),
            eligible=kind.permits and last.valid_from <= instant < last.valid_until,
            terms=None if last.body is None else json.loads(last.body),
        )
    return found


def coverage_of(reader: Connection, purpose: str, instant: int, sequence: int) -> Coverage:
    """Counts of subjects by standing."""
    counts = np.zeros(7, dtype=np.int64)
    for standing in standings(reader, purpose, instant, sequence=sequence):
        permits = standing.kind <= EventKind.RENEWED
        counts += [
            int(np.count_nonzero(part))
            for part in (
                standing.eligible(instant),
                (permits & (standing.valid_until <= instant)) | (standing.kind == EventKind.EXPIRED),
                permits & (standing.valid_from > instant),
                standing.kind == EventKind.REFUSED,
                standing.kind == EventKind.WITHDRAWN,
                standing.kind == EventKind.OBJECTED,
                np.ones(len(standing.kind), dtype=np.bool_),
            )
        ]
    eligible, lapsed, pending, refused, withdrawn, objected, subjects = map(int, counts)
    return Coverage(
        eligible=eligible, lapsed=lapsed, pending=pending, refused=refused,
        withdrawn=withdrawn, objected=objected, subjects=subjects,
    )  # fmt: skip
