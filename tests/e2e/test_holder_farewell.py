"""The join and the farewell as a holder answers them: what is in its replies, what ends and what does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from kits.asking import Asking
from kits.ledger_support import is_mark_of
from kits.witness_kit import MODEL, ending
from sqlalchemy import select

from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import verify_consistency
from ringfence.audit.note import Verifier
from ringfence.clients.records.participations import Participation, Participations, Witnesses
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import N_, StoreError, WaistError
from ringfence.privacy.protocol.control import Join, RosterCall, StudyOffer
from ringfence.privacy.protocol.endings import Done, Finish
from ringfence.privacy.secagg.attempts import ATTEMPTS
from ringfence.privacy.secagg.keys import SessionKeys
from ringfence.privacy.wire.envelope import MessageKind
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, verify_head
from ringfence.server.membership import offer

ORIGIN = "ringfence.simulation/coordinator"


def checkpoint(asking: Asking, note: str) -> Checkpoint:
    """The bank's checkpoint, once its signature holds."""
    return verify_checkpoint(note.encode(), [asking.bank.log.verifier])


def position(found: Checkpoint) -> LogPosition:
    return LogPosition(size=found.size, root="sha256:" + found.root.hex())


def continues(since: LogPosition, now: Checkpoint, proof: tuple[str, ...]) -> None:
    """The proof shows that the log at `now` continues the one at `since`."""
    nodes = [bytes.fromhex(node.removeprefix("sha256:")) for node in proof]
    verify_consistency(
        since.size, now.size, bytes.fromhex(since.root.removeprefix("sha256:")), now.root, nodes
    )


def is_its_head(asking: Asking, head: LedgerHead) -> None:
    verify_head(head, asking.bank.identity.public, asking.bank.log.origin)
    assert is_mark_of(asking.bank.marks, head.mark, asking.bank.ledger.head())


def known(asking: Asking) -> Participation:
    found = asking.bank.participations.find(asking.study, asking.parties.federation.opened.run)
    assert found is not None
    return found


def farewell(asking: Asking, model: str | None = MODEL) -> Finish:
    return ending(asking.parties, model)


def study_offer(asking: Asking) -> StudyOffer:
    found: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    return found


def test_a_join_says_where_the_holder_stands(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer = study_offer(asking)
    kind, reply = asking.ask(offer)
    assert kind == "join"
    join: Join = asking.read(Join, reply)
    assert join.nonce == offer.nonce
    assert join.log_key == asking.bank.log_key.hex
    assert join.approvals == tuple(each.to_json() for each in asking.bank.approvals(asking.study))
    assert join.proof == ()
    assert join.key.x25519 == asking.run.keys.public.hex()
    is_its_head(asking, join.ledger)
    found = checkpoint(asking, join.checkpoint)
    assert found.size == asking.bank.log.size
    assert known(asking) == Participation(
        study=asking.study,
        run=offer.run,
        coordinator_log=known(asking).coordinator_log,
        position=position(found),
        witnesses=Witnesses.of(asking.parties.federation.opened.study),
    )
    assert known(asking).coordinator_log.hex == offer.log_key


def test_an_offer_of_a_run_that_was_joined_is_answered_again_and_costs_nothing(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer = study_offer(asking)
    first: Join = asking.read(Join, asking.ask(offer)[1])
    head, before = asking.bank.ledger.head(), asking.parties.actions("bank")
    again = replace(
        offer,
        nonce="77" * 32,
        ledger=first.ledger,
        log=position(checkpoint(asking, first.checkpoint)),
        log_key="cd" * 32,
    )
    asking.bank.log.record("key.created", "allow", resource="key:1")
    second: Join = asking.read(Join, asking.ask(again)[1])
    assert (second.key, second.nonce) == (first.key, "77" * 32)
    assert asking.bank.ledger.head() == head
    assert asking.parties.actions("bank")[len(before) :] == [("key.created", "allow")]
    assert again.log is not None
    continues(again.log, checkpoint(asking, second.checkpoint), second.proof)
    assert second.proof != ()
    assert known(asking).position == position(checkpoint(asking, second.checkpoint))
    assert known(asking).coordinator_log.hex == "cd" * 32


@pytest.mark.parametrize("wrong", ["beyond", "another root"])
def test_a_view_of_its_log_that_is_not_its_own_is_refused_before_anything_is_paid(
    tmp_path: Path, wrong: str
) -> None:
    asking = Asking.of(tmp_path)
    offer, size = study_offer(asking), asking.bank.log.size
    seen = LogPosition(size=size + 50 if wrong == "beyond" else size - 1, root="sha256:" + "12" * 32)
    assert asking.ask(replace(offer, log=seen))[0] == "unavailable"
    assert asking.parties.actions("bank")[-1] == ("study.refused", "deny")
    assert asking.bank.ledger.entries()[1:] == ()
    assert asking.bank.participations.find(asking.study, offer.run) is None


def test_a_farewell_says_where_the_holder_stands_and_ends_the_run(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    call = asking.call()
    joined, run = known(asking), asking.run
    assert asking.ask(call)[0] == "masked-update"
    kind, reply = asking.ask(farewell(asking))
    assert kind == "done"
    done: Done = asking.read(Done, reply)
    continues(joined.position, checkpoint(asking, done.checkpoint), done.proof)
    assert checkpoint(asking, done.checkpoint).size == asking.bank.log.size
    is_its_head(asking, done.ledger)
    assert asking.bank.ledger.reservations() == ()
    assert known(asking) == replace(joined, ended=True)
    with pytest.raises(WaistError, match="RF-W130"):
        run.keys.exchange(SessionKeys(holder="x", study=asking.study, run="ab" * 16).public)
    with asking.bank.engine.begin() as connection:
        rows = connection.execute(select(ATTEMPTS.c.attempt, ATTEMPTS.c.answer)).all()
    assert [tuple(row) for row in rows] == [(0, None)], "the number stays, the answer goes"
    assert asking.ask(call)[0] == "unavailable"
    asking.refused("RF-S063", "waist.refused")
    assert asking.ask(RosterCall(number=9, round=0, attempt=0, members=()))[0] == "unavailable"


def test_a_process_that_did_not_join_ends_the_run_all_the_same(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    asking.restarted()
    assert asking.ask(farewell(asking))[0] == "done"
    assert known(asking).ended
    assert asking.bank.ledger.reservations() == ()
    assert asking.bank.snapshots.find(asking.study) is None
    assert asking.parties.actions("bank")[-1] == ("study.finished", "allow")
    size, head = asking.bank.log.size, asking.bank.ledger.head()
    assert asking.ask(farewell(asking, None))[0] == "done"
    assert (asking.bank.log.size, asking.bank.ledger.head()) == (size, head), "it ends once"


def test_what_is_held_for_a_run_that_the_log_does_not_know_is_told_and_stays(tmp_path: Path) -> None:
    """It may be another federation's; that there is no such run is said only where nothing is held for it."""
    asking = Asking.of(tmp_path)
    run = asking.parties.federation.opened.run
    before = asking.parties.actions("bank")
    assert asking.ask(farewell(asking, None))[0] == "no-run"
    assert (asking.parties.actions("bank"), asking.parties.said["bank"]) == (before, [])
    plan = asking.parties.federation.opened.plan
    unnamed = asking.bank.ledger.reserve(asking.study, 0.01)
    another = asking.bank.ledger.reserve_plan(asking.study, plan, run="ab" * 16)
    assert asking.ask(farewell(asking, None))[0] == "no-run", "nothing is held for this run"
    kept = asking.bank.ledger.reserve_plan(asking.study, plan, run=run)
    assert kept.of_run(run)
    assert asking.ask(farewell(asking, None))[0] == "unavailable"
    asking.refused("RF-S560", "study.refused")
    assert [each.id for each in asking.bank.ledger.reservations()] == [unnamed.id, another.id, kept.id]


def test_the_end_of_a_run_that_reserved_nothing_leaves_the_copy_to_the_next_one(tmp_path: Path) -> None:
    """The first run was refused for want of budget; its end comes when people have topped it up."""
    asking = Asking.of(tmp_path, budget=(Decimal("0.05"), Decimal("1e-6")))
    assert asking.offered() == "unavailable"
    asking.refused("RF-B303", "study.refused")
    asking.bank.ledger.top_up(["chen-jing", "liu-yang"], epsilon=Decimal(40), reason="board")
    first = asking.parties.federation.opened
    second = replace(first, run="cd" * 16)
    offer(asking.parties.federation.coordinator, second, asking.parties.wire, names=["bank"])
    assert len(asking.bank.ledger.reservations()) == 1
    assert asking.ask(farewell(asking, None))[0] == "no-run"
    assert len(asking.bank.ledger.reservations()) == 1
    assert asking.bank.snapshots.find(asking.study) is not None
    asking.restarted()
    sent = len(asking.parties.said["bank"])
    offer(asking.parties.federation.coordinator, second, asking.parties.wire, names=["bank"])
    assert asking.parties.said["bank"][sent:] == [], "it is taken up again"


def test_a_run_whose_join_could_not_be_kept_is_gone_with_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)

    def full(_self: Participations, _known: Participation) -> None:
        raise StoreError("RF-B111", N_("The disk is full."))

    with monkeypatch.context() as patch:
        patch.setattr(Participations, "joined", full)
        assert asking.offered() == "unavailable"
    run = asking.run
    assert asking.ask(farewell(asking, None))[0] == "no-run"
    assert asking.bank.ledger.reservations() == ()
    assert asking.agent._runs == {}
    with pytest.raises(WaistError, match="RF-W130"):
        run.keys.exchange(bytes(32))
    assert asking.offered() == "unavailable"
    asking.refused("RF-S064", "study.refused")


@pytest.mark.parametrize(("model", "outcome"), [(MODEL, "allow"), (None, "error")])
def test_a_farewell_with_and_without_a_model(tmp_path: Path, model: str | None, outcome: str) -> None:
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    note = farewell(asking, model)
    assert asking.ask(note)[0] == "done"
    found = next(asking.bank.log.events(action="study.finished"))
    assert (found.event.outcome, found.event.resource) == (outcome, f"study:{asking.study}")
    public = {"run": asking.parties.federation.opened.run, "coordinator_log": ORIGIN}
    assert dict(found.event.public) == public | ({"model": MODEL} if model else {})
    assert asking.parties.said["bank"] == []


def test_only_what_was_set_aside_for_the_run_is_closed(tmp_path: Path) -> None:
    """Another study's reservation stays open, and so does its copy and its run."""
    asking = Asking.of(tmp_path)
    other, ledger = "sha256:" + "77" * 32, asking.bank.ledger
    kept = ledger.reserve(other, 0.01)
    assert asking.offered() == "join"
    next_one = ledger.reserve_plan(asking.study, asking.parties.federation.opened.plan, run="ab" * 16)
    copy, _ = asking.bank.snapshots.write(other, b"rows")
    assert asking.ask(farewell(asking))[0] == "done"
    assert [each.id for each in ledger.reservations()] == [kept.id, next_one.id]
    assert asking.bank.snapshots.find(asking.study) is not None, "the next run reads it"
    assert (asking.bank.snapshots.folder / copy).exists()
    assert ledger.entries()[-1].kind == "committed"


def test_a_farewell_that_another_log_signed_ends_nothing(tmp_path: Path) -> None:
    """The run belongs to the coordinator's log that the offer named; a note of another key is refused."""
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    real = asking.parties.federation.coordinator.log
    head = verify_checkpoint(real.checkpoint(), [real.verifier])
    for origin, code in ((ORIGIN, "RF-A"), ("ümlaut", "RF-A")):
        made = Checkpoint(origin=origin, size=head.size, root=head.root)
        note = made.sign(Identity.generate("log", simulation=True)).decode()
        assert asking.ask(replace(farewell(asking), checkpoint=note))[0] == "unavailable"
        assert asking.parties.said["bank"][-1].startswith(code)
        assert asking.parties.actions("bank")[-1] == ("study.refused", "deny")
    assert not known(asking).ended
    assert len(asking.bank.ledger.reservations()) == 1
    assert asking.ask(farewell(asking))[0] == "done"


def test_a_farewell_whose_event_cannot_be_written_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    record = AuditLog.record

    def fails(self: AuditLog, action: str, *arguments: object, **rest: object) -> int:
        sequence = record(self, action, *arguments, **rest)  # type: ignore[arg-type]
        if action == "study.finished":
            raise OSError("full")
        return sequence

    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "record", fails)
        assert asking.ask(farewell(asking))[0] == "unavailable"
    assert not known(asking).ended
    assert list(asking.bank.log.events(action="study.finished")) == []
    assert asking.ask(farewell(asking))[0] == "done"
    assert known(asking).ended
    assert len(list(asking.bank.log.events(action="study.finished"))) == 1


def test_an_end_that_meets_a_fault_keeps_what_it_ends_until_it_is_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder's own model too: it is in the memory of this process alone."""
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    run, left = asking.run, list[object]()

    def leave(_holder: object, _admitted: object, kept: object) -> str:
        left.append(kept)
        return ""

    monkeypatch.setattr("ringfence.clients.agent.leave_own", leave)
    asking.bank.ledger.freeze("people stopped it")
    assert asking.ask(farewell(asking))[0] == "unavailable"
    assert left == []
    assert asking.run is run
    asking.bank.ledger.thaw(["chen-jing", "liu-yang"], missing_mu_squared=0, reason="looked at")
    assert asking.ask(farewell(asking))[0] == "done"
    assert left == [run.kept]
    assert asking.agent._runs == {}


def test_an_own_model_that_cannot_be_left_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    seen: list[object] = []

    def fault(holder: object, admitted: object, kept: object) -> str:
        seen.extend([holder, admitted, kept])
        return "RF-X: it stays here."

    monkeypatch.setattr("ringfence.clients.agent.leave_own", fault)
    run = asking.run
    assert asking.ask(farewell(asking))[0] == "done"
    assert asking.parties.said["bank"] == ["RF-X: it stays here."]
    assert seen[0] is asking.bank
    assert seen[1] is run.joined.admitted
    assert seen[2] is run.kept


def test_a_verifier_is_of_the_key_the_offer_named(tmp_path: Path) -> None:
    """A note under any name is believed by its key alone, and the name goes into the event."""
    asking = Asking.of(tmp_path)
    offer, key = study_offer(asking), Identity.generate("log", simulation=True)
    assert asking.ask(replace(offer, log_key=key.public.hex))[0] == "join"
    made = Checkpoint(origin="another/name", size=3, root=b"\1" * 32)
    note = made.sign(key).decode()
    assert verify_checkpoint(note.encode(), [Verifier(name="another/name", raw=key.public.raw)]).size == 3
    assert asking.ask(Finish(model=None, release=None, checkpoint=note, proof=()))[0] == "done"
    found = next(asking.bank.log.events(action="study.finished"))
    assert found.event.public["coordinator_log"] == "another/name"
