"""Tiny studies that take a blink, and replies changed on their way by whoever holds the sender's key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kits.parties import Parties, federation_of
from ringfence.audit.log import AuditLog
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import KINDS, ControlMessage, decode, seal_message
from ringfence.privacy.wire.envelope import Envelope, Expected, MessageKind, open_envelope, read_header, seal
from ringfence.privacy.wire.payload import decode_update

THREE = ("bank", "partner", "retailer")
Message = TypeVar("Message", bound=ControlMessage)


def tiny(folder: Path, names: tuple[str, ...] = THREE, **study: Any) -> Parties:
    """A scorecard of two features and one gradient over few customers."""
    fields: dict[str, Any] = {
        "model": {"iterations": 1},
        "evaluation": {"test_fraction": "0"},
        "features": ["active", "plan"],
    }
    federation = federation_of(
        folder,
        names=names,
        customers=100,
        contracts={name: {"min_cohort": 1} for name in names},
        **(fields | study),
    )
    return Parties.of(federation)


def events(log: AuditLog, *actions: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Action, outcome, resource and public part of the events of a log; all, or some kinds."""
    found = (entry.event for entry in log.events())
    return [
        (event.action, event.outcome, event.resource, dict(event.public))
        for event in found
        if not actions or event.action in actions
    ]


def envelope_of(parties: Parties, data: bytes) -> Envelope:
    """Any sealed message of the run, whoever sent it."""
    header, opened = read_header(data), parties.federation.opened
    senders = dict(opened.participants)
    senders["coordinator"] = parties.federation.coordinator.identity.public
    expect = Expected(
        kind=MessageKind(header.kind),
        study=header.study,
        run=header.run,
        recipient=header.recipient,
        round=header.round,
        attempt=header.attempt,
    )
    return open_envelope(data, senders=senders, expect=expect, max_bytes=1 << 24)


def message_of(parties: Parties, cls: type[Message], data: bytes) -> Message:
    """What is in it."""
    return decode(cls, envelope_of(parties, data).payload)


def sealed_like(parties: Parties, message: ControlMessage, data: bytes, **changes: Any) -> bytes:
    """Another message in the place of a reply: sealed by its sender, with some bindings changed."""
    header = read_header(data)
    signer: Identity = changes.pop("identity", None) or parties.federation.keys[header.sender].identity
    bindings: dict[str, Any] = {
        "study": header.study,
        "run": header.run,
        "sender": header.sender,
        "recipient": header.recipient,
        "round": header.round,
        "attempt": header.attempt,
    }
    return seal_message(signer, message, **(bindings | changes))


Rule = Callable[[ControlMessage, bytes], bytes]


def rewrite(
    parties: Parties,
    cls: type[ControlMessage],
    rules: Mapping[str, Rule],
    *,
    turn: tuple[int, int] | None = None,
) -> None:
    """Put other bytes in the place of the replies of a kind: each holder's rule gets message and bytes.

    Args:
        parties: of the study.
        cls: the kind.
        rules: by holder.
        turn: round and attempt; every one by default.
    """

    def change(name: str, _message: bytes, reply: bytes) -> bytes:
        if not reply or name not in rules:
            return reply
        header = read_header(reply)
        if header.kind != KINDS[cls] or turn not in (None, (header.round, header.attempt)):
            return reply
        return rules[name](message_of(parties, cls, reply), reply)

    parties.wire.on_reply = change


def update_of(parties: Parties, data: bytes) -> tuple[Any, Any]:
    """The words and the ledger head of a data message, whatever its length."""
    plan = parties.federation.opened.plan
    envelope = envelope_of(parties, data)
    for bits in (32, 64):
        for length in range(1, sum(each.max_length for each in plan.rounds) + 1):
            try:
                return decode_update(envelope, length=length, word_bits=bits)
            except WaistError:
                continue
    raise AssertionError("no update")


def resealed(parties: Parties, data: bytes, payload: bytes | None = None, **changes: Any) -> bytes:
    """A data message with another payload or other bindings, sealed by its sender."""
    header = read_header(data)
    signer = changes.pop("identity", None) or parties.federation.keys[header.sender].identity
    bindings: dict[str, Any] = {
        "kind": MessageKind(header.kind),
        "study": header.study,
        "run": header.run,
        "sender": header.sender,
        "recipient": header.recipient,
        "round": header.round,
        "attempt": header.attempt,
    }
    whole = envelope_of(parties, data).payload if payload is None else payload
    return seal(signer, payload=whole, **(bindings | changes))
