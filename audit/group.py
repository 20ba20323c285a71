"""Group commit: events of many threads share one durable transaction, and each waits until it is durable.

A commit costs milliseconds whatever it holds. The first thread to get the turn writes for all that wait; the
others find their event written when their turn comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

D = TypeVar("D")

MAX_BATCH = 512


class _Ticket(Generic[D]):
    __slots__ = ("done", "error", "number", "work")

    def __init__(self, work: D) -> None:
        self.work = work
        self.done = False
        self.number = -1
        self.error: BaseException | None = None


class GroupCommit(Generic[D]):
    """Gathers what threads submit and writes it in batches, in the order it came.

    `write` takes the batch, commits it and returns one number for each item; when it raises, every
    waiting thread of the batch gets the error and nothing of the batch is written.
    """

    def __init__(self, write: Callable[[Sequence[D]], Sequence[int]]) -> None:
        self._write = write
        self._waiting: list[_Ticket[D]] = []
        self._gate = threading.Lock()  # Guards `_waiting`, held for moments.
        self._turn = threading.Lock()  # One writer at a time, held for a commit.

    def submit(self, work: D) -> int:
        """Return the item's number once it is durable."""
        ticket = _Ticket(work)
        with self._gate:
            self._waiting.append(ticket)
        with self._turn:
            while not ticket.done:  # More than one batch may wait before it.
                self._lead()
        if ticket.error is not None:
            raise ticket.error
        return ticket.number

    def _lead(self) -> None:
        with self._gate:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        try:
            numbers = self._write([ticket.work for ticket in batch])
        except BaseException as error:
            for ticket in batch:
                ticket.error, ticket.done = error, True
            return
        for ticket, number in zip(batch, numbers, strict=True):
            ticket.number, ticket.done = number, True
