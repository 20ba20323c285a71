"""Successions that are careless, contradict each other, are of lost keys, or meet a crash."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import (
    client,
    events,
    fingerprint,
    new_key,
    read,
    refused,
    server,
)
from kits.key_kit import Houses, founded

from ringfence.audit.log import AuditLog
from ringfence.audit.verification.verify import examine_bundle
from ringfence.clients.desk.assembling import serving
from ringfence.clients.records.participations import Participation, Witnesses
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import KeyFault
from ringfence.privacy.wire.heads import LogPosition
from ringfence.server.records.runs import RunStore


@pytest.fixture
def here(tmp_path: Path) -> Houses:
    return founded(tmp_path)


@pytest.mark.parametrize(("name", "role"), [("north", "holder"), ("north", "log"), ("desk", "coordinator")])
def test_a_replacement_that_dies_between_any_two_steps_goes_on(
    here: Houses, name: str, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = here.file(name, role), here.file(name, role, 1)

    refused(capsys, here.key(name, "enact", role), "RF-U761", 2)
    # Killed while the key file was written: half of it, and no public half.
    second.write_text('{"format"', encoding="utf-8")
    second.chmod(0o600)
    here.opens(name)
    assert here.key(name, "replace", role, "--no-passphrase") == 0
    # Killed after the key, before its public half, and before the document.
    kept = second.read_bytes()
    public_path(second).unlink()
    here.paper(name, role).unlink()
    here.opens(name)
    assert here.key(name, "replace", role, "--no-passphrase") == 0
    assert second.read_bytes() == kept, "a key that is whole is gone on with"
    capsys.readouterr()
    refused(capsys, here.key(name, "replace", role, "--reason", "lost", "--no-passphrase"), "RF-U760", 2)
    refused(capsys, here.key(name, "enact", role), "RF-K153")
    stranger = new_key(here.root / "eve.key")
    refused(capsys, here.key(name, "sign", role, "--key", stranger), "RF-K164")
    assert here.key(name, "sign", role, "--key", here.town.ana) == 0
    capsys.readouterr()
    refused(capsys, here.key(name, "sign", role, "--key", here.town.ana), "RF-K011")
    refused(capsys, here.key(name, "enact", role), "RF-K153")
    assert here.key(name, "sign", role, "--key", here.town.ben) == 0
    here.opens(name)
    # Killed within the one transaction: nothing of it happened.
    with monkeypatch.context() as patched:

        def dies(*_given: object, **_more: object) -> int:
            raise KeyboardInterrupt

        patched.setattr(AuditLog, "hand_over" if role == "log" else "record", dies)
        run = server if name == "desk" else client
        whose = ("--federation", "city") if name == "north" and role == "log" else ()
        with pytest.raises(KeyboardInterrupt):
            raise_through(run, "key", "enact", role, *whose, "--config", here.home(name))
    assert here.in_force(name) == "old"
    here.opens(name)
    assert here.key(name, "enact", role) == 0
    assert here.in_force(name) == "new"
    assert here.key(name, "enact", role) == 0, "killed before it could say so"
    here.opens(name)
    assert first.exists()
    first.unlink()  # as the page says, once everybody has the new one
    here.opens(name)
    assert here.do(name, "doctor") in {0, 1}
    assert here.key(name, "replace", role, "--no-passphrase") == 0
    assert here.file(name, role, 2).exists()


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
    own = ("peer", "succession", one, "--compared")
    refused(capsys, here.do("north", *own), "RF-W432")  # at home, where somebody else's is evidence
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
        here.file("north", role).unlink()
        here.replace("north", role, 1, "--reason", "lost")
    for role in ("holder",):
        assert here.told("desk", here.paper("north", role)) == 0
    here.declare("north")
    assert here.town.sign().exists()
    bundle = here.root / "evidence"
    assert here.do("north", "log", "export", bundle, "--federation", "city") == 0
    assert examine_bundle(bundle, trusted=[here.log_key("north", 1)], alone=True).verdict == "intact"
    report = examine_bundle(bundle, trusted=[here.log_key("north")], alone=True)
    assert report.all_faults()[0].error.code == "RF-A256"


def test_a_node_that_runs_ends_when_a_key_was_replaced(here: Houses) -> None:
    from ringfence.clients.connections.node import written

    paper = here.replace("desk", "coordinator")
    with here.holder("north") as holder:
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
    with serving(here.root / "again") as holders:
        assert holders["city"].identity.public == read_public(
            here.home("north") / "keys" / "holder.1.key.pub"
        )
    words = ("key", "enact", "log", "--federation", "city", "--config", here.root / "again")
    assert client(*words) == 0, "it says again what is in force"


def test_people_who_are_not_listed_put_nothing_in_force(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.do("north", "key", "replace", "holder", "--no-passphrase") == 0
    paper = read_signed(here.paper("north", "holder"))
    for name in ("eve", "mallory"):
        paper = paper.signed_by(read_key(new_key(here.root / f"{name}.key"), "approver"))
    write_signed(here.paper("north", "holder"), paper)
    capsys.readouterr()
    refused(capsys, here.do("north", "key", "enact", "holder"), "RF-K154")
    assert here.in_force("north") == "old"


def test_no_key_is_replaced_while_runs_are_open(here: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    paper = here.replace("south", "holder")
    study = here.town.sign()
    here.prepare("desk", "log")
    here.prepare("north", "log")
    with here.conductor(study) as opened:
        kept = RunStore(opened.office.engine).take_up(opened.opened)
        kept.admit(["south"])
    with here.holder("north") as holder:
        holder.participations.joined(
            Participation(
                study="sha256:" + 64 * "a",
                run=32 * "b",
                coordinator_log=holder.log_key,
                position=LogPosition(size=0, root="sha256:" + 64 * "0"),
                witnesses=Witnesses(keys={}, quorum=1, floor=1, wait_hours=0),
            )
        )
    capsys.readouterr()
    refused(capsys, here.do("desk", "key", "enact", "log"), "RF-U765", 2)
    refused(capsys, here.told("desk", paper), "RF-U765", 2)
    refused(capsys, here.key("north", "enact", "log"), "RF-U764", 2)
    assert here.in_force("desk") == here.in_force("north") == "old"
