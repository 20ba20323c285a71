"""Where a holder's ledger and log stand, as other parties keep it.

A ledger head is signed by its holder. Another party shows it back when the next study is offered, and a
holder that finds its own signature on an entry it no longer has knows that its disk was rolled back. Nobody
else can make a holder freeze: a head without its signature is refused and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.wire.fields import Digest, Number, Record, SignatureHex, canonical

_DOMAIN = b"ringfence/ledger-head/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead(Record):
    """Last entry of a holder's ledger: its sequence number and hash, signed by the holder."""

    sequence: Number
    hash: Digest
    signature: SignatureHex


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition(Record):
    """Size and Merkle root of a holder's audit log."""

    size: Number
    root: Digest


def sign_head(identity: Identity, *, sequence: int, entry_hash: str) -> LedgerHead:
    """A holder's statement of its ledger's head.

    Args:
        identity: the holder's key.
        sequence: number of the last entry.
        entry_hash: its hash, 64 hexadecimal digits.
    """
    digest = f"sha256:{entry_hash}"
    signature = identity.sign(_DOMAIN + canonical({"sequence": sequence, "hash": digest})).hex()
    return LedgerHead(sequence=sequence, hash=digest, signature=signature)


def verify_head(head: LedgerHead, holder: PublicIdentity) -> LedgerHead:
    """The head, once it was found signed by its holder.

    Raises:
        WaistError: RF-W166 when it is not.
    """
    try:
        holder.verify(
            bytes.fromhex(head.signature), _DOMAIN + canonical({"sequence": head.sequence, "hash": head.hash})
        )
    except KeyFault as fault:
        raise WaistError(
            "RF-W166", N_("A ledger head is not signed by the holder it is said to be of; it was not used.")
        ) from fault
    return head
