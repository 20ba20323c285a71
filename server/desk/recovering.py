"""A log that was restored behind what others had seen of it: the coordinator's own, and a holder's.

The own log goes on by decision of two people of this house, who sign what was lost and why. Another party's
is taken in its new history by two of them too; until then it is refused as a second history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ringfence.audit.checkpoint import Checkpoint, read_unverified
from ringfence.audit.errors import AuditError
from ringfence.audit.guard import check_token
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
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, RingfenceError, WaistError
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
from ringfence.privacy.wire.heads import LogPosition
from ringfence.server.home import Office
from ringfence.server.registry import HolderRegistry


def recover_log(
    office: Office, files: Sequence[Path], people: Sequence[Identity], reason: str, passphrases: Passphrases
) -> tuple[Recovered, RecoveryFile]:
    """Let the own log go on, and say what was lost of it.

    Args:
        office: opened with the log's key.
        files: what the parties that saw more keep of the log.
        people: the two who decide.
        reason: why.
        passphrases: of the coordinator's key.

    Raises:
        RingfenceError: RF-U793 to RF-U795 other than two people of this house, RF-U797 a file is none.
        AuditError: nothing was lost, or two histories were signed.
    """
    allowed = office.settings.officers()
    with _refusals(office, "log.recovered", office.log.origin):
        two_signers(people, allowed)
        notes = [note.encode() for file in files for note in checkpoints_in(file)]
        loss, held = find_loss(office.log, office.engine, notes)
    kept, lost = loss.pairs()
    said = RecoveryStatement.of((office.log.origin, office.log.verifier.raw), kept, lost, people)
    signed = sign_recovery(said, reason, office.key(passphrases), people)
    told = Told(statement=signed.digest, approvals=_names(people), private=signed.evidence())
    event = record_recovery(office.log, office.engine, loss, told)
    shown = continued(office.log, event, held)
    return Recovered(signed=signed), recovery_file(signed, shown)


def kept_of_holder(office: Office, name: str) -> AnchoredCheckpoints:
    """What this coordinator keeps of a holder's log, by the name of the log or of the holder.

    Raises:
        WaistError: RF-W460 it has seen no such log, RF-W461 several.
    """
    origin, _identity, _key = _known(office, name)
    notes = remembered(office.log, office.engine, origin)
    return AnchoredCheckpoints(log=origin, checkpoints=tuple(note.decode() for note in notes))


def holders_loss(office: Office, file: RecoveryFile) -> Recovered:
    """What a file says that a holder's log lost, its signatures verified; nothing is changed.

    Raises:
        KeyFault: a signature is missing or does not hold; RF-K161 a key has two successors.
        WaistError: RF-W460 this coordinator has seen no such log, RF-W459 it is of another one.
    """
    origin, identity, key = _known(office, _claimed(file))
    signed = read_recovery(file.statement, identity)
    require_log(signed, origin, key)
    return Recovered(signed=signed)


def take_holders_log(office: Office, file: RecoveryFile, people: Sequence[Identity]) -> Recovered:
    """Take a holder's log in its new history; both are kept.

    Raises:
        RingfenceError: RF-U793 to RF-U795 other than two people of the coordinator; as `holders_loss`.
        AuditError: it is of another loss, was taken before, or does not verify.
    """
    claimed = _claimed(file)
    with _refusals(office, "recovery.accepted", claimed):
        two_signers(people, office.settings.officers())
        found = holders_loss(office, file)
        loss = Loss.of(*found.signed.said.states())
        origin, identity, key = _known(office, claimed)
        registry = HolderRegistry(office.engine)
        with office.engine.begin() as connection:
            told = _told(found.signed, office.settings.name, people, ())
            whose = (Verifier(name=origin, raw=key.raw), loss)
            new = accept_recovery(office.log, connection, _continued(file), whose, told)
            registry.moved(identity, _position(new), connection)
    return found


def _claimed(file: RecoveryFile) -> str:
    """The log that the file's checkpoint names; a public name may stand in an event."""
    return check_token(read_unverified(file.checkpoint.encode()).origin, "log")


def _position(new: Checkpoint) -> LogPosition:
    return LogPosition(size=new.size, root="sha256:" + new.root.hex())


def _known(office: Office, name: str) -> tuple[str, PublicIdentity, PublicIdentity]:
    """Name of a holder's log, the holder's key in force and the log's."""
    registry, book = HolderRegistry(office.engine), KeyBook(office.engine)
    origins = registry.called(name)
    if len(origins) > 1:
        raise WaistError(
            "RF-W461",
            N_("Several logs are called {name}: {origins}. Give the whole name of one."),
            name=name,
            origins=", ".join(origins),
        )
    if origins and (found := registry.whose(origins[0])) is not None:
        return origins[0], book.followed("holder", found[0]), book.followed("log", found[1])
    raise WaistError(
        "RF-W460",
        N_("This coordinator has seen no log of {name}; ringfence-server holders lists those that it has."),
        name=name,
    )


@contextmanager
def _refusals(office: Office, action: str, origin: str) -> Iterator[None]:
    """Record as an event what the block refuses, then let the refusal go on."""
    try:
        yield
    except (RingfenceError, AuditError) as refusal:
        private = {"reason": refusal.sentence()[:1000]}
        public = {"code": refusal.code}
        office.log.record(action, "deny", resource=f"log:{origin}", public=public, private=private)
        raise


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
