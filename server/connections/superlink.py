"""Flower's SuperLink as a process of the coordinator's, on loopback, and a run that the coordinator claims.

The coordinator is the run's server app itself: it starts a run whose bundle holds no code, acquires the run's
task with the secret that only it and the link know, and talks to the nodes over the run's grid. Everything of
Flower that is not its public interface and that a coordinator needs is used here and nowhere else in
`server`; `tests/server/test_superlink_fingerprint.py` holds names and shapes.

Invariants: the link listens on loopback alone; it installs and runs nothing; it never holds a message that is
    not sealed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from flwr.common.serde import run_from_proto
from flwr.proto.control_pb2 import (
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore import telemetry
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.bundle import bundle
from ringfence.server.connections.link_grid import LinkGrid

# Flower tells its makers when it ends a process; nobody is told anything from here.
telemetry.FLWR_TELEMETRY_ENABLED = "0"
MEMORY = ":flwr-in-memory:"
NO_GATEWAY = "RF-W342"
"""The code that says that no gateway serves."""
_SECRET = "executor.secret"
_CLAIM = "claim.lock"
_ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
_TASK = "flwr-serverapp"
_UP_SECONDS = 60.0
_BEAT_SECONDS = 10.0
# The link ends with the process that supervises it, however that ends: nobody else would ever end it.
_START = """\
import os, sys, threading, time

def watch():
    while os.getppid() == {parent}:
        time.sleep(0.5)
    os._exit(1)

threading.Thread(target=watch, daemon=True).start()
from flwr.superlink.cli.flower_superlink import flower_superlink
sys.argv[0] = "flower-superlink"
flower_superlink()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFiles:
    """What a link is started with.

    Attributes:
        folder: its own, of its owner alone: log, secret, and what Flower keeps.
        certificate: its certificate for 127.0.0.1, PEM.
        key: the certificate's key, PEM.
        authority: who issued it, PEM.
        database: its SQLite file, or `MEMORY`.
    """

    folder: Path
    certificate: Path
    key: Path
    authority: Path
    database: str = MEMORY


@dataclass(slots=True, kw_only=True)
class SuperLink:
    """A running link.

    Attributes:
        files: what it was started with.
        port: on 127.0.0.1.
    """

    files: LinkFiles
    port: int
    _secret: bytes
    _process: subprocess.Popen[bytes] | None = None
    _control: ControlHttpClient = field(init=False)

    def __post_init__(self) -> None:
        """Connect."""
        self._control = ControlHttpClient.from_server_address(
            self.address, False, self._root, [RuntimeVersionHttpInterceptor(component_name="flwr")]
        )

    @classmethod
    def start(cls, files: LinkFiles, port: int) -> SuperLink:
        """Start a link and wait until it answers.

        Raises:
            WaistError: RF-W340 it ended or did not answer in time; its log says why.
        """
        files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = secrets.token_bytes(32)
        secret_file = files.folder / _SECRET
        secret_file.touch(mode=0o600)
        secret_file.write_bytes(secret)
        with (files.folder / "superlink.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _START.format(parent=os.getpid()),
                    *_options(files, port, secret_file),
                ],
                env=_environment(files.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        link = cls(files=files, port=port, _secret=secret, _process=process)
        link._wait()
        return link

    @classmethod
    def attach(cls, files: LinkFiles, port: int) -> SuperLink:
        """A link that another process of the coordinator started and supervises.

        Raises:
            WaistError: RF-W342 it does not answer.
        """
        try:
            secret = (files.folder / _SECRET).read_bytes()
        except OSError as error:
            raise no_gateway() from error
        link = cls(files=files, port=port, _secret=secret)
        try:
            link._control.ListRuns(ListRunsRequest())
        except (httpx.HTTPError, OSError) as error:
            link.close()
            raise no_gateway() from error
        return link

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process that was started here runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that was started here; 0 where none was."""
        return self._process.pid if self._process is not None else 0

    @property
    def _root(self) -> bytes:
        return self.files.authority.read_bytes()

    def register(self, public_key: bytes, name: str) -> int:
        """Let a node in; return the number that the link gives it."""
        answer = self._control.RegisterNode(RegisterNodeRequest(public_key=public_key, name=name))
        return int(answer.node_id)

    def unregister(self, node: int) -> None:
        """Let a node in no more."""
        self._control.UnregisterNode(UnregisterNodeRequest(node_id=node))

    @contextmanager
    def run(self, series: int | None = None) -> Iterator[tuple[LinkGrid, int]]:
        """Start a run, claim it, and end it with the block.

        Args:
            series: of a run that goes on after a restart.

        Yields:
            The run's grid and the number of its series.

        Raises:
            WaistError: RF-W341 another process has the run, RF-N210 the link is gone, at whatever call.
        """
        try:
            with self._run(series) as found:
                yield found
        except httpx.HTTPError as error:
            raise _link_lost() from error

    @contextmanager
    def _run(self, series: int | None) -> Iterator[tuple[LinkGrid, int]]:
        with claiming(self.files.folder):
            run, own_series = self.start_run(bundle(), series)
            grid = self.claim_run(run)
        over = threading.Event()
        beat = threading.Thread(target=_beat, args=(grid, over), daemon=True)
        beat.start()
        done = False
        try:
            yield grid, own_series
            done = True
        finally:
            over.set()
            with suppress(httpx.HTTPError, OSError):
                sub_status = "completed" if done else "failed"
                _runtime(grid).PushTaskOutput(PushTaskOutputRequest(sub_status=sub_status))
            grid.close()

    def start_run(self, content: bytes, series: int | None = None) -> tuple[int, int]:
        """Start a run of a bundle, to be claimed; return its number and that of its series."""
        request = StartRunRequest(fab=Fab(hash_str=hashlib.sha256(content).hexdigest(), content=content))
        if series is not None:
            request.series_id = series
        started = self._control.StartRun(request)
        return int(started.run_id), int(started.series_id)

    def stop_run(self, run: int) -> None:
        """End a run that another process claimed."""
        self._control.StopRun(StopRunRequest(run_id=run))

    def close(self) -> None:
        """Leave the link, which runs on."""
        self._control.close()

    def stop(self, *, wait: float = 10.0) -> None:
        """End the process, if it was started here."""
        self.close()
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(wait)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def claim_run(self, run: int) -> LinkGrid:
        """The run's grid, with its task ours; runs that nobody claimed before are stopped."""
        executor = RuntimeHttpClient.from_server_address(
            self.address,
            False,
            self._root,
            [
                RuntimeVersionHttpInterceptor(component_name=_TASK),
                SuperExecAuthHttpInterceptor(master_secret=self._secret, protected_methods={_ACQUIRE}),
            ],
        )
        try:
            answer = executor.AcquireTask(AcquireTaskRequest(supported_task_types=[_TASK]))
            while answer.token and answer.task.run_id != run:
                # The oldest is handed out first: one that a process started and did not live to claim.
                self.stop_run(answer.task.run_id)
                answer = executor.AcquireTask(AcquireTaskRequest(supported_task_types=[_TASK]))
        finally:
            executor.close()
        if not answer.token:
            raise WaistError(
                "RF-W341",
                N_("Flower's link did not hand out the run that was started; another process may have it."),
            )
        grid = LinkGrid(self.address, self._root, token=answer.token)
        given = _runtime(grid).PullTaskInput(PullTaskInputRequest())
        # One run a process: Flower keeps who speaks in class attributes.
        TaskIdentity.task_id = given.task_id
        TaskIdentity.run_id = given.run.run_id
        TaskIdentity.node_id = given.context.node_id
        grid.set_run(run_from_proto(given.run))
        return grid

    def _wait(self) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while self.alive and time.monotonic() < deadline:
            try:
                self._control.ListRuns(ListRunsRequest())
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise WaistError(
            "RF-W340",
            N_("Flower's link did not come up on port {port}; {log} says why. Is the port taken?"),
            port=self.port,
            log=str(self.files.folder / "superlink.log"),
        )


@contextmanager
def claiming(folder: Path) -> Iterator[None]:
    """One process of this machine claims at a time: else one would take, and stop, what another started."""
    handle = os.open(folder / _CLAIM, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def no_gateway() -> WaistError:
    """Nobody serves."""
    return WaistError(
        "RF-W342",
        N_("The gateway of this coordinator does not run, so no holder can be asked: ringfence-server serve"),
    )


def _link_lost() -> WaistError:
    return WaistError(
        "RF-N210",
        N_(
            "Flower's link ended while it was used; the gateway starts it again (ringfence-server serve). Do "
            "this again then: a study goes on from where it stood."
        ),
    )


def _options(files: LinkFiles, port: int, secret: Path) -> list[str]:
    values = {
        "--isolation": "process",
        "--superexec-auth-secret-file": secret,
        "--database": files.database,
        "--host": "127.0.0.1",
        "--port": port,
        "--ssl-certfile": files.certificate,
        "--ssl-keyfile": files.key,
        "--ssl-ca-certfile": files.authority,
    }
    pairs = [str(part) for pair in values.items() for part in pair]
    return [*pairs, "--enable-supernode-auth", "--disable-runtime-dependency-installation"]


def _environment(folder: Path) -> dict[str, str]:
    """What the link needs of ours, and that it tells nobody anything."""
    passed_on = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
    kept = {name: os.environ[name] for name in passed_on if name in os.environ}
    return {
        **kept,
        "HOME": str(folder),
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
        "NO_PROXY": "*",
    }


def _runtime(grid: LinkGrid) -> RuntimeHttpClient:
    """The grid's own client, which has no public name."""
    return grid._runtime_client


def _beat(grid: LinkGrid, over: threading.Event) -> None:
    while not over.wait(_BEAT_SECONDS):
        with suppress(httpx.HTTPError, OSError):
            _runtime(grid).SendTaskHeartbeat(SendTaskHeartbeatRequest())
