"""A study from offer to release with all parties in one process, undisturbed and disturbed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from kits.parties import Parties, federation_of

from ringfence.audit.log import AuditLog
from ringfence.clients.agent import Agent
from ringfence.models.scorecard import Scorecard
from ringfence.privacy.errors import WaistError
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import Release, run_study
from ringfence.simulations.federation import run_in_process


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def test_three_holders_release_a_card_and_everybody_is_charged_what_it_cost(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    release = run(parties)
    assert isinstance(release.result, Scorecard)
    assert release.holders == ("bank", "partner", "retailer")
    assert release.attempts == (1,) * len(parties.federation.opened.plan.rounds)
    price = parties.federation.price()
    for name, holder in parties.holders.items():
        charged = holder.ledger.charged()
        assert float(charged.mu_squared) == pytest.approx(price.mu**2, rel=1e-9)
        assert holder.ledger.reservations() == ()
        assert parties.actions(name)[-1] == ("study.finished", "allow")
        assert not parties.said[name]


def test_every_sum_equals_the_sum_of_contributions_plus_bounded_noise(tmp_path: Path) -> None:
    """What the coordinator unmasks is the exact histogram within the noise that was declared."""
    parties = Parties.of(federation_of(tmp_path))
    opened = parties.federation.opened
    seen = []
    task = opened.task

    def step(context, state, aggregate):  # type: ignore[no-untyped-def]
        seen.append(aggregate)
        return task.step(context, state, aggregate)

    opened = replace(opened, task=replace(task, step=step))
    run_study(parties.federation.coordinator, opened, parties.wire)
    cells = seen[0].blocks["cells"]
    block = opened.plan.rounds[0].blocks[0]
    unit = block.max_abs
    deviation = block.share_scale * np.sqrt(3)
    # Each feature has every training customer once: 3 holders of 400, a fifth kept for the test.
    age = cells[:33].sum() / unit
    assert abs(age - 960) < 100 + 8 * deviation * np.sqrt(33) / unit
    assert np.any(cells % unit), "a histogram without noise would be a multiple of the unit"


def test_nothing_but_signed_envelopes_crosses_and_nothing_repeats(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    run(parties)
    kinds = [read_header(reply).kind for _, _, reply in parties.wire.sent]
    assert set(kinds) == {"join", "roster-echo", "masked-update", "cosigned", "done"}
    updates = [reply for _, _, reply in parties.wire.sent if read_header(reply).kind == "masked-update"]
    assert len(set(updates)) == len(updates)
    keys = [f"bank-{i}".encode() for i in range(400)]
    blob = b"".join(message + reply for _, message, reply in parties.wire.sent)
    assert not any(key in blob for key in keys)


def test_a_message_delivered_twice_gets_the_same_bytes_and_is_charged_once(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))

    def again(name: str, message: bytes, reply: bytes) -> bytes:
        if read_header(message).kind == MessageKind.ROUND_CALL:
            assert parties.agents[name].handle(message) == reply
        return reply

    parties.wire.on_reply = again
    run(parties)
    assert float(parties.holders["bank"].ledger.charged().mu_squared) == pytest.approx(
        parties.federation.price().mu ** 2, rel=1e-9
    )


def test_a_holder_that_misses_a_round_joins_the_next_attempt_and_both_are_charged(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    parties.wire.lose_once("partner", 1)
    release = run(parties)
    assert release.attempts == (1, 2, 1, 1, 1)
    round_price = parties.federation.opened.plan.rounds[1].mu_squared(2)
    for holder in parties.holders.values():
        charged = float(holder.ledger.charged().mu_squared)
        assert charged == pytest.approx(parties.federation.price().mu ** 2 + round_price, rel=1e-9)


def test_a_holder_restarted_in_mid_round_publishes_a_new_key_and_goes_on(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))

    def restart(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (
            header.kind == MessageKind.ROUND_CALL
            and header.round == 1
            and header.attempt == 0
            and name == "bank"
        ):
            parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
            parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)
        return message

    parties.wire.on_message = restart
    release = run(parties)
    assert release.attempts == (1, 2, 1, 1, 1)
    assert any("has not joined" in sentence for sentence in parties.said["bank"])
    counted = [action for action, _ in parties.actions("bank") if action == "cohort.counted"]
    assert len(counted) == 1, "the cohort is counted and charged once, also over a restart"


def test_a_holder_that_stays_away_ends_the_study_with_its_name(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    parties.wire.on_message = lambda name, message, _reply: b"" if name == "retailer" else message
    with pytest.raises(WaistError, match="retailer") as caught:
        run(parties)
    assert caught.value.code == "RF-W200"


def test_four_holders_go_on_with_three(tmp_path: Path) -> None:
    names = ("bank", "retailer", "partner", "insurer")
    parties = Parties.of(federation_of(tmp_path, names=names, privacy={"min_holders": 3}))
    parties.wire.on_message = lambda name, message, _reply: b"" if name == "insurer" else message
    release = run(parties)
    assert release.absent == ("insurer",)
    assert len(release.holders) == 3


def test_a_round_that_fails_twice_stops_the_study_and_releases_nothing(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))

    def flip(_name: str, message: bytes, reply: bytes) -> bytes:
        damaged = bytearray(reply)
        damaged[-100] ^= 1
        return bytes(damaged) if read_header(message).kind == MessageKind.ROUND_CALL else reply

    parties.wire.on_reply = flip
    with pytest.raises(WaistError) as caught:
        run(parties)
    assert caught.value.code in ("RF-W200", "RF-W201")
    actions = [e.event.action for e in parties.federation.coordinator.log.events()]
    assert "model.released" not in actions
    assert "attempt.voided" in actions


def test_a_withdrawal_during_the_run_is_out_by_the_next_round(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    holder = parties.holders["bank"]
    sizes = []

    def withdraw(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if name == "bank" and header.kind == MessageKind.ROUND_CALL:
            if header.round == 1:
                gone = [f"bank-{i}" for i in range(150)]
                holder.registry.withdraw(gone, "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC))
            run_of = next(iter(parties.agents["bank"]._runs.values()))
            now = run_of.joined.cohort.current(holder.registry, holder.clock())
            sizes.append(len(now))
        return message

    parties.wire.on_message = withdraw
    run(parties)
    assert sizes[0] == 400
    assert set(sizes[1:]) == {250}


REFUSALS = {
    "an exhausted budget": ({"budget": (Decimal("0.5"), Decimal("1e-6"))}, "budget"),
    "too small a cohort": ({"contracts": {"bank": {"min_cohort": 4000}}}, "min_cohort"),
    "another overlap than declared": ({}, "RF-S"),
    "a purpose the contract does not allow": ({"purpose": "credit-risk"}, "RF-S"),
    "an expired study": ({"expires": "2020-01-01"}, "RF-S"),
}


@pytest.mark.parametrize("case", [c for c in REFUSALS if c != "another overlap than declared"])
def test_a_holder_refuses_and_only_its_own_people_learn_why(tmp_path: Path, case: str) -> None:
    changes, reason = REFUSALS[case]
    parties = Parties.of(federation_of(tmp_path, **changes))  # type: ignore[arg-type]
    with pytest.raises(WaistError) as caught:
        run(parties)
    assert caught.value.code == "RF-W200"
    assert reason in " ".join(parties.said["bank"])
    assert ("study.refused", "deny") in parties.actions("bank")
    reply = next(reply for name, _, reply in parties.wire.sent if name == "bank")
    assert read_header(reply).kind == MessageKind.UNAVAILABLE
    assert len(reply) < 1200


def test_a_study_that_fails_is_closed_at_every_holder(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))

    def silent(name: str, message: bytes, reply: bytes) -> bytes:
        lost = name == "partner" and read_header(message).kind == MessageKind.ROUND_CALL
        return b"" if lost else reply

    parties.wire.on_reply = silent
    with pytest.raises(WaistError):
        run(parties)
    for name, holder in parties.holders.items():
        assert holder.ledger.reservations() == (), name
        assert parties.actions(name)[-1] == ("study.finished", "error")
        assert not parties.agents[name]._runs


def test_what_was_used_stays_in_the_private_part_of_the_event(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    run(parties)
    log = parties.holders["bank"].log
    sent = next(e for e in log.events() if e.event.action == "waist.send")
    assert b"consent_root" not in sent.leaf
    opened = json.loads(log.open_event(sent.seq).private)
    assert opened["customers"] == 400
    assert opened["consent_root"]
    assert opened["rows"].startswith("sha256:")


def test_logs_of_all_parties_agree_with_each_other(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    run(parties)
    coordinator: AuditLog = parties.federation.coordinator.log
    for name, holder in parties.holders.items():
        holder.log.check()
        anchored = coordinator.anchored(holder.log.origin)
        assert anchored is not None
        assert anchored.size <= holder.log.size
        sends = [e for e in holder.log.events() if e.event.action == "waist.send"]
        assert len(sends) == len(parties.federation.opened.plan.rounds), name


def test_run_in_process_evaluates_what_was_released(tmp_path: Path) -> None:
    federation = federation_of(tmp_path, customers=1500)
    outcome, holders = run_in_process(federation)
    assert set(holders) == {"bank", "retailer", "partner"}
    assert outcome.metrics.customers == len(outcome.predictions)
    assert 700 < outcome.metrics.customers < 1100
    assert outcome.metrics.auc > 0.6
