"""Limits of a run that nobody may step over: attempts, rosters, nonces, heads, bounds, the noisy cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kits.parties import Parties, federation_of

from ringfence.clients import gate
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.protocol.control import RosterCall, RoundCall, decode, seal_message
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.waist import BlockPlan, Contribution, RoundPlan, UploadBlock
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, read_header
from ringfence.server.rounds import run_study


class _ShiftedCohort:
    """A test's noise: the operating system's, but the cohort count is far too low."""

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        if round_plan.name != "cohort":
            return share
        return replace(share, blocks={"cohort": np.array([-(10**9)], dtype=np.int64)})


def run(parties: Parties) -> None:
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def test_the_noisy_count_decides_about_the_cohort_not_the_exact_one(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path), noise=lambda _name: _ShiftedCohort())
    with pytest.raises(WaistError):
        run(parties)
    assert any("RF-S062" in sentence for sentence in parties.said["bank"])
    assert parties.holders["bank"].ledger.reservations() == ()


def stop_at(parties: Parties, kind: MessageKind, holder: str = "bank") -> bytes:
    """Run until this kind of message to a holder and return it, unanswered."""
    caught: list[bytes] = []

    def catch(name: str, message: bytes, _reply: bytes) -> bytes:
        if name == holder and read_header(message).kind == kind:
            caught.append(message)
            raise KeyboardInterrupt
        return message

    parties.wire.on_message = catch
    with pytest.raises(KeyboardInterrupt):
        run(parties)
    return caught[0]


def test_attempts_end_at_the_most_the_study_allows(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    opened, coordinator = parties.federation.opened, parties.federation.coordinator
    message = stop_at(parties, MessageKind.ROUND_CALL)
    expect = Expected(
        kind=MessageKind.ROUND_CALL, study=opened.digest, run=opened.run, recipient="bank", round=0, attempt=0
    )
    senders = {"coordinator": coordinator.identity.public}
    call = decode(
        RoundCall, open_envelope(message, senders=senders, expect=expect, max_bytes=1 << 24).payload
    )
    replies = [
        parties.agents["bank"].handle(
            seal_message(
                coordinator.identity,
                call,
                study=opened.digest,
                run=opened.run,
                sender="coordinator",
                recipient="bank",
                round=0,
                attempt=attempt,
            )
        )
        for attempt in range(4)
    ]
    kinds = [read_header(reply).kind for reply in replies]
    assert kinds == ["masked-update", "masked-update", "unavailable", "unavailable"]
    assert any("RF-W065" in sentence for sentence in parties.said["bank"])


def other_members(parties: Parties, message: bytes) -> bytes:
    """The coordinator's roster without its last member, under the same number."""
    header, identity = read_header(message), parties.federation.coordinator.identity
    expect = Expected(kind=MessageKind.ROSTER_CALL, study=header.study, run=header.run, recipient="bank")
    senders = {"coordinator": identity.public}
    payload = open_envelope(message, senders=senders, expect=expect, max_bytes=len(message)).payload
    call = decode(RosterCall, payload)
    return seal_message(
        identity,
        replace(call, members=call.members[:-1]),
        study=header.study,
        run=header.run,
        sender="coordinator",
        recipient="bank",
    )


def test_a_roster_number_is_signed_once(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    message = stop_at(parties, MessageKind.ROSTER_CALL)
    echo = parties.agents["bank"].handle(message)
    assert read_header(echo).kind == "roster-echo"
    assert parties.agents["bank"].handle(message) == echo, "sent again, answered again"
    assert read_header(parties.agents["bank"].handle(other_members(parties, message))).kind == "unavailable"
    assert read_header(parties.agents["bank"].handle(message)).kind == "unavailable", "not the last step"


def test_a_join_that_answers_another_offer_is_not_taken(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    old: list[bytes] = []

    def replay(name: str, message: bytes, reply: bytes) -> bytes:
        if name == "bank" and read_header(message).kind == MessageKind.STUDY_OFFER:
            old.append(reply)
            return old[0]
        return reply

    parties.wire.on_reply = replay
    lost: list[bool] = []

    def lose_once(name: str, message: bytes, _reply: bytes) -> bytes:
        if name == "bank" and read_header(message).kind == MessageKind.ROUND_CALL and not lost:
            lost.append(True)
            return b""
        return message

    parties.wire.on_message = lose_once
    with pytest.raises(WaistError, match="bank"):
        run(parties)
    assert len(old) == 2


PLAN = RoundPlan(
    name="r", blocks=(BlockPlan(name="b", sensitivity_squared=4, max_abs=2, share_scale=16.0, max_length=3),)
)
KEY = AttemptKey(study="sha256:" + "ab" * 32, run="cd" * 16, round=0, attempt=0, query=b"q" * 32)


@pytest.mark.parametrize(
    ("blocks", "digest", "code"),
    [
        ({"b": np.array([0, 21, 0])}, KEY.query, "RF-W063"),
        ({"b": np.array([0, -21, 0])}, KEY.query, "RF-W063"),
        ({"b": np.array([0, np.iinfo(np.int64).min, 0])}, KEY.query, "RF-W063"),
        ({"b": np.array([0, 1])}, KEY.query, "RF-W062"),
        ({"b": np.array([0, 1, 0, 1])}, KEY.query, "RF-W062"),
        ({"b": np.array([0.0, 1.0, 0.0])}, KEY.query, "RF-W062"),
        ({"b": np.array([0, 1, 0]), "c": np.array([1])}, KEY.query, "RF-W061"),
        ({"b": np.array([0, 1, 0])}, b"another query", "RF-W060"),
    ],
)
def test_the_gate_checks_every_contribution_itself(
    blocks: dict[str, np.ndarray], digest: bytes, code: str
) -> None:
    contribution = Contribution(query_digest=digest, blocks=blocks)
    with pytest.raises(WaistError, match=code):
        gate.check_answer(contribution, KEY, PLAN, {"b": 3}, 10)


STEPS = RoundPlan(
    name="r",
    blocks=PLAN.blocks,
    local_steps=2,
    uploads=(UploadBlock(name="update", max_abs=8, max_length=3),),
)


@pytest.mark.parametrize(
    ("blocks", "length", "code"),
    [
        ({"update": np.array([0, 9, 0])}, 3, "RF-W063"),
        ({"update": np.array([0, -9, 0])}, 3, "RF-W063"),
        ({"update": np.array([0, 1, 0, 1])}, 4, "RF-W062"),
        ({"b": np.array([0, 1, 0])}, 3, "RF-W061"),
        ({"update": np.array([0, 1, 0]), "b": np.array([0, 1, 0])}, 3, "RF-W061"),
    ],
)
def test_the_gate_checks_what_local_steps_made(blocks: dict[str, np.ndarray], length: int, code: str) -> None:
    """The bound is the plan's alone: many customers make an update no larger."""
    contribution = Contribution(query_digest=KEY.query, blocks=blocks)
    with pytest.raises(WaistError, match=code):
        gate.check_answer(contribution, KEY, STEPS, {"update": length}, 10)
    most = Contribution(query_digest=KEY.query, blocks={"update": np.array([8, 0, -8])})
    gate.check_answer(most, KEY, STEPS, {"update": 3}, 10)


def test_the_gate_is_asked_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parties = Parties.of(federation_of(tmp_path))
    task = parties.federation.opened.task

    def swollen(context, query, features):  # type: ignore[no-untyped-def]
        honest = task.contribute(context, query, features)
        return replace(honest, blocks={name: values + 10**12 for name, values in honest.blocks.items()})

    monkeypatch.setattr(
        "ringfence.clients.pipeline.task_named", lambda _name: replace(task, contribute=swollen)
    )
    with pytest.raises(WaistError):
        run(parties)
    assert any("RF-W063" in sentence for sentence in parties.said["bank"])
    assert ("waist.send", "allow") not in parties.actions("bank")
