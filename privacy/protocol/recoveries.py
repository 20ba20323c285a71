"""A log that goes on from an older copy, as its house tells those who had seen more: files between people.

    party that lost                     party that anchored
                   <------------------ AnchoredCheckpoints  (what it keeps of that log)
    RecoveryFile   ------------------>  (statement, and the continued log with the event in it)

The statement is signed by the key of the party and by two of its people, whose keys stand in it. It counts
where two people of the other party accept it; no message of the protocol carries it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeAlias

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, RingfenceError, UsageError, WaistError
from ringfence.privacy.protocol.releases import Proof, proof_of
from ringfence.privacy.wire.fields import (
    AtMost,
    Digest,
    LeafText,
    Name,
    NoteText,
    Number,
    PublicKey,
    Record,
    SignedText,
    canonical,
    parse_canonical,
)

DOCUMENT, ACCEPTANCE = "log-recovery", "recovery-acceptance"
MOST_REASON = 1000
MAX_FILE = 4 * 2**20
Notes: TypeAlias = Annotated[tuple[NoteText, ...], AtMost(201)]
"""One more than a recovery can name, so that whoever has lost too many finds it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredCheckpoints(Record):
    """What a party keeps of another one's log, as that log signed it.

    Attributes:
        log: name of the log.
        checkpoints: oldest first.
    """

    log: Name
    checkpoints: Notes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedState(Record):
    """A state of a log: number of events, and their root."""

    size: Number
    root: Digest

    def pair(self) -> tuple[int, bytes]:
        """Size and root."""
        return self.size, bytes.fromhex(self.root.removeprefix("sha256:"))


def _state(size: int, root: bytes) -> StatedState:
    return StatedState(size=size, root="sha256:" + root.hex())


States: TypeAlias = Annotated[tuple[StatedState, ...], AtMost(200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryStatement(Record):
    """What two people of a log's house sign, with the reason beside it.

    Attributes:
        log: name of the log.
        key: the log's key.
        kept: the last state that is known to be of both histories.
        lost: states that were signed and are gone.
        people: keys of the two who sign.
    """

    log: Name
    key: PublicKey
    kept: StatedState
    lost: States
    people: Annotated[tuple[PublicKey, ...], AtMost(2)]

    @classmethod
    def of(
        cls,
        log: tuple[str, bytes],
        kept: tuple[int, bytes],
        lost: Iterable[tuple[int, bytes]],
        people: Iterable[Identity],
    ) -> RecoveryStatement:
        """A statement on a log, by name and key, with states by size and root."""
        return cls(
            log=log[0],
            key=log[1].hex(),
            kept=_state(*kept),
            lost=tuple(_state(*each) for each in lost),
            people=tuple(person.public.hex for person in people),
        )

    def states(self) -> tuple[tuple[int, bytes], tuple[tuple[int, bytes], ...]]:
        """The kept state and the lost ones, by size and root."""
        return self.kept.pair(), tuple(each.pair() for each in self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProof(Record):
    """That the continued log still has a state."""

    size: Number
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryFile(Record):
    """What the parties that anchored lost states are handed.

    Attributes:
        statement: signed.
        checkpoint: of the continued log.
        event: number of the event that tells of the recovery.
        leaf: its bytes.
        inclusion: proof that it is in the log.
        proofs: that the checkpoint continues the kept states.
    """

    statement: SignedText
    checkpoint: NoteText
    event: Number
    leaf: LeafText
    inclusion: Proof
    proofs: Annotated[tuple[KeptProof, ...], AtMost(200)]


class ContinuedLog(Protocol):
    """A continued log as it is shown; `audit.recovery.Continued` is one."""

    @property
    def note(self) -> bytes:
        """A signed checkpoint that holds the event of the recovery."""
        ...

    @property
    def event(self) -> int:
        """Number of that event."""
        ...

    @property
    def leaf(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def inclusion(self) -> Sequence[bytes]:
        """Proof that it is in the log."""
        ...

    @property
    def proofs(self) -> Mapping[int, Sequence[bytes]]:
        """That the checkpoint continues a state of so many events, by size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecovery:
    """A statement whose signatures hold.

    Attributes:
        said: what it says.
        reason: why, in the words of its people.
        document: as it was signed.
    """

    said: RecoveryStatement
    reason: str
    document: SignedDocument

    @property
    def digest(self) -> str:
        """By which events name it."""
        return "sha256:" + hashlib.sha256(self.document.body).hexdigest()

    def evidence(self) -> dict[str, Any]:
        """For the private part of an event: body and signatures, from which the document is made again."""
        return {"body": json.loads(self.document.body), "signatures": _signatures(self.document)}

    def accepted(self, party: str, people: Sequence[Identity]) -> dict[str, Any]:
        """As `evidence`, with what two people of the party that takes the new history sign."""
        body = {"act": "accept-recovery", "party": party, "statement": self.digest}
        document = SignedDocument(kind=ACCEPTANCE, body=canonical(body))
        for person in people:
            document = document.signed_by(person)
        return self.evidence() | {"decision": {"body": body, "signatures": _signatures(document)}}


def _signatures(document: SignedDocument) -> list[dict[str, str]]:
    return [{"key": key, "signature": value} for key, value in document.signatures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A recovery that was made or taken.

    Attributes:
        signed: the statement.
        runs: of which something was witnessed in the lost part.
    """

    signed: SignedRecovery
    runs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For programs."""
        said = self.signed.said
        return {
            "log": said.log,
            "statement": self.signed.digest,
            "kept": said.kept.size,
            "lost": [state.size for state in said.lost],
            "runs": list(self.runs),
            "people": [PublicIdentity.from_hex(key).fingerprint for key in said.people],
            "reason": self.signed.reason,
        }


def require_log(signed: SignedRecovery, origin: str, key: PublicIdentity) -> None:
    """Refuse a statement on another log.

    Raises:
        WaistError: RF-W459.
    """
    if (signed.said.log, signed.said.key) != (origin, key.hex):
        raise WaistError(
            "RF-W459",
            N_("The recovery is of the log {found} and its key; {origin} is the one that is anchored here."),
            found=signed.said.log,
            origin=origin,
        )


def two_signers(people: Sequence[Identity], allowed: Sequence[PublicIdentity]) -> None:
    """Refuse other than two different people of the house.

    Raises:
        RingfenceError: RF-U793 not two, RF-U794 one twice, RF-U795 somebody else.
    """
    if len(people) != 2:
        raise RingfenceError(
            "RF-U793",
            N_("{count} key files were given; two people decide this: --key A --key B"),
            count=len(people),
        )
    if people[0].public == people[1].public:
        raise RingfenceError(
            "RF-U794", N_("Both key files hold the key of one person; two different people decide this.")
        )
    for person in people:
        if person.public not in allowed:
            raise RingfenceError(
                "RF-U795",
                N_("The key {fingerprint} is none of the people whom the settings name; they decide this."),
                fingerprint=person.public.fingerprint,
            )


def sign_recovery(
    said: RecoveryStatement, reason: str, party: Identity, people: Sequence[Identity]
) -> SignedRecovery:
    """Sign a statement: the party's key, and two people."""
    body = canonical(said.to_json() | {"reason": reason})
    document = SignedDocument(kind=DOCUMENT, body=body).signed_by(party)
    for person in people:
        document = document.signed_by(person)
    return SignedRecovery(said=said, reason=reason, document=document)


def read_recovery(text: str, party: PublicIdentity) -> SignedRecovery:
    """A statement, once the party's key and two people are seen to have signed it.

    Raises:
        KeyFault: a signature is missing or does not hold.
        WaistError: it is no statement.
        RingfenceError: RF-U796 it names other than two people, or no reason.
    """
    document = SignedDocument.from_json(text)
    fields = parse_canonical(document.verify(DOCUMENT, [party]))
    reason = fields.pop("reason", None)
    said = RecoveryStatement.from_json(fields)
    people = [PublicIdentity.from_hex(key) for key in dict.fromkeys(said.people)]
    told = isinstance(reason, str) and 0 < len(reason) <= MOST_REASON
    if len(people) != 2 or party in people or not told:
        raise RingfenceError(
            "RF-U796",
            N_("The statement does not name two people and a reason; ask its house for a whole one."),
        )
    document.signers(DOCUMENT, people, threshold=2)
    return SignedRecovery(said=said, reason=reason, document=document)


def reason_said(text: str) -> str:
    """A reason as people gave it, in one line.

    Raises:
        UsageError: RF-U798 it is empty or too long.
    """
    reason = " ".join(text.split())
    if not 0 < len(reason) <= MOST_REASON:
        raise UsageError(
            "RF-U798", N_("A reason has 1 to {most} characters; say why in a sentence."), most=MOST_REASON
        )
    return reason


def checkpoints_in(path: Path) -> tuple[str, ...]:
    """The checkpoints in a file: those that a party keeps of a log, or a single signed checkpoint.

    Raises:
        RingfenceError: RF-U797 the file cannot be read, or is neither.
    """
    data = _content(path)
    try:
        if data.startswith(b"{"):
            return AnchoredCheckpoints.from_json(parse_canonical(data.strip())).checkpoints
        return AnchoredCheckpoints(log="log", checkpoints=(data.decode(),)).checkpoints
    except (WaistError, UnicodeDecodeError) as error:
        raise _unread(path) from error


def read_recovery_file(path: Path) -> RecoveryFile:
    """A recovery as the other party's house wrote it; nothing is verified yet.

    Raises:
        RingfenceError: RF-U797.
    """
    try:
        return RecoveryFile.from_json(parse_canonical(_content(path).strip()))
    except WaistError as error:
        raise _unread(path) from error


def recovery_file(signed: SignedRecovery, shown: ContinuedLog) -> RecoveryFile:
    """What is handed over: the statement, and the continued log as it is shown."""
    return RecoveryFile(
        statement=signed.document.to_json(),
        checkpoint=shown.note.decode(),
        event=shown.event,
        leaf=shown.leaf.decode(),
        inclusion=proof_of(shown.inclusion),
        proofs=tuple(
            KeptProof(size=size, proof=proof_of(nodes)) for size, nodes in sorted(shown.proofs.items())
        ),
    )


def file_text(record: AnchoredCheckpoints | RecoveryFile) -> str:
    """A record as its file."""
    return canonical(record.to_json()).decode() + "\n"


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size <= MAX_FILE:
            return path.read_bytes()
    except OSError as error:
        raise _unread(path) from error
    raise _unread(path)


def _unread(path: Path) -> RingfenceError:
    return RingfenceError(
        "RF-U797",
        N_(
            "{file} cannot be read as what is expected here: checkpoints of a log (ringfence-client "
            "coordinator checkpoints, ringfence-server holder checkpoints), or what log recover wrote."
        ),
        file=str(path),
    )
