"""Releases as a coordinator would show them: intents in its log, cosigned with the holders' keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kits.parties import Parties
from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.witness import cosign_body
from ringfence.privacy.protocol.control import Finish
from ringfence.privacy.protocol.releases import Cosignature, ReleaseProof, WitnessCall, proof_of

MODEL = "sha256:" + "5a" * 32
STAMP = 1_800_000_000


def intended(parties: Parties, model: str = MODEL, **changes: Any) -> int:
    """The number of an intent's event in the coordinator's log; `changes` of what is recorded."""
    federation = parties.federation
    told = {"model": model, "run": federation.opened.run, "holders": ["bank"]} | changes.pop("public", {})
    fields = {"action": "release.intended", "outcome": "allow"} | changes
    resource = fields.pop("resource", f"study:{federation.opened.digest}")
    return federation.coordinator.log.record(
        fields["action"], fields["outcome"], resource=resource, public=told
    )


def witness_call(parties: Parties, event: int, *, since: int = 0, log: Any = None) -> WitnessCall:
    """A call to cosign the coordinator's log as it is now, or another log in its place."""
    log = log or parties.federation.coordinator.log
    note = log.checkpoint()
    size = read_unverified(note).size
    return WitnessCall(
        checkpoint=note.decode(),
        since=since,
        proof=proof_of(log.consistency(since, size)) if since else (),
        event=event,
        leaf=next(log.events(event, stop=event + 1)).leaf.decode(),
        inclusion=proof_of(log.inclusion(event, size)),
    )


def cosigned(parties: Parties, note: str, names: Iterable[str] | None = None) -> tuple[Cosignature, ...]:
    """Cosignatures of holders, all of the study by default."""
    body = read_unverified(note.encode()).body().encode()
    return tuple(
        Cosignature(
            holder=name,
            time=STAMP,
            signature=cosign_body(body, signer=parties.holders[name].identity, stamp=STAMP).hex(),
        )
        for name in (names if names is not None else sorted(parties.holders))
    )


def proven(parties: Parties, event: int, names: Iterable[str] | None = None) -> ReleaseProof:
    """The proof that a release was intended and cosigned."""
    call = witness_call(parties, event)
    return ReleaseProof(
        checkpoint=call.checkpoint,
        cosignatures=cosigned(parties, call.checkpoint, names),
        event=event,
        leaf=call.leaf,
        inclusion=call.inclusion,
    )


def ending(parties: Parties, model: str | None = MODEL, *, proof: ReleaseProof | None = None) -> Finish:
    """A farewell as the coordinator says it; its log has gone on since holders cosigned."""
    log = parties.federation.coordinator.log
    if model is None:
        return Finish(model=None, release=None, checkpoint=log.checkpoint().decode(), proof=())
    proof = proof or proven(parties, intended(parties, model))
    log.record("key.created", "allow", resource="key:2")
    note = log.checkpoint()
    cosigned_size, size = read_unverified(proof.checkpoint.encode()).size, read_unverified(note).size
    nodes = proof_of(log.consistency(cosigned_size, size))
    return Finish(model=model, release=proof, checkpoint=note.decode(), proof=nodes)
