"""A federation of processes for tests: a coordinator's gateway, holders' nodes, studies run by command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kits.command_kit import NAMES, Town, client, server, write_consents, write_table
from kits.link_kit import free_port

_PROGRAMS = {"client": "ringfence.clients.commands.cli", "server": "ringfence.server.commands.cli"}
READY_SECONDS = 120.0


@dataclass
class Process:
    """A command of ours in a process of its own, its words kept."""

    name: str
    running: subprocess.Popen[bytes]
    words: Path

    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, seconds: float = READY_SECONDS) -> None:
        """Until it said this."""
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert self.running.poll() is None, f"{self.name} ended: {self.said()}"
            assert time.monotonic() < deadline, f"{self.name} did not say {text!r}: {self.said()}"
            time.sleep(0.05)

    def end(self, kind: signal.Signals = signal.SIGTERM) -> int:
        if self.running.poll() is None:
            self.running.send_signal(kind)
        return self.running.wait(60)


def start(program: str, folder: Path, *words: object, inside: tuple[str, ...] = ()) -> Process:
    """Start one of our commands; `inside` are the words before it that say where it runs."""
    name = f"{program}-{words[0]}-{time.monotonic_ns()}"
    said = folder / f"{name}.txt"
    call = f"import sys; from {_PROGRAMS[program]} import main; sys.exit(main(sys.argv[1:]))"
    with said.open("wb") as file:
        running = subprocess.Popen(
            [*inside, sys.executable, "-c", call, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        )
    return Process(name=name, running=running, words=said)


@dataclass
class Federation:
    """Coordinator and holders, each in a process.

    inside: for each party that does not run beside the test, the words before its commands.
    """

    town: Town
    inside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    serve: Process | None = None
    nodes: dict[str, Process] = field(default_factory=dict)

    def home(self, name: str) -> Path:
        return self.town.root / name

    def start_serve(self) -> Process:
        self.serve = self._start("server", self.town.desk, "serve")
        self.serve.wait_for("Holders can connect")
        return self.serve

    def start_node(self, name: str) -> Process:
        self.start_nodes(name)
        return self.nodes[name]

    def start_nodes(self, *names: str) -> None:
        """Start all of them, and wait until each answers."""
        for name in names:
            self.nodes[name] = self._start("client", self.home(name), "run")
        for name in names:
            self.nodes[name].wait_for("Answering")

    def start_study(self, study: Path, out: Path, *more: object) -> Process:
        return self._start("server", self.town.desk, "study", "run", study, "--out", out, *more)

    def _start(self, program: str, home: Path, *words: object) -> Process:
        inside = self.inside.get(home.name, ())
        return start(program, self.town.root, *words, "--config", home, inside=inside)


def enrol(town: Town, name: str, *more: str) -> Path:
    """Invite a holder, let it answer, admit it, and complete; the admission's file."""
    invitation, enrolment = town.root / f"{name}.invitation.json", town.root / f"{name}.enrolment.json"
    admission = town.root / f"{name}.admission.json"
    desk, home = ("--config", town.desk), ("--config", town.root / name)
    assert server("holder", "invite", name, "--out", invitation, *desk) == 0
    assert client("join", invitation, "--out", enrolment, "--compared", *more, *home) == 0
    assert server("holder", "admit", enrolment, "--out", admission, "--compared", *desk) == 0
    assert client("join", admission, *home) == 0
    return admission


def made(town: Town, address: str = "", bind: str = "") -> Federation:
    """A town whose holders are enrolled; nothing runs yet. The gateway is on loopback unless told where."""
    address = address or f"127.0.0.1:{free_port()}"
    words = ("--address", address, "--bind", bind or address)
    assert server("gateway", "make", *words, "--config", town.desk) == 0
    for name in NAMES:
        enrol(town, name)
    return Federation(town=town)


@contextmanager
def federation(
    town: Town, address: str = "", inside: dict[str, tuple[str, ...]] | None = None, bind: str = ""
) -> Iterator[Federation]:
    """A federation that runs."""
    found = made(town, address, bind)
    found.inside = inside or {}
    try:
        found.start_serve()
        found.start_nodes(*NAMES)
        yield found
    finally:
        for process in (*found.nodes.values(), found.serve):
            if process is not None:
                process.end(signal.SIGKILL if process.running.poll() is not None else signal.SIGTERM)


def approve_everywhere(town: Town, study: Path, rows: int = 4000) -> None:
    """Tables, consents, and the approval of two people at each holder.

    So many customers that the noise in their count does not reach the smallest cohort.
    """
    for name in NAMES:
        home = town.root / name
        write_table(home, rows=rows)
        consents = write_consents(town.root / f"{name}.consents.csv", [f"C{n}" for n in range(rows)])
        assert client("consent", "import", consents, "--config", home) == 0
        for person in (town.ana, town.ben):
            assert client("study", "approve", study, "--key", person, "--config", home) == 0
