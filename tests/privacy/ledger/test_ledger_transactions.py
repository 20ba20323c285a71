"""A ledger asked inside somebody's transaction: it sees what is not committed yet, and holds others off."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from kits.ledger_support import STUDY, TableJournal, new_ledger, reopen
from sqlalchemy import Connection, Engine

from ringfence.privacy.ledger import Ledger, Reservation, chain
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

OTHER = "sha256:" + "6" * 64
BLOCK = BlockPlan(name="b", sensitivity_squared=1, max_abs=1, share_scale=50.0, max_length=1)
PLAN = StudyPlan(honest=1, cohort=BLOCK, rounds=(RoundPlan(name="r", blocks=(BLOCK,)),), max_attempts=1)


@pytest.fixture
def engine() -> Engine:
    return open_store(None)


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return new_ledger(engine)[0]


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The transactions that held the ledger."""
    found: list[Connection] = []
    monkeypatch.setattr(chain, "lock", found.append)
    return found


def spend(ledger: Ledger, reservation: Reservation, own: Connection) -> None:
    with ledger.release(
        reservation, run="r", round=0, attempt=1, mu_squared=Decimal("0.01"), connection=own
    ) as same:
        assert same is own


def test_what_is_not_committed_counts_inside_and_is_forgotten_outside(
    engine: Engine, ledger: Ledger, locked: list[Connection]
) -> None:
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    before = ledger.head()
    locked.clear()
    with suppress(KeyError), engine.begin() as own:
        spend(ledger, reservation, own)
        assert locked == [own]
        assert ledger.head(own).sequence == before.sequence + 1
        (inside,) = ledger.reservations(own)
        assert (inside.attempts, inside.released["mu2"]) == ({("r", 0, 1)}, Decimal("0.01"))
        ledger.commit(reservation, connection=own)
        assert ledger.reservations(own) == ()
        assert ledger.reserved_before(STUDY, own)
        assert not ledger.reserved_before(OTHER, own)
        # What is asked in a transaction is held until it ends; the head alone is only read.
        assert locked == [own] * 6
        raise KeyError
    assert ledger.head() == before
    assert ledger.reservations() == (reservation,)
    assert ledger.charged().mu_squared == 0
    assert reopen(engine).head() == before


def test_reading_alone_holds_nobody_off(ledger: Ledger, locked: list[Connection]) -> None:
    ledger.head()
    ledger.reservations()
    ledger.entries()
    ledger.statement()
    assert not ledger.reserved_before(STUDY)
    assert locked == []


def test_a_premise_is_asked_in_the_transaction_that_reserves(
    engine: Engine, locked: list[Connection]
) -> None:
    ledger, journal = new_ledger(engine)
    locked.clear()
    asked: list[Connection] = []

    def holds(connection: Connection) -> None:
        asked.append(connection)
        assert ledger.reserved_before(STUDY, connection), "its own entry stands in the transaction"

    reservation = ledger.reserve_plan(STUDY, PLAN, holds)
    assert len(asked) == 1
    assert locked == asked * 2
    assert ledger.reservations() == (reservation,)
    before, told = ledger.head(), journal.actions()

    def fails(_connection: Connection) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        ledger.reserve_plan(OTHER, PLAN, fails)
    assert ledger.head() == before
    assert not ledger.reserved_before(OTHER)
    assert journal.actions() == told


def test_a_charge_of_the_callers_that_is_committed_stands(engine: Engine, ledger: Ledger) -> None:
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    with engine.begin() as own:
        spend(ledger, reservation, own)
    assert ledger.charged().mu_squared == Decimal("0.01")
    assert TableJournal(engine).actions()[-1] == "budget.charged"
