"""While the gateway serves, studies that wait for holders are delivered again and again, by a process apart.

A process claims one run of Flower's link (decision 12), so `serve` delivers nothing itself: it starts
`study deliver` when a holder is still to get a study or its people to decide, at a pace that slows down for
as long as nothing changes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.privacy.protocol.notices import WAITING
from ringfence.server.connections.admissions import Admissions
from ringfence.server.home import Office
from ringfence.server.post.ending import owed_ends
from ringfence.server.records.submissions import OPEN, Submissions

FIRST, SHORTEST, LONGEST = 10.0, 60.0, 300.0
"""Seconds until the first delivery, and between two."""
MOST_SAID = 4000
_CALL = "import sys; from ringfence.server.commands.cli import main; sys.exit(main(sys.argv[1:]))"

Start = Callable[[Sequence[str]], subprocess.Popen[str]]


class Command(subprocess.Popen[str]):
    """A command of this program in a process of its own; what it says of its failure goes to a file.

    A pipe would fill up under a long run that nobody reads, and hold it up.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Start it."""
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        super().__init__(
            [sys.executable, "-c", _CALL, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            text=True,
        )

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; nothing, and the end of what it said."""
        del input
        self.wait(timeout)
        with self._said as said:
            said.seek(0)
            return "", said.read()[-MOST_SAID:]


@dataclass(slots=True, kw_only=True)
class Courier:
    """Looks now and then whether something waits, and has it delivered.

    Attributes:
        office: the coordinator's.
        config: its server.toml or folder.
        passphrase_files: for the coordinator's key, where it is wrapped.
        report: told, in a sentence for the coordinator's people, why a delivery failed; once each.
        start: starts the command.
        clock: seconds that only grow.
    """

    office: Office
    config: Path
    passphrase_files: Sequence[Path] = ()
    report: Callable[[str], None] = lambda _: None
    start: Start = Command
    clock: Callable[[], float] = time.monotonic
    _due: float | None = None
    _pause: float = SHORTEST
    _last: frozenset[tuple[str, str]] = frozenset()
    _said: str = ""
    _running: subprocess.Popen[str] | None = field(default=None)

    def look(self) -> None:
        """Start a delivery if one is due; never waits for it."""
        now = self.clock()
        if self._running is not None:
            if self._running.poll() is None:
                return
            self._end(self._running)
        if self._due is None:
            self._due = now + FIRST
        if now < self._due:
            return
        waiting = self._waiting()
        self._pause = min(2 * self._pause, LONGEST) if waiting and waiting == self._last else SHORTEST
        self._last, self._due = waiting, now + self._pause
        if waiting:
            files = [word for file in self.passphrase_files for word in ("--passphrase-file", str(file))]
            words = ["study", "deliver", "--wait", "2", "--config", str(self.config), *files]
            self._running = self.start(words)

    def close(self) -> None:
        """End a delivery that is under way."""
        if self._running is not None:
            self._running.terminate()
            self._running.communicate()
            self._running = None

    def _waiting(self) -> frozenset[tuple[str, str]]:
        """Study and holder, where people of the holder have not decided yet, or an end was not heard.

        An end that is owed to a holder that is let in no more waits for nothing: it is said when that holder
        is admitted anew.
        """
        let_in = {each.holder for each in Admissions(self.office.engine).let_in()}
        owed = owed_ends(self.office.engine)
        ends = {(end.run, name) for end in owed for name in let_in & end.holders.keys()}
        return frozenset(ends) | frozenset(
            (each.study, one.holder)
            for each in Submissions(self.office.engine).listed()
            if each.state in OPEN
            for one in each.holders
            if one.state in {"", WAITING}
        )

    def _end(self, process: subprocess.Popen[str]) -> None:
        self._running = None
        said = process.communicate()[1].strip()
        if process.returncode and said != self._said:
            self.report(said)
        self._said = said
