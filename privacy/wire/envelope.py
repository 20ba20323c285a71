"""The signed envelope that every message between holder and coordinator travels in.

Layout: `RFW1`, header length (4 bytes, big-endian), header (canonical JSON, RFC 8785), payload, Ed25519
signature (64 bytes). The signature covers a domain name, the header and, through the header, length and
SHA-256 of the payload. The header binds the message to one study, run, round, attempt, kind, sender and
recipient, so a message can be neither replayed elsewhere nor answered in another's name (the transport below
checks neither).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.wire.fields import (
    Digest,
    Kind,
    Name,
    Number,
    Record,
    RunId,
    Turn,
    canonical,
    parse_canonical,
)

EVERYONE = "*"
_MAGIC = b"RFW1"
_DOMAIN = b"ringfence/envelope/v1\n"
_MAX_HEADER = 4096
_SIGNATURE = 64
_OVERHEAD = len(_MAGIC) + 4 + _MAX_HEADER + _SIGNATURE


class MessageKind(StrEnum):
    """Every message that may cross the wire; the list is closed."""

    GREETING = "greeting"
    STUDY_OFFER = "study-offer"
    JOIN = "join"
    ROSTER_CALL = "roster-call"
    ROSTER_ECHO = "roster-echo"
    KEY_CALL = "key-call"
    EPHEMERAL_KEYS = "ephemeral-keys"
    SHARE_CALL = "share-call"
    DEALT = "dealt"
    ROUND_CALL = "round-call"
    MASKED_UPDATE = "masked-update"
    VISIBLE_UPDATE = "visible-update"
    SURVIVORS_CALL = "survivors-call"
    SURVIVORS_ECHO = "survivors-echo"
    UNMASK_CALL = "unmask-call"
    REVEALED = "revealed"
    FINISH = "finish"
    DONE = "done"
    NO_RUN = "no-run"
    WITNESS_CALL = "witness-call"
    COSIGNED = "cosigned"
    UNAVAILABLE = "unavailable"
    NOTICE = "notice"
    STANDING = "standing"


_FIRST = frozenset({MessageKind.GREETING, MessageKind.STUDY_OFFER, MessageKind.NOTICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Record):
    """What the sender signs; `recipient` is a name, or everyone when `broadcast` is 1."""

    kind: Kind
    study: Digest
    run: RunId
    round: Turn
    attempt: Turn
    sender: Name
    recipient: Name | None
    length: Number
    payload: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message with its binding. `round` and `attempt` are 0 in messages about the study as a whole.

    Attributes:
        kind: which message.
        study: digest of the signed study, `sha256:<hex>`.
        run: run id, 32 hex digits.
        round: index of the round.
        attempt: number of the attempt at the round.
        sender: name of the sender.
        recipient: name of the recipient, or `"*"` for everyone in the study.
        payload: the encoded message.
    """

    kind: MessageKind
    study: str
    run: str
    round: int
    attempt: int
    sender: str
    recipient: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the receiver is waiting for; `study` and `run` may be None in the first messages alone.

    Attributes:
        kind: which message.
        study: digest of the signed study.
        run: run id.
        recipient: the receiver's own name.
        round: index of the round, 0 for messages about the study.
        attempt: number of the attempt, 0 for messages about the study.
    """

    kind: MessageKind
    study: str | None
    run: str | None
    recipient: str
    round: int = 0
    attempt: int = 0

    def __post_init__(self) -> None:
        """Deny by default: only the first messages may come from a study not known yet."""
        if (self.study is None or self.run is None) and self.kind not in _FIRST:
            raise WaistError(
                "RF-W117",
                N_("A {kind} message must be awaited for one study and one run."),
                kind=self.kind.value,
            )


def seal(
    identity: Identity,
    *,
    kind: MessageKind,
    study: str,
    run: str,
    sender: str,
    recipient: str,
    payload: bytes,
    round: int = 0,
    attempt: int = 0,
) -> bytes:
    """Sign a message and return its bytes on the wire; fields as in `Envelope`."""
    header = Header(
        kind=kind.value,
        study=study,
        run=run,
        round=round,
        attempt=attempt,
        sender=sender,
        recipient=None if recipient == EVERYONE else recipient,
        length=len(payload),
        payload="sha256:" + hashlib.sha256(payload).hexdigest(),
    )
    encoded = canonical(header.to_json())
    return b"".join((frame(_MAGIC, encoded), payload, identity.sign(_DOMAIN + encoded)))


def open_envelope(
    data: bytes, *, senders: Mapping[str, PublicIdentity], expect: Expected, max_bytes: int
) -> Envelope:
    """Verify a message and return it.

    Args:
        data: bytes from the network.
        senders: who may send it, by the names and keys pinned in the signed study.
        expect: the one binding the receiver waits for.
        max_bytes: greatest payload in bytes.

    Raises:
        WaistError: RF-W110 too large, RF-W102 to RF-W104 and RF-W111 malformed, RF-W112 unknown sender,
            RF-W113 wrong signature, RF-W114 payload altered, RF-W115 bound to something else, RF-W116 meant
            for somebody else.
    """
    if len(data) > max_bytes + _OVERHEAD:
        raise WaistError(
            "RF-W110",
            N_("A message of {size} bytes is larger than the {limit} allowed."),
            size=len(data),
            limit=max_bytes,
        )
    encoded, rest = unframe(data, _MAGIC)
    header = Header.from_json(parse_canonical(encoded))
    if header.length > max_bytes or len(rest) != header.length + _SIGNATURE:
        raise WaistError("RF-W104", N_("A message is cut short, or has bytes after its end."))
    _verify_sender(header, encoded, bytes(rest[header.length :]), senders)
    payload = bytes(rest[: header.length])
    if header.payload != "sha256:" + hashlib.sha256(payload).hexdigest():
        raise WaistError(
            "RF-W114", N_("The content of a message from {sender} was altered."), sender=header.sender
        )
    kind = _verify_binding(header, expect)
    return Envelope(
        kind=kind,
        study=header.study,
        run=header.run,
        round=header.round,
        attempt=header.attempt,
        sender=header.sender,
        recipient=EVERYONE if header.recipient is None else header.recipient,
        payload=payload,
    )


def read_header(data: bytes) -> Header:
    """What a message says of itself, before any signature was checked: only to find out how to open it.

    Raises:
        WaistError: RF-W102 to RF-W104 and RF-W111 malformed.
    """
    encoded, _ = unframe(data, _MAGIC)
    return Header.from_json(parse_canonical(encoded))


def _verify_sender(
    header: Header, encoded: bytes, signature: bytes, senders: Mapping[str, PublicIdentity]
) -> None:
    key = senders.get(header.sender)
    if key is None:
        raise WaistError("RF-W112", N_("A message names a sender that may not send it; it was refused."))
    try:
        key.verify(signature, _DOMAIN + encoded)
    except KeyFault as fault:
        raise WaistError(
            "RF-W113", N_("A message in the name of {sender} is not signed by its key."), sender=header.sender
        ) from fault


def _verify_binding(header: Header, expect: Expected) -> MessageKind:
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("kind", header.kind, expect.kind.value),
        ("study", header.study, header.study if expect.study is None else expect.study),
        ("run", header.run, header.run if expect.run is None else expect.run),
        ("round", header.round, expect.round),
        ("attempt", header.attempt, expect.attempt),
    )
    for field, found, wanted in pairs:
        if found != wanted:
            raise WaistError(
                "RF-W115",
                N_("A message from {sender} belongs to another {field}: found {found}, expected {wanted}."),
                sender=header.sender,
                field=field,
                found=found,
                wanted=wanted,
            )
    if header.recipient not in (None, expect.recipient):
        raise WaistError(
            "RF-W116", N_("A message from {sender} is meant for somebody else."), sender=header.sender
        )
    return expect.kind


def frame(magic: bytes, header: bytes) -> bytes:
    """`magic`, the header's length in four bytes, the header."""
    return b"".join((magic, len(header).to_bytes(4, "big"), header))


def unframe(
    data: bytes | memoryview, magic: bytes, max_header: int = _MAX_HEADER
) -> tuple[bytes, memoryview]:
    """Header and what follows it.

    Raises:
        WaistError: RF-W111 for another magic or a header that is too long, RF-W104 when bytes are missing.
    """
    view = memoryview(data)
    start = len(magic) + 4
    size = int.from_bytes(view[len(magic) : start], "big")
    if view[: len(magic)] != magic or size > max_header:
        raise WaistError("RF-W111", N_("The bytes received are no Ringfence message of this version."))
    if len(view) < start + size:
        raise WaistError("RF-W104", N_("A message is cut short, or has bytes after its end."))
    return bytes(view[start : start + size]), view[start + size :]
