"""The kill matrix of real processes: a coordinator's gateway with Flower's link, holders' nodes, and a study,
each a command of ours, killed with SIGKILL at instants by chance and started again as their people would.

The gateway is in the process of `serve`, which starts the link anew when that dies. A study whose process
died or said that it goes on is run again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from killing.doors import LINK, SERVE, Door, link_of
from killing.starting import Running, started
from killing.watching import read_told
from kits.command_kit import NAMES, SCHEMA, STUDY, Town, client, server, town
from kits.federation_kit import READY_SECONDS, made, write_consents, write_table

from ringfence.audit.cli import main as audit

A_HOLDER, THE_STUDY = "a holder", "the coordinator's study"
VICTIMS = (A_HOLDER, THE_STUDY, SERVE, LINK)
_ROWS = 4000
_SMALL = '[model]\niterations = 1\n[evaluation]\ntest_fraction = "0"\n'
_LONGEST = 240.0
_ONE_SIDED = 3
# What `study run` says when it goes on from its store: nobody serves, the link ended, or too few were there.
_GOES_ON = ("RF-W200", "RF-W237", "RF-W340", "RF-W341", "RF-W342", "RF-W356", "RF-N210")
# And when every attempt of a round met a death: the study is over, without a model.
_WITHOUT_MODEL = "RF-W201"


@dataclass(slots=True, kw_only=True)
class Party:
    """A running party, its words kept."""

    name: str
    running: Running
    words: Path

    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str) -> None:
        """Until it said this."""
        deadline = time.monotonic() + READY_SECONDS
        while text not in self.said():
            assert self.running.poll() is None, f"{self.name} ended: {self.said()}"
            assert time.monotonic() < deadline, f"{self.name} did not say {text!r}: {self.said()}"
            time.sleep(0.05)


@dataclass(slots=True, kw_only=True)
class Told:
    """What came of one study.

    Attributes:
        deaths: by kind of party.
        said: codes with which `study run` ended before it was run again.
        released: whether there is a model.
        faults: what must not be, each after one of the words lost, unpaid, wrong and stuck.
        alone: events that one side says alone, of messages that died on their way.
        unheard: reservations that were open when a study ended, those of earlier studies included.
        seconds: that it took.
        steps: how many of the deaths were at a named step.
    """

    deaths: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    released: bool = False
    faults: list[str] = field(default_factory=list)
    alone: int = 0
    unheard: int = 0
    seconds: float = 0.0
    steps: int = 0

    def count(self, word: str) -> int:
        """So many faults of a kind."""
        return sum(each.startswith(f"{word}: ") for each in self.faults)


@dataclass(slots=True, kw_only=True)
class Street:
    """A federation of processes that are watched from outside.

    Attributes:
        here: homes, desk and people.
        told: a file that processes write to.
        parties: by name; `serve` and `study` beside the holders.
    """

    here: Town
    told: Path
    parties: dict[str, Party] = field(default_factory=dict)
    points: bytes = b""
    _asked: Door | None = None
    _studies: int = 0

    def start(self, name: str) -> Party:
        """Start `serve` or a holder's node."""
        home = self.here.desk if name == "serve" else self.here.root / name
        words = ("server", "serve") if name == "serve" else ("client", "run")
        return self._start(name, *words, "--config", home)

    def _start(self, name: str, program: str, *words: object) -> Party:
        said = self.here.root / f"{name}-{time.monotonic_ns()}.txt"
        said.touch()
        running = started(name, self.told, program, words, said)
        self.parties[name] = Party(name=name, running=running, words=said)
        return self.parties[name]

    def sign(self) -> Path:
        """A study like the others, but for its number: the same people, features and parts."""
        self._studies += 1
        root, number = self.here.root, self._studies
        (root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
        text = STUDY.format(purpose="churn-prediction", epsilon="1.0", expires="2099-12-31")
        text = text.replace("DPIA-1", f"DPIA-{number}") + _SMALL
        (root / "study.toml").write_text(text, encoding="utf-8")
        signed = root / f"study-{number}.signed.json"
        words = [word for one in self.here.declarations for word in ("--declaration", one)]
        desk = ("--config", self.here.desk, "--out", signed)
        assert server("study", "sign", root / "study.toml", *words, *desk) == 0
        for name in NAMES:
            for person in (self.here.ana, self.here.ben):
                assert client("study", "approve", signed, "--key", person, "--config", root / name) == 0
        return signed

    def kill(self, victim: str, chance: random.Random) -> bool:
        """Kill one party now; whether it was there."""
        if victim == LINK:
            found = link_of(self.parties["serve"].running.pid)
            if found:
                os.kill(found, signal.SIGKILL)
            return bool(found)
        name = {THE_STUDY: "study", SERVE: "serve"}.get(victim) or chance.choice(NAMES)
        process = self.parties.get(name)
        if process is None or process.running.poll() is not None:
            return False
        process.running.kill()
        process.running.wait()
        return True

    def tend(self) -> None:
        """Start again whoever is down, as a service manager does."""
        for name in ("serve", *NAMES):
            if self.parties[name].running.poll() is not None:
                self.start(name)

    @property
    def door(self) -> Path:
        """Where a step of the gateway is asked for."""
        return self.told.with_name("door")

    def run(
        self, study: Path, instants: list[tuple[float, str]], seed: int, doors: list[Door] | None = None
    ) -> Told:
        """Run a study, kill, run it again until it has ended, and look at everything.

        Args:
            study: signed and approved.
            instants: seconds from the beginning, and who dies then.
            seed: which holder dies.
            doors: steps of the gateway that are still to be reached, one after another; what was reached is
                taken out.
        """
        found, chance, began = Told(), random.Random(seed), time.monotonic()
        out = self.here.root / f"{study.stem}-model"
        running, waiting = False, list(instants)
        while time.monotonic() - began < _LONGEST:
            self.tend()
            if not running:
                more = ("--config", self.here.desk, "--timeout", 60)
                self._start("study", "server", "study", "run", study, "--out", out, *more)
                running = True
            if doors and running:
                self._next_door(doors, found)
            if waiting and time.monotonic() - began >= waiting[0][0] and self.kill(waiting[0][1], chance):
                found.deaths[waiting.pop(0)[1]] += 1
            process = self.parties["study"]
            if (status := process.running.poll()) is not None:
                said = process.said()
                if status == 0:
                    found.released = "Released sha256:" in said
                    break
                running = False
                code = said[:8].rstrip(":") if said.startswith("RF-") else str(status)
                found.said.append(code)
                if code == "RF-S380":  # it had ended before its process died: its people let it out anew
                    found.released = self._released(study, out)
                    break
                if code == _WITHOUT_MODEL:
                    break
                if status > 0 and code not in _GOES_ON:
                    found.faults.append(f"stuck: study run: {said[-400:]}")
                    break
            time.sleep(0.05)
        else:
            found.faults.append(f"stuck: the study did not end; said {found.said}")
        found.seconds = time.monotonic() - began
        if doors:
            self._next_door(doors, found, last=True)
        self.tend()
        self._examine(study, out, found)
        return found

    def _next_door(self, doors: list[Door], found: Told, *, last: bool = False) -> None:
        """Ask for the next step once the one before was reached."""
        if self._asked is not None and not self.door.exists():
            found.deaths[self._asked.victim] += 1
            found.steps += 1
            doors.remove(self._asked)
            self._asked = None
        if last:
            self.door.unlink(missing_ok=True)
            self._asked = None
        elif doors and self._asked is None:
            self._asked = doors[0]
            self._asked.put(self.door)

    def _released(self, study: Path, out: Path) -> bool:
        if (out / "points.csv").exists():
            return True
        return server("study", "release", study, "--config", self.here.desk, "--out", out) == 0

    def _examine(self, study: Path, out: Path, found: Told) -> None:
        """Logs, ledgers and model."""
        root = self.here.root
        seen = read_told(self.told)
        bundle = root / f"{study.stem}-bundle"
        (bundle / "holders").mkdir(parents=True)
        assert server("log", "export", bundle / "coordinator", "--config", self.here.desk) == 0
        for name in NAMES:
            assert client("log", "export", bundle / "holders" / name, "--config", root / name) == 0
        if audit(["verify", str(bundle)]) != 0:
            found.faults.append("lost: the logs do not verify")
        told = root / f"{study.stem}-reconciled.json"
        status = audit(["reconcile", str(bundle), "--json", str(told)])
        findings = json.loads(told.read_text())["findings"] if told.exists() else []
        found.alone = len(findings)
        if status not in (0, _ONE_SIDED):
            found.faults.append(f"lost: reconcile: {status}")
        self._acknowledged(seen, bundle, found)
        self._paid(seen, found)
        if found.released:
            points = (out / "points.csv").read_bytes()
            self.points = self.points or points
            if points != self.points:
                found.faults.append(
                    "wrong: the model is another than that of the study that nobody disturbed"
                )

    def _acknowledged(self, seen: list[list[Any]], bundle: Path, found: Told) -> None:
        folders = {name: bundle / "holders" / name for name in NAMES}
        folders |= dict.fromkeys(("serve", "study"), bundle / "coordinator")
        # A holder's export has a log for the house and one for each federation.
        logs = {
            name: [log.read_bytes().splitlines() for log in path.rglob("log.jsonl")]
            for name, path in folders.items()
        }
        for kind, party, *values in seen:
            if kind != "event":
                continue
            number, line = values[0], bytes.fromhex(values[1]).rstrip(b"\n")
            if not any(log[number : number + 1] == [line] for log in logs[party]):
                found.faults.append(f"lost: {party}: acknowledged event {number} is not there")

    def _paid(self, seen: list[list[Any]], found: Told) -> None:
        """Every value that left is charged, and nothing is reserved for a run that ended here."""
        for name in NAMES:
            account = self._account(name)
            paid = Counter(
                (each["run"], each["round"], each["attempt"])
                for each in account["spends"]
                if each["kind"] == "charged"
            )
            sent = {tuple(line[3:6]) for line in seen if line[:2] == ["sent", name]}
            found.faults += [f"unpaid: {name}: sent and not charged: {each}" for each in sent - set(paid)]
            found.faults += [
                f"unpaid: {name}: charged twice: {each}" for each, times in paid.items() if times > 1
            ]
            found.unheard += len(account["reservations"])

    def _account(self, name: str) -> dict[str, Any]:
        told = self.here.root / f"{name}-budget.json"
        assert client("budget", "explain", "--json", told, "--config", self.here.root / name) == 0
        account: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
        return account

    def never_told(self, seconds: float) -> list[str]:
        """Holders that hold budget back although all studies are over, once `serve` had time to tell them."""
        until = time.monotonic() + seconds
        while True:
            left = [name for name in NAMES if self._account(name)["reservations"]]
            if not left or time.monotonic() > until:
                return [f"stuck: {name}: was never told that a run is over" for name in left]
            time.sleep(1)


@contextmanager
def street(root: Path) -> Iterator[Street]:
    """A town whose holders are enrolled, with budget for many studies, and whose processes run."""
    here = town(root)
    made(here)
    keys = ("--key", here.ana, "--key", here.ben)
    for name in NAMES:
        home = root / name
        write_table(home, rows=_ROWS)
        given = write_consents(root / f"{name}.consents.csv", [f"C{n}" for n in range(_ROWS)])
        assert client("consent", "import", given, "--config", home) == 0
        words = ("--epsilon", "60", "--reason", "many studies", "--config", home)
        assert client("budget", "top-up", *keys, *words) == 0
    found = Street(here=here, told=root / "told")
    try:
        for name in ("serve", *NAMES):
            found.start(name)
        found.parties["serve"].wait_for("Holders can connect")
        for name in NAMES:
            found.parties[name].wait_for("Answering")
        yield found
    finally:
        for process in found.parties.values():
            process.running.send_signal(signal.SIGTERM)
        for process in found.parties.values():
            process.running.wait(30)
