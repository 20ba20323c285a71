"""Where a holder's log and ledger stand, in the form in which its messages say so."""

from __future__ import annotations

from sqlalchemy import Connection

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.merkle import verify_consistency
from ringfence.audit.store import frontier
from ringfence.clients.holder import Holder
from ringfence.privacy.protocol.releases import Proof, proof_of
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, sign_head


def log_checkpoint(holder: Holder) -> tuple[str, LogPosition]:
    """The log's signed checkpoint as of now, and the position it claims."""
    note = holder.log.checkpoint()
    claimed = read_unverified(note)
    return note.decode(), LogPosition(size=claimed.size, root="sha256:" + claimed.root.hex())


def commit_house(holder: Holder, connection: Connection) -> None:
    """Record in the federation's log where the house's own log stands, under a fresh salt.

    The public part is empty: whoever is shown this log learns neither size nor root of the other one. An
    auditor to whom the event is opened finds both, and looks whether the house's log leads through them.
    """
    if holder.house.number == holder.log.number:
        return
    edge = frontier(connection, holder.house.number)
    holder.log.record(
        "house.committed",
        "allow",
        resource=f"log:{holder.log.origin}",
        private={"log": holder.house.origin, "size": edge.size, "root": edge.root().hex()},
        connection=connection,
    )


def log_proof(holder: Holder, since: LogPosition | None) -> Proof:
    """Consistency proof from a position another party knows to the log's newest checkpoint.

    Raises:
        ProofError: the position is beyond this log, or this log had another root at that size.
    """
    if since is None or since.size == 0:
        return ()
    now = read_unverified(holder.log.checkpoint())
    nodes = holder.log.consistency(since.size, now.size)
    verify_consistency(
        since.size, now.size, bytes.fromhex(since.root.removeprefix("sha256:")), now.root, nodes
    )
    return proof_of(nodes)


def ledger_head(holder: Holder, connection: Connection | None = None) -> LedgerHead:
    """The ledger's head as it is shown and signed, afresh each time.

    Args:
        holder: whose ledger.
        connection: an open transaction to read in, so that its own entries count.
    """
    mark = holder.ledger.mark(holder.marks, connection)
    return sign_head(holder.identity, mark=mark, log=holder.log.origin)
