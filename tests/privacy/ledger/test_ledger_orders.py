"""A ledger at Renyi orders, where an amount is another mu squared on every order: which is told where."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from kits.ledger_support import DELTA, STUDY, TWO, TableJournal, refused
from sqlalchemy import Engine

from ringfence.privacy.accounting.filters import RDP_ORDERS, rdp_epsilon
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import Balance, Ledger, Quote
from ringfence.privacy.ledger.planned import raised
from ringfence.privacy.ledger.terms import below_the_most
from ringfence.privacy.stores.store import open_store

# Half of it is a divergence of 0.064 at every order: mu squared 0.128 / order.
FLAT = Decimal("0.064")
LEAST, MOST = Decimal("0.001"), Decimal("0.128") / Decimal("1.5")
AT_ORDERS = dict.fromkeys(RDP_ORDERS, FLAT)


@pytest.fixture
def stored() -> Engine:
    return open_store(None)


@pytest.fixture
def journal(stored: Engine) -> TableJournal:
    return TableJournal(stored)


@pytest.fixture
def ledger(stored: Engine, journal: TableJournal) -> Ledger:
    return Ledger.create(
        stored, population="p", epsilon=Decimal(4), delta=DELTA, journal=journal, filter="rdp"
    )


def near(value: Decimal) -> object:
    return pytest.approx(value, rel=Decimal("2e-12"), abs=0)


def test_a_price_is_told_where_it_is_most_and_counted_where_it_is_least(
    ledger: Ledger, journal: TableJournal
) -> None:
    reservation = ledger.reserve(STUDY, 0, renyi=AT_ORDERS)
    assert reservation.amounts == {f"rdp:{order}": FLAT * (1 + Decimal("1e-12")) for order in RDP_ORDERS}
    assert reservation.mu_squared == near(LEAST)
    assert Decimal(str(journal.told()[-1][1]["mu_squared"])) == near(MOST)
    assert ledger.spent().mu_squared == ledger.reserved().mu_squared == near(LEAST)
    with ledger.release(reservation, run="r", round=0, attempt=0, mu_squared=0, renyi=AT_ORDERS):
        pass
    assert Decimal(str(journal.told()[-1][1]["mu_squared"])) == near(MOST)
    assert reservation.released == dict.fromkeys(reservation.amounts, Decimal(0))
    assert ledger.charged().mu_squared == ledger.statement()[-1].cost == LEAST
    amounts = {f"rdp:{order}": FLAT for order in RDP_ORDERS}
    assert ledger.charged().epsilon == ledger.statement()[-1].total.epsilon == rdp_epsilon(amounts, DELTA)


def test_what_is_left_is_told_on_the_order_that_leaves_most(ledger: Ledger) -> None:
    before, orders = ledger.left().mu_squared, {f"rdp:{order}": order for order in RDP_ORDERS}
    budget = {
        axis: Decimal(text)
        for axis, text in ledger.entries()[0].fields["budget"].items()  # type: ignore[union-attr]
    }
    assert before == max(2 * amount / orders[axis] for axis, amount in budget.items())
    ledger.top_up(TWO, epsilon=Decimal(5), reason="board")
    added = {
        axis: Decimal(text)
        for axis, text in ledger.entries()[-1].fields["amounts"].items()  # type: ignore[union-attr]
    }
    assert ledger.statement()[-1].cost == max(2 * amount / orders[axis] for axis, amount in added.items())


def test_prices_are_at_the_orders_of_the_ledger_and_at_no_others(ledger: Ledger) -> None:
    for wrong in (
        {Decimal(2): FLAT},
        AT_ORDERS | {Decimal(5): FLAT},
        dict.fromkeys(RDP_ORDERS[1:], FLAT),
    ):
        assert refused(lambda prices=wrong: ledger.reserve(STUDY, 0, renyi=prices)) == "RF-B319"


def test_what_is_missing_after_a_restore_costs_its_mu_squared_at_every_order(ledger: Ledger) -> None:
    ledger.freeze("restored")
    ledger.thaw(TWO, missing_mu_squared=Decimal("0.02"), reason="counted")
    assert ledger.charged().mu_squared == ledger.statement()[-1].cost == Decimal("0.02")


def test_a_reservation_takes_a_hair_more_than_its_parts_may_come_to() -> None:
    assert raised(Decimal("0.5")) == Decimal("0.5") + Decimal("5e-13")
    assert raised(Decimal("0.5"), Fraction(1, 2)) == Decimal("0.75")


def test_a_quote_is_told_as_exact_texts_and_costs_the_dearer_part() -> None:
    quote = Quote(
        limits={"train": {"mu2": Decimal("0.50")}, "test": {"mu2": Decimal("0.125")}},
        epsilon_slack=0.0,
        delta_slack=0.0,
    )
    assert quote.as_texts() == {"train": {"mu2": "0.5"}, "test": {"mu2": "0.125"}}
    assert quote.amounts == {"mu2": Decimal("0.5")}
    assert quote.mu_squared == Decimal("0.5")
    limits = {part: dict.fromkeys(("rdp:2", "rdp:4"), FLAT) for part in ("train", "test")}
    flat = Quote(limits=limits, epsilon_slack=0.0, delta_slack=0.0)  # type: ignore[arg-type]
    assert flat.mu_squared == FLAT / 2


@pytest.mark.parametrize(("epsilon", "fits"), [(64.0, True), (64.00001, False), (float("nan"), False)])
def test_a_budget_holds_up_to_the_most_and_no_more(epsilon: float, fits: bool) -> None:
    whole = Balance(mu_squared=Decimal(1), delta=DELTA, epsilon=epsilon)
    if fits:
        below_the_most(whole)
    else:
        with pytest.raises(BudgetError, match="RF-B500"):
            below_the_most(whole)
