"""Holders that come late, or come back after rounds without them, take part from then on."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.ledger_support import is_mark_of
from kits.parties import Parties, federation_of

from ringfence.clients.agent import Agent
from ringfence.clients.records.participations import Participation, Participations
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import COORDINATOR, open_message
from ringfence.privacy.protocol.endings import Done
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import Release, run_study

NAMES = ("bank", "partner", "retailer", "agency")


def four(folder: Path, **changes: object) -> Parties:
    model = {"iterations": 6}
    return Parties.of(
        federation_of(
            folder, names=NAMES, customers=200, model=model, **({"privacy": {"min_holders": 3}} | changes)
        )
    )


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def away_during(parties: Parties, name: str, rounds: range) -> None:
    """A holder is not connected while these rounds are asked; -1 is the offer."""

    def on_message(_name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if header.kind == MessageKind.ROUND_CALL:
            parties.wire.away = frozenset({name} if header.round + 1 in rounds else ())
        return message

    parties.wire.on_message = on_message
    if -1 in rounds:
        parties.wire.away = frozenset({name})


def rounds_of(parties: Parties, name: str) -> set[int]:
    return {
        read_header(message).round
        for holder, message, reply in parties.wire.sent
        if holder == name and reply and read_header(message).kind == MessageKind.ROUND_CALL
    }


@pytest.mark.parametrize("dropouts", ["retry", "recover"])
def test_a_late_holder_joins_when_it_is_there(tmp_path: Path, dropouts: str) -> None:
    parties = four(tmp_path, privacy={"min_holders": 3, "dropouts": dropouts})
    away_during(parties, "agency", range(-1, 3))
    release = run(parties)
    assert release.holders == tuple(sorted(NAMES))
    assert release.absent == ()
    assert min(rounds_of(parties, "agency")) == 3
    assert parties.holders["agency"].ledger.reservations() == ()


def test_a_holder_that_was_restarted_comes_back_rounds_later(tmp_path: Path) -> None:
    parties = four(tmp_path)
    away_during(parties, "bank", range(2, 5))

    def restart(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if name == "retailer" and header.kind == MessageKind.ROUND_CALL and header.round == 3:
            parties.wire.inner.agents["bank"] = Agent(holder=parties.holders["bank"])
        return reply

    parties.wire.on_reply = restart
    release = run(parties)
    assert "bank" in release.holders
    assert max(rounds_of(parties, "bank")) == len(parties.federation.opened.plan.rounds) - 1
    assert 3 not in rounds_of(parties, "bank")


def test_a_holder_that_stays_away_of_its_own_is_asked_ever_less_often(tmp_path: Path) -> None:
    parties = four(tmp_path)
    parties.wire.on_reply = lambda name, message, reply: (
        b"" if name == "agency" and read_header(message).kind == MessageKind.STUDY_OFFER else reply
    )
    release = run(parties)
    assert release.absent == ("agency",)
    offers = [
        message
        for name, message, _ in parties.wire.sent
        if name == "agency" and read_header(message).kind == MessageKind.STUDY_OFFER
    ]
    rounds = len(parties.federation.opened.plan.rounds)
    # At the start, before rounds 0, 2, 6, 14 and so on.
    assert len(offers) == 1 + len([due for due in (0, 2, 6, 14, 30) if due < rounds])


def test_nobody_waits_for_a_holder_that_is_not_connected(tmp_path: Path) -> None:
    parties = four(tmp_path)
    away_during(parties, "agency", range(-1, 100))
    run(parties)
    offers = [read_header(message).kind for name, message, _ in parties.wire.sent if name == "agency"]
    assert offers == []


def test_a_holder_restarted_before_the_farewell_ends_the_run_all_the_same(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))

    def restart(name: str, message: bytes, _reply: bytes) -> bytes:
        if read_header(message).kind == MessageKind.FINISH:
            parties.wire.inner.agents[name] = Agent(holder=parties.holders[name])
        return message

    parties.wire.on_message = restart
    run(parties)
    for name, holder in parties.holders.items():
        assert holder.ledger.reservations() == ()
        assert parties.actions(name)[-1] == ("study.finished", "allow")
        assert holder.snapshots.find(parties.federation.opened.digest) is None
    anchored = [e.event.action for e in parties.federation.coordinator.log.events()]
    assert anchored.count("checkpoint.anchored") == 2 * len(parties.holders)


def test_a_farewell_that_is_said_again_is_answered_again_and_changes_nothing(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))
    run(parties)
    name, farewell, _ = parties.wire.sent[-1]
    events, head = parties.actions(name), parties.holders[name].ledger.head()
    reply = parties.agents[name].handle(farewell)
    opened = parties.federation.opened
    _, done = open_message(
        Done,
        reply,
        senders={name: PublicIdentity.from_hex(parties.holders[name].identity.public.hex)},
        study=opened.digest,
        run=opened.run,
        recipient=COORDINATOR,
    )
    assert is_mark_of(parties.holders[name].marks, done.ledger.mark, head)
    assert parties.actions(name) == events
    assert parties.holders[name].ledger.head() == head


def test_a_holder_whose_answer_to_the_offer_was_lost_is_told_the_end(tmp_path: Path) -> None:
    """It may have joined, and its reservation would stay open."""
    parties = Parties.of(federation_of(tmp_path, customers=150))
    parties.wire.on_reply = lambda name, message, reply: (
        b"" if read_header(message).kind == MessageKind.STUDY_OFFER and name == "bank" else reply
    )
    with pytest.raises(WaistError, match="RF-W200"):
        run(parties)
    assert "bank" in {n for n, m, _ in parties.wire.sent if read_header(m).kind == MessageKind.FINISH}
    assert parties.holders["bank"].participations.find(*of_run(parties)) is not None, "it did join"
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())


def of_run(parties: Parties) -> tuple[str, str]:
    return parties.federation.opened.digest, parties.federation.opened.run


def test_a_farewell_closes_what_a_process_reserved_that_did_not_live_to_keep_that_it_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))

    def dies(_self: Participations, known: Participation) -> None:
        del known
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patched:
        patched.setattr(Participations, "joined", dies)
        parties.wire.on_reply = lambda _name, _message, _reply: b""  # nobody lives to answer
        with pytest.raises(WaistError, match="RF-W200"):
            run(parties)
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())
