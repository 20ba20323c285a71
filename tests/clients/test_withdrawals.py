"""A holder witnesses one intent of a run at a time, and another one once the first was withdrawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.asking import Asking
from kits.witness_kit import (
    MODEL,
    ORIGIN,
    OTHER,
    answered,
    ending,
    intended,
    joined,
    proven,
    refused,
    withdrawn,
    witness_call,
)

from ringfence.audit.checkpoint import read_unverified
from ringfence.clients import cosigning
from ringfence.server.records.intents import withdrawals


def test_a_second_intent_of_a_run_is_not_witnessed_even_of_the_same_model(tmp_path: Path) -> None:
    """A coordinator that has two intents witnessed by different holders is refused by whoever saw one."""
    asking = joined(tmp_path)
    first = intended(asking.parties)
    size = answered(asking, witness_call(asking.parties, first)).stands
    second = intended(asking.parties)
    refused(asking, witness_call(asking.parties, second, since=size), "RF-W450")
    # The others were shown the second one alone: what they stated is no proof here.
    others = proven(asking.parties, second)
    refused(asking, ending(asking.parties, proof=others), "RF-W450")
    assert len(list(asking.bank.log.events(action="release.witnessed"))) == 1
    asking.restarted()
    assert answered(asking, witness_call(asking.parties, first, since=size)).cosignature


def test_statements_on_one_intent_are_no_proof_of_another_under_the_same_checkpoint(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    first, second = intended(asking.parties), intended(asking.parties)
    one, two = proven(asking.parties, first), proven(asking.parties, second)
    assert one.checkpoint == two.checkpoint
    mixed = replace(two, cosignatures=one.cosignatures)
    refused(asking, ending(asking.parties, proof=mixed), "RF-K003")
    assert asking.ask(ending(asking.parties, proof=two))[0] == "done"


@pytest.mark.parametrize("kept", [True, False])
def test_killed_between_remembering_and_answering_it_stands_by_the_same_intent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    asking = joined(tmp_path)
    first = intended(asking.parties)
    call = witness_call(asking.parties, first)

    def dies(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target, name = (cosigning, "cosign_body") if kept else (cosigning, "_remembered")
        patch.setattr(target, name, dies)
        with pytest.raises(KeyboardInterrupt):
            asking.ask(call)
    asking.restarted()
    seen = asking.bank.witness.witnessed(asking.parties.federation.opened.run)
    assert [each.event for each in seen] == ([first] if kept else [])
    anchored = asking.bank.log.anchored(ORIGIN)
    assert (anchored is not None) == kept
    second = intended(asking.parties, OTHER)
    since = anchored.size if anchored is not None else 0
    again = witness_call(asking.parties, second, since=since)
    if kept:
        refused(asking, again, "RF-W233")
        assert answered(asking, witness_call(asking.parties, first, since=since)).cosignature
    else:
        assert answered(asking, again).cosignature


def test_after_its_withdrawal_another_intent_is_witnessed_and_the_first_counts_no_more(
    tmp_path: Path,
) -> None:
    asking = joined(tmp_path)
    parties = asking.parties
    first = intended(parties)
    size = answered(asking, witness_call(parties, first)).stands
    proof = proven(parties, first)
    gone = withdrawn(parties, first)
    second = intended(parties, OTHER)
    call = witness_call(parties, second, since=size)
    refused(asking, call, "RF-W233")
    shown = withdrawals(parties.federation.coordinator.log, [gone], gone + 2)
    assert answered(asking, replace(call, withdrawn=shown)).cosignature
    (told,) = asking.bank.log.events(action="withdrawal.witnessed")
    assert told.event.public["model"] == MODEL
    note = asking.bank.log.open_event(told.seq).private.decode()
    assert call.checkpoint.splitlines()[2] in note
    # A quorum for the first one exists, and a dishonest coordinator shows it: it is not believed here.
    refused(asking, ending(parties, proof=proof), "RF-W451")
    call = witness_call(parties, first, since=call_size(asking))
    refused(asking, call, "RF-W451")
    assert asking.ask(ending(parties, OTHER, proof=proven(parties, second)))[0] == "done"


def call_size(asking: Asking) -> int:
    found = asking.bank.log.anchored(ORIGIN)
    assert found is not None
    return found.size


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "release.intended"},
        {"outcome": "deny"},
        {"resource": "study:sha256:" + "11" * 32},
        {"public": {"run": "77" * 16}},
        {"public": {"model": "x"}},
        {"public": {"intent": "sha256:5a"}},
        {"public": {"entry": 10**9}},
    ],
)
def test_only_a_withdrawal_of_this_run_is_taken(tmp_path: Path, wrong: dict[str, Any]) -> None:
    asking = joined(tmp_path)
    parties = asking.parties
    first = intended(parties)
    assert answered(asking, witness_call(parties, first)).cosignature
    gone = withdrawn(parties, first, **wrong)
    end = ending(parties, None)
    size = read_unverified(end.checkpoint.encode()).size
    shown = withdrawals(parties.federation.coordinator.log, [gone], size)
    refused(asking, replace(end, withdrawn=shown), "RF-W453")
    assert not list(asking.bank.log.events(action="withdrawal.witnessed"))


def test_a_withdrawal_that_is_not_in_the_log_is_not_taken(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    first = intended(asking.parties)
    gone = withdrawn(asking.parties, first)
    end = ending(asking.parties, None)
    (shown,) = withdrawals(asking.parties.federation.coordinator.log, [gone], gone + 1)
    forged = replace(shown, leaf=shown.leaf.replace("5a5a", "6b6b"))
    refused(asking, replace(end, withdrawn=(forged,)), "RF-A023")
    assert asking.ask(replace(end, withdrawn=(shown,)))[0] == "done"
