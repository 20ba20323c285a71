"""Appends checked events to the registry's log: one batch a transaction, under the terms they name.

Invariant: a refusal ends for good what was recorded before it. Nothing is imported that lies in the future,
but a clock can have been wrong: a grant that stands in the log with a later time than now would be the last
event of its subject when that time comes. So a refusal is recorded once more at the instant of every such
grant, where it wins. One that names its day alone is recorded at the day's last instant too, since a grant at
a time of that day may have come before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, select

from ringfence.privacy.consent import tables
from ringfence.privacy.consent.eligibility import PERMITTING, refuses
from ringfence.privacy.consent.intake import Intake
from ringfence.privacy.consent.records import ALL_PURPOSES, ConsentTerms, EventKind
from ringfence.privacy.consent.tables import FOREVER, to_micros

_ROWS: Final = 20_000
_PART: Final = 500
_FEW: Final = 2_000

Numbers = npt.NDArray[np.int64]

# Open transactions that hold events not yet committed: what is read in them is not remembered.
_written: WeakSet[object] = WeakSet()


def is_committed(connection: Connection | None) -> bool:
    """Whether what a transaction reads now stands, so that it may be remembered: none that wrote here."""
    return connection is None or connection.get_transaction() not in _written


def refusal(count: int, purpose: str, kind: EventKind, instant: int) -> Intake:
    """The events of customers who say no, for one purpose or for all, at one instant in microseconds."""
    return Intake(
        customer_keys=[""] * count,
        kind=_all(count, kind),
        purpose=_all(count, 0),
        purposes=[purpose],
        at=_all(count, instant),
        valid_from=_all(count, instant),
        valid_until=_all(count, FOREVER),
        terms=_all(count, -1),
        terms_found=[],
        ended=_all(count, instant),
    )


def record(connection: Connection, intake: Intake, subject: Numbers, source: str, now: int) -> int:
    """Append events, and the refusals among them once more where a grant is dated ahead.

    Args:
        connection: a transaction that holds the registry.
        intake: the events.
        subject: index of each event's subject, int64 `(n,)`.
        source: what the batch came from.
        now: the present moment, microseconds UTC.

    Returns:
        How many grants dated ahead were ended.
    """
    _written.add(connection.get_transaction())
    ahead = _ended_ahead(connection, intake, subject, now)
    _append(connection, intake, subject, source)
    whole_day = np.flatnonzero(refuses(intake.kind) & (intake.ended > intake.at))
    if len(whole_day):
        _append(connection, _at_the_end(intake, whole_day), subject[whole_day], "day")
    for repeated, whose in ahead:
        _append(connection, repeated, whose, "ahead")
    return sum(len(repeated) for repeated, _ in ahead)


def _at_the_end(intake: Intake, rows: Numbers) -> Intake:
    """Some rows of refusals, at the last instants of their days."""
    return replace(
        intake,
        customer_keys=[""] * len(rows),
        kind=intake.kind[rows],
        purpose=intake.purpose[rows],
        at=intake.ended[rows],
        valid_from=intake.valid_from[rows],
        valid_until=intake.valid_until[rows],
        terms=intake.terms[rows],
        ended=intake.ended[rows],
    )


def _ended_ahead(
    connection: Connection, intake: Intake, subject: Numbers, now: int
) -> list[tuple[Intake, Numbers]]:
    """Refusals at the instants of grants that lie ahead of now, of those who refuse now."""
    saying_no = np.flatnonzero(refuses(intake.kind))
    found = list(_grants_after(connection, np.unique(subject[saying_no]), now)) if len(saying_no) else []
    if not found:
        return []
    made = []
    by_subject: dict[int, list[int]] = {}
    for place in saying_no.tolist():
        by_subject.setdefault(int(subject[place]), []).append(place)
    for who, purpose, at in found:
        for place in by_subject.get(who, ()):
            refused = intake.purposes[int(intake.purpose[place])]
            if refused in (purpose, ALL_PURPOSES):
                kind = EventKind(int(intake.kind[place]))
                made.append((refusal(1, refused, kind, at), _all(1, who)))
    return made


def _grants_after(connection: Connection, subjects: Numbers, now: int) -> Iterator[tuple[int, str, int]]:
    """Subject, purpose and instant of permitting events after an instant, of some subjects at least."""
    c = tables.event.c
    later: ColumnElement[bool] = (c.at > now) & c.kind.in_(PERMITTING)
    wanted = select(c.subject, c.purpose, c.at)
    if len(subjects) > _FEW:  # one pass over the log is cheaper than so many look-ups
        parts = [later]
    else:
        parts = [
            later & c.subject.in_(subjects[start : start + _PART].tolist())
            for start in range(0, len(subjects), _PART)
        ]
    for part in parts:
        for row in connection.execute(wanted.where(part)):
            yield int(row.subject), str(row.purpose), int(row.at)


def _append(connection: Connection, intake: Intake, subject: Numbers, source: str) -> None:
    batch = connection.execute(
        tables.batch.insert().values(recorded=to_micros(datetime.now(UTC)), source=source, rows=len(intake))
    ).inserted_primary_key
    number = None if batch is None else batch[0]
    terms: list[int | None] = [*(_stored_terms(connection, one) for one in intake.terms_found), None]
    order = np.argsort(subject, kind="stable")  # keeps the index on subjects in order while it grows
    columns = (
        subject,
        intake.purpose,
        intake.kind,
        intake.at,
        intake.valid_from,
        intake.valid_until,
        intake.terms,
    )
    names = ("subject", "purpose", "kind", "at", "valid_from", "valid_until", "terms", "batch")
    for start in range(0, len(order), _ROWS):
        part = order[start : start + _ROWS]
        rows = zip(*(column[part].tolist() for column in columns), strict=True)
        tables.insert_many(
            connection,
            tables.event,
            names,
            [(s, intake.purposes[p], k, a, f, u, terms[t], number) for s, p, k, a, f, u, t in rows],
        )


def _stored_terms(connection: Connection, terms: ConsentTerms) -> int:
    digest = terms.digest()
    found = connection.scalar(select(tables.terms.c.id).where(tables.terms.c.digest == digest))
    if found is not None:
        return int(found)
    key = connection.execute(
        tables.terms.insert().values(digest=digest, body=terms.body())
    ).inserted_primary_key
    return int(key[0]) if key is not None else 0


def _all(count: int, value: int) -> Numbers:
    return np.full(count, value, dtype=np.int64)
