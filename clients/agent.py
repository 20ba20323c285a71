"""The holder's side of the protocol: one sealed message in, one sealed message out, and nothing else.

Whatever goes wrong, the coordinator learns `Unavailable` and no reason; the reason is an event in the holder's
own log and a sentence for its own people. An exception's text that reached the transport would be a release, so
everything is caught here (DESIGN, section 1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from ringfence.audit.checkpoint import read_unverified, verify_checkpoint
from ringfence.audit.errors import AuditError
from ringfence.audit.merkle import verify_consistency
from ringfence.audit.note import Verifier
from ringfence.clients import gate, pipeline
from ringfence.clients.holder import COORDINATOR, Holder
from ringfence.clients.own import leave_own
from ringfence.clients.recovery import Fresh, check_mode, not_bound
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, RingfenceError, StudyError, WaistError
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.roster import AgreedRoster, Roster, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.wire.control import (
    MAX_CONTROL,
    ControlMessage,
    Done,
    Finish,
    Join,
    KeyCall,
    RosterCall,
    RoundCall,
    ShareCall,
    StudyOffer,
    SurvivorsCall,
    Unavailable,
    UnmaskCall,
    decode,
    seal_message,
)
from ringfence.privacy.wire.envelope import Expected, Header, MessageKind, open_envelope, read_header
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, sign_head
from ringfence.privacy.wire.payload import MAX_ENTRIES

Report = Callable[[str], None]

MAX_MESSAGE = MAX_CONTROL + 8 * MAX_ENTRIES
MOST_RUNS = 8
MOST_REFUSALS = 64
_ASKED = frozenset(
    kind.value
    for kind in (
        MessageKind.STUDY_OFFER,
        MessageKind.ROSTER_CALL,
        MessageKind.KEY_CALL,
        MessageKind.SHARE_CALL,
        MessageKind.ROUND_CALL,
        MessageKind.SURVIVORS_CALL,
        MessageKind.UNMASK_CALL,
        MessageKind.FINISH,
    )
)
_OF_A_SUM = frozenset(
    kind.value for kind in (MessageKind.ROUND_CALL, MessageKind.SURVIVORS_CALL, MessageKind.UNMASK_CALL)
)


def _unforeseen(error: Exception) -> WaistError:
    return WaistError(
        "RF-W080",
        N_("This holder met a fault that has no sentence of its own, and sent nothing. {kind}: {text}"),
        kind=type(error).__name__,
        text=error,
    )


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run this process takes part in: the study, this run's keys, the roster shown last.

    With `dropouts = "recover"` each attempt has keys and a roster of its own, in `fresh`.
    """

    joined: pipeline.Joined
    keys: SessionKeys
    coordinator_log: PublicIdentity
    position: LogPosition | None
    roster: Roster | None = None
    agreed: AgreedRoster | None = None
    fresh: Fresh | None = None


class _Stranger(Exception):
    """A message that is not authentic: it gets no answer and leaves no event."""


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
    _refusals: dict[tuple[str, str], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, data: bytes) -> bytes:
        """Answer one message; empty bytes to whoever is not the coordinator. Never raises."""
        with self._lock:
            try:
                header, payload = self._authentic(data)
            except Exception as error:
                # Nothing is logged, signed or said: strangers can neither fill the disk nor collect signatures.
                self._tell(str(error) if isinstance(error, RingfenceError | _Stranger) else type(error).__name__)
                return b""
            try:
                return self._answer(header, payload)
            except (RingfenceError, AuditError) as error:
                self._refused(header, error.code, "deny", str(error))
            except Exception as error:
                # The kind of a fault says nothing about rows; its text might.
                self._refused(header, type(error).__name__, "error", str(_unforeseen(error)))
            return self._seal(header, Unavailable())

    def _authentic(self, data: bytes) -> tuple[Header, bytes]:
        """The message's header and payload, once its signature is found to be the coordinator's."""
        if len(data) > MAX_MESSAGE:
            raise _Stranger("a message larger than any of the protocol")
        header = read_header(data)
        if header.kind not in _ASKED:
            raise _Stranger("a message of a kind that holders are not asked")
        first = header.kind == MessageKind.STUDY_OFFER.value
        expect = Expected(
            kind=MessageKind(header.kind),
            study=None if first else header.study,
            run=None if first else header.run,
            recipient=self.holder.name,
            round=header.round,
            attempt=header.attempt,
        )
        envelope = open_envelope(
            data, senders={COORDINATOR: self.holder.coordinator}, expect=expect, max_bytes=MAX_MESSAGE
        )
        return header, envelope.payload

    def _answer(self, header: Header, payload: bytes) -> bytes:
        match header.kind:
            case MessageKind.STUDY_OFFER.value:
                return self._offered(header, decode(StudyOffer, payload))
            case MessageKind.ROSTER_CALL.value:
                return self._roster(header, decode(RosterCall, payload))
            case MessageKind.KEY_CALL.value:
                return self._fresh_keys(header, decode(KeyCall, payload))
            case MessageKind.SHARE_CALL.value:
                return self._shares(header, decode(ShareCall, payload))
            case MessageKind.ROUND_CALL.value:
                return self._round(header, decode(RoundCall, payload))
            case MessageKind.SURVIVORS_CALL.value:
                call = decode(SurvivorsCall, payload)
                fresh = self._fresh(header)
                return self._seal(header, fresh.settle(self.holder, call, (header.round, header.attempt)))
            case MessageKind.UNMASK_CALL.value:
                asked = decode(UnmaskCall, payload)
                fresh = self._fresh(header)
                return self._seal(header, fresh.reveal(self.holder, asked, (header.round, header.attempt)))
            case _:
                return self._finished(header, decode(Finish, payload))

    def _offered(self, header: Header, offer: StudyOffer) -> bytes:
        """A study: admit and join it, or stay away."""
        self.holder.log.record(
            "study.offered", "allow", resource=f"study:{header.study}", public={"run": header.run}
        )
        admitted = pipeline.admit(self.holder, offer)
        if (admitted.digest, offer.run, 0, 0) != (header.study, header.run, header.round, header.attempt):
            raise not_bound()
        # The coordinator's view of this log is checked before anything is paid for.
        self._proof(offer.log)
        run = self._runs.get((header.study, header.run)) or self._join(admitted, offer)
        self._runs[header.study, header.run] = run
        message = Join(
            key=key_message(self.holder.identity, run.keys),
            nonce=offer.nonce,
            approvals=tuple(document.to_json() for document in self.holder.approvals(header.study)),
            log_key=self.holder.log_key.hex,
            checkpoint=self._checkpoint(run),
            proof=self._proof(offer.log),
            ledger=self._head(),
        )
        return self._seal(header, message)

    def _join(self, admitted: pipeline.Admitted, offer: StudyOffer) -> _Run:
        if len(self._runs) >= MOST_RUNS:
            raise StudyError(
                "RF-S065",
                N_("This holder takes part in {count} studies at once already; let one end first."),
                count=len(self._runs),
            )
        joined = pipeline.join(self.holder, admitted)
        self.holder.log.record(
            "study.joined",
            "allow",
            resource=f"study:{admitted.digest}",
            public={
                "run": admitted.run,
                "purpose": admitted.study.purpose,
                "legal_basis": admitted.study.legal_basis,
                "contract": self.holder.contract.digest(),
            },
        )
        keys = SessionKeys(holder=self.holder.name, study=admitted.digest, run=admitted.run)
        log_key = PublicIdentity.from_hex(offer.log_key)
        return _Run(joined=joined, keys=keys, coordinator_log=log_key, position=None)

    def _roster(self, header: Header, call: RosterCall) -> bytes:
        """A roster: verify it and sign what was seen; a number is signed once."""
        run = self._run(header)
        check_mode(run.joined.admitted, recover=False)
        last = -1 if run.roster is None else run.roster.number
        if (call.round, call.attempt) != (header.round, header.attempt) or call.number <= last:
            raise not_bound()
        admitted = run.joined.admitted
        participants = {p.name: PublicIdentity.from_hex(p.key) for p in admitted.study.holders}
        run.roster = verify_roster(
            call.members,
            number=call.number,
            own=key_message(self.holder.identity, run.keys),
            participants=participants,
            terms=Terms.of(admitted.study.privacy),
            vouched=admitted.obligations.vouched,
        )
        return self._seal(header, roster_echo(self.holder.identity, run.roster))

    def _fresh_keys(self, header: Header, call: KeyCall) -> bytes:
        """Keys for a roster of one attempt."""
        run = self._run(header)
        check_mode(run.joined.admitted, recover=True)
        if (call.round, call.attempt) != (header.round, header.attempt):
            raise not_bound()
        run.fresh = Fresh.make(self.holder, run.joined.admitted, call, run.fresh)
        return self._seal(header, run.fresh.message)

    def _shares(self, header: Header, call: ShareCall) -> bytes:
        """A roster of one attempt: verify and sign it, and deal shares to partners."""
        if (call.round, call.attempt) != (header.round, header.attempt):
            raise not_bound()
        fresh = self._fresh(header)
        return self._seal(header, fresh.deal(self.holder, self._run(header).joined.admitted, call))

    def _fresh(self, header: Header) -> Fresh:
        """What this process holds of the attempt under way."""
        run = self._run(header)
        check_mode(run.joined.admitted, recover=True)
        if run.fresh is None:
            raise not_bound()
        return run.fresh

    def _round(self, header: Header, call: RoundCall) -> bytes:
        """A query: the stored answer, or a new one through the waist gate."""
        run = self._run(header)
        admitted = run.joined.admitted
        if call.query.round != header.round or header.attempt >= admitted.plan.max_attempts:
            raise not_bound()
        key = AttemptKey(
            study=header.study,
            run=header.run,
            round=header.round,
            attempt=header.attempt,
            query=call.query.digest(),
        )
        recover = admitted.study.privacy.dropouts == "recover"
        fresh = self._fresh(header) if recover else None
        agreed = fresh.agree(call, (header.round, header.attempt)) if fresh else self._agreed(run, call)
        before = gate.begin(self.holder, key)
        if before is not None:
            return before
        answer = pipeline.contribute(self.holder, run.joined, call.query)
        keys = fresh.keys if fresh else run.keys
        sealed = gate.send(self.holder, run.joined, key, keys=keys, agreed=agreed, answer=answer)
        if fresh:
            fresh.answered = key
        return sealed

    def _agreed(self, run: _Run, call: RoundCall) -> AgreedRoster:
        """The roster that was shown last, once every member was found to have signed it."""
        if run.roster is None or run.roster.number != call.number:
            raise not_bound()
        # One roster serves many rounds: its signatures are the same and are verified once.
        if run.agreed is None or run.agreed.roster is not run.roster or run.agreed.echoes != call.echoes:
            run.agreed = verify_echoes(run.roster, call.echoes)
        return run.agreed

    def _finished(self, header: Header, finish: Finish) -> bytes:
        """The end: close the reservation, drop the run's keys, show where the log stands."""
        run = self._run(header)
        origin = read_unverified(finish.checkpoint.encode()).origin
        verify_checkpoint(finish.checkpoint.encode(), [Verifier(name=origin, raw=run.coordinator_log.raw)])
        self.holder.ledger.commit(run.joined.reservation)
        self.holder.attempts.forget(study=header.study, run=header.run)
        if fault := leave_own(self.holder, run.joined):
            self._tell(fault)
        self.holder.log.record(
            "study.finished",
            "allow" if finish.model else "error",
            resource=f"study:{header.study}",
            public={"run": header.run} | ({"model": finish.model} if finish.model else {}),
            private={"coordinator_checkpoint": finish.checkpoint},
        )
        since = run.position
        checkpoint = self._checkpoint(run)
        message = Done(checkpoint=checkpoint, proof=self._proof(since), ledger=self._head())
        run.keys.close()
        if run.fresh is not None:
            run.fresh.keys.close()
        del self._runs[header.study, header.run]
        return self._seal(header, message)

    def _run(self, header: Header) -> _Run:
        run = self._runs.get((header.study, header.run))
        if run is None:
            raise pipeline.not_joined(header.run)
        return run

    def _checkpoint(self, run: _Run) -> str:
        note = self.holder.log.checkpoint()
        claimed = read_unverified(note)
        run.position = LogPosition(size=claimed.size, root="sha256:" + claimed.root.hex())
        return note.decode()

    def _proof(self, since: LogPosition | None) -> tuple[str, ...]:
        """Consistency proof from a position another party knows to this log's newest checkpoint.

        Raises:
            LogError: the position is beyond this log.
            ProofError: this log had another root at that size.
        """
        if since is None or since.size == 0:
            return ()
        now = read_unverified(self.holder.log.checkpoint())
        nodes = [] if since.size == now.size else self.holder.log.consistency(since.size, now.size)
        verify_consistency(
            since.size, now.size, bytes.fromhex(since.root.removeprefix("sha256:")), now.root, nodes
        )
        return tuple("sha256:" + node.hex() for node in nodes)

    def _head(self) -> LedgerHead:
        head = self.holder.ledger.head()
        return sign_head(self.holder.identity, sequence=head.sequence, entry_hash=head.hash)

    def _refused(self, header: Header, reason: str, outcome: Literal["deny", "error"], sentence: str) -> None:
        """A refusal is an event too, of a bounded number a run: the sender is known to be the coordinator."""
        self._tell(sentence)
        key = (header.study, header.run)
        if len(self._refusals) > MOST_RUNS * MOST_REFUSALS and key not in self._refusals:
            return
        self._refusals[key] = self._refusals.get(key, 0) + 1
        if self._refusals[key] > MOST_REFUSALS:
            return
        try:
            self.holder.log.record(
                "waist.refused" if header.kind in _OF_A_SUM else "study.refused",
                outcome,
                resource=f"study:{header.study}",
                public={"run": header.run, "round": header.round, "attempt": header.attempt, "reasons": [reason]},
            )
        except Exception as error:
            # The log itself failed: nothing leaves, and the holder's people hear of it.
            self._tell(f"{type(error).__name__} while a refusal was logged")

    def _tell(self, sentence: str) -> None:
        with suppress(Exception):
            self.report(sentence)

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
