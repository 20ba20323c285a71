"""The holder's own logs: which events mean that something left, and whether all are as written."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Engine

from ringfence.audit import store
from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import AuditError, LogError
from ringfence.audit.events import LoggedEvent, open_event, parse_event
from ringfence.audit.export import PAGE
from ringfence.audit.listing import Filter, newest
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import Frontier, leaf_hash, verify_inclusion
from ringfence.clients.home import Home
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, RingfenceError, UsageError

SENT = frozenset(
    {"waist.send", "study.joined", "export.released", "log.exported", "event.opened", "contract.declared"}
)
"""Events under which something left the house: masked sums, joins, released artefacts, parts of this log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One of a home's logs.

    Attributes:
        name: of its federation; empty for the house's own.
        log: it.
    """

    name: str
    log: AuditLog


def chosen_logs(
    home: Home, federation: str | None, house: bool, passphrases: Passphrases | None = None
) -> list[Chosen]:
    """The logs that a command is about: one that was named, or all of the home, the house's first.

    Args:
        home: the holder's.
        federation: name of a federation, or None.
        house: the house's own alone.
        passphrases: to open the logs' secret keys; None opens the public halves.

    Raises:
        UsageError: RF-U727 both were named, RF-U722 there is no such federation.
    """
    if federation is not None:
        if house:
            raise UsageError("RF-U727", N_("Name one log: --federation NAME or --house, not both."))
        return [Chosen(name=federation, log=home.of(home.settings.federation(federation), passphrases).log)]
    own = [Chosen(name="", log=home.house)]
    if house:
        return own
    belongs = home.settings.config.federation
    return own + [Chosen(name=each.name, log=home.of(each, passphrases).log) for each in belongs]


def newest_of(logs: Sequence[Chosen], wanted: Filter, limit: int | None) -> list[tuple[Chosen, LoggedEvent]]:
    """The newest events of several logs that are wanted, newest first by the time that each says.

    Raises:
        AuditUsageError: there are none, and there is no such type or group.
    """
    found = [[(each, logged) for logged in newest(each.log, wanted, limit)] for each in logs]
    merged = heapq.merge(*found, key=lambda pair: pair[1].event.time, reverse=True)
    return list(islice(merged, limit))


def event_asked(logs: Sequence[Chosen], number: str) -> tuple[AuditLog, int]:
    """The log and the number in it that a person means by `17` or `city/17`.

    Raises:
        UsageError: RF-U728 it is no number of an event.
    """
    name, _slash, digits = number.rpartition("/")
    named = [each.log for each in logs if each.name == name] or [each.log for each in logs if len(logs) == 1]
    if not named or not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        raise UsageError(
            "RF-U728",
            N_('"{number}" is no number of an event; the list shows them, such as 17 or city/17.'),
            number=number,
        )
    return named[0], int(digits)


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
        last = store.last_checkpoint(connection, log.origin, log.number)
        signed = None if last is None else verify_checkpoint(last[2], [log.verifier])
    tree, following = Frontier(), dict[str, int]()
    size, erased, kept = log.size, 0, b""
    for seq, leaf, kept in store.read_leaves(engine, 0, size, None, None, PAGE, log.number):
        if seq != tree.size:
            raise _fault("RF-U420", N_("Event {seq} is missing from the log."), tree.size)
        if not isinstance(leaf, bytes) or leaf_hash(leaf) != kept:  # SQLite would hold text there too
            raise _fault("RF-U421", N_("Event {seq} was changed after it was written."), seq)
        event = parse_event(leaf)
        erased += _check_private(engine, log, seq, leaf)
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


def _check_private(engine: Engine, log: AuditLog, seq: int, leaf: bytes) -> int:
    """Check that the private part is the committed one; 1 when it was erased, 0 otherwise."""
    try:
        with store.reading(engine) as connection:
            _, salt, body = store.read_private_part(connection, seq, log.number)
        open_event(leaf, salt, body)
    except LogError:
        return 1
    except AuditError as error:
        raise _fault(
            "RF-U423", N_("The private part of event {seq} was changed after it was written."), seq
        ) from error
    return 0


def _fault(code: str, template: str, seq: int) -> RingfenceError:
    return RingfenceError(code, template, seq=seq)
