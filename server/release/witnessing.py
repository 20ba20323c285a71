"""A release under the eyes of the holders: the intent, their cosignatures, and only then the release.

Once the sums make a model, the intent to release it is written into the log. Holders check that the log
continues what each of them remembers of it and cosign the checkpoint that holds the intent; when enough did,
the release is an event and the model goes to people. Two histories of this log cannot both be cosigned by an
honest holder, so nobody is shown another one later. Beside its cosignature each states which intent it is, so
that what was gathered for one intent is of no use to another one in the same log.

What this binds is disclosure to people. The sums are at the coordinator before: against a dishonest one
stands the noise in them, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta

from ringfence.audit.checkpoint import Checkpoint, read_unverified
from ringfence.audit.errors import AuditError
from ringfence.audit.merkle import leaf_hash
from ringfence.audit.witness import WitnessKey, check_cosignature
from ringfence.privacy.errors import N_, RingfenceError, StudyError, WaistError
from ringfence.privacy.protocol.releases import (
    Cosignature,
    Cosigned,
    ReleaseProof,
    WitnessCall,
    WitnessedIntent,
    proof_of,
)
from ringfence.privacy.stores.journal import Json, listed
from ringfence.server.records.intents import KeptIntent, withdrawals
from ringfence.server.records.runs import RELEASED, KeptRun
from ringfence.server.sums import Conduct

TOO_FEW_COSIGNED = "RF-W237"
"""The code that says that a release waits for cosignatures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """A model that is about to be released, as the events say it."""

    digest: str
    told: Mapping[str, Json]


def release_witnessed(conduct: Conduct, kept: KeptRun, intended: Intended) -> tuple[str, ...]:
    """Have the release cosigned, then fix it; names of the holders that cosigned.

    Raises:
        WaistError: RF-W237 too few cosigned by now; what was intended stays, and is asked again.
        StudyError: RF-S463 another model was intended, by another version.
    """
    intent = kept.intent or _intend(conduct, kept, intended)
    if intent.model != intended.digest:
        raise StudyError(
            "RF-S463",
            N_(
                "The kept sums of the study {study} make another model than the one that was to be released: "
                "another version kept them. Go on with that version."
            ),
            study=conduct.opened.study.id,
        )
    proof = _cosigned(conduct, intent, kept.withdrawn)
    names = tuple(sorted(each.holder for each in proof.cosignatures))
    quorum, _ = conduct.opened.study.quorums()
    lowered = len(names) < quorum
    if lowered:
        _require_floor(conduct, kept, intent, len(names))
    with kept.decided(RELEASED, intended.digest) as connection:
        if lowered:
            conduct.coordinator.log.record(
                "release.lowered",
                "allow",
                resource=f"study:{conduct.opened.digest}",
                public={"run": conduct.opened.run, "witnesses": listed(names)},
                connection=connection,
            )
        conduct.coordinator.log.record(
            "model.released",
            "allow",
            resource=f"study:{conduct.opened.digest}",
            public={**intended.told, "entry": intent.event, "witnesses": listed(names)},
            connection=connection,
        )
        kept.proven(replace(intent, proof=proof), connection)
    return names


def _intend(conduct: Conduct, kept: KeptRun, intended: Intended) -> KeptIntent:
    """Write the intent into the log, with the run, before anybody is asked."""
    with kept.writing() as connection:
        event = conduct.coordinator.log.record(
            "release.intended",
            "allow",
            resource=f"study:{conduct.opened.digest}",
            public=intended.told,
            connection=connection,
        )
        intent = KeptIntent(model=intended.digest, event=event, since=kept.moment())
        kept.intends(intent, connection)
    return intent


def _cosigned(conduct: Conduct, intent: KeptIntent, withdrawn: Sequence[int]) -> ReleaseProof:
    """Ask all who joined to cosign; each starts from where its own memory of the log stands."""
    log = conduct.coordinator.log
    note = log.checkpoint()
    shown = read_unverified(note)
    leaf = next(log.events(intent.event, stop=intent.event + 1)).leaf.decode()
    inclusion = proof_of(log.inclusion(intent.event, shown.size))
    gone = withdrawals(log, withdrawn, shown.size)
    witnessed = WitnessedIntent(
        study=conduct.opened.digest,
        run=conduct.opened.run,
        model=intent.model,
        event=intent.event,
        leaf="sha256:" + leaf_hash(leaf.encode()).hex(),
        checkpoint=shown.body(),
    )
    since = dict.fromkeys(sorted(conduct.members.joined), 0)
    found: dict[str, Cosignature] = {}
    while since:
        calls = {
            name: WitnessCall(
                checkpoint=note.decode(),
                since=size,
                proof=proof_of(log.consistency(size, shown.size)) if size else (),
                event=intent.event,
                leaf=leaf,
                inclusion=inclusion,
                withdrawn=gone,
            )
            for name, size in since.items()
        }
        asked, since = since, {}
        for name, data in conduct.ask(calls, 0, 0).items():
            try:
                said = conduct.open(Cosigned, name, data, 0, 0)
                if said.cosignature is not None:
                    found[name] = _checked(conduct, name, witnessed, said.cosignature)
                else:
                    since |= _elsewhere(name, said.stands, asked[name], shown)
            except (RingfenceError, AuditError) as error:
                conduct.refuse(name, data, error, 0, 0)
    return ReleaseProof(
        checkpoint=note.decode(),
        cosignatures=tuple(found[name] for name in sorted(found)),
        event=intent.event,
        leaf=leaf,
        inclusion=inclusion,
    )


def _checked(conduct: Conduct, name: str, witnessed: WitnessedIntent, given: Cosignature) -> Cosignature:
    """A cosignature and statement that are this holder's own, of the checkpoint and intent it was shown.

    Raises:
        WaistError: RF-W238 it speaks for another holder.
        NoteError, KeyFault: it does not verify.
    """
    if given.holder != name:
        raise WaistError("RF-W238", N_("{holder} sent a cosignature in another holder's name."), holder=name)
    pinned = conduct.opened.participants[name]
    key, body = WitnessKey(name=name, raw=pinned.raw), witnessed.checkpoint.encode()
    check_cosignature(body, key, stamp=given.time, signature=bytes.fromhex(given.signature))
    pinned.verify(bytes.fromhex(given.statement), witnessed.message())
    return given


def _elsewhere(name: str, stands: int, asked: int, shown: Checkpoint) -> dict[str, int]:
    """Where to start from for a holder whose memory stands elsewhere; it is asked so once.

    Raises:
        WaistError: RF-W239 it remembers more events than the log has, RF-W240 it says so again, or was asked
            from there.
    """
    if stands > shown.size:
        raise WaistError(
            "RF-W239",
            N_(
                "{holder} cosigned {stands} events of this log before, and it has {size}: an old copy of the "
                "store was restored. Restore the newest one, or let two people recover the log: "
                "ringfence-server log recover"
            ),
            holder=name,
            stands=stands,
            size=shown.size,
        )
    if asked or stands == asked:
        raise WaistError(
            "RF-W240",
            N_("{holder} does not stand by what it said it saw of this log."),
            holder=name,
        )
    return {name: stands}


def _require_floor(conduct: Conduct, kept: KeptRun, intent: KeptIntent, count: int) -> None:
    """Fewer than the quorum suffice when the waiting time has passed.

    Raises:
        WaistError: RF-W237.
    """
    study = conduct.opened.study
    quorum, floor = study.quorums()
    until = intent.since + timedelta(hours=study.release.wait_hours)
    if count >= floor and kept.moment() >= until:
        return
    raise WaistError(
        "RF-W237",
        N_(
            "Holders that cosigned the release of {study}: {count} of {quorum}; from {until} on {floor} "
            "suffice. The model waits, with nothing released: run the study again when more can be reached."
        ),
        study=study.id,
        count=count,
        quorum=quorum,
        floor=floor,
        until=until.astimezone(UTC).isoformat(timespec="minutes"),
    )
