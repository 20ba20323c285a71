"""Letters: a signed envelope that only its recipient can open, for ways that others carry.

Layout: `RFL2`, id of the recipient's key (32 bytes), HPKE's output over signature (64 bytes) and envelope.

Whoever carries a letter sees its size and which key opens it. `info` of the encryption is the version and
both fingerprints; the signature inside is by the sender's identity over the same, the recipient's key and the
envelope, so a recipient cannot seal the envelope anew to somebody else in the sender's name, and nobody can
take a letter for one of another version.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, TypeAlias

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.sealing import OVERHEAD, PUBLIC_BYTES, SealingKey, key_id, seal_to
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.wire.fields import Nonce, Number, Record, TextRule

MAGIC = b"RFL2"
KEY_DAYS = 7
"""Longest time for which a run's encryption key is certified; then the run goes on under a fresh one."""
_DOMAIN = b"ringfence/letter/v2\n"
_ID, _SIGNATURE = 32, 64
SEALED_BYTES = len(MAGIC) + _ID + OVERHEAD + _SIGNATURE
"""By how much a letter is longer than its envelope."""

SealingKeyHex: TypeAlias = Annotated[
    str,
    TextRule(
        kind="encryption key",
        pattern=re.compile(rf"[0-9a-f]{{{2 * PUBLIC_BYTES}}}"),
        max_bytes=2 * PUBLIC_BYTES,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting(Record):
    """Either side to the other, before a run's first letter: its encryption key for the run.

    It travels in a signed envelope, which certifies the key, and unsealed.

    Attributes:
        key: public half, `PUBLIC_BYTES` bytes as hex digits.
        until: end of its validity, seconds since 1970, UTC.
        nonce: fresh; the answer gives it back.
    """

    key: SealingKeyHex
    until: Number
    nonce: Nonce


def greeting(key: SealingKey, nonce: str, now: datetime) -> Greeting:
    """The greeting with one's own key."""
    until = int((now + timedelta(days=KEY_DAYS)).timestamp())
    return Greeting(key=key.public.hex(), until=until, nonce=nonce)


def require_valid(heard: Greeting, now: datetime) -> bytes:
    """The key of a greeting, valid at this moment and for no longer than a key may be.

    Raises:
        WaistError: RF-W310, where the clocks of both sides may be apart.
    """
    left = heard.until - now.timestamp()
    # An hour more than a key lives: two clocks never agree.
    if not 0 < left <= timedelta(days=KEY_DAYS, hours=1).total_seconds():
        raise WaistError(
            "RF-W310",
            N_(
                "The other side's encryption key ends {hours} hours from now by this clock; between 0 and "
                "{most} are expected. Compare the clocks of both sides."
            ),
            hours=round(left / 3600, 1),
            most=24 * KEY_DAYS,
        )
    return bytes.fromhex(heard.key)


def seal_letter(envelope: bytes, *, identity: Identity, recipient: PublicIdentity, key: bytes) -> bytes:
    """Sign and seal an envelope.

    Args:
        envelope: bytes of a signed envelope.
        identity: the sender's.
        recipient: whose key it is.
        key: the recipient's encryption key for the run.
    """
    info, opened_by = _info(identity.public, recipient), key_id(key)
    signature = identity.sign(_signed(info, opened_by, envelope))
    return b"".join((MAGIC, opened_by, seal_to(key, signature + envelope, info=info)))


def addressed_to(data: bytes) -> bytes:
    """Id of the key that opens a letter.

    Raises:
        WaistError: RF-W311 the bytes are no letter of this version.
    """
    if data[: len(MAGIC)] != MAGIC or len(data) < SEALED_BYTES:
        raise WaistError("RF-W311", N_("The bytes received are no letter of this version of Ringfence."))
    return data[len(MAGIC) : len(MAGIC) + _ID]


def open_letter(
    data: bytes, *, key: SealingKey, sender: PublicIdentity, own: PublicIdentity, max_bytes: int
) -> bytes:
    """The envelope in a letter, once its sender's signature holds.

    Raises:
        WaistError: RF-W110 too large, RF-W311 no letter, RF-W318 it names another key, RF-W312 it does not
            open, RF-W313 somebody else signed it.
    """
    if len(data) > max_bytes + SEALED_BYTES:
        raise WaistError(
            "RF-W110",
            N_("A message of {size} bytes is larger than the {limit} allowed."),
            size=len(data),
            limit=max_bytes,
        )
    if addressed_to(data) != key.id:
        raise WaistError("RF-W318", N_("A letter names another key than the one it was kept for."))
    info = _info(sender, own)
    try:
        inner = key.open(data[len(MAGIC) + _ID :], info=info)
    except KeyFault as fault:
        raise WaistError(
            "RF-W312", N_("A letter does not open with this run's key: {why}"), why=fault.sentence()
        ) from fault
    signature, envelope = inner[:_SIGNATURE], inner[_SIGNATURE:]
    try:
        sender.verify(signature, _signed(info, key.id, envelope))
    except KeyFault as fault:
        raise WaistError(
            "RF-W313", N_("A letter is not signed by its sender for this recipient's key.")
        ) from fault
    return envelope


def _info(sender: PublicIdentity, recipient: PublicIdentity) -> bytes:
    return _DOMAIN + f"{sender.fingerprint}\n{recipient.fingerprint}\n".encode()


def _signed(info: bytes, opened_by: bytes, envelope: bytes) -> bytes:
    return info + opened_by + hashlib.sha256(envelope).digest()
