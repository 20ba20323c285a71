"""Sums that outlive drop-outs: whose keys, shares and signatures are believed, and how few are too few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties
from kits.reply_kit import events, message_of, rewrite, sealed_like, tiny

from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import (
    ControlMessage,
    Dealt,
    KeyCall,
    RoundCall,
    ShareCall,
    SurvivorsCall,
    Unavailable,
    UnmaskCall,
)
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, EphemeralMessage, ephemeral_message
from ringfence.privacy.secagg.recovery import Revealed
from ringfence.privacy.secagg.survivors import SurvivorsEcho
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import Release, run_study

FIVE = ("agency", "bank", "insurer", "partner", "retailer")
OTHERS = tuple(name for name in FIVE if name != "bank")
STEPS = ("round.opened", "aggregate.received", "attempt.voided", "reply.refused", "share.misfit")


def five(folder: Path) -> Parties:
    """Four of five are needed in every step."""
    return tiny(folder, names=FIVE, privacy={"min_holders": 4, "dropouts": "recover"})


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def calls(parties: Parties, kind: str, turn: tuple[int, int] = (0, 0)) -> list[tuple[str, bytes]]:
    headers = [(name, message, read_header(message)) for name, message, _ in parties.wire.sent]
    return [(name, message) for name, message, h in headers if (h.kind, h.round, h.attempt) == (kind, *turn)]


def test_a_run_in_which_nothing_fails(tmp_path: Path) -> None:
    parties = five(tmp_path)
    opened = parties.federation.opened
    release = run(parties)
    assert (release.attempts, release.holders, release.absent) == ((1, 1), FIVE, ())
    study, every = f"study:{opened.digest}", list(FIVE)
    expected: list[Any] = []
    for number in (0, 1):
        turn = (number, 0)
        kinds = ("key-call", "share-call", "round-call", "survivors-call", "unmask-call")
        assert [[name for name, _ in calls(parties, kind, turn)] for kind in kinds] == [every] * 5
        keys = [message_of(parties, KeyCall, m) for _, m in calls(parties, "key-call", turn)]
        assert keys == [KeyCall(number=number, round=number, attempt=0)] * 5
        shares = [message_of(parties, ShareCall, m) for _, m in calls(parties, "share-call", turn)]
        assert {(e.number, e.round, e.attempt) for e in shares} == {(number, number, 0)}
        assert [member.holder for member in shares[0].members] == every
        for name, message in calls(parties, "round-call", turn):
            call = message_of(parties, RoundCall, message)
            assert (call.number, [echo.holder for echo in call.echoes]) == (number, every)
            assert [box.recipient for box in call.boxes] == [name] * 4
            assert [box.sender for box in call.boxes] == [each for each in FIVE if each != name]
        lists = [message_of(parties, SurvivorsCall, m) for _, m in calls(parties, "survivors-call", turn)]
        assert lists == [SurvivorsCall(number=number, survivors=FIVE)] * 5
        for _, message in calls(parties, "unmask-call", turn):
            asked = message_of(parties, UnmaskCall, message)
            assert (asked.number, [echo.holder for echo in asked.echoes]) == (number, every)
        query = call.query.digest().hex()
        public = {"run": opened.run, "round": number, "attempt": 0, "roster": every}
        expected += [
            ("round.opened", "allow", study, public | {"query": query}),
            ("aggregate.received", "allow", study, public | {"combine": "mean"}),
        ]
    assert events(parties.federation.coordinator.log, *STEPS) == expected


KEPT: dict[str, Any] = {}


def kept(message: Any, data: bytes) -> bytes:
    KEPT["agency"] = message
    return data


def keys_of(message: EphemeralMessage, **changes: Any) -> EphemeralKeys:
    fields = {
        "holder": "bank",
        "study": message.study,
        "run": message.run,
        "round": message.round,
        "attempt": message.attempt,
        "number": message.number,
    }
    return EphemeralKeys(**(fields | changes))


def fresh(**changes: Any) -> Callable[[Parties, EphemeralMessage], EphemeralMessage]:
    """Other keys, signed by bank."""
    return lambda parties, message: ephemeral_message(
        parties.federation.keys["bank"].identity, keys_of(message, **changes)
    )


def copied(parties: Parties, message: EphemeralMessage) -> EphemeralMessage:
    keys = keys_of(message)
    keys.public = bytes.fromhex(KEPT["agency"].x25519)
    return ephemeral_message(parties.federation.keys["bank"].identity, keys)


BAD_KEYS: dict[str, tuple[Callable[[Parties, EphemeralMessage], EphemeralMessage], str]] = {
    "another holder's name": (fresh(holder="agency"), "RF-W300"),
    "a copied key": (copied, "RF-W300"),
    "another roster": (fresh(number=7), "RF-W174"),
    "another attempt": (fresh(attempt=3), "RF-W174"),
    "another round": (fresh(round=9), "RF-W174"),
    "another run": (fresh(run="cd" * 16), "RF-W134"),
    "another study": (fresh(study="sha256:" + "e" * 64), "RF-W134"),
    "no signature": (lambda _, message: replace(message, signature="00" * 64), "RF-W136"),
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_keys_that_are_not_believed_leave_their_holder_out(tmp_path: Path, case: str) -> None:
    change, code = BAD_KEYS[case]
    parties = five(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    rules: Any = {
        "agency": kept,
        "bank": lambda message, data: sealed_like(parties, change(parties, message), data),
    }
    rewrite(parties, EphemeralMessage, rules, turn=(0, 0))
    release = run(parties)
    assert release.attempts == (1, 1)
    assert release.holders == FIVE, "it is offered the study before the next round"
    first = events(coordinator.log, "aggregate.received")[0][3]
    assert first["roster"] == list(OTHERS)
    public = {"run": opened.run, "round": 0, "attempt": 0, "holder": "bank", "reasons": [code]}
    # It is offered the study once more in the attempt, and fails again.
    assert [each[3] for each in events(coordinator.log, "reply.refused")] == [public] * 2
    numbers = [message_of(parties, KeyCall, m).number for n, m in calls(parties, "key-call") if n == "agency"]
    assert numbers == [0, 1, 2]
    offers = [n for n, m, _ in parties.wire.sent if read_header(m).kind == "study-offer"]
    assert offers == [*FIVE, "bank", "bank"]


def without_a_box(dealt: Dealt) -> Dealt:
    return replace(dealt, boxes=dealt.boxes[1:])


def twice_to_one(dealt: Dealt) -> Dealt:
    return replace(dealt, boxes=(dealt.boxes[1], *dealt.boxes[1:]))


def from_another(dealt: Dealt) -> Dealt:
    return replace(dealt, boxes=(replace(dealt.boxes[0], sender="partner"), *dealt.boxes[1:]))


def another_roster(dealt: Dealt) -> Dealt:
    return replace(dealt, echo=replace(dealt.echo, roster="sha256:" + "0" * 64))


def another_number(dealt: Dealt) -> Dealt:
    return replace(dealt, echo=replace(dealt.echo, number=8))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (without_a_box, "RF-W300"),
        (twice_to_one, "RF-W300"),
        (from_another, "RF-W300"),
        (another_roster, "RF-W146"),
        (another_number, "RF-W146"),
    ],
)
def test_shares_that_are_not_believed_leave_their_holder_out(
    tmp_path: Path, change: Callable[[Dealt], Dealt], code: str
) -> None:
    parties = five(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    rules: Any = {"bank": lambda dealt, data: sealed_like(parties, change(dealt), data)}
    rewrite(parties, Dealt, rules, turn=(0, 0))
    release = run(parties)
    assert release.attempts == (1, 1)
    assert events(coordinator.log, "aggregate.received")[0][3]["roster"] == list(OTHERS)
    public = {"run": opened.run, "round": 0, "attempt": 0, "holder": "bank", "reasons": [code]}
    assert [each[3] for each in events(coordinator.log, "reply.refused")] == [public] * 2


def test_a_member_that_is_silent_at_the_start_is_asked_to_join_once_more(tmp_path: Path) -> None:
    parties = five(tmp_path)
    seen: list[bytes] = []

    def once(_message: Any, data: bytes) -> bytes:
        seen.append(data)
        return b"" if len(seen) == 1 else data

    rewrite(parties, EphemeralMessage, {"bank": once}, turn=(0, 0))
    assert run(parties).holders == FIVE
    first = events(parties.federation.coordinator.log, "aggregate.received")[0][3]
    assert first["roster"] == list(FIVE)
    assert events(parties.federation.coordinator.log, "reply.refused") == []


def lost(parties: Parties, cls: type[ControlMessage], names: tuple[str, ...]) -> None:
    rules: Any = dict.fromkeys(names, lambda _, data: sealed_like(parties, Unavailable(), data))
    rewrite(parties, cls, rules, turn=(0, 0))


@pytest.mark.parametrize("cls", [SurvivorsEcho, Revealed])
@pytest.mark.parametrize("gone", [1, 2])
def test_one_fewer_than_is_needed_is_too_few(tmp_path: Path, cls: type[ControlMessage], gone: int) -> None:
    parties = five(tmp_path)
    opened = parties.federation.opened
    lost(parties, cls, FIVE[:gone])
    release = run(parties)
    assert release.attempts == ((1, 1) if gone == 1 else (2, 1))
    assert release.holders == FIVE
    public = {"run": opened.run, "round": 0, "attempt": 0, "missing": [], "reasons": ["RF-W204"]}
    found = events(parties.federation.coordinator.log, "attempt.voided", "reply.refused")
    void = ("attempt.voided", "error", f"study:{opened.digest}", public)
    assert found == ([] if gone == 1 else [void])
    if gone == 1 and cls is SurvivorsEcho:
        assert [name for name, _ in calls(parties, "unmask-call")] == list(FIVE[1:])


@pytest.mark.parametrize("gone", [1, 2])
def test_words_that_are_missing_are_recovered_from_and_their_holders_not_asked_to_sign(
    tmp_path: Path, gone: int
) -> None:
    parties = five(tmp_path)

    def silent(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        turn = (header.kind, header.round, header.attempt)
        return b"" if name in FIVE[:gone] and turn == (MessageKind.ROUND_CALL, 0, 0) else reply

    parties.wire.on_reply = silent
    release = run(parties)
    received = [each[3] for each in events(parties.federation.coordinator.log, "aggregate.received")]
    if gone == 1:
        assert release.attempts == (1, 1)
        assert received[0]["roster"] == list(FIVE[1:])
        survivors = message_of(parties, SurvivorsCall, calls(parties, "survivors-call")[0][1]).survivors
        assert survivors == FIVE[1:]
        assert [name for name, _ in calls(parties, "survivors-call")] == list(FIVE[1:])
    else:
        assert release.attempts == (2, 1)
        voided = events(parties.federation.coordinator.log, "attempt.voided")
        assert [(e[3]["missing"], e[3]["reasons"]) for e in voided] == [(list(FIVE[:2]), ["RF-W204"])]
        assert calls(parties, "survivors-call") == []


BAD_ECHOES: dict[str, dict[str, Any]] = {
    "another list": {"survivors": "sha256:" + "0" * 64},
    "another holder": {"holder": "partner"},
}


@pytest.mark.parametrize("case", BAD_ECHOES)
def test_a_list_that_is_not_signed_by_its_survivor_counts_as_silence(tmp_path: Path, case: str) -> None:
    parties = five(tmp_path)
    changed = BAD_ECHOES[case]
    rules: Any = {"bank": lambda echo, data: sealed_like(parties, replace(echo, **changed), data)}
    rewrite(parties, SurvivorsEcho, rules, turn=(0, 0))
    assert run(parties).attempts == (1, 1)
    assert [name for name, _ in calls(parties, "unmask-call")] == list(OTHERS)
    refused = [each[3] for each in events(parties.federation.coordinator.log, "reply.refused")]
    assert [(each["holder"], each["round"], each["attempt"]) for each in refused] == [("bank", 0, 0)]


def test_an_echo_that_another_survivor_signed_counts_as_silence(tmp_path: Path) -> None:
    parties = five(tmp_path)
    rules: Any = {"agency": kept, "bank": lambda _, data: sealed_like(parties, KEPT["agency"], data)}
    rewrite(parties, SurvivorsEcho, rules, turn=(0, 0))
    assert run(parties).attempts == (1, 1)
    assert [name for name, _ in calls(parties, "unmask-call")] == list(OTHERS)


def test_shares_that_were_not_asked_for_are_refused_and_not_used(tmp_path: Path) -> None:
    parties = five(tmp_path)
    rules: Any = {
        "bank": lambda message, data: sealed_like(parties, replace(message, keys=message.seeds[1:2]), data)
    }
    rewrite(parties, Revealed, rules, turn=(0, 0))
    assert run(parties).attempts == (1, 1)
    refused = [each[3] for each in events(parties.federation.coordinator.log, "reply.refused")]
    assert [(each["holder"], each["round"], each["attempt"]) for each in refused] == [("bank", 0, 0)]


def test_shares_that_do_not_fit_are_written_down_with_dealer_and_giver(tmp_path: Path) -> None:
    parties = five(tmp_path)
    opened = parties.federation.opened

    def moved(message: Any, data: bytes) -> bytes:
        first = message.seeds[0].to_json()
        first["value"] = f"{int(first['value'], 16) ^ 1:0{len(first['value'])}x}"
        seeds = [first, *(each.to_json() for each in message.seeds[1:])]
        return sealed_like(parties, Revealed.from_json(message.to_json() | {"seeds": seeds}), data)

    rewrite(parties, Revealed, {"bank": moved}, turn=(0, 0))
    assert run(parties).attempts == (1, 1)
    found = events(parties.federation.coordinator.log, "share.misfit")
    assert len(found) == 1
    assert found[0][1:3] == ("deny", f"study:{opened.digest}")
    assert (found[0][3]["round"], found[0][3]["attempt"]) == (0, 0)
    assert "bank" in found[0][3]["roster"]


def test_too_few_keys_end_the_study(tmp_path: Path) -> None:
    parties = five(tmp_path)
    lost(parties, EphemeralMessage, FIVE[:2])
    with pytest.raises(WaistError, match="RF-W200") as caught:
        run(parties)
    assert caught.value.values["absent"] == "agency, bank"
