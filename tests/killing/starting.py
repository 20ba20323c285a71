"""A command of ours in a forked process that tells what it acknowledged and sent; the product knows nothing
of it.

Everything is loaded before, so that a party that is started again is there in a moment. Holders draw the
tests' noise, which repeats, so that the models of disturbed studies can be compared.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killing.doors import watched
from killing.lives import UPDATES
from killing.watching import Watch
from kits.noise import SeededNoise

import ringfence.clients.connections.node
import ringfence.server.connections.serving
import ringfence.server.desk.conducting  # noqa: F401  # loaded here, for all that are forked
from ringfence.clients.agent import Agent
from ringfence.clients.commands.cli import main as client
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.commands.cli import main as server

SEED = 20


@dataclass(slots=True)
class Running:
    """A forked process, as much of `Popen` as is needed."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """Its status once it has ended."""
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = 60.0) -> int:
        """Its status; it is killed when it takes longer."""
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
            time.sleep(0.02)
        return status

    def kill(self) -> None:
        """At once."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, kind: signal.Signals) -> None:
        """To the process, while nobody has taken note of its end."""
        if self.poll() is None:
            os.kill(self.pid, kind)


def started(party: str, told: Path, program: str, words: Sequence[object], said: Path) -> Running:
    """Fork a party that does one of our commands, its words in a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Running(pid)
    status = 1
    try:
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        status = _commanded(party, told, program, [str(word) for word in words])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _commanded(party: str, told: Path, program: str, words: list[str]) -> int:
    """Wrap, then do what the command does."""
    watch = Watch(party, told, steps=False)
    watch.stores()
    handle = Agent.handle

    def handled(agent: Agent, data: bytes) -> bytes:
        reply = handle(agent, data)
        header = read_header(reply) if reply else None
        if header is not None and header.kind in UPDATES:
            watch.tell("sent", header.study, header.run, header.round, header.attempt)
        return reply

    def share(_: Any, *asked: Any) -> Any:
        return SeededNoise(SEED, party).share(*asked)

    Agent.handle = handled  # type: ignore[method-assign]
    OsNoise.share = share  # type: ignore[method-assign]
    if program == "client":
        return client(words)
    watched(told.with_name("door"))
    return server(words)
