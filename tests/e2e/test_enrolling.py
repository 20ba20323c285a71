"""A holder comes into a federation by commands: what is careless, replayed, foreign or over is refused."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kits import command_kit
from kits.command_kit import Town, client, events, fingerprint, server, town
from kits.federation_kit import enrol

from ringfence.clients.connections.membership import FOLDER, MembershipFolder
from ringfence.clients.connections.supernode import Place
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import KeyFault, UsageError, WaistError
from ringfence.privacy.protocol.enrolment import (
    ADMISSION,
    ENROLMENT,
    INVITATION,
    Admission,
    Enrolment,
    Invitation,
)
from ringfence.server.desk import enrolling


def refused(capsys: pytest.CaptureFixture[str], status: int, code: str) -> None:
    """One sentence and a status; a wrong call has another one than a refusal."""
    assert status in {1, 2}
    command_kit.refused(capsys, status, code, expected=status)


@pytest.fixture
def here(tmp_path: Path) -> Town:
    found = town(tmp_path)
    words = ("--address", "analytics.example:8443", "--config", found.desk)
    assert server("gateway", "make", *words) == 0
    return found


def invite(here: Town, name: str = "north") -> Path:
    out = here.root / f"{name}.invitation.json"
    out.unlink(missing_ok=True)
    assert server("holder", "invite", name, "--out", out, "--config", here.desk) == 0
    return out


def join(here: Town, file: Path, *more: object, name: str = "north") -> int:
    out = here.root / f"{name}.enrolment.json"
    out.unlink(missing_ok=True)
    return client("join", file, "--out", out, "--config", here.root / name, *(more or ("--compared",)))


def admit(here: Town, *more: object, name: str = "north") -> int:
    words = (here.root / f"{name}.enrolment.json", "--out", here.root / f"{name}.admission.json")
    (here.root / f"{name}.admission.json").unlink(missing_ok=True)
    return server("holder", "admit", *words, "--config", here.desk, *(more or ("--compared",)))


def test_three_files_and_both_sides_know_each_other(here: Town) -> None:
    enrol(here, "north")
    keys = [here.home / "federation" / "city" / f"{name}.key" for name in ("tls", "node")]
    assert [path.stat().st_mode & 0o077 for path in keys] == [0, 0]
    for file in here.root.glob("north.*.json"):
        for key in keys:
            assert key.read_text(encoding="ascii").splitlines()[1] not in file.read_text(encoding="utf-8")
    actions = [event["action"] for event in events(here.home, here.root / "log.json")]
    assert actions.count("federation.joined") == 2
    told = here.root / "holders.json"
    assert server("holders", "--config", here.desk, "--json", told) == 0
    (admitted,) = json.loads(told.read_text(encoding="utf-8"))["admitted"]
    assert admitted["holder"] == "north"
    assert admitted["revoked"] == ""


def test_nothing_is_written_before_fingerprints_are_compared(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client("federation", "leave", "city", "--config", here.home) == 0
    invitation = invite(here)
    capsys.readouterr()
    assert join(here, invitation, "--lang", "en") == 2
    said = capsys.readouterr()
    assert fingerprint(here.desk / "keys" / "coordinator.key") in said.out
    assert said.err.startswith("RF-U661: ")
    assert not (here.home / "federation").exists()
    assert not (here.root / "north.enrolment.json").exists()
    assert join(here, invitation) == 0
    text = (here.desk / "server.toml").read_text(encoding="utf-8")
    own = fingerprint(here.home / "keys" / "holder.key")
    (here.desk / "server.toml").write_text(text.replace(f'"{own}", ', ""), encoding="utf-8")
    capsys.readouterr()
    assert admit(here, "--lang", "en") == 2
    assert capsys.readouterr().err.startswith("RF-U661: ")
    assert not (here.root / "north.admission.json").exists()
    assert admit(here) == 0
    assert own in (here.desk / "server.toml").read_text(encoding="utf-8")


def test_an_enrolment_is_admitted_once(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert join(here, invite(here)) == 0
    assert admit(here) == 0
    refused(capsys, admit(here), "RF-W351")
    told = here.root / "log.json"
    assert server("log", "--type", "holder.admitted", "--config", here.desk, "--json", told) == 0
    said = [event["outcome"] for event in json.loads(told.read_text(encoding="utf-8"))["events"]]
    assert said == ["deny", "allow"]
    assert not (here.root / "north.admission.json").exists()


def test_an_invitation_is_for_one_holder(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, join(here, invite(here), name="south"), "RF-W364")
    (event, *_) = events(here.root / "south", here.root / "log.json")
    assert (event["action"], event["outcome"]) == ("federation.joined", "deny")


def test_an_invitation_of_another_coordinator_is_of_another_federation(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = here.root / "other-desk"
    assert server("init", desk, "--name", "other", "--no-passphrase") == 0
    assert server("gateway", "make", "--address", "other.example:1", "--config", desk) == 0
    out = here.root / "other.json"
    assert server("holder", "invite", "north", "--out", out, "--config", desk) == 0
    refused(capsys, join(here, out, "--compared", "--federation", "city"), "RF-U662")
    assert not (here.home / "federation").exists()
    assert join(here, out) == 0
    told = here.root / "federations.json"
    assert client("federation", "list", "--config", here.home, "--json", told) == 0
    listed = json.loads(told.read_text(encoding="utf-8"))["federations"]
    assert [each["name"] for each in listed] == ["city", "other"]
    assert len({each["log"] for each in listed}) == 2
    refused(capsys, client("study", "list", "--config", here.home), "RF-U721")
    assert client("study", "list", "--federation", "other", "--config", here.home) == 0
    refused(capsys, client("run", "--config", here.home), "RF-W362")
    assert client("federation", "leave", "other", "--config", here.home) == 0
    assert not (here.home / "federation" / "other").exists()
    assert client("study", "list", "--config", here.home) == 0, "one is left, so nobody has to say which"


def changed(path: Path, signer: Identity | None = None, **fields: object) -> Path:
    """A document with other fields, signed anew where there is a key."""
    document = read_signed(path)
    model = {INVITATION: Invitation, ENROLMENT: Enrolment, ADMISSION: Admission}[document.kind]
    body = json.loads(document.body) | fields
    made = SignedDocument(kind=document.kind, body=model.of(**body).canonical())
    signed = (
        made.signed_by(signer)
        if signer
        else SignedDocument(kind=made.kind, body=made.body, signatures=document.signatures)
    )
    write_signed(path, signed)
    return path


def test_what_was_changed_is_refused(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    invitation = changed(invite(here), gateway="elsewhere.example:8443")
    refused(capsys, join(here, invitation), "RF-K003")
    assert join(here, invite(here)) == 0
    changed(here.root / "north.enrolment.json", number="0" * 64)
    refused(capsys, admit(here), "RF-K003")


def test_an_invitation_that_is_over_is_refused_at_the_holder(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    key = read_key(here.desk / "keys" / "coordinator.key", "coordinator", None)
    over = changed(invite(here), key, expires="2026-01-01T00:00:00+00:00")
    refused(capsys, join(here, over), "RF-W365")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": "0" * 64}, "RF-W350"),
        ({"holder": "south"}, "RF-W350"),
        ({"node_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n"}, "RF-K121"),
        ({"request": "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"}, "RF-K101"),
    ],
)
def test_an_enrolment_that_does_not_fit_admits_nobody(
    here: Town, capsys: pytest.CaptureFixture[str], fields: dict[str, object], code: str
) -> None:
    assert join(here, invite(here)) == 0
    own = read_key(here.home / "keys" / "holder.key", "holder", None)
    changed(here.root / "north.enrolment.json", own, **fields)
    refused(capsys, admit(here), code)
    assert server("holder", "revoke", "north", "--config", here.desk) == 0, "it was invited, and no more"


def test_an_admission_for_other_keys_is_refused(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert join(here, invite(here)) == 0
    assert admit(here) == 0
    assert join(here, invite(here)) == 0, "joined anew, with other keys"
    status = client("join", here.root / "north.admission.json", "--config", here.home)
    refused(capsys, status, "RF-W361")


@pytest.mark.parametrize("pem", ["-----BEGIN CERTIFICATE-----\nAAAA\n", "-----BEGIN NOTHING-----\né\n"])
def test_an_invitation_whose_authority_is_no_certificate_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str], pem: str
) -> None:
    key = read_key(here.desk / "keys" / "coordinator.key", "coordinator", None)
    refused(capsys, join(here, changed(invite(here), key, authority=pem)), "RF-K123")
    assert not (here.home / "federation").exists()


@pytest.mark.parametrize("field", ["number", "holder", "key", "node_key", "certificate"])
def test_an_admission_of_anything_else_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    """Signed by the coordinator, and for another invitation, holder or key than those that are here."""
    assert join(here, invite(here)) == 0
    assert admit(here) == 0
    other = {"number": "0" * 64, "holder": "south", "key": "ab" * 32}.get(field)
    if other is None:
        assert join(here, invite(here, "south"), name="south") == 0
        assert admit(here, name="south") == 0
        other = json.loads(read_signed(here.root / "south.admission.json").body)[field]
    key = read_key(here.desk / "keys" / "coordinator.key", "coordinator", None)
    admission = changed(here.root / "north.admission.json", key, **{field: other})
    refused(capsys, client("join", admission, "--config", here.home), "RF-W361")
    assert not (here.home / "federation" / "city" / "admission.json").exists()


def test_an_admission_that_another_signed_is_refused(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert join(here, invite(here)) == 0
    assert admit(here) == 0
    admission = changed(here.root / "north.admission.json", Identity.generate("coordinator"))
    refused(capsys, client("join", admission, "--config", here.home), "RF-K015")


def place(here: Town, now: datetime) -> Place:
    """Where the first holder's node would go to."""
    coordinator = read_public(here.desk / "keys" / "coordinator.key.pub", "coordinator")
    own = read_public(here.home / "keys" / "holder.key.pub", "holder")
    return MembershipFolder(here.home / FOLDER / "city").place(coordinator, own, now)


def keys_of(here: Town) -> tuple[bytes, bytes]:
    return (here.home / FOLDER / "city" / "node.key").read_bytes(), (
        here.home / FOLDER / "city" / "tls.key"
    ).read_bytes()


def shown(here: Town) -> bytes:
    """The certificate that the first holder's node would show."""
    place(here, datetime.now(UTC))
    return (here.home / FOLDER / "city" / "certificate.pem").read_bytes()


def test_joining_again_takes_nothing_away_before_it_is_admitted(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(here, "north")
    MembershipFolder(here.home / FOLDER / "city").remember(7)
    node, tls = keys_of(here)
    former = shown(here)
    for _ in range(2):  # an invitation that is not answered is given up for the next one
        assert join(here, invite(here)) == 0
        assert (keys_of(here), shown(here)) == ((node, tls), former)
    wrong = here.root / "wrong.json"
    (here.root / "north.admission.json").rename(wrong)
    assert admit(here) == 0
    assert (keys_of(here), shown(here)) == ((node, tls), former), "what is pending is not shown"
    assert client("join", here.root / "north.admission.json", "--config", here.home) == 0
    assert keys_of(here)[0] == node, "a study that runs knows the node by it"
    assert keys_of(here)[1] != tls
    assert shown(here) != former
    folder = MembershipFolder(here.home / FOLDER / "city")
    assert folder.remembered() == 7
    assert not folder.pending.path.exists()
    assert [path.name for path in (here.home / FOLDER).glob(".city*")] == [".city.lock"]
    refused(capsys, client("join", wrong, "--config", here.home), "RF-W361")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_membership_that_was_cut_off_while_it_took_the_former_ones_place_is_whole(
    here: Town, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The process dies before the n-th of the three moves."""
    enrol(here, "north")
    former, moves = shown(here), list[object]()
    assert join(here, invite(here)) == 0
    assert admit(here) == 0
    whole = os.replace

    def cut(old: Path, new: Path) -> None:
        if old.is_dir():
            moves.append(old)
            if len(moves) == step:
                raise KeyboardInterrupt
        whole(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", cut)
        with suppress(KeyboardInterrupt):
            client("join", here.root / "north.admission.json", "--config", here.home)
    assert len(moves) == step
    assert shown(here) != former
    assert not MembershipFolder(here.home / FOLDER / "city").pending.path.exists()
    assert [path.name for path in (here.home / FOLDER).glob(".city*")] == [".city.lock"]


def test_what_another_coordinator_left_is_not_gone_by(here: Town) -> None:
    enrol(here, "north")
    changed(
        here.home / "federation" / "city" / "invitation.json",
        other := Identity.generate("coordinator"),
        key=other.public.hex,
    )
    with pytest.raises(KeyFault, match="RF-K122"):
        place(here, datetime.now(UTC))


def test_a_certificate_is_for_its_time(here: Town) -> None:
    enrol(here, "north")
    assert place(here, datetime.now(UTC)).address == "analytics.example:8443"
    for days in (-1, 398):
        with pytest.raises(WaistError, match="RF-W363"):
            place(here, datetime.now(UTC) + timedelta(days=days))


def test_an_admission_makes_no_file(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert join(here, invite(here)) == 0
    assert admit(here) == 0
    out = here.root / "x.json"
    status = client("join", here.root / "north.admission.json", "--out", out, "--config", here.home)
    refused(capsys, status, "RF-U531")
    assert not out.exists()


def test_a_server_toml_that_cannot_be_changed_admits_nobody(
    here: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert join(here, invite(here)) == 0

    def cannot(*_: object) -> None:
        raise UsageError("RF-U660", "It cannot be changed.")

    with monkeypatch.context() as patched:
        patched.setattr(enrolling, "enter_holders", cannot)
        refused(capsys, admit(here), "RF-U660")
    assert not (here.root / "north.admission.json").exists()
    assert admit(here) == 0, "its invitation was not used up"


def test_run_says_what_is_missing(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, client("run", "--config", here.home), "RF-W360")
    assert join(here, invite(here)) == 0
    refused(capsys, client("run", "--config", here.home), "RF-W362")


def test_a_key_of_connections_that_others_can_read_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(here, "north")
    (here.home / FOLDER / "city" / "node.key").chmod(0o644)
    refused(capsys, client("run", "--config", here.home), "RF-K052")


def test_a_document_of_another_kind_is_called_by_its_name(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign()
    refused(capsys, join(here, study), "RF-K012")
    invitation = invite(here)
    invitation.rename(here.root / "north.enrolment.json")
    refused(capsys, admit(here), "RF-K012")


def test_nobody_is_invited_without_a_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = town(tmp_path)
    out = tmp_path / "invitation.json"
    status = server("holder", "invite", "north", "--out", out, "--config", found.desk)
    refused(capsys, status, "RF-U520")
    refused(capsys, server("serve", "--config", found.desk), "RF-U520")
    assert not out.exists()


@pytest.mark.parametrize("days", [0, 91, -1])
def test_an_invitation_is_good_for_some_days(
    here: Town, capsys: pytest.CaptureFixture[str], days: int
) -> None:
    out = here.root / "i.json"
    status = server("holder", "invite", "north", f"--days={days}", "--out", out, "--config", here.desk)
    refused(capsys, status, "RF-U523")
