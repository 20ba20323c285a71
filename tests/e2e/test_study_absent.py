"""Holders that cannot or must not go on: nobody's consent, another roster than the others', death in
mid-round.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from kits.parties import Parties, federation_of

from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import ControlMessage, RosterCall, RoundCall, decode, seal_message
from ringfence.privacy.secagg.roster import RosterEcho
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, read_header
from ringfence.server.rounds import Release, run_study

FOUR = ("bank", "retailer", "partner", "insurer")
Message = TypeVar("Message", bound=ControlMessage)


def four(folder: Path) -> Parties:
    """Four holders of whom three are enough."""
    return Parties.of(federation_of(folder, names=FOUR, privacy={"min_holders": 3}))


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def opened(parties: Parties, kind: type[Message], data: bytes) -> Message:
    """A message of the coordinator."""
    header = read_header(data)
    expect = Expected(
        kind=MessageKind(header.kind),
        study=header.study,
        run=header.run,
        recipient=header.recipient,
        round=header.round,
        attempt=header.attempt,
    )
    senders = {"coordinator": parties.federation.coordinator.identity.public}
    return decode(kind, open_envelope(data, senders=senders, expect=expect, max_bytes=1 << 24).payload)


def sealed(parties: Parties, message: ControlMessage, like: bytes, recipient: str) -> bytes:
    """Another message under the coordinator's own signature: it is the one that cheats."""
    header = read_header(like)
    return seal_message(
        parties.federation.coordinator.identity,
        message,
        study=header.study,
        run=header.run,
        sender="coordinator",
        recipient=recipient,
        round=header.round,
        attempt=header.attempt,
    )


def withdraw_all(parties: Parties, name: str) -> None:
    keys = [f"{name}-{number}" for number in range(400)]
    parties.holders[name].registry.withdraw(keys, "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC))


def test_without_a_consenting_row_a_holder_stays_away_and_the_others_go_on(tmp_path: Path) -> None:
    """The noise of the count would have to exceed 100; its deviation is below 10, so that never happens."""
    parties = four(tmp_path)
    withdraw_all(parties, "bank")
    release = run(parties)
    assert (release.absent, len(release.holders)) == (("bank",), 3)
    codes = [sentence.partition(":")[0] for sentence in parties.said["bank"]]
    assert codes[0] == "RF-S062"
    # It is asked again before later rounds; the verdict on its cohort stands.
    assert set(codes[1:]) == {"RF-S064"}
    actions = parties.actions("bank")
    assert ("cohort.counted", "deny") in actions
    assert actions[-1] == ("study.refused", "deny")
    assert ("waist.send", "allow") not in actions
    assert parties.holders["bank"].ledger.reservations() == ()
    reasons = [
        each.event.public["reasons"]
        for each in parties.holders["bank"].log.events()
        if each.event.action == "study.refused"
    ]
    assert reasons[0] == ["RF-S062"]


def test_without_a_consenting_row_and_too_few_others_the_study_names_the_absent(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    withdraw_all(parties, "bank")
    with pytest.raises(WaistError, match=r"RF-W200.*absent: bank"):
        run(parties)
    assert ("cohort.counted", "deny") in parties.actions("bank")
    for name in ("retailer", "partner"):
        assert parties.actions(name)[-1] == ("study.finished", "error")
        assert parties.holders[name].ledger.reservations() == ()


def test_a_holder_that_is_shown_another_roster_is_left_out_and_sends_nothing(tmp_path: Path) -> None:
    parties = four(tmp_path)

    def split(name: str, message: bytes, _reply: bytes) -> bytes:
        if name == "bank" and read_header(message).kind == MessageKind.ROSTER_CALL:
            call = opened(parties, RosterCall, message)
            fewer = tuple(member for member in call.members if member.holder != "insurer")
            return sealed(parties, replace(call, members=fewer), message, "bank")
        return message

    parties.wire.on_message = split
    release = run(parties)
    assert release.absent == ("bank",)
    assert ("waist.send", "allow") not in parties.actions("bank")


def test_a_holder_refuses_to_answer_when_another_one_signed_another_roster(tmp_path: Path) -> None:
    parties = four(tmp_path)
    rosters: dict[str, bytes] = {}
    rounds: list[bytes] = []

    def stop(name: str, message: bytes, _reply: bytes) -> bytes:
        if read_header(message).kind == MessageKind.ROSTER_CALL:
            rosters[name] = message
        if name == "bank" and read_header(message).kind == MessageKind.ROUND_CALL:
            rounds.append(message)
            raise KeyboardInterrupt
        return message

    parties.wire.on_message = stop
    with pytest.raises(KeyboardInterrupt):
        run(parties)
    shown = opened(parties, RosterCall, rosters["partner"])
    fewer = tuple(member for member in shown.members if member.holder != "insurer")
    reply = parties.agents["partner"].handle(
        sealed(parties, replace(shown, members=fewer, number=shown.number + 1), rosters["partner"], "partner")
    )
    other = decode(RosterEcho, open_reply(parties, "partner", reply))
    call = opened(parties, RoundCall, rounds[0])
    echoes = tuple(other if echo.holder == "partner" else echo for echo in call.echoes)
    assert echoes != call.echoes
    answer = parties.agents["bank"].handle(sealed(parties, replace(call, echoes=echoes), rounds[0], "bank"))
    assert read_header(answer).kind == MessageKind.UNAVAILABLE
    assert any("RF-W146" in sentence and "partner" in sentence for sentence in parties.said["bank"])
    assert parties.actions("bank")[-1] == ("waist.refused", "deny")
    assert ("waist.send", "allow") not in parties.actions("bank")


def open_reply(parties: Parties, name: str, data: bytes) -> bytes:
    header = read_header(data)
    expect = Expected(
        kind=MessageKind(header.kind),
        study=header.study,
        run=header.run,
        recipient="coordinator",
        round=header.round,
        attempt=header.attempt,
    )
    senders = {name: parties.holders[name].identity.public}
    return open_envelope(data, senders=senders, expect=expect, max_bytes=1 << 24).payload


def test_a_holder_that_dies_in_mid_round_is_absent_and_everybody_pays_the_void_attempt(
    tmp_path: Path,
) -> None:
    parties = four(tmp_path)
    dead: list[bool] = []

    def die(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if name == "insurer" and header.kind == MessageKind.ROUND_CALL and header.round == 1:
            dead.append(True)
        return b"" if name == "insurer" and dead else message

    parties.wire.on_message = die
    release = run(parties)
    plan = parties.federation.opened.plan
    assert release.absent == ("insurer",)
    assert release.attempts == (1, 2, *[1] * (len(plan.rounds) - 2))
    void = plan.rounds[1].mu_squared(plan.honest)
    for name in release.holders:
        charged = float(parties.holders[name].ledger.charged().mu_squared)
        assert charged == pytest.approx(parties.federation.price().mu ** 2 + void, rel=1e-9), name
        assert parties.actions(name)[-1] == ("study.finished", "allow")
    voided = [
        e.event for e in parties.federation.coordinator.log.events() if e.event.action == "attempt.voided"
    ]
    assert [event.public["missing"] for event in voided] == [["insurer"]]
    sent = [action for action, _ in parties.actions("insurer") if action == "waist.send"]
    assert len(sent) == 1, "what it sent before it died"
    assert len(parties.holders["insurer"].ledger.reservations()) == 1, "its own people close it"
