"""Studies that wait are delivered again at a pace that slows down, never two deliveries at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import NAMES, Town, server, town

from ringfence.privacy.crypto.identity import Identity
from ringfence.server.connections.admissions import Admissions, AdmittedHolder
from ringfence.server.home import open_office
from ringfence.server.post.couriering import FIRST, LONGEST, SHORTEST, Courier
from ringfence.server.post.ending import OwedEnd
from ringfence.server.records.submissions import Submissions


class Child:
    """A delivery that ends when it is told."""

    def __init__(self, said: str = "") -> None:
        self.returncode: int | None = None
        self.said = said
        self.ended = False

    def poll(self) -> int | None:
        return self.returncode

    def communicate(self) -> tuple[None, str]:
        return None, self.said

    def terminate(self) -> None:
        self.ended = True


class Scene:
    def __init__(self, here: Town, office: Any) -> None:
        self.now, self.started, self.told = 0.0, list[Sequence[str]](), list[str]()
        self.child = Child()
        self.submissions = Submissions(office.engine)
        self.courier = Courier(
            office=office,
            config=here.desk,
            passphrase_files=(Path("words.txt"),),
            report=self.told.append,
            start=self.start,
            clock=lambda: self.now,
        )

    def start(self, words: Sequence[str]) -> Any:
        self.started.append(words)
        self.child = Child(self.child.said)
        return self.child

    def starts(self, seconds: float, status: int = 0) -> list[float]:
        """When a delivery was started within so many seconds, each over before the next look."""
        found, end = list[float](), self.now + seconds
        while self.now < end:
            before = len(self.started)
            self.courier.look()
            if len(self.started) > before:
                found.append(self.now)
                self.child.returncode = status
            self.now += 1
        return found


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


@pytest.fixture
def scene(here: Town) -> Iterator[Scene]:
    with open_office(here.desk) as office:
        yield Scene(here, office)


def submitted(here: Town) -> str:
    assert server("study", "submit", here.sign(), "--config", here.desk) == 0
    with open_office(here.desk) as office:
        return Submissions(office.engine).listed()[0].study


def test_nothing_is_started_where_nothing_waits(here: Town, scene: Scene) -> None:
    assert scene.starts(500) == []
    study = submitted(here)
    for name in NAMES:
        scene.submissions.heard(study, name, "approved", lambda _connection, _fresh: None)
    assert scene.starts(500) == []


def test_the_pace_slows_down_and_begins_anew_when_something_changes(here: Town, scene: Scene) -> None:
    study = submitted(here)
    first, second, third, fourth, fifth = scene.starts(1000)
    assert first == FIRST
    assert [second - first, third - second, fourth - third, fifth - fourth] == [SHORTEST, 120, 240, LONGEST]
    assert scene.started[0] == [
        "study",
        "deliver",
        "--wait",
        "2",
        "--config",
        str(here.desk),
        "--passphrase-file",
        "words.txt",
    ]
    scene.submissions.heard(study, "north", "rejected", lambda _connection, _fresh: None)
    later = scene.starts(500)
    assert later[1] - later[0] == SHORTEST


def test_an_end_is_owed_to_nobody_who_is_not_let_in(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that left, or was revoked, hears it when it is admitted anew."""
    key = Identity.generate("holder").public
    owed = OwedEnd(run="1" * 32, study="s", model="", held=0, holders={"north": key, "south": key})
    monkeypatch.setattr("ringfence.server.post.couriering.owed_ends", lambda _engine: (owed,))
    assert scene.starts(2000) == []
    admissions = Admissions(scene.courier.office.engine)
    until = admissions.now() + timedelta(days=30)
    with admissions.engine.begin() as connection:
        admissions.invite("n", "south", until, connection=connection)
        south = AdmittedHolder(
            holder="south", identity=key.hex, certificate="c", node_key="k", until=until.isoformat()
        )
        admissions.admit("n", south, connection=connection)
    assert len(scene.starts(2000)) > 3
    with admissions.engine.begin() as connection:
        admissions.revoke("south", connection=connection)
    assert scene.starts(2000) == []


def test_one_at_a_time_and_a_failure_is_told_once(here: Town, scene: Scene) -> None:
    submitted(here)
    scene.now = FIRST
    scene.courier.look()
    scene.now += FIRST
    scene.courier.look()
    for _ in range(1000):
        scene.now += 1
        scene.courier.look()
    assert len(scene.started) == 1, "the first has not ended"
    scene.child.said, scene.child.returncode = "RF-K051: no key", 1
    scene.starts(2000, status=1)
    assert len(scene.started) > 3
    assert scene.told == ["RF-K051: no key"]
    scene.child = Child()
    scene.courier._running = scene.child  # type: ignore[assignment]
    scene.courier.close()
    assert scene.child.ended
