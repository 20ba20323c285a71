"""What a holder answers to single messages: rounds, attempts, repeats, limits, and events of refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.asking import Asking

from ringfence.audit.log import AuditLog
from ringfence.clients import agent as agents
from ringfence.clients.agent import MOST_RUNS, Agent
from ringfence.clients.records.offers import MOST_REFUSALS
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.protocol.control import (
    MAX_MESSAGE,
    Join,
    KeyCall,
    RosterCall,
    RoundCall,
    ShareCall,
    StudyOffer,
    SurvivorsCall,
    Unavailable,
    UnmaskCall,
    seal_message,
)
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.waist import Query
from ringfence.privacy.wire.envelope import MessageKind

STUDY_OFFER, ROSTER_CALL, ROUND_CALL = (
    MessageKind.STUDY_OFFER,
    MessageKind.ROSTER_CALL,
    MessageKind.ROUND_CALL,
)


def test_the_last_attempt_of_the_plan_is_answered_and_none_beyond_it(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call, most = asking.call(), asking.parties.federation.opened.plan.max_attempts
    assert asking.ask(call, attempt=most)[0] == "unavailable"
    asking.refused("RF-W065", "waist.refused", attempt=most)
    assert asking.ask(call, attempt=most - 1)[0] == "masked-update"
    assert asking.charges() == [(-1, 0), (0, most - 1)]
    assert asking.ask(call, attempt=most - 2)[0] == "unavailable"
    asking.refused("RF-W163", "waist.refused", attempt=most - 2)


def test_a_query_of_another_round_than_its_envelope_is_not_answered(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    assert asking.ask(call, round=1)[0] == "unavailable"
    asking.refused("RF-W065", "waist.refused", round=1)
    assert asking.charges() == [(-1, 0)]


def test_a_repeat_gets_the_same_bytes_and_another_query_none(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    first, charged = asking.ask(call), asking.bank.ledger.head()
    size = asking.bank.log.size
    assert first[0] == "masked-update"
    assert asking.ask(call) == first
    assert (asking.bank.ledger.head(), asking.bank.log.size) == (charged, size), "a repeat is no event"
    other = replace(call, query=replace(call.query, numbers=dict(call.query.numbers) | {"another": 1}))
    assert asking.ask(other)[0] == "unavailable"
    asking.refused("RF-W161", "waist.refused")
    assert asking.bank.ledger.head() == charged
    fresh = asking.ask(call, attempt=1)
    assert fresh[0] == "masked-update"
    assert fresh[1] != first[1]
    assert asking.charges() == [(-1, 0), (0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("query", "code"),
    [({"task": "mlp"}, "RF-S060"), ({"round": 4}, "RF-S060")],
    ids=["another task", "a round too many"],
)
def test_a_round_that_the_study_has_not_is_not_answered(
    tmp_path: Path, query: dict[str, Any], code: str
) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    asked: Query = replace(call.query, **query)
    assert len(asking.parties.federation.opened.plan.rounds) == 4
    assert asking.ask(replace(call, query=asked), round=asked.round)[0] == "unavailable"
    asking.refused(code, "waist.refused", round=asked.round)
    assert asking.charges() == [(-1, 0)]


@pytest.mark.parametrize("other", [{"study": "sha256:" + "e" * 64}, {"run": "e" * 32}], ids=["study", "run"])
def test_an_offer_is_of_the_study_and_run_of_its_envelope(tmp_path: Path, other: dict[str, str]) -> None:
    asking = Asking.of(tmp_path)
    offer = asking.opened(StudyOffer, asking.stopped(STUDY_OFFER))
    assert asking.ask(offer, **other)[0] == "unavailable"
    assert asking.parties.said["bank"][-1].startswith("RF-W065")
    assert asking.parties.actions("bank")[-1] == ("study.refused", "deny")
    assert asking.bank.ledger.entries()[1:] == ()


@pytest.mark.parametrize("turn", [{"round": 1}, {"attempt": 1}])
def test_an_offer_is_of_no_round(tmp_path: Path, turn: dict[str, int]) -> None:
    asking = Asking.of(tmp_path)
    offer = asking.opened(StudyOffer, asking.stopped(STUDY_OFFER))
    assert asking.ask(offer, **turn)[0] == "unavailable"
    asking.refused("RF-W065", "study.refused", **turn)
    assert asking.bank.ledger.entries()[1:] == ()
    assert asking.ask(offer)[0] == "join"


@pytest.mark.parametrize("turn", [{"round": 1}, {"attempt": 1}])
def test_a_roster_is_of_the_turn_of_its_envelope(tmp_path: Path, turn: dict[str, int]) -> None:
    asking = Asking.of(tmp_path)
    roster = asking.opened(RosterCall, asking.stopped(ROSTER_CALL))
    assert asking.ask(roster, **turn)[0] == "unavailable"
    asking.refused("RF-W065", "study.refused", **turn)
    assert asking.ask(roster)[0] == "roster-echo"


def test_refusals_are_events_of_what_was_asked(tmp_path: Path) -> None:
    """A step towards a sum is refused by the waist; an offer or a roster by the study."""
    asking = Asking.of(tmp_path)
    note = asking.parties.federation.coordinator.log.checkpoint().decode()
    query = Query(task="scorecard", round=3)
    asked: list[tuple[Any, str]] = [
        (RosterCall(number=0, round=3, attempt=2, members=()), "study.refused"),
        (KeyCall(number=0, round=3, attempt=2), "study.refused"),
        (ShareCall(number=0, round=3, attempt=2, members=()), "study.refused"),
        (RoundCall(number=0, echoes=(), query=query), "waist.refused"),
        (SurvivorsCall(number=0, survivors=("bank",)), "waist.refused"),
        (UnmaskCall(number=0, echoes=()), "waist.refused"),
    ]
    for message, action in asked:
        assert asking.ask(message, round=3, attempt=2)[0] == "unavailable"
        asking.refused("RF-S063", action, round=3, attempt=2)
    # An end of a run that it does not hold changes nothing, and may be said often.
    before = asking.bank.log.size
    end = Finish(model=None, release=None, checkpoint=note, proof=())
    assert asking.ask(end, round=3, attempt=2)[0] == "no-run"
    assert asking.bank.log.size == before


def test_an_unforeseen_fault_is_an_error_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking.of(tmp_path)

    def fails(*_: Any) -> None:
        raise ZeroDivisionError("row 17")

    monkeypatch.setattr("ringfence.clients.agent.pipeline.admit", fails)
    assert asking.offered() == "unavailable"
    asking.refused("ZeroDivisionError", "study.refused", "error")
    (said,) = asking.parties.said["bank"]
    assert said.startswith("RF-W080: ")
    assert "ZeroDivisionError: row 17" in said


def test_a_refusal_that_cannot_be_logged_is_told_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    record = AuditLog.record

    def fails(self: AuditLog, action: str, *arguments: Any, **rest: Any) -> int:
        sequence = record(self, action, *arguments, **rest)
        if action == "study.refused":
            raise OSError("full")
        return sequence

    monkeypatch.setattr("ringfence.clients.agent.pipeline.admit", lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "record", fails)
        assert asking.offered() == "unavailable"
    assert asking.parties.said["bank"][-1] == "OSError while a refusal was logged"
    assert ("study.refused", "error") not in asking.parties.actions("bank")
    for _ in range(MOST_REFUSALS + 1):
        assert asking.offered() == "unavailable"
    assert asking.parties.said["bank"][-1].startswith("RF-S320"), "it is looked at no more"
    assert asking.parties.actions("bank").count(("study.refused", "error")) == MOST_REFUSALS


def test_refusals_are_counted_for_each_run_and_for_so_many_runs(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = RosterCall(number=0, round=0, attempt=0, members=())
    for run in ("a" * 32, "b" * 32):
        before = asking.bank.log.size
        for _ in range(MOST_REFUSALS + 2):
            assert asking.ask(call, run=run)[0] == "unavailable"
        assert asking.bank.log.size == before + MOST_REFUSALS
    counts = asking.agent._refusals
    counts.update({(asking.study, f"{i:032x}"): 1 for i in range(MOST_RUNS * MOST_REFUSALS - 3)})
    assert len(counts) == MOST_RUNS * MOST_REFUSALS - 1 == 511
    for run, recorded in (("c" * 32, True), ("d" * 32, False), ("c" * 32, True)):
        before = asking.bank.log.size
        asking.ask(call, run=run)
        assert asking.bank.log.size == before + recorded, run


def test_as_many_studies_as_a_holder_takes_part_in_at_once(tmp_path: Path) -> None:
    assert MOST_RUNS == 8
    asking = Asking.of(tmp_path)
    for number in range(MOST_RUNS):
        asking.agent._runs[asking.study, f"{number:032x}"] = None  # type: ignore[assignment]
    assert asking.offered() == "unavailable"
    asking.refused("RF-S065", "study.refused")
    assert asking.bank.ledger.entries()[1:] == ()
    del asking.agent._runs[asking.study, "0" * 32]
    assert asking.offered() == "join"


def test_what_is_larger_than_any_message_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking.of(tmp_path)
    message = asking.stopped(STUDY_OFFER)
    monkeypatch.setattr(agents, "MAX_MESSAGE", len(message) - 1)
    assert asking.agent.handle(message) == b""
    monkeypatch.setattr(agents, "MAX_MESSAGE", len(message))
    assert asking.agent.handle(message) != b""
    assert MAX_MESSAGE > 1 << 22


@pytest.mark.parametrize("message", [Unavailable(), None])
def test_what_holders_are_not_asked_gets_no_answer_and_no_event(tmp_path: Path, message: Any) -> None:
    asking = Asking.of(tmp_path)
    if message is None:
        asking.offered()
        message = asking.read(Join, asking.parties.wire.sent[-1][2])
    size = asking.bank.log.size
    assert asking.agent.handle(asking.seal(message)) == b""
    assert asking.bank.log.size == size
    assert len(asking.parties.said["bank"]) == 1


def test_who_is_not_the_coordinator_or_asks_another_holder_gets_no_answer(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer = asking.opened(StudyOffer, asking.stopped(STUDY_OFFER))
    size = asking.bank.log.size
    for changes in ({"recipient": "retailer"}, {"sender": "retailer"}):
        assert asking.agent.handle(asking.seal(offer, **changes)) == b""
    opened, stranger = asking.parties.federation.opened, Identity.generate("coordinator", simulation=True)
    forged = seal_message(
        stranger, offer, study=opened.digest, run=opened.run, sender="coordinator", recipient="bank"
    )
    assert asking.agent.handle(forged) == b""
    assert asking.bank.log.size == size
    assert all(sentence.startswith("RF-") for sentence in asking.parties.said["bank"])
    assert len(asking.parties.said["bank"]) == 3


def test_a_fault_before_the_sender_is_known_is_told_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    size = asking.bank.log.size

    def fails(_: bytes) -> None:
        raise ZeroDivisionError("a text of theirs")

    monkeypatch.setattr(agents, "read_header", fails)
    assert asking.agent.handle(b"anything") == b""
    assert asking.parties.said["bank"] == ["ZeroDivisionError"]
    assert asking.bank.log.size == size


def test_people_who_cannot_be_told_stop_nothing(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)

    def fails(_: str) -> None:
        raise OSError("no terminal")

    agent = Agent(holder=asking.bank, report=fails)
    assert agent.handle(b"anything") == b""
    silent = Agent(holder=asking.bank)
    assert silent.handle(b"anything") == b""
