"""A release waits for cosignatures: intent, quorum, floor, waiting time, and hostile answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties
from kits.reply_kit import THREE, events, message_of, tiny
from sqlalchemy import update

from ringfence.audit.checkpoint import read_unverified
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import KeyFault, StudyError, WaistError
from ringfence.privacy.protocol.control import open_message, seal_message
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.protocol.releases import MOST_WITHDRAWN, Cosigned, hashes_of
from ringfence.privacy.wire.envelope import read_header
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.records.intents import RELEASES
from ringfence.server.records.runs import RunStore
from ringfence.server.release.withdrawing import SignedOff
from ringfence.server.rounds import Release, released_again, run_study, stop_study, withdraw_release

pytestmark = pytest.mark.usefixtures("each_database")

FOUR = ("agency", *THREE)
ANA, BEN = (Identity.generate("approver", simulation=True) for _ in range(2))


def by(person: Identity) -> SignedOff:
    return SignedOff(person=person, people=(ANA.public, BEN.public), reason="made by an old version")


def go(parties: Parties, hours: float = 0) -> Release:
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    runs = RunStore(coordinator.registry.engine, lambda: utc_now() + timedelta(hours=hours))
    return run_study(coordinator, opened, parties.wire, runs=runs)


def silent(parties: Parties, *names: str) -> None:
    """These holders' cosignatures are lost on the way."""

    def lost(who: str, message: bytes, reply: bytes) -> bytes:
        return b"" if who in names and read_header(message).kind == "witness-call" else reply

    parties.wire.on_reply = lost


def actions(parties: Parties) -> list[str]:
    return [each.event.action for each in parties.federation.coordinator.log.events()]


def forged(parties: Parties, change: Any) -> None:
    """The partner's answer is another one, signed by the partner itself."""

    def altered(who: str, message: bytes, reply: bytes) -> bytes:
        if (who, read_header(message).kind) != ("partner", "witness-call"):
            return reply
        opened = parties.federation.opened
        names = {"study": opened.digest, "run": opened.run, "recipient": "coordinator"}
        key = parties.holders["partner"].identity
        said = open_message(Cosigned, reply, senders={"partner": key.public}, **names)[1]
        return seal_message(key, change(said), sender="partner", **names)

    parties.wire.on_reply = altered


def test_a_model_is_released_after_its_intent_was_cosigned(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    release = go(parties)
    assert release.witnesses == THREE
    log, run = parties.federation.coordinator.log, parties.federation.opened.run
    assert actions(parties)[-1] == "study.finished"
    intent, released = (next(log.events(action=kind)) for kind in ("release.intended", "model.released"))
    assert intent.seq < released.seq
    told = {"model": release.digest, "run": run, "holders": list(THREE)}
    assert dict(intent.event.public) == told
    assert dict(released.event.public) == told | {"entry": intent.seq, "witnesses": list(THREE)}
    end = next(m for _, m, _ in parties.wire.sent if read_header(m).kind == "finish")
    farewell = message_of(parties, Finish, end)
    assert farewell.release is not None
    cosigned = read_unverified(farewell.release.checkpoint.encode())
    assert intent.seq < cosigned.size <= released.seq
    assert farewell.release.event == intent.seq
    assert [each.holder for each in farewell.release.cosignatures] == list(THREE)
    assert hashes_of(farewell.proof) == log.consistency(
        cosigned.size, read_unverified(farewell.checkpoint.encode()).size
    )
    runs = RunStore(parties.federation.coordinator.registry.engine)
    assert released_again(parties.federation.opened, runs).witnesses == THREE
    for name, holder in parties.holders.items():
        assert ("study.finished", "allow") in parties.actions(name)
        assert holder.log.anchored(log.origin) == read_unverified(farewell.checkpoint.encode())


def test_without_a_quorum_nothing_is_released_and_the_run_goes_on(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent(parties, "bank")
    with pytest.raises(WaistError, match=r"RF-W237.*2 of 3"):
        go(parties)
    assert "model.released" not in actions(parties)
    assert "study.finished" not in actions(parties)
    parties.wire.on_reply = lambda _name, _message, reply: reply
    sent = len(parties.wire.sent)
    release = go(parties)
    assert release.witnesses == THREE
    assert actions(parties).count("release.intended") == 1
    # The bank had cosigned although its answer was lost: it is asked from where its memory stands.
    asked = [(name, read_header(m).kind) for name, m, _ in parties.wire.sent[sent:]]
    assert asked.count(("bank", "witness-call")) == 2
    assert {kind for _, kind in asked} == {"witness-call", "finish"}


def test_a_run_that_is_not_kept_ends_without_its_model(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent(parties, "bank")
    with pytest.raises(WaistError, match="RF-W237"):
        run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    assert "model.released" not in actions(parties)
    assert actions(parties)[-1] == "study.finished"


def test_a_safe_floor_suffices_at_once_where_no_waiting_was_agreed(tmp_path: Path) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3})
    silent(parties, "agency")
    assert go(parties).witnesses == THREE
    (lowered,) = events(parties.federation.coordinator.log, "release.lowered")
    assert lowered[3] == {"run": parties.federation.opened.run, "witnesses": list(THREE)}
    assert all(("study.finished", "allow") in parties.actions(name) for name in FOUR)


def test_the_floor_suffices_only_after_the_waiting_time(tmp_path: Path) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3}, release={"wait_hours": 5})
    silent(parties, "agency")
    for hours in (0.0, 4.9):
        with pytest.raises(WaistError, match=r"RF-W237.*3 of 4"):
            go(parties, hours)
    # A holder's own clock decides whether it believes the farewell, so that theirs have to go on too.
    for name, holder in parties.holders.items():
        parties.holders[name] = replace(holder, clock=lambda: utc_now() + timedelta(hours=6))
        parties.agents[name].holder = parties.holders[name]
    assert go(parties, 5.1).witnesses == THREE
    silent(parties, "agency", "bank")


def test_below_the_floor_no_waiting_helps(tmp_path: Path) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3}, release={"wait_hours": 5})
    silent(parties, "agency", "bank")
    for hours in (0, 500):
        with pytest.raises(WaistError, match=r"RF-W237.*2 of 4"):
            go(parties, hours)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda said: replace(said, cosignature=replace(said.cosignature, holder="bank")), "RF-W238"),
        (lambda said: replace(said, cosignature=replace(said.cosignature, time=7)), "RF-A036"),
        (lambda said: replace(said, cosignature=replace(said.cosignature, signature="0" * 128)), "RF-A036"),
        (lambda said: replace(said, cosignature=replace(said.cosignature, statement="0" * 128)), "RF-K003"),
        (lambda said: Cosigned(stands=10**9, cosignature=None), "RF-W239"),
        (lambda said: Cosigned(stands=1, cosignature=None), "RF-W240"),
        (lambda said: Cosigned(stands=0, cosignature=None), "RF-W240"),
    ],
)
def test_an_answer_that_is_no_cosignature_counts_as_none_and_is_an_event(
    tmp_path: Path, change: Any, code: str
) -> None:
    parties = tiny(tmp_path)
    forged(parties, change)
    with pytest.raises(WaistError, match=r"RF-W237.*2 of 3"):
        go(parties)
    (refused,) = events(parties.federation.coordinator.log, "reply.refused")
    assert (refused[3]["holder"], refused[3]["reasons"]) == ("partner", [code])


def test_killed_between_intent_and_release_it_releases_the_same(tmp_path: Path) -> None:
    parties = tiny(tmp_path)

    class Killed(Exception):
        pass

    def die(_name: str, message: bytes, _reply: bytes) -> bytes:
        if read_header(message).kind == "witness-call":
            raise Killed
        return message

    parties.wire.on_message = die
    with pytest.raises(Killed):
        go(parties)
    intended = events(parties.federation.coordinator.log, "release.intended")
    parties.wire.on_message = lambda _name, message, _reply: message
    assert go(parties).digest == intended[0][3]["model"]
    assert events(parties.federation.coordinator.log, "release.intended") == intended


def test_a_stop_releases_under_the_same_eyes(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent(parties, "bank")
    with pytest.raises(WaistError, match="RF-W237"):
        go(parties)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    runs = RunStore(coordinator.registry.engine)
    with pytest.raises(WaistError, match="RF-W237"):
        stop_study(coordinator, opened, parties.wire, runs)
    with pytest.raises(StudyError, match="RF-S464"):
        stop_study(coordinator, opened, None, runs)
    with pytest.raises(WaistError, match="RF-W454"):
        stop_study(coordinator, opened, parties.wire, runs, discard=True)
    assert stop_study(coordinator, opened, parties.wire, runs, discard=True, signed=by(ANA)) is None
    assert "model.released" not in actions(parties)
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())
    (intended,) = events(coordinator.log, "release.intended")
    (gone,) = events(coordinator.log, "release.withdrawn")
    assert gone[3]["approvals"] == [ANA.public.fingerprint]
    for name in ("bank", "partner", "retailer"):
        # The bank's answer was lost, but it witnessed the intent too: each is told that it is withdrawn.
        (told,) = events(parties.holders[name].log, "withdrawal.witnessed")
        (seen,) = events(parties.holders[name].log, "release.witnessed")
        assert told[3]["intent"] == seen[3]["intent"] == gone[3]["intent"]
        assert told[3]["model"] == intended[3]["model"]


def test_a_corrected_release_is_witnessed_once_the_first_was_withdrawn(tmp_path: Path) -> None:
    """Another version makes another model of the kept sums: a person withdraws what was intended first."""
    parties = tiny(tmp_path)
    silent(parties, "bank")
    with pytest.raises(WaistError, match="RF-W237"):
        go(parties)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    log, runs = coordinator.log, RunStore(coordinator.registry.engine)
    with pytest.raises(KeyFault, match="RF-K015"):
        withdraw_release(coordinator, opened, runs, replace(by(ANA), people=(BEN.public,)))
    assert "release.withdrawn" not in actions(parties)
    withdraw_release(coordinator, opened, runs, by(ANA))
    with pytest.raises(WaistError, match="RF-W455"):
        withdraw_release(coordinator, opened, runs, by(ANA))
    parties.wire.on_reply = lambda _name, _message, reply: reply
    assert go(parties).witnesses == THREE
    assert actions(parties).count("release.intended") == 2
    first, second = events(log, "release.intended")
    assert first[3] == second[3]
    (released,) = log.events(action="model.released")
    numbers = [each.seq for each in log.events(action="release.intended")]
    assert released.event.public["entry"] == numbers[1]
    for holder in parties.holders.values():
        assert len(events(holder.log, "withdrawal.witnessed")) == 1
        assert len(events(holder.log, "release.witnessed")) == 2
    with pytest.raises(StudyError, match="RF-S380"):
        withdraw_release(coordinator, opened, runs, by(ANA))


def test_what_was_released_is_not_withdrawn(tmp_path: Path) -> None:
    parties = tiny(tmp_path)

    class Killed(Exception):
        pass

    def die(_name: str, message: bytes, _reply: bytes) -> bytes:
        if read_header(message).kind == "finish":
            raise Killed
        return message

    parties.wire.on_message = die
    with pytest.raises(Killed):
        go(parties)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    with pytest.raises(WaistError, match="RF-W456"):
        withdraw_release(coordinator, opened, RunStore(coordinator.registry.engine), by(ANA))


def test_one_intent_of_a_run_is_withdrawn_so_often_and_no_more(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent(parties, *THREE)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    runs = RunStore(coordinator.registry.engine)
    for _ in range(MOST_WITHDRAWN):
        with pytest.raises(WaistError, match="RF-W237"):
            go(parties)
        withdraw_release(coordinator, opened, runs, by(ANA))
    with pytest.raises(WaistError, match="RF-W237"):
        go(parties)
    with pytest.raises(WaistError, match="RF-W457"):
        withdraw_release(coordinator, opened, runs, by(ANA))


def test_another_model_than_was_intended_is_not_released(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    silent(parties, "bank")
    with pytest.raises(WaistError, match="RF-W237"):
        go(parties)
    with parties.federation.coordinator.registry.engine.begin() as connection:
        connection.execute(update(RELEASES).values(model="sha256:" + "6b" * 32))
    parties.wire.on_reply = lambda _name, _message, reply: reply
    with pytest.raises(StudyError, match="RF-S463"):
        go(parties)
    assert "model.released" not in actions(parties)


def test_after_an_intent_nothing_further_is_asked_of_rows(tmp_path: Path) -> None:
    """A stop that found no quorum fixed what is released: a later run asks for cosignatures alone."""
    parties = tiny(tmp_path, model={"iterations": 3})

    class Killed(Exception):
        pass

    def die(_name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (header.kind, header.round) == ("round-call", 2):
            raise Killed
        return message

    parties.wire.on_message = die
    with pytest.raises(Killed):
        go(parties)
    parties.wire.on_message = lambda _name, message, _reply: message
    silent(parties, "bank")
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    with pytest.raises(WaistError, match="RF-W237"):
        stop_study(coordinator, opened, parties.wire, RunStore(coordinator.registry.engine))
    parties.wire.on_reply = lambda _name, _message, reply: reply
    sent = len(parties.wire.sent)
    assert go(parties).unfinished != ""
    assert {read_header(m).kind for _, m, _ in parties.wire.sent[sent:]} == {"witness-call", "finish"}
