"""What is said about a release: the intent that holders witness, their cosignatures, and the proof of both.

    coordinator                        holder
    WitnessCall    ------------------>  (its log's checkpoint, with the intent's event in it)
                   <------------------ Cosigned  (a cosignature, or where the holder's memory stands)
    Finish         ------------------>  (with the `ReleaseProof`)

A proof that a log continues what its reader remembers starts where that memory stands, which the coordinator
need not know: a call that starts elsewhere is answered with the place (as in C2SP tlog-witness).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

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
)

Proof: TypeAlias = Annotated[tuple[Digest, ...], AtMost(128)]


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
    """

    holder: Name
    time: Number
    signature: SignatureHex


Cosignatures: TypeAlias = Annotated[tuple[Cosignature, ...], AtMost(MAX_HOLDERS)]


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
    """

    checkpoint: NoteText
    since: Number
    proof: Proof
    event: Number
    leaf: LeafText
    inclusion: Proof


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
