"""A study with somebody hostile in it: forged, replayed and re-used messages, restored disks, faults."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kits.parties import Parties, federation_of

from ringfence.audit.log import AuditLog
from ringfence.clients.agent import Agent
from ringfence.clients.records.offers import MOST_REFUSALS
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import RingfenceError, WaistError
from ringfence.privacy.protocol.control import RosterCall, StudyOffer, seal_message
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.fields import new_nonce
from ringfence.privacy.wire.heads import sign_head
from ringfence.server.rounds import Release, run_study


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def test_a_study_changed_after_signing_is_refused(tmp_path: Path) -> None:
    federation = federation_of(tmp_path)
    body = json.loads(federation.opened.document.body)
    body["privacy"]["epsilon"] = "0.1"
    forged = replace(
        federation.opened.document, body=json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    )
    parties = Parties.of(replace(federation, opened=replace(federation.opened, document=forged)))
    with pytest.raises(WaistError):
        run(parties)
    assert "signature" in parties.said["bank"][0] or "signed" in parties.said["bank"][0]


def test_a_stranger_in_the_coordinators_place_is_not_answered_and_not_logged(tmp_path: Path) -> None:
    federation = federation_of(tmp_path)
    stranger = replace(federation.coordinator, identity=Identity.generate("coordinator", simulation=True))
    parties = Parties.of(federation)
    before = {name: len(parties.actions(name)) for name in parties.holders}
    with pytest.raises(WaistError):
        run_study(stranger, federation.opened, parties.wire)
    assert {name: len(parties.actions(name)) for name in parties.holders} == before


def test_a_peer_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    federation = federation_of(tmp_path)
    holder = federation.holder("bank")
    lonely = holder.contract.model_copy(update={"peers": holder.contract.peers[:1]})
    parties = Parties.of(federation)
    parties.holders["bank"] = replace(parties.holders["bank"], contract=lonely)
    parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
    parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)
    with pytest.raises(WaistError):
        run(parties)
    assert "RF-S" in parties.said["bank"][0]


def test_an_unforeseen_fault_tells_the_coordinator_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties = Parties.of(federation_of(tmp_path))

    def fault(*_: object) -> None:
        raise ZeroDivisionError("customer bank-17 has income 12345")

    monkeypatch.setattr("ringfence.clients.gate.mask", fault)
    with pytest.raises(WaistError):
        run(parties)
    replies = b"".join(reply for _, _, reply in parties.wire.sent)
    # Words and not the number alone: digits like these stand in digests and keys by chance.
    for told in (b"customer bank-17", b"has income"):
        assert told not in replies
    assert ("waist.refused", "error") in parties.actions("bank")
    assert parties.said["bank"][0].startswith("RF-W080: ")
    logged = b"".join(e.leaf for e in parties.holders["bank"].log.events())
    assert b"customer" not in logged


def test_garbage_is_answered_with_nothing(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    assert parties.agents["bank"].handle(b"not a message") == b""
    assert parties.agents["bank"].handle(b"") == b""


def test_one_approval_is_for_one_run(tmp_path: Path) -> None:
    federation = federation_of(tmp_path)
    parties = Parties.of(federation)
    run(parties)
    before = parties.holders["bank"].ledger.charged()
    parties.federation = replace(federation, opened=replace(federation.opened, run="ab" * 16))
    with pytest.raises(WaistError):
        run(parties)
    assert any("RF-S064" in sentence for sentence in parties.said["bank"])
    assert parties.holders["bank"].ledger.charged() == before
    assert parties.holders["bank"].ledger.reservations() == ()


def test_a_replayed_offer_of_a_finished_run_reserves_nothing(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    run(parties)
    left = parties.holders["bank"].ledger.left()
    offer = next(
        m for name, m, _ in parties.wire.sent if name == "bank" and read_header(m).kind == "study-offer"
    )
    assert read_header(parties.agents["bank"].handle(offer)).kind == "unavailable"
    assert parties.holders["bank"].ledger.left() == left


def test_an_offer_under_another_studys_name_is_refused(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    opened, coordinator = parties.federation.opened, parties.federation.coordinator
    message = StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce=new_nonce(),
        log_key="ab" * 32,
        ledger=None,
        log=None,
    )
    for study, run_id in ((f"sha256:{'e' * 64}", opened.run), (opened.digest, "0" * 32)):
        data = seal_message(
            coordinator.identity, message, study=study, run=run_id, sender="coordinator", recipient="bank"
        )
        assert read_header(parties.agents["bank"].handle(data)).kind == "unavailable"
    assert ("study.joined", "allow") not in parties.actions("bank")


def test_strangers_get_no_answer_no_signature_and_no_event(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    stranger, opened = Identity.generate("coordinator"), parties.federation.opened
    before = len(parties.actions("bank"))
    for message in (
        RosterCall(number=0, round=0, attempt=0, members=()),
        Finish(
            model=None,
            release=None,
            proof=(),
            checkpoint=parties.federation.coordinator.log.checkpoint().decode(),
        ),
    ):
        data = seal_message(
            stranger, message, study=opened.digest, run=opened.run, sender="coordinator", recipient="bank"
        )
        assert parties.agents["bank"].handle(data) == b""
    assert len(parties.actions("bank")) == before


def test_refusals_of_the_coordinator_are_events_but_not_without_end(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    opened, coordinator = parties.federation.opened, parties.federation.coordinator
    data = seal_message(
        coordinator.identity,
        RosterCall(number=0, round=0, attempt=0, members=()),
        study=opened.digest,
        run=opened.run,
        sender="coordinator",
        recipient="bank",
    )
    for _ in range(100):
        assert read_header(parties.agents["bank"].handle(data)).kind == "unavailable"
    assert parties.actions("bank").count(("study.refused", "deny")) == MOST_REFUSALS


def test_a_forged_ledger_head_freezes_nobody(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    opened, coordinator = parties.federation.opened, parties.federation.coordinator
    forged = sign_head(coordinator.identity, mark="11" * 64, log=parties.holders["bank"].log.origin)
    message = StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce=new_nonce(),
        log_key="ab" * 32,
        ledger=forged,
        log=None,
    )
    data = seal_message(
        coordinator.identity,
        message,
        study=opened.digest,
        run=opened.run,
        sender="coordinator",
        recipient="bank",
    )
    assert read_header(parties.agents["bank"].handle(data)).kind == "unavailable"
    assert parties.holders["bank"].ledger.frozen() == ""


def test_a_ledger_restored_in_mid_run_is_found_out_before_it_answers_again(tmp_path: Path) -> None:
    federation = federation_of(tmp_path, profile="durable")
    parties = Parties.of(federation)
    store = tmp_path / "bank.db"
    backups: list[bytes] = []

    def back_up(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if name == "bank" and header.kind == MessageKind.STUDY_OFFER and not backups:
            backups.append(store.read_bytes())
        return reply

    def restore(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (
            name == "bank"
            and header.kind == MessageKind.ROUND_CALL
            and header.round == 1
            and len(backups) == 1
        ):
            backups.append(b"")
            parties.holders["bank"].engine.dispose()
            store.write_bytes(backups[0])
            parties.holders["bank"] = federation.holder("bank")
            parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
            parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)
        return message

    parties.wire.on_reply, parties.wire.on_message = back_up, restore
    with pytest.raises(WaistError):
        run(parties)
    assert any("frozen" in sentence for sentence in parties.said["bank"])
    assert parties.holders["bank"].ledger.frozen()


def test_a_holder_cannot_come_with_another_ones_log(tmp_path: Path) -> None:
    federation = federation_of(tmp_path)
    parties = Parties.of(federation)
    thief, victim = parties.holders["bank"], parties.holders["partner"]
    fake = AuditLog(
        open_store(None),
        origin=victim.log.origin,
        signer=federation.keys["bank"].log,
        organisation="bank",
        actor="client",
        profile="simulation",
    )
    fake.record("key.created", "allow", resource="key:1")
    object.__setattr__(thief, "log", fake)
    with pytest.raises(WaistError, match="bank"):
        run(parties)
    assert parties.federation.coordinator.registry.last(victim.identity.public) is not None


def test_an_expired_study_gets_no_further_answer(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    late = datetime(2040, 1, 1, tzinfo=UTC)

    def expire(name: str, message: bytes, _reply: bytes) -> bytes:
        if name == "bank" and read_header(message).kind == MessageKind.ROUND_CALL:
            object.__setattr__(parties.holders["bank"], "clock", lambda: late)
        return message

    parties.wire.on_message = expire
    with pytest.raises(WaistError):
        run(parties)
    assert any("expired" in sentence for sentence in parties.said["bank"])
    assert ("waist.send", "allow") not in parties.actions("bank")


def test_a_rolled_back_ledger_is_found_out_at_the_next_study(tmp_path: Path) -> None:
    federation = federation_of(tmp_path, profile="durable")
    parties = Parties.of(federation)
    store = tmp_path / "bank.db"
    early = store.read_bytes()
    run(parties)
    parties.holders["bank"].engine.dispose()
    store.write_bytes(early)
    again = Parties.of(replace(federation, opened=replace(federation.opened, run="cd" * 16)))
    with pytest.raises(RingfenceError):
        run(again)
    assert any("frozen" in sentence for sentence in again.said["bank"])
