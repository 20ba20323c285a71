"""The coordinator's desk: studies submitted once by digest, named by id, listed with what became of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import NAMES, Town, read, refused, server, town
from sqlalchemy import insert

from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.store import open_store
from ringfence.server.desk import submitting
from ringfence.server.records.runs import RUNS
from ringfence.server.records.submissions import Submissions

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def listed(here: Town) -> list[dict[str, Any]]:
    told = here.root / "list.json"
    assert server("study", "list", "--config", here.desk, "--json", told) == 0
    return list(read(told)["studies"])


def test_a_study_is_submitted_once_and_kept_though_nobody_serves(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign()
    capsys.readouterr()
    assert server("study", "submit", study, "--config", here.desk) == 0
    said = capsys.readouterr().out
    assert said.startswith("Submitted churn-1 (sha256:")
    assert "Not delivered yet: " in said
    assert "north  not delivered yet" in said
    assert server("study", "submit", study, "--config", here.desk) == 0
    assert "churn-1 was submitted on" in capsys.readouterr().out
    (found,) = listed(here)
    assert (found["id"], found["state"], found["round"]) == ("churn-1", "submitted", None)
    assert set(found["holders"]) == set(NAMES)
    assert found["holders"]["north"] == {
        "state": "not delivered",
        "delivered": None,
        "heard": None,
        "unreachable_since": None,
    }
    log = here.root / "log.json"
    words = ("--type", "study.submitted", "--config", here.desk, "--json", log)
    assert server("log", "list", *words) == 0
    assert len(read(log)["events"]) == 1


def test_another_study_under_the_same_id_is_refused(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = here.sign(), here.sign("other.signed.json", epsilon="0.5")
    assert server("study", "submit", first, "--config", here.desk) == 0
    capsys.readouterr()
    refused(capsys, server("study", "submit", second, "--config", here.desk), "RF-S441")
    assert len(listed(here)) == 1


def test_a_study_that_is_over_is_not_submitted(
    here: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = here.sign()
    monkeypatch.setattr(submitting.Submissions, "today", lambda _self: date(2100, 1, 1))
    capsys.readouterr()
    refused(capsys, server("study", "submit", study, "--config", here.desk), "RF-S442")
    assert listed(here) == []


def test_careless_names_and_schemas_are_refused(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", here.root / "m", "--config", here.desk)
    capsys.readouterr()
    assert "study list" in refused(capsys, server("study", "run", "churn-1", *out), "RF-S443")
    study = here.sign()
    assert server("study", "submit", study, "--config", here.desk) == 0
    capsys.readouterr()
    assert "Near it: churn-1." in refused(capsys, server("study", "run", "churn1", *out), "RF-S443")
    refused(capsys, server("study", "show", "churn.signed.json", "--config", here.desk), "RF-K020")
    other = here.root / "other.toml"
    text = (here.root / "schema.toml").read_text(encoding="utf-8")
    other.write_text(text.replace("version = 1", "version = 2"), encoding="utf-8")
    refused(capsys, server("study", "run", "churn-1", "--schema", other, *out), "RF-S384")
    refused(capsys, server("study", "submit", study, "--schema", other, "--config", here.desk), "RF-S384")
    refused(capsys, server("study", "run", "churn-1", *out), "RF-W342")
    refused(capsys, server("study", "list", "--refresh", "--config", here.desk), "RF-W342")
    assert server("study", "show", "churn-1", "--config", here.desk) == 0
    assert "north  not delivered yet" in capsys.readouterr().out


def test_two_deliveries_take_turns_for_a_while(
    here: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server("study", "submit", here.sign(), "--config", here.desk) == 0
    monkeypatch.setattr(submitting, "BUSY_SECONDS", 0.0)
    engine = open_store(here.desk / "coordinator.db")
    try:
        with lease(engine, "post"):
            capsys.readouterr()
            refused(capsys, server("study", "deliver", "--config", here.desk), "RF-W392")
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("outcome", "state", "why"),
    [
        ("", "running", None),
        ("released", "released", None),
        ("stopped", "stopped", None),
        ("RF-W203", "ended", "RF-W203"),
    ],
)
def test_what_became_of_a_study_is_its_run(outcome: str, state: str, why: str | None) -> None:
    submissions = filled(1)
    with submissions.engine.begin() as connection:
        connection.execute(
            insert(RUNS).values(
                run="ab" * 16,
                study=DIGEST.format(0),
                name="study-0",
                started="s",
                round=4,
                attempt=0,
                roster=0,
                outcome=outcome,
                model="",
                ended="",
            )
        )
    (found,) = submissions.listed()
    assert (found.as_json()["state"], found.as_json()["round"], found.as_json()["why"]) == (state, 4, why)


def test_a_study_past_its_day_is_expired() -> None:
    assert filled(1, datetime(2031, 1, 1, tzinfo=UTC)).listed()[0].state == "expired"
    assert filled(1, datetime(2030, 12, 31, tzinfo=UTC)).listed()[0].state == "submitted"


DIGEST = "sha256:{:064x}"


def filled(count: int, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> Submissions:
    submissions = Submissions(open_store(None), lambda: now)
    for number in range(count):
        submissions.add(
            study=DIGEST.format(number),
            name=f"study-{number}",
            expires=date(2030, 12, 31),
            documents=("d", "s"),
            holders=NAMES,
            record=lambda _connection: None,
        )
    return submissions


def test_what_a_holder_said_is_told_of_that_holder_and_study() -> None:
    """Each moment under its own name, whatever order the database puts holders together in."""
    submissions, days = filled(2), iter(range(1, 10))
    submissions._clock = lambda: datetime(2026, 1, next(days), tzinfo=UTC)
    submissions.heard(DIGEST.format(1), "south", "waiting", lambda *_: None)
    submissions.heard(DIGEST.format(1), "south", "approved", lambda *_: None)
    submissions.missed(DIGEST.format(1), "south")
    found = {each.study: each.as_json()["holders"] for each in submissions.listed()}
    silent = {"state": "not delivered", "delivered": None, "heard": None, "unreachable_since": None}
    told = {"delivered": "2026-01-01", "heard": "2026-01-02", "unreachable_since": "2026-01-03"}
    at = {name: f"{day}T00:00:00+00:00" for name, day in told.items()}
    assert found == {
        DIGEST.format(0): dict.fromkeys(NAMES, silent),
        DIGEST.format(1): dict.fromkeys(NAMES, silent) | {"south": {"state": "approved", **at}},
    }


def test_many_studies_are_listed_with_three_questions() -> None:
    """However many there are: no question for each study."""
    from sqlalchemy import event

    submissions, asked = filled(50), list[str]()
    event.listen(submissions.engine, "before_cursor_execute", lambda *given: asked.append(str(given[2])))
    assert len(submissions.listed()) == 50
    assert sum(text.startswith("SELECT") for text in asked) == 3
    assert not any("document" in text for text in asked)
