"""The ledger's rules on every kind of store: reserve, release, commit, refuse."""

from __future__ import annotations

import math
import threading
from decimal import Decimal
from typing import cast

import pytest
from kits.journal_kit import Notebook
from kits.ledger_support import (
    DELTA,
    EPSILON,
    STUDY,
    TableJournal,
    charge,
    new_ledger,
    refused,
    reopen,
)
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine

from ringfence.privacy.accounting.filters import FilterName
from ringfence.privacy.accounting.gaussian import epsilon_of, mu_of
from ringfence.privacy.errors import BudgetError, StoreError
from ringfence.privacy.ledger import Ledger, Reservation
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.store import open_store, profile


def test_a_study_from_reservation_to_commit(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    whole = ledger.left().mu_squared
    reservation = ledger.reserve(STUDY, Decimal("0.2"))
    assert reservation.mu_squared == ledger.spent().mu_squared >= Decimal("0.2")
    charge(ledger, reservation, "0.05", 1)
    charge(ledger, reservation, "0.05", 2)
    assert ledger.charged().mu_squared == Decimal("0.1")
    assert ledger.spent().mu_squared == reservation.mu_squared
    ledger.commit(reservation)
    assert ledger.spent().mu_squared == ledger.charged().mu_squared == Decimal("0.1")
    assert ledger.left().mu_squared == whole - Decimal("0.1")
    assert ledger.reservations() == ()
    assert refused(lambda: charge(ledger, reservation, "0.01", 3)) == "RF-B309"
    assert refused(lambda: ledger.commit(reservation)) == "RF-B309"
    assert journal.actions() == [
        "budget.created",
        "budget.reserved",
        "budget.charged",
        "budget.charged",
        "budget.closed",
        "budget.refused",
        "budget.refused",
    ]
    assert reopen(engine).spent() == ledger.spent()


def test_balances_as_epsilon(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    assert ledger.left().epsilon == pytest.approx(float(EPSILON), rel=1e-4)
    assert ledger.left().epsilon <= EPSILON
    assert ledger.left().delta == DELTA
    ledger.reserve(STUDY, 0.1)
    assert ledger.spent().epsilon == pytest.approx(epsilon_of(float(DELTA), math.sqrt(0.1)), rel=1e-6)


def test_over_budget_is_refused_and_told(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    whole = ledger.left().mu_squared
    assert refused(lambda: ledger.reserve(STUDY, whole + Decimal("1e-20"))) == "RF-B303"
    action, outcome, resource, public = journal.last()
    assert (action, outcome, resource, public["code"]) == (
        "budget.refused",
        "deny",
        f"study:{STUDY}",
        "RF-B303",
    )
    ledger.reserve(STUDY, whole * Decimal("0.6"))
    # The first study counts as spent before it has released anything.
    assert refused(lambda: ledger.reserve("sha256:other", whole * Decimal("0.6"))) == "RF-B303"
    assert ledger.left().mu_squared == pytest.approx(whole * Decimal("0.4"), rel=Decimal("1e-9"))


def test_a_reservation_covers_its_parts_in_floats(engine: Engine) -> None:
    """A total as one float, its parts as others: the last attempt must not fail for a rounding."""
    ledger, _ = new_ledger(engine)
    parts = [0.1 / 3, 0.7 / 11, 1 / 97, 0.1 / 7]
    reservation = ledger.reserve(STUDY, math.fsum(parts))
    for attempt, part in enumerate(parts):
        with ledger.release(reservation, run="r", round=0, attempt=attempt, mu_squared=part):
            pass
    assert ledger.charged().mu_squared >= sum(Decimal(part) for part in parts)


def test_more_than_reserved_or_twice_is_refused(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    charge(ledger, reservation, "0.06")
    assert refused(lambda: charge(ledger, reservation, "0.01")) == "RF-B305"
    assert refused(lambda: charge(ledger, reservation, "0.05", 2)) == "RF-B306"
    charge(ledger, reservation, "0.04", 2)
    assert ledger.charged().mu_squared == Decimal("0.1")


def test_the_callers_event_and_the_charge_stand_or_fall_together(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))

    def send(fail: bool) -> None:
        with ledger.release(
            reservation, run="r", round=0, attempt=1, mu_squared=Decimal("0.1")
        ) as connection:
            journal.record("waist.send", "allow", resource="study:x", connection=connection)
            if fail:
                raise KeyError

    with pytest.raises(KeyError):
        send(True)
    assert ledger.charged().mu_squared == 0
    assert "waist.send" not in journal.actions()
    send(False)
    assert ledger.charged().mu_squared == Decimal("0.1")
    assert journal.actions()[-2:] == ["budget.charged", "waist.send"]


def test_a_charge_in_the_callers_transaction(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))

    def attempt(number: int, fail: bool) -> None:
        with (
            engine.begin() as own,
            ledger.release(
                reservation, run="r", round=0, attempt=number, mu_squared=Decimal("0.05"), connection=own
            ) as same,
        ):
            assert same is own
            if fail:
                raise KeyError

    with pytest.raises(KeyError):
        attempt(1, True)
    assert ledger.charged().mu_squared == 0
    attempt(1, False)
    assert ledger.charged().mu_squared == Decimal("0.05")
    assert refused(lambda: attempt(1, False)) == "RF-B305"
    attempt(2, False)
    assert journal.actions().count("budget.charged") == 2


def test_a_journal_that_fails_stops_the_spending(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, _ = new_ledger(engine)

    def fail(*_: object, **__: object) -> int:
        raise OSError("no log")

    monkeypatch.setattr(TableJournal, "record", fail)
    with pytest.raises(OSError, match="no log"):
        ledger.reserve(STUDY, Decimal("0.1"))
    assert ledger.spent().mu_squared == 0


def test_entries_hold_exact_decimals_and_no_floats(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    ledger.reserve(STUDY, 0.1)
    created, reserved = ledger.entries()
    assert (created.kind, reserved.kind) == ("created", "reserved")
    assert created.fields["population"] == "cards"
    amounts = reserved.fields["amounts"]
    assert isinstance(amounts, dict)
    assert Decimal(amounts["mu2"]) > Decimal("0.1")
    assert len(amounts["mu2"]) <= 22
    assert ledger.terms()["epsilon"] == "4"


def test_slack_of_sampling_is_counted(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    ledger.reserve(STUDY, Decimal("0.1"), epsilon_slack=1e-25, delta_slack=1e-40)
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.1"), epsilon_slack=1e-3)) == "RF-B304"
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.1"), delta_slack=1e-9)) == "RF-B304"


def test_renyi_filter(engine: Engine) -> None:
    journal = TableJournal(engine)
    ledger = Ledger.create(
        engine, population="p", epsilon=Decimal(4), delta=DELTA, journal=journal, filter="rdp"
    )
    left = ledger.left().mu_squared
    assert 0 < left < Decimal(mu_of(4.0, float(DELTA)) ** 2)
    reservation = ledger.reserve(STUDY, left * Decimal("0.9"))
    charge(ledger, reservation, "0.01")
    assert refused(lambda: ledger.reserve(STUDY, left * Decimal("0.2"))) == "RF-B303"
    assert refused(lambda: ledger.reserve(STUDY, 0, renyi={Decimal(2): 0.1})) == "RF-B319"
    orders = [Decimal(axis.removeprefix("rdp:")) for axis in reservation.amounts]
    steps = ledger.reserve(STUDY, 0, renyi={order: order * Decimal("0.001") for order in orders})
    with ledger.release(
        steps, run="r", round=0, attempt=1, mu_squared=0, renyi={o: o * Decimal("0.001") for o in orders}
    ):
        pass
    ledger.commit(reservation)
    ledger.commit(steps)
    assert ledger.spent() == ledger.charged()
    assert ledger.spent().mu_squared == pytest.approx(Decimal("0.012"), rel=Decimal("1e-9"))


def test_a_gaussian_ledger_takes_gaussian_events_only(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    assert refused(lambda: ledger.reserve(STUDY, 0, renyi={Decimal(2): 0.1})) == "RF-B318"


def test_made_once_and_not_opened_before(engine: Engine) -> None:
    journal = TableJournal(engine)
    assert refused(lambda: Ledger.open(engine, journal)) == "RF-B311"
    ledger, _ = new_ledger(engine)
    ledger.reserve(STUDY, Decimal("0.1"))
    assert refused(lambda: new_ledger(engine)) == "RF-B322"
    assert ledger.spent().mu_squared > 0


def test_a_study_is_known_again_also_when_its_reservation_is_closed() -> None:
    ledger, _ = new_ledger(open_store(None))
    assert not ledger.reserved_before(STUDY)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    charge(ledger, reservation, "0.1")
    assert ledger.reserved_before(STUDY)
    assert not ledger.reserved_before(STUDY[:-1] + "6")
    ledger.commit(reservation)
    assert ledger.reserved_before(STUDY)


@pytest.mark.parametrize(("epsilon", "delta"), [("64", "0.01"), ("64", "1e-100"), ("1e-3", "0.01")])
def test_the_ends_of_what_a_budget_may_be(epsilon: str, delta: str) -> None:
    ledger = Ledger.create(
        open_store(None),
        population="p",
        epsilon=Decimal(epsilon),
        delta=Decimal(delta),
        journal=Notebook(),
    )
    assert ledger.terms() == {
        "population": "p",
        "filter": "gdp",
        "epsilon": f"{Decimal(epsilon):f}",
        "delta": f"{Decimal(delta):f}",
    }


def test_an_epsilon_with_more_digits_than_an_entry_holds_makes_no_budget() -> None:
    threes = "3" * 401
    for epsilon, delta in ((Decimal(f"1.{threes}"), DELTA), (Decimal(1), Decimal(f"0.00{threes}"))):
        create = lambda e=epsilon, d=delta: Ledger.create(  # noqa: E731
            open_store(None), population="p", epsilon=e, delta=d, journal=Notebook()
        )
        assert refused(create) == "RF-B205"


@pytest.mark.parametrize("length", [1, 1000])
def test_the_ends_of_a_text(length: int) -> None:
    ledger, _ = new_ledger(open_store(None))
    ledger.freeze("x" * length)
    assert ledger.frozen() == "x" * length
    assert refused(lambda: ledger.freeze("x" * 1001)) == "RF-B321"
    assert refused(lambda: ledger.freeze(" \n")) == "RF-B321"


@pytest.mark.parametrize(
    ("epsilon", "delta", "name", "population", "code"),
    [
        ("0", "1e-6", "gdp", "p", "RF-B314"),
        ("65", "1e-6", "gdp", "p", "RF-B314"),
        ("1", "0", "gdp", "p", "RF-B315"),
        ("1", "1", "gdp", "p", "RF-B315"),
        ("1", "1e-6", "pld", "p", "RF-B316"),
        ("0.001", "1e-30", "rdp", "p", "RF-B317"),
        ("1", "1e-6", "gdp", "", "RF-B321"),
        ("1", "1e-6", "gdp", "p" * 2000, "RF-B321"),
    ],
)
def test_bad_terms(epsilon: str, delta: str, name: str, population: str, code: str) -> None:
    engine = open_store(None)

    def create() -> None:
        Ledger.create(
            engine,
            population=population,
            epsilon=Decimal(epsilon),
            delta=Decimal(delta),
            journal=TableJournal(engine),
            filter=cast(FilterName, name),
        )

    assert refused(create) == code
    engine.dispose()


@pytest.mark.parametrize("amount", [-0.1, math.nan, math.inf, Decimal("-1"), Decimal("NaN")])
def test_bad_amounts(amount: float | Decimal) -> None:
    engine = open_store(None)
    ledger, _ = new_ledger(engine)
    assert refused(lambda: ledger.reserve(STUDY, amount)) == "RF-B205"
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    assert (
        refused(
            lambda: ledger.release(reservation, run="r", round=0, attempt=1, mu_squared=amount).__enter__()
        )
        == "RF-B205"
    )
    engine.dispose()


def test_postgresql_store_is_checked_and_leased(postgresql: str) -> None:
    with postgresql_database(postgresql) as url:
        first, second = open_store(url), open_store(url)
        assert profile(first) == "postgresql"
        with lease(first), pytest.raises(StoreError) as error, lease(second):
            pass
        assert error.value.code == "RF-B120"
        with lease(second):
            pass
        with first.begin() as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        first.dispose()
        second.dispose()
        with pytest.raises(StoreError) as error:
            open_store(url)
        assert error.value.code == "RF-B112"


def test_threads_cannot_overspend_together(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    whole = ledger.left().mu_squared
    part = whole * 2 / 21  # ten fit, an eleventh does not
    made: list[Reservation] = []
    refusals: list[str] = []

    def spend() -> None:
        for _ in range(4):
            try:
                made.append(ledger.reserve(STUDY, part))
            except BudgetError as error:
                refusals.append(error.code)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len({reservation.id for reservation in made}) == 10
    assert refusals == ["RF-B303"] * 6
    assert ledger.spent().mu_squared <= whole
