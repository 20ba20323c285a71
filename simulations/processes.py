"""A federation as it runs between machines, on one: every party a process with its own home, killed and
restarted in the middle of a study.

Desks are worked by the commands that people type; gateway, nodes and the study are processes of their own, on
loopback. Only the people and their tables come from elsewhere (`bringing.py`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.audit.cli import main as audit
from ringfence.clients.commands.cli import main as client
from ringfence.privacy.command_line.terminal import Terminal
from ringfence.privacy.errors import N_, UsageError, WaistError, _
from ringfence.server.commands.cli import main as server
from ringfence.server.connections.serving import free_loopback_port
from ringfence.simulations.bringing import BROUGHT, require_tables

_PEOPLE = ("ana", "ben")
_DESK = "desk"
_LONGEST = 240.0
_ONE_SIDED = 3
_CALL = "import sys; from ringfence.{module} import main; sys.exit(main(sys.argv[1:]))"
_CLIENT, _SERVER = "clients.commands.cli", "server.commands.cli"


@dataclass(slots=True)
class _Process:
    """One party's process, with what it says kept in a file."""

    name: str
    words: Path
    running: subprocess.Popen[bytes]

    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str) -> None:
        _until(lambda: text in self.said() or self.running.poll() is not None)
        if text not in self.said():
            raise _failed(self.name, self.said())

    def kill(self) -> None:
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()

    def end(self) -> None:
        if self.running.poll() is None:
            self.running.terminate()
        try:
            self.running.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass(slots=True, kw_only=True)
class _Rehearsal:
    """The folder, the parties, and when what happened."""

    folder: Path
    terminal: Terminal
    began: float = field(default_factory=time.monotonic)
    names: tuple[str, ...] = ()
    parties: dict[str, _Process] = field(default_factory=dict)

    def tell(self, sentence: str) -> None:
        self.terminal.say(f"{time.monotonic() - self.began:6.1f} s  {sentence}")

    def command(self, main: Callable[[Sequence[str]], int], *words: object) -> None:
        """One command of a desk, its words kept.

        Raises:
            WaistError: RF-W370 it refused.
        """
        log = self.folder / "commands.txt"
        start = log.stat().st_size if log.exists() else 0
        if self.asked(main, *words):
            said = log.read_bytes()[start:].decode("utf-8", errors="replace")
            raise _failed(" ".join(map(str, words[:3])), said)

    def asked(self, main: Callable[[Sequence[str]], int], *words: object) -> int:
        """The exit status of one command, its words kept."""
        with (self.folder / "commands.txt").open("a", encoding="utf-8") as file, _quietly(file):
            return main([*map(str, words), "--lang", "en"])

    def start(self, name: str, module: str, *words: object) -> _Process:
        count = sum(1 for _said in self.folder.glob(f"{name}-*.txt"))
        said = self.folder / f"{name}-{count + 1}.txt"
        with said.open("xb") as file:
            running = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _CALL.format(module=module), *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.parties[name] = _Process(name, said, running)
        return self.parties[name]

    def end(self) -> None:
        """Stop whoever runs."""
        for party in self.parties.values():
            party.end()

    def home(self, name: str) -> tuple[str, Path]:
        return "--config", self.folder / name


def run_federation(
    out: Path, *, seed: int, terminal: Terminal, case: str = "demo", undisturbed: bool = False
) -> int:
    """Found, enrol, approve, run with deaths in the middle, verify, and stop.

    Args:
        out: folder to make, which keeps the homes and what everybody said.
        seed: of the made-up city, or of how a public table is cut into holders.
        terminal: where the timeline is told.
        case: who takes part, a name of `BROUGHT`.
        undisturbed: nobody is killed.

    Raises:
        UsageError: RF-U342 something stands at `out`, RF-U810 the case's table is not there.
        WaistError: RF-W370 a party refused or ended.
    """
    if out.exists():
        raise UsageError(
            "RF-U342",
            N_("{folder} exists already; name a new folder, nothing is overwritten."),
            folder=str(out),
        )
    require_tables(case)
    out.mkdir(parents=True)
    here = _Rehearsal(folder=out.absolute(), terminal=terminal)
    with ExitStack() as stack:
        stack.callback(here.end)
        _found(here, BROUGHT[case](here.folder / "data", seed))
        _enrol(here)
        signed = _signed(here)
        _serve(here)
        study = _approve(here, signed)
        took = _conducted(here, study, deaths=not undisturbed)
        here.end()
        here.tell(_("everybody stopped"))
    _verify(here)
    shown = (here.folder / "model" / "scorecard.json").stat().st_size
    seconds = round(time.monotonic() - here.began, 1)
    terminal.write_json({"folder": str(out), "seconds": seconds, "seconds_of_the_study": round(took, 1)})
    here.tell(_("scorecard of {size} bytes in {folder}").format(size=shown, folder=out / "model"))
    return 0


def _found(here: _Rehearsal, populations: Mapping[str, str]) -> None:
    """Homes, keys and contracts of everybody."""
    here.names = tuple(populations)
    unwrapped = "--no-passphrase"
    here.command(server, "init", here.folder / _DESK, "--name", "city-analytics", unwrapped)
    for person in _PEOPLE:
        here.command(client, "key", "new", here.folder / f"{person}.key", "--kind", "approver", unwrapped)
    for name, people in populations.items():
        budget = ("--budget-epsilon", "4", "--budget-delta", "1e-7", "--population", people)
        here.command(client, "init", here.folder / name, "--name", name, *budget, unwrapped)
        shutil.copy(here.folder / "data" / f"contract-{name}.toml", here.folder / name / "contract.toml")
        for file in (*(here.folder / "data").glob(f"{name}.*"), here.folder / "data" / "schema.toml"):
            shutil.copy(file, here.folder / name)
    keys = [here.folder / name / "keys" / "holder.key.pub" for name in here.names]
    declarations = []
    for name in here.names:
        contract, home = here.folder / name / "contract.toml", here.home(name)
        approvers = [here.folder / f"{person}.key.pub" for person in _PEOPLE]
        here.command(client, "approver", "add", *approvers, "--compared", *home)
        here.command(client, "peer", "add", *keys, "--contract", contract, "--compared", *home)
        here.command(client, "contract", "sign", contract, "--use", *home)
        declarations.append(here.folder / f"{name}.json")
        here.command(client, "contract", "declare", "--out", declarations[-1], *home)
        here.command(client, "consent", "import", here.folder / "data" / f"{name}-consent.csv", *home)
    here.command(server, "holder", "add", *declarations, "--compared", *here.home(_DESK))
    here.tell(_("founded: a coordinator and holders ({names})").format(names=", ".join(here.names)))


def _enrol(here: _Rehearsal) -> None:
    """Gateway, invitations, answers, admissions."""
    desk, address = here.home(_DESK), f"127.0.0.1:{free_loopback_port()}"
    here.command(server, "gateway", "make", "--address", address, "--bind", address, *desk)
    for name in here.names:
        invitation, enrolment, admission = (
            here.folder / f"{name}.{word}.json" for word in ("invitation", "enrolment", "admission")
        )
        here.command(server, "holder", "invite", name, "--out", invitation, *desk)
        here.command(client, "join", invitation, "--out", enrolment, "--compared", *here.home(name))
        here.command(server, "holder", "admit", enrolment, "--out", admission, "--compared", *desk)
        here.command(client, "join", admission, *here.home(name))
    here.tell(_("invited, answered and admitted: {names}").format(names=", ".join(here.names)))


def _signed(here: _Rehearsal) -> Path:
    """The study, signed by the coordinator; its file."""
    for file in ("study.toml", "schema.toml"):
        shutil.copy(here.folder / "data" / file, here.folder / file)
    signed = here.folder / "study.signed.json"
    given = [word for name in here.names for word in ("--declaration", here.folder / f"{name}.json")]
    words = ("study", "sign", here.folder / "study.toml", *given, "--out", signed)
    here.command(server, *words, *here.home(_DESK))
    return signed


def _approve(here: _Rehearsal, signed: Path) -> str:
    """The study comes into the holders' inboxes, and two people of each approve it; its id."""
    told = here.folder / "standing.json"
    here.command(server, "study", "submit", signed, "--json", told, *here.home(_DESK))
    study: str = json.loads(told.read_text(encoding="utf-8"))["id"]
    here.tell(_("signed by the coordinator, and in the inbox of each holder: {study}").format(study=study))
    for name in here.names:
        for person in _PEOPLE:
            key = ("--key", here.folder / f"{person}.key")
            here.command(client, "study", "approve", study, *key, *here.home(name))
    here.command(server, "study", "list", "--refresh", "--json", told, *here.home(_DESK))
    (found,) = json.loads(told.read_text(encoding="utf-8"))["studies"]
    states = {name: each["state"] for name, each in found["holders"].items()}
    if set(states.values()) != {"approved"}:
        raise _failed("study list", str(states))
    here.tell(_("approved by two people at each holder, as the coordinator sees"))
    return study


def _serve(here: _Rehearsal) -> None:
    here.start(_DESK, _SERVER, "serve", "--lang", "en", *here.home(_DESK)).wait_for("Holders can connect")
    for name in here.names:
        _node(here, name)
    here.tell(_("the gateway listens, the holders' nodes connect"))


def _node(here: _Rehearsal, name: str) -> None:
    here.start(name, _CLIENT, "run", "--lang", "en", *here.home(name)).wait_for("Answering")


def _conducted(here: _Rehearsal, study: str, *, deaths: bool) -> float:
    """Run the study to its release; seconds from `study run` until it has ended.

    With deaths, a holder is killed after its first sum, the coordinator after a later one.
    """
    began = time.monotonic()
    process = _run(here, study)
    if deaths:
        process = _killed_in_the_middle(here, study, process)
    _until(lambda: process.running.poll() is not None)
    if process.running.returncode:
        raise _failed("study run", process.said())
    took, said = time.monotonic() - began, process.said()
    witnesses = next((line for line in said.splitlines() if line.startswith("cosigned by")), "")
    here.tell(_("released; {witnesses}").format(witnesses=witnesses))
    here.tell(_("from study run to the cosigned release: {seconds} s").format(seconds=f"{took:.1f}"))
    return took


def _run(here: _Rehearsal, study: str) -> _Process:
    words = ("study", "run", study, "--out", here.folder / "model", "--lang", "en")
    return here.start("study", _SERVER, *words, *here.home(_DESK))


def _killed_in_the_middle(here: _Rehearsal, study: str, process: _Process) -> _Process:
    """Kill and start again; the study's process at the end."""
    victim = here.names[1]
    _sums(here, process, 1)
    here.parties[victim].kill()
    here.tell(_("killed in mid-study: a holder ({name})").format(name=victim))
    _node(here, victim)
    here.tell(_("started again: the holder"))
    reached = _sums(here, process, 3)
    process.kill()
    here.parties[_DESK].kill()
    here.tell(_("killed after {count} sums: the coordinator, study and gateway").format(count=reached))
    here.start(_DESK, _SERVER, "serve", "--lang", "en", *here.home(_DESK)).wait_for("Holders can connect")
    process = _run(here, study)
    here.tell(_("started again: the coordinator"))
    return process


def _sums(here: _Rehearsal, process: _Process, count: int) -> int:
    """Wait for so many sums while the study runs; how many there are.

    Raises:
        WaistError: RF-W370 it ended before.
    """
    told = here.folder / "sums.json"

    def found() -> int:
        words = ("log", "--type", "aggregate.received", "--limit", "1000", "--json", told)
        here.command(server, *words, *here.home(_DESK))
        return len(json.loads(told.read_text(encoding="utf-8"))["events"])

    _until(lambda: found() >= count or process.running.poll() is not None)
    if process.running.poll() is not None:
        raise _failed("study run", process.said())
    return found()


def _verify(here: _Rehearsal) -> None:
    """Everybody's log, exported and verified together."""
    bundle = here.folder / "bundle"
    (bundle / "holders").mkdir(parents=True)
    here.command(server, "log", "export", bundle / "coordinator", *here.home(_DESK))
    for name in here.names:
        here.command(client, "log", "export", bundle / "holders" / name, *here.home(name))
    here.command(audit, "verify", bundle)
    here.tell(_("all logs verified: {folder}").format(folder=bundle))
    _reconcile(here, bundle)


def _reconcile(here: _Rehearsal, bundle: Path) -> None:
    """The holders' logs and the coordinator's say the same, but for messages that died on their way.

    Raises:
        WaistError: RF-W370 the coordinator's log says what a holder's does not.
    """
    told = here.folder / "reconciled.json"
    status = here.asked(audit, "reconcile", bundle, "--json", told)
    found = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    if status not in (0, _ONE_SIDED):
        raise _failed("reconcile", json.dumps(found))
    alone = len(found["findings"])
    here.tell(
        _("logs reconciled: said by both sides {pairs}, by a killed party's peer alone {alone}").format(
            pairs=found["pairs"], alone=alone
        )
    )


@contextmanager
def _quietly(file: object) -> Iterator[None]:
    with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):  # type: ignore[type-var]
        yield


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST
    while not condition():
        if time.monotonic() > deadline:
            raise _failed("federation", _("It took longer than {seconds} s.").format(seconds=_LONGEST))
        time.sleep(0.05)


def _failed(name: str, said: str) -> WaistError:
    return WaistError(
        "RF-W370",
        N_("{name} did not do what it should. It said: {said}"),
        name=name,
        said=said[-600:].strip(),
    )
