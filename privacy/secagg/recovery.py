"""A holder's part in a sum that outlives drop-outs: double masking (Bonawitz et al. 2017, section 4).

Every member shares two secrets of the attempt among its partners: the seed of its own mask (of which it keeps
a share too) and the private half of its masking key. When the answers are in and a quorum has signed who gave
one, each survivor reveals

    for a partner that answered      its share of the seed       (the own mask comes off)
    for a partner that did not       its share of the key        (the masks of its pairs come off)

Invariant: of one partner a holder reveals one kind in an attempt, never the other, because the kind follows
from the one list that it signed, which is durable before the signature. With both kinds a single vector would
show; with the key alone a vector that comes late stays under its own mask.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.secagg import shamir
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, EphemeralMessage
from ringfence.privacy.secagg.roster import MAX_HOLDERS, Roster, RosterView
from ringfence.privacy.secagg.survivors import Settled
from ringfence.privacy.wire.fields import AtMost, Name, Record, SealedHex, ShareHex, canonical

_NONCE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShares(Record):
    """Shares of one member's two secrets for one partner, readable by that partner only."""

    sender: Name
    recipient: Name
    box: SealedHex


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShare(Record):
    """A share that was revealed: of whose secret, and its value."""

    holder: Name
    value: ShareHex


OpenShares: TypeAlias = Annotated[tuple[OpenShare, ...], AtMost(MAX_HOLDERS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed(Record):
    """Holder to coordinator: its shares of seeds of those who answered, and of keys of those who did not."""

    seeds: OpenShares
    keys: OpenShares


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """What a holder dealt: boxes for its partners, and its own share of its own seed."""

    boxes: tuple[SealedShares, ...]
    own: bytes


def number_of(layout: RosterView, name: str) -> int:
    """The number that a member's shares are values at."""
    return layout.names.index(name) + 1


def deal(keys: EphemeralKeys, roster: Roster) -> Deal:
    """Share this holder's two secrets among its partners.

    Args:
        keys: of the attempt that the roster is for.
        roster: as this holder verified it.
    """
    numbers = {name: number_of(roster, name) for name in (roster.own, *roster.graph.partners(roster.own))}
    threshold = roster.design.threshold
    seeds = shamir.split(keys.self_seed, threshold=threshold, numbers=numbers.values())
    masking = shamir.split(keys.masking_key(), threshold=threshold, numbers=numbers.values())
    boxes = tuple(
        _sealed(keys, roster, peer.holder, seeds[numbers[peer.holder]] + masking[numbers[peer.holder]])
        for peer in roster.partners
    )
    return Deal(boxes=boxes, own=seeds[numbers[roster.own]])


def check_boxes(roster: Roster, boxes: Sequence[SealedShares]) -> Mapping[str, SealedShares]:
    """The boxes meant for this holder, by sender: one of each partner.

    Raises:
        WaistError: RF-W182.
    """
    partners = roster.graph.partners(roster.own)
    if sorted(box.sender for box in boxes) != list(partners) or {box.recipient for box in boxes} != {
        roster.own
    }:
        raise WaistError(
            "RF-W182", N_("The shares relayed to this holder are not one box of each of its partners.")
        )
    return {box.sender: box for box in boxes}


def reveal(keys: EphemeralKeys, settled: Settled, dealt: Deal, boxes: Mapping[str, SealedShares]) -> Revealed:
    """The shares that this holder owes for a list that a quorum signed.

    A box that does not open is left out: its sender harms its own recovery, which has other shares to go by.

    Args:
        keys: of the attempt.
        settled: the list; the kind of every share follows from it.
        dealt: what this holder dealt.
        boxes: what its partners dealt it, by sender.
    """
    roster, names = settled.roster, set(settled.names)
    seeds = [OpenShare(holder=roster.own, value=dealt.own.hex())]
    masking = []
    for peer in roster.partners:
        opened = opened_share(keys, roster, boxes[peer.holder])
        if opened is None:
            continue
        seed, key = opened[: shamir.SHARE_BYTES], opened[shamir.SHARE_BYTES :]
        if peer.holder in names:
            seeds.append(OpenShare(holder=peer.holder, value=seed.hex()))
        else:
            masking.append(OpenShare(holder=peer.holder, value=key.hex()))
    return Revealed(seeds=tuple(seeds), keys=tuple(masking))


def _sealed(keys: EphemeralKeys, roster: Roster, recipient: str, shares: bytes) -> SealedShares:
    cipher, bound = _cipher(keys, roster, recipient, sender=roster.own, recipient=recipient)
    nonce = os.urandom(_NONCE)
    return SealedShares(
        sender=roster.own, recipient=recipient, box=(nonce + cipher.encrypt(nonce, shares, bound)).hex()
    )


def opened_share(keys: EphemeralKeys, roster: Roster, box: SealedShares) -> bytes | None:
    """What a sealed box holds, or None where it was not sealed for this holder in this attempt."""
    cipher, bound = _cipher(keys, roster, box.sender, sender=box.sender, recipient=roster.own)
    raw = bytes.fromhex(box.box)
    try:
        return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], bound)
    except InvalidTag:
        return None


def _cipher(
    keys: EphemeralKeys, roster: Roster, peer: str, *, sender: str, recipient: str
) -> tuple[AESGCM, bytes]:
    """AES-256-GCM under a key of this pair, this direction, this roster of this attempt."""
    (message,) = (member for member in roster.members if member.holder == peer)
    assert isinstance(message, EphemeralMessage)
    info = canonical(
        {"type": "ringfence/share/v1", "roster": roster.digest, "sender": sender, "recipient": recipient}
    )
    secret = keys.seal_with(bytes.fromhex(message.sealing))
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)), info
