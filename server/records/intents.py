"""What a run means to release, and under whose eyes it was: kept with the run, in the coordinator's store.

Invariants:
    The intent is durable, with its event, before any holder is asked to cosign; the proof is durable with the
    release itself.
    Of a run one intent stands; the others were withdrawn, each by an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    and_,
    insert,
    select,
    update,
)

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.log import AuditLog
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.protocol.releases import ReleaseProof, Withdrawal, proof_of
from ringfence.privacy.wire.fields import canonical, parse_canonical
from ringfence.server.coordinator import Coordinator

METADATA = MetaData()
RELEASES = Table(
    "study_releases",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("model", String(71), nullable=False),
    Column("intended", String(40), nullable=False),
    Column("proof", Text, nullable=False),
    Column("withdrawn", BigInteger, nullable=False),
)
_STANDS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIntent:
    """What a run means to release.

    Attributes:
        model: digest of what is released.
        event: number of the event that says so.
        since: the moment from which holders are waited for, UTC.
        proof: under whose eyes it was released; None before.
    """

    model: str
    event: int
    since: datetime
    proof: ReleaseProof | None = None


def keep_intent(connection: Connection, run: str, intent: KeptIntent) -> None:
    """Keep an intent, in the transaction of its event."""
    connection.execute(
        insert(RELEASES).values(
            run=run,
            model=intent.model,
            event=intent.event,
            intended=intent.since.isoformat(),
            proof="",
            withdrawn=_STANDS,
        )
    )


def keep_withdrawn(connection: Connection, run: str, event: int) -> None:
    """Keep that the run's intent is withdrawn, by the event of that number, in the event's transaction."""
    connection.execute(update(RELEASES).where(_standing(run)).values(withdrawn=event))


def read_withdrawn(connection: Connection, run: str) -> tuple[int, ...]:
    """Numbers of the events that withdrew intents of a run."""
    query = select(RELEASES.c.withdrawn).where(RELEASES.c.run == run, RELEASES.c.withdrawn != _STANDS)
    return tuple(connection.scalars(query.order_by(RELEASES.c.withdrawn)))


def keep_proof(connection: Connection, run: str, proof: ReleaseProof) -> None:
    """Keep under whose eyes it is released, in the transaction of the release."""
    text = canonical(proof.to_json()).decode()
    connection.execute(update(RELEASES).where(_standing(run)).values(proof=text))


def read_intent(connection: Connection, run: str) -> KeptIntent | None:
    """The intent of a run that stands, or None."""
    row = connection.execute(select(RELEASES).where(_standing(run))).one_or_none()
    if row is None:
        return None
    proof = ReleaseProof.from_json(parse_canonical(row.proof.encode())) if row.proof else None
    return KeptIntent(
        model=row.model, event=row.event, since=datetime.fromisoformat(row.intended), proof=proof
    )


def _standing(run: str) -> ColumnElement[bool]:
    return and_(RELEASES.c.run == run, RELEASES.c.withdrawn == _STANDS)


def withdrawals(log: AuditLog, events: Sequence[int], size: int) -> tuple[Withdrawal, ...]:
    """What holders are shown of withdrawals, under the checkpoint of so many events."""
    return tuple(
        Withdrawal(
            event=event,
            leaf=next(log.events(event, stop=event + 1)).leaf.decode(),
            inclusion=proof_of(log.inclusion(event, size)),
        )
        for event in events
    )


def farewell(
    coordinator: Coordinator, intent: KeptIntent | None, model: str | None, withdrawn: Sequence[int]
) -> Finish:
    """The end as the holders are told it, with the proof of what was released, and of what was withdrawn."""
    note = coordinator.log.checkpoint()
    now = read_unverified(note)
    gone = withdrawals(coordinator.log, withdrawn, now.size)
    proof = intent.proof if model is not None and intent is not None else None
    if proof is None:
        return Finish(model=model, release=None, checkpoint=note.decode(), proof=(), withdrawn=gone)
    cosigned = read_unverified(proof.checkpoint.encode())
    nodes = proof_of(coordinator.log.consistency(cosigned.size, now.size))
    return Finish(model=model, release=proof, checkpoint=note.decode(), proof=nodes, withdrawn=gone)
