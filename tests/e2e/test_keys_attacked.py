"""Successions that another party forges, or that somebody slips in; and keys that are lost at a bad time."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kits.command_kit import NAMES, client, read, refused, server
from kits.key_kit import Houses, founded, stock

from ringfence.clients.records.participations import Participation, Witnesses
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.succession.document import KeyRole, Succession
from ringfence.privacy.wire.heads import LogPosition
from ringfence.server.records.runs import RunStore


@pytest.fixture
def here(tmp_path: Path) -> Houses:
    return founded(tmp_path)


def forged(here: Houses, role: KeyRole, party: str, victim: str) -> Path:
    """What anybody can make who knows a public key of `victim`: it was "lost", and `party` has the next."""
    new, *people = (Identity.generate(kind) for kind in (role, "approver", "approver", "approver"))
    old = read_public(public_path(here.file(victim, role)))
    said = Succession.of(
        role=role,
        party=party,
        old=old.hex,
        new=new.public.hex,
        number=1,
        time=datetime.now(UTC).replace(microsecond=0).isoformat(),
        reason="lost",
        identity=people[2].public.hex if role == "log" else "",
    )
    document = SignedDocument(kind="succession", body=said.canonical())
    for signer in (new, *people):
        document = document.signed_by(signer)
    file = here.root / f"{party}-{role}-of-{victim}.json"
    write_signed(file, document)
    return file


def other_federation(here: Houses, name: str = "other") -> Path:
    """A second coordinator with two officers, whose federation north enters."""
    desk = here.root / "desk-two"
    assert server("init", desk, "--name", "other", "--no-passphrase") == 0
    people = [person.with_name(person.name + ".pub") for person in (here.town.ana, here.town.ben)]
    assert server("officer", "add", *people, "--compared", "--config", desk) == 0
    entered = ("federation", "add", name, desk / "keys" / "coordinator.key.pub", "--compared")
    assert here.do("north", *entered) == 0
    return desk


def replaced(here: Houses, desk: Path, role: str) -> Path:
    assert server("key", "replace", role, "--no-passphrase", "--config", desk) == 0
    for person in (here.town.ana, here.town.ben):
        assert server("key", "sign", role, "--key", person, "--config", desk) == 0
    assert server("key", "enact", role, "--config", desk) == 0
    return desk / "keys" / f"{role}+1.succession.json"


def test_nobody_hands_in_a_lost_key_of_another(here: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    """The person at the telephone reads out a new fingerprint, and it is that of the file."""
    stock(here)
    study = here.town.sign()
    here.approve(study)
    assert here.run(study).holders == NAMES
    other_federation(here)
    in_other = ("coordinator", "succession", "--compared", "--federation", "other")
    before = here.root / "before.json"
    assert here.do("north", "key", "list", "--json", before) == 0
    capsys.readouterr()
    for victim, role in (("desk", "log"), ("desk", "coordinator")):
        file = forged(here, role, "other", victim)  # type: ignore[arg-type]
        refused(capsys, here.do("north", *in_other, file), "RF-K159")
    own = ("coordinator", "succession", "--compared", "--federation", "city")
    refused(capsys, here.do("north", *own, forged(here, "log", "city", "desk")), "RF-K172")
    refused(capsys, here.do("north", *own, forged(here, "log", "other", "desk")), "RF-K166")
    taken = ("holder", "succession", "--compared")
    refused(capsys, here.do("desk", *taken, forged(here, "log", "south", "north")), "RF-K166")
    refused(capsys, here.do("desk", *taken, forged(here, "log", "north", "north")), "RF-K172")
    refused(capsys, here.do("desk", *taken, forged(here, "holder", "south", "north")), "RF-K166")
    after = here.root / "after.json"
    assert here.do("north", "key", "list", "--json", after) == 0
    assert read(after) == read(before)


def test_a_coordinator_s_keys_are_taken_in_for_its_own_federation(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    other_federation(here)
    first, second = here.replace("desk", "coordinator"), here.replace("desk", "coordinator", 2)
    words = ("coordinator", "succession", "--compared", "--federation")
    assert here.do("north", *words, "city", first) == 0
    capsys.readouterr()
    refused(capsys, here.do("north", *words, "other", second), "RF-K159")
    assert here.do("north", *words, "city", second) == 0


def test_a_coordinator_that_was_left_is_followed_and_entered_again(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = other_federation(here)
    assert here.do("north", "federation", "leave", "other") == 0
    here.replace("north", "holder")
    paper, entering = replaced(here, desk, "coordinator"), ("federation", "add", "other")
    new = desk / "keys" / "coordinator+1.key.pub"
    capsys.readouterr()
    refused(capsys, here.do("north", *entering, new, "--compared"), "RF-U724", 2)
    told = ("coordinator", "succession", paper, "--compared", "--federation", "other")
    assert here.do("north", *told) == 0
    capsys.readouterr()
    old = desk / "keys" / "coordinator.key.pub"
    refused(capsys, here.do("north", *entering, old, "--compared"), "RF-W433")
    assert here.do("north", *entering, new, "--compared") == 0
    log = here.root / "log.json"
    assert here.do("north", "log", "list", "--federation", "other", "--json", log) == 0
    said = [event["public"] for event in read(log)["events"] if event["action"] == "key.replaced"]
    assert [each["kind"] for each in said] == ["holder"], "what its auditors missed is said"


def test_keys_of_federations_with_like_names_are_apart(here: Houses) -> None:
    here.replace("north", "log")
    other_federation(here, "city+1".replace("+", "."))
    keys = here.home("north") / "keys"
    found = {read_public(file, "log").hex for file in keys.glob("log-*.pub")}
    assert len(found) == 3, sorted(file.name for file in keys.iterdir())


def test_people_see_what_they_sign(here: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.key("north", "replace", "holder", "--no-passphrase") == 0
    paper, evil = here.paper("north", "holder"), Identity.generate("holder")
    whole = read_signed(paper)
    said = json.loads(whole.body) | {"new": evil.public.hex, "reason": "lost"}
    slipped = SignedDocument(kind="succession", body=Succession.of(**said).canonical()).signed_by(evil)
    write_signed(paper, slipped)
    capsys.readouterr()
    refused(capsys, here.key("north", "sign", "holder", "--key", here.town.ana), "RF-K165")
    assert read_signed(paper) == slipped
    write_signed(paper, whole)
    assert here.key("north", "sign", "holder", "--key", here.town.ana) == 0
    told = capsys.readouterr().out
    new = read_public(public_path(here.file("north", "holder", 1)), "holder")
    assert new.fingerprint in told
    assert "(routine)" in told


def test_a_stolen_or_lost_key_does_not_wait_for_open_runs(here: Houses) -> None:
    study = here.town.sign()
    with here.conductor(study) as opened:
        RunStore(opened.office.engine).take_up(opened.opened).admit(["south"])
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
    here.replace("north", "holder", 1, "--reason", "suspected")
    here.file("north", "holder", 1).unlink()
    here.replace("north", "holder", 2, "--reason", "lost")
    with suppress(FileNotFoundError):
        here.file("desk", "coordinator").unlink()
    here.replace("desk", "coordinator", 1, "--reason", "lost")
    # The new key signs the study anew, and with it the run can be ended that began under the old one.
    assert here.do("desk", "study", "submit", here.town.sign("again.signed.json")) == 0
    assert here.do("desk", "study", "stop", "churn-1") == 0


def test_the_house_s_log_is_for_its_own_auditors(here: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.do("north", "key", "replace", "log", "--no-passphrase") == 0
    for person in (here.town.ana, here.town.ben):
        assert here.do("north", "key", "sign", "log", "--key", person) == 0
    capsys.readouterr()
    assert here.do("north", "key", "enact", "log") == 0
    assert "auditors of the house's own log alone" in capsys.readouterr().out
    paper = here.home("north") / "keys" / "log+1.succession.json"
    refused(capsys, here.do("desk", "holder", "succession", paper, "--compared"), "RF-K159")
    assert client("log", "verify", "--config", here.home("north")) == 0
