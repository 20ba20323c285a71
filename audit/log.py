"""The append-only log of one organisation: record events, sign checkpoints, prove, anchor and export.

Invariants:
- An event is durable before `record` returns; given a connection it stands or falls with that transaction.
- The log never signs a checkpoint that does not continue the last one it signed; both stand in the store.
- Nothing about the tree is kept in memory, so no rollback and no second process can leave it behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, get_args

from sqlalchemy import Connection, Engine

from ringfence.audit import merkle, store
from ringfence.audit.bundle import LogFiles
from ringfence.audit.canonical import Json
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.errors import N_, LogError
from ringfence.audit.events import Draft, Event, LoggedEvent, Outcome, Profile, draft_event, parse_event
from ringfence.audit.export import PAGE, export
from ringfence.audit.group import GroupCommit
from ringfence.audit.guard import check_token
from ringfence.audit.handing import KeyChange, require_in_force
from ringfence.audit.note import Signer, Verifier, check_key_name
from ringfence.audit.verification.opening import Opening
from ringfence.audit.witness import add_cosignature

T = TypeVar("T")


class AuditLog:
    """A log in a database made elsewhere; satisfies the `Journal` protocol of the privacy layer.

    Args:
        engine: the store. Its pragmas and isolation are its maker's business.
        origin: the log's name in the world and its key's name, e.g. `ringfence.example/holder/bank-a`.
        signer: the log's key.
        organisation: who runs the log; a token, no person.
        actor: who acts through this object, a role or program, e.g. `client`.
        profile: `durable`, or `simulation` when the store is in memory; every event names it.
        clock: the present moment in UTC.
        number: of the log in its store; the others of the store know nothing of it.

    Raises:
        EventError: when a name may not stand in an event.
        NoteError: when the origin cannot name a key.
        LogError: when the store holds another log, or is not as this log left it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        origin: str,
        signer: Signer,
        organisation: str,
        actor: str,
        profile: Profile,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        number: int = store.FIRST,
    ) -> None:
        check_key_name(check_token(origin, "origin"))
        check_token(organisation, "organisation")
        check_token(actor, "actor")
        if profile not in get_args(Profile):
            raise LogError(
                "RF-A063",
                N_("The profile {profile} is unknown; durable or simulation is expected."),
                profile=profile,
            )
        self.origin = origin
        self.organisation = organisation
        self.actor = actor
        self.profile: Profile = profile
        self.number = number
        self._engine = engine
        self._signer = signer
        self._clock = clock
        self._group: GroupCommit[tuple[str, Draft]] = GroupCommit(self._commit)
        store.create_log(engine, origin, number)
        self.check()

    def acting_as(self, actor: str) -> AuditLog:
        """The same log for another actor, with sequence numbers of its own; shares the group commit."""
        check_token(actor, "actor")
        other = object.__new__(AuditLog)
        other.__dict__.update(self.__dict__)
        other.actor = actor
        return other

    @property
    def verifier(self) -> Verifier:
        """The key that auditors check this log's checkpoints with."""
        return Verifier(name=self.origin, raw=self._signer.public.raw)

    def record(
        self,
        action: str,
        outcome: Outcome,
        *,
        resource: str,
        public: Mapping[str, Json] | None = None,
        private: Mapping[str, Json] | None = None,
        connection: Connection | None = None,
    ) -> int:
        """Append one event and return its number in the log, from 0.

        Without a connection, events of concurrent callers share a transaction, and this returns once theirs
        is durable. With one, the event is written in the caller's transaction, and is durable when that
        commits.

        Args:
            action: a name from `ringfence.audit.catalogue.EVENT_TYPES`.
            outcome: allow, deny or error.
            resource: what it was done to, e.g. `study:sha256:...`; a token without spaces.
            public: members everybody may read.
            private: members that stay in this store; the leaf holds their salted digest.
            connection: an open transaction on the same engine.

        Raises:
            EventError: when the event may not be logged as it is.
            CanonicalError: when a value has no canonical form (floats, null).
        """
        made = draft_event(action, outcome, resource=resource, public=public, private=private)
        if connection is None:
            return self._group.submit((self.actor, made))
        return self.append([made], connection)[0]

    def append(self, drafts: Sequence[Draft], connection: Connection) -> list[int]:
        """Append a batch within the caller's transaction; return the events' numbers."""
        if connection.engine.pool is not self._engine.pool:
            raise LogError(
                "RF-A064",
                N_("The transaction belongs to another store than the log; use one engine for both."),
            )
        return self._append([(self.actor, made) for made in drafts], connection)

    def _commit(self, batch: Sequence[tuple[str, Draft]]) -> list[int]:
        with self._engine.begin() as connection:
            return self._append(batch, connection)

    def _append(self, batch: Sequence[tuple[str, Draft]], connection: Connection) -> list[int]:
        if not batch:
            return []
        tree = store.lock(connection, self.number)
        numbers = self._sequences(batch, connection)
        first, events, privates = tree.size, [], []
        for seq, ((actor, made), sequence) in enumerate(zip(batch, numbers, strict=True), first):
            leaf = self._event(actor, made, sequence).leaf()
            closed = b"".join(tree.append(merkle.leaf_hash(leaf)))
            events.append(
                {"seq": seq, "action": made.action, "resource": made.resource, "leaf": leaf, "closed": closed}
            )
            privates.append({"seq": seq, "salt": made.salt, "body": made.private})
        store.append_events(connection, events, privates, tree, self.number)
        return list(range(first, tree.size))

    def _sequences(self, batch: Sequence[tuple[str, Draft]], connection: Connection) -> list[int]:
        """A sequence number for each item, consecutive for each actor."""
        counts: dict[str, int] = {}
        offsets = []
        for actor, _ in batch:
            offsets.append(counts.get(actor, 0))
            counts[actor] = offsets[-1] + 1
        # Sorted: two processes take the producers' rows in one order and cannot block each other.
        starts = {
            actor: store.next_numbers(connection, f"{self.origin}#{actor}", counts[actor])
            for actor in sorted(counts)
        }
        return [starts[actor] + offset for (actor, _), offset in zip(batch, offsets, strict=True)]

    def _event(self, actor: str, made: Draft, sequence: int) -> Event:
        now = self._clock().astimezone(UTC).isoformat(timespec="microseconds")
        return Event(
            id=made.id,
            source=f"{self.origin}#{actor}",
            action=made.action,
            outcome=made.outcome,
            resource=made.resource,
            time=now.replace("+00:00", "Z"),
            actor=actor,
            organisation=self.organisation,
            profile=self.profile,
            sequence=sequence,
            public=made.public,
            private=made.commitment,
        )

    @property
    def size(self) -> int:
        """Number of committed events."""
        with store.reading(self._engine) as connection:
            return store.size(connection, self.number)

    def events(
        self,
        start: int = 0,
        *,
        stop: int | None = None,
        action: str | None = None,
        resource: str | None = None,
    ) -> Iterator[LoggedEvent]:
        """The events in `[start, stop)` in order, those of one action or resource when given."""
        end = self.size if stop is None else stop
        asked = (self._engine, start, end, action, resource, PAGE, self.number)
        for seq, leaf, _ in store.read_leaves(*asked):
            yield LoggedEvent(seq=seq, leaf=leaf, event=parse_event(leaf))

    def inclusion(self, seq: int, size: int | None = None) -> list[bytes]:
        """PATH of RFC 6962 for event `seq` in the tree of the first `size` events (default: all)."""
        with store.reading(self._engine) as connection:
            count = self._size(connection, size)
            return self._nodes(connection, lambda node: merkle.inclusion_path(seq, count, node))

    def consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """PROOF of RFC 6962: the first `old_size` events are a prefix of the first `size` (all)."""
        with store.reading(self._engine) as connection:
            count = self._size(connection, size)
            return self._nodes(connection, lambda node: merkle.consistency_proof(old_size, count, node))

    def _nodes(self, connection: Connection, compute: Callable[[merkle.Node], T]) -> T:
        return store.with_nodes(connection, compute, self.number)

    def _size(self, connection: Connection, size: int | None) -> int:
        present = store.size(connection, self.number)
        if size is not None and not 0 <= size <= present:
            raise LogError(
                "RF-A065",
                N_("The log has {present} events; a tree of {size} does not exist."),
                present=present,
                size=size,
            )
        return present if size is None else size

    def check(self) -> None:
        """Compare the stored tree's edge and the last signed checkpoint with the stored events.

        Raises LogError when they do not fit: rows were lost or changed, or an old copy was restored.
        """
        with self._engine.begin() as connection:
            self._check(connection, store.lock(connection, self.number))

    def _check(self, connection: Connection, tree: merkle.Frontier) -> None:
        """As `check`, under the caller's lock."""
        found = self._nodes(connection, lambda node: merkle.root(tree.size, node))
        if found != tree.root():
            raise LogError(
                "RF-A066",
                N_(
                    "The log's events and its tree disagree at {size} events; restore the store from a "
                    "copy and run ringfence-audit verify on an exported bundle."
                ),
                size=tree.size,
            )
        last = store.last_checkpoint(connection, self.origin, self.number)
        if last is None:
            return
        size, root, note = last
        if size > tree.size or self._nodes(connection, lambda node: merkle.root(size, node)) != root:
            raise LogError(
                "RF-A067",
                N_(
                    "The log no longer continues the checkpoint of {size} events that it signed; an old "
                    "copy was restored or events were changed. It signs nothing more."
                ),
                size=size,
            )
        require_in_force(connection, self.verifier, note)

    def checkpoint(self) -> bytes:
        """The signed checkpoint of the present state, stored before it is handed out.

        Raises:
            LogError: when the log does not continue its last checkpoint.
        """
        with self._engine.begin() as connection:
            tree = store.lock(connection, self.number)
            self._check(connection, tree)
            last = store.last_checkpoint(connection, self.origin, self.number)
            if last is not None and last[0] == tree.size:
                return last[2]
            made = Checkpoint(origin=self.origin, size=tree.size, root=tree.root())
            note = made.sign(self._signer)
            store.keep_checkpoint(connection, self.origin, made.size, made.root, note, self.number)
            return note

    def hand_over(self, change: KeyChange, within: Connection) -> bytes:
        """Replace the log's key in the caller's transaction; return the handover that both keys signed.

        This object signs nothing more: the log is opened anew with the successor. Raises as `checkpoint`, and
        RF-A258 where the keys do not fit.
        """
        self._check(within, store.lock(within, self.number))
        self.append([change.draft(self.verifier, within)], within)
        return change.sign(self.origin, store.lock(within, self.number), within, self.number)

    def anchored(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint of another log that is anchored here."""
        with store.reading(self._engine) as connection:
            last = store.last_checkpoint(connection, origin, self.number)
        return None if last is None else Checkpoint(origin=origin, size=last[0], root=last[1])

    def anchor(
        self, note: bytes, verifier: Verifier, proof: Sequence[bytes] = (), within: Connection | None = None
    ) -> int | None:
        """Verify another log's checkpoint, store it and record it as an event.

        Args:
            note: the other log's signed checkpoint.
            verifier: its key.
            proof: consistency proof from the checkpoint anchored last (empty for the first).
            within: an open transaction on the same engine.

        Returns:
            The event's number, or None when this very checkpoint is anchored already.

        Raises:
            NoteError: when the checkpoint does not verify.
            ProofError: when it does not continue the one anchored last.
            LogError: when it is this log's own.
        """
        other = verify_checkpoint(note, [verifier])
        if other.origin == self.origin:
            raise LogError("RF-A068", N_("A log does not anchor itself; give the checkpoint of another log."))
        public: dict[str, Json] = {"log": other.origin, "size": other.size, "root": other.root.hex()}
        made = draft_event("checkpoint.anchored", "allow", resource=f"log:{other.origin}", public=public)
        with nullcontext(within) if within is not None else self._engine.begin() as connection:
            store.lock(connection, self.number)
            last = store.last_checkpoint(connection, other.origin, self.number)
            if last is not None:
                merkle.verify_consistency(last[0], other.size, last[1], other.root, proof)
                if last[0] == other.size:
                    return None
            store.keep_checkpoint(connection, other.origin, other.size, other.root, note, self.number)
            return self._append([(self.actor, made)], connection)[0]

    def cosign(
        self, note: bytes, verifier: Verifier, proof: Sequence[bytes] = (), *, name: str, witness: Signer
    ) -> bytes:
        """Anchor another log's checkpoint here, then cosign it; what was not stored is never cosigned.

        Arguments and errors are those of `anchor`; `name` and `witness` are this witness's, whose key is
        another than this log's. Returns the note with the cosignature added.
        """
        self.anchor(note, verifier, proof)
        return add_cosignature(note, name=name, signer=witness, stamp=int(self._clock().timestamp()))

    def open_event(self, seq: int) -> Opening:
        """One event with its salt, private part and proof, for one auditor; the opening itself is an event.

        Raises:
            LogError: when there is no such event or its private part was erased.
        """
        with store.reading(self._engine) as connection:
            leaf, salt, body = store.read_private_part(connection, seq, self.number)
        self.record("event.opened", "allow", resource=f"event:{parse_event(leaf).id}")
        note = self.checkpoint()
        size = verify_checkpoint(note, [self.verifier]).size
        return Opening(
            leaf=leaf,
            index=seq,
            salt=salt,
            private=body,
            proof=tuple(self.inclusion(seq, size)),
            checkpoint=note,
        )

    def export_bundle(self, directory: Path | str, *, anchors: Sequence[bytes] = ()) -> Checkpoint:
        """Write this log as a bundle for offline verification; the export itself is its last event.

        Args:
            directory: a folder that does not exist yet or is empty.
            anchors: further checkpoints of other logs to lay beside those anchored here.

        Returns:
            The checkpoint the bundle stands under.

        Raises:
            BundleError: when the folder is not empty or cannot be written.
        """
        self.record("log.exported", "allow", resource=f"log:{self.origin}")
        note = self.checkpoint()
        made = verify_checkpoint(note, [self.verifier])
        export(
            self._engine,
            made,
            LogFiles(checkpoint=note, verifier=self.verifier, anchors=tuple(anchors)),
            directory,
            self.number,
        )
        return made
