"""The holder's desk: studies by their id, a no, a yes after it, an approval taken back, careless calls."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import Town, client, events, new_key, newest, read, refused, town

from ringfence.clients.home import open_federation
from ringfence.clients.inbox.store import InboxStudy
from ringfence.clients.records.participations import Participation, Witnesses
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import read_signed
from ringfence.privacy.errors import StudyError
from ringfence.privacy.wire.heads import LogPosition


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def receive(here: Town) -> str:
    """Put the town's study into the first holder's inbox, as a notice does; its digest."""
    document = read_signed(here.sign())
    study = Study.from_canonical(document.body)
    found = InboxStudy(
        study=study.digest(),
        name=study.id,
        purpose=study.purpose,
        epsilon=str(study.privacy.epsilon),
        delta=str(study.privacy.delta),
        expires=study.expires.isoformat(),
        received="2026-01-01T08:30:00+00:00",
    )
    with open_federation(here.home, None) as home:
        texts = (document.to_json(), "{}")
        home.inbox.keep(home.coordinator(), found, texts, lambda _connection: None)
    return study.digest()


def only(here: Town) -> dict[str, Any]:
    told = here.root / "inbox.json"
    assert client("study", "list", "--config", here.home, "--json", told) == 0
    (found,) = read(told)["studies"]
    return dict(found)


def act(here: Town, word: str, *more: object, study: object = "churn-1") -> int:
    return client("study", word, study, *more, "--config", here.home)


def test_a_study_is_listed_shown_checked_and_approved_by_its_id(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = receive(here)
    assert only(here) == {
        "id": "churn-1",
        "digest": digest,
        "purpose": "churn-prediction",
        "received": "2026-01-01T08:30:00+00:00",
        "state": "waiting",
        "approvals": 0,
        "epsilon": "1",
        "delta": "0.000001",
        "expires": "2099-12-31",
        "runs": None,
        "used": None,
        "epsilon_all_runs": None,
    }
    said = capsys.readouterr().out
    assert "churn-1  waiting, 0 of 2 approvals" in said
    assert "epsilon 1 at delta 0.000001, came 2026-01-01 08:30 UTC, until 2099-12-31" in said
    assert act(here, "show") == 0
    assert act(here, "show", study=digest) == 0, "a digest does as well"
    assert act(here, "check") == 0
    assert act(here, "approve", "--key", here.ana) == 0
    assert only(here)["approvals"] == 1
    assert act(here, "approve", "--key", here.ben, study=here.root / "study.signed.json") == 0
    assert only(here)["state"] == "approved", "the file's approval is the study's"


def test_a_no_voids_approvals_and_a_yes_after_it_takes_two_people_again(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = receive(here)
    for person in (here.ana, here.ben):
        assert act(here, "approve", "--key", person) == 0
    assert act(here, "reject", "--key", here.ana, "--reason-private", "Ana says the label is wrong") == 0
    event = newest(here)
    assert (event["action"], event["outcome"]) == ("study.rejected", "allow")
    assert "Ana says" not in str(event["public"])
    with open_federation(here.home, None) as home:
        assert home.inbox.rejected(digest)
        assert home.approval_files(digest) == []
    assert only(here)["state"] == "rejected"
    capsys.readouterr()
    refused(capsys, act(here, "reject", "--key", here.ben), "RF-S440")
    assert act(here, "approve", "--key", here.ana) == 0
    said = capsys.readouterr().out
    assert "Take note: the study was rejected here on" in said
    assert "approvals on file: 1 of 2" in said
    assert only(here)["state"] == "waiting"
    assert act(here, "approve", "--key", here.ben) == 0
    assert "Take note" not in capsys.readouterr().out
    assert only(here)["state"] == "approved"


def test_an_approval_left_by_a_rejection_that_was_cut_off_does_not_count(here: Town) -> None:
    digest = receive(here)
    for person in (here.ana, here.ben):
        assert act(here, "approve", "--key", person) == 0
    with open_federation(here.home, None) as home:
        home.inbox.reject(digest, "2026-01-02T00:00:00+00:00", "", lambda _connection: None)
        assert len(home.approval_files(digest)) == 2
    assert only(here)["state"] == "rejected"
    assert act(here, "approve", "--key", here.ben) == 0
    assert (only(here)["state"], only(here)["approvals"]) == ("waiting", 1)


def test_whoever_approves_hears_of_a_rejection_of_that_moment(here: Town) -> None:
    digest = receive(here)
    with open_federation(here.home, None) as home:
        inbox = home.inbox
        inbox.reject(digest, "2026-01-02T00:00:00+00:00", "", lambda _connection: None)
        for seen in ("", "2026-01-01T00:00:00+00:00"):
            with pytest.raises(StudyError, match="RF-S437"):
                inbox.accept(digest, seen)
        assert inbox.rejected(digest)
        inbox.accept(digest, "2026-01-02T00:00:00+00:00")
        assert not inbox.rejected(digest)


def test_an_approval_is_taken_back_by_who_gave_it(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    digest = receive(here)
    for person in (here.ana, here.ben):
        assert act(here, "approve", "--key", person) == 0
    assert act(here, "revoke", "--key", here.ben) == 0
    assert newest(here)["action"] == "study.revoked"
    found = only(here)
    assert (found["state"], found["approvals"]) == ("waiting", 1)
    capsys.readouterr()
    refused(capsys, act(here, "revoke", "--key", here.ben), "RF-S438")
    refused(capsys, act(here, "revoke", "--key", new_key(here.root / "eve.key")), "RF-S438")
    assert newest(here)["outcome"] == "deny"
    assert act(here, "approve", "--key", here.ben) == 0
    with open_federation(here.home, None) as home:
        runs = home.participations
        known = Participation(
            study=digest,
            run="ab" * 16,
            coordinator_log=PublicIdentity(home.log.verifier.raw),
            position=LogPosition(size=1, root="sha256:" + "ab" * 32),
            witnesses=Witnesses(keys={}, quorum=1, floor=1, wait_hours=0),
        )
        runs.joined(known)
    assert only(here)["state"] == "running"
    with open_federation(here.home, None) as home:
        home.participations.joined(replace(known, ended=True))
    assert only(here)["state"] == "ended"
    capsys.readouterr()
    refused(capsys, act(here, "revoke", "--key", here.ben), "RF-S439")
    refused(capsys, act(here, "reject", "--key", here.ana), "RF-S439")
    assert only(here)["approvals"] == 2


def test_names_that_are_not_known_are_refused_with_those_near(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(capsys, act(here, "show", study="churn-1"), "RF-S436")
    assert "ringfence-client study list" in sentence
    receive(here)
    capsys.readouterr()
    assert "Near it: churn-1." in refused(capsys, act(here, "show", study="churn1"), "RF-S436")
    assert newest(here)["action"] != "study.refused", "a question is no event"
    refused(capsys, act(here, "reject", "--key", here.ana, study="churn1"), "RF-S436")
    assert newest(here)["action"] == "study.refused"
    refused(capsys, act(here, "show", study="gone.signed.json"), "RF-K020")
    refused(capsys, act(here, "show", study="no/churn-1"), "RF-K020")


def test_a_study_of_a_former_coordinator_is_not_this_one_s(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    receive(here)
    other = new_key(here.root / "other.key", "coordinator")
    words = ("--compared", "--config", here.home)
    assert client("federation", "leave", "city", "--config", here.home) == 0
    refused(capsys, client("federation", "add", "city", f"{other}.pub", *words), "RF-U724", 2)
    assert client("federation", "add", "other", f"{other}.pub", *words) == 0
    told = here.root / "inbox.json"
    assert client("study", "list", "--config", here.home, "--json", told) == 0
    assert read(told) == {"studies": [], "attestations_due": []}
    capsys.readouterr()
    refused(capsys, act(here, "approve", "--key", here.ana), "RF-S436")


def test_a_study_that_is_over_is_said_to_be(here: Town) -> None:
    digest = receive(here)
    with open_federation(here.home, None) as home:
        over = InboxStudy(
            study="sha256:" + "ab" * 32,
            name="old",
            purpose="p",
            epsilon="1",
            delta="0.1",
            expires="2020-01-01",
            received=datetime(2019, 1, 1, tzinfo=UTC).isoformat(),
        )
        home.inbox.keep(home.coordinator(), over, ("{}", "{}"), lambda _connection: None)
    told = here.root / "inbox.json"
    assert client("study", "list", "--config", here.home, "--json", told) == 0
    assert [(each["id"], each["state"]) for each in read(told)["studies"]] == [
        ("churn-1", "waiting"),
        ("old", "expired"),
    ]
    assert digest in {each["digest"] for each in read(told)["studies"]}
    assert events(here.home, here.root / "log.json")


def test_a_federation_is_left_once_nothing_is_reserved_there_and_goes_on_with_its_log(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    digest, words = receive(here), ("--config", here.home)
    assert act(here, "approve", "--key", here.ana) == 0
    with open_federation(here.home, None) as home:
        home.ledger.reserve(digest, Decimal("0.01"))
        origin, size = home.log.origin, home.log.size
    before = (here.home / "client.toml").read_text(encoding="utf-8")
    capsys.readouterr()
    refused(capsys, client("federation", "leave", "city", *words), "RF-S501")
    assert (here.home / "client.toml").read_text(encoding="utf-8") == before
    assert client("budget", "close", digest, *words) == 0
    assert client("federation", "leave", "city", *words) == 0
    assert "[[federation]]" not in (here.home / "client.toml").read_text(encoding="utf-8")
    capsys.readouterr()
    refused(capsys, act(here, "check"), "RF-U402", 2)
    desk = here.desk / "keys" / "coordinator.key.pub"
    refused(capsys, client("federation", "add", "town", desk, "--compared", *words), "RF-U725", 2)
    assert client("federation", "add", "city", desk, "--compared", *words) == 0
    with open_federation(here.home, "city") as home:
        assert home.log.origin == origin, "its coordinator sees no second log"
        assert home.log.size > size
    assert only(here)["id"] == "churn-1"


def test_a_federation_that_was_typed_in_is_refused_until_its_log_is_founded(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = receive(here)
    other, words = new_key(here.root / "other.key", "coordinator"), ("--config", here.home)
    with (here.home / "client.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[[federation]]\nname = "other"\ncoordinator = "../{other.name}.pub"\n')
        file.write('log = "keys/o.key"\n')
    named = ("--federation", "other", *words)
    capsys.readouterr()
    refused(capsys, client("study", "list", *named), "RF-K041")
    assert client("federation", "add", "other", f"{other}.pub", "--compared", *words) == 0
    assert client("study", "list", *named) == 0
    _one_federation_decides_nothing_for_another(here, digest)
    text = (here.home / "client.toml").read_text(encoding="utf-8")
    (here.home / "client.toml").write_text(text.replace(other.name, "ana.key"), encoding="utf-8")
    capsys.readouterr()
    refused(capsys, client("study", "list", *named), "RF-K050")


def _one_federation_decides_nothing_for_another(here: Town, digest: str) -> None:
    """Approvals, rejections and the inbox of a study's very digest are each federation's own."""
    assert act(here, "approve", "--key", here.ana, "--federation", "city") == 0
    with open_federation(here.home, "city") as home:
        assert len(home.approval_files(digest)) == 1
    with open_federation(here.home, "other") as home:
        assert home.approval_files(digest) == []
        assert home.inbox.listed(home.coordinator()) == ()
        home.inbox.reject(digest, "2026-01-02T00:00:00+00:00", "signed", lambda _connection: None)
        assert home.inbox.rejection(digest) == "signed"
    with open_federation(here.home, "city") as home:
        assert not home.inbox.rejected(digest)
        assert home.inbox.rejection(digest) == ""
