"""The stored rows of a log, checked from the first event to the last within a transaction of the caller's."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import N_, LogError
from ringfence.audit.events import open_event
from ringfence.audit.merkle import Frontier, leaf_hash
from ringfence.audit.note import Verifier
from ringfence.audit.store import event, first_row, head, last_checkpoint, private, rows_in


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
    chosen = select(head.c.id, head.c.size, head.c.edge).where(head.c.origin == verifier.name)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise LogError(
            "RF-B615",
            N_("The store holds another log than {origin}; expected that of this home."),
            origin=verifier.name,
        )
    last = last_checkpoint(connection, verifier.name, row.id)
    signed = None if last is None else verify_checkpoint(last[2], [verifier])
    tree = Frontier()
    query = (
        select(event.c.seq, event.c.leaf, event.c.closed, private.c.salt, private.c.body)
        .join_from(event, private, private.c.seq == event.c.seq, isouter=True)
        .where(rows_in(row.id))
        .order_by(event.c.seq)
        .execution_options(yield_per=1000)
    )
    with connection.execute(query) as rows:
        for at, leaf, closed, salt, body in rows:
            seq = at - first_row(row.id)
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
