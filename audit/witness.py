"""Cosignatures (C2SP tlog-cosignature, v1): a witness states that a checkpoint continues all it saw before.

A quorum of witnesses binds a log to one history: two checkpoints that exclude each other cannot both be
cosigned by an honest one. The witness's memory is its own log, see `AuditLog.cosign`; here are the format and
its check.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.errors import N_, NoteError
from ringfence.audit.note import Signer, Verifier, decode_base64, parse_note, verify_note

COSIGNATURE = 0x04
_TIME_SIZE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey(Verifier):
    """A named witness key; its text form is `name+keyid+base64(0x04 || key)`."""

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || 0x0A || 0x04 || key)."""
        return sha256(self.name.encode() + b"\n" + bytes([COSIGNATURE]) + self.raw).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([COSIGNATURE]) + self.raw).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> WitnessKey:
        """Read the text form.

        Raises:
            NoteError: when it is malformed, of another kind, or its key id does not belong to the key.
        """
        parts = text.split("+", 2)
        key = decode_base64(parts[2]) if len(parts) == 3 else b""
        if len(key) != 33 or key[0] != COSIGNATURE:
            raise NoteError(
                "RF-A120", N_("The text is not a witness key; the form name+keyid+base64 is expected.")
            )
        found = cls(name=parts[0], raw=key[1:])
        if found.key_id.hex() != parts[1]:
            raise NoteError(
                "RF-A121", N_("The key id of witness {name} does not belong to its key."), name=parts[0]
            )
        return found

    def check(self, message: bytes, signature: bytes) -> None:
        """Raise `NoteError` unless the cosignature over the checkpoint's body is this witness's."""
        stamp = int.from_bytes(signature[:_TIME_SIZE], "big")
        # Explicit base: zero-argument super() does not work in a slotted dataclass.
        Verifier.check(self, _message(message, stamp), signature[_TIME_SIZE:])


def _message(body: bytes, stamp: int) -> bytes:
    return f"cosignature/v1\ntime {stamp}\n".encode() + body


def cosign_body(body: bytes, *, signer: Signer, stamp: int) -> bytes:
    """The 64-byte signature of a witness over a checkpoint's body and the moment.

    Args:
        body: the three lines of the checkpoint; it must be checked and stored first.
        signer: key of the witness, not the key of any log.
        stamp: seconds since 1970 in UTC.
    """
    return signer.sign(_message(body, stamp))


def check_cosignature(body: bytes, key: WitnessKey, *, stamp: int, signature: bytes) -> None:
    """Raise `NoteError` unless the witness made this cosignature of a checkpoint's body at that moment."""
    if not 0 <= stamp < 1 << 63:
        raise NoteError("RF-A123", N_("The moment of the cosignature by {name} is no time."), name=key.name)
    key.check(body, stamp.to_bytes(_TIME_SIZE, "big") + signature)


def add_cosignature(note: bytes, *, name: str, signer: Signer, stamp: int) -> bytes:
    """The note with one more line: this witness's cosignature.

    The caller must have checked and stored the checkpoint first; `AuditLog.cosign` does.

    Args:
        note: a checkpoint signed by its log.
        name: name of the witness.
        signer: key of the witness, not the key of any log.
        stamp: seconds since 1970 in UTC.

    Raises:
        NoteError: when the note is malformed or the signer's answer does not verify.
    """
    body = parse_note(note).text.encode()
    key = WitnessKey(name=name, raw=signer.public.raw)
    value = stamp.to_bytes(_TIME_SIZE, "big") + cosign_body(body, signer=signer, stamp=stamp)
    key.check(body, value)
    line = f"\u2014 {name} {base64.b64encode(key.key_id + value).decode()}\n"
    return note + line.encode()


def verify_cosigned(note: bytes, log: Verifier, witnesses: Sequence[WitnessKey], quorum: int) -> Checkpoint:
    """The checkpoint of a note that its log signed and enough witnesses cosigned.

    Args:
        note: the signed note with its cosignatures.
        log: key of the log.
        witnesses: keys of the witnesses that count.
        quorum: how many different ones are needed, at least 1.

    Raises:
        NoteError: when the note is malformed, a known key's signature is bad, or too few witnesses cosigned.
    """
    checkpoint = verify_checkpoint(note, [log])
    known = {key.raw: key for key in witnesses}
    _, good = verify_note(note, [log, *known.values()])
    count = sum(isinstance(key, WitnessKey) for key in good)
    if quorum < 1 or count < quorum:
        raise NoteError(
            "RF-A122",
            N_(
                "Cosignatures of known witnesses under the checkpoint of {origin}: {count}; {quorum} are "
                "needed."
            ),
            origin=checkpoint.origin,
            count=count,
            quorum=max(quorum, 1),
        )
    return checkpoint
