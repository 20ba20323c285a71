"""A holder as a witness: one log, one history, one release of a run; farewells are believed with proof."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kits.asking import Asking
from kits.witness_kit import (
    MODEL,
    ORIGIN,
    OTHER,
    answered,
    cosigned,
    ending,
    intended,
    joined,
    proven,
    refused,
    stated,
    witness_call,
)

from ringfence.audit.checkpoint import Checkpoint, read_unverified, verify_checkpoint
from ringfence.audit.log import AuditLog
from ringfence.audit.note import Verifier
from ringfence.audit.witness import WitnessKey, check_cosignature
from ringfence.clients import cosigning
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.protocol.control import StudyOffer
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.protocol.releases import Cosigned
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.envelope import MessageKind


def own_log(key: Identity, *resources: str, origin: str = ORIGIN) -> AuditLog:
    """A log of the coordinator, under a key that the test has."""
    log = AuditLog(
        open_store(None),
        origin=origin,
        signer=key,
        organisation="coordinator",
        actor="server",
        profile="simulation",
    )
    for resource in resources:
        log.record("key.created", "allow", resource=resource)
    return log


def with_log(asking: Asking, log: AuditLog) -> int:
    """Write an intent for the run into another log of the coordinator; the event's number."""
    opened = asking.parties.federation.opened
    return log.record(
        "release.intended",
        "allow",
        resource=f"study:{opened.digest}",
        public={"model": MODEL, "run": opened.run, "holders": ["bank"]},
    )


def test_what_is_cosigned_is_anchored_and_an_event(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    call = witness_call(asking.parties, intended(asking.parties))
    said = answered(asking, call)
    shown = read_unverified(call.checkpoint.encode())
    assert said.cosignature is not None
    assert (said.stands, said.cosignature.holder) == (shown.size, "bank")
    key = WitnessKey(name="bank", raw=asking.parties.federation.opened.participants["bank"].raw)
    signature = bytes.fromhex(said.cosignature.signature)
    check_cosignature(shown.body().encode(), key, stamp=said.cosignature.time, signature=signature)
    assert abs(said.cosignature.time - asking.bank.clock().timestamp()) < 3600
    assert asking.bank.log.anchored(ORIGIN) == shown
    event = next(asking.bank.log.events(action="release.witnessed")).event
    assert (event.outcome, event.resource) == ("allow", f"study:{asking.study}")
    assert dict(event.public) == {
        "run": asking.parties.federation.opened.run,
        "model": MODEL,
        "intent": stated(asking.parties, call).leaf,
        "coordinator_log": ORIGIN,
        "size": shown.size,
        "root": shown.root.hex(),
    }


def test_nothing_is_cosigned_that_could_not_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = joined(tmp_path)
    call = witness_call(asking.parties, intended(asking.parties))
    record = AuditLog.record

    def fails(self: AuditLog, action: str, *arguments: object, **rest: object) -> int:
        number = record(self, action, *arguments, **rest)  # type: ignore[arg-type]
        if action == "release.witnessed":
            raise OSError("full")
        return number

    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "record", fails)
        assert asking.ask(call)[0] == "unavailable"
    assert asking.bank.log.anchored(ORIGIN) is None
    other = "sha256:" + "6b" * 32
    assert answered(asking, witness_call(asking.parties, intended(asking.parties, other))).cosignature


def test_a_proof_that_starts_elsewhere_is_answered_with_the_place(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    event = intended(asking.parties)
    call = witness_call(asking.parties, event)
    assert answered(asking, replace(call, since=1)) == Cosigned(stands=0, cosignature=None)
    size = answered(asking, call).stands
    before = asking.parties.actions("bank")
    assert answered(asking, call) == Cosigned(stands=size, cosignature=None)
    assert asking.parties.actions("bank") == before
    asking.parties.federation.coordinator.log.record("key.created", "allow", resource="key:3")
    assert answered(asking, witness_call(asking.parties, event, since=size)).stands == size + 1
    assert answered(asking, witness_call(asking.parties, event, since=size + 1)).cosignature
    for old in (call, replace(call, since=size + 1)):
        assert answered(asking, old) == Cosigned(stands=size + 1, cosignature=None)
    assert not list(asking.bank.log.events(action="witness.refused"))


def test_a_second_history_is_not_cosigned_and_both_are_kept_once(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    key = Identity.generate("log", simulation=True)
    assert asking.ask(replace(offer, log_key=key.public.hex))[0] == "join"
    one, two = own_log(key, "key:1"), own_log(key, "key:2", "key:3")
    first = witness_call(asking.parties, with_log(asking, one), log=one)
    size = answered(asking, first).stands
    event = with_log(asking, two)
    for _ in range(2):
        refused(asking, witness_call(asking.parties, event, since=size, log=two), "RF-W230")
    (found,) = asking.bank.log.events(action="witness.refused")
    assert found.event.resource == f"log:{ORIGIN}"
    kept = asking.bank.log.open_event(found.seq).private.decode()
    import json

    notes = json.loads(kept)
    verifier = Verifier(name=ORIGIN, raw=key.public.raw)
    assert verify_checkpoint(notes["kept"].encode(), [verifier]) == read_unverified(first.checkpoint.encode())
    assert verify_checkpoint(notes["shown"].encode(), [verifier]).size == 3


def test_a_coordinator_has_one_log(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    key, other = (Identity.generate("log", simulation=True) for _ in range(2))
    assert asking.ask(replace(offer, log_key=key.public.hex))[0] == "join"
    log = own_log(key, "key:1")
    assert answered(asking, witness_call(asking.parties, with_log(asking, log), log=log)).cosignature
    second = own_log(key, origin="ringfence.simulation/another")
    refused(asking, witness_call(asking.parties, with_log(asking, second), log=second), "RF-W232")
    assert asking.ask(replace(offer, log_key=other.public.hex))[0] == "unavailable"
    asking.refused("RF-W232", "study.refused")


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "model.released"},
        {"outcome": "deny"},
        {"resource": "study:sha256:" + "11" * 32},
        {"public": {"run": "77" * 16}},
        {"public": {"model": ["x"]}},
    ],
)
def test_only_an_intent_to_release_this_run_is_witnessed(tmp_path: Path, wrong: dict[str, Any]) -> None:
    asking = joined(tmp_path)
    refused(asking, witness_call(asking.parties, intended(asking.parties, **wrong)), "RF-W231")


def test_an_event_that_is_not_in_the_log_is_not_witnessed(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    event = intended(asking.parties)
    call = witness_call(asking.parties, event)
    refused(asking, replace(call, leaf=call.leaf.replace("5a5a", "6b6b")), "RF-A023")
    for elsewhere in (event - 1, event + 7):
        assert asking.ask(replace(call, event=elsewhere))[0] == "unavailable"
        assert asking.parties.said["bank"][-1].startswith("RF-A02")
    assert asking.bank.log.anchored(ORIGIN) is None


def test_of_a_run_one_model_is_witnessed(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    size = answered(asking, witness_call(asking.parties, intended(asking.parties))).stands
    other = intended(asking.parties, "sha256:" + "6b" * 32)
    refused(asking, witness_call(asking.parties, other, since=size), "RF-W233")


def test_a_run_that_was_not_joined_is_not_witnessed(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    refused(asking, witness_call(asking.parties, intended(asking.parties)), "RF-S063")


def test_a_farewell_with_a_model_is_believed_with_its_proof_alone(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    whole = ending(asking.parties)
    assert whole.release is not None
    few = proven(asking.parties, whole.release.event, ["bank", "partner"])
    twice = replace(few, cosignatures=(*few.cosignatures, few.cosignatures[0]))
    renamed = replace(few.cosignatures[0], holder="retailer")
    forged = replace(few, cosignatures=(*few.cosignatures, renamed))
    stranger = replace(few, cosignatures=(*few.cosignatures, replace(renamed, holder="stranger")))
    for message, code in (
        (replace(whole, release=None), "RF-W234"),
        (replace(whole, model="sha256:" + "6b" * 32), "RF-W235"),
        (ending(asking.parties, proof=few), "RF-W236"),
        (ending(asking.parties, proof=twice), "RF-W236"),
        (ending(asking.parties, proof=stranger), "RF-W236"),
        (ending(asking.parties, proof=forged), "RF-A036"),
        (replace(whole, proof=()), "RF-A028"),
    ):
        refused(asking, message, code)
    assert asking.ask(replace(whole, release=replace(whole.release, event=0)))[0] == "unavailable"
    assert asking.parties.said["bank"][-1].startswith("RF-A02")
    assert len(asking.bank.ledger.reservations()) == 1
    assert asking.ask(whole)[0] == "done"
    assert asking.bank.ledger.reservations() == ()


def test_a_farewell_continues_what_was_cosigned(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    event = intended(asking.parties)
    call = witness_call(asking.parties, event)
    assert answered(asking, call).cosignature
    proof = proven(asking.parties, event)
    end = ending(asking.parties, proof=proof)
    assert asking.ask(end)[0] == "done"
    assert asking.bank.log.anchored(ORIGIN) == read_unverified(end.checkpoint.encode())
    assert asking.ask(ending(asking.parties, proof=proof))[0] == "done", "a farewell may be said again"


def test_a_farewell_of_a_second_history_is_refused(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    key = Identity.generate("log", simulation=True)
    assert asking.ask(replace(offer, log_key=key.public.hex))[0] == "join"
    one, two = own_log(key, "key:1"), own_log(key, "key:2")
    assert answered(asking, witness_call(asking.parties, with_log(asking, one), log=one)).cosignature
    call = witness_call(asking.parties, with_log(asking, two), log=two)
    whole = ending(asking.parties)
    assert whole.release is not None
    proof = replace(
        whole.release,
        checkpoint=call.checkpoint,
        cosignatures=cosigned(asking.parties, call),
        event=call.event,
        leaf=call.leaf,
        inclusion=call.inclusion,
    )
    end = Finish(model=MODEL, release=proof, checkpoint=call.checkpoint, proof=())
    assert asking.ask(end)[0] == "unavailable"
    asking.refused("RF-W230", "study.refused")
    assert len(list(asking.bank.log.events(action="witness.refused"))) == 1


def test_fewer_suffice_once_the_waiting_time_has_passed(tmp_path: Path) -> None:
    asking = joined(tmp_path, release={"floor": 2, "wait_hours": 48})
    event = intended(asking.parties)
    proof = proven(asking.parties, event, ["bank", "partner"])
    now = asking.bank.clock()

    def clock(hours: float) -> Any:
        def at() -> datetime:
            return now + timedelta(hours=hours)

        return at

    asking.replaced(clock=clock(46))
    refused(asking, ending(asking.parties, proof=proof), "RF-W236")
    asking.replaced(clock=clock(49))
    refused(asking, ending(asking.parties, proof=proven(asking.parties, event, ["bank"])), "RF-W236")
    assert asking.ask(ending(asking.parties, proof=proof))[0] == "done"


def test_a_farewell_names_the_model_that_this_holder_witnessed(tmp_path: Path) -> None:
    """One checkpoint can hold two intents: what was cosigned for one is no proof of the other here."""
    asking = joined(tmp_path)
    first, second = intended(asking.parties), intended(asking.parties, OTHER)
    assert answered(asking, witness_call(asking.parties, first)).cosignature
    end = ending(asking.parties, OTHER, proof=proven(asking.parties, second))
    assert asking.ask(end)[0] == "unavailable"
    asking.refused("RF-W233", "study.refused")
    assert asking.ask(ending(asking.parties, proof=proven(asking.parties, first)))[0] == "done"


def test_a_checkpoint_that_is_cosigned_again_is_no_further_event(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    event = intended(asking.parties)
    size = answered(asking, witness_call(asking.parties, event)).stands
    events = asking.bank.log.size
    for _ in range(3):
        assert answered(asking, witness_call(asking.parties, event, since=size)).cosignature
    assert asking.bank.log.size == events


def test_a_run_s_release_is_cosigned_so_often_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = joined(tmp_path)
    monkeypatch.setattr(cosigning, "MOST_WITNESSED", 2)
    event, size = intended(asking.parties), 0
    for number in range(2):
        size = answered(asking, witness_call(asking.parties, event, since=size)).stands
        asking.parties.federation.coordinator.log.record("key.created", "allow", resource=f"key:{number}")
    refused(asking, witness_call(asking.parties, event, since=size), "RF-W241")


def test_a_run_that_ended_is_not_cosigned_further(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    assert asking.ask(ending(asking.parties, None))[0] == "done"
    refused(asking, witness_call(asking.parties, intended(asking.parties)), "RF-W241")


@pytest.mark.parametrize(("days", "witnesses"), [(-3, False), (-3, True), (3, True)])
def test_a_coordinator_s_clock_makes_no_waiting_time_shorter_or_longer(
    tmp_path: Path, days: int, witnesses: bool
) -> None:
    asking = joined(tmp_path, release={"floor": 2, "wait_hours": 48})
    log, now = asking.parties.federation.coordinator.log, asking.bank.clock()
    log._clock = lambda: now + timedelta(days=days)
    event = intended(asking.parties)
    if witnesses:
        assert answered(asking, witness_call(asking.parties, event)).cosignature
    proof = proven(asking.parties, event, ["bank", "partner"])
    asking.replaced(clock=lambda: now + timedelta(hours=46))
    assert asking.ask(ending(asking.parties, proof=proof))[0] == "unavailable"
    asking.refused("RF-W236", "study.refused")
    asking.replaced(clock=lambda: now + timedelta(hours=47.5))  # clocks of parties may differ by an hour
    assert asking.ask(ending(asking.parties, proof=proof))[0] == "done"


def test_what_was_cosigned_is_signed_by_the_log(tmp_path: Path) -> None:
    asking = joined(tmp_path)
    whole = ending(asking.parties)
    assert whole.release is not None
    text, _, line = whole.release.checkpoint.rpartition(" ")
    swapped = line[:20] + ("B" if line[20] == "A" else "A") + line[21:]
    unsigned = replace(whole.release, checkpoint=f"{text} {swapped}")
    refused(asking, replace(whole, release=unsigned), "RF-A036")


def test_an_intent_is_an_event_of_the_log_that_it_stands_in(tmp_path: Path) -> None:
    """An event that names another log as its source is not that log's intent, though it is in the tree."""
    asking = Asking.of(tmp_path)
    offer: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    key = Identity.generate("log", simulation=True)
    assert asking.ask(replace(offer, log_key=key.public.hex))[0] == "join"
    other = own_log(key, origin="ringfence.simulation/another")
    call = witness_call(asking.parties, with_log(asking, other), log=other)
    shown = read_unverified(call.checkpoint.encode())
    renamed = Checkpoint(origin=ORIGIN, size=shown.size, root=shown.root).sign(key).decode()
    refused(asking, replace(call, checkpoint=renamed), "RF-W231")
