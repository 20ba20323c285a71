"""Where a holder's ledger and log stand, as other parties keep it.

A ledger head is signed by its holder for whoever is shown one of its logs. That party shows it back when the
next study is offered, and a holder that finds its own signature on an entry it no longer has knows that its
disk was rolled back. Nobody else can make a holder freeze: a head without its signature, or one that was
shown to another party, is refused and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.wire.fields import Digest, MarkHex, Number, Record, SignatureHex, canonical

_DOMAIN = b"ringfence/ledger-head/v2\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead(Record):
    """Last entry of a holder's ledger as a mark that only the holder recognises, signed by the holder."""

    mark: MarkHex
    signature: SignatureHex


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition(Record):
    """Size and Merkle root of a holder's audit log."""

    size: Number
    root: Digest


def sign_head(identity: Identity, *, mark: str, log: str) -> LedgerHead:
    """A holder's statement of its ledger's head.

    Args:
        identity: the holder's key.
        mark: 128 hexadecimal digits (privacy/ledger/marks.py).
        log: name of the holder's log that is shown to the same party.
    """
    return LedgerHead(mark=mark, signature=identity.sign(_body(mark, log)).hex())


def verify_head(head: LedgerHead, holder: PublicIdentity, log: str) -> LedgerHead:
    """The head, once it was found signed by its holder, beside this log.

    Raises:
        WaistError: RF-W166 when it is not.
    """
    try:
        holder.verify(bytes.fromhex(head.signature), _body(head.mark, log))
    except KeyFault as fault:
        raise WaistError(
            "RF-W166", N_("A ledger head is not signed by the holder it is said to be of; it was not used.")
        ) from fault
    return head


def _body(mark: str, log: str) -> bytes:
    return _DOMAIN + canonical({"log": log, "mark": mark})
