"""A log as its own people read it: newest first, by filters, one line or one object an event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ringfence.audit.catalogue import require_known
from ringfence.audit.events import LoggedEvent
from ringfence.audit.export import PAGE
from ringfence.audit.log import AuditLog
from ringfence.audit.time_spans import TimeSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are wanted; what is None or empty does not restrict.

    Attributes:
        action: a type, or a group such as `budget.`.
        outcome: allow, deny or error.
        resource: what it was done to; a part of it suffices.
        span: the time they lie in.
        actions: types to choose from.
    """

    action: str | None = None
    outcome: str | None = None
    resource: str | None = None
    span: TimeSpan = field(default_factory=TimeSpan)
    actions: frozenset[str] = frozenset()

    def holds(self, logged: LoggedEvent) -> bool:
        """Whether an event is wanted."""
        event = logged.event
        of_kind = self.action is None or event.action == self.action
        in_group = (
            self.action is not None and self.action.endswith(".") and event.action.startswith(self.action)
        )
        return (
            (of_kind or in_group)
            and (not self.actions or event.action in self.actions)
            and (self.outcome is None or event.outcome == self.outcome)
            and (self.resource is None or self.resource in event.resource)
            and self.span.holds(event.time)
        )


def newest(log: AuditLog, wanted: Filter, limit: int | None) -> list[LoggedEvent]:
    """The newest events that are wanted, at most `limit`, newest first.

    Raises:
        AuditUsageError: there are none, and there is no such type or group.
    """
    found = list(islice((logged for logged in _backwards(log) if wanted.holds(logged)), limit))
    if not found and wanted.action is not None:
        require_known(wanted.action)
    return found


def _backwards(log: AuditLog) -> Iterator[LoggedEvent]:
    for stop in range(log.size, 0, -PAGE):
        yield from reversed(list(log.events(max(0, stop - PAGE), stop=stop)))


def event_line(logged: LoggedEvent, log: str = "") -> str:
    """One event on one line: number, time, action, outcome, resource and its public members.

    Args:
        logged: the event.
        log: what its log is called beside others, in front of the number; empty for the only or first one.
    """
    event = logged.event
    said = " ".join(f"{key}={short(value)}" for key, value in event.public.items())
    head = f"{numbered(logged, log):>6} {event.time[:19]}Z {event.action:20} {event.outcome:6}"
    return f"{head} {event.resource} {said}".rstrip()


def numbered(logged: LoggedEvent, log: str) -> str:
    """An event's number, behind the name of its log where it has one here."""
    return f"{log}/{logged.seq}" if log else str(logged.seq)


def short(value: object) -> str:
    """A public member as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def event_members(logged: LoggedEvent, log: str = "") -> dict[str, object]:
    """One event for programs; `log` as for `event_line`."""
    event = logged.event
    return {
        **({"log": log} if log else {}),
        "event": logged.seq,
        "time": event.time,
        "action": event.action,
        "outcome": event.outcome,
        "actor": event.actor,
        "resource": event.resource,
        "public": dict(event.public),
    }
