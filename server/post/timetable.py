"""While the gateway serves, runs of series that are due are started, each as a process of its own.

What is due is read from the store and the clock every few seconds, so a run whose time came while nothing
served starts when `serve` comes up, as long as its window is open. A run whose process ended without a
result, and that has not ended itself, goes on in its window, at a pace that slows down. One that failed, or
that people stopped, is left to people: another one costs the customers anew.
"""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import KeyFault, _
from ringfence.privacy.protocol.notices import APPROVED
from ringfence.privacy.stores.lease import leased
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.home import Office
from ringfence.server.post.couriering import Command, Start
from ringfence.server.records.submissions import OPEN, Submissions, SubmittedStudy
from ringfence.server.registry import require_keys_in_force

LOOK, SHORTEST, LONGEST = 10.0, 60.0, 900.0
"""Seconds between two looks, and between two tries at one run."""


@dataclass(slots=True, kw_only=True)
class Timetable:
    """Looks now and then whether a run of a series is due, and starts it.

    Attributes:
        office: the coordinator's.
        config: its server.toml or folder.
        passphrase_files: for the keys of coordinator and log, where they are wrapped.
        report: told, in sentences for the coordinator's people, what was started and why it failed.
        start: starts the command.
        clock: seconds that only grow.
        now: the present moment, UTC.
    """

    office: Office
    config: Path
    passphrase_files: Sequence[Path] = ()
    report: Callable[[str], None] = lambda _: None
    start: Start = Command
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime.datetime] = utc_now
    _next: float | None = None
    _tried: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    _running: tuple[str, subprocess.Popen[str]] | None = None
    _said: str = ""
    _refused: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Start the run that is due first, if one is; never waits for it."""
        if self._running is not None:
            if self._running[1].poll() is None:
                return
            self._end(*self._running)
        moment = self.clock()
        if self._next is not None and moment < self._next:
            return
        self._next = moment + LOOK
        if leased(self.office.engine, "study"):  # a study is being run; its turn comes
            return
        for each, number in self._due():
            until, pause = self._tried.get((each.study, number), (moment, SHORTEST))
            if moment >= until:
                self._tried[each.study, number] = (moment + pause, min(2 * pause, LONGEST))
                self._begin(each, number)
                return

    def close(self) -> None:
        """End a run that is under way; it goes on when this serves again."""
        if self._running is not None:
            self._running[1].terminate()
            self._running[1].communicate()
            self._running = None

    def _due(self) -> list[tuple[SubmittedStudy, int]]:
        """What can be started or gone on with, the window that closes first before the others."""
        now = self.now()
        found: list[tuple[datetime.datetime, str, SubmittedStudy, int]] = []
        for each in Submissions(self.office.engine, self.now).listed():
            if each.series is None or each.state not in OPEN or each.series.stopped:
                continue
            series = self._study(each).series
            present = None if series is None else series.window_at(now)
            due = each.series.due
            if present is None or present.number not in {each.series.present, due.number if due else 0}:
                continue
            if (each.series.present == present.number or self._approved(each)) and self._keys_in_force(each):
                found.append((present.closes, each.name, each, present.number))
        return [(each, number) for _closes, _name, each, number in sorted(found, key=lambda one: one[:2])]

    def _approved(self, each: SubmittedStudy) -> bool:
        """Whether as many holders as a sum needs have said that two of their people approved."""
        count = sum(1 for one in each.holders if one.state == APPROVED)
        return count >= self._study(each).privacy.min_holders

    def _keys_in_force(self, each: SubmittedStudy) -> bool:
        """Whether every key counts that a study names; why one does not is told once."""
        try:
            require_keys_in_force(self.office.engine, self._study(each))
        except KeyFault as fault:
            if self._refused.get(each.study) != fault.code:
                self._refused[each.study] = fault.code
                self.report(f"{each.name}: {fault}")
            return False
        self._refused.pop(each.study, None)
        return True

    def _study(self, each: SubmittedStudy) -> Study:
        """The study as it was kept; who runs it verifies its signature."""
        kept = Submissions(self.office.engine, self.now).documents(each.study)
        assert kept is not None  # it was listed
        return Study.from_canonical(SignedDocument.from_json(kept[0]).body)

    def _begin(self, each: SubmittedStudy, number: int) -> None:
        files = [word for file in self.passphrase_files for word in ("--passphrase-file", str(file))]
        words = ["study", "run", each.study, "--keep", "--config", str(self.config), *files]
        name = _("run {number} of {study}").format(number=number, study=each.name)
        self.report(_("Due, and started: {run}.").format(run=name))
        self._running = (name, self.start(words))

    def _end(self, name: str, process: subprocess.Popen[str]) -> None:
        self._running = None
        said = process.communicate()[1].strip()
        if not process.returncode:
            self.report(_("It released: {run}. Let it out: ringfence-server study release").format(run=name))
        elif said != self._said:
            self.report(f"{name}: {said}")
        self._said = said
