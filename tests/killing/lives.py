"""Parties as processes of the same machine, forked in milliseconds, with a link between them that loses what
dies with them.

The link is this process. As Flower's does, it delivers a message once to a process, and again to the process
that takes the dead one's place; what a dead coordinator was owed is lost. Letters are sealed end to end as
over Flower. Everything else is the product's.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from killing.ground import Ground
from killing.watching import AFTER, BEFORE, Step, Watch

from ringfence.clients.agent import Agent
from ringfence.clients.letters import LetterBox
from ringfence.models.releasing import release_result
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.letters import Letters
from ringfence.server.records.runs import RunStore
from ringfence.server.release.gate import export_gate
from ringfence.server.rounds import released_again, run_study

COORDINATOR = "coordinator"
DURING = "during"
_SENDS = 4
_STUDY_RUNS = 12
_GOES_ON = frozenset({"RF-W200", "RF-W237"})
_OVER = "RF-S380"
UPDATES = frozenset({MessageKind.MASKED_UPDATE.value, MessageKind.VISIBLE_UPDATE.value})


@dataclass(frozen=True, slots=True)
class Life:
    """One process of a party, and the pipe to it."""

    pid: int
    pipe: Connection

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def gone(self) -> None:
        """Its end is taken note of."""
        self.pipe.close()
        os.waitpid(self.pid, 0)


def forked(main: Callable[[Connection], None]) -> Life:
    """A process that runs a function and ends."""
    ours, theirs = Pipe()
    pid = os.fork()
    if pid:
        theirs.close()
        return Life(pid, ours)
    status = 1
    try:
        ours.close()
        main(theirs)
        status = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the harness is gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@dataclass(frozen=True, slots=True)
class Carrier:
    """The coordinator's end of the link."""

    pipe: Connection

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        self.pipe.send(("exchange", dict(messages)))
        found: dict[str, bytes] = self.pipe.recv()
        return found

    def present(self, names: Iterable[str]) -> frozenset[str]:
        self.pipe.send(("present", tuple(names)))
        found: frozenset[str] = self.pipe.recv()
        return found


@dataclass(frozen=True, slots=True)
class Stepping:
    """The letters, each exchange of which is a step."""

    letters: Letters
    pipe: Connection
    watch: Watch

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        if not messages:
            return {}
        kind = read_header(next(iter(messages.values()))).kind
        self.pipe.send(("kind", kind))
        found: Mapping[str, bytes] = self.watch.around(
            kind, lambda: self.letters.exchange(messages), ("asks", "hears the answers to")
        )
        return found

    def present(self, names: Iterable[str]) -> frozenset[str]:
        return self.letters.present(names)


def coordinate(ground: Ground, watch: Watch, out: Path) -> Callable[[Connection], None]:
    """What `study run` does, and `study release` for a study that ended."""

    def main(pipe: Connection) -> None:
        watch.stores()
        coordinator = ground.coordinator()
        opened = replace(ground.federation.opened, run=secrets.token_hex(16))
        letters = Letters(carrier=Carrier(pipe), identity=coordinator.identity, holders=opened.participants)
        runs = RunStore(coordinator.registry.engine)
        epsilon = opened.study.privacy.epsilon
        try:
            try:
                runs.require_open(opened)
                release = run_study(coordinator, opened, Stepping(letters, pipe, watch), runs=runs)
            except RingfenceError as error:
                if error.code != _OVER:
                    raise
                release = released_again(opened, runs)
            release_result(
                release.result,
                out,
                gate=export_gate(coordinator, epsilon),
                epsilon=epsilon,
                resource=f"study:{opened.digest}",
            )
        except RingfenceError as error:
            pipe.send(("refused", error.code, str(error)))
        else:
            pipe.send(("released", release.digest))

    return main


def answer(ground: Ground, name: str, watch: Watch) -> Callable[[Connection], None]:
    """What `ringfence-client run` does with what reaches it."""

    def main(pipe: Connection) -> None:
        watch.stores()
        box = LetterBox(agent=_Watched(holder=ground.holder(name), watch=watch))
        while True:
            data = pipe.recv_bytes()
            reply = box.handle(data)
            watch.at("hands over an answer", BEFORE)
            pipe.send_bytes(reply)

    return main


@dataclass(slots=True, kw_only=True)
class _Watched(Agent):
    """An agent each of whose messages is a step."""

    watch: Watch

    def handle(self, data: bytes) -> bytes:
        kind = read_header(data).kind
        reply: bytes = self.watch.around(kind, lambda: Agent.handle(self, data), ("hears", "has answered"))
        header = read_header(reply) if reply else None
        if header is not None and header.kind in UPDATES:
            self.watch.tell("sent", header.round, header.attempt)
        return reply


@dataclass(slots=True, kw_only=True)
class Link:
    """Carries between the processes, and starts each again when it died.

    Attributes:
        ground: the study.
        told: what processes tell of themselves.
        kill: where a process dies, once.
        away: for how many exchanges a dead holder stays away; 0: it is started at once.
        instants: seconds from the beginning, and who dies then wherever it is; in order.
        deaths: by party.
        refusals: what `study run` said where it did not end with a model.
    """

    ground: Ground
    told: Path
    kill: Step | None = None
    away: int = 0
    instants: list[tuple[float, str]] = field(default_factory=list)
    deaths: dict[str, int] = field(default_factory=dict)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    _lives: dict[str, Life] = field(default_factory=dict)
    _absent: dict[str, int] = field(default_factory=dict)
    _kinds: dict[str, int] = field(default_factory=dict)
    _kind: str = ""
    _runs: int = 0
    _began: float = field(default_factory=time.monotonic)

    def conduct(self) -> str:
        """Run the study until it ends; the digest of its model, or nothing."""
        try:
            while self._runs < _STUDY_RUNS:
                found = self._once()
                if found is not None:
                    return found
            raise AssertionError(f"the study did not end: {self.refusals}")
        finally:
            for life in self._lives.values():
                life.kill()
                life.gone()
            self._lives.clear()

    def _once(self) -> str | None:
        """One process of the coordinator's."""
        self._runs += 1
        out = self.ground.folder / f"model-{self._runs}"
        self._lives[COORDINATOR] = forked(coordinate(self.ground, self._watch(COORDINATOR), out))
        while True:
            try:
                self._wait(COORDINATOR)
                match self._lives[COORDINATOR].pipe.recv():
                    case ("kind", kind):
                        self._kind = kind
                    case ("exchange", messages):
                        self._lives[COORDINATOR].pipe.send(self._exchange(messages))
                    case ("present", names):
                        there = frozenset(name for name in names if not self._absent.get(name))
                        self._lives[COORDINATOR].pipe.send(there)
                    case ("refused", code, sentence):
                        self._lives.pop(COORDINATOR).gone()
                        self.refusals.append((code, sentence))
                        self._absent.clear()  # people start what is down before they run it again
                        return None if code in _GOES_ON else ""
                    case ("released", digest):
                        self._lives.pop(COORDINATOR).gone()
                        return str(digest)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                self._died(COORDINATOR)
                return None

    def _exchange(self, messages: Mapping[str, bytes]) -> dict[str, bytes]:
        for name in list(self._absent):
            self._absent[name] -= 1
            if self._absent[name] <= 0:
                del self._absent[name]
        self._kinds[self._kind] = self._kinds.get(self._kind, 0) + 1
        replies: dict[str, bytes] = {}
        for number, (name, data) in enumerate(messages.items()):
            reply = self._deliver(name, data)
            if reply is not None:
                replies[name] = reply
            if number == 0:
                self._during()
        return replies

    def _during(self) -> None:
        """The coordinator dies when the first of its holders has answered, where the step says so."""
        step = Step(COORDINATOR, f"asks {self._kind}", self._kinds[self._kind], DURING)
        with self.told.open("ab") as file:
            file.write(Watch(COORDINATOR, self.told).line("step", step.name, step.turn, step.when))
        if step == self.kill:
            self.kill = None
            self._lives[COORDINATOR].kill()

    def _deliver(self, name: str, data: bytes) -> bytes | None:
        for _ in range(_SENDS):
            if self._absent.get(name):
                return None
            if name not in self._lives:
                self._lives[name] = forked(answer(self.ground, name, self._watch(name)))
            life = self._lives[name]
            try:
                life.pipe.send_bytes(data)
                self._wait(name)
                return life.pipe.recv_bytes()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                self._died(name)
                if self.away:
                    self._absent[name] = self.away
        return None

    def _wait(self, name: str) -> None:
        """Until a party says something or is gone; whoever's instant comes meanwhile dies."""
        pipe = self._lives[name].pipe
        while self.instants and not pipe.poll(max(0.0, self._began + self.instants[0][0] - time.monotonic())):
            _, victim = self.instants.pop(0)
            # Nobody takes note of a death but this process, so the number is still that party's.
            if victim in self._lives:
                self._lives[victim].kill()

    def _died(self, name: str) -> None:
        self.deaths[name] = self.deaths.get(name, 0) + 1
        with suppress(ChildProcessError):
            self._lives.pop(name).gone()
        if self.kill is not None and self.kill.party == name:
            self.kill = None

    def _watch(self, name: str) -> Watch:
        kills = self.kill if self.kill is not None and self.kill.party == name else None
        return Watch(name, self.told, kills if kills is None or kills.when in (BEFORE, AFTER) else None)


def asked_of(main: Callable[[], Any]) -> Any:
    """What a function gives in a process of its own, so that nothing of the stores stays open here."""

    def within(pipe: Connection) -> None:
        pipe.send(main())

    life = forked(within)
    try:
        return life.pipe.recv()
    finally:
        life.gone()
