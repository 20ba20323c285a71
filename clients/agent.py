"""The holder's side of the protocol: one sealed message in, one sealed message out, and nothing else.

Whatever goes wrong, the coordinator learns `Unavailable` and no reason; the reason is an event in the holder's
own log and a sentence for its own people. An exception's text that reached the transport would be a release, so
everything is caught here (DESIGN, section 1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.errors import AuditError
from ringfence.clients import gate, pipeline
from ringfence.clients.holder import COORDINATOR, Holder
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.roster import Roster, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.wire.control import (
    MAX_CONTROL,
    ControlMessage,
    Done,
    Finish,
    Join,
    LedgerHead,
    LogPosition,
    Message,
    RosterCall,
    RoundCall,
    StudyOffer,
    Unavailable,
    open_message,
    seal_message,
)
from ringfence.privacy.wire.envelope import Header, MessageKind, read_header
from ringfence.privacy.wire.payload import MAX_ENTRIES

Report = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run this process takes part in: the study, this run's keys, the roster shown last."""

    joined: pipeline.Joined
    keys: SessionKeys
    position: LogPosition | None
    roster: Roster | None = None


class _NotFromCoordinator(Exception):
    """A message that is not authentic, or not bound to what this holder expects."""


@dataclass(slots=True, kw_only=True)
class Agent:
    """Answers the coordinator's messages for one holder; one message at a time.

    Attributes:
        holder: whose agent it is.
        report: told, in sentences for the holder's own people, what was refused and why.
    """

    holder: Holder
    report: Report = lambda _: None
    _runs: dict[tuple[str, str], _Run] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, data: bytes) -> bytes:
        """Answer one message; empty bytes where not even its header can be read."""
        with self._lock:
            try:
                header = read_header(data)
            except RingfenceError as error:
                self.report(str(error))
                return b""
            try:
                return self._answer(header, data)
            except _NotFromCoordinator as error:
                # Before authentication nothing is logged: strangers must not be able to fill the disk.
                self.report(str(error))
            except (RingfenceError, AuditError) as error:
                self._refused(header, error.code, "deny")
                self.report(str(error))
            except Exception as error:
                # The kind of a fault says nothing about rows; its text might.
                self._refused(header, type(error).__name__, "error")
                self.report(f"{type(error).__name__}: {error}")
            return self._seal(header, Unavailable())

    def _answer(self, header: Header, data: bytes) -> bytes:
        match header.kind:
            case MessageKind.STUDY_OFFER.value:
                return self._offered(header, data)
            case MessageKind.ROSTER_CALL.value:
                return self._roster(header, data)
            case MessageKind.ROUND_CALL.value:
                return self._round(header, data)
            case MessageKind.FINISH.value:
                return self._finished(header, data)
            case _:
                return self._seal(header, Unavailable())

    def _offered(self, header: Header, data: bytes) -> bytes:
        """A study: admit and join it, or stay away."""
        offer = self._open(StudyOffer, header, data)
        self.holder.log.record(
            "study.offered", "allow", resource=f"study:{header.study}", public={"run": header.run}
        )
        run = self._runs.get((header.study, header.run)) or self._join(offer, header.study)
        self._runs[header.study, header.run] = run
        identity = self.holder.identity
        message = Join(
            key=key_message(identity, run.keys),
            nonce=offer.nonce,
            approvals=tuple(document.to_json() for document in self.holder.approvals(header.study)),
            log_key=self.holder.log_key.hex,
            checkpoint=self._checkpoint(run),
            proof=self._proof(offer.log, run),
            ledger=self._head(),
        )
        return self._seal(header, message)

    def _join(self, offer: StudyOffer, digest: str) -> _Run:
        admitted = pipeline.admit(self.holder, offer)
        joined = pipeline.join(self.holder, admitted)
        self.holder.log.record(
            "study.joined",
            "allow",
            resource=f"study:{digest}",
            public={
                "run": offer.run,
                "purpose": admitted.study.purpose,
                "legal_basis": admitted.study.legal_basis,
                "contract": self.holder.contract.digest(),
            },
        )
        keys = SessionKeys(holder=self.holder.name, study=digest, run=offer.run)
        return _Run(joined=joined, keys=keys, position=None)

    def _roster(self, header: Header, data: bytes) -> bytes:
        """A roster: verify it and sign what was seen."""
        run = self._run(header)
        call = self._open(RosterCall, header, data)
        admitted = run.joined.admitted
        participants = {p.name: PublicIdentity.from_hex(p.key) for p in admitted.study.holders}
        run.roster = verify_roster(
            call.members,
            number=call.number,
            own=key_message(self.holder.identity, run.keys),
            participants=participants,
            min_holders=admitted.study.privacy.min_holders,
            vouched=admitted.obligations.vouched,
        )
        return self._seal(header, roster_echo(self.holder.identity, run.roster))

    def _round(self, header: Header, data: bytes) -> bytes:
        """A query: the stored answer, or a new one through the waist gate."""
        run = self._run(header)
        call = self._open(RoundCall, header, data)
        admitted = run.joined.admitted
        key = AttemptKey(
            study=header.study,
            run=header.run,
            round=header.round,
            attempt=header.attempt,
            query=call.query.digest(),
        )
        if call.query.round != header.round or header.attempt >= admitted.plan.max_attempts:
            return self._seal(header, Unavailable())
        if run.roster is None or run.roster.number != call.number:
            return self._seal(header, Unavailable())
        agreed = verify_echoes(run.roster, call.echoes)
        before = gate.begin(self.holder, key)
        if before is not None:
            return before
        plan, lengths, contribution = pipeline.contribute(self.holder, run.joined, call.query)
        return gate.send(
            self.holder,
            run.joined,
            key,
            keys=run.keys,
            agreed=agreed,
            plan=plan,
            lengths=lengths,
            contribution=contribution,
        )

    def _finished(self, header: Header, data: bytes) -> bytes:
        """The end: close the reservation, drop the run's keys, show where the log stands."""
        run = self._run(header)
        finish = self._open(Finish, header, data)
        self.holder.ledger.commit(run.joined.reservation)
        self.holder.attempts.forget(study=header.study, run=header.run)
        self.holder.log.record(
            "study.finished",
            "allow",
            resource=f"study:{header.study}",
            public={"run": header.run, "model": finish.model},
        )
        last = run.position
        message = Done(checkpoint=self._checkpoint(run), proof=self._proof(last, run), ledger=self._head())
        run.keys.close()
        del self._runs[header.study, header.run]
        return self._seal(header, message)

    def _run(self, header: Header) -> _Run:
        run = self._runs.get((header.study, header.run))
        if run is None:
            raise pipeline.not_joined(header.run)
        return run

    def _open(self, cls: type[Message], header: Header, data: bytes) -> Message:
        first = cls is StudyOffer
        try:
            _, message = open_message(
                cls,
                data,
                senders={COORDINATOR: self.holder.coordinator},
                study=None if first else header.study,
                run=None if first else header.run,
                recipient=self.holder.name,
                round=header.round,
                attempt=header.attempt,
                max_bytes=MAX_CONTROL + 8 * MAX_ENTRIES,
            )
        except RingfenceError as error:
            raise _NotFromCoordinator(str(error)) from error
        return message

    def _checkpoint(self, run: _Run) -> str:
        note = self.holder.log.checkpoint()
        claimed = read_unverified(note)
        run.position = LogPosition(size=claimed.size, root="sha256:" + claimed.root.hex())
        return note.decode()

    def _proof(self, since: LogPosition | None, run: _Run) -> tuple[str, ...]:
        if since is None or run.position is None or since.size in (0, run.position.size):
            return ()
        return tuple(
            "sha256:" + node.hex() for node in self.holder.log.consistency(since.size, run.position.size)
        )

    def _head(self) -> LedgerHead:
        head = self.holder.ledger.head()
        return LedgerHead(sequence=head.sequence, hash=f"sha256:{head.hash}")

    def _refused(self, header: Header, reason: str, outcome: str) -> None:
        """A refusal is an event too: the sender is known to be the coordinator."""
        self.holder.log.record(
            "waist.refused" if header.kind == MessageKind.ROUND_CALL.value else "study.refused",
            "deny" if outcome == "deny" else "error",
            resource=f"study:{header.study}",
            public={"run": header.run, "round": header.round, "attempt": header.attempt, "reason": reason},
        )

    def _seal(self, header: Header, message: ControlMessage) -> bytes:
        return seal_message(
            self.holder.identity,
            message,
            study=header.study,
            run=header.run,
            sender=self.holder.name,
            recipient=COORDINATOR,
            round=header.round,
            attempt=header.attempt,
        )
