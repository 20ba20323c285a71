"""Spans of time that people ask a log for: moments are compared, never their spellings.

A day, month or year is the whole of it in UTC; a time without a zone is UTC. `since` begins with the first
instant of what it names, `until` ends with the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ringfence.audit.errors import N_, AuditUsageError, _

_FORM: Final = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"([Tt ](?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)([.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<zone>[Zz]|[+-]\d\d(:?\d\d)?)?)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """The time that is searched.

    Attributes:
        first: events from this instant on, as events write it; empty for all.
        before: events before this instant; empty for all.
    """

    first: str = ""
    before: str = ""

    def __bool__(self) -> bool:
        return bool(self.first or self.before)

    def holds(self, time: str) -> bool:
        """Whether an event's time, UTC with microseconds, lies in it."""
        return (not self.first or time >= self.first) and (not self.before or time < self.before)

    def told(self, count: int) -> str:
        """What was searched, for people: an empty list is an all-clear only for this."""
        if not self.before:
            said = _("Searched: events from {first} on, in UTC; listed: {count}")
        elif not self.first:
            said = _("Searched: events before {before}, in UTC; listed: {count}")
        else:
            said = _("Searched: events from {first} to before {before}, in UTC; listed: {count}")
        return said.format(first=self.first, before=self.before, count=count)

    def as_json(self) -> dict[str, str | None]:
        """The same for programs."""
        return {"from": self.first or None, "before": self.before or None}


def span(since: str | None, until: str | None) -> TimeSpan:
    """The span between two times that a person gave.

    Raises:
        AuditUsageError: RF-U600 one is no time, RF-U601 they leave nothing between them.
    """
    first = None if since is None else _named(since)[0]
    before = None if until is None else _named(until)[1]
    if first is not None and before is not None and first >= before:
        raise AuditUsageError(
            "RF-U601",
            N_("--since {since} lies after --until {until}, so nothing lies between them. Exchange them."),
            since=since,
            until=until,
        )
    return TimeSpan(first=_written(first), before=_written(before))


def _written(moment: datetime | None) -> str:
    return "" if moment is None else moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _named(text: str) -> tuple[datetime, datetime]:
    """The first instant of what a text names, and the first one after it, in UTC."""
    form = _FORM.fullmatch(text.strip())
    try:
        if form is None:
            raise ValueError
        return _bounds(form)
    except (ValueError, OverflowError):
        raise AuditUsageError(
            "RF-U600",
            N_(
                '"{text}" is no time; expected a day such as 2026-11-01 or a time such as '
                "2026-11-01T09:30:00+08:00 (UTC where no zone is given)."
            ),
            text=text,
        ) from None


def _bounds(form: re.Match[str]) -> tuple[datetime, datetime]:
    year, month, day = (int(form[name] or 1) for name in ("year", "month", "day"))
    if form["hour"] is None:
        start = datetime(year, month, day, tzinfo=UTC)
        if form["day"] is not None:
            return start, start + timedelta(days=1)
        if form["month"] is not None:
            return start, (start + timedelta(days=31)).replace(day=1)
        return start, start.replace(year=start.year + 1)
    second, fraction = form["second"], form["fraction"] or ""
    hour, minute, micros = int(form["hour"]), int(form["minute"]), int(fraction[:6].ljust(6, "0"))
    local = datetime(year, month, day, hour, minute, int(second or 0), micros)
    start = (local - _offset(form["zone"])).replace(tzinfo=UTC)
    length = timedelta(minutes=1) if second is None else timedelta(seconds=1)
    if fraction:
        length = timedelta(microseconds=10 ** max(6 - len(fraction), 0))
    return start, start + length


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError
    offset = timedelta(hours=hours, minutes=minutes)
    return offset if zone[0] == "+" else -offset
