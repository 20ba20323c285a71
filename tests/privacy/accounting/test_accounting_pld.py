"""Sampled plans: the published figures, and that no accountant claims less than another proves."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from dp_accounting.dp_event import GaussianDpEvent, UnsupportedDpEvent
from kits.ledger_support import DELTA, STUDY, TableJournal

from ringfence.privacy.accounting.filters import RDP_ORDERS
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.accounting.pld import epsilon_of_plan, renyi_of_plan, sampled_gaussian
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.stores.store import open_store

PLAN = sampled_gaussian(0.01, 1.0, 1000)


def test_published_figures() -> None:
    """Poisson q .01, sigma 1, 1000 steps, delta 1e-6."""
    assert epsilon_of_plan(PLAN, 1e-6) == pytest.approx(2.1245, abs=5e-4)
    orders = [Decimal(order) / 10 for order in range(11, 640)]
    best = min(
        divergence + math.log1p(-1 / float(a)) - math.log(float(a) * 1e-6) / (float(a) - 1)
        for a, divergence in renyi_of_plan(PLAN, orders).items()
    )
    assert best == pytest.approx(2.4367, abs=2e-3)


def test_without_sampling_it_is_the_gaussian_price() -> None:
    found = epsilon_of_plan(sampled_gaussian(1.0, 12.0, 10), 1e-6)
    assert found == pytest.approx(epsilon_of(1e-6, math.sqrt(10) / 12), abs=1e-3)
    divergences = renyi_of_plan(GaussianDpEvent(2.0), RDP_ORDERS)
    assert all(each == pytest.approx(float(order) / 8) for order, each in divergences.items())


def test_a_renyi_ledger_takes_a_sampled_plan() -> None:
    engine = open_store(None)
    ledger = Ledger.create(
        engine,
        population="p",
        epsilon=Decimal(4),
        delta=DELTA,
        journal=TableJournal(engine),
        filter="rdp",
    )
    reservation = ledger.reserve(STUDY, 0, renyi=renyi_of_plan(PLAN, RDP_ORDERS))
    step = renyi_of_plan(sampled_gaussian(0.01, 1.0, 1), RDP_ORDERS)
    for number in range(3):
        with ledger.release(reservation, run="r", round=number, attempt=1, mu_squared=0, renyi=step):
            pass
    with pytest.raises(BudgetError, match="RF-B303"):
        ledger.reserve(STUDY, 0, renyi=renyi_of_plan(sampled_gaussian(0.01, 0.6, 1000), RDP_ORDERS))
    engine.dispose()


@pytest.mark.parametrize(
    ("rate", "noise", "steps"),
    [
        (0.0, 1.0, 1),
        (1.1, 1.0, 1),
        (0.1, 0.0, 1),
        (0.1, math.nan, 1),
        (0.1, math.inf, 1),
        (0.1, 1.0, 0),
    ],
)
def test_plans_without_a_price(rate: float, noise: float, steps: int) -> None:
    with pytest.raises(BudgetError, match="RF-B210"):
        sampled_gaussian(rate, noise, steps)


def test_unknown_events_are_refused() -> None:
    with pytest.raises(BudgetError, match="RF-B211"):
        epsilon_of_plan(UnsupportedDpEvent(), 1e-6)
    with pytest.raises(BudgetError, match="RF-B211"):
        renyi_of_plan(UnsupportedDpEvent(), RDP_ORDERS)
    with pytest.raises(BudgetError, match="RF-B204"):
        epsilon_of_plan(PLAN, 0.0)
