"""Signed notes (C2SP signed-note): a short text and Ed25519 signatures by named keys under it.

A verifier names the keys it trusts. Signatures by unknown keys are passed over, a signature that claims a
known key but does not verify is refused, and a note without any good signature is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringfence.audit.errors import N_, NoteError

ED25519 = 0x01
MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100
_DASH = "\u2014 "


class RawKey(Protocol):
    """A public key in its raw form."""

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the Ed25519 public key."""
        ...


class Signer(Protocol):
    """What signs a log's checkpoints: an Ed25519 key kept wherever its owner keeps keys."""

    @property
    def public(self) -> RawKey:
        """The public half."""
        ...

    def sign(self, message: bytes, /) -> bytes:
        """The 64-byte Ed25519 signature of a message."""
        ...


@dataclass(frozen=True, slots=True)
class RawPublic:
    """The public half of a `MemorySigner`."""

    raw: bytes


class MemorySigner:
    """An Ed25519 key that lives as long as the process: for tests and simulations."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = RawPublic(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes, /) -> bytes:
        """The 64-byte signature."""
        return self._key.sign(message)


def decode_base64(text: str) -> bytes:
    """Standard base64 in its one canonical form.

    Raises:
        NoteError: for other characters, missing padding or stray bits in the last character.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.b64encode(data).decode() != text:
        raise NoteError("RF-A031", N_("A field is not in canonical base64; the note was altered or cut."))
    return data


def check_key_name(name: str) -> str:
    """Return a key name that signed notes allow.

    Raises:
        NoteError: when it is empty, or holds a space, a plus sign or a control character.
    """
    if not name or "+" in name or not name.isprintable() or any(c.isspace() for c in name):
        raise NoteError(
            "RF-A032",
            N_("The key name {name} is not usable; it may hold no space, plus sign or control character."),
            name=name,
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A named Ed25519 public key; its text form is `name+keyid+base64(0x01 || key)`."""

    name: str
    raw: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.raw) != 32:
            raise NoteError(
                "RF-A033", N_("An Ed25519 public key has 32 bytes; {count} found."), count=len(self.raw)
            )

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || 0x0A || 0x01 || key)."""
        return sha256(self.name.encode() + b"\n" + bytes([ED25519]) + self.raw).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([ED25519]) + self.raw).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read the text form.

        Raises:
            NoteError: when it is malformed, of another algorithm, or its key id does not belong to the key.
        """
        parts = text.split("+", 2)
        key = decode_base64(parts[2]) if len(parts) == 3 else b""
        if len(key) != 33 or key[0] != ED25519:
            raise NoteError(
                "RF-A034",
                N_("The text is not an Ed25519 verifier key; the form name+keyid+base64 is expected."),
            )
        verifier = cls(name=parts[0], raw=key[1:])
        if verifier.key_id.hex() != parts[1]:
            raise NoteError("RF-A035", N_("The key id of {name} does not belong to its key."), name=parts[0])
        return verifier

    def check(self, message: bytes, signature: bytes) -> None:
        """Raise `NoteError` unless the signature over the message is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise NoteError(
                "RF-A036",
                N_("The signature by {name} does not verify; the note was altered."),
                name=self.name,
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line, not yet verified: key name, 4-byte key id, signature."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A parsed note, nothing verified: the text with its last newline, and the signature lines."""

    text: str
    signatures: tuple[Signature, ...]


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise NoteError("RF-A037", N_("A signature line of the note is malformed."))
    value = decode_base64(encoded)
    if len(value) < 5:
        raise NoteError("RF-A038", N_("A signature of the note is too short."))
    return Signature(name=check_key_name(name), key_id=value[:4], value=value[4:])


def parse_note(data: bytes) -> Note:
    """Split a note into text and signatures; nothing is verified.

    Raises:
        NoteError: when it is not a signed note.
    """
    if len(data) > MAX_NOTE:
        raise NoteError("RF-A039", N_("The note is larger than {limit} bytes."), limit=MAX_NOTE)
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteError("RF-A040", N_("The note is not UTF-8 text.")) from None
    text, gap, tail = whole.rpartition("\n\n")
    control = any(c < " " and c != "\n" for c in whole)
    if not gap or not text or not tail.endswith("\n") or control:
        raise NoteError(
            "RF-A041",
            N_("The file is not a signed note: a text, an empty line and signature lines are expected."),
        )
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError("RF-A042", N_("The note has more than {limit} signatures."), limit=MAX_SIGNATURES)
    return Note(text=text + "\n", signatures=tuple(_signature(line) for line in lines))


def verify_note(data: bytes, verifiers: Sequence[Verifier]) -> tuple[str, tuple[Verifier, ...]]:
    """The text of a note and the keys whose signatures were found good, at least one.

    Raises:
        NoteError: when the note is malformed, a known key's signature is bad, or no known key signed.
    """
    note = parse_note(data)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    good: list[Verifier] = []
    for signature in note.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None or verifier in good:
            continue
        verifier.check(note.text.encode(), signature.value)
        good.append(verifier)
    if not good:
        raise NoteError(
            "RF-A043",
            N_(
                "No known key signed the note; it names {names}. Trust one of these keys, or refuse the note."
            ),
            names=", ".join(sorted({signature.name for signature in note.signatures})),
        )
    return note.text, tuple(good)


def sign_note(text: str, name: str, signer: Signer) -> bytes:
    """A note over `text` (ends with a newline) with one signature.

    Raises:
        NoteError: when the text or the name is not allowed, or the signer's answer does not verify.
    """
    verifier = Verifier(name=name, raw=signer.public.raw)
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise NoteError("RF-A044", N_("A note's text ends with a newline and holds no control characters."))
    signature = signer.sign(text.encode())
    # A faulty key store is found here, not by the first auditor.
    verifier.check(text.encode(), signature)
    encoded = base64.b64encode(verifier.key_id + signature).decode()
    return f"{text}\n{_DASH}{name} {encoded}\n".encode()
