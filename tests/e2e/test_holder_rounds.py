"""What a holder asks anew in every round, and draws anew in every attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.parties import Parties, federation_of

from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.models.features import FeatureMatrix
from ringfence.models.task import NoisySteps, StudyContext
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.waist import Contribution, Query, RoundPlan
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import Release, run_study
from ringfence.simulations.federation import Federation

EXPIRING = 40
DAY = timedelta(days=1)
TODAY = datetime(2027, 1, 1, 12, tzinfo=UTC)


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def with_bank(federation: Federation, change: Callable[[Holder], Holder]) -> Parties:
    """The parties with another bank."""
    parties = Parties.of(federation)
    parties.holders["bank"] = change(parties.holders["bank"])
    parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
    return parties


def at_round(parties: Parties, act: Callable[[int], None]) -> None:
    """Do something whenever the bank is about to be asked for a round."""

    def told(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if name == "bank" and header.kind == MessageKind.ROUND_CALL:
            act(header.round)
        return message

    parties.wire.on_message = told


def test_consent_is_judged_by_the_clock_of_each_round(tmp_path: Path) -> None:
    """Forty consents end before each round, by a clock that moves on from round to round."""
    federation = federation_of(tmp_path, evaluation={"test_fraction": "0"})
    rounds = len(federation.opened.plan.rounds)
    assert rounds == 3
    file = federation.sites["bank"].consent
    grants = pd.read_csv(file, dtype=str, keep_default_na=False)
    for index in range(rounds):
        some = slice(index * EXPIRING, (index + 1) * EXPIRING - 1)
        grants.loc[some, "valid_until"] = (TODAY + 3 * index * DAY).date().isoformat()
    grants.to_csv(file, index=False)
    now = [TODAY - DAY]
    parties = with_bank(federation, lambda bank: replace(bank, clock=lambda: now[0]))

    def tomorrow(round_index: int) -> None:
        now[0] = TODAY + (3 * round_index + 2) * DAY

    at_round(parties, tomorrow)
    run(parties)
    bank = parties.holders["bank"]
    used = [
        json.loads(bank.log.open_event(each.seq).private)["customers"]
        for each in list(bank.log.events(action="waist.send"))
    ]
    assert used == [400 - (index + 1) * EXPIRING for index in range(rounds)]


@pytest.mark.parametrize("taken_back_at", [0, 2])
def test_approvals_are_read_again_in_every_round(tmp_path: Path, taken_back_at: int) -> None:
    federation = federation_of(tmp_path)
    valid = [True]

    def forgetful(bank: Holder) -> Holder:
        return replace(bank, approvals=lambda digest: bank.approvals(digest)[: 2 if valid[0] else 1])

    parties = with_bank(federation, forgetful)

    def take_back(round_index: int) -> None:
        valid[0] = round_index < taken_back_at

    at_round(parties, take_back)
    with suppress(WaistError):  # a study whose training is done ends with its model
        run(parties)
    assert parties.actions("bank").count(("waist.send", "allow")) == taken_back_at
    refused = [e.event for e in parties.holders["bank"].log.events(action="waist.refused")]
    assert [event.public["round"] for event in refused][:1] == [taken_back_at]


NETWORK = {"rounds": 2, "hidden": [2], "sampling_rate": "1/2"}


class Watch:
    """Which rows every call of a task saw at the bank, by round and attempt."""

    def __init__(self, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
        task = parties.federation.opened.task
        self.seen: list[tuple[int, str]] = []
        self.sizes: list[tuple[int, int]] = []

        def contribute(context: StudyContext, query: Query, rows: FeatureMatrix) -> Contribution:
            self.note(query, rows)
            return task.contribute(context, query, rows)

        def train_locally(context: StudyContext, query: Query, steps: NoisySteps) -> Contribution:
            watch = self

            class Noted:
                def step(self, add_up: Callable[[FeatureMatrix], Any]) -> Any:
                    return steps.step(lambda rows: (watch.note(query, rows), add_up(rows))[1])

            assert task.train_locally is not None
            return task.train_locally(context, query, Noted())

        changed = replace(task, contribute=contribute, train_locally=train_locally)
        monkeypatch.setattr("ringfence.clients.pipeline.task_named", lambda _name: changed)

    def note(self, query: Query, rows: FeatureMatrix) -> None:
        self.seen.append((query.round, hashlib.sha256(rows.codes.tobytes()).hexdigest()))
        self.sizes.append((query.round, len(rows.label)))


def drawn_anew(watch: Watch, sampled: set[int]) -> None:
    """No two samples are alike: two halves of 200 customers agree with probability below 1e-60."""
    samples = [digest for index, digest in watch.seen if index in sampled]
    assert len(samples) == len(set(samples)) > 0


def test_a_sample_is_drawn_for_every_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    federation = federation_of(tmp_path, customers=200, task="mlp", model=NETWORK)
    sampled = {i for i, plan in enumerate(federation.opened.plan.rounds) if plan.sampling_rate != 1}
    assert len(sampled) == 2
    parties = Parties.of(federation)
    watch = Watch(parties, monkeypatch)
    parties.wire.lose_once("partner", min(sampled))
    assert max(run(parties).attempts) == 2
    drawn_anew(watch, sampled)
    assert len([index for index, _ in watch.seen if index in sampled]) == 3 * 2 + 3, "one attempt was lost"
    train = sum(size for index, size in watch.sizes if index in sampled) / 9
    # Half of about 160 customers of the training part; a mean of 9 samples deviates by less than 2.
    assert 64 < train < 96


def test_a_sample_and_a_share_are_drawn_for_every_local_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many steps as planned, no step more, each with a sample and a share of its own."""
    steps = 4
    federation = federation_of(
        tmp_path,
        customers=200,
        task="mlp",
        model=NETWORK | {"local_steps": steps},
        privacy={"noise": "local"},
    )
    rounds = federation.opened.plan.rounds
    local = {i for i, plan in enumerate(rounds) if plan.local_steps}
    assert {rounds[i].local_steps for i in local} == {steps}
    shares: list[tuple[str, str]] = []

    class Counted:
        """The operating system's noise, noted."""

        def share(self, plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
            share = OsNoise().share(plan, lengths, honest)
            taken = b"".join(np.ascontiguousarray(each).tobytes() for each in share.blocks.values())
            shares.append((plan.name, hashlib.sha256(taken).hexdigest()))
            return share

    parties = with_bank(federation, lambda bank: replace(bank, noise=Counted()))
    watch = Watch(parties, monkeypatch)
    run(parties)
    names = [rounds[i].name for i in sorted(local)]
    assert [name for name, _ in shares if name in names] == [name for name in names for _ in range(steps)]
    assert len({digest for _, digest in shares}) == len(shares)
    assert len([index for index, _ in watch.seen if index in local]) == 3 * len(local) * steps
    drawn_anew(watch, local)
