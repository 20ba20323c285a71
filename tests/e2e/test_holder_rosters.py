"""Rosters as a holder signs and serves them: numbers grow, the last one counts, signatures are verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.asking import FIVE, Asking

from ringfence.clients import runs
from ringfence.clients.recover_steps import Fresh
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import (
    Dealt,
    KeyCall,
    RosterCall,
    ShareCall,
    SurvivorsCall,
    UnmaskCall,
)
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, EphemeralMessage
from ringfence.privacy.secagg.keys import SessionKeys
from ringfence.privacy.secagg.roster import RosterEcho, roster_hash
from ringfence.privacy.wire.envelope import MessageKind, read_header


def roster_call(asking: Asking) -> RosterCall:
    found: RosterCall = asking.opened(RosterCall, asking.stopped(MessageKind.ROSTER_CALL))
    return found


def test_a_roster_is_signed_as_it_was_shown_and_numbers_grow(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = roster_call(asking)
    for number, answered in ((0, True), (3, True), (2, False), (3, False), (0, False), (4, True)):
        kind, reply = asking.ask(replace(call, number=number))
        assert kind == ("roster-echo" if answered else "unavailable"), number
        if answered:
            echo: RosterEcho = asking.read(RosterEcho, reply)
            run = asking.parties.federation.opened.run
            digest = roster_hash(call.members, study=asking.study, run=run, number=number)
            assert (echo.holder, echo.number, echo.roster) == ("bank", number, digest)
        else:
            asking.refused("RF-W065", "study.refused")
            assert asking.run.roster is not None
            assert asking.run.roster.number == 3


def test_only_the_very_last_step_is_answered_again_byte_for_byte(tmp_path: Path) -> None:
    """What carries messages may lose an answer; another step in between, refused or not, ends that."""
    asking = Asking.of(tmp_path)
    call = roster_call(asking)
    first, size = asking.ask(call), asking.bank.log.size
    assert first[0] == "roster-echo"
    assert asking.ask(call) == asking.ask(call) == first
    assert asking.bank.log.size == size
    later = replace(call, number=1)
    assert asking.ask(later)[0] == "roster-echo"
    assert asking.ask(call)[0] == "unavailable"
    asking.refused("RF-W065", "study.refused")
    assert asking.ask(later)[0] == "unavailable"
    asking.refused("RF-W065", "study.refused")
    size = asking.bank.log.size
    assert asking.ask(later)[0] == "unavailable"
    assert asking.bank.log.size == size + 1, "a refusal is not kept"


def test_the_last_step_is_remembered_run_by_run_and_for_steps_alone(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path, recover=True)
    keys: KeyCall = asking.opened(KeyCall, asking.stopped(MessageKind.KEY_CALL))
    made = asking.ask(keys)
    assert made[0] == "ephemeral-keys"
    # An offer of the run is no step of it, and changes nothing for the step before it.
    assert asking.offered() == "join"
    assert asking.ask(keys) == made
    asking.restarted()
    assert asking.ask(keys)[0] == "unavailable"
    asking.refused("RF-S063", "study.refused")
    assert asking.offered() == "join"
    fresh = asking.ask(keys)
    assert fresh[0] == "ephemeral-keys"
    assert fresh[1] != made[1], "the keys before were in the process that is gone"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (MessageKind.KEY_CALL, "ephemeral-keys"),
        (MessageKind.SHARE_CALL, "dealt"),
        (MessageKind.SURVIVORS_CALL, "survivors-echo"),
        (MessageKind.UNMASK_CALL, "revealed"),
    ],
)
def test_each_step_of_an_attempt_is_answered_again(tmp_path: Path, kind: MessageKind, answer: str) -> None:
    asking, message = recovering(tmp_path, kind)
    first = asking.agent.handle(message)
    assert read_header(first).kind == answer
    size = asking.bank.log.size
    assert asking.agent.handle(message) == first
    assert asking.bank.log.size == size


def test_a_query_names_the_roster_that_was_signed_last(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    assert asking.ask(replace(call, number=1))[0] == "unavailable"
    asking.refused("RF-W065", "waist.refused")
    members = asking.run.roster
    assert members is not None
    renewed = RosterCall(number=1, round=0, attempt=0, members=tuple(members.members))
    assert asking.ask(renewed)[0] == "roster-echo"
    assert asking.ask(call)[0] == "unavailable"
    asking.refused("RF-W065", "waist.refused")
    assert asking.ask(replace(call, number=1))[0] == "unavailable"
    asking.refused("RF-W146", "waist.refused")
    assert asking.charges() == [(-1, 0)]


def test_a_query_before_any_roster_is_not_answered(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    other = Asking.of(tmp_path_of(tmp_path))
    assert other.offered() == "join"
    for number in (0, 1):
        assert other.ask(replace(call, number=number))[0] == "unavailable"
        other.refused("RF-W065", "waist.refused")


def tmp_path_of(folder: Path) -> Path:
    other = folder / "other"
    other.mkdir()
    return other


def test_signatures_are_verified_once_for_a_roster_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    call, verified = asking.call(), list[int]()
    verify = runs.verify_echoes

    def counted(roster: Any, echoes: Any) -> Any:
        verified.append(roster.number)
        return verify(roster, echoes)

    monkeypatch.setattr(runs, "verify_echoes", counted)
    assert asking.ask(call)[0] == "masked-update"
    assert asking.ask(call, attempt=1)[0] == "masked-update"
    assert verified == [0]
    for echoes in (call.echoes[:-1], (*call.echoes, call.echoes[0])):
        assert asking.ask(replace(call, echoes=echoes), attempt=1)[0] == "unavailable"
        asking.refused("RF-W145", "waist.refused", attempt=1)
    assert verified == [0] * 3


def test_what_the_bank_signs_is_what_its_study_and_its_contract_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    call, seen = roster_call(asking), list[dict[str, Any]]()
    verify = runs.verify_roster

    def noted(members: Any, **rest: Any) -> Any:
        seen.append(rest)
        return verify(members, **rest)

    monkeypatch.setattr(runs, "verify_roster", noted)
    assert asking.ask(call)[0] == "roster-echo"
    (rest,) = seen
    opened = asking.parties.federation.opened
    assert rest["participants"] == opened.participants
    assert rest["vouched"] == asking.run.joined.admitted.obligations.vouched
    assert rest["terms"].min_holders == opened.study.privacy.min_holders
    assert rest["own"].x25519 == asking.run.keys.public.hex()


def recovering(folder: Path, kind: MessageKind) -> tuple[Asking, bytes]:
    asking = Asking.of(folder, recover=True)
    return asking, asking.stopped(kind)


def test_keys_of_an_attempt_are_of_its_turn_and_those_before_are_gone(tmp_path: Path) -> None:
    asking, message = recovering(tmp_path, MessageKind.KEY_CALL)
    call: KeyCall = asking.opened(KeyCall, message)
    most = asking.parties.federation.opened.plan.max_attempts
    assert (call.number, call.round, call.attempt) == (0, 0, 0)
    for turn in ({"round": 1}, {"attempt": 1}):
        assert asking.ask(call, **turn)[0] == "unavailable"
        asking.refused("RF-W065", "study.refused", **turn)
    assert asking.ask(KeyCall(number=0, round=0, attempt=most), attempt=most)[0] == "unavailable"
    asking.refused("RF-W065", "study.refused", attempt=most)
    before: EphemeralKeys | None = None
    for number, attempt in ((0, 0), (1, 0), (5, most - 1)):
        kind, reply = asking.ask(KeyCall(number=number, round=0, attempt=attempt), attempt=attempt)
        assert kind == "ephemeral-keys"
        message_: EphemeralMessage = asking.read(EphemeralMessage, reply, attempt=attempt)
        fresh = asking.run.fresh
        assert fresh is not None
        assert fresh.keys.turn == (0, attempt, number)
        assert message_ == fresh.message
        assert (message_.holder, message_.turn) == ("bank", (0, attempt, number))
        if before is not None:
            with pytest.raises(WaistError, match="RF-W130"):
                before.exchange(SessionKeys(holder="x", study=asking.study, run="ab" * 16).public)
        before = fresh.keys
    for number in (5, 4):
        assert asking.ask(KeyCall(number=number, round=0, attempt=0))[0] == "unavailable"
        asking.refused("RF-W065", "study.refused")
    assert asking.run.fresh is not None
    assert asking.run.fresh.keys is before


def test_shares_are_dealt_for_the_roster_of_its_keys_and_once(tmp_path: Path) -> None:
    asking, message = recovering(tmp_path, MessageKind.SHARE_CALL)
    call: ShareCall = asking.opened(ShareCall, message)
    for changes in ({"number": 1}, {"round": 1}, {"attempt": 1}):
        turn = {name: value for name, value in changes.items() if name != "number"}
        assert asking.ask(replace(call, **changes), **turn)[0] == "unavailable"
        asking.refused("RF-W065", "study.refused", **turn)
    for turn in ({"round": 1}, {"attempt": 1}):
        assert asking.ask(call, **turn)[0] == "unavailable"
        asking.refused("RF-W065", "study.refused", **turn)
    kind, reply = asking.ask(call)
    assert kind == "dealt"
    dealt: Dealt = asking.read(Dealt, reply)
    fresh = asking.run.fresh
    assert fresh is not None
    assert fresh.roster is not None
    assert (dealt.echo.holder, dealt.echo.roster) == ("bank", fresh.roster.digest)
    assert fresh.dealt is not None
    assert dealt.boxes == fresh.dealt.boxes
    assert {box.recipient for box in dealt.boxes} == {member.holder for member in fresh.roster.partners}
    assert asking.ask(replace(call, number=1))[0] == "unavailable"
    assert asking.ask(call)[0] == "unavailable"
    asking.refused("RF-W065", "study.refused")


def test_a_step_before_its_keys_is_not_taken(tmp_path: Path) -> None:
    asking, message = recovering(tmp_path, MessageKind.KEY_CALL)
    call: KeyCall = asking.opened(KeyCall, message)
    steps: list[tuple[Any, str]] = [
        (ShareCall(number=0, round=0, attempt=0, members=()), "study.refused"),
        (SurvivorsCall(number=0, survivors=FIVE), "waist.refused"),
        (UnmaskCall(number=0, echoes=()), "waist.refused"),
    ]
    for step, action in steps:
        assert asking.ask(step)[0] == "unavailable"
        asking.refused("RF-W065", action)
    assert asking.ask(call)[0] == "ephemeral-keys"
    for step, action in steps[1:]:
        assert asking.ask(step)[0] == "unavailable"
        asking.refused("RF-W065", action)


@pytest.mark.parametrize("turn", [{"round": 1}, {"attempt": 1}, {"number": 1}])
def test_a_query_is_of_the_attempt_of_its_keys(tmp_path: Path, turn: dict[str, int]) -> None:
    asking = Asking.of(tmp_path, recover=True)
    call = asking.call()
    number, rest = turn.get("number", 0), {name: at for name, at in turn.items() if name != "number"}
    asked = replace(call, number=number, query=replace(call.query, round=rest.get("round", 0)))
    assert asking.ask(asked, **rest)[0] == "unavailable"
    asking.refused("RF-W065", "waist.refused", **rest)
    assert asking.ask(replace(call, boxes=call.boxes[1:]))[0] == "unavailable"
    asking.refused("RF-W182", "waist.refused")
    assert asking.ask(replace(call, echoes=call.echoes[1:]))[0] == "unavailable"
    asking.refused("RF-W145", "waist.refused")
    assert asking.charges() == [(-1, 0)]
    assert asking.ask(call)[0] == "masked-update"
    fresh = asking.run.fresh
    assert fresh is not None
    assert fresh.answered is not None
    assert (fresh.answered.round, fresh.answered.attempt, fresh.answered.run) == (0, 0, fresh.keys.run)
    assert set(fresh.boxes) == {box.sender for box in call.boxes}


def fresh_of(asking: Asking) -> Fresh:
    found = asking.run.fresh
    assert found is not None
    return found


def test_a_list_and_its_shares_are_of_its_attempt_told_once_and_given_again(tmp_path: Path) -> None:
    asking, message = recovering(tmp_path, MessageKind.UNMASK_CALL)
    unmask: UnmaskCall = asking.opened(UnmaskCall, message)
    settle = SurvivorsCall(number=0, survivors=FIVE)
    settled = list(asking.bank.log.events(action="sum.settled"))
    assert len(settled) == 1
    for step in (settle, unmask):
        for changes in ({"number": 1}, {"round": 1}, {"attempt": 1}):
            turn = {name: value for name, value in changes.items() if name != "number"}
            asked = replace(step, number=changes.get("number", 0))
            assert asking.ask(asked, **turn)[0] == "unavailable"
            asking.refused("RF-W065", "waist.refused", **turn)
    size = asking.bank.log.size
    assert asking.ask(settle)[0] == "survivors-echo"
    assert asking.bank.log.size == size, "the same list again is no event"
    first = asking.ask(unmask)
    assert first[0] == "revealed"
    assert fresh_of(asking).revealed is not None
    assert asking.bank.log.size == size + 1
    assert asking.ask(settle)[0] == "survivors-echo"
    assert asking.ask(unmask) == first
    assert asking.bank.log.size == size + 1, "the same shares again are no event"
    asking.run.close()
    with pytest.raises(WaistError, match="RF-W130"):
        fresh_of(asking).keys.exchange(SessionKeys(holder="x", study=asking.study, run="ab" * 16).public)


def test_who_is_missing_from_a_sum_is_told(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path, recover=True)
    asking.parties.wire.on_reply = lambda name, message, reply: (
        b"" if name == "telco" and b"round-call" in message[:400] else reply
    )
    message = asking.stopped(MessageKind.UNMASK_CALL)
    assert asking.agent.handle(message) != b""
    for action in ("sum.settled", "sum.unmasked"):
        (found,) = asking.bank.log.events(action=action)
        assert dict(found.event.public) == {
            "run": asking.parties.federation.opened.run,
            "round": 0,
            "attempt": 0,
            "roster": ["bank", "insurer", "partner", "retailer"],
            "missing": ["telco"],
        }
    asking.parties.wire.on_reply = lambda _name, _message, reply: reply
