"""Renyi prices of discrete Laplace releases against sums over the law, and their charges to a ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from itertools import product

import mpmath
import pytest
from dp_accounting.dp_event import (
    ComposedDpEvent,
    DiscreteLaplaceDpEvent,
    GaussianDpEvent,
    SelfComposedDpEvent,
)
from kits.ledger_support import DELTA, STUDY, TableJournal

from ringfence.privacy.accounting.filters import RDP_ORDERS, FilterName, rdp_axis, rdp_budget
from ringfence.privacy.accounting.pld import epsilon_of_plan, renyi_of_plan
from ringfence.privacy.accounting.renyi import laplace_renyi
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.mechanisms import laplace
from ringfence.privacy.stores.store import open_store

PARAMETERS = [Decimal(text) for text in ("8", "1", "0.25", "0.05")]
CASES = list(product(PARAMETERS, (1, 2, 5), map(Decimal, ("1.5", "2", "6", "128"))))
Price = Callable[[Decimal, int, Decimal], Decimal | float]


@lru_cache
def divergence(parameter: Decimal, shift: int, order: Decimal) -> Decimal:
    """Renyi divergence between the law and the law moved by `shift`: a sum over the integers, 40 digits.

    Mass and ratio fall like exp(-parameter |x|) on both sides, so what is left out is below exp(-100).
    """
    with mpmath.workdps(40):
        t, a = mpmath.mpf(str(parameter)), mpmath.mpf(str(order))
        reach = int(100 / t) + 1
        terms = (
            mpmath.exp(-t * (a * abs(x) + (1 - a) * abs(x - shift))) for x in range(-reach, reach + shift)
        )
        found = mpmath.log(mpmath.fsum(terms) * mpmath.tanh(t / 2)) / (a - 1)
        return Decimal(mpmath.nstr(found, 30))


def continuous(parameter: Decimal, sensitivity: int, order: Decimal) -> float:
    """Mironov (2017), proposition 6: the price of the continuous law of that scale."""
    a, epsilon = float(order), float(parameter) * sensitivity
    shrunk = a / (2 * a - 1) + (a - 1) / (2 * a - 1) * math.exp((1 - 2 * a) * epsilon)
    return epsilon + math.log(shrunk) / (a - 1)


def quadratic(parameter: Decimal, sensitivity: int, order: Decimal) -> float:
    """`a epsilon^2 / 4`, that of a Gaussian of the same variance."""
    return float(order) * (float(parameter) * sensitivity) ** 2 / 4


def understated(price: Price) -> list[tuple[Decimal, int, Decimal]]:
    """The cases in which a price is below the divergence."""
    return [case for case in CASES if Decimal(price(*case)) < divergence(*case)]


def test_the_price_is_the_divergence_rounded_up() -> None:
    assert understated(laplace_renyi) == []
    for case in CASES:
        assert laplace_renyi(*case) <= divergence(*case) + Decimal("1.1e-20"), case


@pytest.mark.parametrize(
    "price", [continuous, quadratic, lambda *case: laplace_renyi(*case) * (1 - Decimal("1e-16"))]
)
def test_understated_prices_are_noticed(price: Price) -> None:
    assert understated(price)


def test_the_continuous_price_is_too_low_everywhere() -> None:
    assert understated(continuous) == CASES
    assert continuous(Decimal(1), 1, Decimal("1.5")) < 0.82 * float(
        laplace_renyi(Decimal(1), 1, Decimal("1.5"))
    )


def test_a_change_spread_over_entries_costs_no_more() -> None:
    for parameter, order in product(PARAMETERS, RDP_ORDERS):
        by_size = [Decimal(0)] + [laplace_renyi(parameter, size, order) for size in range(1, 9)]
        for left, right in product(range(5), repeat=2):
            assert by_size[left] + by_size[right] <= by_size[left + right] + Decimal("2e-20")


def test_extremes_stay_between_zero_and_pure_privacy() -> None:
    for parameter, sensitivity in ((Decimal(2) ** -21, 1), (Decimal(2) ** -21, 1 << 30), (Decimal(8), 10**9)):
        for order in RDP_ORDERS:
            assert 0 < laplace_renyi(parameter, sensitivity, order) <= parameter * sensitivity


def test_events_of_a_draw_have_a_price_also_among_others() -> None:
    noise = laplace.draw(4, 10, sensitivity=3)
    alone = renyi_of_plan(noise.event, RDP_ORDERS)
    assert alone[Decimal(2)] == pytest.approx(float(divergence(Decimal("0.25"), 3, Decimal(2))), rel=1e-11)
    assert epsilon_of_plan(noise.event, 1e-9) == pytest.approx(0.75, rel=1e-3)
    both = renyi_of_plan(
        ComposedDpEvent([SelfComposedDpEvent(noise.event, 5), GaussianDpEvent(2.0)]), RDP_ORDERS
    )
    for order in RDP_ORDERS:
        assert both[order] == pytest.approx(5 * alone[order] + float(order) / 8, rel=1e-12)


@contextmanager
def ledger_of(filter: FilterName) -> Iterator[Ledger]:
    engine = open_store(None)
    journal = TableJournal(engine)
    yield Ledger.create(
        engine, population="p", epsilon=Decimal(2), delta=DELTA, journal=journal, filter=filter
    )
    engine.dispose()


def test_an_rdp_ledger_takes_laplace_releases_until_its_best_order_is_spent() -> None:
    price = renyi_of_plan(laplace.draw(32, 1).event, RDP_ORDERS)
    budget = rdp_budget(Decimal(2), DELTA)
    most = max(int(float(budget[rdp_axis(order)]) / each) for order, each in price.items())
    assert most > 2 * 32, "pure privacy alone allows two epsilon in parts of 1/32"
    with ledger_of("rdp") as ledger:
        for _ in range(most):
            reservation = ledger.reserve(STUDY, 0, renyi=price)
            with ledger.release(reservation, run="r", round=0, attempt=1, mu_squared=0, renyi=price):
                pass
            ledger.commit(reservation)
        with pytest.raises(BudgetError, match="RF-B303"):
            ledger.reserve(STUDY, 0, renyi=price)


def test_a_gdp_ledger_takes_none() -> None:
    price = renyi_of_plan(laplace.draw(32, 1).event, RDP_ORDERS)
    with ledger_of("gdp") as ledger, pytest.raises(BudgetError, match="RF-B318"):
        ledger.reserve(STUDY, 0, renyi=price)


@pytest.mark.parametrize(
    "event",
    [
        DiscreteLaplaceDpEvent(0.0, 1),
        DiscreteLaplaceDpEvent(math.nan, 1),
        DiscreteLaplaceDpEvent(math.inf, 1),
        DiscreteLaplaceDpEvent(1.0, -1),
        SelfComposedDpEvent(DiscreteLaplaceDpEvent(1.0, 1), -1),
    ],
)
def test_events_that_are_none_have_no_price(event: DiscreteLaplaceDpEvent) -> None:
    with pytest.raises(BudgetError, match="RF-B211"):
        renyi_of_plan(event, RDP_ORDERS)


@pytest.mark.parametrize("parameter", ["9e-16", "1e-30", "1e-61", "1e-300"])
def test_next_to_no_information_has_a_price_all_the_same(parameter: str) -> None:
    found = laplace_renyi(Decimal(parameter), 3, Decimal("1.5"))
    assert found >= 3 * Decimal(parameter)
