"""Answers at a fixed pace: kept back until a time after the question that the signed study fixes.

    asked -> computed in a thread beside -> at the end of the signed length: the answer, or `Unavailable`

The length is counted from the moment at which this process has the whole question, by a clock of this machine
that nobody sets. The coordinator chooses when it asks and nothing else: it cannot shorten the length, so that
it cannot learn how much of it was needed (decision 21).

Invariants:
    Of a run at a fixed pace no byte leaves before the length is over, and none besides at its end.
    Where an answer is late, nothing else is taken up here until a further whole length is over and the answer
    is made: whoever asks something else meanwhile learns in how many whole lengths it was, and no more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence.clients.flower import Answering
from ringfence.clients.holder import Holder
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.protocol.control import (
    COORDINATOR,
    StudyOffer,
    Unavailable,
    open_message,
    seal_message,
)
from ringfence.privacy.wire.envelope import Header, MessageKind, read_header


@dataclass(slots=True, kw_only=True)
class _Work:
    """One answer that is being made.

    Attributes:
        asked: when it was asked.
        held: seconds that it is kept back.
        thread: makes it.
        answers: it, once it is made.
    """

    asked: float
    held: float
    thread: threading.Thread
    answers: list[bytes]

    @property
    def made(self) -> bool:
        """Whether the answer is there; none is made where the thread failed."""
        return bool(self.answers) or not self.thread.is_alive()


@dataclass(slots=True, kw_only=True)
class PacedAgent:
    """An agent that answers as fast as the signed study wants it, one message at a time.

    Attributes:
        agent: makes the answers.
        holder: whose they are.
        stop: ends every waiting; what was made by then is stored, and goes out when it is asked again.
        clock: seconds that only grow, and that nobody sets.
        wait: waits for so many seconds; tells whether it was stopped.
    """

    agent: Answering
    holder: Holder
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], bool] | None = None
    _late: _Work | None = None

    def handle(self, data: bytes) -> bytes:
        """The answer to one message, when it is due; no bytes where it was stopped before."""
        asked = self.clock()
        header, held = self._terms(data)
        if header is None or not held:
            return self.agent.handle(data)
        answers: list[bytes] = []
        thread = threading.Thread(
            target=lambda: answers.append(self.agent.handle(data)), name="ringfence-answer", daemon=True
        )
        work = _Work(asked=asked, held=held, thread=thread, answers=answers)
        thread.start()
        if self._until(asked + held):
            thread.join()  # its store is closed after this
            return b""
        if work.made:
            return answers[0] if answers else b""
        self._late = work
        return self._unavailable(header)

    def settle(self) -> None:
        """Before anything is taken up, wait for an answer that was late, to the end of a whole length."""
        work, lengths = self._late, 1
        if work is None:
            return
        while True:
            lengths += 1
            if self._until(work.asked + lengths * work.held):
                work.thread.join()
                break
            if work.made:
                break
        if self._late is work:  # another federation's thread may have waited beside this one
            self._late = None

    def _until(self, moment: float) -> bool:
        """Wait until a moment of the clock; whether it was stopped before."""
        while (left := moment - self.clock()) > 0:
            if (self.wait or self.stop.wait)(left):
                return True
        return self.stop.is_set()

    def _terms(self, data: bytes) -> tuple[Header | None, int]:
        """Whose turn a message is, and how long its answer is kept back.

        What cannot be read, or is of no run here, is refused at once: nothing of a row is in that.
        """
        try:
            header = read_header(data)
            if header.kind == MessageKind.STUDY_OFFER.value:
                senders = {COORDINATOR: self.holder.coordinator}
                _, offer = open_message(
                    StudyOffer, data, senders=senders, study=None, run=None, recipient=self.holder.name
                )
                study = Study.from_canonical(SignedDocument.from_json(offer.study).body)
                return header, study.privacy.held[0]
            known = self.holder.participations.find(header.study, header.run)
        except Exception:  # the agent meets it again, refuses, and tells its people
            return None, 0
        return header, 0 if known is None else known.witnesses.held

    def _unavailable(self, header: Header) -> bytes:
        """What is said at the end of the length when there is no answer: that, and no reason."""
        return seal_message(
            self.holder.identity,
            Unavailable(),
            study=header.study,
            run=header.run,
            sender=self.holder.name,
            recipient=COORDINATOR,
            round=header.round,
            attempt=header.attempt,
        )
