"""What a run means to release, and under whose eyes it was: kept with the run, in the coordinator's store.

Invariant: the intent is durable, with its event, before any holder is asked to cosign; the proof is durable
with the release itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, Text, insert, select, update

from ringfence.audit.checkpoint import read_unverified
from ringfence.privacy.protocol.control import Finish
from ringfence.privacy.protocol.releases import ReleaseProof, proof_of
from ringfence.privacy.wire.fields import canonical, parse_canonical
from ringfence.server.coordinator import Coordinator

METADATA = MetaData()
RELEASES = Table(
    "study_releases",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("model", String(71), nullable=False),
    Column("event", BigInteger, nullable=False),
    Column("intended", String(40), nullable=False),
    Column("proof", Text, nullable=False),
)


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
            run=run, model=intent.model, event=intent.event, intended=intent.since.isoformat(), proof=""
        )
    )


def keep_proof(connection: Connection, run: str, proof: ReleaseProof) -> None:
    """Keep under whose eyes it is released, in the transaction of the release."""
    text = canonical(proof.to_json()).decode()
    connection.execute(update(RELEASES).where(RELEASES.c.run == run).values(proof=text))


def read_intent(connection: Connection, run: str) -> KeptIntent | None:
    """The intent of a run, or None before there is one."""
    row = connection.execute(select(RELEASES).where(RELEASES.c.run == run)).one_or_none()
    if row is None:
        return None
    proof = ReleaseProof.from_json(parse_canonical(row.proof.encode())) if row.proof else None
    return KeptIntent(
        model=row.model, event=row.event, since=datetime.fromisoformat(row.intended), proof=proof
    )


def farewell(coordinator: Coordinator, intent: KeptIntent | None, model: str | None) -> Finish:
    """The end as the holders are told it, with the proof of what was released."""
    note = coordinator.log.checkpoint()
    proof = intent.proof if model is not None and intent is not None else None
    if proof is None:
        return Finish(model=model, release=None, checkpoint=note.decode(), proof=())
    cosigned, now = read_unverified(proof.checkpoint.encode()), read_unverified(note)
    nodes = proof_of(coordinator.log.consistency(cosigned.size, now.size))
    return Finish(model=model, release=proof, checkpoint=note.decode(), proof=nodes)
