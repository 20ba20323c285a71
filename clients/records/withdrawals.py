"""What a holder is told of intents that were withdrawn: an event of the coordinator's log, and remembered.

A withdrawal is taken with proof that it is in the log, under a checkpoint that the log signed. One that comes
with a call to cosign is of the history that this holder remembers. One that comes with a farewell is not held
against that history at once: the run is over then, and its checkpoint is kept as evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Connection

from ringfence.audit.checkpoint import Checkpoint
from ringfence.audit.events import Event, parse_event
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import leaf_hash, verify_inclusion
from ringfence.clients.records.participations import Participation
from ringfence.clients.records.witness_memory import WITHDRAWN, RememberedIntent, WitnessMemory
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.releases import Withdrawal, hashes_of

WITHDRAWAL = "release.withdrawn"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_leaf(leaf: bytes) -> str:
    """The hash of an event's leaf in the form of digests."""
    return "sha256:" + leaf_hash(leaf).hex()


def withdrawals_in(
    coordinator: PublicIdentity,
    known: Participation,
    origin: str,
    shown: Checkpoint,
    said: Sequence[Withdrawal],
) -> tuple[RememberedIntent, ...]:
    """The intents of a run that events under a checkpoint withdraw.

    Args:
        coordinator: whose log it is.
        known: the run.
        origin: name of the coordinator's log.
        shown: its checkpoint, verified.
        said: what the message carries.

    Raises:
        WaistError: RF-W453 an event withdraws nothing of this run.
        AuditError: it is no event, or not in the log.
    """
    found = []
    for each in said:
        leaf = each.leaf.encode()
        verify_inclusion(each.event, shown.size, leaf_hash(leaf), hashes_of(each.inclusion), shown.root)
        event = parse_event(leaf)
        model, intent, number = (event.public.get(name) for name in ("model", "intent", "entry"))
        if not (
            _withdraws(event, origin, known)
            and isinstance(model, str)
            and _DIGEST.fullmatch(model)
            and isinstance(intent, str)
            and _DIGEST.fullmatch(intent)
            and isinstance(number, int)
            and 0 <= number < each.event
        ):
            raise WaistError(
                "RF-W453",
                N_("The coordinator shows an event as a withdrawal that withdraws no intent of this run."),
            )
        found.append(
            RememberedIntent(
                coordinator=coordinator.hex,
                study=known.study,
                run=known.run,
                leaf=intent,
                model=model,
                event=number,
                state=WITHDRAWN,
            )
        )
    return tuple(found)


def keep_withdrawals(
    memory: WitnessMemory,
    log: AuditLog,
    withdrawn: Sequence[RememberedIntent],
    note: str,
    connection: Connection,
) -> None:
    """Remember withdrawals; each that is news is an event, in the caller's transaction.

    Raises:
        WaistError: RF-W452.
    """
    for each in withdrawn:
        if memory.withdraw(connection, each):
            log.record(
                "withdrawal.witnessed",
                "allow",
                resource=f"study:{each.study}",
                public={"run": each.run, "model": each.model, "intent": each.leaf},
                private={"coordinator_checkpoint": note[:4096]},
                connection=connection,
            )


def _withdraws(event: Event, origin: str, known: Participation) -> bool:
    return (
        event.action == WITHDRAWAL
        and event.outcome == "allow"
        and event.source.rpartition("#")[0] == origin
        and event.resource == f"study:{known.study}"
        and event.public.get("run") == known.run
    )
