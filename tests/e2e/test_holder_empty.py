"""A holder without one customer left answers like any other: that nobody is there shows nowhere exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.parties import Parties, federation_of

from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.waist import RoundPlan
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import run_study

ASKED: dict[str, dict[str, Any]] = {
    "scorecard": {"model": {"iterations": 1}},
    "scorecard with offsets": {"model": {"iterations": 1, "offsets": "holder"}},
    "network": {"task": "mlp", "model": {"rounds": 2, "hidden": [2], "sampling_rate": "1/2"}},
    "local steps": {
        "task": "mlp",
        "model": {"rounds": 2, "hidden": [2], "local_steps": 2, "personal": "1"},
        "privacy": {"noise": "local"},
    },
}


class _Generous:
    """A test's noise: the operating system's, but the cohort count comes out large."""

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        if round_plan.name != "cohort":
            return share
        return replace(share, blocks={"cohort": np.array([10**6], dtype=np.int64)})


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("when", ["before the join", "after it"])
def test_a_holder_nobody_is_left_at_answers_every_round(
    tmp_path: Path, asked: dict[str, Any], when: str
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=120, **asked), noise=lambda _name: _Generous())
    bank = parties.holders["bank"]

    def leave() -> None:
        keys = [f"bank-{number}" for number in range(120)]
        bank.registry.withdraw(keys, "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC))

    def gone(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (name, header.kind, header.round, header.attempt) == ("bank", MessageKind.ROUND_CALL, 0, 0):
            leave()
        return message

    if when == "before the join":
        leave()
    else:
        parties.wire.on_message = gone
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    kinds = {read_header(reply).kind for name, _, reply in parties.wire.sent if name == "bank"}
    assert kinds == {"join", "roster-echo", "masked-update", "cosigned", "done"}
    sent = parties.actions("bank").count(("waist.send", "allow"))
    assert sent == len(parties.federation.opened.plan.rounds)
    assert parties.said["bank"] == []
