"""The ends of runs: whoever was away hears it later, and a stop that was cut off can be given again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from kits.parties import Boxes, Parties, federation_of

from ringfence.clients.agent import Agent
from ringfence.clients.letters import LetterBox
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import StudyError, WaistError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.protocol.control import Unavailable, seal_message
from ringfence.privacy.wire.envelope import read_header
from ringfence.server import rounds as server_rounds
from ringfence.server.post.ending import owed_ends, say_end
from ringfence.server.records.run_standings import runs_kept
from ringfence.server.records.runs import RunStore
from ringfence.server.release import witnessing
from ringfence.server.release.withdrawing import SignedOff
from ringfence.server.rounds import Release, run_study, stop_study


class Stopped(Exception):
    """The coordinator's process ends here."""


def go(parties: Parties) -> Release:
    """What a coordinator's process does, from its store; a new process has a run id that is not the run's."""
    coordinator = parties.federation.coordinator
    opened = replace(parties.federation.opened, run=secrets.token_hex(16))
    return run_study(coordinator, opened, parties.wire, runs=RunStore(coordinator.registry.engine))


ANA = Identity.generate("approver", simulation=True)
BY_ANA = SignedOff(person=ANA, people=(ANA.public,), reason="the sums were of the wrong month")


def stop(parties: Parties, *, discard: bool = False, signed: SignedOff | None = None) -> Release | None:
    coordinator = parties.federation.coordinator
    runs = RunStore(coordinator.registry.engine)
    return stop_study(
        coordinator, parties.federation.opened, parties.wire, runs, discard=discard, signed=signed
    )


def kill(parties: Parties, kind: str, *, when: str, which: int) -> None:
    """End the coordinator's process at the n-th message of a kind."""
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


@pytest.mark.parametrize("restored", [False, True], ids=["was away", "is another process"])
def test_a_holder_that_was_away_at_the_farewell_hears_the_end_later(tmp_path: Path, restored: bool) -> None:
    """It settles what it reserved as everybody else did, and nothing that was charged comes back."""
    parties = Parties.of(federation_of(tmp_path, customers=150))
    coordinator, bank = parties.federation.coordinator, parties.holders["bank"]

    def away(name: str, message: bytes, _reply: bytes) -> bytes:
        return b"" if (name, read_header(message).kind) == ("bank", "finish") else message

    parties.wire.on_message = away
    release = go(parties)
    heal(parties)
    (owed,) = owed_ends(coordinator.registry.engine)
    assert (set(owed.holders), owed.model) == ({"bank"}, release.digest)
    charged = bank.ledger.charged()
    assert bank.ledger.reservations()
    if restored:
        parties.agents["bank"] = Agent(holder=bank, report=parties.said["bank"].append)
    parties.wire.away = frozenset({"bank"})
    parties.tell_ends()
    assert owed_ends(coordinator.registry.engine) == (owed,), "nobody is there"
    parties.wire.away = frozenset()
    for _ in range(2):
        parties.tell_ends()
    assert owed_ends(coordinator.registry.engine) == ()
    assert (bank.ledger.reservations(), bank.ledger.charged()) == ((), charged)
    finished = [each.event for each in bank.log.events(action="study.finished")]
    assert [(each.outcome, each.public["model"]) for each in finished] == [("allow", release.digest)]
    assert parties.said["bank"] == []


def test_an_end_that_is_answered_wrongly_is_said_again(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))
    coordinator, said = parties.federation.coordinator, list[str]()
    kill(parties, "finish", when="before", which=1)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    parties.wire.away = frozenset({"bank"})
    go(parties)
    (owed,) = owed_ends(coordinator.registry.engine)
    bank = parties.holders["bank"]
    nothing = seal_message(
        bank.identity,
        Unavailable(),
        study=owed.study,
        run=owed.run,
        sender="bank",
        recipient="coordinator",
    )
    box = LetterBox(agent=parties.agents["bank"], answering=lambda _data: nothing)
    say_end(coordinator, owed, Boxes({"bank": box}), said.append)
    assert [each.split(" ")[:2] for each in said] == [["bank:", "RF-W481:"]]
    assert owed_ends(coordinator.registry.engine) == (owed,)
    assert bank.ledger.reservations()


def test_a_holder_whose_join_was_lost_is_told_the_end_after_a_restart_of_the_coordinator(
    tmp_path: Path,
) -> None:
    """It joined and reserved, and nobody but itself knows."""
    parties = with_agency(tmp_path)
    agency, coordinator = parties.holders["agency"], parties.federation.coordinator

    def lost(name: str, message: bytes, reply: bytes) -> bytes:
        return b"" if (name, read_header(message).kind) == ("agency", "study-offer") else reply

    kill(parties, "finish", when="before", which=1)
    parties.wire.on_reply = lost
    with pytest.raises(Stopped):
        go(parties)
    assert agency.ledger.reservations()
    heal(parties)
    parties.wire.away = frozenset({"agency"})
    go(parties)
    parties.wire.away = frozenset()
    parties.tell_ends()
    assert agency.ledger.reservations() == ()
    assert owed_ends(coordinator.registry.engine) == ()


FOUR = ("agency", "bank", "partner", "retailer")


def with_agency(folder: Path) -> Parties:
    """Four holders, of which one may stay away."""
    return Parties.of(federation_of(folder, names=FOUR, customers=150, privacy={"min_holders": 3}))


@pytest.mark.parametrize("answer", ["was lost", "was that it cannot"])
def test_a_frozen_holder_whose_join_is_not_known_is_told_the_end_until_it_can_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """It reserved, its ledger is frozen at the end, and it says that it cannot answer: that is no end."""
    parties = with_agency(tmp_path)
    agency, coordinator = parties.holders["agency"], parties.federation.coordinator
    if answer == "was lost":
        parties.wire.on_reply = lambda name, message, reply: (
            b"" if (name, read_header(message).kind) == ("agency", "study-offer") else reply
        )
    else:
        for step in ("release", "commit"):
            whole = getattr(Ledger, step)

            def full(self: Ledger, *given: Any, whole: Any = whole, **more: Any) -> Any:
                if self is agency.ledger:
                    raise OSError("no space left")
                return whole(self, *given, **more)

            monkeypatch.setattr(Ledger, step, full)

    def freeze(_name: str, message: bytes, _reply: bytes) -> bytes:
        if read_header(message).kind == "finish" and not agency.ledger.frozen():
            monkeypatch.undo()
            agency.ledger.freeze("restored")
        return message

    parties.wire.on_message = freeze
    assert go(parties).holders == ("bank", "partner", "retailer")
    heal(parties)
    told = [name for name, message, _ in parties.wire.sent if read_header(message).kind == "finish"]
    assert told == list(FOUR)
    assert agency.ledger.reservations()
    for _ in range(2):
        parties.tell_ends()
        (owed,) = owed_ends(coordinator.registry.engine)
        assert (set(owed.holders), agency.ledger.reservations() == ()) == ({"agency"}, False)
    agency.ledger.thaw(["a", "b"], missing_mu_squared=Decimal(0), reason="nothing is missing")
    parties.tell_ends()
    assert (agency.ledger.reservations(), owed_ends(coordinator.registry.engine)) == ((), ())


def test_whoever_was_offered_a_run_hears_its_end_although_the_coordinator_died_with_the_answers(
    tmp_path: Path,
) -> None:
    """Nobody is known to have joined, and all have reserved."""
    parties = Parties.of(federation_of(tmp_path, customers=150))
    kill(parties, "study-offer", when="after", which=3)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    assert all(holder.ledger.reservations() for holder in parties.holders.values())
    parties.wire.away = frozenset({"bank"})
    assert stop(parties, discard=True) is None
    assert [name for name, each in parties.holders.items() if each.ledger.reservations()] == ["bank"]
    parties.wire.away = frozenset()
    parties.tell_ends()
    assert parties.holders["bank"].ledger.reservations() == ()
    assert owed_ends(parties.federation.coordinator.registry.engine) == ()


def test_a_holder_that_never_joined_is_asked_once_and_left_in_peace(tmp_path: Path) -> None:
    parties = with_agency(tmp_path)
    refusing = replace(parties.holders["agency"], approvals=lambda _digest: ())
    parties.agents["agency"] = Agent(holder=refusing)
    parties.wire.on_reply = lambda name, _message, reply: b"" if name == "agency" else reply
    parties.wire.on_message = lambda name, message, _reply: (
        b"" if (name, read_header(message).kind) == ("agency", "finish") else message
    )
    go(parties)
    (owed,) = owed_ends(parties.federation.coordinator.registry.engine)
    assert (set(owed.holders), owed.joined) == ({"agency"}, {"bank", "partner", "retailer"})
    parties.tell_ends()
    assert owed_ends(parties.federation.coordinator.registry.engine) == ()
    assert refusing.ledger.reservations() == ()


STEPS = {
    "before the intent": (server_rounds, "release_witnessed", "before"),
    "after the intent": (witnessing, "_cosigned", "before"),
    "after they cosigned": (witnessing, "_require_floor", "never"),
    "before the end is told": (server_rounds, "finish", "before"),
    "after the end is told": (server_rounds, "finish", "after"),
}


@pytest.mark.parametrize("discard", [False, True], ids=["with the model", "without it"])
@pytest.mark.parametrize("step", STEPS)
def test_a_stop_that_was_cut_off_is_given_again_and_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, discard: bool
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 6}))
    kill(parties, "round-call", when="before", which=13)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    module, name, when = STEPS[step]
    coordinator = parties.federation.coordinator
    if when == "never":
        kill(parties, "witness-call", when="after", which=3)
    with monkeypatch.context() as patched, suppress(Stopped):
        whole = getattr(module, name)

        def cut(*given: object, **more: object) -> object:
            if when == "after":
                whole(*given, **more)
            raise Stopped

        if when != "never":
            patched.setattr(module, name, cut)
        stop(parties)
    heal(parties)
    decided = [each.state for each in runs_kept(coordinator.registry.engine)] == ["released"]
    if step == "after the end is told":
        with pytest.raises(StudyError, match="RF-S380"):
            stop(parties, discard=discard)
    else:
        if discard and step in {"after the intent", "after they cosigned"}:
            with pytest.raises(WaistError, match="RF-W454"):  # it stands until a person signs
                stop(parties, discard=True)
        release = stop(parties, discard=discard, signed=BY_ANA)
        assert (release is None) == (discard and not decided)
    (ended,) = runs_kept(coordinator.registry.engine)
    assert ended.ended
    assert (ended.state == "released") == (decided or not discard)
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())


def test_a_stop_that_nobody_could_cosign_changes_nothing(tmp_path: Path) -> None:
    """Else the intent would fix the model of that moment, and the rounds to come could not be asked for."""
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 6}))
    kill(parties, "round-call", when="before", which=13)
    with pytest.raises(Stopped):
        go(parties)
    heal(parties)
    coordinator = parties.federation.coordinator
    parties.wire.away = frozenset({"bank"})
    with pytest.raises(WaistError, match="RF-W440"):
        stop(parties)
    assert "release.intended" not in [e.event.action for e in coordinator.log.events()]
    parties.wire.away = frozenset()
    assert go(parties).unfinished == ""
