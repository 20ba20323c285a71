"""The holder's own log as its people read it: newest first, by filters; what was sent; whether it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Engine

from ringfence.audit import store
from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import AuditError, LogError
from ringfence.audit.events import LoggedEvent, open_event, parse_event
from ringfence.audit.export import PAGE
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import Frontier, leaf_hash, verify_inclusion
from ringfence.privacy.errors import N_, RingfenceError

SENT = frozenset({"waist.send", "study.joined", "export.released", "log.exported", "event.opened"})
"""Events under which something left the house: masked sums, joins, released artefacts, parts of this log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are wanted; what is None or empty does not restrict.

    Attributes:
        action: a type, or a group such as `budget.`.
        outcome: allow, deny or error.
        resource: what it was done to; a part of it suffices.
        since, until: times as events write them, or a beginning of one.
        actions: types to choose from.
    """

    action: str | None = None
    outcome: str | None = None
    resource: str | None = None
    since: str | None = None
    until: str | None = None
    actions: frozenset[str] = frozenset()

    def holds(self, logged: LoggedEvent) -> bool:
        """Whether an event is wanted."""
        event = logged.event
        of_kind = self.action is None or event.action == self.action
        in_group = self.action is not None and self.action.endswith(".") and event.action.startswith(self.action)
        return (
            (of_kind or in_group)
            and (not self.actions or event.action in self.actions)
            and (self.outcome is None or event.outcome == self.outcome)
            and (self.resource is None or self.resource in event.resource)
            and (self.since is None or event.time >= self.since)
            and (self.until is None or event.time[: len(self.until)] <= self.until)
        )


def newest(log: AuditLog, wanted: Filter, limit: int | None) -> list[LoggedEvent]:
    """The newest events that are wanted, at most `limit`, newest first."""
    return list(islice((logged for logged in _backwards(log) if wanted.holds(logged)), limit))


def _backwards(log: AuditLog) -> Iterator[LoggedEvent]:
    for stop in range(log.size, 0, -PAGE):
        yield from reversed(list(log.events(max(0, stop - PAGE), stop=stop)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A log that was read from end to end.

    Attributes:
        size: events read.
        root: their root, hex.
        signed: events under the last signed checkpoint; 0 when none was signed yet.
        erased: events whose private part is gone; their public part still holds.
    """

    size: int
    root: str
    signed: int
    erased: int


def verify_log(log: AuditLog, engine: Engine) -> Verified:
    """Read every event and compare it with the tree, the last signed checkpoint and its private part.

    Raises:
        RingfenceError: RF-U420 to RF-U424, naming the first event that is not as it was written.
        AuditError: the tree or the checkpoint does not hold.
    """
    log.check()
    with store.reading(engine) as connection:
        last = store.last_checkpoint(connection, log.origin)
        signed = None if last is None else verify_checkpoint(last[2], [log.verifier])
    tree, following = Frontier(), dict[str, int]()
    size, erased, kept = log.size, 0, b""
    for seq, leaf, kept in store.read_leaves(engine, 0, size, None, None, PAGE):
        if seq != tree.size:
            raise _fault("RF-U420", N_("Event {seq} is missing from the log."), tree.size)
        if not isinstance(leaf, bytes) or leaf_hash(leaf) != kept:  # SQLite would hold text there too
            raise _fault("RF-U421", N_("Event {seq} was changed after it was written."), seq)
        event = parse_event(leaf)
        erased += _check_private(engine, seq, leaf)
        if event.sequence != following.get(event.source, 0):
            raise _fault("RF-U424", N_("Before event {seq} an event of the same producer is missing."), seq)
        following[event.source] = event.sequence + 1
        tree.append(kept)
        if signed is not None and tree.size == signed.size and tree.root() != signed.root:
            raise _fault("RF-U422", N_("An event up to number {seq} is not the one that was signed."), seq)
    if size:
        verify_inclusion(size - 1, size, kept, log.inclusion(size - 1, size), tree.root())
    return Verified(
        size=size, root=tree.root().hex(), signed=0 if signed is None else signed.size, erased=erased
    )


def _check_private(engine: Engine, seq: int, leaf: bytes) -> int:
    """Check that the private part is the committed one; 1 when it was erased, 0 otherwise."""
    try:
        with store.reading(engine) as connection:
            _, salt, body = store.read_private(connection, seq)
        open_event(leaf, salt, body)
    except LogError:
        return 1
    except AuditError as error:
        raise _fault("RF-U423", N_("The private part of event {seq} was changed after it was written."), seq) from error
    return 0


def _fault(code: str, template: str, seq: int) -> RingfenceError:
    return RingfenceError(code, template, seq=seq)
