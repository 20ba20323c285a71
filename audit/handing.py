"""How a log in its store changes its key: one event, and a checkpoint that both keys sign, kept here.

Invariant: the store says which key is in force, in the transaction of the event; a log that is opened with
    another is refused. What a change means is said in `ringfence.audit.verification.keychain`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ringfence.audit import store
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.errors import N_, LogError, NoteError
from ringfence.audit.events import Draft, draft_event
from ringfence.audit.merkle import Frontier
from ringfence.audit.note import Signer, Verifier
from ringfence.audit.verification.keychain import ACTION, LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """What is said of a change of key in its event.

    Attributes:
        former: the key so far; None where it was lost.
        successor: the next one.
        reason: why, a token; `lost` where there is no former key.
        document: `sha256:` of what people signed.
    """

    former: Signer | None
    successor: Signer
    reason: str
    document: str

    def draft(self, own: Verifier, connection: Connection) -> Draft:
        """The event, for the log whose key in force is `own`.

        Raises:
            LogError: RF-A258 the keys do not fit.
        """
        fits = self.former is None or self.former.public.raw == own.raw
        if not fits or self.successor.public.raw == own.raw or (self.former is None) != (self.reason == LOST):
            raise LogError(
                "RF-A258",
                N_(
                    "The keys do not fit: the log's own key has to hand over, to another one; nothing was "
                    "changed."
                ),
            )
        number = len(store.read_handovers(connection, own.name)) + 1
        successor = Verifier(name=own.name, raw=self.successor.public.raw)
        return draft_event(
            ACTION,
            "allow",
            resource=f"log:{own.name}",
            public={
                "former": str(own),
                "successor": str(successor),
                "number": number,
                "reason": self.reason,
                "document": self.document,
            },
        )

    def sign(self, origin: str, tree: Frontier, connection: Connection, log: int = store.FIRST) -> bytes:
        """Sign and keep the handover over the tree that ends with the event."""
        made = Checkpoint(origin=origin, size=tree.size, root=tree.root())
        note = made.sign(self.successor)
        if self.former is not None:
            note = made.sign(self.former) + note.rpartition(b"\n\n")[2]
        store.keep_checkpoint(connection, origin, made.size, made.root, note, log)
        store.keep_handover(connection, origin, made.size, self.successor.public.raw, note)
        return note


def require_in_force(connection: Connection, own: Verifier, note: bytes) -> None:
    """Refuse a log that is opened with another key than the one in force, which signed its last checkpoint.

    Raises:
        LogError: RF-A257 the key was replaced, RF-A069 it did not sign.
    """
    made = store.read_handovers(connection, own.name)
    if made and made[-1].successor != own.raw:
        raise LogError(
            "RF-A257",
            N_(
                "The log {origin} changed its key at {size} events, and it was opened with another than the "
                "one in force now."
            ),
            origin=own.name,
            size=made[-1].size,
        )
    try:
        verify_checkpoint(note, [own])
    except NoteError as error:
        raise LogError(
            "RF-A069",
            N_(
                "The last checkpoint of {origin} was signed by another key, and no handover says that the "
                "key changed."
            ),
            origin=own.name,
        ) from error
