"""Checkpoints (C2SP tlog-checkpoint): a log's signed statement of its size and root.

The body is three lines: the log's origin, the size in decimal, the root in base64. The origin is also the
name of the key that signs, so a checkpoint of one log never passes for another's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ringfence.audit.canonical import MAX_INTEGER
from ringfence.audit.errors import N_, NoteError
from ringfence.audit.merkle import EMPTY_ROOT, HASH_SIZE
from ringfence.audit.note import Signer, Verifier, decode_base64, parse_note, sign_note, verify_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a log: its origin, number of leaves and root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, signer: Signer) -> bytes:
        """The signed note of this checkpoint, under the origin's name."""
        return sign_note(self.body(), self.origin, signer)


def _size(text: str) -> int:
    if not _SIZE.fullmatch(text) or int(text) > MAX_INTEGER:
        raise NoteError("RF-A045", N_("The checkpoint's size is not a plain decimal number."))
    return int(text)


def parse_body(text: str) -> Checkpoint:
    """Read a checkpoint's body; extension lines are not accepted.

    Raises:
        NoteError: when it is malformed.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError(
            "RF-A046",
            N_("The note is not a checkpoint: three lines with origin, size and root are expected."),
        )
    size, root = _size(lines[1]), decode_base64(lines[2])
    if len(root) != HASH_SIZE:
        raise NoteError("RF-A047", N_("The checkpoint's root is not a 32-byte hash."))
    if size == 0 and root != EMPTY_ROOT:
        raise NoteError(
            "RF-A048", N_("The checkpoint of an empty log states a root that is not the empty one.")
        )
    return Checkpoint(origin=lines[0], size=size, root=root)


def read_unverified(data: bytes) -> Checkpoint:
    """What a note claims, before any signature was checked: only to find out which log it speaks of."""
    return parse_body(parse_note(data).text)


def verify_checkpoint(data: bytes, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint of a note that the log itself signed.

    Args:
        data: the signed note.
        verifiers: trusted keys; the one that counts is named like the checkpoint's origin.

    Raises:
        NoteError: when the note is malformed, badly signed, or not signed by the log it speaks of.
    """
    return signed_checkpoint(data, verifiers)[0]


def signed_checkpoint(data: bytes, verifiers: Sequence[Verifier]) -> tuple[Checkpoint, Verifier]:
    """As `verify_checkpoint`, with the log's key that signed it."""
    text, good = verify_note(data, verifiers)
    checkpoint = parse_body(text)
    for verifier in good:
        if verifier.name == checkpoint.origin:
            return checkpoint, verifier
    raise NoteError(
        "RF-A049",
        N_("The checkpoint speaks of log {origin}, but that log's own key did not sign it."),
        origin=checkpoint.origin,
    )
