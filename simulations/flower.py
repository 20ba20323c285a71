"""A federation over Flower's simulation engine on Ray: the same agents and coordinator as in one process.

Driver (this process) is the coordinator; one Ray actor is the process of all virtual holders, because a
holder's keys for a run live in one process and never leave it. The actor opens each holder from its durable
store and its key files; when it is gone, the driver opens the stores again to evaluate and to export logs.

Invariants:
    What a holder says to its own people is written to a file of its folder; Flower carries sealed bytes only.
    Ray's ports, which run code and are open to the network, take orders under a token of this run only.
    Nothing stays: no process, no file, no environment variable, no line of Flower's or Ray's on the terminal.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.letters import LetterBox
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, UsageError
from ringfence.server.letters import Letters
from ringfence.server.rounds import Progress, Release, run_study
from ringfence.server.transport import Transport
from ringfence.simulations.federation import Federation, Outcome, Say, outcome_of
from ringfence.simulations.parties import HolderKeys, NoiseOf, Site, make_holder, with_attested_table

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.serverapp import Grid

# One phase: long enough for a large table on a slow machine.
PHASE_SECONDS = 1800.0
# Ray gets one processor and the actor needs it, so there is room for exactly one actor.
_ONE_ACTOR = {"num_cpus": 1, "num_gpus": 0.0}
_OBJECT_STORE = 128 * 1024 * 1024
_NODES, _SAID = "nodes.json", "said.jsonl"
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run_on_flower(
    federation: Federation,
    *,
    noise: NoiseOf | None = None,
    progress: Progress = lambda *_: None,
    say: Say = lambda _: None,
) -> tuple[Outcome, dict[str, Holder]]:
    """Run the study over Flower on Ray.

    Args:
        federation: who and what; its profile is `durable`.
        noise: sources by holder's name; the operating system's by default. It travels to the actor as code.
        progress: see `run_study`.
        say: told what a holder refused, for its own people, soon after it happened.

    Returns:
        The outcome, and the holders as the run left them.

    Raises:
        UsageError: Ray is not installed or did not start, or the stores are in memory.
        RingfenceError: whatever ended the study.
        KeyboardInterrupt: it was stopped from the keyboard.
    """
    _require(federation)
    with tempfile.TemporaryDirectory(prefix="ringfence-ray-") as name:
        folder = Path(name)
        hall = _Hall.lay_out(federation, folder, noise)
        said = _Said(folder=folder, names=tuple(federation.sites), say=say)
        try:
            release, seconds = _simulate(federation, hall, said, progress)
        finally:
            said.read()
    holders = {name: federation.holder(name) for name in federation.sites}
    return outcome_of(federation, release, seconds, holders, said.sentences), holders


def _require(federation: Federation) -> None:
    if find_spec("ray") is None:
        raise UsageError(
            "RF-U345",
            N_(
                "The runner flower needs Ray; install it with: pip install 'ringfence[simulate]', or use the "
                "runner in-process."
            ),
        )
    if federation.profile != "durable":
        raise UsageError(
            "RF-U346",
            N_("The runner flower needs stores in files, since holders live in another process."),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hall:
    """Where all virtual holders live: what the actor needs to open them, and nothing secret but by file name.

    An instance travels to the actor with every message, so it is small; agents are kept by the actor's
    process.
    """

    folder: Path
    stores: Path
    sites: Mapping[str, Site]
    schema: Schema
    publics: Mapping[str, PublicIdentity]
    coordinator: PublicIdentity
    budget: tuple[Decimal, Decimal]
    noise: NoiseOf | None
    study: Study

    @classmethod
    def lay_out(cls, federation: Federation, folder: Path, noise: NoiseOf | None) -> _Hall:
        """Write every holder's key files to a folder of its own."""
        for name, keys in federation.keys.items():
            keys.save(folder / name / "keys")
        return cls(
            folder=folder,
            stores=federation.folder.absolute(),
            sites=federation.sites,
            schema=federation.schema,
            publics={name: keys.identity.public for name, keys in federation.keys.items()},
            coordinator=federation.coordinator.identity.public,
            budget=federation.budget,
            noise=noise,
            study=federation.opened.study,
        )

    def __call__(self, context: Context) -> LetterBox:
        """The agent of the holder that the node of a context plays; opened once in a process."""
        nodes = json.loads((self.folder / _NODES).read_text(encoding="utf-8"))
        name: str = nodes[str(context.node_id)]
        key = (str(self.folder), name)
        if key not in _AGENTS:
            try:
                _AGENTS[key] = self._open(name)
            except Exception as error:
                self._report(name, str(error))
                raise
        return _AGENTS[key]

    def _open(self, name: str) -> LetterBox:
        holder = make_holder(
            self.sites[name],
            self.schema,
            HolderKeys.load(self.folder / name / "keys"),
            peers=[public for other, public in self.publics.items() if other != name],
            coordinator=self.coordinator,
            budget=self.budget,
            profile="durable",
            folder=self.stores,
            noise=self.noise(name) if self.noise else None,
        )
        with_attested_table(holder, self.study)
        agent = Agent(holder=holder, report=lambda sentence: self._report(name, sentence))
        return LetterBox(agent=agent)

    def _report(self, name: str, sentence: str) -> None:
        with (self.folder / name / _SAID).open("a", encoding="utf-8") as file:
            file.write(json.dumps(sentence) + "\n")

    def assign(self, nodes: tuple[int, ...]) -> dict[str, int]:
        """Say which node plays which holder, to the actor by a file."""
        assigned = dict(zip(sorted(self.sites), nodes, strict=True))
        text = json.dumps({str(node): name for name, node in assigned.items()})
        (self.folder / _NODES).write_text(text, encoding="utf-8")
        return assigned


_AGENTS: dict[tuple[str, str], LetterBox] = {}


@dataclass(slots=True, kw_only=True)
class _Said:
    """Sentences of the holders for their own people, from their folders; wrap the transport in time."""

    folder: Path
    names: tuple[str, ...]
    say: Say
    sentences: dict[str, list[str]] = field(default_factory=dict)
    inner: Transport | None = None

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What the transport does, and then what the holders had to say."""
        assert self.inner is not None
        try:
            return self.inner.exchange(messages)
        finally:
            self.read()

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """What the transport says."""
        assert self.inner is not None
        return self.inner.present(names)

    def read(self) -> None:
        """Pass on what is new."""
        for name in self.names:
            file = self.folder / name / _SAID
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
            known = self.sentences.setdefault(name, [])
            for line in lines[len(known) :]:
                known.append(json.loads(line))
                self.say(f"{name}: {known[-1]}")


def _simulate(federation: Federation, hall: _Hall, said: _Said, progress: Progress) -> tuple[Release, float]:
    """Let Flower call our two apps, and return what the server's came to."""
    result: Future[tuple[Release, float]] = Future()
    stop, dead = threading.Event(), threading.Event()
    with ExitStack() as stack:
        stack.enter_context(_environment(hall.folder))
        stack.enter_context(_silence())
        interrupted = stack.enter_context(_stopping(stop))
        from ringfence.clients.flower import make_client_app
        from ringfence.server.flower import FlowerTransport, Stopped, make_server_app, wait_for_nodes

        def conduct(grid: Grid) -> None:
            try:
                nodes = hall.assign(wait_for_nodes(grid, len(hall.sites), timeout=PHASE_SECONDS, stop=stop))
                said.inner = FlowerTransport(
                    grid=grid, nodes=nodes, timeout=PHASE_SECONDS, stop=stop, failed=lambda *_: dead.set()
                )
                # No bytes are answered by no bytes, as soon as the actor is up: the clock starts after Ray
                # has.
                said.exchange(dict.fromkeys(nodes, b""))
                if dead.is_set():
                    raise _ended("ClientApp")
                started = time.perf_counter()
                letters = Letters(
                    carrier=said,
                    identity=federation.coordinator.identity,
                    holders=federation.opened.participants,
                    report=said.say,
                )
                release = run_study(federation.coordinator, federation.opened, letters, progress)
                result.set_result((release, time.perf_counter() - started))
            except BaseException as error:  # told to our caller, not to Flower
                result.set_exception(error)

        try:
            failure = _run(make_server_app(conduct), make_client_app(hall), len(hall.sites), hall.folder)
        finally:
            # a server app that still waits, because Ray never came up or was told to end, ends now
            stop.set()
        error = result.exception(timeout=60)
        if interrupted.is_set():
            raise KeyboardInterrupt
        if failure is not None and isinstance(error, Stopped):
            raise _ended(type(failure.__cause__ or failure).__name__) from failure
        if error is not None and dead.is_set():
            raise _ended("ClientApp") from error
    return result.result()


def _ended(kind: str) -> UsageError:
    """The virtual holders' process is gone, or never came."""
    return UsageError(
        "RF-U347",
        N_(
            "Flower's simulation on Ray ended before the study did ({kind}); see whether this machine has "
            "memory and shared memory left, or use the runner in-process."
        ),
        kind=kind,
    )


def _run(server_app: Any, client_app: Any, nodes: int, folder: Path) -> Exception | None:
    """Run Flower's simulation to its end; a failure of its own is returned."""
    import ray
    from flwr.simulation import run_simulation
    from flwr.supercore import telemetry

    telemetry.FLWR_TELEMETRY_ENABLED = "0"  # read once at import, which may have been before ours
    try:
        run_simulation(
            server_app,
            client_app,
            nodes,
            backend_config={
                "init_args": {
                    "address": "local",  # never a cluster that the environment names
                    "num_cpus": 1,
                    "num_gpus": 0,
                    "include_dashboard": False,
                    "log_to_driver": False,
                    "logging_level": "critical",
                    "object_store_memory": _OBJECT_STORE,
                    "_temp_dir": str(folder / "ray"),
                },
                "client_resources": dict(_ONE_ACTOR),
            },
        )
    except Exception as error:
        return error
    finally:
        ray.shutdown()
    return None


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """Flower's and Ray's variables for the length of a run; the environment is then as it was."""
    before = dict(os.environ)
    closed = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(_QUIET | closed | {"FLWR_HOME": str(folder / "flower")})
    os.environ.pop("RAY_ADDRESS", None)
    try:
        _reread_ray_settings()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _reread_ray_settings()


def _reread_ray_settings() -> None:
    """Let Ray's library see the environment as it is now; it has read it when it was first imported."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _silence() -> Iterator[None]:
    """Neither Flower nor Ray writes to the terminal: they name no cause that ours leave out."""
    loggers = [logging.getLogger(name) for name in ("flwr", "ray")]
    levels = [logger.level for logger in loggers]
    import flwr.supercore.logger  # noqa: F401  # sets its level when it is first imported

    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[threading.Event]:
    """Turn Ctrl-C into the stop: Flower's main thread would wait for its workers, and they for the study."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def stopped(_number: int, _frame: object) -> None:
        interrupted.set()
        stop.set()

    kept: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, stopped)
    try:
        yield interrupted
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
