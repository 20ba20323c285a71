"""The holder's side of the protocol: one sealed message in, one sealed message out, and nothing else.

Whatever goes wrong, the coordinator learns `Unavailable` and no reason; the reason is an event in the
holder's own log and a sentence for its own people. An exception's text that reached the transport would be a
release, so everything is caught here (DESIGN, section 1).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection

from ringfence.audit.errors import AuditError
from ringfence.clients import joining, pipeline
from ringfence.clients.cosigning import check_farewell, cosign
from ringfence.clients.holder import Holder
from ringfence.clients.inbox.notices import notified
from ringfence.clients.own_model import leave_own
from ringfence.clients.records.offers import MOST_REFUSALS
from ringfence.clients.records.participations import Participation, Witnesses
from ringfence.clients.recover_steps import not_bound
from ringfence.clients.runs import Run, bound
from ringfence.clients.standing import commit_house, ledger_head, log_checkpoint, log_proof
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, RingfenceError, StudyError, WaistError
from ringfence.privacy.protocol.control import (
    COORDINATOR,
    MAX_MESSAGE,
    ControlMessage,
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
from ringfence.privacy.protocol.endings import Done, Finish, NoRun
from ringfence.privacy.protocol.notices import Notice
from ringfence.privacy.protocol.releases import WitnessCall
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.wire.envelope import Expected, Header, MessageKind, open_envelope, read_header

Report = Callable[[str], None]

MOST_RUNS = 8
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
        MessageKind.WITNESS_CALL,
        MessageKind.FINISH,
        MessageKind.NOTICE,
    )
)
_FIRST = frozenset((MessageKind.STUDY_OFFER.value, MessageKind.NOTICE.value))
_OF_A_SUM = frozenset(
    kind.value for kind in (MessageKind.ROUND_CALL, MessageKind.SURVIVORS_CALL, MessageKind.UNMASK_CALL)
)
_REPEATED = frozenset(
    kind.value
    for kind in (
        MessageKind.ROSTER_CALL,
        MessageKind.KEY_CALL,
        MessageKind.SHARE_CALL,
        MessageKind.SURVIVORS_CALL,
        MessageKind.UNMASK_CALL,
    )
)


def _unforeseen(error: Exception) -> WaistError:
    return WaistError(
        "RF-W080",
        N_("This holder met a fault that has no sentence of its own, and sent nothing. {kind}: {text}"),
        kind=type(error).__name__,
        text=error,
    )


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
    _runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    _refusals: dict[tuple[str, str], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, data: bytes) -> bytes:
        """Answer one message; empty bytes to whoever is not the coordinator. Never raises."""
        with self._lock:
            try:
                header, payload = self._authentic(data)
            except Exception as error:
                # Nothing is logged, signed or said: strangers can neither fill the disk nor collect
                # signatures.
                self._tell(
                    str(error) if isinstance(error, RingfenceError | _Stranger) else type(error).__name__
                )
                return b""
            try:
                return self._once(data, header, payload)
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
        first = header.kind in _FIRST
        expect = Expected(
            kind=MessageKind(header.kind),
            study=None if first else header.study,
            run=None if first else header.run,
            recipient=self.holder.name,
            round=header.round,
            attempt=header.attempt,
        )
        senders = {COORDINATOR: self.holder.coordinator}
        envelope = open_envelope(data, senders=senders, expect=expect, max_bytes=MAX_MESSAGE)
        return header, envelope.payload

    def _once(self, data: bytes, header: Header, payload: bytes) -> bytes:
        """The answer to a message; the last step of a run, asked again byte for byte, gets the same bytes.

        What carries messages may lose an answer, so the coordinator may send again. Answers with a vector
        are in the store for that (`secagg/attempts.py`).
        """
        run = self._runs.get((header.study, header.run))
        if run is None or header.kind not in _REPEATED:
            return self._answer(header, payload)
        digest = hashlib.sha256(data).digest()
        if run.last is None or run.last[0] != digest:
            run.last = None
            run.last = (digest, self._answer(header, payload))
        return run.last[1]

    def _answer(self, header: Header, payload: bytes) -> bytes:
        match header.kind:
            case MessageKind.STUDY_OFFER.value:
                return self._offered(header, decode(StudyOffer, payload))
            case MessageKind.NOTICE.value:
                of_study = header.study if header.round == header.attempt == 0 else ""
                told = notified(self.holder.addressee, of_study, decode(Notice, payload))
                if told is None:
                    raise not_bound()
                return self._seal(header, told)
            case MessageKind.ROSTER_CALL.value:
                roster = bound(header, decode(RosterCall, payload))
                return self._seal(header, self._run(header).echo(self.holder, roster))
            case MessageKind.KEY_CALL.value:
                keys = bound(header, decode(KeyCall, payload))
                return self._seal(header, self._run(header).renew(self.holder, keys).message)
            case MessageKind.SHARE_CALL.value:
                shares, run = bound(header, decode(ShareCall, payload)), self._run(header)
                return self._seal(header, run.attempt().deal(self.holder, run.joined.admitted, shares))
            case MessageKind.ROUND_CALL.value:
                return self._round(header, decode(RoundCall, payload))
            case MessageKind.SURVIVORS_CALL.value:
                call, fresh = decode(SurvivorsCall, payload), self._run(header).attempt()
                return self._seal(header, fresh.settle(self.holder, call, (header.round, header.attempt)))
            case MessageKind.UNMASK_CALL.value:
                asked, fresh = decode(UnmaskCall, payload), self._run(header).attempt()
                return self._seal(header, fresh.reveal(self.holder, asked, (header.round, header.attempt)))
            case MessageKind.WITNESS_CALL.value:
                known, shown = self._participation(header), decode(WitnessCall, payload)
                return self._seal(header, cosign(self.holder, known, shown))
            case _:
                return self._finished(header, decode(Finish, payload))

    def _offered(self, header: Header, offer: StudyOffer) -> bytes:
        """A study: admit and join it, or stay away."""
        self.holder.offers.check(header.study)
        # Refusals are counted; an offer of a run that was joined already is answered again and is no event.
        if (header.study, header.run) not in self._runs:
            self.holder.log.record(
                "study.offered", "allow", resource=f"study:{header.study}", public={"run": header.run}
            )
        admitted = pipeline.admit(self.holder, offer)
        if (admitted.digest, offer.run, 0, 0) != (header.study, header.run, header.round, header.attempt):
            raise not_bound()
        # The coordinator's log, and its view of this one, are checked before anything is paid for.
        log_key = PublicIdentity.from_hex(offer.log_key)
        self.holder.witness.require_log(self.holder.coordinator, log_key, None)
        log_proof(self.holder, offer.log)
        run = self._runs.get((header.study, header.run)) or self._join(admitted)
        self._runs[header.study, header.run] = run
        checkpoint, position = log_checkpoint(self.holder)
        self.holder.participations.joined(
            Participation(
                study=header.study,
                run=header.run,
                coordinator_log=log_key,
                position=position,
                witnesses=Witnesses.of(admitted.study),
            )
        )
        message = Join(
            key=key_message(self.holder.identity, run.keys),
            nonce=offer.nonce,
            approvals=admitted.approvals,
            log_key=self.holder.log_key.hex,
            checkpoint=checkpoint,
            proof=log_proof(self.holder, offer.log),
            ledger=ledger_head(self.holder),
        )
        return self._seal(header, message)

    def _join(self, admitted: pipeline.Admitted) -> Run:
        if len(self._runs) >= MOST_RUNS:
            raise StudyError(
                "RF-S065",
                N_("This holder takes part in {count} studies at once already; let one end first."),
                count=len(self._runs),
            )
        joined = joining.join(self.holder, admitted)
        joining.record_joined(self.holder, admitted)
        keys = SessionKeys(holder=self.holder.name, study=admitted.digest, run=admitted.run)
        return Run(joined=joined, keys=keys)

    def _round(self, header: Header, call: RoundCall) -> bytes:
        """A query: the stored answer, or a new one through the waist gate."""
        if call.query.round != header.round:
            raise not_bound()
        key = AttemptKey(
            study=header.study,
            run=header.run,
            round=header.round,
            attempt=header.attempt,
            query=call.query.digest(),
        )
        known = self.holder.participations.find(header.study, header.run)
        if (header.study, header.run) not in self._runs and known is not None and not known.ended:
            # The process that answered may be gone, and its answer lost on the way: it is the same bytes.
            before = self.holder.attempts.answered(key)
            if before is not None:
                return before
        run = self._run(header)
        if header.attempt >= run.joined.admitted.plan.max_attempts:
            raise not_bound()
        return run.answer(self.holder, key, call)

    def _finished(self, header: Header, finish: Finish) -> bytes:
        """The end: close the reservation, drop the run's keys, show where the log stands.

        The process that joined may be gone, and the farewell may be said again by a coordinator that did not
        live to hear the answer: the run ends once, and everybody who says farewell is answered. Only where
        nothing is held back for the run is it said that there is none; a fault on the way is `Unavailable`.
        """
        known = self.holder.participations.find(header.study, header.run)
        if known is None:
            # A process that died between reserving and keeping that it joined left a reservation.
            joining.close_left(self.holder, header.study, header.run)
            self._drop(header)  # one that joined, and could not keep that it did
            return self._seal(header, NoRun())
        origin = check_farewell(self.holder, known, finish)
        if not known.ended:
            self._end(header, finish, origin)
        self._drop(header)  # last: where anything failed before, the farewell is said again
        checkpoint, _ = log_checkpoint(self.holder)
        proof = log_proof(self.holder, known.position)
        return self._seal(header, Done(checkpoint=checkpoint, proof=proof, ledger=ledger_head(self.holder)))

    def _end(self, header: Header, finish: Finish, origin: str) -> None:
        run = self._runs.get((header.study, header.run))
        for window in joining.close_reservations(self.holder.ledger, header.study, header.run):
            self.holder.snapshots.forget(header.study, window=window)
        self.holder.attempts.forget(study=header.study, run=header.run)
        if run is not None and (fault := leave_own(self.holder, run.joined.admitted, run.kept)):
            self._tell(fault)
        with self.holder.engine.begin() as connection:
            self.holder.log.record(
                "study.finished",
                "allow" if finish.model else "error",
                resource=f"study:{header.study}",
                public={"run": header.run, "coordinator_log": origin}
                | ({"model": finish.model} if finish.model else {}),
                private={"coordinator_checkpoint": finish.checkpoint},
                connection=connection,
            )
            commit_house(self.holder, connection)
            self.holder.participations.ended(
                header.study, header.run, released=bool(finish.model), connection=connection
            )

    def _drop(self, header: Header) -> None:
        run = self._runs.pop((header.study, header.run), None)
        if run is not None:
            run.close()

    def _participation(self, header: Header) -> Participation:
        known = self.holder.participations.find(header.study, header.run)
        if known is None:
            raise pipeline.not_joined(header.run)
        return known

    def _run(self, header: Header) -> Run:
        run = self._runs.get((header.study, header.run))
        if run is None:
            raise pipeline.not_joined(header.run)
        return run

    def _refused(self, header: Header, reason: str, outcome: Literal["deny", "error"], sentence: str) -> None:
        """A refusal is an event too, of a bounded number: the sender is known to be the coordinator."""
        self._tell(sentence)
        try:
            with self.holder.engine.begin() as connection:
                if not self._counted(header, connection):
                    return
                self.holder.log.record(
                    "waist.refused" if header.kind in _OF_A_SUM else "study.refused",
                    outcome,
                    resource=f"study:{header.study}",
                    public={
                        "run": header.run,
                        "round": header.round,
                        "attempt": header.attempt,
                        "reasons": [reason],
                    },
                    connection=connection,
                )
        except Exception as error:
            # The log itself failed: nothing leaves, and the holder's people hear of it.
            self._tell(f"{type(error).__name__} while a refusal was logged")

    def _counted(self, header: Header, connection: Connection) -> bool:
        """Count a refusal, of an offer durably, of another step by run; whether it is still recorded."""
        if header.kind == MessageKind.STUDY_OFFER.value:
            return self.holder.offers.refused(header.study, connection=connection)
        # A notice is no run: it comes under a fresh id each time.
        key = (header.study, "" if header.kind == MessageKind.NOTICE.value else header.run)
        if len(self._refusals) >= MOST_RUNS * MOST_REFUSALS and key not in self._refusals:
            return False
        self._refusals[key] = self._refusals.get(key, 0) + 1
        return self._refusals[key] <= MOST_REFUSALS

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
