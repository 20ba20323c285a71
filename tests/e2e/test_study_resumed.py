"""A coordinator that is killed at any step goes on from its store, asks nothing twice, and ends the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import numpy as np
import pytest
from kits.parties import Parties, federation_of
from sqlalchemy import select, update

from ringfence.privacy.errors import StudyError, WaistError
from ringfence.privacy.stores.tensors import write_tensors
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.post.ending import owed_ends
from ringfence.server.records.released_sums import FORMAT
from ringfence.server.records.run_standings import runs_kept
from ringfence.server.records.runs import RUNS, SUMS, KeptRun, RunStore
from ringfence.server.registry import HolderRegistry
from ringfence.server.rounds import Release, released_again, run_study, stop_study

KINDS = {
    "retry": ("study-offer", "roster-call", "round-call", "finish"),
    "recover": (
        "study-offer",
        "key-call",
        "share-call",
        "round-call",
        "survivors-call",
        "unmask-call",
        "finish",
    ),
}


class Stopped(Exception):
    """The coordinator's process ends here."""


def go(parties: Parties) -> Release:
    """What a coordinator's process does, from its store; a new process has a run id that is not the run's."""
    coordinator = parties.federation.coordinator
    opened = replace(parties.federation.opened, run=secrets.token_hex(16))
    return run_study(coordinator, opened, parties.wire, runs=RunStore(coordinator.registry.engine))


def kill(parties: Parties, kind: str, *, when: str, which: int) -> None:
    """End the coordinator's process at the n-th message of a kind: before it is sent, or when its answer
    came.
    """
    seen = {"before": 0, "after": 0}

    def at(moment: str) -> Callable[[str, bytes, bytes], bytes]:
        def look(_name: str, message: bytes, reply: bytes) -> bytes:
            if read_header(message).kind == kind:
                seen[moment] += 1
                if (moment, seen[moment]) == (when, which):
                    raise Stopped
            return reply if moment == "after" else message

        return look

    parties.wire.on_message, parties.wire.on_reply = at("before"), at("after")


def heal(parties: Parties) -> None:
    parties.wire.on_message = lambda _name, message, _reply: message
    parties.wire.on_reply = lambda _name, _message, reply: reply


def calls(parties: Parties, since: int = 0) -> list[tuple[str, int, int]]:
    headers = [(name, read_header(message)) for name, message, _ in parties.wire.sent[since:]]
    return [(name, h.round, h.attempt) for name, h in headers if h.kind == MessageKind.ROUND_CALL]


@pytest.mark.parametrize(
    ("dropouts", "kind", "when", "which"),
    [
        (dropouts, kind, when, which)
        for dropouts, kinds in KINDS.items()
        for kind in kinds
        for when in ("before", "after")
        for which in ((1, 3) if kind in {"study-offer", "finish"} and dropouts == "retry" else (2,))
    ],
)
def test_a_killed_coordinator_goes_on_and_every_party_ends_the_run_once(
    tmp_path: Path, dropouts: str, kind: str, when: str, which: int
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, privacy={"dropouts": dropouts}))
    kill(parties, kind, when=when, which=which)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    release = go(parties)
    assert release.unfinished == ""
    assert release.holders == ("bank", "partner", "retailer")
    for holder in parties.holders.values():
        assert holder.ledger.reservations() == (), "the reservation is closed"
        actions = [e.event.action for e in holder.log.events()]
        assert actions.count("study.joined") == actions.count("study.finished") == 1
    log = [e.event.action for e in parties.federation.coordinator.log.events()]
    assert log.count("model.released") == log.count("study.finished") == 1


@pytest.mark.parametrize("dropouts", ["retry", "recover"])
@pytest.mark.parametrize(("when", "which"), [("before", 4), ("after", 4)])
def test_a_released_sum_is_not_asked_for_again_and_a_begun_attempt_not_repeated(
    tmp_path: Path, dropouts: str, when: str, which: int
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, privacy={"dropouts": dropouts}))
    kill(parties, "round-call", when=when, which=which)  # the second round's first
    with pytest.raises(Stopped):
        go(parties)
    before = len(parties.wire.sent)
    heal(parties)
    release = go(parties)
    assert release.attempts[:2] == (1, 2)
    assert not [call for call in calls(parties, before) if call[1] == 0]
    assert {attempt for _, round_, attempt in calls(parties, before) if round_ == 1} == {1}


def go_again(parties: Parties) -> Release:
    heal(parties)
    return go(parties)


def test_a_run_for_which_too_few_could_be_reached_goes_on_another_day(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))
    parties.wire.away = frozenset(parties.holders)
    for _ in range(2):
        with pytest.raises(WaistError, match="RF-W200"):
            go(parties)
    parties.wire.away = frozenset()
    assert go(parties).holders == ("bank", "partner", "retailer")


def test_an_outage_in_the_middle_ends_nothing(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))

    def outage(_name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if header.kind == MessageKind.ROUND_CALL and header.round == 2:
            parties.wire.away = frozenset(parties.holders)
        return message

    parties.wire.on_message = outage
    with pytest.raises(WaistError, match="RF-W200"):
        go(parties)
    before, parties.wire.away = len(parties.wire.sent), frozenset()
    assert go_again(parties).unfinished == ""
    assert min(round_ for _, round_, _ in calls(parties, before)) == 3, "what was released is not asked again"


def test_sums_that_make_the_model_need_witnesses_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))

    def dies(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(KeptRun, "decided", dies)
        with pytest.raises(Stopped):
            go(parties)
    parties.wire.away = frozenset(parties.holders)
    with pytest.raises(WaistError, match="RF-W237"):  # they cosign, and give nothing of their rows
        go(parties)
    parties.wire.away, sent = frozenset(), len(parties.wire.sent)
    assert go(parties).unfinished == ""
    kinds = {read_header(message).kind for _, message, _ in parties.wire.sent[sent:]}
    assert kinds == {"witness-call", "finish"}


def test_a_release_that_was_not_written_is_made_again(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))
    release = go(parties)
    runs = RunStore(parties.federation.coordinator.registry.engine)
    assert released_again(parties.federation.opened, runs).digest == release.digest
    other = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 3}))
    with pytest.raises(StudyError, match="RF-S383"):
        released_again(other.federation.opened, runs)


def stop(parties: Parties) -> Release | None:
    coordinator = parties.federation.coordinator
    runs = RunStore(coordinator.registry.engine)
    return stop_study(coordinator, parties.federation.opened, parties.wire, runs)


@pytest.mark.parametrize("rounds", [0, 4])
def test_a_run_that_is_stopped_ends_with_what_its_sums_make_and_frees_the_rest(
    tmp_path: Path, rounds: int
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 6}))
    with pytest.raises(StudyError, match="RF-S385"):
        stop(parties)
    kill(parties, "round-call", when="before", which=3 * rounds + 1)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    release = stop(parties)
    assert (release is not None) == (rounds > 0)
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())
    for again in (go, stop):
        with pytest.raises(StudyError, match="RF-S380"):
            again(parties)


@pytest.mark.parametrize("rounds", [0, 4])
def test_a_run_can_be_stopped_when_nobody_can_be_told_and_they_are_told_later(
    tmp_path: Path, rounds: int
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 6}))
    kill(parties, "round-call", when="before", which=3 * rounds + 1)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    coordinator, sent = parties.federation.coordinator, len(parties.wire.sent)
    runs = RunStore(coordinator.registry.engine)
    if rounds:  # its sums make a model, which nobody can cosign
        with pytest.raises(StudyError, match="RF-S464"):
            stop_study(coordinator, parties.federation.opened, None, runs)
    first = stop_study(coordinator, parties.federation.opened, None, runs, discard=rounds > 0)
    assert first is None
    assert [each.state for each in runs_kept(coordinator.registry.engine)] == ["ended"]
    for again in (go, stop):
        with pytest.raises(StudyError, match="RF-S380"):
            again(parties)
    assert len(parties.wire.sent) == sent
    assert all(holder.ledger.reservations() for holder in parties.holders.values())
    parties.tell_ends()
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())
    assert owed_ends(coordinator.registry.engine) == ()
    actions = [e.event.action for e in coordinator.log.events()]
    assert "model.released" not in actions
    assert actions.count("study.finished") == 1


def test_a_checkpoint_is_anchored_and_remembered_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were only one of the two kept, the holder's next proof would fit neither, for ever."""
    parties = Parties.of(federation_of(tmp_path, customers=150))

    def dies(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(HolderRegistry, "seen", dies)
        with pytest.raises(Stopped):
            go(parties)
    bank = parties.holders["bank"]
    assert parties.federation.coordinator.log.anchored(bank.log.origin) is None
    bank.log.record("consent.read", "allow", resource="consent-registry", public={"use": "coverage"})
    assert go(parties).holders == ("bank", "partner", "retailer")


def test_a_run_that_is_over_is_not_run_again(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    go(parties)
    sent = len(parties.wire.sent)
    with pytest.raises(StudyError) as caught:
        go(parties)
    assert caught.value.code == "RF-S380"
    assert len(parties.wire.sent) == sent


def test_a_failed_run_whose_farewell_was_cut_off_is_told_to_its_holders(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))

    def unanswered(_name: str, message: bytes, reply: bytes) -> bytes:
        return b"" if read_header(message).kind == MessageKind.ROUND_CALL else reply

    kill(parties, "finish", when="before", which=1)
    parties.wire.on_reply = unanswered
    with pytest.raises(Stopped):
        go(parties)
    assert all(holder.ledger.reservations() for holder in parties.holders.values())
    heal(parties)
    with pytest.raises(StudyError) as caught:
        go(parties)
    assert (caught.value.code, caught.value.values["why"]) == ("RF-S381", "RF-W201")
    assert not any(holder.ledger.reservations() for holder in parties.holders.values())


def stopped(folder: Path) -> Parties:
    """A run whose first round has its sum."""
    parties = Parties.of(federation_of(folder))
    kill(parties, "round-call", when="before", which=4)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    return parties


def kept(parties: Parties, **changes: object) -> None:
    """Change the kept sum."""
    with parties.federation.coordinator.registry.engine.begin() as connection:
        assert len(connection.execute(select(SUMS)).all()) == 1
        connection.execute(update(SUMS).values(**changes))


GOOD = {"cells": np.zeros(3, dtype=np.int64)}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"query": "00" * 32}, "RF-S072"),
        ({"blocks": write_tensors({"format": "ringfence-released-sum-0"}, GOOD)}, "RF-S073"),
        ({"blocks": b"not a sum"}, "RF-S074"),
        ({"blocks": write_tensors({"format": FORMAT, "blocks": ["cells"]}, GOOD)}, "RF-S074"),
        (
            {
                "blocks": write_tensors(
                    {"format": FORMAT, "blocks": ["cells"], "holders": 3},
                    {"cells": np.zeros(3, dtype=np.float32)},
                )
            },
            "RF-S074",
        ),
        ({"holders": "["}, "RF-S074"),
    ],
)
def test_a_sum_that_is_not_as_it_was_kept_is_refused(
    tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    parties = stopped(tmp_path)
    kept(parties, **changes)
    with pytest.raises(StudyError) as caught:
        go(parties)
    assert caught.value.code == code


def test_sums_that_make_another_model_than_the_released_one_are_not_told(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    kill(parties, "finish", when="before", which=1)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    with parties.federation.coordinator.registry.engine.begin() as connection:
        connection.execute(update(RUNS).values(model="sha256:" + "0" * 64))
    with pytest.raises(StudyError) as caught:
        go(parties)
    assert caught.value.code == "RF-S382"


def test_runs_of_two_studies_in_one_store_know_nothing_of_each_other(tmp_path: Path) -> None:
    first = stopped(tmp_path)
    (tmp_path / "other").mkdir()
    other = Parties.of(federation_of(tmp_path / "other", id="another-study"))
    runs = RunStore(first.federation.coordinator.registry.engine)
    taken = runs.take_up(other.federation.opened)
    assert (taken.run, taken.sums, taken.joined) == (other.federation.opened.run, {}, set())
