"""A log that was restored behind what others had seen of it: the holder's own, and the coordinator's.

The own log goes on by decision of two people of this house, who sign what was lost and why. Another party's
is taken in its new history by two of them too; until then it is refused as a second history.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ringfence.audit.note import Verifier
from ringfence.audit.recovery import (
    Continued,
    Told,
    accept_recovery,
    continued,
    find_loss,
    record_recovery,
    remembered,
)
from ringfence.audit.verification.losses import Loss
from ringfence.clients.home import Home
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.recoveries import (
    AnchoredCheckpoints,
    Recovered,
    RecoveryFile,
    RecoveryStatement,
    SignedRecovery,
    checkpoints_in,
    read_recovery,
    recovery_file,
    require_log,
    sign_recovery,
    two_signers,
)
from ringfence.privacy.protocol.releases import hashes_of
from ringfence.privacy.succession.book import KeyBook


def recover_own_log(
    home: Home, files: Sequence[Path], people: Sequence[Identity], reason: str, passphrases: Passphrases
) -> tuple[Recovered, RecoveryFile]:
    """Let the own log go on, and say what was lost of it.

    Args:
        home: opened with the log's key.
        files: what the parties that saw more keep of the log.
        people: the two who decide.
        reason: why.
        passphrases: of the holder's key.

    Raises:
        RingfenceError: RF-U793 to RF-U795 other than two people of this house, RF-U797 a file is none.
        AuditError: nothing was lost, or two histories were signed.
    """
    allowed = home.settings.approvers()
    with home.refusals("log.recovered", f"log:{home.log.origin}"):
        two_signers(people, allowed)
        notes = [note.encode() for file in files for note in checkpoints_in(file)]
        loss, held = find_loss(home.log, home.engine, notes)
    kept, lost = loss.pairs()
    said = RecoveryStatement.of((home.log.origin, home.log.verifier.raw), kept, lost, people)
    signed = sign_recovery(said, reason, home.key(passphrases), people)
    told = Told(statement=signed.digest, approvals=_names(people), private=signed.evidence())
    event = record_recovery(home.log, home.engine, loss, told)
    shown = continued(home.log, event, held)
    return Recovered(signed=signed), recovery_file(signed, shown)


def kept_of_coordinator(home: Home) -> AnchoredCheckpoints:
    """What this holder keeps of the coordinator's log.

    Raises:
        WaistError: RF-W458 it cosigned nothing of it.
    """
    origin, _key = _known(home)
    notes = remembered(home.log, home.engine, origin)
    return AnchoredCheckpoints(log=origin, checkpoints=tuple(note.decode() for note in notes))


def coordinators_loss(home: Home, file: RecoveryFile) -> Recovered:
    """What a file says that the coordinator's log lost, its signatures verified; nothing is changed.

    Raises:
        KeyFault: a signature is missing or does not hold.
            RF-K161 the coordinator's key, or its log's, has two successors.
        WaistError: RF-W458 this holder cosigned nothing of the log, RF-W459 it is of another log.
    """
    signed = read_recovery(file.statement, home.coordinator())
    require_log(signed, *_known(home))
    return Recovered(signed=signed)


def take_coordinators_log(home: Home, file: RecoveryFile, people: Sequence[Identity]) -> Recovered:
    """Take the coordinator's log in its new history; both are kept.

    Raises:
        RingfenceError: RF-U793 to RF-U795 other than two approvers; as `coordinators_loss`.
        AuditError: it is of another loss, was taken before, or does not verify.
    """
    origin, key = _known(home)
    with home.refusals("recovery.accepted", f"log:{origin}"):
        two_signers(people, home.settings.approvers())
        found = coordinators_loss(home, file)
        loss = Loss.of(*found.signed.said.states())
        witness, coordinator = _memory(home), home.coordinator()
        with home.engine.begin() as connection:
            runs = witness.lose(connection, coordinator, loss.kept.size)
            told = _told(found.signed, home.settings.name, people, runs)
            whose = (Verifier(name=origin, raw=key.raw), loss)
            accept_recovery(home.log, connection, _continued(file), whose, told)
    return Recovered(signed=found.signed, runs=runs)


def _memory(home: Home) -> WitnessMemory:
    return WitnessMemory(home.engine, home.log.number)


def _known(home: Home) -> tuple[str, PublicIdentity]:
    """Name of the coordinator's log, as it was cosigned first, and its key in force."""
    known = _memory(home).origin(home.coordinator())
    if known is None:
        raise WaistError(
            "RF-W458",
            N_("This holder has cosigned nothing of its coordinator's log; it keeps nothing of it."),
        )
    return known[0], KeyBook(home.engine).followed("log", PublicIdentity.from_hex(known[1]))


def _continued(file: RecoveryFile) -> Continued:
    return Continued(
        note=file.checkpoint.encode(),
        event=file.event,
        leaf=file.leaf.encode(),
        inclusion=hashes_of(file.inclusion),
        proofs={each.size: hashes_of(each.proof) for each in file.proofs},
    )


def _told(signed: SignedRecovery, party: str, people: Sequence[Identity], runs: tuple[str, ...]) -> Told:
    return Told(
        statement=signed.digest,
        approvals=_names(people),
        private=signed.accepted(party, people),
        runs=runs,
    )


def _names(people: Sequence[Identity]) -> tuple[str, ...]:
    return tuple(person.public.fingerprint for person in people)
