"""This holder as a witness of a coordinator's log: it cosigns one history, and one release of a run.

Invariants:
    What is cosigned is anchored in this holder's own log first, in one transaction with the event that says
    so. A log that does not continue what was anchored is never cosigned; both checkpoints are kept as proof.
    The coordinator has one log: its name and key are fixed when it is cosigned first.
    Of a run one intent is witnessed at a time, by a statement that names it; remembered before that.
    A farewell that names a model is believed with its proof alone: a quorum of statements for this intent.
What is answered depends on logs and on no row.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringfence.audit.canonical import Json
from ringfence.audit.checkpoint import Checkpoint, read_unverified, verify_checkpoint
from ringfence.audit.errors import ProofError
from ringfence.audit.events import Event, parse_event
from ringfence.audit.guard import check_token
from ringfence.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from ringfence.audit.note import Verifier, parse_note
from ringfence.audit.store import last_checkpoint
from ringfence.audit.witness import WitnessKey, check_cosignature, cosign_body
from ringfence.clients.holder import Holder
from ringfence.clients.records.participations import Participation
from ringfence.clients.records.withdrawals import digest_leaf, keep_withdrawals, withdrawals_in
from ringfence.clients.records.witness_memory import RememberedIntent
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.protocol.releases import (
    Cosignature,
    Cosigned,
    ReleaseProof,
    WitnessCall,
    WitnessedIntent,
    hashes_of,
)

INTENT = "release.intended"
MOST_WITNESSED = 1000
"""Checkpoints that are cosigned for the release of one run: each is written down, and the disk is finite."""
_UNEVEN_CLOCKS = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a coordinator means to release, as an event of its log says it; verified by `intent_of`."""

    model: str
    leaf: str
    time: datetime

    def statement(self, known: Participation, event: int, shown: Checkpoint) -> bytes:
        """What a holder signs of it, under the checkpoint that it cosigns."""
        return WitnessedIntent(
            study=known.study,
            run=known.run,
            model=self.model,
            event=event,
            leaf=self.leaf,
            checkpoint=shown.body(),
        ).message()


def cosign(holder: Holder, known: Participation, call: WitnessCall) -> Cosigned:
    """Cosign the coordinator's log where it continues what is remembered of it, or say where that stands.

    Args:
        holder: the witness.
        known: the run, which it joined.
        call: what it is asked.

    Raises:
        WaistError: RF-W230 the log does not continue what was cosigned; RF-W231 the event is no intent to
            release this run; RF-W241 that ended, or asked too often; RF-W450 it is a second one, RF-W451 it
            was withdrawn; RF-W232, RF-W233, RF-W452.
        AuditError: the checkpoint, or the proof that the event is in it, does not verify.
    """
    log, shown = _shown(holder, known, call.checkpoint)
    intent = intent_of(known, log, shown, call)
    before = holder.log.anchored(log.name)
    stands = 0 if before is None else before.size
    if call.since != stands or shown.size < stands:
        return Cosigned(stands=stands, cosignature=None)
    withdrawn = withdrawals_in(holder.coordinator, known, log.name, shown, call.withdrawn)
    told = _told(holder, known, "release.witnessed")
    _require_open(known, len(told))
    public: dict[str, Json] = {
        "run": known.run,
        "model": intent.model,
        "intent": intent.leaf,
        "coordinator_log": log.name,
        "size": shown.size,
        "root": shown.root.hex(),
    }
    try:
        with holder.engine.begin() as connection:
            holder.participations.released(known.study, known.run, connection=connection)
            holder.log.anchor(call.checkpoint.encode(), log, hashes_of(call.proof), connection)
            keep_withdrawals(holder.witness, holder.log, withdrawn, call.checkpoint, connection)
            holder.witness.keep(connection, log=log, intent=_remembered(holder, known, call.event, intent))
            if not any(dict(event.public) == public for event in told):
                holder.log.record(
                    "release.witnessed",
                    "allow",
                    resource=f"study:{known.study}",
                    public=public,
                    connection=connection,
                )
    except ProofError:
        if before is None:
            raise
        raise _forked(holder, known, log, call.checkpoint) from None
    stamp = int(holder.clock().timestamp())
    return Cosigned(
        stands=shown.size,
        cosignature=Cosignature(
            holder=holder.name,
            time=stamp,
            signature=cosign_body(shown.body().encode(), signer=holder.identity, stamp=stamp).hex(),
            statement=holder.identity.sign(intent.statement(known, call.event, shown)).hex(),
        ),
    )


def _remembered(holder: Holder, known: Participation, event: int, intent: Intent) -> RememberedIntent:
    return RememberedIntent(
        coordinator=holder.coordinator.hex,
        study=known.study,
        run=known.run,
        leaf=intent.leaf,
        model=intent.model,
        event=event,
    )


def _require_open(known: Participation, times: int) -> None:
    """The run goes on, and its release was not cosigned too often.

    Raises:
        WaistError: RF-W241.
    """
    if known.ended or times >= MOST_WITNESSED:
        raise WaistError(
            "RF-W241",
            N_(
                "The run {run} ended here, or its release was cosigned {most} times; it is not cosigned "
                "further."
            ),
            run=known.run,
            most=MOST_WITNESSED,
        )


def check_farewell(holder: Holder, known: Participation, finish: Finish) -> str:
    """Check a farewell's checkpoint, and that a model it names was released as the study says.

    Returns:
        The name of the coordinator's log.

    Raises:
        WaistError: RF-W234 there is no proof, RF-W235 it is of another model, RF-W236 too few cosigned,
            RF-W451 the intent was withdrawn; RF-W233, RF-W450, RF-W452, RF-W453.
        AuditError: something in it does not verify.
    """
    log, shown = _shown(holder, known, finish.checkpoint)
    withdrawn = withdrawals_in(holder.coordinator, known, log.name, shown, finish.withdrawn)
    if finish.model is None:
        _keep_told(holder, withdrawn, finish)
        return log.name
    release = finish.release
    if release is None:
        raise WaistError(
            "RF-W234",
            N_(
                "The coordinator says that a model was released, and shows no cosignatures of it; it is not "
                "believed."
            ),
        )
    cosigned = verify_checkpoint(release.checkpoint.encode(), [log])
    intent = intent_of(known, log, cosigned, release)
    if intent.model != finish.model:
        raise WaistError(
            "RF-W235",
            N_(
                "The model that the coordinator says was released is another than the one that was witnessed."
            ),
        )
    _require_quorum(holder, known, cosigned, release, intent)
    nodes = hashes_of(finish.proof)
    verify_consistency(cosigned.size, shown.size, cosigned.root, shown.root, nodes)
    before = holder.log.anchored(log.name)
    if before is not None and before.size == cosigned.size and before.root != cosigned.root:
        raise _forked(holder, known, log, release.checkpoint)
    holder.witness.require_only(
        _remembered(holder, known, release.event, intent), (each.leaf for each in withdrawn)
    )
    if before is not None and before.size == cosigned.size:
        holder.log.anchor(finish.checkpoint.encode(), log, nodes)
    _keep_told(holder, withdrawn, finish)
    return log.name


def _keep_told(holder: Holder, withdrawn: Sequence[RememberedIntent], finish: Finish) -> None:
    """Remember what a farewell says is withdrawn."""
    if withdrawn:
        with holder.engine.begin() as connection:
            keep_withdrawals(holder.witness, holder.log, withdrawn, finish.checkpoint, connection)


def intent_of(
    known: Participation, log: Verifier, shown: Checkpoint, said: WitnessCall | ReleaseProof
) -> Intent:
    """The intent to release, shown to be an event of the log under the checkpoint.

    Raises:
        WaistError: RF-W231 the event says something else.
        AuditError: it is no event, or not in the log.
    """
    leaf = said.leaf.encode()
    verify_inclusion(said.event, shown.size, leaf_hash(leaf), hashes_of(said.inclusion), shown.root)
    event = parse_event(leaf)
    model = event.public.get("model")
    if not isinstance(model, str) or not _intends(event, log, known):
        raise WaistError(
            "RF-W231", N_("The coordinator asks to witness an event that is no intent to release this run.")
        )
    return Intent(model=model, leaf=digest_leaf(leaf), time=_moment(event))


def _intends(event: Event, log: Verifier, known: Participation) -> bool:
    return (
        event.action == INTENT
        and event.outcome == "allow"
        and event.source.rpartition("#")[0] == log.name
        and event.resource == f"study:{known.study}"
        and event.public.get("run") == known.run
    )


def _shown(holder: Holder, known: Participation, note: str) -> tuple[Verifier, Checkpoint]:
    """The coordinator's log and its checkpoint, once its signature holds and the log is the known one."""
    origin = check_token(read_unverified(note.encode()).origin, "coordinator_log")
    holder.witness.require_log(holder.coordinator, known.coordinator_log, origin)
    log = Verifier(name=origin, raw=known.coordinator_log.raw)
    return log, verify_checkpoint(note.encode(), [log])


def _require_quorum(
    holder: Holder, known: Participation, cosigned: Checkpoint, release: ReleaseProof, intent: Intent
) -> None:
    """Enough holders of the study cosigned the checkpoint and witnessed this very intent.

    Raises:
        WaistError: RF-W236.
        AuditError, KeyFault: a cosignature or a statement is not its holder's, or of another intent.
    """
    body, terms = cosigned.body().encode(), known.witnesses
    statement = intent.statement(known, release.event, cosigned)
    found = set[str]()
    for each in release.cosignatures:
        key = terms.keys.get(each.holder)
        if key is None:
            continue
        witness = WitnessKey(name=each.holder, raw=bytes.fromhex(key))
        check_cosignature(body, witness, stamp=each.time, signature=bytes.fromhex(each.signature))
        PublicIdentity(witness.raw).verify(bytes.fromhex(each.statement), statement)
        found.add(key)
    waits = _since(holder, known, intent) + timedelta(hours=terms.wait_hours) - _UNEVEN_CLOCKS
    needed = terms.floor if not terms.wait_hours or holder.clock() >= waits else terms.quorum
    if len(found) < needed:
        raise WaistError(
            "RF-W236",
            N_(
                "Holders that cosigned the release: {count}; by the signed study {needed} are needed at this "
                "moment."
            ),
            count=len(found),
            needed=needed,
        )


def _since(holder: Holder, known: Participation, intent: Intent) -> datetime:
    """From when the waiting time counts: as the intent says, but within what this holder's own log says.

    A run has no intent before it was joined, and one that was witnessed was there by then: a coordinator's
    clock that is behind, or set back, makes no waiting time shorter.
    """
    told = _told(holder, known, "release.witnessed")
    seen = [_moment(event) for event in told if event.public.get("intent") == intent.leaf][:1]
    joined = [_moment(event) for event in _told(holder, known, "study.joined")[:1]]
    return max([min([intent.time, *seen]), *joined])


def _told(holder: Holder, known: Participation, action: str) -> list[Event]:
    """What this holder's own log says of a run."""
    found = holder.log.events(action=action, resource=f"study:{known.study}")
    return [each.event for each in found if each.event.public.get("run") == known.run]


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event.time)


def _forked(holder: Holder, known: Participation, log: Verifier, note: str) -> WaistError:
    """The refusal of a log that does not continue what was cosigned; both are kept, once a run."""
    with holder.engine.begin() as connection:
        last = last_checkpoint(connection, log.name, holder.log.number)
        kept = b"" if last is None else last[2]
        if holder.witness.forked(connection, known.run):
            holder.log.record(
                "witness.refused",
                "deny",
                resource=f"log:{log.name}",
                public={"run": known.run, "reasons": ["RF-W230"]},
                private={"kept": _signed(kept, log), "shown": _signed(note.encode(), log)},
                connection=connection,
            )
    return WaistError(
        "RF-W230",
        N_(
            "The log {origin} does not continue the checkpoint that this holder cosigned before; it was not "
            "cosigned. Both are in the private part of the event witness.refused: hand them to auditors."
        ),
        origin=log.name,
    )


def _signed(note: bytes, log: Verifier) -> str:
    """A checkpoint with the log's own signature alone; others may add lines without end."""
    parsed = parse_note(note)
    own = next(each for each in parsed.signatures if (each.name, each.key_id) == (log.name, log.key_id))
    line = base64.b64encode(own.key_id + own.value).decode()
    return f"{parsed.text}\n\u2014 {log.name} {line}\n"
