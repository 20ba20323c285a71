"""Whether the store that a holder's process answers from still answers, and is still this process's alone.

A store that does not answer is told once and waited for. One that another process may have by now ends this
process, with the sentence that says so: whatever keeps processes running starts it again, under a new lease.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.audit.errors import AuditError
from ringfence.privacy.errors import N_, RingfenceError, WaistError

ASK_SECONDS, STALE_SECONDS = 10.0, 45.0
"""How often the store is asked, and for how long its answer stands: a question that hangs is no answer."""
ENDING = frozenset({"RF-S561", "RF-B660"})
"""The lease was lost."""


@dataclass(slots=True, kw_only=True)
class StoreWatch:
    """Asks a store, and keeps what it answered.

    Attributes:
        ask: raises where the store does not answer, or has another process.
        report: told in a sentence, once for as long as it stays the same.
        stop: set once the store is lost.
        clock: seconds that only grow.
        lost: why this process may use the store no more, or None.
    """

    ask: Callable[[], None]
    report: Callable[[str], None]
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic
    lost: RingfenceError | None = None
    _trouble: str = ""
    _answered: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def answers(self) -> bool:
        """Whether it answered a moment ago, and nothing went wrong since."""
        at = self._answered
        return not self._trouble and at is not None and self.clock() - at < STALE_SECONDS

    def look(self) -> None:
        """Ask once."""
        try:
            self.ask()
        except Exception as error:
            self.met(error)
        else:
            with self._lock:
                self._answered, self._trouble = self.clock(), ""

    def met(self, error: BaseException) -> None:
        """Take in what was met by whoever used the store: tell it, and end all where the lease is lost."""
        if isinstance(error, RingfenceError) and error.code in ENDING:
            with self._lock:
                self._trouble = str(error)
                self.lost = self.lost or error
            self.stop.set()
            return
        told = sentence_of(error)
        with self._lock:
            news, self._trouble = told != self._trouble, told
        if news:
            self.report(told)

    def keep(self) -> None:
        """Ask now and then until told to stop."""
        self.look()
        while not self.stop.wait(ASK_SECONDS):
            self.look()


def sentence_of(error: BaseException) -> str:
    """What people are told of a fault that must not end the process; of a foreign one not its own words."""
    if isinstance(error, RingfenceError | AuditError):
        return str(error)
    place, trace = "?", error.__traceback__
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return str(
        WaistError(
            "RF-W486",
            N_(
                "This process met a fault that has no sentence of its own ({kind} in {place}), and goes on. "
                "Report it as CONTRIBUTING.md says."
            ),
            kind=type(error).__name__,
            place=place,
        )
    )
