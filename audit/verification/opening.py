"""One opened event: leaf, salt, private part, inclusion proof and checkpoint, in one file for one auditor.

The owner of a log hands it out; whoever holds the log's key can check it alone, without the rest of the log.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from ringfence.audit.canonical import HEX_64, Json, dumps, is_whole, loads
from ringfence.audit.checkpoint import Checkpoint, read_unverified, verify_checkpoint
from ringfence.audit.errors import N_, EventError
from ringfence.audit.events import Event, open_event, parse_event
from ringfence.audit.merkle import leaf_hash, verify_inclusion
from ringfence.audit.note import Verifier, decode_base64
from ringfence.audit.verification.trust import TrustedKey, verifiers

FORMAT = "ringfence-opened-event/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEvent:
    """What a verified opening shows: the event, its number, its private part and the checkpoint above it."""

    index: int
    event: Event
    private: dict[str, Json]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An opening as it is handed over, not yet verified.

    Attributes:
        leaf: exact bytes of the event.
        index: its number in the log.
        salt: the 32 bytes that blind its private part.
        private: canonical bytes of its private part.
        proof: inclusion proof under the checkpoint.
        checkpoint: signed note of the log.
    """

    leaf: bytes
    index: int
    salt: bytes
    private: bytes
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def dumps(self) -> bytes:
        """The file's bytes: canonical JSON and a newline."""
        members: dict[str, Json] = {
            "format": FORMAT,
            "leaf": self.leaf.decode(),
            "index": self.index,
            "salt": self.salt.hex(),
            "private": self.private.decode(),
            "proof": [base64.b64encode(item).decode() for item in self.proof],
            "checkpoint": self.checkpoint.decode(),
        }
        return dumps(members) + b"\n"

    @classmethod
    def loads(cls, data: bytes) -> Opening:
        """Read the file's bytes; nothing is verified.

        Raises:
            EventError: when it is not an opened event.
            CanonicalError: when it is not canonical JSON.
        """
        match loads(data.removesuffix(b"\n")):
            case {
                "format": str(form),
                "leaf": str(leaf),
                "index": index,
                "salt": str(salt),
                "private": str(private),
                "proof": list(proof),
                "checkpoint": str(checkpoint),
                **rest,
            } if (
                form == FORMAT
                and not rest
                and is_whole(index, 0)
                and HEX_64.fullmatch(salt)
                and all(isinstance(item, str) for item in proof)
            ):
                return cls(
                    leaf=leaf.encode(),
                    index=index,
                    salt=bytes.fromhex(salt),
                    private=private.encode(),
                    proof=tuple(decode_base64(str(item)) for item in proof),
                    checkpoint=checkpoint.encode(),
                )
        raise EventError(
            "RF-A055", N_("The file is not an opened event; one that a log's owner wrote is expected.")
        )

    def verify(self, trusted: Sequence[Verifier | TrustedKey]) -> OpenedEvent:
        """Check commitment, inclusion and signature.

        Args:
            trusted: keys of logs; one of them must have signed the checkpoint.

        Raises:
            EventError: when salt and private part are not the committed ones.
            ProofError: when the event does not stand under the checkpoint.
            NoteError: when the checkpoint is not signed by a trusted key.
        """
        keys = [key if isinstance(key, TrustedKey) else TrustedKey.of(key) for key in trusted]
        origin = read_unverified(self.checkpoint).origin
        checkpoint = verify_checkpoint(self.checkpoint, verifiers(keys, origin))
        verify_inclusion(self.index, checkpoint.size, leaf_hash(self.leaf), self.proof, checkpoint.root)
        private = open_event(self.leaf, self.salt, self.private)
        return OpenedEvent(
            index=self.index, event=parse_event(self.leaf), private=private, checkpoint=checkpoint
        )
