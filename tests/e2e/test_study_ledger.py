"""What a whole run leaves in its holders' ledgers: the plan's price by part, also at Renyi orders for a
sampled study.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from kits.parties import Parties, federation_of

from ringfence.privacy.accounting.composition import composition
from ringfence.privacy.accounting.renyi import renyi
from ringfence.privacy.ledger.parts import dearest
from ringfence.server.rounds import run_study

NETWORK = {"rounds": 3, "hidden": [4], "sampling_rate": "0.25"}


def test_a_sampled_study_is_charged_at_renyi_orders(tmp_path: Path) -> None:
    federation = federation_of(tmp_path, task="mlp", model=NETWORK)
    plan = federation.opened.plan
    assert plan.sampled
    parties = Parties.of(federation)
    run_study(federation.coordinator, federation.opened, parties.wire)
    for holder in parties.holders.values():
        ledger = holder.ledger
        assert ledger.terms()["filter"] == "rdp"
        assert ledger.reservations() == ()
        lines = ledger.statement()
        assert [line.part for line in lines] == ["both", *(each.part for each in plan.rounds)]
        orders = [Decimal(axis.removeprefix("rdp:")) for axis in ledger.quote(plan).amounts]
        once = [1] * len(plan.rounds)
        expected = dearest(
            {
                part: {f"rdp:{o}": each for o, each in renyi(composition(plan, part, once), orders).items()}
                for part in ("train", "test")
            }
        )
        reserved = ledger.quote(plan).amounts
        found = ledger.charged()
        least = min(2 * expected[f"rdp:{o}"] / o for o in orders)
        assert found.mu_squared == pytest.approx(least, rel=Decimal("1e-9"))
        assert all(expected[axis] < reserved[axis] for axis in expected), (
            "two attempts were reserved, one was made"
        )
        assert found.epsilon < ledger.after(ledger.quote(plan)).epsilon


def test_a_scorecard_with_its_evaluation_costs_the_dearer_part(tmp_path: Path) -> None:
    federation = federation_of(tmp_path)
    plan = federation.opened.plan
    assert plan.of_part("test"), "the study evaluates its model"
    parties = Parties.of(federation)
    run_study(federation.coordinator, federation.opened, parties.wire)
    for holder in parties.holders.values():
        charged = float(holder.ledger.charged().mu_squared)
        assert charged == pytest.approx(plan.mu_squared, rel=1e-9)
        everything = plan.cohort.mu_squared(1) + sum(each.mu_squared(plan.honest) for each in plan.rounds)
        assert charged < everything
