"""A coordinator that wants both kinds of share: split lists, second lists, replays, strangers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.dropout_kit import FIVE, parties_of, run
from kits.parties import Parties

from ringfence.clients.agent import Agent
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import (
    Dealt,
    KeyCall,
    RosterCall,
    RoundCall,
    ShareCall,
    SurvivorsCall,
    UnmaskCall,
    decode,
    open_message,
    seal_message,
)
from ringfence.privacy.secagg.ephemeral import EphemeralMessage
from ringfence.privacy.secagg.keys import KeyMessage, key_message
from ringfence.privacy.secagg.recovery import Revealed
from ringfence.privacy.secagg.survivors import SurvivorsEcho
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, read_header


class Hostile:
    """The coordinator from the moment when the answers are in, doing as it likes."""

    def __init__(
        self, parties: Parties, at: MessageKind = MessageKind.SURVIVORS_CALL, round_index: int = 0
    ) -> None:
        self.parties = parties
        self.round = round_index
        self.kept: dict[tuple[str, str], bytes] = {}

        def stop(name: str, message: bytes, _reply: bytes) -> bytes:
            header = read_header(message)
            if header.kind == at and header.round == round_index:
                raise KeyboardInterrupt
            self.kept[name, header.kind] = message
            return message

        parties.wire.on_message = stop
        with pytest.raises(KeyboardInterrupt):
            run(parties)
        parties.wire.on_message = lambda _name, message, _reply: message

    def ask(self, name: str, message: Any, **turn: int) -> tuple[str, bytes]:
        """Ask one holder something; kind and bytes of the reply."""
        opened = self.parties.federation.opened
        data = seal_message(
            self.parties.federation.coordinator.identity,
            message,
            study=opened.digest,
            run=opened.run,
            sender="coordinator",
            recipient=name,
            **({"round": self.round, "attempt": 0} | turn),
        )
        reply = self.parties.agents[name].handle(data)
        return read_header(reply).kind, reply

    def read(self, cls: Any, name: str, reply: bytes) -> Any:
        opened = self.parties.federation.opened
        senders = {name: opened.participants[name]}
        return open_message(
            cls,
            reply,
            senders=senders,
            study=opened.digest,
            run=opened.run,
            recipient="coordinator",
            round=self.round,
            attempt=0,
        )[1]

    @property
    def number(self) -> int:
        return next(iter(self.parties.agents["bank"]._runs.values())).fresh.keys.turn[2]  # type: ignore[union-attr]

    def sign(self, name: str, survivors: tuple[str, ...]) -> SurvivorsEcho | None:
        kind, reply = self.ask(name, SurvivorsCall(number=self.number, survivors=survivors))
        return self.read(SurvivorsEcho, name, reply) if kind == "survivors-echo" else None

    def reveal(self, name: str, echoes: list[SurvivorsEcho | None]) -> Revealed | None:
        given = tuple(echo for echo in echoes if echo is not None)
        kind, reply = self.ask(name, UnmaskCall(number=self.number, echoes=given))
        return self.read(Revealed, name, reply) if kind == "revealed" else None

    def refused(self, name: str, code: str) -> bool:
        """The last word of a holder to its own people, and the event in its log."""
        assert self.parties.actions(name)[-1] == ("waist.refused", "deny")
        last = list(self.parties.holders[name].log.events())[-1].event
        return code in self.parties.said[name][-1] and last.public["reasons"] == [code]


def test_both_kinds_of_share_are_never_given_for_one_peer(tmp_path: Path) -> None:
    """First the list with telco on it, and its seed; then the list without, and its key."""
    parties = parties_of(tmp_path)
    hostile = Hostile(parties)
    echoes = [hostile.sign(name, FIVE) for name in FIVE]
    given = {name: hostile.reveal(name, echoes) for name in FIVE}
    assert all(answer is not None and not answer.keys for answer in given.values())
    for name in FIVE[:4]:
        assert hostile.sign(name, FIVE[:4]) is None
        assert hostile.refused(name, "RF-W180")
    # The old signatures ask for the same again, and nothing else.
    assert hostile.reveal("bank", echoes) == given["bank"]


def test_both_kinds_are_refused_after_a_restart_too(tmp_path: Path) -> None:
    """A restarted holder has lost its shares; that it signed is durable, so it signs no second list for the
    attempt.
    """
    parties = parties_of(tmp_path, profile="durable")
    hostile = Hostile(parties)
    assert hostile.sign("bank", FIVE) is not None
    key = next(iter(parties.agents["bank"]._runs.values())).fresh.answered  # type: ignore[union-attr]
    assert key is not None
    number = hostile.number
    parties.holders["bank"].engine.dispose()
    parties.holders["bank"] = parties.federation.holder("bank")
    parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
    kind, _ = hostile.ask("bank", SurvivorsCall(number=number, survivors=FIVE[:4]))
    assert kind == "unavailable"
    assert "has not joined" in parties.said["bank"][-1]
    with pytest.raises(WaistError, match="RF-W180"):
        parties.holders["bank"].attempts.settle(key, "sha256:" + "ab" * 32)


def test_split_lists_give_nobodys_shares(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    hostile = Hostile(parties)
    one, other = FIVE[:4], (*FIVE[:3], "telco")
    first = [hostile.sign(name, one) for name in ("insurer", "retailer")]
    second = [hostile.sign(name, other) for name in ("partner", "telco")]
    assert None not in first + second
    for name, echoes, code in (
        ("insurer", first, "RF-W178"),
        ("telco", second, "RF-W178"),
        ("insurer", [*first, *second], "RF-W178"),
        ("partner", [*second, first[0]], "RF-W178"),
    ):
        assert hostile.reveal(name, echoes) is None
        assert hostile.refused(name, code)
    bank_signed = hostile.sign("bank", one)
    assert bank_signed is not None
    mixed = [*first, bank_signed, second[0]]
    assert hostile.reveal("insurer", mixed) is None
    assert hostile.refused("insurer", "RF-W179")


@pytest.mark.parametrize(
    ("survivors", "code"),
    [
        (FIVE[:3], "RF-W177"),
        (FIVE[1:], "RF-W176"),
        ((*FIVE[:4], "stranger"), "RF-W176"),
        (("bank",), "RF-W177"),
    ],
    ids=["too few", "not itself", "a stranger", "one alone"],
)
def test_lists_that_no_holder_signs(tmp_path: Path, survivors: tuple[str, ...], code: str) -> None:
    hostile = Hostile(parties_of(tmp_path))
    assert hostile.sign("bank", survivors) is None
    assert hostile.refused("bank", code)


def test_shares_before_the_list_and_lists_before_the_answer(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    hostile = Hostile(parties)
    assert hostile.reveal("bank", []) is None
    assert hostile.refused("bank", "RF-W185")
    early = Hostile(parties_of_folder(tmp_path, "early"), at=MessageKind.ROUND_CALL)
    assert early.sign("bank", FIVE) is None
    assert early.refused("bank", "RF-W181")


def parties_of_folder(folder: Path, name: str) -> Parties:
    (folder / name).mkdir()
    return parties_of(folder / name)


def test_nothing_of_another_attempt_is_accepted(tmp_path: Path) -> None:
    """Signatures, boxes and keys of round 0, shown again in round 1."""
    parties = parties_of(tmp_path)
    old: list[SurvivorsEcho] = []
    boxes: dict[str, Dealt] = {}
    opened = parties.federation.opened

    def keep(name: str, _message: bytes, reply: bytes) -> bytes:
        header = read_header(reply)
        arguments: dict[str, Any] = {
            "senders": {name: opened.participants[name]},
            "study": opened.digest,
            "run": opened.run,
            "recipient": "coordinator",
            "round": header.round,
            "attempt": 0,
        }
        if header.kind == "survivors-echo" and header.round == 0:
            old.append(open_message(SurvivorsEcho, reply, **arguments)[1])
        if header.kind == "dealt" and header.round == 0:
            boxes[name] = open_message(Dealt, reply, **arguments)[1]
        return reply

    parties.wire.on_reply = keep
    hostile = Hostile(parties, round_index=1)
    assert len(old) == 5
    new = [hostile.sign(name, FIVE) for name in FIVE]
    assert hostile.reveal("bank", [*new[:3], old[3]]) is None
    assert hostile.refused("bank", "RF-W179")
    assert hostile.reveal("bank", list(old)) is None
    assert hostile.refused("bank", "RF-W179")
    # A call of the attempt before, to the letter.
    for message in (SurvivorsCall(number=0, survivors=FIVE), UnmaskCall(number=0, echoes=tuple(old))):
        kind, _ = hostile.ask("bank", message, round=0)
        assert kind == "unavailable"
        assert hostile.refused("bank", "RF-W065")
    kind, _ = hostile.ask("bank", KeyCall(number=0, round=1, attempt=0))
    assert kind == "unavailable"
    kind, _ = hostile.ask("bank", KeyCall(number=50, round=1, attempt=9), attempt=9)
    assert kind == "unavailable"
    assert "RF-W065" in parties.said["bank"][-1]
    # The boxes of round 0 do not open in round 1; they are not even looked for.
    assert all(answer is not None for answer in (hostile.reveal(name, new) for name in FIVE))


def round_call(hostile: Hostile, name: str) -> RoundCall:
    opened, coordinator = hostile.parties.federation.opened, hostile.parties.federation.coordinator
    expect = Expected(
        kind=MessageKind.ROUND_CALL, study=opened.digest, run=opened.run, recipient=name, round=0, attempt=0
    )
    data = hostile.kept[name, "round-call"]
    senders = {"coordinator": coordinator.identity.public}
    return decode(RoundCall, open_envelope(data, senders=senders, expect=expect, max_bytes=1 << 24).payload)


def test_a_second_roster_under_the_same_attempt_gets_the_stored_words_and_no_shares(tmp_path: Path) -> None:
    """New keys for an attempt that was answered: the old words are under the old keys, and nothing is signed
    for them.
    """
    hostile = Hostile(parties_of(tmp_path))
    call = round_call(hostile, "bank")
    messages, dealt = [], {}
    for name in FIVE:
        kind, reply = hostile.ask(name, KeyCall(number=7, round=0, attempt=0))
        assert kind == "ephemeral-keys"
        messages.append(hostile.read(EphemeralMessage, name, reply))
    for name in FIVE:
        _, reply = hostile.ask(name, ShareCall(number=7, round=0, attempt=0, members=tuple(messages)))
        dealt[name] = hostile.read(Dealt, name, reply)
    boxes = tuple(box for each in dealt.values() for box in each.boxes if box.recipient == "bank")
    again = RoundCall(
        number=7, echoes=tuple(dealt[name].echo for name in FIVE), query=call.query, boxes=boxes
    )
    before = next(
        reply
        for name, message, reply in reversed(hostile.parties.wire.sent)
        if name == "bank" and read_header(message).kind == "round-call"
    )
    assert hostile.ask("bank", again) == ("masked-update", before)
    kind, _ = hostile.ask("bank", SurvivorsCall(number=7, survivors=FIVE))
    assert kind == "unavailable"
    assert hostile.refused("bank", "RF-W181")


def test_a_roster_is_shown_once_and_shares_are_dealt_once(tmp_path: Path) -> None:
    hostile = Hostile(parties_of(tmp_path), at=MessageKind.ROUND_CALL)
    fresh = next(iter(hostile.parties.agents["bank"]._runs.values())).fresh
    assert fresh is not None
    assert fresh.roster is not None
    members = tuple(member for member in fresh.roster.members if isinstance(member, EphemeralMessage))
    call = ShareCall(number=hostile.number, round=0, attempt=0, members=members)
    kind, first = hostile.ask("bank", call)
    assert (kind, hostile.ask("bank", call)) == ("dealt", ("dealt", first)), "sent again, answered again"
    assert hostile.ask("bank", replace(call, members=members[::-1]))[0] == "unavailable"
    assert "RF-W065" in hostile.parties.said["bank"][-1]


def test_the_steps_of_the_other_way_to_sum_are_refused(tmp_path: Path) -> None:
    recover = Hostile(parties_of_folder(tmp_path, "one"))
    run_of = next(iter(recover.parties.agents["bank"]._runs.values()))
    keys = tuple(_key_of(recover, name) for name in FIVE)
    assert run_of.roster is None
    assert recover.ask("bank", RosterCall(number=0, round=0, attempt=0, members=keys))[0] == "unavailable"
    assert "RF-W067" in recover.parties.said["bank"][-1]
    (tmp_path / "two").mkdir()
    retry = Hostile(parties_of(tmp_path / "two", dropouts="retry"), at=MessageKind.ROUND_CALL)
    for message in (
        KeyCall(number=1, round=0, attempt=0),
        SurvivorsCall(number=0, survivors=FIVE),
        UnmaskCall(number=0, echoes=()),
    ):
        assert retry.ask("bank", message)[0] == "unavailable"
        assert "RF-W067" in retry.parties.said["bank"][-1]


def _key_of(hostile: Hostile, name: str) -> KeyMessage:
    run_of = next(iter(hostile.parties.agents[name]._runs.values()))
    return key_message(hostile.parties.federation.keys[name].identity, run_of.keys)
