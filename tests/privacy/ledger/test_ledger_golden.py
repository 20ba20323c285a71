"""Ledgers written before entries had records: they open, and what is written now has the same bytes.

`tests/assets/ledgers/golden.json` holds entries and hashes of two ledgers. One charge in it is of the form
from before a study had parts, and decisions stand in it with and without a digest.
"""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from kits.ledger_support import STUDY, TWO, TableJournal, charge, new_ledger, put_entry, refused, reopen
from sqlalchemy import Engine

from ringfence.privacy.accounting.filters import RDP_ORDERS
from ringfence.privacy.ledger import Head, HeadMarks, Ledger, Quote, chain
from ringfence.privacy.ledger.reading import record_of
from ringfence.privacy.ledger.state import State, advance
from ringfence.privacy.stores.store import open_store, reading

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "assets" / "ledgers" / "golden.json").read_text(encoding="utf-8")
)
ROWS = [(name, number) for name, rows in GOLDEN.items() for number in range(len(rows))]
OTHER = "sha256:" + "6" * 64


def opened(name: str) -> tuple[Engine, Ledger]:
    engine = open_store(None)
    previous = bytes(32)
    with engine.begin() as connection:
        chain.create_table(connection)
        for number, row in enumerate(GOLDEN[name], 1):
            previous = put_entry(connection, number, previous, row["entry"].encode())
            assert previous.hex() == row["hash"]
    return engine, reopen(engine)


@pytest.mark.parametrize("name", GOLDEN)
def test_an_earlier_ledger_opens_at_its_head(name: str) -> None:
    _engine, ledger = opened(name)
    rows = GOLDEN[name]
    assert ledger.head() == Head(sequence=len(rows), hash=rows[-1]["hash"])
    for entry, row in zip(ledger.entries(), rows, strict=True):
        content = json.loads(row["entry"])
        assert (entry.sequence, entry.kind, entry.time) == (
            content["sequence"],
            content["kind"],
            content["time"],
        )
        assert entry.hash.hex() == row["hash"]
        assert list(entry.fields.items()) == list(content["fields"].items()), (
            "shown in the order of the bytes"
        )


def test_an_earlier_ledger_adds_up_as_it_did() -> None:
    engine, ledger = opened("gdp")
    assert dict(ledger.terms()) == {
        "population": "cards",
        "filter": "gdp",
        "epsilon": "4",
        "delta": "0.000001",
    }
    assert ledger.charged().mu_squared == Decimal("0.22")
    assert ledger.spent().mu_squared == Decimal("0.62")
    assert ledger.left().mu_squared == Decimal("1.4520017747667354202") - Decimal("0.62")
    (still_open,) = ledger.reservations()
    assert (still_open.id, still_open.study_digest) == (7, OTHER)
    assert still_open.limits == {"train": {"mu2": Decimal("0.125")}, "test": {"mu2": Decimal("0.5")}}
    assert still_open.taken == {"train": {"mu2": Decimal("0.1")}, "test": {"mu2": Decimal("0.1")}}
    assert still_open.attempts == {("run-1", 0, 1)}
    state = State()
    with reading(engine) as connection:
        for entry in chain.read_entries(connection, 0, chain.GENESIS):
            state = advance(state, entry)
    assert state.id == GOLDEN["gdp"][0]["hash"][:16]
    assert state.acknowledged == {"ab" * 64}
    assert state.decisions == {"sha256:" + "1" * 64, "sha256:" + "2" * 64}
    assert state.allowance == (
        Decimal("0.000000002"),
        Decimal("8.9931049810457799092621836395957366570513128286749932088260009223791E-13"),
    )
    assert state.slack == (
        Decimal("0.00000000000100000000000000997988664762925541423372913606228319519445002505619869"),
        Decimal("0.00000000000000000000000000000100000000000001008333642060758681871513741188672217"),
    )
    assert [(each.entry, each.part, each.cost) for each in ledger.statement() if each.kind == "charged"] == [
        (3, "both", Decimal("0.05")),
        (4, "both", Decimal("0.01")),
        (5, "train", Decimal("0.04")),
        (6, "test", Decimal("0.03")),
        (15, "both", Decimal("0.1")),
    ]
    # It goes on by its old decisions and attempts.
    again = lambda: ledger.top_up(TWO, mu_squared=1, reason="x", decision="sha256:" + "1" * 64)  # noqa: E731
    assert refused(again) == "RF-B333"
    assert refused(lambda: charge(ledger, still_open, "0.01", 1, round_=0)) == "RF-B305"


def test_before_its_first_entry_a_ledger_holds_nothing() -> None:
    empty = State()
    assert (empty.sequence, empty.hash, empty.id) == (0, bytes(32), "")
    assert empty.terms == {"population": "", "filter": "gdp", "epsilon": "0", "delta": "0"}
    assert empty.budget == empty.settled == empty.open == empty.charged == empty.counted == {}
    assert empty.allowance == empty.slack == (0, 0)
    assert empty.frozen == ""
    assert empty.foreign == empty.acknowledged == empty.decisions == frozenset()


def test_an_earlier_ledger_at_renyi_orders_adds_up_as_it_did() -> None:
    _engine, ledger = opened("rdp")
    assert ledger.terms()["filter"] == "rdp"
    assert ledger.reservations() == ()
    assert ledger.spent() == ledger.charged()
    assert ledger.spent().mu_squared == Decimal("0.01")
    last = ledger.entries()[2].fields["amounts"]
    assert last == {f"rdp:{order}": f"{order * Decimal('0.005'):f}".rstrip("0") for order in RDP_ORDERS}


@pytest.mark.parametrize(("name", "number"), ROWS)
def test_what_is_written_now_has_the_same_bytes(
    name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = GOLDEN[name][number]
    content = json.loads(row["entry"])

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromisoformat(content["time"]).astimezone(tz)

    monkeypatch.setattr(chain, "datetime", Then)
    monkeypatch.setattr(chain, "secrets", SimpleNamespace(token_hex={16: content["nonce"]}.__getitem__))
    previous = bytes.fromhex(GOLDEN[name][number - 1]["hash"]) if number else chain.GENESIS
    engine = open_store(None)
    with engine.begin() as connection:
        chain.create_table(connection)
        record = record_of(content["kind"], content["fields"])
        entry = chain.append(connection, number + 1, previous, record)
        assert (
            connection.exec_driver_sql("select entry from budget_ledger").scalar_one()
            == row["entry"].encode()
        )
    assert entry.hash.hex() == row["hash"]


class Asked(Ledger):
    """A ledger whose plans cost what the earlier one's did."""

    def quote(self, plan: object) -> Quote:
        return Quote(
            limits={"train": {"mu2": Decimal("0.125")}, "test": {"mu2": Decimal("0.5")}},
            epsilon_slack=0.0,
            delta_slack=0.0,
        )


def test_the_same_steps_write_the_same_fields() -> None:
    engine = open_store(None)
    new_ledger(engine)
    ledger = Asked.open(engine, TableJournal(engine))
    first = ledger.reserve(STUDY, Decimal("0.2"), epsilon_slack=1e-12, delta_slack=1e-30)
    charge(ledger, first, "0.05", 1, round_=-1)
    charge(ledger, first, "0.01", 1)
    charge(ledger, first, "0.04", 2, round_=3, part="train")
    charge(ledger, first, "0.03", 1, round_=4, part="test")
    plan: Any = None
    second = ledger.reserve_plan(OTHER, plan)
    ledger.commit(first)
    assert refused(lambda: ledger.check_mark(HeadMarks(b"k" * 32), "ab" * 64)) == "RF-B312"
    ledger.thaw(TWO, missing_mu_squared=Decimal("0.02"), reason="counted with the coordinator")
    ledger.top_up(TWO, mu_squared=Decimal("0.25"), reason="board decision 7", decision="sha256:" + "1" * 64)
    ledger.freeze("Wiederherstellung 恢复 “drill”")
    ledger.thaw(TWO, missing_mu_squared=0, reason="drill over", decision="sha256:" + "2" * 64)
    ledger.top_up(TWO, mu_squared=Decimal("0.5"), reason="board decision 8")
    charge(ledger, second, "0.1", 1)
    earlier = [json.loads(row["entry"]) for row in GOLDEN["gdp"]]
    written = [(each.kind, dict(each.fields)) for each in ledger.entries()]
    created, once = written[0][1], earlier[0]["fields"]
    assert set(created) == set(once)
    # These come out of logarithms and exponentials, whose last digit may differ between machines.
    for name in ("budget", "delta_allowance"):
        now, then = (each.pop(name) for each in (created, once))
        now, then = (each["mu2"] if name == "budget" else each for each in (now, then))
        assert Decimal(now) == pytest.approx(Decimal(then), rel=Decimal("1e-11"))
    assert created == once
    earlier[3]["fields"]["part"] = "both"  # which it did not have to say
    for before, each in enumerate(earlier):
        if each["kind"] == "thawed":
            each["fields"]["seen"] = before  # nor what people had looked at
    assert written[1:] == [(each["kind"], each["fields"]) for each in earlier[1:]]
