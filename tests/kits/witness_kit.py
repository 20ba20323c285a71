"""Releases as a coordinator would show them: intents in its log, cosigned with the holders' keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kits.asking import Asking
from kits.parties import Parties
from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.events import parse_event
from ringfence.audit.merkle import leaf_hash
from ringfence.audit.witness import cosign_body
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.protocol.releases import (
    Cosignature,
    Cosigned,
    ReleaseProof,
    WitnessCall,
    WitnessedIntent,
    proof_of,
)

MODEL = "sha256:" + "5a" * 32
OTHER = "sha256:" + "6b" * 32
ORIGIN = "ringfence.simulation/coordinator"
STAMP = 1_800_000_000


def joined(folder: Path, **changes: Any) -> Asking:
    asking = Asking.of(folder, **changes)
    assert asking.offered() == "join"
    return asking


def answered(asking: Asking, call: WitnessCall) -> Cosigned:
    kind, reply = asking.ask(call)
    assert kind == "cosigned", asking.parties.said["bank"]
    found: Cosigned = asking.read(Cosigned, reply)
    return found


def refused(asking: Asking, message: WitnessCall | Finish, code: str) -> None:
    size = asking.bank.log.anchored(ORIGIN)
    assert asking.ask(message)[0] == "unavailable"
    asking.refused(code, "study.refused")
    assert asking.bank.log.anchored(ORIGIN) == size


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


def stated(parties: Parties, call: WitnessCall) -> WitnessedIntent:
    """The intent of a call, as holders state that they witnessed it."""
    leaf = call.leaf.encode()
    return WitnessedIntent(
        study=parties.federation.opened.digest,
        run=parties.federation.opened.run,
        model=str(parse_event(leaf).public["model"]),
        event=call.event,
        leaf="sha256:" + leaf_hash(leaf).hex(),
        checkpoint=read_unverified(call.checkpoint.encode()).body(),
    )


def cosigned(
    parties: Parties, call: WitnessCall, names: Iterable[str] | None = None
) -> tuple[Cosignature, ...]:
    """Cosignatures of holders, all of the study by default, with statements on the call's intent."""
    body = read_unverified(call.checkpoint.encode()).body().encode()
    message = stated(parties, call).message()
    return tuple(
        Cosignature(
            holder=name,
            time=STAMP,
            signature=cosign_body(body, signer=parties.holders[name].identity, stamp=STAMP).hex(),
            statement=parties.holders[name].identity.sign(message).hex(),
        )
        for name in (names if names is not None else sorted(parties.holders))
    )


def proven(parties: Parties, event: int, names: Iterable[str] | None = None) -> ReleaseProof:
    """The proof that a release was intended and cosigned."""
    call = witness_call(parties, event)
    return ReleaseProof(
        checkpoint=call.checkpoint,
        cosignatures=cosigned(parties, call, names),
        event=event,
        leaf=call.leaf,
        inclusion=call.inclusion,
    )


def withdrawn(parties: Parties, event: int, **changes: Any) -> int:
    """The number of the event by which the coordinator withdraws an intent."""
    log = parties.federation.coordinator.log
    logged = next(log.events(event, stop=event + 1))
    told = {
        "run": parties.federation.opened.run,
        "model": logged.event.public["model"],
        "intent": "sha256:" + leaf_hash(logged.leaf).hex(),
        "entry": event,
    }
    fields = {"action": "release.withdrawn", "outcome": "allow"} | changes
    told |= fields.pop("public", {})
    resource = fields.pop("resource", f"study:{parties.federation.opened.digest}")
    return log.record(fields["action"], fields["outcome"], resource=resource, public=told)


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
