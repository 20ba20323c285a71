"""What is said about a release: the intent that holders witness, their cosignatures, and the proof of both.

    coordinator                        holder
    WitnessCall    ------------------>  (its log's checkpoint, with the intent's event in it)
                   <------------------ Cosigned  (a cosignature, or where the holder's memory stands)
    Finish         ------------------>  (with the `ReleaseProof`)

A proof that a log continues what its reader remembers starts where that memory stands, which the coordinator
need not know: a call that starts elsewhere is answered with the place (as in C2SP tlog-witness).

A cosignature is of a checkpoint, which may hold several intents. So beside it stands a statement that names
the intent: a holder signs one of a run at a time, and another one once the first was withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from ringfence.privacy.crypto.signed import message
from ringfence.privacy.secagg.roster import MAX_HOLDERS
from ringfence.privacy.wire.fields import (
    AtMost,
    Digest,
    LeafText,
    Name,
    NoteText,
    Number,
    Record,
    SignatureHex,
    canonical,
)

Proof: TypeAlias = Annotated[tuple[Digest, ...], AtMost(128)]
MOST_WITHDRAWN = 16
"""Intents of one run that can be withdrawn: holders are shown each of them."""


def proof_of(nodes: Iterable[bytes]) -> Proof:
    """A proof's hashes as messages carry them."""
    return tuple("sha256:" + node.hex() for node in nodes)


def hashes_of(proof: Proof) -> list[bytes]:
    """The hashes of a proof that a message carried, 32 bytes each."""
    return [bytes.fromhex(node.removeprefix("sha256:")) for node in proof]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature(Record):
    """One holder's statement that a checkpoint continues all it saw of that log (C2SP tlog-cosignature, v1).

    Attributes:
        holder: its name in the study, whose pinned key signs.
        time: when, in seconds since 1970, UTC.
        signature: over the checkpoint's body and the time.
        statement: of the same key, over `WitnessedIntent.message`: which intent it is that is witnessed.
    """

    holder: Name
    time: Number
    signature: SignatureHex
    statement: SignatureHex


Cosignatures: TypeAlias = Annotated[tuple[Cosignature, ...], AtMost(MAX_HOLDERS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedIntent:
    """The one intent that a holder states it witnessed, under the checkpoint that it cosigned.

    Attributes:
        study: digest of the study.
        run: id of the run.
        model: digest of what is to be released.
        event: number of the intent's event.
        leaf: hash of that event, in the form of digests.
        checkpoint: body of the checkpoint that was cosigned.
    """

    study: str
    run: str
    model: str
    event: int
    leaf: str
    checkpoint: str

    def message(self) -> bytes:
        """What the holder signs."""
        body = {name: getattr(self, name) for name in self.__slots__}
        return message("release-witness", canonical(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal(Record):
    """An intent is withdrawn: an event of the coordinator's log says so.

    Attributes:
        event: its number.
        leaf: its bytes.
        inclusion: proof that it is in the log, under the checkpoint of the message that carries it.
    """

    event: Number
    leaf: LeafText
    inclusion: Proof


Withdrawals: TypeAlias = Annotated[tuple[Withdrawal, ...], AtMost(MOST_WITHDRAWN)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessCall(Record):
    """Coordinator to holder: cosign this checkpoint, in which the intent to release stands.

    Attributes:
        checkpoint: of the coordinator's log.
        since: size of that log that the consistency proof starts from.
        proof: consistency proof from there.
        event: number of the intent's event.
        leaf: that event's bytes.
        inclusion: proof that it is in the log.
        withdrawn: earlier intents of the run that were withdrawn.
    """

    checkpoint: NoteText
    since: Number
    proof: Proof
    event: Number
    leaf: LeafText
    inclusion: Proof
    withdrawn: Withdrawals = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned(Record):
    """Holder to coordinator: its cosignature; none where the proof starts elsewhere than its memory.

    Attributes:
        stands: size of the coordinator's log that this holder remembers.
        cosignature: of the checkpoint that was shown.
    """

    stands: Number
    cosignature: Cosignature | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseProof(Record):
    """In `Finish`: under whose eyes the model was released.

    Attributes:
        checkpoint: that was cosigned.
        cosignatures: of the holders that cosigned it.
        event: number of the intent's event.
        leaf: that event's bytes.
        inclusion: proof that it is in the log.
    """

    checkpoint: NoteText
    cosignatures: Cosignatures
    event: Number
    leaf: LeafText
    inclusion: Proof
