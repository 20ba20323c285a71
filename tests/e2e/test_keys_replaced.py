"""Keys are replaced by commands between two studies: everything that pinned them follows, old keys count no
more.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import (
    NAMES,
    Town,
    client,
    events,
    fingerprint,
    new_key,
    read,
    refused,
    server,
    town,
    write_consents,
    write_table,
)

from ringfence.audit.log import AuditLog
from ringfence.audit.note import Verifier
from ringfence.audit.verification.verify import examine_bundle
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.home import serving
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import KeyFault, WaistError
from ringfence.privacy.wire.heads import sign_head
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

    def paper(self, name: str, role: str, number: int = 1) -> Path:
        return self.home(name) / "keys" / f"{role}.{number}.succession.json"

    def prepare(self, name: str, role: str, *more: object) -> None:
        assert self.do(name, "key", "replace", role, "--no-passphrase", *more) == 0
        for person in (self.town.ana, self.town.ben):
            assert self.do(name, "key", "sign", role, "--key", person) == 0

    def replace(self, name: str, role: str, number: int = 1, *more: object) -> Path:
        """Prepare, sign and enact at home; the file for the others."""
        self.prepare(name, role, *more)
        assert self.do(name, "key", "enact", role) == 0
        return self.paper(name, role, number)

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
            yield {name: stack.enter_context(serving(self.home(name))) for name in NAMES}

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
            assert self.do(name, "log", "export", self.root / folder / name) == 0
        return self.root / folder

    def log_key(self, name: str, number: int = 0) -> Verifier:
        file = "log.key.pub" if not number else f"log.{number}.key.pub"
        origin = "ringfence/coordinator/city" if name == "desk" else f"ringfence/holder/{name}"
        return Verifier(name=origin, raw=read_public(self.home(name) / "keys" / file, "log").raw)


@pytest.fixture
def here(tmp_path: Path) -> Houses:
    made = Houses(town(tmp_path))
    people = [person.with_name(person.name + ".pub") for person in (made.town.ana, made.town.ben)]
    assert made.do("desk", "officer", "add", *people, "--compared") == 0
    return made


def stock(here: Houses) -> None:
    for name in NAMES:
        write_table(here.home(name), rows=ROWS)
        consents = write_consents(here.root / f"{name}.consents.csv", [f"C{n}" for n in range(ROWS)])
        assert here.do(name, "consent", "import", consents) == 0


def actions(here: Houses, name: str = "north") -> list[str]:
    return [event["action"] for event in events(here.home(name), here.root / "log.json")]


def test_keys_of_all_kinds_change_between_two_studies(here: Houses) -> None:
    stock(here)
    first = here.town.sign("first.signed.json")
    here.approve(first)
    assert here.run(first).holders == NAMES
    pending = here.town.sign("pending.signed.json", epsilon="0.7")
    papers = {
        ("north", "holder"): here.replace("north", "holder"),
        ("north", "log"): here.replace("north", "log"),
        ("desk", "coordinator"): here.replace("desk", "coordinator"),
        ("desk", "log"): here.replace("desk", "log"),
    }
    for (party, role), paper in papers.items():
        for name in ("desk", *NAMES):
            if name == party or (role == "log" and "desk" not in (name, party)):
                continue
            assert here.told(name, paper) == 0, (name, party, role)
    with pytest.raises(KeyFault, match="RF-K168"):
        here.run(pending)
    here.declare("north")
    second = here.town.sign("second.signed.json", epsilon="0.8")
    here.approve(second)
    with here.conductor(second) as opened:
        kept = opened.coordinator.registry.last(opened.opened.participants["north"])
        assert kept is not None, "what was seen of the holder stands under its new key"
    assert here.run(second).holders == NAMES
    bundle = here.bundle("evidence")
    pins = [here.log_key(name) for name in ("desk", *NAMES)]
    report = examine_bundle(bundle, trusted=pins)
    assert [str(fault.error) for fault in report.all_faults()] == []
    assert report.verdict == "intact", [str(gap.error) for gap in report.gaps]
    assert here.do("north", "log", "verify") == 0
    assert "key.replaced" in actions(here)
    assert "log.key_replaced" in actions(here)


def test_a_study_that_names_a_replaced_key_is_signed_anew(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.town.sign()
    paper = here.replace("north", "holder")
    assert here.told("desk", paper) == 0
    capsys.readouterr()
    refused(capsys, here.do("desk", "study", "submit", study), "RF-W431")
    with pytest.raises(KeyFault, match="RF-W431"), here.conductor(study):
        pass
    # A declaration with the retired key enters no study; the new one does, with nothing entered by hand.
    schema = here.root / "schema.toml"
    assert schema.exists()
    words = [word for name in NAMES for word in ("--declaration", here.root / f"{name}.json")]
    out = ("--out", here.root / "new.signed.json")
    capsys.readouterr()
    refused(capsys, here.do("desk", "study", "sign", here.root / "study.toml", *words, *out), "RF-S211")
    here.declare("north")
    assert here.do("desk", "study", "sign", here.root / "study.toml", *words, *out) == 0
    # A peer that was told vouches for the new key; one that was not stays with the old one.
    assert here.told("south", paper) == 0
    for name, status in (("south", 0), ("west", 1)):
        assert here.do(name, "study", "check", here.root / "new.signed.json") == status


def test_an_old_head_still_detects_a_rollback_and_a_stolen_key_makes_none(here: Houses) -> None:
    home = here.home("north")
    old = read_key(home / "keys" / "holder.key", "holder", None)
    assert here.do("north", "budget", "freeze", "--reason", "audit") == 0
    with serving(home) as holder:
        entry = holder.ledger.head()
        head = sign_head(old, sequence=entry.sequence, entry_hash=entry.hash)
        beyond = sign_head(old, sequence=entry.sequence + 3, entry_hash="ab" * 32)
        forked = sign_head(old, sequence=entry.sequence, entry_hash="ab" * 32)
        assert holder.own_head(beyond) == beyond, "while the key is in force"
    here.replace("north", "holder")
    with serving(home) as holder:
        assert holder.identity.public != old.public
        assert holder.own_head(head) == head
        holder.ledger.check_head(head.sequence, head.hash.removeprefix("sha256:"))
        with pytest.raises(Exception, match="RF-B"):
            holder.ledger.check_head(forked.sequence, holder.own_head(forked).hash.removeprefix("sha256:"))
        with pytest.raises(WaistError, match="RF-W430"):
            holder.own_head(beyond)
        with pytest.raises(WaistError, match="RF-W166"):
            holder.own_head(replace(head, sequence=head.sequence - 1))
        new = sign_head(holder.identity, sequence=entry.sequence + 9, entry_hash="ab" * 32)
        assert holder.own_head(new) == new


@pytest.mark.parametrize(("name", "role"), [("north", "holder"), ("north", "log"), ("desk", "coordinator")])
def test_a_replacement_that_dies_between_any_two_steps_goes_on(
    here: Houses, name: str, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = here.home(name) / "keys"
    first, second = keys / f"{role}.key", keys / f"{role}.1.key"

    def opens() -> None:
        assert here.do(name, "log", "list") == 0
        assert (
            here.do(name, "log", "export", here.root / f"bundle-{len(list(here.root.glob('bundle-*')))}") == 0
        )

    def in_force() -> str:
        out = here.root / "keys.json"
        assert here.do(name, "key", "list", "--json", out) == 0
        return "new" if read(out)["keys"] else "old"

    def whole() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in keys.iterdir()}

    refused(capsys, here.do(name, "key", "enact", role), "RF-U761", 2)
    # Killed while the key file was written: half of it, and no public half.
    second.write_text('{"format"', encoding="utf-8")
    second.chmod(0o600)
    opens()
    assert here.do(name, "key", "replace", role, "--no-passphrase") == 0
    # Killed after the key, before its public half, and before the document.
    kept = whole()
    (keys / f"{role}.1.key.pub").unlink()
    here.paper(name, role).unlink()
    opens()
    assert here.do(name, "key", "replace", role, "--no-passphrase") == 0
    assert whole()[f"{role}.1.key"] == kept[f"{role}.1.key"], "a key that is whole is gone on with"
    capsys.readouterr()
    refused(
        capsys, here.do(name, "key", "replace", role, "--reason", "lost", "--no-passphrase"), "RF-U760", 2
    )
    refused(capsys, here.do(name, "key", "enact", role), "RF-K153")
    stranger = new_key(here.root / "eve.key")
    refused(capsys, here.do(name, "key", "sign", role, "--key", stranger), "RF-K164")
    assert here.do(name, "key", "sign", role, "--key", here.town.ana) == 0
    capsys.readouterr()
    refused(capsys, here.do(name, "key", "sign", role, "--key", here.town.ana), "RF-K011")
    refused(capsys, here.do(name, "key", "enact", role), "RF-K153")
    assert here.do(name, "key", "sign", role, "--key", here.town.ben) == 0
    opens()
    # Killed within the one transaction: nothing of it happened.
    with monkeypatch.context() as patched:

        def dies(*_given: object, **_more: object) -> int:
            raise KeyboardInterrupt

        patched.setattr(AuditLog, "hand_over" if role == "log" else "record", dies)
        run = server if name == "desk" else client
        with pytest.raises(KeyboardInterrupt):
            raise_through(run, "key", "enact", role, "--config", here.home(name))
    assert in_force() == "old"
    opens()
    assert here.do(name, "key", "enact", role) == 0
    assert in_force() == "new"
    assert here.do(name, "key", "enact", role) == 0, "killed before it could say so"
    opens()
    assert first.exists()
    first.unlink()  # as the page says, once everybody has the new one
    opens()
    assert here.do(name, "doctor") in {0, 1}
    assert here.do(name, "key", "replace", role, "--no-passphrase") == 0
    assert (keys / f"{role}.2.key").exists()


def raise_through(run: Any, *words: object) -> None:
    """Run a command whose end by interrupt is not turned into a sentence."""
    from ringfence.clients.commands import cli as client_cli
    from ringfence.server.commands import cli as server_cli

    (server_cli if run is server else client_cli).command([str(word) for word in words])


def twice(here: Houses, name: str, role: str) -> tuple[Path, Path]:
    """Two successions of one key, as its owner and somebody with a copy of the home make them."""
    copy, kept = here.root / "copy", here.root / "first.succession.json"
    shutil.copytree(here.home(name), copy)
    shutil.copy(here.replace(name, role), kept)
    shutil.rmtree(here.home(name))
    copy.rename(here.home(name))
    return kept, here.replace(name, role)


def test_two_successors_freeze_a_holder_at_the_coordinator(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = twice(here, "north", "holder")
    old, first, second = (
        fingerprint(here.home("north") / "keys" / "holder.key"),
        PublicIdentity.from_hex(json.loads(read_signed(one).body)["new"]).fingerprint,
        PublicIdentity.from_hex(json.loads(read_signed(other).body)["new"]).fingerprint,
    )
    assert here.told("desk", one) == 0
    capsys.readouterr()
    refused(capsys, here.told("desk", one), "RF-K156")
    refused(capsys, here.told("desk", other), "RF-K160")
    refused(capsys, here.told("desk", other), "RF-K161")
    here.declare("north")
    study = here.root / "study.toml"
    with pytest.raises(AssertionError):
        here.town.sign("frozen.signed.json")
    assert "RF-S211" in capsys.readouterr().err
    assert study.exists()
    settle = ("key", "settle", old, "--chosen", second)
    refused(capsys, here.do("desk", *settle, "--key", here.town.ana), "RF-K169")
    twice_ana = ("--key", here.town.ana, "--key", here.town.ana)
    refused(capsys, here.do("desk", *settle, *twice_ana), "RF-K169")
    both = ("--key", here.town.ana, "--key", here.town.ben)
    refused(capsys, here.do("desk", "key", "settle", old, "--chosen", old, *both), "RF-K162")
    assert here.do("desk", *settle, *both) == 0
    assert here.town.sign("thawed.signed.json").exists(), "the holder's present key counts"
    capsys.readouterr()
    refused(capsys, here.do("desk", "key", "settle", old, "--chosen", first, *both), "RF-K167")


def test_two_successors_freeze_a_coordinator_at_a_holder(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = twice(here, "desk", "coordinator")
    assert here.told("north", one) == 0
    capsys.readouterr()
    refused(capsys, here.told("north", other), "RF-K160")
    with pytest.raises(KeyFault, match="RF-K161"), serving(here.home("north")):
        pass
    refused(capsys, here.do("north", "study", "list"), "RF-K161")
    frozen = [
        event for event in events(here.home("north"), here.root / "log.json") if "frozen" in event["action"]
    ]
    assert [event["public"]["kind"] for event in frozen] == ["coordinator"]


def test_nothing_is_taken_in_before_it_was_compared_or_without_its_signatures(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = here.replace("north", "holder")
    before = (here.home("desk") / "server.toml").read_bytes()
    capsys.readouterr()
    refused(capsys, here.do("desk", "holder", "succession", paper), "RF-U661", 2)
    whole = read_signed(paper)
    for count, code in ((3, "RF-K153"), (1, "RF-K152"), (0, "RF-K151")):
        part = SignedDocument(kind=whole.kind, body=whole.body, signatures=whole.signatures[:count])
        write_signed(here.root / "part.json", part)
        refused(capsys, here.told("desk", here.root / "part.json"), code)
    refused(capsys, here.told("north", paper), "RF-K156")  # its own
    assert (here.home("desk") / "server.toml").read_bytes() == before
    out = here.root / "keys.json"
    assert here.do("desk", "key", "list", "--json", out) == 0
    assert read(out)["keys"] == []


def test_a_lost_key_is_replaced_by_two_people(here: Houses) -> None:
    for role in ("holder", "log"):
        (here.home("north") / "keys" / f"{role}.key").unlink()
        here.replace("north", role, 1, "--reason", "lost")
    for role in ("holder",):
        assert here.told("desk", here.paper("north", role)) == 0
    here.declare("north")
    assert here.town.sign().exists()
    bundle = here.root / "evidence"
    assert here.do("north", "log", "export", bundle) == 0
    assert examine_bundle(bundle, trusted=[here.log_key("north", 1)], alone=True).verdict == "intact"
    report = examine_bundle(bundle, trusted=[here.log_key("north")], alone=True)
    assert report.all_faults()[0].error.code == "RF-A256"


def test_a_node_that_runs_ends_when_a_key_was_replaced(here: Houses) -> None:
    from ringfence.clients.connections.node import written

    paper = here.replace("desk", "coordinator")
    with serving(here.home("north")) as holder:
        from ringfence.clients.config import load_settings

        settings = load_settings(here.home("north"))
        before = written(settings, holder.chains)
        assert here.told("north", paper) == 0
        assert written(settings, holder.chains) != before
        assert here.do("north", "key", "replace", "holder", "--no-passphrase") == 0
        for person in (here.town.ana, here.town.ben):
            assert here.do("north", "key", "sign", "holder", "--key", person) == 0
        assert here.do("north", "key", "enact", "holder") == 1, (
            "not under a process that answers with the old one"
        )


def test_a_backup_brings_the_key_in_force(here: Houses) -> None:
    here.replace("north", "holder")
    here.replace("north", "log")
    (here.root / "pass").write_text("correct horse battery\n", encoding="utf-8")
    (here.root / "pass").chmod(0o600)
    given = ("--passphrase-file", here.root / "pass")
    assert here.do("north", "backup", here.root / "home.backup", *given) == 0
    assert client("restore", here.root / "home.backup", here.root / "again", *given) == 0
    with serving(here.root / "again") as holder:
        assert holder.identity.public == read_public(here.home("north") / "keys" / "holder.1.key.pub")
    assert client("key", "enact", "log", "--config", here.root / "again") == 0
