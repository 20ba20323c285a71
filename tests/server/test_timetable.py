"""A series at the coordinator: what is due, what `serve` starts, what people see of it, how they end it."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import NAMES, Town, read, refused, server, town
from kits.key_kit import Houses
from kits.series_kit import Clock, at
from sqlalchemy import insert, update

from ringfence.privacy.agreements.series import SeriesTerms
from ringfence.privacy.stores.lease import lease
from ringfence.server.home import Office, open_office
from ringfence.server.post.timetable import LONGEST, LOOK, SHORTEST, Timetable
from ringfence.server.records.runs import RUNS
from ringfence.server.records.submissions import Submissions, SubmittedStudy

MONTHLY = '[series]\nruns = 3\nevery = "month"\nbegins = 2030-01-31\n'
YEARLY = '[series]\nruns = 100\nevery = "year"\nbegins = 2000-01-01\n'
COMING = '[series]\nruns = 12\nevery = "month"\nbegins = 2098-01-31\n'


class Child:
    """A run's process that ends when it is told."""

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.said = ""
        self.ended = False

    def poll(self) -> int | None:
        return self.returncode

    def communicate(self) -> tuple[None, str]:
        return None, self.said

    def terminate(self) -> None:
        self.ended = True


class Scene:
    """A timetable whose two clocks the test moves, and the runs that it would have started."""

    def __init__(self, here: Town, office: Office) -> None:
        self.here, self.office = here, office
        self.clock, self.seconds = Clock(at("2030-01-30")), 0.0
        self.started, self.children, self.told = list[Sequence[str]](), list[Child](), list[str]()
        self.timetable = self.fresh()

    def fresh(self) -> Timetable:
        """As after a restart of `serve`: nothing is known but what the store holds."""
        return Timetable(
            office=self.office,
            config=self.here.desk,
            passphrase_files=(Path("words.txt"),),
            report=self.told.append,
            start=self._start,
            clock=lambda: self.seconds,
            now=self.clock,
        )

    def _start(self, words: Sequence[str]) -> Any:
        self.started.append(words)
        self.children.append(Child())
        return self.children[-1]

    def look(self, seconds: float = LOOK) -> int:
        """Look once, some seconds later; how many were started in all."""
        self.seconds += seconds
        self.timetable.look()
        return len(self.started)

    def listed(self) -> SubmittedStudy:
        return Submissions(self.office.engine, self.clock).listed()[0]

    def run(self, window: int, **values: str) -> None:
        """Keep a run of the series, as its process would have."""
        row = {
            "run": f"{window:x}" * 32,
            "study": self.listed().study,
            "name": "churn-1",
            "started": "2030-01-31T00:00:00+00:00",
            "round": 0,
            "attempt": 0,
            "roster": 0,
            "outcome": "",
            "model": "",
            "ended": "",
            "window": window,
        }
        with self.office.engine.begin() as connection:
            connection.execute(insert(RUNS).values(row | values))

    def became(self, window: int, **values: str) -> None:
        with self.office.engine.begin() as connection:
            connection.execute(update(RUNS).where(RUNS.c.window == window).values(**values))


RELEASED = {"outcome": "released", "ended": "2030-01-31T01:00:00+00:00"}
FAILED = {"outcome": "RF-W201", "ended": "2030-01-31T01:00:00+00:00"}


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


@pytest.fixture
def scene(here: Town) -> Iterator[Scene]:
    with open_office(here.desk) as office:
        yield Scene(here, office)


def submitted(scene: Scene, series: str = MONTHLY, approved: Sequence[str] = NAMES) -> str:
    assert server("study", "submit", scene.here.sign(series=series), "--config", scene.here.desk) == 0
    study = scene.listed().study
    for name in approved:
        Submissions(scene.office.engine).heard(study, name, "approved", lambda _connection, _fresh: None)
    return study


def test_a_run_starts_when_its_window_opens_and_once(scene: Scene) -> None:
    study = submitted(scene)
    assert scene.look() == 0, "a day too early"
    scene.clock.moment = at("2030-01-31", 0)
    assert scene.look(1) == 0, "the store is not asked every second"
    assert scene.look() == 1
    assert scene.started[0] == [
        "study",
        "run",
        study,
        "--keep",
        "--config",
        str(scene.here.desk),
        "--passphrase-file",
        "words.txt",
    ]
    assert "run 1 of churn-1" in scene.told[0]
    assert scene.look() == 1, "it is being run"
    scene.run(1, **RELEASED)
    scene.children[0].returncode = 0
    assert scene.look() == 1, "the window had its run"
    assert "It released: run 1 of churn-1" in scene.told[-1]
    scene.clock.moment = at("2030-02-28", 0)
    assert scene.look() == 2
    scene.run(2, **RELEASED)
    scene.children[1].returncode = 0
    scene.clock.moment = at("2030-04-30", 0)
    assert scene.look() == 2, "the third window is over; nothing is made up for"


def test_what_was_due_while_nothing_served_starts_if_its_window_is_still_open(scene: Scene) -> None:
    submitted(scene)
    scene.clock.moment = at("2030-02-27", 23)
    assert scene.look() == 1
    scene.children[0].returncode = -9  # killed with the machine, before anything was kept
    scene.timetable, scene.clock.moment = scene.fresh(), at("2030-03-30", 23)
    assert scene.look() == 2
    assert "run 2 of churn-1" in scene.told[-1]


def test_a_run_that_was_interrupted_goes_on_in_its_window_at_a_pace_that_slows_down(scene: Scene) -> None:
    submitted(scene)
    scene.clock.moment = at("2030-01-31")
    assert scene.look() == 1
    scene.run(1)
    scene.children[0].said, scene.children[0].returncode = "RF-W200: too few", 1
    assert scene.look() == 1
    assert scene.told[-1] == "run 1 of churn-1: RF-W200: too few"
    times = list[float]()
    while len(times) < 6:
        before = len(scene.started)
        if scene.look() > before:
            times.append(scene.seconds)
            scene.children[-1].said, scene.children[-1].returncode = "RF-W200: too few", 1
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert steps[0] >= SHORTEST
    assert steps == sorted(steps)
    assert steps[-1] == LONGEST
    assert len(scene.told) == 1 + 1 + 6, "why it failed is told once, that it starts each time"
    scene.clock.moment = at("2030-02-28")
    count = len(scene.started)
    assert scene.look() == count + 1
    assert "run 2" in scene.told[-1], "the new window does not wait for the run that stands still"


@pytest.mark.parametrize("values", [FAILED, {"outcome": "stopped", "ended": "2030-01-31T01:00:00+00:00"}])
def test_a_run_that_failed_or_was_stopped_is_left_to_people(scene: Scene, values: dict[str, str]) -> None:
    submitted(scene)
    scene.clock.moment = at("2030-01-31")
    scene.run(1, **values)
    assert scene.look() == 0
    found = scene.listed()
    assert found.series is not None
    assert (found.state, found.series.started, found.series.released) == ("scheduled", 1, 0)
    assert found.series.due is not None
    assert found.series.due.number == 2


def test_nothing_starts_before_enough_holders_approved_or_while_a_study_is_run(scene: Scene) -> None:
    study = submitted(scene, approved=NAMES[:2])
    scene.clock.moment = at("2030-01-31")
    assert scene.look() == 0
    Submissions(scene.office.engine).heard(study, NAMES[2], "approved", lambda _connection, _fresh: None)
    with lease(scene.office.engine, "study"):
        assert scene.look() == 0
    assert scene.look() == 1


def test_the_window_that_closes_first_comes_first(scene: Scene) -> None:
    submitted(scene)
    text = (scene.here.root / "study.toml").read_text(encoding="utf-8")
    weekly = text.replace('"month"', '"week"').replace("churn-1", "weekly-1")
    (scene.here.root / "weekly.toml").write_text(weekly, encoding="utf-8")
    words = [word for one in scene.here.declarations for word in ("--declaration", one)]
    signed = scene.here.root / "weekly.signed.json"
    desk = ("--config", scene.here.desk)
    assert server("study", "sign", scene.here.root / "weekly.toml", *words, "--out", signed, *desk) == 0
    assert server("study", "submit", signed, *desk) == 0
    store = Submissions(scene.office.engine)
    for each in store.listed():
        for name in NAMES:
            store.heard(each.study, name, "approved", lambda _connection, _fresh: None)
    scene.clock.moment = at("2030-01-31")
    assert scene.look() == 1
    assert "run 1 of weekly-1" in scene.told[-1]
    scene.children[0].returncode = 1
    assert scene.look() == 2
    assert "run 1 of churn-1" in scene.told[-1], "the one that failed does not keep the other waiting"


def test_a_run_under_way_is_ended_when_serve_ends(scene: Scene) -> None:
    submitted(scene)
    scene.clock.moment = at("2030-01-31")
    scene.look()
    scene.timetable.close()
    assert scene.children[0].ended
    scene.timetable.close()


def test_people_see_how_far_a_series_is(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    submitted(scene, COMING)
    desk, out = ("--config", scene.here.desk), scene.here.root / "told.json"
    capsys.readouterr()
    assert server("study", "list", *desk, "--json", out) == 0
    said = capsys.readouterr().out
    assert "0 of 12 runs released, 0 started" in said
    assert "run 1 of 12 may start from 2098-01-31 00:00 UTC until 2098-02-28 00:00 UTC" in said
    (found,) = read(out)["studies"]
    assert (found["state"], found["series"]["next"], found["series"]["due"]) == (
        "submitted",
        1,
        "2098-01-31T00:00:00+00:00",
    )
    scene.run(1, **RELEASED)
    assert server("study", "show", "churn-1", *desk) == 0
    said = capsys.readouterr().out
    assert "between two runs" in said
    assert "one run costs a customer epsilon" in said
    assert "all 12 runs together cost epsilon" in said
    assert f"run 1: released, started 2030-01-31 00:00 UTC, id {'1' * 32}" in said
    assert server("status", *desk, "--json", out) == 0
    assert "churn-1: run 1 of 12 may start from 2098-01-31" in capsys.readouterr().out
    assert read(out)["series"][0]["runs"] == 12
    assert read(out)["runs"][0]["window"] == 1


def test_the_states_of_a_series(scene: Scene) -> None:
    submitted(scene)
    states = list[str]()
    scene.clock.moment = at("2030-01-31")
    for window in (1, 2, 3):
        scene.run(window)
        states.append(scene.listed().state)
        scene.became(window, **(RELEASED if window != 2 else FAILED))
        states.append(scene.listed().state)
    assert states == ["running", "scheduled", "running", "scheduled", "running", "released"]


def test_a_series_is_stopped_once_and_starts_nothing_more(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    study = submitted(scene, YEARLY)
    desk = ("--config", scene.here.desk)
    capsys.readouterr()
    refused(capsys, server("study", "resume", "churn-1", "--keep", *desk), "RF-U741")
    refused(capsys, server("study", "stop", "churn-1", *desk), "RF-U741")
    refused(capsys, server("study", "release", "churn-1", "--out", scene.here.root / "x", *desk), "RF-S383")
    assert server("study", "stop", "churn-1", "--series", *desk) == 0
    assert "no further run of it starts" in capsys.readouterr().out
    assert server("study", "stop", "churn-1", "--series", *desk) == 0
    events = [each.event for each in scene.office.log.events(action="series.stopped")]
    assert [(each.resource, dict(each.public)) for each in events] == [(f"study:{study}", {})]
    assert scene.listed().state == "stopped"
    scene.clock.moment = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)
    assert scene.look() == 0
    capsys.readouterr()
    assert server("study", "list", *desk) == 0
    assert "stopped on" in capsys.readouterr().out


def test_what_does_not_go_together_is_refused(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    desk, out = ("--config", scene.here.desk), scene.here.root / "x"
    submitted(scene, COMING)
    capsys.readouterr()
    refused(capsys, server("study", "run", "churn-1", "--keep", *desk), "RF-S478")
    refused(capsys, server("study", "release", "churn-1", "--run", 13, "--out", out, *desk), "RF-S473")
    scene.run(1, **RELEASED)
    refused(capsys, server("study", "resume", "1" * 32, "--keep", *desk), "RF-U743")
    once = scene.here.sign("once.signed.json")
    capsys.readouterr()
    refused(capsys, server("study", "stop", once, "--series", *desk), "RF-U744")
    refused(capsys, server("study", "release", once, "--run", 1, "--out", out, *desk), "RF-U742")


def test_a_run_of_a_series_is_found_by_its_id(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Resuming a run goes as far as the gateway, which does not serve here; it begins nothing."""
    submitted(scene)
    scene.run(2)
    capsys.readouterr()
    desk = ("--config", scene.here.desk)
    refused(capsys, server("study", "resume", "2" * 32, "--keep", *desk), "RF-W342")
    refused(capsys, server("study", "resume", "churn-1", "--keep", *desk), "RF-W342")
    with scene.office.engine.connect() as connection:
        assert connection.execute(RUNS.select()).fetchall()[0].window == 2


def test_the_series_is_kept_as_it_was_signed(scene: Scene) -> None:
    submitted(scene)
    found = scene.listed().series
    assert found is not None
    terms = SeriesTerms.of(runs=3, every="month", begins="2030-01-31")
    assert (found.runs, found.due) == (3, terms.window(1))


def test_a_series_that_names_a_replaced_key_is_not_started_and_says_so_once(scene: Scene) -> None:
    submitted(scene)
    houses = Houses(scene.here)
    assert houses.told("desk", houses.replace("north", "holder")) == 0
    scene.clock.moment = at("2030-01-31")
    assert [scene.look() for _time in range(3)] == [0, 0, 0]
    (said,) = scene.told
    assert "RF-W431" in said
