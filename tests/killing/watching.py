"""What is seen from outside of a process that may be killed: its steps, what it acknowledged, what it sent.

Nothing of this is in the product: a forked process wraps the functions itself, before it begins, and kills
itself with SIGKILL before or after the n-th call of a step. What it acknowledged is written to a file of the
harness, outside of its home, at the moment its transaction is on the disk.

A step has the name of the function whose transaction it is, with the events that are in it, or of the message
that is heard, answered, asked or read.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from ringfence.audit.log import AuditLog

BEFORE, AFTER = "before", "after"
# Where a transaction is made for somebody else: the step has that one's name.
_SERVES = ("ringfence.privacy.ledger", "ringfence.privacy.stores", "ringfence.audit")
_GENERIC = frozenset(
    {
        "AttemptStore._transaction",
        "Conduct._record",
        "ExportGate._record",
        "Fresh._record",
        "KeptRun._update",
        "KeptRun.decided",
        "KeptRun.over",
        "KeptRun.writing",
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A step of a party: its name, which time it is done, and whether the process dies before or after."""

    party: str
    name: str
    turn: int = 1
    when: str = AFTER

    def __str__(self) -> str:
        return f"{self.party}: {self.when} {self.name} [{self.turn}]"


@dataclass(slots=True)
class Watch:
    """Watches one process, from within; `kills` at one step.

    Attributes:
        party: whose process it is.
        told: a file of the harness, appended to.
        kills: where it dies, or None.
        steps: whether steps are told.
    """

    party: str
    told: Path
    kills: Step | None = None
    steps: bool = True
    _turns: Counter[tuple[str, str]] = field(default_factory=Counter)
    _written: dict[int, int] = field(default_factory=dict)
    _held: threading.local = field(default_factory=threading.local)

    def tell(self, kind: str, *values: Any) -> None:
        """Write one line that outlives this process."""
        line = self.line(kind, *values)
        file = os.open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def line(self, kind: str, *values: Any) -> bytes:
        """As it is told."""
        return json.dumps([kind, self.party, *values]).encode() + b"\n"

    def at(self, name: str, when: str) -> None:
        """A step is reached; the process may end here."""
        if not self.steps:
            return
        self._turns[name, when] += 1
        step = Step(self.party, name, self._turns[name, when], when)
        self.tell("step", step.name, step.turn, when)
        if step == self.kills:
            self.tell("killed", step.name, step.turn, when)
            os.kill(os.getpid(), signal.SIGKILL)

    def stores(self) -> None:
        """From now on every transaction of this process that writes is a step, and its events are known."""
        record, append = AuditLog.record, AuditLog.append
        do_commit, do_rollback = DefaultDialect.do_commit, DefaultDialect.do_rollback

        def appended(log: AuditLog, drafts: Any, connection: Any) -> list[int]:
            numbers = append(log, drafts, connection)
            self._events().extend((log, n, d.action) for n, d in zip(numbers, drafts, strict=True))
            return numbers

        def recorded(log: AuditLog, action: str, outcome: Any, **named: Any) -> int:
            if named.get("connection") is not None:
                return record(log, action, outcome, **named)
            # Alone in its transaction: the commit is inside, and who asked is on the stack there.
            self._events().append((log, -1, action))
            try:
                number = record(log, action, outcome, **named)
            finally:
                self._events().clear()
            self._acknowledged(log, number)
            return number

        def committed(dialect: Any, connection: Any) -> None:
            driver = connection.driver_connection
            changes = getattr(driver, "total_changes", 0)
            writes, self._written[id(driver)] = changes != self._written.get(id(driver), 0), changes
            events = list(self._events())
            self._events().clear()
            if not writes:
                return do_commit(dialect, connection)
            name = _named([action for _, _, action in events])
            self.at(name, BEFORE)
            do_commit(dialect, connection)
            for log, number, _ in events:
                if number >= 0:
                    self._acknowledged(log, number)
            self.at(name, AFTER)
            return None

        def taken_back(dialect: Any, connection: Any) -> None:
            self._events().clear()
            do_rollback(dialect, connection)

        AuditLog.record, AuditLog.append = recorded, appended  # type: ignore[method-assign,assignment]
        DefaultDialect.do_commit = committed  # type: ignore[method-assign]
        DefaultDialect.do_rollback = taken_back  # type: ignore[method-assign]

    def around(self, kind: str, call: Callable[[], Any], verbs: tuple[str, str]) -> Any:
        """A message that this process deals with: a step when it has it, and one when it has done with it."""
        self.at(f"{verbs[0]} {kind}", BEFORE)
        found = call()
        self.at(f"{verbs[1]} {kind}", AFTER)
        return found

    def _events(self) -> list[tuple[AuditLog, int, str]]:
        found: list[tuple[AuditLog, int, str]] | None = getattr(self._held, "events", None)
        if found is None:
            found = self._held.events = []
        return found

    def _acknowledged(self, log: AuditLog, number: int) -> None:
        """An event is on the disk, and whoever wrote it has been told so."""
        leaf = next(log.events(number, stop=number + 1)).leaf
        self.tell("event", number, leaf.hex())


def _named(actions: list[str]) -> str:
    """The function whose transaction ends at this moment, and what it says in the log."""
    owner = next(_callers(), "?")
    return f"{owner} ({', '.join(actions)})" if actions else owner


def _callers() -> Iterator[str]:
    """Functions of the product on the stack, the innermost first, past those that serve them."""
    frame = sys._getframe(2)
    while frame is not None:
        module, function = str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname
        ours = module.startswith("ringfence.") and not module.startswith(_SERVES)
        if ours and function not in _GENERIC:
            yield f"{module.removeprefix('ringfence.')}.{function.replace('.<locals>', '')}"
        frame = frame.f_back  # type: ignore[assignment]


def read_told(path: Path) -> list[list[Any]]:
    """What was told so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]
