"""Number, noise, charge, event and answer of an attempt: in this order, and all or none of the last three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kits.asking import FIVE, Asking
from kits.ledger_support import is_mark_of

from ringfence.audit.log import AuditLog
from ringfence.clients import pipeline
from ringfence.privacy.protocol.control import SurvivorsCall
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope
from ringfence.privacy.wire.heads import verify_head
from ringfence.privacy.wire.payload import decode_update


def breaking(monkeypatch: pytest.MonkeyPatch, step: str) -> pytest.MonkeyPatch:
    """A step of the gate's transaction does its work and then fails."""
    if step == "answer":
        store = AttemptStore.store

        def stored(self: AttemptStore, *arguments: Any, **rest: Any) -> None:
            store(self, *arguments, **rest)
            raise OSError("full")

        monkeypatch.setattr(AttemptStore, "store", stored)
        return monkeypatch
    record = AuditLog.record

    def recorded(self: AuditLog, action: str, *arguments: Any, **rest: Any) -> int:
        sequence = record(self, action, *arguments, **rest)
        if action == "waist.send":
            raise OSError("full")
        return sequence

    monkeypatch.setattr(AuditLog, "record", recorded)
    return monkeypatch


@pytest.mark.parametrize("step", ["event", "answer"])
def test_charge_event_and_answer_stand_or_fall_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    with monkeypatch.context() as patch:
        breaking(patch, step)
        assert asking.ask(call)[0] == "unavailable"
    asking.refused("OSError", "waist.refused", "error")
    assert asking.charges() == [(-1, 0)]
    assert list(asking.bank.log.events(action="waist.send")) == []
    assert asking.ask(call)[0] == "unavailable", "the number was begun, and nothing answers it any more"
    asking.refused("RF-W162", "waist.refused")
    assert asking.ask(call, attempt=1)[0] == "masked-update"
    assert asking.charges() == [(-1, 0), (0, 1)]


def test_a_number_is_used_up_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "contribute", fails)
        assert asking.ask(call)[0] == "unavailable"
    assert asking.ask(call)[0] == "unavailable"
    asking.refused("RF-W162", "waist.refused")
    asking.restarted()
    assert asking.charges() == [(-1, 0)]


def test_what_was_not_sent_was_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list of who answered is signed by a holder whose answer was never stored."""
    asking = Asking.of(tmp_path, recover=True)
    call = asking.call()
    with monkeypatch.context() as patch:
        breaking(patch, "answer")
        assert asking.ask(call)[0] == "unavailable"
    assert asking.ask(SurvivorsCall(number=0, survivors=FIVE))[0] == "unavailable"
    asking.refused("RF-W181", "waist.refused")


def test_an_answer_says_where_the_ledger_stands_once_it_is_charged(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    before = asking.bank.ledger.head().sequence
    kind, reply = asking.ask(call)
    assert kind == "masked-update"
    opened = asking.parties.federation.opened
    expect = Expected(
        kind=MessageKind.MASKED_UPDATE, study=opened.digest, run=opened.run, recipient="coordinator"
    )
    senders = {"bank": opened.participants["bank"]}
    envelope = open_envelope(reply, senders=senders, expect=expect, max_bytes=1 << 20)
    (event,) = asking.bank.log.events(action="waist.send")
    length = int(str(event.event.public["entries"]))
    update, head = decode_update(envelope, length=length, word_bits=32)
    assert (update.holder, update.round, update.attempt) == ("bank", 0, 0)
    newest = asking.bank.ledger.head()
    verify_head(head, asking.bank.identity.public, asking.bank.log.origin)
    assert is_mark_of(asking.bank.marks, head.mark, newest)
    assert newest.sequence == before + 1


def test_a_reservation_that_is_closed_answers_nothing_more(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    asking.bank.ledger.commit(asking.run.joined.reservation)
    assert asking.ask(call)[0] == "unavailable"
    event = list(asking.bank.log.events())[-1].event
    assert (event.action, event.outcome) == ("waist.refused", "deny")
    assert [str(reason)[:4] for reason in event.public["reasons"]] == ["RF-B"]  # type: ignore[union-attr]
    assert asking.charges() == [(-1, 0)]
    assert list(asking.bank.log.events(action="waist.send")) == []
