"""The holder's end of the letters: greets the coordinator, opens what it seals, and seals the answers.

Invariants:
    What is not the coordinator's gets no bytes, sealed or not.
    A key of a run opens messages of that run alone, and is destroyed with the run's last answer, with the
    process, or when it ends; there is a bounded number of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ringfence.clients.agent import MOST_RUNS, Agent
from ringfence.privacy.crypto.sealing import SealingKey
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import (
    COORDINATOR,
    MAX_CONTROL,
    MAX_MESSAGE,
    decode,
    seal_message,
)
from ringfence.privacy.wire.envelope import Expected, Header, MessageKind, open_envelope, read_header
from ringfence.privacy.wire.letters import (
    MAGIC,
    Greeting,
    addressed_to,
    greeting,
    open_letter,
    require_valid,
    seal_letter,
)

MOST_KEYS = 4 * MOST_RUNS
MOST_NONCES = 1 << 12
_LAST = frozenset((MessageKind.DONE.value, MessageKind.NO_RUN.value))
"""Whoever carries letters may have kept an offer back, to bring it when the run is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """Both sides' keys for a run."""

    study: str
    run: str
    own: SealingKey
    theirs: bytes
    until: int


@dataclass(slots=True, kw_only=True)
class LetterBox:
    """Answers greetings and letters for an agent.

    Attributes:
        agent: answers what is in the letters.
        answering: lets the agent answer when an answer is due; at once where there is none.
    """

    agent: Agent
    answering: Callable[[bytes], bytes] | None = None
    _sessions: OrderedDict[bytes, _Session] = field(default_factory=OrderedDict)
    _heard: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, data: bytes) -> bytes:
        """Answer one greeting or letter; no bytes to whoever is not the coordinator. Never raises."""
        try:
            return self._letter(data) if data[: len(MAGIC)] == MAGIC else self._greeted(data)
        except Exception as error:
            sentence = str(error) if isinstance(error, RingfenceError) else type(error).__name__
            with suppress(Exception):
                self.agent.report(sentence)
            return b""

    def _greeted(self, data: bytes) -> bytes:
        """Make a key for the run and tell it, in the form that the coordinator's greeting has."""
        holder = self.agent.holder
        header = read_header(data)
        expect = Expected(kind=MessageKind.GREETING, study=None, run=None, recipient=holder.name)
        senders = {COORDINATOR: holder.coordinator}
        heard = decode(
            Greeting, open_envelope(data, senders=senders, expect=expect, max_bytes=MAX_CONTROL).payload
        )
        theirs = require_valid(heard, self._now())
        own = SealingKey()
        answer = greeting(own, heard.nonce, self._now())
        self._keep(
            heard,
            _Session(
                study=header.study,
                run=header.run,
                own=own,
                theirs=theirs,
                until=min(answer.until, heard.until),
            ),
        )
        return seal_message(
            holder.identity,
            answer,
            study=header.study,
            run=header.run,
            sender=holder.name,
            recipient=COORDINATOR,
        )

    def _letter(self, data: bytes) -> bytes:
        """Open, let the agent answer, and seal the answer."""
        holder = self.agent.holder
        session = self._sessions.get(addressed_to(data))
        if session is None or session.until <= self._now().timestamp():
            raise WaistError(
                "RF-W315",
                N_(
                    "A letter came for a key that this process does not hold, or no longer; the coordinator "
                    "has to greet first."
                ),
            )
        envelope = open_letter(
            data,
            key=session.own,
            sender=holder.coordinator,
            own=holder.identity.public,
            max_bytes=MAX_MESSAGE,
        )
        header = read_header(envelope)
        if (header.study, header.run) != (session.study, session.run):
            raise WaistError("RF-W316", N_("A letter under one run's key holds a message of another run."))
        reply = (self.answering or self.agent.handle)(envelope)
        if header.kind == MessageKind.NOTICE.value:  # one exchange, whatever is answered
            self._end(header)
        if not reply:
            return b""
        letter = seal_letter(
            reply, identity=holder.identity, recipient=holder.coordinator, key=session.theirs
        )
        if read_header(reply).kind in _LAST:
            self._end(header)
        return letter

    def _end(self, header: Header) -> None:
        """Destroy a run's keys."""
        self._forget(lambda known: (known.study, known.run) == (header.study, header.run))

    def _keep(self, heard: Greeting, session: _Session) -> None:
        """Take a session up, in the place of the oldest where there are too many."""
        self._forget(lambda known: known.until <= self._now().timestamp())
        with self._lock:
            if heard.nonce in self._heard:
                raise WaistError(
                    "RF-W317", N_("The coordinator's greeting was heard before; it was replayed.")
                )
            self._heard[heard.nonce] = None
            while len(self._heard) > MOST_NONCES:
                self._heard.popitem(last=False)
            while len(self._sessions) >= MOST_KEYS:
                self._sessions.popitem(last=False)[1].own.close()
            self._sessions[session.own.id] = session

    def _forget(self, over: Callable[[_Session], bool]) -> None:
        with self._lock:
            for name in [name for name, known in self._sessions.items() if over(known)]:
                self._sessions.pop(name).own.close()

    def _now(self) -> datetime:
        return self.agent.holder.clock()
