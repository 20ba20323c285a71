"""A series at a holder's desk: what its people see, attest, approve, reject, and what waits for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import (
    Town,
    client,
    configure,
    events,
    new_key,
    newest,
    read,
    refused,
    town,
)

from ringfence.clients.desk.deciding import approved_series, arrived
from ringfence.clients.desk.series import attestations_due
from ringfence.clients.home import open_federation
from ringfence.clients.inbox.store import InboxStudy
from ringfence.models.catalogue import task_named
from ringfence.models.pricing import planned
from ringfence.models.series_price import composed_price
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import load_schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.signed import SignedDocument, read_signed
from ringfence.privacy.ledger.entries import RunOfSeries
from ringfence.privacy.wire.fields import utc_now

# A year a window through the whole century: one is always open, and the next is to come.
YEARLY = '[series]\nruns = 100\nevery = "year"\nbegins = 2000-01-01\n'
COMING = '[series]\nruns = 12\nevery = "month"\nbegins = 2098-01-31\n'


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def receive(here: Town, series: str = YEARLY) -> str:
    """Put a series into the first holder's inbox, as a notice does; its digest."""
    document = read_signed(here.sign(series=series))
    study = Study.from_canonical(document.body)
    schema = load_schema(here.root / "schema.toml")
    found = InboxStudy(
        study=study.digest(),
        name=study.id,
        purpose=study.purpose,
        epsilon=str(study.privacy.epsilon),
        delta=str(study.privacy.delta),
        expires=study.expires.isoformat(),
        received="2026-01-01T08:30:00+00:00",
        runs=study.runs,
        composed=composed_price(study, schema),
    )
    with open_federation(here.home, None) as home:
        texts = (document.to_json(), "{}")
        home.inbox.keep(home.coordinator(), found, texts, lambda _connection: None)
    return study.digest()


def act(here: Town, *words: object) -> int:
    return client(*words, "--config", here.home)


def told(here: Town, *words: object) -> dict[str, Any]:
    out = here.root / "told.json"
    client(*words, "--config", here.home, "--json", out)
    found: dict[str, Any] = read(out)
    return found


def approve(here: Town) -> None:
    for person in (here.ana, here.ben):
        assert act(here, "study", "approve", "churn-1", "--key", person) == 0


def test_every_page_shows_the_price_of_one_run_and_of_all(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    receive(here)
    checked = told(here, "study", "check", "churn-1")
    price = checked["price"]
    one, every = price["customer_epsilon_worst_case"], price["series_customer_epsilon_worst_case"]
    assert price["series_runs"] == 100
    assert float(one) < float(every) < 100 * float(one)
    for words in (("check", "churn-1"), ("show", "churn-1"), ("list",)):
        capsys.readouterr()
        client("study", *words, "--config", here.home)
        said = capsys.readouterr().out
        assert every in said, words
        assert ("epsilon 1" if words == ("list",) else one) in said
    capsys.readouterr()
    assert act(here, "budget", "--explain", "churn-1") == 0
    said = capsys.readouterr().out
    assert one in said
    assert every in said
    assert checked["series"]["covered"] < 100
    assert "runs to come, with every attempt" in said


def test_the_table_of_a_run_is_attested_by_itself_and_said_to_be_due(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is due before two people approve; the first approval attests, and what is missing is due."""
    digest = receive(here)
    assert told(here, "study", "list")["attestations_due"] == []
    approve(here)
    assert told(here, "study", "list")["attestations_due"] == [], "the first approval attested the table"
    with open_federation(here.home, None) as home:
        (window,) = home.snapshots().windows(digest)
        home.snapshots().forget(digest, window=window)
    (due,) = told(here, "study", "list")["attestations_due"]
    assert (due["study"], due["run"], due["open"]) == ("churn-1", window, True)
    capsys.readouterr()
    for words in (("study", "list"), ("status",), ("doctor",)):
        act(here, *words)
        assert f"is not attested for run {window} of 100 of churn-1" in capsys.readouterr().out, words
    made = told(here, "table", "attest", "churn-1", "--run", window)
    assert made["run"] == window
    assert told(here, "status")["attestations_due"] == []
    following = told(here, "table", "attest", "churn-1", "--run", window + 1)
    assert following["run"] == window + 1
    capsys.readouterr()
    refused(capsys, act(here, "table", "attest", "churn-1", "--run", window + 2), "RF-S488")
    refused(capsys, act(here, "table", "attest", "churn-1", "--run", 1), "RF-S488")
    refused(capsys, act(here, "table", "attest", "churn-1", "--run", 101), "RF-S473")
    assert act(here, "table", "forget", "churn-1", "--run", window + 1) == 0
    with open_federation(here.home, None) as home:
        assert home.snapshots().windows(digest) == (window,)
    assert act(here, "table", "forget", "churn-1") == 0
    with open_federation(here.home, None) as home:
        assert home.snapshots().windows(digest) == ()


def reserve(here: Town, digest: str, windows: tuple[int, ...]) -> None:
    """Runs of the series begin here, one in each of these windows."""
    with open_federation(here.home, None) as home:
        study = Study.from_canonical(read_signed(here.root / "study.signed.json").body)
        schema = load_schema(here.root / "schema.toml")
        plan = planned(task_named(study.task), StudyContext.of(study, schema))
        for window in windows:
            turn = RunOfSeries(run=f"{window:032x}", window=window)
            home.ledger.reserve_plan(digest, plan, turn=turn)


def test_one_run_of_a_series_is_closed_and_the_others_keep_what_they_reserved(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = receive(here)
    reserve(here, digest, (3, 4, 5))

    def open_runs() -> list[int]:
        return [each["run"] for each in told(here, "budget", "show")["reservations"]]

    capsys.readouterr()
    words = ("budget", "close", digest)
    said = refused(capsys, act(here, *words), "RF-S562")
    assert "(3, 4, 5)" in said
    assert "3, 4, 5" in refused(capsys, act(here, *words, "--run", "2"), "RF-S563")
    assert open_runs() == [3, 4, 5]
    assert act(here, *words, "--run", "4") == 0
    assert "runs: 4" in capsys.readouterr().out
    assert open_runs() == [3, 5]
    assert act(here, *words, "--all-runs") == 0
    assert open_runs() == []
    reserve(here, digest, (6,))
    assert act(here, *words) == 0, "the only one needs no number"
    assert open_runs() == []


def test_the_reservation_of_another_window_pays_for_no_other_run(here: Town) -> None:
    """A run of an earlier window that is still going on is not the run that is asked about."""
    digest = receive(here)
    present = told(here, "study", "check", "churn-1")["series"]["next"]
    reserve(here, digest, (present - 1,))
    checked = told(here, "study", "check", "churn-1")
    assert (checked["reserved"], checked["epsilon_after"] is None) == (False, False)
    reserve(here, digest, (present,))
    checked = told(here, "study", "check", "churn-1")
    assert (checked["reserved"], checked["epsilon_after"]) == (True, None)


def test_a_run_that_is_to_come_is_named_with_its_time(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    digest = receive(here, COMING)
    approve(here)
    with open_federation(here.home, None) as home:
        assert home.snapshots().windows(digest) == (1,)
        home.snapshots().forget(digest, window=1)
        (due,) = attestations_due(home, approved_series(home, arrived(home)), utc_now())
    assert not due.open
    capsys.readouterr()
    assert act(here, "study", "list") == 0
    assert "whose window opens at 2098-01-31 00:00 UTC" in capsys.readouterr().out


def test_a_study_that_is_run_once_has_no_runs_to_attest(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign()
    capsys.readouterr()
    refused(capsys, act(here, "table", "attest", study, "--run", 1), "RF-S487")


def test_a_changed_contract_needs_every_approval_anew(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """The files under the contract before are named and do not count; each person gives another."""
    receive(here)
    approve(here)
    assert told(here, "study", "list")["studies"][0]["state"] == "approved"
    text = (here.home / "contract.toml").read_text(encoding="utf-8")
    assert "version = 1" in text
    (here.home / "contract.toml").write_text(text.replace("version = 1", "version = 2", 1), encoding="utf-8")
    assert client("contract", "sign", here.home / "contract.toml", "--config", here.home) == 0
    capsys.readouterr()
    checked = told(here, "study", "check", "churn-1")
    assert checked["approvals"] == 0
    assert [each["cause"] for each in checked["approvals_passed_over"]] == ["outdated", "outdated"]
    said = capsys.readouterr().out
    assert "it was given under another contract; the study has to be approved anew" in said
    approve(here)
    assert told(here, "study", "check", "churn-1")["approvals"] == 2
    capsys.readouterr()
    refused(capsys, act(here, "study", "approve", "churn-1", "--key", here.ana), "RF-S202")


def test_a_person_who_left_is_named_and_spoils_nothing(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three who approved one is on the list no more: the other two stand."""
    receive(here, "")
    new_key(here.root / "eve.key")
    configure(here.home, approvers=["../ana.key.pub", "../ben.key.pub", "../eve.key.pub"])
    approve(here)
    assert act(here, "study", "approve", "churn-1", "--key", here.root / "eve.key") == 0
    configure(here.home, approvers=["../ana.key.pub", "../ben.key.pub"])
    capsys.readouterr()
    checked = told(here, "study", "check", "churn-1")
    assert checked["approvals"] == 2
    assert [each["cause"] for each in checked["approvals_passed_over"]] == ["nobody"]
    assert "who may approve here is in client.toml" in capsys.readouterr().out
    assert told(here, "study", "list")["studies"][0]["state"] == "approved"


def test_a_no_is_signed_by_a_person_who_may_decide(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    digest = receive(here)
    approve(here)
    capsys.readouterr()
    stranger = new_key(here.root / "eve.key")
    refused(capsys, act(here, "study", "reject", "churn-1", "--key", stranger), "RF-S201")
    assert (newest(here)["action"], newest(here)["outcome"]) == ("study.refused", "deny")
    assert told(here, "study", "list")["studies"][0]["state"] == "approved"
    assert act(here, "study", "reject", "churn-1", "--key", here.ben) == 0
    event = events(here.home, here.root / "log.json")[0]
    assert event["action"] == "study.rejected"
    assert event["public"] == {}
    with open_federation(here.home, None) as home:
        text = home.inbox.rejection(digest)
        people = home.settings.approvers()
    body = json.loads(SignedDocument.from_json(text).verify("rejection", people))
    assert (body["study"], body["holder"]) == (digest, "north")


def test_a_series_that_was_approved_from_a_file_wants_its_tables_too(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """It never came into the inbox. Where there are several federations, what is due names its own."""
    file = here.sign(series=YEARLY)
    digest = Study.from_canonical(read_signed(file).body).digest()
    assert act(here, "study", "approve", file, "--key", here.ana) == 0
    file.rename(file.with_name("moved"))
    with open_federation(here.home, None) as home:
        (window,) = home.snapshots().windows(digest)
        home.snapshots().forget(digest, window=window)
    assert told(here, "status")["attestations_due"] == [], "one person is not two"
    assert act(here, "study", "approve", "churn-1", "--key", here.ben) == 0
    with open_federation(here.home, None) as home:
        home.snapshots().forget(digest, window=window)
    assert told(here, "study", "list")["studies"] == []
    (due,) = told(here, "status")["attestations_due"]
    assert (due["study"], due["run"], due["federation"]) == ("churn-1", window, None)
    new_key(here.root / "other.key", "coordinator")
    words = ("federation", "add", "other", here.root / "other.key.pub", "--compared")
    assert act(here, *words) == 0
    capsys.readouterr()
    for page in (("study", "list", "--federation", "city"), ("status",), ("doctor",)):
        act(here, *page)
        (line,) = (each for each in capsys.readouterr().out.splitlines() if f"run {window} of 100" in each)
        _, _, command = line.partition("ringfence-client ")
        assert command == "table attest churn-1 --federation city", page
    assert act(here, *command.split()) == 0
    assert told(here, "status")["attestations_due"] == []
    with open_federation(here.home, "city") as home:
        home.snapshots().forget(digest, window=window)
    (due,) = told(here, "status")["attestations_due"]
    assert due["federation"] == "city"
    (kept,) = (here.home / "approvals" / "city" / "series").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b"churn-1", b"churn-2"))
    assert told(here, "status")["attestations_due"] == [], "an altered one counts no more, and stops nothing"
    kept.write_bytes(whole)
    approvals = {each: each.read_bytes() for each in (here.home / "approvals" / "city").glob("*.json")}
    words = ("study", "reject", "churn-1", "--federation", "city", "--key", here.ana)
    assert act(here, *words) == 0
    for each, content in approvals.items():  # as where the rejection was cut off before they were deleted
        each.write_bytes(content)
    assert told(here, "status")["attestations_due"] == []
