"""Void attempts are paid for, so they stand in the price that a report tells of a run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from kits.parties import Parties, federation_of

from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.server.rounds import run_study
from ringfence.simulations.reporting import epsilon_of_run


def test_the_price_of_a_run_counts_every_attempt(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    opened, price = parties.federation.opened, parties.federation.price()
    parties.wire.lose_once("partner", 1)
    release = run_study(parties.federation.coordinator, opened, parties.wire)
    assert release.attempts == (1, 2, *[1] * (len(opened.plan.rounds) - 2))
    plan, delta = opened.plan, float(opened.study.privacy.delta)

    def by_hand(attempts: tuple[int, ...]) -> float:
        blocks = [
            (count, block.sensitivity_squared / (plan.honest * block.share_scale**2 - 4))
            for count, each in zip(attempts, plan.rounds, strict=True)
            if each.part == "train"
            for block in each.blocks
        ]
        cohort = plan.cohort.sensitivity_squared / (plan.cohort.share_scale**2 - 4)
        return epsilon_of(delta, math.sqrt(cohort + sum(count * mu2 for count, mu2 in blocks)))

    told = epsilon_of_run(price, plan, release.attempts)
    assert told == pytest.approx(by_hand(release.attempts), rel=1e-4)
    assert told > 1.05 * by_hand((1,) * len(plan.rounds))
    for holder in parties.holders.values():
        assert holder.ledger.charged().epsilon == pytest.approx(told, rel=1e-4)
