"""How files of events are read and cleaned: what is left out is counted, what cannot be read is one clear
sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.command_kit import client, configure, init, refused
from kits.event_kit import HEADER, allowed_of, codes_noted, contract_of, read_lines, rows, schema_of

from ringfence.clients.rows import raw_events as events
from ringfence.clients.rows.table import read_table
from ringfence.clients.rows.windowing import UNITS, Lines
from ringfence.privacy.agreements.contract import EventSource
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.errors import ContractError, TableError
from ringfence.privacy.tables.facts import EventFacts

GOOD = "ann,2026-12-01,10,1,1,F,a"


def facts_of(folder: Path, lines: list[str], **events: Any) -> EventFacts:
    facts = read_lines(folder, lines, **events).quality.facts.events
    assert facts is not None
    return facts


def test_what_is_left_out_is_counted_once_each_for_the_holder(tmp_path: Path) -> None:
    lines = [
        GOOD,
        ",2026-12-01,10,1,1,F,a",  # nobody
        ",,,,,,",  # nobody, and much else
        "ann,,10,1,1,F,a",
        "ann,2026-12-01,,1,1,F,a",
        "ann,2026-12-01,10,,1,F,a",
        "ann,2026-12-01,-10,1,C2,F,a",  # cancelled before it is a return
        "ann,2026-12-01,10,-1,2,F,a",
        "ann,2026-12-01,0,5,3,F,a",
        GOOD,
        "ann,2025-12-01,10,1,1,F,a",
        "ann,2027-12-01,10,1,1,F,a",
        "ann,2027-01-05,10,1,1,F,a",
    ]
    facts = facts_of(tmp_path, lines, zero="drop", repeated="drop")
    assert (facts.keyless, facts.undated, facts.unpriced, facts.cancelled, facts.returns, facts.zero) == (
        2,
        1,
        2,
        1,
        1,
        1,
    )
    assert (facts.repeated, facts.before, facts.after, facts.history, facts.following) == (1, 1, 1, 1, 1)
    left_out = facts.unusable + facts.cancelled + facts.returns + facts.zero + facts.repeated
    assert (
        left_out + facts.before + facts.after + facts.history + facts.following == facts.lines == len(lines)
    )
    raw = read_lines(tmp_path, lines, zero="drop", repeated="drop")
    assert raw.quality.passed, "a line that is left out stops nothing"
    assert {f.code for f in raw.quality.notes} >= {
        "RF-T062",
        "RF-T063",
        "RF-T064",
        "RF-T065",
        "RF-T067",
        "RF-T068",
        "RF-T069",
        "RF-T070",
    }
    assert "ann" not in "\n".join(map(str, raw.quality.findings)), "a note holds no customer's value"


@pytest.mark.parametrize(
    ("rules", "orders", "spend"),
    [
        ({}, 3, 25),  # the return left out, the free line an order
        ({"returns": "subtract"}, 3, 15),
        ({"zero": "drop"}, 2, 25),
        ({"repeated": "drop"}, 3, 15),
        ({"cancelled": []}, 4, 30),
    ],
)
def test_the_contract_decides_what_an_order_is(
    tmp_path: Path, rules: dict[str, Any], orders: int, spend: float
) -> None:
    lines = [
        "ann,2026-12-01,10,1,1,F,a",
        "ann,2026-12-01,10,1,1,F,a",  # one order, two equal lines
        "ann,2026-12-02,5,1,2,F,a",
        "ann,2026-12-03,0,1,3,F,a",
        "ann,2026-12-04,-10,1,9,F,a",
        "ann,2026-12-05,5,1,C4,F,a",
    ]
    row = rows(read_lines(tmp_path, lines, window={"amount": [-100, 100]}, **rules))["ann"]
    assert (row["orders"], row["spend"]) == (orders, spend)


def test_a_customer_of_returns_alone_has_no_row(tmp_path: Path) -> None:
    lines = [GOOD, "bob,2026-12-01,-5,1,1,F,a"]
    assert set(rows(read_lines(tmp_path, lines, returns="subtract"))) == {"ann"}


def test_lines_of_two_articles_are_not_alike(tmp_path: Path) -> None:
    lines = [GOOD, GOOD[:-1] + "b"]
    assert facts_of(tmp_path, lines, repeated="drop").repeated == 0
    assert facts_of(tmp_path, lines, repeated="drop", item=None).repeated == 1


STOPS: dict[str, tuple[dict[str, Any], str, str]] = {
    "returns": ({"returns": "refuse"}, "RF-T066", 'returns = "refuse"'),
    "unusable": (
        {"max_unusable": "0.3"},
        "RF-T061",
        "2 of 6 lines lack a customer, a time or an amount; max_unusable is 0.3",
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_what_the_contract_refuses_stops_the_table(tmp_path: Path, case: str) -> None:
    rules, code, sentence = STOPS[case]
    lines = [GOOD, ",2026-12-01,10,1,1,F,a", "ann,,10,1,1,F,a", "ann,2026-12-04,-10,1,9,F,a", GOOD, GOOD]
    raw = read_lines(tmp_path, lines, **rules)
    assert [fault.code for fault in raw.quality.faults] == [code]
    assert sentence in str(raw.quality.faults[0])
    with pytest.raises(TableError, match="RF-T040"):
        raw.quality.check()
    assert read_lines(tmp_path, lines, max_unusable="0.34").quality.passed


def test_an_export_that_ends_at_the_cutoff_is_told(tmp_path: Path) -> None:
    raw = read_lines(tmp_path, [GOOD])
    assert {"RF-T071", "RF-T057"} <= codes_noted(raw)
    assert "2027-01-31" in "\n".join(map(str, raw.quality.findings))
    assert "RF-T071" not in codes_noted(read_lines(tmp_path, [GOOD, "bob,2027-01-05,1,1,9,F,a"]))


SECRET = "K-4711-secret"
BAD: dict[str, tuple[list[str], str, dict[str, Any], str, str]] = {
    "a column is missing": ([GOOD], HEADER, {"amount": "prize"}, "RF-T009", 'Did you mean "price"?'),
    "no date": (
        [GOOD, f"ann,{SECRET},1,1,1,F,a"],
        HEADER,
        {},
        "RF-T026",
        'Column "day" has entries that are not dates: 1 (line 3)',
    ),
    "no such day": ([GOOD, "ann,2026-02-30,1,1,1,F,a"], HEADER, {}, "RF-T026", "(line 3)"),
    "an amount that is no number": (
        [f"ann,2026-12-01,{SECRET},1,1,F,a", GOOD],
        HEADER,
        {},
        "RF-T025",
        'Column "price"',
    ),
    "an amount beyond numbers": ([GOOD, "ann,2026-12-01,inf,1,1,F,a"], HEADER, {}, "RF-T025", "(line 3)"),
    "two columns at once": (
        [f"ann,soon,dear,{SECRET},1,F,a"],
        HEADER,
        {},
        "RF-T033",
        "Columns of orders.csv that cannot be read (3)",
    ),
    "all too early": (["ann,2026-01-01,1,1,1,F,a"], HEADER, {}, "RF-T060", "1 lie before"),
    "all too late": (["ann,2027-01-01,1,1,1,F,a"], HEADER, {}, "RF-T060", "1 from 2027-01-01 on"),
    "nobody": ([",2026-12-01,1,1,1,F,a"], HEADER, {}, "RF-T060", "1 lack a customer"),
    "a short line": ([GOOD, "ann,2026-12-01"], HEADER, {}, "RF-T014", "(line 3)"),
    "no lines": ([], HEADER, {}, "RF-T004", "no rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_sentence_without_a_value(tmp_path: Path, case: str) -> None:
    lines, header, rules, code, sentence = BAD[case]
    with pytest.raises(TableError) as caught:
        read_lines(tmp_path, lines, header=header, **rules)
    assert caught.value.code == code
    assert sentence in str(caught.value)
    assert SECRET not in str(caught.value)


def test_kinds_are_not_read_unless_a_share_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(HEADER.encode() + b"\nann,2026-12-01,10,1,1,\xff\xfe,\xff\n")
    schema = schema_of()
    contract = contract_of(schema)
    raw = read_table(contract, schema, allowed_of(contract, schema, ("orders", "silent")), tmp_path)
    assert rows(raw) == {"ann": {"orders": 1, "silent": "yes"}}
    with pytest.raises(TableError, match="RF-T016"):
        read_table(contract, schema, allowed_of(contract, schema), tmp_path)


def test_a_contract_of_events_needs_a_schema_of_events(tmp_path: Path) -> None:
    schema = schema_of()
    plain = Schema.model_validate({"id": "s", "version": 1, "feature": [{"name": "silent", "kind": "flag"}]})
    contract = contract_of(schema)
    with pytest.raises(ContractError, match="RF-T035"):
        read_table(contract, plain, allowed_of(contract, schema, ("silent",)), tmp_path)


def test_sums_of_thousands_of_lines_are_exact_in_any_order() -> None:
    cells = np.full(30_000, 0.1)
    source = EventSource.model_validate({"time": "day", "amount": "price"})
    assert cleaned_lines(cells, source).amount.sum() == 3000 * UNITS  # a sum of floats is 3000.0000000056


def cleaned_lines(amount: Any, source: EventSource) -> Lines:
    count = len(amount)
    none = np.full(count, -1, dtype=np.int64)
    cells = events.EventCells(
        keys=["ann"],
        customer=np.zeros(count, dtype=np.int64),
        day=np.full(count, 739_900.0),
        amount=amount,
        pieces=np.ones(count),
        order=none,
        cancelled=np.zeros(count, dtype=np.bool_),
        kind=none,
        item=none,
        told_apart=True,
    )
    window = schema_of().events
    assert window is not None
    return events.cleaned(cells, source, window)[0]


def test_the_holders_own_people_see_what_was_cleaned_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "north"
    assert init(home) == 0
    contract = """\
id = "north-orders"
holder = "north"
version = 1
subject = "who"
population = "people"
jurisdiction = "DE"
max_customers = 100
min_cohort = 1
[schema]
id = "orders"
version = 1
[schema.events]
cutoff = 2027-01-01
history_days = 90
periods = 3
silent_days = 30
most_orders = 10
[source]
file = "orders.csv"
[events]
time = "day"
purposes = ["churn-prediction"]
"""
    (home / "contract.toml").write_text(contract, encoding="utf-8")
    (home / "orders.csv").write_text(
        "who,day\nann,2026-12-01\nann,2026-12-02\n,2026-12-02\nbob,2027-01-02\n", encoding="utf-8"
    )
    configure(home, contract="contract.toml")
    assert client("contract", "check", home / "contract.toml") == 0
    assert client("contract", "sign", home / "contract.toml", "--config", home) == 0
    capsys.readouterr()
    words = ("table", "check", "--config", home, "--purpose", "churn-prediction", "--label", "silent")
    assert client(*words) == 0
    said = capsys.readouterr().out
    assert "rows: 4, customers: 1" in said
    assert "1 of 4 lines name no customer and are left out. (RF-T062)" in said
    refused(capsys, client("table", "check", "--config", home, "--purpose", "service-quality"), "RF-S041")
