"""A study over letters: whoever carries them reads nothing, forges nothing, and replays nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kits.parties import Parties, federation_of

from ringfence.clients.agent import Agent
from ringfence.clients.letters import MOST_KEYS, LetterBox
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.sealing import PUBLIC_BYTES, SealingKey
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import COORDINATOR, decode, seal_message
from ringfence.privacy.wire.envelope import read_header
from ringfence.privacy.wire.letters import KEY_DAYS, MAGIC, SEALED_BYTES, Greeting, greeting, seal_letter
from ringfence.server.letters import Letters
from ringfence.server.membership import offer
from ringfence.server.records.intents import farewell
from ringfence.server.rounds import Release, run_study


def payload_of(data: bytes) -> bytes:
    """What is in an envelope, read by somebody who verifies nothing."""
    size = int.from_bytes(data[4:8], "big")
    return data[8 + size : -64]


Change = Callable[[str, bytes], bytes]


@dataclass
class Carrier:
    """Carries bytes to the holders' letter boxes; sees all of them, and may change them."""

    boxes: dict[str, LetterBox]
    down: Change = lambda _name, data: data
    up: Change = lambda _name, data: data
    seen: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    tells_silence: bool = False

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        replies = {}
        for name, data in messages.items():
            sent = self.down(name, data)
            reply = self.up(name, self.boxes[name].handle(sent) if sent else b"")
            self.seen.append((name, sent, reply))
            if reply or self.tells_silence:
                replies[name] = reply
        return replies

    def present(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(names) & self.boxes.keys()


@dataclass
class Sealed:
    parties: Parties
    carrier: Carrier
    letters: Letters
    said: list[str]

    @classmethod
    def of(cls, folder: Path, **study: object) -> Sealed:
        parties = Parties.of(federation_of(folder, **study))
        said: list[str] = []
        carrier = Carrier({name: LetterBox(agent=agent) for name, agent in parties.agents.items()})
        letters = Letters(
            carrier=carrier,
            identity=parties.federation.coordinator.identity,
            holders=parties.federation.opened.participants,
            report=said.append,
        )
        return cls(parties, carrier, letters, said)

    def run(self) -> Release:
        federation = self.parties.federation
        return run_study(federation.coordinator, federation.opened, self.letters)


def test_nothing_is_sealed_to_a_holder_after_it_was_revoked(tmp_path: Path) -> None:
    """In the middle of a study, with a key that it greeted with before."""
    here = Sealed.of(tmp_path)
    revoked, after = list[str](), list[str]()

    def down(name: str, data: bytes) -> bytes:
        if revoked:
            after.append(name)
        elif len(here.carrier.seen) == 9:  # greetings, offers and the roster are over
            revoked.append("bank")
        return data

    here.carrier.down = down
    here.letters.let_in = lambda name: name not in revoked
    with pytest.raises(WaistError, match="RF-W200"):
        here.run()
    assert "bank" not in after
    assert {"partner", "retailer"} == set(after)


def test_the_carrier_sees_greetings_and_letters_and_nothing_else(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path)
    release = here.run()
    assert release.holders == ("bank", "partner", "retailer")
    opened = here.parties.federation.opened
    letters = 0
    for _, sent, reply in here.carrier.seen:
        for data in (sent, reply):
            if data[: len(MAGIC)] == MAGIC:
                letters += 1
                assert opened.digest.encode() not in data
                assert opened.run.encode() not in data
                assert b'"kind"' not in data
            else:
                assert read_header(data).kind == "greeting"
    assert letters > 2 * len(opened.plan.rounds) * len(release.holders)


def test_a_study_in_letters_survives_drop_outs_that_are_recovered(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path, privacy={"dropouts": "recover"})
    assert here.run().holders == ("bank", "partner", "retailer")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"\xff" * PUBLIC_BYTES, id="no key of the lattice"),
        pytest.param(SealingKey().public[:-32] + bytes(32), id="a point of low order"),
    ],
)
def test_a_holder_that_greets_with_a_bad_key_is_asked_nothing_and_the_others_go_on(
    tmp_path: Path, key: bytes
) -> None:
    here = Sealed.of(tmp_path, names=("bank", "partner", "retailer", "agency"), privacy={"min_holders": 3})
    bank = here.parties.agents["bank"].holder

    def bad(name: str, data: bytes) -> bytes:
        if name != "bank" or data[: len(MAGIC)] == MAGIC:
            return data
        header = read_header(data)
        said = decode(Greeting, payload_of(data))
        return seal_message(
            bank.identity,
            replace(said, key=key.hex()),
            study=header.study,
            run=header.run,
            sender="bank",
            recipient=COORDINATOR,
        )

    here.carrier.up = bad
    assert here.run().holders == ("agency", "partner", "retailer")
    assert {sentence[:13] for sentence in here.said} == {"bank: RF-K090"}


def test_a_key_that_ends_is_renewed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path)
    days = [0.0]
    here.letters.clock = lambda: datetime.now(UTC) + timedelta(days=days[0])
    for box in here.carrier.boxes.values():
        box.agent = replace(box.agent, holder=replace(box.agent.holder, clock=here.letters.clock))

    def later(name: str, data: bytes) -> bytes:
        days[0] += 1.5 if name == "retailer" else 0.0  # the last of each exchange
        return data

    here.carrier.up = later
    release = here.run()
    assert release.holders == ("bank", "partner", "retailer")
    assert set(release.attempts) == {1}, "no attempt is lost to it"
    assert here.said == []
    assert here.parties.said == {name: [] for name in here.parties.holders}
    greetings = [sent for _, sent, _ in here.carrier.seen if sent[: len(MAGIC)] != MAGIC]
    assert len(greetings) > 2 * 3
    assert days[0] > KEY_DAYS


def test_a_holder_answers_no_letter_once_the_coordinators_key_has_ended(tmp_path: Path) -> None:
    """Its own key would live on; what it answers would be sealed to one that nobody vouches for any more."""
    here = Sealed.of(tmp_path)
    ahead = [timedelta(0)]
    slow = timedelta(minutes=30)  # so that its key ends before theirs
    here.letters.clock = lambda: datetime.now(UTC) - slow
    for box in here.carrier.boxes.values():
        holder = replace(box.agent.holder, clock=lambda: datetime.now(UTC) + ahead[0])
        box.agent = replace(box.agent, holder=holder)

    def later(_name: str, data: bytes) -> bytes:
        if data[: len(MAGIC)] == MAGIC:
            ahead[0] = timedelta(days=KEY_DAYS, minutes=-20)
        return data

    here.carrier.down = later
    with pytest.raises(WaistError, match="RF-W200"):
        here.run()
    for said in here.parties.said.values():
        assert said[0].startswith("RF-W315: ")


def test_nothing_opens_with_keys_that_are_left_after_the_run(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path)
    here.run()
    here.letters.close()
    for box in here.carrier.boxes.values():
        for name, sent, _ in here.carrier.seen:
            if here.carrier.boxes[name] is box and sent[: len(MAGIC)] == MAGIC:
                assert box.handle(sent) == b"", "the holder's keys are gone"


def test_an_offer_that_was_held_back_opens_nothing_once_the_run_is_over(tmp_path: Path) -> None:
    """The holder said that it has no run; a link that brings the offer then must not begin one."""
    here = Sealed.of(tmp_path)
    opened, coordinator = here.parties.federation.opened, here.parties.federation.coordinator
    held = list[bytes]()

    def keeps(name: str, data: bytes) -> bytes:
        if name == "bank" and data[: len(MAGIC)] == MAGIC and not held:
            held.append(data)
            return b""
        return data

    here.carrier.down = keeps
    offer(coordinator, opened, here.letters, names=["bank"])
    assert len(held) == 1
    bank = here.parties.holders["bank"]
    asked = {"study": opened.digest, "run": opened.run, "sender": COORDINATOR, "recipient": "bank"}
    end = seal_message(coordinator.identity, farewell(coordinator, None, None, ()), **asked)
    assert read_header(here.letters.exchange({"bank": end})["bank"]).kind == "no-run"
    assert here.carrier.boxes["bank"].handle(held[0]) == b""
    assert here.parties.said["bank"][-1].startswith("RF-W315")
    assert bank.ledger.reservations() == ()


def test_a_greeting_that_is_replayed_gets_no_answer(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path)
    here.run()
    greetings = [(name, sent) for name, sent, _ in here.carrier.seen if sent[: len(MAGIC)] != MAGIC]
    assert len(greetings) == 3 * 3, "before the offer, before the release and before the farewell"
    for name, sent in greetings:
        assert here.carrier.boxes[name].handle(sent) == b""
    assert sum("RF-W317" in sentence for sentence in here.parties.said["bank"]) == 3


def test_a_letter_that_is_replayed_moves_nothing(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path)

    def twice(name: str, data: bytes) -> bytes:
        if data[: len(MAGIC)] == MAGIC:
            here.carrier.boxes[name].handle(data)
        return data

    here.carrier.down = twice
    assert here.run().holders == ("bank", "partner", "retailer")
    actions = [action for action, _ in here.parties.actions("bank")]
    rounds = len(here.parties.federation.opened.plan.rounds)
    assert actions.count("waist.send") == rounds, "the stored answer is sent again"
    assert actions.count("study.joined") == 1


def test_a_reply_forged_by_another_holder_counts_as_none(tmp_path: Path) -> None:
    """A registered node that answers in another's name knows the coordinator's key: greetings show it."""
    here = Sealed.of(tmp_path)
    coordinator = here.parties.federation.coordinator.identity.public
    shop = here.parties.holders["retailer"].identity

    def forge(name: str, reply: bytes) -> bytes:
        if name == "bank" and reply[: len(MAGIC)] == MAGIC:
            heard = decode(Greeting, payload_of(here.carrier.seen[0][1]))
            return seal_letter(b"bad", identity=shop, recipient=coordinator, key=bytes.fromhex(heard.key))
        return reply

    here.carrier.up = forge
    with pytest.raises(WaistError, match="RF-W200"):
        here.run()
    assert any("RF-W312" in sentence for sentence in here.said)
    refused = [
        e.event.public["holder"]
        for e in here.parties.federation.coordinator.log.events()
        if e.event.action == "reply.refused"
    ]
    assert refused == ["bank"] * len(refused)
    assert refused


def test_a_restarted_holder_is_greeted_again_and_goes_on(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path, names=("bank", "partner", "retailer", "agency"), privacy={"min_holders": 3})
    count = 0

    def restart(name: str, data: bytes) -> bytes:
        nonlocal count
        if name == "bank" and data[: len(MAGIC)] == MAGIC:
            count += 1
            if count == 3:
                here.carrier.boxes[name] = LetterBox(agent=Agent(holder=here.parties.holders[name]))
        return data

    here.carrier.down = restart
    release = here.run()
    assert "bank" in release.holders
    assert here.parties.holders["bank"].ledger.reservations() == ()


@pytest.mark.parametrize("days", [-30, -1, 1])
def test_a_clock_that_is_days_off_is_told_on_one_side_and_nothing_is_spent(tmp_path: Path, days: int) -> None:
    """Whoever finds the other's key to live too long says so: with a day, the side whose clock is behind."""
    here = Sealed.of(tmp_path)
    clock = here.letters.clock
    here.letters.clock = lambda: clock() + timedelta(days=days)
    with pytest.raises(WaistError, match="RF-W200"):
        here.run()
    told = here.said if days == -1 else here.parties.said["bank"]
    assert any("RF-W310" in sentence and "clocks" in sentence for sentence in told)
    assert all(holder.ledger.reservations() == () for holder in here.parties.holders.values())


def test_a_stranger_gets_no_bytes_and_keys_are_bounded(tmp_path: Path) -> None:
    here = Sealed.of(tmp_path)
    box = here.carrier.boxes["bank"]
    own = here.parties.federation.coordinator.identity

    def greet(identity: Identity, number: int) -> bytes:
        message = greeting(SealingKey(), f"{number:064x}", box.agent.holder.clock())
        return box.handle(
            seal_message(
                identity,
                message,
                study=here.parties.federation.opened.digest,
                run=f"{number:032x}",
                sender=COORDINATOR,
                recipient="bank",
            )
        )

    assert greet(Identity.generate("coordinator"), 1) == b""
    for data in (MAGIC + bytes(SEALED_BYTES), b"", b"RFL9" + bytes(SEALED_BYTES)):
        assert box.handle(data) == b""
    key = bytes.fromhex(decode(Greeting, payload_of(greet(own, 2))).key)
    letter = seal_letter(b"x", identity=own, recipient=box.agent.holder.identity.public, key=key)
    assert box.handle(letter) == b""
    assert here.parties.said["bank"][-1].startswith("RF-W111"), "it opens, and holds no message"
    for number in range(3, 3 + MOST_KEYS):
        assert greet(own, number)
    assert box.handle(letter) == b""
    assert here.parties.said["bank"][-1].startswith("RF-W315"), "the oldest key made room"


def test_a_holder_killed_before_its_answer_left_answers_from_its_store(tmp_path: Path) -> None:
    """The link sends the letter again; no attempt is lost, and nothing is charged twice."""
    here = Sealed.of(tmp_path)
    killed = []

    def kill(name: str, data: bytes) -> bytes:
        rounds = [action for action, _ in here.parties.actions(name)].count("waist.send")
        if name == "bank" and rounds == 1 and not killed:
            killed.append(data)
            here.carrier.boxes[name] = LetterBox(agent=Agent(holder=here.parties.holders[name]))
            return b""
        return data

    here.carrier.up = kill
    here.carrier.tells_silence = True
    release = here.run()
    assert killed
    assert release.holders == ("bank", "partner", "retailer")
    assert release.attempts[0] == 1, "the answer that was stored is in the first sum"
    sent = here.parties.holders["bank"].log.events(action="waist.send")
    assert [each.event.public["round"] for each in sent].count(0) == 1, "charged once"
