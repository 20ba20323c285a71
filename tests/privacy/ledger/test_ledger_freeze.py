"""What stops a ledger and what two people may do: freeze, thaw, top up, older copies, an altered chain."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Self

import pytest
from kits.journal_kit import Notebook
from kits.ledger_support import (
    STUDY,
    TWO,
    charge,
    forge,
    new_ledger,
    refused,
    reopen,
)
from sqlalchemy import Engine, text

from ringfence.privacy.accounting.filters import FilterName
from ringfence.privacy.ledger import HeadMarks, Ledger
from ringfence.privacy.ledger import chain as chain_module
from ringfence.privacy.stores.store import open_store

MARKS, OTHER = (HeadMarks.of(b"secret of the home" * 2, log) for log in ("bank/one", "bank/two"))


def test_freeze_until_two_people_thaw(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    ledger.freeze("restored from a backup")
    other = reopen(engine)
    assert other.frozen() == "restored from a backup"
    for call in (
        lambda: other.reserve(STUDY, Decimal("0.1")),
        lambda: charge(other, reservation, "0.1"),
        lambda: other.commit(reservation),
        lambda: other.top_up(TWO, mu_squared=Decimal(1), reason="x"),
    ):
        assert refused(call) == "RF-B308"
    for approvals in ((), ("a",), ("a", " A "), ("a", ""), "ab"):
        assert (
            refused(lambda a=approvals: other.thaw(a, missing_mu_squared=Decimal("0.02"), reason="x"))  # type: ignore[misc]
            == "RF-B320"
        )
    other.thaw(TWO, missing_mu_squared=Decimal("0.02"), reason="counted with the coordinator")
    assert ledger.frozen() == ""
    assert ledger.charged().mu_squared == Decimal("0.02")
    charge(ledger, reservation, "0.1")
    assert refused(lambda: ledger.thaw(TWO, missing_mu_squared=0, reason="again")) == "RF-B307"
    assert [name for name in journal.actions() if "froz" in name or "thaw" in name] == [
        "budget.frozen",
        "budget.thawed",
    ]


def test_top_up_needs_two_people_and_an_amount(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    whole = ledger.left().mu_squared
    assert refused(lambda: ledger.top_up(("a", "a"), mu_squared=Decimal(1), reason="x")) == "RF-B320"
    assert refused(lambda: ledger.top_up(TWO, mu_squared=0, reason="x")) == "RF-B313"
    assert refused(lambda: ledger.top_up(TWO, mu_squared=Decimal(1), reason=" ")) == "RF-B321"
    ledger.top_up(TWO, mu_squared=Decimal("0.25"), reason="board decision 7")
    assert ledger.left().mu_squared == whole + Decimal("0.25")
    action, _, _, public = journal.last()
    assert (action, public["approvals"]) == ("budget.topup", list(TWO))
    assert "board" not in json.dumps(public)


FILTERS = ("gdp", "rdp")


def made(filter: FilterName, epsilon: str = "4") -> Ledger:
    return Ledger.create(
        open_store(None),
        population="p",
        epsilon=Decimal(epsilon),
        delta=Decimal("1e-6"),
        journal=Notebook(),
        filter=filter,
    )


@pytest.mark.parametrize("filter", FILTERS)
def test_a_top_up_to_an_epsilon_leaves_the_budget_of_a_ledger_made_with_it(filter: FilterName) -> None:
    ledger, other = made(filter), made(filter, "6")
    ledger.top_up(TWO, epsilon=Decimal(6), reason="board decision 7")
    assert ledger.left() == other.left()
    added = ledger.left().mu_squared - made(filter).left().mu_squared
    assert 0 < added <= ledger.statement()[-1].cost
    if filter == "gdp":
        assert ledger.statement()[-1].cost == added
    for no_more in ("6", "5.9"):
        again = lambda e=no_more: ledger.top_up(TWO, epsilon=Decimal(e), reason="again")  # noqa: E731
        assert refused(again) == "RF-B501"
    assert ledger.left() == other.left()


@pytest.mark.parametrize("filter", FILTERS)
def test_no_top_up_leads_above_the_most_a_ledger_holds(
    filter: FilterName, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = made(filter)
    whole = ledger.left()
    for epsilon in ("64.01", "669", "0", "-1", "1e150", "NaN", "Infinity"):
        above = lambda e=epsilon: ledger.top_up(TWO, epsilon=Decimal(e), reason="x")  # noqa: E731
        assert refused(above) == "RF-B500"
    for amount in ("100", "1e9", "1e150"):
        huge = lambda a=amount: ledger.top_up(TWO, mu_squared=Decimal(a), reason="x")  # noqa: E731
        assert refused(huge) == "RF-B500"
    assert ledger.left() == whole
    # Two that are each small enough, asked for at once, are not both entered.
    asked = ledger.added(epsilon=Decimal(60))
    ledger.top_up(TWO, epsilon=Decimal(60), reason="one")
    monkeypatch.setattr(ledger, "added", lambda **_asked: asked)
    sixty = ledger.left()
    assert refused(lambda: ledger.top_up(TWO, epsilon=Decimal(60), reason="two")) == "RF-B500"
    assert ledger.left() == sixty
    monkeypatch.undo()
    ledger.top_up(TWO, epsilon=Decimal(64), reason="three")
    assert ledger.left() == made(filter, "64").left()


BEYOND = ("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1e999999999", "1e-999999999", "-0.1")


@pytest.mark.parametrize("text", BEYOND)
def test_what_is_no_amount_is_refused_in_words(engine: Engine, text: str) -> None:
    ledger, _journal = new_ledger(engine)
    amount = Decimal(text)
    assert refused(lambda: ledger.top_up(TWO, mu_squared=amount, reason="x")) == "RF-B205"
    assert refused(lambda: ledger.reserve(STUDY, amount)) == "RF-B205"
    ledger.freeze("restored")
    assert refused(lambda: ledger.thaw(TWO, missing_mu_squared=amount, reason="x")) == "RF-B205"


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("delta", ["0.9", "0.0100001", "0", "-1e-6", "1", "1e-101", "1e-400", "NaN"])
def test_a_delta_that_promises_nothing_makes_no_budget(filter: FilterName, delta: str) -> None:
    create = lambda: Ledger.create(  # noqa: E731
        open_store(None),
        population="p",
        epsilon=Decimal(1),
        delta=Decimal(delta),
        journal=Notebook(),
        filter=filter,
    )
    assert refused(create) == "RF-B315"


def test_a_decision_is_carried_out_once(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    whole = ledger.left().mu_squared
    first, second = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    ledger.top_up(TWO, mu_squared=Decimal("0.1"), reason="board decision 7", decision=first)
    for amount in ("0.1", "0.2"):
        again = lambda a=amount: ledger.top_up(  # noqa: E731
            TWO, mu_squared=Decimal(a), reason="once more", decision=first
        )
        assert refused(again) == "RF-B333"
        assert journal.last()[:2] == ("budget.refused", "deny")
    assert ledger.left().mu_squared == whole + Decimal("0.1")
    ledger.freeze("drill")
    assert refused(lambda: ledger.thaw(TWO, missing_mu_squared=0, reason="x", decision=first)) == "RF-B333"
    assert ledger.frozen() == "drill"
    ledger.thaw(TWO, missing_mu_squared=0, reason="drill over", decision=second)
    ledger.freeze("again")
    later = reopen(engine)
    assert refused(lambda: later.thaw(TWO, missing_mu_squared=0, reason="x", decision=second)) == "RF-B333"
    assert [entry.fields.get("decision") for entry in later.entries()] == [None, first, None, second, None]


def test_heads(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    early = ledger.mark(MARKS)
    ledger.reserve(STUDY, Decimal("0.1"))
    ledger.check_mark(MARKS, early)
    ledger.check_mark(MARKS, ledger.mark(MARKS))
    assert refused(lambda: ledger.check_mark(MARKS, "0" * 128)) == "RF-B312"
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.1"))) == "RF-B308"
    entries = len(ledger.entries())
    assert refused(lambda: ledger.check_mark(MARKS, "0" * 128)) == "RF-B312"
    assert len(ledger.entries()) == entries, "asking again does not fill the ledger"


class StoppedClock(datetime):
    """Always the same moment, so that entries of two histories differ by their random bits alone."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 1, 1, tzinfo=tz)


def test_an_older_copy_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "datetime", StoppedClock)
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"

    def restore() -> tuple[Engine, Ledger]:
        shutil.copy(backup, path)
        engine = open_store(path)
        return engine, reopen(engine)

    engine = open_store(path)
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.2"))
    engine.dispose()
    shutil.copy(path, backup)

    engine = open_store(path)
    charge(reopen(engine), reservation, "0.1")
    known, sequence = reopen(engine).mark(MARKS), reopen(engine).head().sequence  # the coordinator keeps it
    other = reopen(engine).mark(OTHER)  # and so does another one
    engine.dispose()

    engine, ledger = restore()
    assert ledger.charged().mu_squared == 0, "on its own the copy looks well"
    # The same spending again gives another head, so it cannot hide what left before.
    charge(ledger, reservation, "0.1")
    assert ledger.head().sequence == sequence
    assert refused(lambda: ledger.check_mark(MARKS, known)) == "RF-B312"
    engine.dispose()

    engine, ledger = restore()
    assert refused(lambda: ledger.check_mark(OTHER, other)) == "RF-B312", "either of them finds it"
    engine.dispose()

    engine, ledger = restore()
    assert refused(lambda: ledger.check_mark(MARKS, known)) == "RF-B312"
    engine.dispose()
    engine = open_store(path)
    ledger = reopen(engine)
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.01"))) == "RF-B308"
    ledger.thaw(TWO, missing_mu_squared=Decimal("0.1"), reason="from the coordinator's log")
    ledger.check_mark(MARKS, known)
    assert ledger.charged().mu_squared == Decimal("0.1")
    later = ledger.mark(MARKS)
    engine.dispose()

    engine, ledger = restore()
    assert refused(lambda: ledger.check_mark(MARKS, later)) == "RF-B312"
    engine.dispose()


@pytest.mark.parametrize(
    "damage",
    [
        "update budget_ledger set entry = :entry where sequence = 2",
        "update budget_ledger set hash = :hash where sequence = 2",
        "delete from budget_ledger where sequence = 2",
        "update budget_ledger set sequence = 9 where sequence = 3",
    ],
)
def test_an_altered_chain_is_refused(engine: Engine, damage: str) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    charge(ledger, reservation, "0.1")
    with engine.begin() as connection:
        values = {"entry": b'{"v":1}', "hash": b"\x01" * 32}
        used = {name: value for name, value in values.items() if f":{name}" in damage}
        connection.execute(text(damage), used)
    assert refused(lambda: reopen(engine)) == "RF-B301"


def test_a_chain_that_was_cut_under_a_running_process_is_refused(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    charge(ledger, reservation, "0.1")
    with engine.begin() as connection:
        connection.execute(text("delete from budget_ledger where sequence = 3"))
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.1"))) == "RF-B301"


def test_a_well_chained_history_that_breaks_a_rule_is_refused(engine: Engine) -> None:
    """Hashes alone do not make a history lawful: a forged entry that charges what was not reserved."""
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    fields = {
        "reservation": reservation.id,
        "run": "r",
        "round": 0,
        "attempt": 1,
        "amounts": {"mu2": "0.5"},
    }
    forge(engine, "charged", fields)
    assert refused(lambda: reopen(engine)) == "RF-B301"
