"""A log that goes on from an older copy: what of it was lost, in its own log, and at those who had seen more.

A store that is restored from a backup holds less than its log has signed and others have anchored. Whoever
anchors refuses such a log, as one with two histories. Two people of its house can say that it goes on all the
same: an event of the log names the last state that both histories share and every state that was lost. A
party that anchored lost states takes the new history by decision of two people of its own, and keeps both.

Invariants:
    A lost state is known by size and root alone, for ever; nothing brings its events back.
    A state that the log still has is not lost. One before a state that it has is another history, no loss.
    Nobody is taken along: each party that anchored a lost state accepts by itself, as an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, func, select, update

from ringfence.audit import store
from ringfence.audit.canonical import Json
from ringfence.audit.checkpoint import Checkpoint, signed_checkpoint, verify_checkpoint
from ringfence.audit.errors import N_, LogError
from ringfence.audit.events import parse_event
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import EMPTY_ROOT, leaf_hash, root, verify_consistency, verify_inclusion
from ringfence.audit.note import Verifier
from ringfence.audit.verification.keychain import ACTION, KeyChain
from ringfence.audit.verification.losses import (
    ACCEPTED,
    MOST_LOST,
    RECOVERED,
    LogState,
    Loss,
    checked_loss,
    read_recovered,
)


def find_loss(log: AuditLog, engine: Engine, notes: Sequence[bytes]) -> tuple[Loss, tuple[int, ...]]:
    """What a log lost of the states that others were shown, and the sizes of those that it still has.

    Args:
        log: the log as it is now.
        engine: its store.
        notes: checkpoints that this log signed, as others kept them, with the key in force or one before it.

    Raises:
        NoteError: one is not this log's.
        LogError: as `checked_loss`.
    """
    states = {LogState(size=each.size, root=each.root) for each in _own(log, notes)}
    kept, lost, held = LogState(size=0, root=EMPTY_ROOT), list[LogState](), list[int]()
    with store.reading(engine) as connection:
        present = store.size(connection, log.number)
        for state in sorted(states):
            if state.size <= present and _root(connection, log, state.size) == state.root:
                kept = max(kept, state)
                held.append(state.size)
            else:
                lost.append(state)
    return checked_loss(Loss(kept=kept, lost=tuple(lost))), tuple(held)


def _own(log: AuditLog, notes: Sequence[bytes]) -> list[Checkpoint]:
    """The checkpoints, signed by any key of the log: a lost history may have changed it at another size."""
    chain = KeyChain()
    for each in log.events(action=ACTION):
        chain.take(each.seq, each.event)
    keys = tuple(dict.fromkeys((*chain.keys, log.verifier)))
    return [signed_checkpoint(note, keys)[0] for note in notes]


def _root(connection: Connection, log: AuditLog, size: int) -> bytes:
    return store.with_nodes(connection, lambda node: root(size, node), log.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who decided, for the event.

    Attributes:
        statement: digest of what two people of the log's house signed.
        approvals: fingerprints of the two who decide here.
        private: what they signed, and why.
        runs: of which something was witnessed in the lost part.
    """

    statement: str
    approvals: tuple[str, ...]
    private: Mapping[str, Json]
    runs: tuple[str, ...] = ()


def record_recovery(log: AuditLog, engine: Engine, loss: Loss, told: Told) -> int:
    """Write into a log that it goes on from an older copy; the event's number."""
    with engine.begin() as connection:
        return log.record(
            RECOVERED,
            "allow",
            resource=f"log:{log.origin}",
            public=loss.public(told.statement, told.approvals),
            private=told.private,
            connection=connection,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """The continued log, for those who had seen more.

    Attributes:
        note: a signed checkpoint that holds the event of the recovery.
        event: number of that event.
        leaf: its bytes.
        inclusion: proof that it is in the log.
        proofs: that the checkpoint continues a state of so many events, by size.
    """

    note: bytes
    event: int
    leaf: bytes
    inclusion: Sequence[bytes]
    proofs: Mapping[int, Sequence[bytes]]


def continued(log: AuditLog, event: int, held: Sequence[int]) -> Continued:
    """Show the log as it goes on."""
    note = log.checkpoint()
    size = verify_checkpoint(note, [log.verifier]).size
    return Continued(
        note=note,
        event=event,
        leaf=next(log.events(event, stop=event + 1)).leaf,
        inclusion=log.inclusion(event, size),
        proofs={state: log.consistency(state, size) for state in held if state},
    )


def remembered(log: AuditLog, engine: Engine, origin: str) -> list[bytes]:
    """The checkpoints of another log that a log anchors and that count, oldest first, the newest 200."""
    with store.reading(engine) as connection:
        return [note for _size, note in store.read_checkpoints(connection, origin, MOST_LOST, log.number)]


def accept_recovery(
    log: AuditLog, connection: Connection, shown: Continued, whose: tuple[Verifier, Loss], told: Told
) -> Checkpoint:
    """Take another log's new history in place of the lost one, in the caller's transaction; both are kept.

    Args:
        log: of the party that accepts.
        connection: an open transaction on its store.
        shown: the other log.
        whose: the key of that log, as it is known here, and what the statement says it lost.
        told: who decided.

    Raises:
        NoteError: the checkpoint is not that log's.
        LogError: RF-A268 what is anchored here is not what is said to be lost, or what was kept is not shown;
            RF-A269 the log itself says something else.
        ProofError: the event is not in the log, or the log does not continue what was kept.
    """
    verifier, loss = whose[0], checked_loss(whose[1])
    new = verify_checkpoint(shown.note, [verifier])
    _require_event(new, loss, shown, told)
    store.lock(connection, log.number)
    rows = store.checkpoint
    anchored = and_(rows.c.log == log.number, rows.c.origin == new.origin)
    here = [
        LogState(size=row.size, root=row.root)
        for row in connection.execute(select(rows.c.size, rows.c.root).where(anchored).order_by(rows.c.size))
    ]
    gone = [state for state in here if state.size > loss.kept.size]
    if not gone or not set(gone) <= set(loss.lost):
        raise _of_another(new.origin, here[-1].size if here else 0)
    base = max((state for state in here if state.size <= loss.kept.size), default=None)
    _require_continued(new, loss, base, shown.proofs)
    connection.execute(
        update(rows)
        .where(anchored, rows.c.size > loss.kept.size)
        .values(origin=_lost_name(connection, log.number, new.origin))
    )
    store.keep_checkpoint(connection, new.origin, new.size, new.root, shown.note, log.number)
    _record_acceptance(log, connection, new, loss, told)
    return new


def _record_acceptance(
    log: AuditLog, connection: Connection, new: Checkpoint, loss: Loss, told: Told
) -> None:
    """Two events: what was lost and who accepts it, and the anchor that counts from now on."""
    resource = f"log:{new.origin}"
    public = loss.public(told.statement, told.approvals)
    public |= {"log": new.origin, "runs": list(told.runs[:MOST_LOST])}
    log.record(
        ACCEPTED, "allow", resource=resource, public=public, private=told.private, connection=connection
    )
    log.record(
        "checkpoint.anchored",
        "allow",
        resource=resource,
        public={"log": new.origin, "size": new.size, "root": new.root.hex()},
        connection=connection,
    )


def _require_event(new: Checkpoint, loss: Loss, shown: Continued, told: Told) -> None:
    """The continued log says itself what it lost, by this very statement.

    Raises:
        LogError: RF-A269.
        ProofError: the event is not in the log.
    """
    verify_inclusion(shown.event, new.size, leaf_hash(shown.leaf), shown.inclusion, new.root)
    event = parse_event(shown.leaf)
    said = (event.action, event.outcome, event.source.rpartition("#")[0], event.public.get("statement"))
    if said != (RECOVERED, "allow", new.origin, told.statement) or read_recovered(event, shown.event) != loss:
        raise LogError(
            "RF-A269",
            N_("The log {origin} does not say itself what the recovery says of it; ask for a whole one."),
            origin=new.origin,
        )


def _require_continued(
    new: Checkpoint, loss: Loss, base: LogState | None, proofs: Mapping[int, Sequence[bytes]]
) -> None:
    """The new history has the state that was kept, and the last one that is anchored here before it."""
    for state in {loss.kept, base or loss.kept}:
        if state.size == 0:
            continue
        if state.size not in proofs or (state.size == loss.kept.size and state.root != loss.kept.root):
            raise _of_another(new.origin, state.size)
        verify_consistency(state.size, new.size, state.root, new.root, proofs[state.size])


def _of_another(origin: str, count: int) -> LogError:
    return LogError(
        "RF-A268",
        N_(
            "The recovery of {origin} does not name what is anchored here, {count} events at last: it is of "
            "another loss, or was taken before. Ask for one that was made with these checkpoints."
        ),
        origin=origin,
        count=count,
    )


def _lost_name(connection: Connection, number: int, origin: str) -> str:
    """Under what the lost checkpoints are kept; no log can have this name, since it holds spaces."""
    names = store.checkpoint.c.origin
    before = connection.scalar(
        select(func.count(names.distinct())).where(
            store.checkpoint.c.log == number, names.startswith(f"{origin} lost ", autoescape=True)
        )
    )
    return f"{origin} lost {int(before or 0) + 1}"
