"""Group commit: events of many threads share one durable transaction, and each waits until it is durable.

A commit costs milliseconds whatever it holds. The first thread to come leads: it writes for all that wait,
then hands the lead to the first of those that came meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

D = TypeVar("D")

MAX_BATCH = 512
GATHER_SECONDS = 0.001


class _Ticket(Generic[D]):
    __slots__ = ("done", "error", "number", "woken", "work")

    def __init__(self, work: D) -> None:
        self.work = work
        self.done = False
        self.number = -1
        self.error: BaseException | None = None
        self.woken = threading.Event()


class GroupCommit(Generic[D]):
    """Gathers what threads submit and writes it in batches, in the order it came.

    `write` takes the batch, commits it and returns one number for each item; when it raises, every
    waiting thread of the batch gets the error and nothing of the batch is written.
    """

    def __init__(self, write: Callable[[Sequence[D]], Sequence[int]]) -> None:
        self._write = write
        self._gate = threading.Lock()  # Guards the three below; held for moments, never over a write.
        self._waiting: list[_Ticket[D]] = []
        self._led = False  # Whether some thread has the lead; there is one writer at a time.
        self._crowd = 0  # Size of the last batch.

    def submit(self, work: D) -> int:
        """Return the item's number once it is durable."""
        ticket = _Ticket(work)
        with self._gate:
            self._waiting.append(ticket)
            follow, self._led = self._led, True
        if follow:
            ticket.woken.wait()
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        return ticket.number

    def _lead(self) -> None:
        """Write the batch this thread's ticket heads, then pass the lead on."""
        if self._crowd > 1:
            # Those answered last are about to come back; one batch for all of them beats one for the first.
            time.sleep(GATHER_SECONDS)
        with self._gate:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        try:
            for ticket, number in zip(batch, self._write([ticket.work for ticket in batch]), strict=True):
                ticket.number = number
        except BaseException as error:
            for ticket in batch:
                ticket.error = error
        finally:
            self._hand_over(batch)

    def _hand_over(self, batch: Sequence[_Ticket[D]]) -> None:
        with self._gate:
            self._crowd = len(batch)
            self._led = bool(self._waiting)
            heir = self._waiting[0] if self._waiting else None
        if heir is not None:
            heir.woken.set()
        for ticket in batch:
            ticket.done = True
            ticket.woken.set()
