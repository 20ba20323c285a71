"""A town whose parties replace their keys by commands, and run studies with all of them in one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kits.command_kit import (
    NAMES,
    Town,
    client,
    events,
    read,
    server,
    town,
    write_consents,
    write_table,
)
from ringfence.audit.note import Verifier
from ringfence.clients.agent import Agent
from ringfence.clients.desk.assembling import serving
from ringfence.clients.holder import Holder
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import read_signed
from ringfence.server.desk.conducting import Conductor, open_conductor
from ringfence.server.home import open_office
from ringfence.server.records.runs import RunStore
from ringfence.server.rounds import Release, run_study
from ringfence.simulations.parties import InProcess

ROWS = 4000


@dataclass
class Houses:
    """A town, the homes of its parties, and the commands that replace their keys."""

    town: Town

    @property
    def root(self) -> Path:
        return self.town.root

    def home(self, name: str) -> Path:
        return self.town.desk if name == "desk" else self.root / name

    def do(self, name: str, *words: object) -> int:
        run = server if name == "desk" else client
        return run(*words, "--config", self.home(name), "--lang", "en")

    def file(self, name: str, role: str, number: int = 0) -> Path:
        """A key file of a home; of a holder's logs, the one that the coordinator sees."""
        stem = "log-city" if role == "log" and name != "desk" else role
        return self.home(name) / "keys" / (f"{stem}.{number}.key" if number else f"{stem}.key")

    def paper(self, name: str, role: str, number: int = 1) -> Path:
        key = self.file(name, role, number)
        return key.with_name(f"{key.stem}.succession.json")

    def key(self, name: str, step: str, role: str, *more: object) -> int:
        """A command about one of a home's keys."""
        whose = ("--federation", "city") if role == "log" and name != "desk" else ()
        return self.do(name, "key", step, role, *whose, *more)

    def prepare(self, name: str, role: str, *more: object) -> None:
        assert self.key(name, "replace", role, "--no-passphrase", *more) == 0
        for person in (self.town.ana, self.town.ben):
            assert self.key(name, "sign", role, "--key", person) == 0

    def replace(self, name: str, role: str, number: int = 1, *more: object) -> Path:
        """Prepare, sign and enact at home; the file for the others."""
        self.prepare(name, role, *more)
        assert self.key(name, "enact", role) == 0
        return self.paper(name, role, number)

    def opens(self, name: str) -> None:
        """A home opens, and its log can be signed."""
        assert self.do(name, "log", "list") == 0
        count = len(list(self.root.glob("bundle-*")))
        assert self.do(name, "log", "export", self.root / f"bundle-{count}") == 0

    def in_force(self, name: str) -> str:
        """Whether a key was replaced at home."""
        out = self.root / "keys.json"
        assert self.do(name, "key", "list", "--json", out) == 0
        return "new" if read(out)["keys"] else "old"

    def told(self, name: str, paper: Path) -> int:
        """What another party's command answers to a succession."""
        if name == "desk":
            return self.do(name, "holder", "succession", paper, "--compared")
        said = json.loads(read_signed(paper).body)
        kind = "coordinator" if said["party"] == "city" else "peer"
        return self.do(name, kind, "succession", paper, "--compared")

    def declare(self, *names: str) -> None:
        for name in names:
            out = self.root / f"{name}.json"
            out.unlink()
            assert self.do(name, "contract", "declare", "--out", out) == 0

    def approve(self, study: Path, *names: str) -> None:
        for name in names or NAMES:
            for person in (self.town.ana, self.town.ben):
                assert self.do(name, "study", "approve", study, "--key", person) == 0

    @contextmanager
    def holders(self) -> Iterator[dict[str, Holder]]:
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.holder(name)) for name in NAMES}

    @contextmanager
    def holder(self, name: str) -> Iterator[Holder]:
        """A holder in the town's federation, as its process has it."""
        with serving(self.home(name)) as found:
            yield found["city"]

    @contextmanager
    def conductor(self, study: Path) -> Iterator[Conductor]:
        with open_office(self.town.desk, passphrases=Passphrases()) as office:
            yield open_conductor(office, study, None, Passphrases())

    def run(self, study: Path) -> Release:
        with self.conductor(study) as opened, self.holders() as holders:
            said: list[str] = []
            agents = {name: Agent(holder=one, report=said.append) for name, one in holders.items()}
            runs = RunStore(opened.office.engine)
            return run_study(
                opened.coordinator, opened.opened, InProcess(agents=agents), lambda *_: None, runs
            )

    def bundle(self, folder: str) -> Path:
        for name in ("desk", *NAMES):
            whose = () if name == "desk" else ("--federation", "city")
            assert self.do(name, "log", "export", self.root / folder / name, *whose) == 0
        return self.root / folder

    def log_key(self, name: str, number: int = 0) -> Verifier:
        key = self.file(name, "log", number)
        origin = "ringfence/coordinator/city"
        if name != "desk":
            out = self.root / "federations.json"
            assert self.do(name, "federation", "list", "--json", out) == 0
            origin = read(out)["federations"][0]["log"]
        return Verifier(name=origin, raw=read_public(public_path(key), "log").raw)


def founded(root: Path) -> Houses:
    """A town whose coordinator has two officers, the people who approve at the holders."""
    made = Houses(town(root))
    people = [person.with_name(person.name + ".pub") for person in (made.town.ana, made.town.ben)]
    assert made.do("desk", "officer", "add", *people, "--compared") == 0
    return made


def stock(here: Houses) -> None:
    """Tables and consents, of so many customers that noise does not reach the smallest cohort."""
    for name in NAMES:
        write_table(here.home(name), rows=ROWS)
        consents = write_consents(here.root / f"{name}.consents.csv", [f"C{n}" for n in range(ROWS)])
        assert here.do(name, "consent", "import", consents) == 0


def actions(here: Houses, name: str = "north") -> list[str]:
    return [event["action"] for event in events(here.home(name), here.root / "log.json")]
