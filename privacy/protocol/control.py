"""The control plane: the closed list of messages whose content does not depend on any row.

    coordinator                        holder
    StudyOffer     ------------------>
                   <------------------ Join
    RosterCall     ------------------>
                   <------------------ RosterEcho
    RoundCall      ------------------>
                   <------------------ (data plane: MaskedUpdate) or Unavailable
    WitnessCall    ------------------>  (`releases.py`)
                   <------------------ Cosigned
    Finish         ------------------>  (`endings.py`)
                   <------------------ Done or NoRun

A study with `dropouts = "recover"` has no `RosterCall`; each attempt at a round is

    KeyCall        ------------------>
                   <------------------ EphemeralMessage  (keys of this attempt)
    ShareCall      ------------------>
                   <------------------ Dealt  (roster echo, shares sealed to partners)
    RoundCall      ------------------>  (with the shares that partners dealt)
                   <------------------ (data plane: MaskedUpdate) or Unavailable
    SurvivorsCall  ------------------>
                   <------------------ SurvivorsEcho
    UnmaskCall     ------------------>
                   <------------------ Revealed

A study that waits for people, and is no run yet, goes into the holders' inboxes (`notices.py`).

Where others carry the messages, each side greets the other with its encryption key for the run (`Greeting`)
before the offer, the notice and `Finish`, and everything else travels in letters (`privacy/wire/letters.py`).

Invariant: no message has a field for free text. A holder that cannot or will not answer says `Unavailable`,
which has no field at all; the reason stays with the holder's own people and log. Everything else is a name, a
digest, a bounded number, or a document or checkpoint that carries its own signature and is verified by its
reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.endings import Done, Finish, NoRun
from ringfence.privacy.protocol.notices import Approvals, Notice, Standing
from ringfence.privacy.protocol.releases import Cosigned, Proof, WitnessCall
from ringfence.privacy.secagg.ephemeral import EphemeralMessage
from ringfence.privacy.secagg.keys import KeyMessage
from ringfence.privacy.secagg.recovery import Revealed, SealedShares
from ringfence.privacy.secagg.roster import MAX_HOLDERS, RosterEcho
from ringfence.privacy.secagg.survivors import SurvivorsEcho
from ringfence.privacy.waist import Query
from ringfence.privacy.wire.envelope import (
    Envelope,
    Expected,
    MessageKind,
    frame,
    open_envelope,
    seal,
    unframe,
)
from ringfence.privacy.wire.fields import (
    AtMost,
    Name,
    Nonce,
    NoteText,
    Number,
    PublicKey,
    Record,
    RunId,
    SignedText,
    Turn,
    canonical,
    parse_canonical,
)
from ringfence.privacy.wire.heads import LedgerHead, LogPosition
from ringfence.privacy.wire.letters import Greeting
from ringfence.privacy.wire.payload import MAX_ENTRIES, decode_query, encode_query

COORDINATOR = "coordinator"
"""The coordinator's name as sender and receiver of messages; no holder may have it."""
MAX_CONTROL = 1 << 22
"""Greatest control message in bytes, a round call's arrays apart."""
MAX_MESSAGE = MAX_CONTROL + 8 * MAX_ENTRIES
"""Greatest message of either kind in bytes."""
_MAGIC = b"RFC1"

Members: TypeAlias = Annotated[tuple[KeyMessage, ...], AtMost(MAX_HOLDERS)]
Echoes: TypeAlias = Annotated[tuple[RosterEcho, ...], AtMost(MAX_HOLDERS)]
FreshMembers: TypeAlias = Annotated[tuple[EphemeralMessage, ...], AtMost(MAX_HOLDERS)]
Boxes: TypeAlias = Annotated[tuple[SealedShares, ...], AtMost(MAX_HOLDERS)]
Survivors: TypeAlias = Annotated[tuple[Name, ...], AtMost(MAX_HOLDERS)]
SurvivorsEchoes: TypeAlias = Annotated[tuple[SurvivorsEcho, ...], AtMost(MAX_HOLDERS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOffer(Record):
    """Coordinator to holder: the signed study, and what the coordinator last knew of the holder.

    Attributes:
        study: signed study document, file form.
        schema: signed schema document, file form.
        run: run id.
        nonce: fresh, returned in `Join`.
        log_key: public key of the coordinator's audit log.
        ledger: head of the holder's ledger as last seen; a holder behind it was rolled back.
        log: the holder's audit log as last seen.
        window: of a series, number of the run; 0 for a study that is run once.
        clock: of a series, the coordinator's present moment in seconds since 1970, for a refusal to name.
    """

    study: SignedText
    schema: SignedText
    run: RunId
    nonce: Nonce
    log_key: PublicKey
    ledger: LedgerHead | None
    log: LogPosition | None
    window: Turn = 0
    clock: Number = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Record):
    """Holder to coordinator: it takes part, with this run key, these approvals, from this state.

    Attributes:
        key: its signed key of the run.
        nonce: of the offer.
        approvals: two people's signed approvals, file form.
        log_key: public key of its audit log.
        checkpoint: its audit log's signed checkpoint.
        proof: consistency proof from the position in the offer, empty for a newcomer.
        ledger: its ledger's head.
    """

    key: KeyMessage
    nonce: Nonce
    approvals: Approvals
    log_key: PublicKey
    checkpoint: NoteText
    proof: Proof
    ledger: LedgerHead


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterCall(Record):
    """Coordinator to holder: the members of a roster, used from `round` and `attempt` on."""

    number: Turn
    round: Turn
    attempt: Turn
    members: Members


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCall(Record):
    """Coordinator to holder: make keys for a roster of this attempt."""

    number: Turn
    round: Turn
    attempt: Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCall(Record):
    """Coordinator to holder: the members of a roster of this attempt, with their keys for it."""

    number: Turn
    round: Turn
    attempt: Turn
    members: FreshMembers


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt(Record):
    """Holder to coordinator: its echo of the roster, and shares of its secrets sealed to its partners."""

    echo: RosterEcho
    boxes: Boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class _RoundHeader(Record):
    number: Turn
    echoes: Echoes
    boxes: Boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundCall:
    """Coordinator to holder: a query, and every member's echo of the roster that answers it.

    Where sums outlive drop-outs it also brings the boxes that partners sealed for the receiver.
    """

    number: int
    echoes: tuple[RosterEcho, ...]
    query: Query
    boxes: tuple[SealedShares, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivorsCall(Record):
    """Coordinator to holder: who has answered this attempt."""

    number: Turn
    survivors: Survivors


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmaskCall(Record):
    """Coordinator to holder: a quorum's signatures on that list."""

    number: Turn
    echoes: SurvivorsEchoes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable(Record):
    """Holder to coordinator: no answer, without a reason."""


ControlMessage: TypeAlias = (
    Greeting
    | StudyOffer
    | Join
    | RosterCall
    | RosterEcho
    | KeyCall
    | EphemeralMessage
    | ShareCall
    | Dealt
    | RoundCall
    | SurvivorsCall
    | SurvivorsEcho
    | UnmaskCall
    | Revealed
    | Finish
    | Done
    | NoRun
    | Unavailable
    | WitnessCall
    | Cosigned
    | Notice
    | Standing
)
Message = TypeVar(
    "Message",
    Greeting,
    StudyOffer,
    Join,
    RosterCall,
    RosterEcho,
    KeyCall,
    EphemeralMessage,
    ShareCall,
    Dealt,
    RoundCall,
    SurvivorsCall,
    SurvivorsEcho,
    UnmaskCall,
    Revealed,
    Finish,
    Done,
    NoRun,
    Unavailable,
    WitnessCall,
    Cosigned,
    Notice,
    Standing,
)

KINDS: Mapping[type[ControlMessage], MessageKind] = {
    Greeting: MessageKind.GREETING,
    StudyOffer: MessageKind.STUDY_OFFER,
    Join: MessageKind.JOIN,
    RosterCall: MessageKind.ROSTER_CALL,
    RosterEcho: MessageKind.ROSTER_ECHO,
    KeyCall: MessageKind.KEY_CALL,
    EphemeralMessage: MessageKind.EPHEMERAL_KEYS,
    ShareCall: MessageKind.SHARE_CALL,
    Dealt: MessageKind.DEALT,
    RoundCall: MessageKind.ROUND_CALL,
    SurvivorsCall: MessageKind.SURVIVORS_CALL,
    SurvivorsEcho: MessageKind.SURVIVORS_ECHO,
    UnmaskCall: MessageKind.UNMASK_CALL,
    Revealed: MessageKind.REVEALED,
    Finish: MessageKind.FINISH,
    Done: MessageKind.DONE,
    NoRun: MessageKind.NO_RUN,
    Unavailable: MessageKind.UNAVAILABLE,
    WitnessCall: MessageKind.WITNESS_CALL,
    Cosigned: MessageKind.COSIGNED,
    Notice: MessageKind.NOTICE,
    Standing: MessageKind.STANDING,
}


def encode(message: ControlMessage) -> bytes:
    """The message's bytes, to be sealed in an envelope."""
    if isinstance(message, RoundCall):
        header = _RoundHeader(number=message.number, echoes=message.echoes, boxes=message.boxes)
        return frame(_MAGIC, canonical(header.to_json())) + encode_query(message.query)
    return frame(_MAGIC, canonical(message.to_json()))


def decode(cls: type[Message], payload: bytes) -> Message:
    """The message of class `cls` in an envelope's payload.

    Raises:
        WaistError: malformed in any way (RF-W101 to RF-W104, RF-W111, RF-W120, RF-W121).
    """
    encoded, rest = unframe(payload, _MAGIC, MAX_CONTROL)
    value = parse_canonical(encoded)
    if issubclass(cls, RoundCall):
        header = _RoundHeader.from_json(value)
        query = decode_query(rest)
        return cls(number=header.number, echoes=header.echoes, query=query, boxes=header.boxes)
    if len(rest):
        raise WaistError("RF-W104", N_("A message is cut short, or has bytes after its end."))
    return cls.from_json(value)


def seal_message(
    identity: Identity,
    message: ControlMessage,
    *,
    study: str,
    run: str,
    sender: str,
    recipient: str,
    round: int = 0,
    attempt: int = 0,
) -> bytes:
    """Encode and sign a control message for the wire."""
    return seal(
        identity,
        kind=KINDS[type(message)],
        study=study,
        run=run,
        sender=sender,
        recipient=recipient,
        round=round,
        attempt=attempt,
        payload=encode(message),
    )


def open_message(
    cls: type[Message],
    data: bytes,
    *,
    senders: Mapping[str, PublicIdentity],
    study: str | None,
    run: str | None,
    recipient: str,
    round: int = 0,
    attempt: int = 0,
    max_bytes: int = MAX_CONTROL,
) -> tuple[Envelope, Message]:
    """Verify and decode a control message of class `cls`; `study` and `run` None in the first ones only.

    Raises:
        WaistError: as `open_envelope` and `decode`.
    """
    expect = Expected(
        kind=KINDS[cls], study=study, run=run, recipient=recipient, round=round, attempt=attempt
    )
    envelope = open_envelope(data, senders=senders, expect=expect, max_bytes=max_bytes)
    return envelope, decode(cls, envelope.payload)
