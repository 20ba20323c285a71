"""What a run ends with, told and kept: every attempt counted, the absent named, the same after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties
from kits.reply_kit import THREE, events, message_of, tiny
from sqlalchemy import select, update

from ringfence.privacy.errors import StudyError, WaistError
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.records.runs import RUNS, RunStore
from ringfence.server.rounds import Release, run_study

FOUR = ("agency", *THREE)
Told = list[tuple[int, int, str]]


class Stopped(Exception):
    """The coordinator's process ends here."""


def go(parties: Parties, said: Told | None = None, run: str = "") -> Release:
    """A process of the coordinator over its store; a new one makes up a run id that is not the run's."""
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    return run_study(
        coordinator,
        replace(opened, run=run) if run else opened,
        parties.wire,
        lambda *told: said.append(told) if said is not None else None,
        RunStore(coordinator.registry.engine),
    )


def stop_before(parties: Parties, kind: str, round_: int = 0) -> None:
    def look(_name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (header.kind, header.round) == (kind, round_):
            raise Stopped
        return message

    parties.wire.on_message = look


def heal(parties: Parties) -> int:
    """Nothing is in the way any more; how many messages were sent by then."""
    parties.wire.on_message = lambda _name, message, _reply: message
    parties.wire.on_reply = lambda _name, _message, reply: reply
    return len(parties.wire.sent)


def silent_at(parties: Parties, name: str, round_: int) -> None:
    def lost(who: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        return b"" if (who, header.kind, header.round) == (name, "round-call", round_) else reply

    parties.wire.on_reply = lost


def row_of(parties: Parties) -> Any:
    with parties.federation.coordinator.registry.engine.begin() as connection:
        return connection.execute(select(RUNS)).one()


def test_attempts_that_failed_belong_to_the_end_with_the_model_made_by_then(tmp_path: Path) -> None:
    parties = tiny(tmp_path, model={"iterations": 3})
    said: Told = []
    silent_at(parties, "partner", 3)
    release = go(parties, said)
    most = parties.federation.opened.plan.max_attempts
    assert most > 1
    assert release.attempts == (1, 1, 1, most)
    assert (release.unfinished, release.figures) == ("gradient-3", None)
    assert (release.holders, release.absent) == (THREE, ())
    rounds = ["histogram", "gradient-1", "gradient-2", "gradient-3"]
    assert said == [*((at, 4, name) for at, name in enumerate(rounds)), (4, 4, "release")]
    told = events(parties.federation.coordinator.log, "model.released")
    expected = {"model": release.digest, "run": parties.federation.opened.run, "holders": list(THREE)}
    intent = next(parties.federation.coordinator.log.events(action="release.intended")).seq
    expected |= {"unfinished": "gradient-3", "witnesses": list(THREE), "entry": intent}
    assert [each[3] for each in told] == [expected]
    row = row_of(parties)
    assert (row.outcome, row.model) == ("released", release.digest)
    assert row.ended


def test_a_run_without_a_model_keeps_why_and_tells_everybody(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent_at(parties, "partner", 1)
    with pytest.raises(WaistError, match="RF-W201"):
        go(parties)
    row = row_of(parties)
    assert (row.outcome, row.model) == ("RF-W201", "")
    assert row.ended
    finish = [m for _, m, _ in parties.wire.sent if read_header(m).kind == "finish"]
    assert [message_of(parties, Finish, each).model for each in finish] == [None] * 3
    with pytest.raises(StudyError, match="RF-S380"):
        go(parties)


def test_holders_that_were_never_there_are_absent_and_not_told(tmp_path: Path) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3})
    parties.wire.away = frozenset({"agency"})
    release = go(parties)
    assert (release.holders, release.absent) == (THREE, ("agency",))
    assert "agency" not in {name for name, _, _ in parties.wire.sent}


@pytest.mark.parametrize("dropouts", ["retry", "recover"])
def test_after_a_restart_sums_are_kept_and_numbers_only_grow(tmp_path: Path, dropouts: str) -> None:
    parties = tiny(tmp_path, privacy={"dropouts": dropouts})
    stop_before(parties, "round-call", 1)
    with pytest.raises(Stopped):
        go(parties)
    before, said = heal(parties), Told()
    row = row_of(parties)
    assert (row.round, row.attempt, row.outcome) == (1, 0, "")
    release = go(parties, said, run="cd" * 16)
    assert (release.attempts, release.holders) == ((1, 2), THREE)
    assert said == [(0, 2, "histogram"), (1, 2, "gradient-1"), (2, 2, "release")]
    later = [read_header(message) for _, message, _ in parties.wire.sent[before:]]
    assert {each.run for each in later} == {parties.federation.opened.run}, "the run that was kept"
    assert {(e.round, e.attempt) for e in later if e.kind == "round-call"} == {(1, 1)}
    assert row_of(parties).roster == row.roster + 1


def test_an_end_that_was_fixed_before_a_restart_is_told_and_nothing_is_asked(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    stop_before(parties, "finish")
    with pytest.raises(Stopped):
        go(parties)
    before, said = heal(parties), Told()
    row = row_of(parties)
    assert (row.outcome, row.ended) == ("released", "")
    release = go(parties, said, run="cd" * 16)
    assert release.digest == row.model
    assert (release.attempts, release.holders) == ((1, 1), THREE)
    assert said[-1] == (2, 2, "release")
    later = parties.wire.sent[before:]
    assert [(name, read_header(message).kind) for name, message, _ in later] == [
        (name, "finish") for name in THREE
    ]
    assert {message_of(parties, Finish, message).model for _, message, _ in later} == {row.model}
    log = parties.federation.coordinator.log
    assert len(events(log, "model.released")) == len(events(log, "study.finished")) == 1
    assert row_of(parties).ended


def test_kept_sums_that_make_another_model_are_not_told(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    stop_before(parties, "finish")
    with pytest.raises(Stopped):
        go(parties)
    before = heal(parties)
    with parties.federation.coordinator.registry.engine.begin() as connection:
        connection.execute(update(RUNS).values(model="sha256:" + "0" * 64))
    with pytest.raises(StudyError, match="RF-S382") as caught:
        go(parties)
    assert caught.value.values == {"study": "small-churn"}
    assert len(parties.wire.sent) == before


def test_a_failure_that_was_fixed_before_a_restart_is_told(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent_at(parties, "partner", 0)
    stop_before(parties, "finish")
    with pytest.raises(Stopped):
        go(parties)
    before = heal(parties)
    with pytest.raises(StudyError, match="RF-S381") as caught:
        go(parties)
    assert caught.value.values == {"study": "small-churn", "why": "RF-W201"}
    later = parties.wire.sent[before:]
    assert [(name, read_header(message).kind) for name, message, _ in later] == [
        (name, "finish") for name in THREE
    ]
    assert {message_of(parties, Finish, message).model for _, message, _ in later} == {None}
    log = parties.federation.coordinator.log
    assert [each[1] for each in events(log, "study.finished")] == ["error"]
