"""The stored rows of a log, checked from the first event to the last within a transaction of the caller's."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import N_, LogError
from ringfence.audit.events import open_event
from ringfence.audit.merkle import Frontier, leaf_hash
from ringfence.audit.note import Verifier
from ringfence.audit.store import event, head, last_checkpoint, private


def verify_rows(connection: Connection, verifier: Verifier) -> int:
    """Compare every event with the tree, its private part and the last signed checkpoint; how many there are.

    Args:
        connection: an open transaction on the log's store.
        verifier: the log's name and key.

    Raises:
        LogError: RF-B615 another log's rows, RF-B616 an event is missing or was changed, RF-B617 the log is
            not the one that was signed.
        AuditError: a private part or the checkpoint's signature does not hold.
    """
    row = connection.execute(select(head.c.origin, head.c.size, head.c.edge)).one_or_none()
    if row is None or row.origin != verifier.name:
        raise LogError(
            "RF-B615",
            N_("The store holds another log than {origin}; expected that of this home."),
            origin=verifier.name,
        )
    last = last_checkpoint(connection, verifier.name)
    signed = None if last is None else verify_checkpoint(last[2], [verifier])
    tree = Frontier()
    query = (
        select(event.c.seq, event.c.leaf, event.c.closed, private.c.salt, private.c.body)
        .join_from(event, private, private.c.seq == event.c.seq, isouter=True)
        .order_by(event.c.seq)
        .execution_options(yield_per=1000)
    )
    with connection.execute(query) as rows:
        for seq, leaf, closed, salt, body in rows:
            whole = isinstance(leaf, bytes) and b"".join(tree.append(leaf_hash(leaf))) == closed
            if seq != tree.size - 1 or not whole:
                raise LogError("RF-B616", N_("Event {seq} of the log is missing or was changed."), seq=seq)
            if salt is not None:
                open_event(leaf, salt, body)
            if signed is not None and tree.size == signed.size and tree.root() != signed.root:
                raise _not_signed(signed.size)
    if (tree.size, tree.pack()) != (row.size, row.edge) or (signed is not None and signed.size > tree.size):
        raise _not_signed(row.size)
    return tree.size


def _not_signed(size: int) -> LogError:
    return LogError(
        "RF-B617", N_("The log's events do not lead to the state of {size} events that it names."), size=size
    )
