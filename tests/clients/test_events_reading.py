"""How files of events are read and cleaned: what is left out is counted, what cannot be read is one clear sentence."""

from __future__ import annotations

import datetime
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_kit import client, configure, init, refused
from event_kit import HEADER, allowed_of, codes_noted, contract_of, read_lines, rows, schema_of

from ringfence.clients import events
from ringfence.clients.table import read_table
from ringfence.clients.windowing import UNITS, Lines
from ringfence.privacy import tabular
from ringfence.privacy.contract import Contract, EventSource
from ringfence.privacy.errors import ContractError, TableError
from ringfence.privacy.quality import EventFacts
from ringfence.privacy.schema import EventWindow, Schema

DATA = Path(os.environ.get("RINGFENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
GOOD = "ann,2026-12-01,10,1,1,F,a"


def public(name: str) -> Path:
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not there; set RINGFENCE_DATA to the folder that holds it")
    return DATA


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
        "ann,2026-12-01,,1,1,F,a", "ann,2026-12-01,10,,1,F,a",
        "ann,2026-12-01,-10,1,C2,F,a",  # cancelled before it is a return
        "ann,2026-12-01,10,-1,2,F,a",
        "ann,2026-12-01,0,5,3,F,a",
        GOOD,
        "ann,2025-12-01,10,1,1,F,a", "ann,2027-12-01,10,1,1,F,a", "ann,2027-01-05,10,1,1,F,a",
    ]  # fmt: skip
    facts = facts_of(tmp_path, lines, zero="drop", repeated="drop")
    assert (facts.keyless, facts.undated, facts.unpriced, facts.cancelled, facts.returns, facts.zero) == (2, 1, 2, 1, 1, 1)
    assert (facts.repeated, facts.before, facts.after, facts.history, facts.following) == (1, 1, 1, 1, 1)
    left_out = facts.unusable + facts.cancelled + facts.returns + facts.zero + facts.repeated
    assert left_out + facts.before + facts.after + facts.history + facts.following == facts.lines == len(lines)
    raw = read_lines(tmp_path, lines, zero="drop", repeated="drop")
    assert raw.quality.passed, "a line that is left out stops nothing"
    assert {f.code for f in raw.quality.notes} >= {"RF-T062", "RF-T063", "RF-T064", "RF-T065", "RF-T067", "RF-T068", "RF-T069", "RF-T070"}
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
def test_the_contract_decides_what_an_order_is(tmp_path: Path, rules: dict[str, Any], orders: int, spend: float) -> None:
    lines = [
        "ann,2026-12-01,10,1,1,F,a", "ann,2026-12-01,10,1,1,F,a",  # one order, two equal lines
        "ann,2026-12-02,5,1,2,F,a", "ann,2026-12-03,0,1,3,F,a", "ann,2026-12-04,-10,1,9,F,a", "ann,2026-12-05,5,1,C4,F,a",
    ]  # fmt: skip
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
    "unusable": ({"max_unusable": "0.3"}, "RF-T061", "2 of 6 lines lack a customer, a time or an amount; max_unusable is 0.3"),
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
    "no date": ([GOOD, f"ann,{SECRET},1,1,1,F,a"], HEADER, {}, "RF-T026", 'Column "day" has entries that are not dates: 1 (line 3)'),
    "no such day": ([GOOD, "ann,2026-02-30,1,1,1,F,a"], HEADER, {}, "RF-T026", "(line 3)"),
    "an amount that is no number": ([f"ann,2026-12-01,{SECRET},1,1,F,a", GOOD], HEADER, {}, "RF-T025", 'Column "price"'),
    "an amount beyond numbers": ([GOOD, "ann,2026-12-01,inf,1,1,F,a"], HEADER, {}, "RF-T025", "(line 3)"),
    "two columns at once": ([f"ann,soon,dear,{SECRET},1,F,a"], HEADER, {}, "RF-T033", "3 columns of orders.csv"),
    "all too early": (["ann,2026-01-01,1,1,1,F,a"], HEADER, {}, "RF-T060", "1 lie before"),
    "all too late": (["ann,2027-01-01,1,1,1,F,a"], HEADER, {}, "RF-T060", "1 from 2027-01-01 on"),
    "nobody": ([",2026-12-01,1,1,1,F,a"], HEADER, {}, "RF-T060", "1 lack a customer"),
    "a short line": ([GOOD, "ann,2026-12-01"], HEADER, {}, "RF-T014", "(line 3)"),
    "no lines": ([], HEADER, {}, "RF-T004", "no rows"),
}  # fmt: skip


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


@pytest.mark.parametrize("named", [False, True])
def test_blanks_between_cells_with_and_without_a_header(tmp_path: Path, named: bool) -> None:
    body = b" 1 20261201  10.50\r\n\t2\t20261202 7\r\n\r\n  1 20270103 1\r\n"
    (tmp_path / "orders.csv").write_bytes(body if named else b" who day  price\r\n" + body)
    source: dict[str, Any] = {"delimiter": "whitespace", "date_format": "%Y%m%d"}
    bare = dict.fromkeys(("quantity", "order", "kind", "item", "values", "cancelled"))
    schema = schema_of(kinds=[])
    contract = contract_of(schema, source=source | ({"header": ["who", "day", "price"]} if named else {}), **bare)
    found = rows(read_table(contract, schema, allowed_of(contract, schema), tmp_path))
    assert {who: (row["spend"], row["silent"]) for who, row in found.items()} == {"1": (10.5, "no"), "2": (7, "yes")}
    text = (tmp_path / "orders.csv").read_bytes()
    for bad, code, sentence in ((b"20261202", "RF-T026", f"(line {2 if named else 3})"), (b" 7", "RF-T014", "3 fields")):
        (tmp_path / "orders.csv").write_bytes(text.replace(bad, b" soon" if code == "RF-T026" else b""))
        with pytest.raises(TableError) as caught:
            read_table(contract, schema, allowed_of(contract, schema), tmp_path)
        assert caught.value.code == code
        assert sentence in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "latin-1"])
def test_blanks_never_cut_a_character(tmp_path: Path, encoding: str) -> None:
    text = "who day\n" + "".join(f"{key} 1\n" for key in (["né", "ü"] if encoding == "latin-1" else ["客户甲", "丂龥"]))
    (tmp_path / "t.txt").write_text(text, encoding=encoding)
    layout = tabular.Layout(delimiter="whitespace", encoding=encoding)
    table = tabular.read_columns(tmp_path / "t.txt", ["who"], layout)
    assert table["who"].to_pylist() == [row.split()[0] for row in text.splitlines()[1:]]


def test_a_file_without_a_header_that_has_one_is_told_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("who,day,price\n1,2026-12-01,3\n", encoding="utf-8")
    schema = schema_of(kinds=[])
    bare = dict.fromkeys(("quantity", "order", "kind", "item", "values", "cancelled"))
    contract = contract_of(schema, source={"header": ["who", "day", "price"]}, **bare)
    with pytest.raises(TableError, match=r"2 columns of orders\.csv(.|\n)*line 1"):
        read_table(contract, schema, allowed_of(contract, schema), tmp_path)


def test_events_come_from_parquet_and_databases_too(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    lines = [GOOD, "bob,2026-11-02,2.5,2,2,T,b", "bob,2027-01-03,1,1,3,T,b"]
    expected = rows(read_lines(tmp_path, lines))
    cells = [dict(zip(HEADER.split(","), text.split(","), strict=True)) for text in lines]
    moments = [datetime.datetime.fromisoformat(cell["day"] + "T23:59:00") for cell in cells]
    typed = {"price": float, "pieces": int}
    columns = {name: [typed.get(name, str)(cell[name]) for cell in cells] for name in HEADER.split(",")}
    schema = schema_of()
    whole = [int(moment.strftime("%Y%m%d")) for moment in moments]
    for days, source in ((moments, {}), (whole, {"date_format": "%Y%m%d"})):
        parquet.write_table(pa.table(columns | {"day": days}), tmp_path / "orders.parquet")
        contract = contract_of(schema, source={"file": "orders.parquet"} | source)
        assert rows(read_table(contract, schema, allowed_of(contract, schema), tmp_path)) == expected
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute(f"create table orders ({HEADER})")
        connection.executemany("insert into orders values (?,?,?,?,?,?,?)", zip(*columns.values(), strict=True))
    connection.close()
    data = contract_of(schema).model_dump(by_alias=True, exclude_none=True)
    contract = Contract.model_validate(data | {"source": {"url": "sqlite:///shop.db", "table": "orders"}})
    assert rows(read_table(contract, schema, allowed_of(contract, schema), tmp_path)) == expected


def test_sums_of_thousands_of_lines_are_exact_in_any_order() -> None:
    cells = np.full(30_000, 0.1)
    source = EventSource.model_validate({"time": "day", "amount": "price"})
    assert cleaned_lines(cells, source).amount.sum() == 3000 * UNITS  # a sum of floats is 3000.0000000056


def cleaned_lines(amount: Any, source: EventSource) -> Lines:
    count = len(amount)
    none = np.full(count, -1, dtype=np.int64)
    cells = events._Cells(
        keys=["ann"], customer=np.zeros(count, dtype=np.int64), day=np.full(count, 739_900.0), amount=amount,
        pieces=np.ones(count), order=none, cancelled=np.zeros(count, dtype=np.bool_), kind=none, item=none, told_apart=True,
    )  # fmt: skip
    window = schema_of().events
    assert window is not None
    return events._cleaned(cells, source, window)[0]


def test_the_public_retail_file_is_cleaned_to_its_reference_figures() -> None:
    """4,338 customers and a revenue of 8,911,407.90, as in the literature on this file's RFM."""
    data = public("online_retail.parquet")
    source = {
        "time": "InvoiceDate", "amount": "UnitPrice", "quantity": "Quantity", "order": "InvoiceNo", "cancelled": ["C"],
        "zero": "drop", "kind": None, "item": None, "values": None,
    }  # fmt: skip
    window = {"cutoff": "2011-12-10", "history_days": 375, "kinds": [], "amount": [0, 10**6], "most_spend": 10**6}
    schema = schema_of(**window)
    data_of = contract_of(schema, source={"file": "online_retail.parquet"}, **source).model_dump(by_alias=True, exclude_none=True)
    contract = Contract.model_validate(data_of | {"subject": "CustomerID", "max_customers": 10_000})
    raw = read_table(contract, schema, allowed_of(contract, schema), data)
    facts = raw.quality.facts.events
    assert facts is not None
    assert (len(raw), facts.lines, facts.keyless, facts.cancelled, facts.history) == (4338, 541909, 135080, 8905, 397884)
    assert contract.events is not None
    assert schema.events is not None
    allowed = allowed_of(contract, schema)
    cells, _locate = events._decoded(contract, contract.events, schema.events, allowed, data)
    lines, _facts = events._cleaned(cells, contract.events, schema.events)
    assert round(lines.amount.sum() / UNITS, 2) == 8_911_407.90
    assert len(np.unique(lines.customer)) == 4338


def test_the_public_orders_of_discs_have_their_known_share_of_silent_customers() -> None:
    data = public("CDNOW_master.txt")
    window = EventWindow.model_validate(
        {"cutoff": "1997-10-01", "history_days": 273, "periods": 9, "silent_days": 273, "most_orders": 60,
         "amount": [0, 2000], "most_spend": 8000}
    )  # fmt: skip
    schema = Schema(id="cdnow", version=1, events=window)
    source = {"file": "CDNOW_master.txt", "delimiter": "whitespace", "date_format": "%Y%m%d"}
    bare = dict.fromkeys(("quantity", "order", "kind", "item", "values", "cancelled"))
    made = contract_of(schema, source=source, time="date", amount="dollar_value", **bare).model_dump(by_alias=True, exclude_none=True)
    contract = Contract.model_validate(made | {"subject": "customer_id", "max_customers": 30_000})
    raw = read_table(contract, schema, allowed_of(contract, schema, ("orders", "silent")), data)
    facts = raw.quality.facts.events
    assert facts is not None
    assert (facts.lines, facts.zero, facts.repeated, facts.before + facts.after) == (69659, 80, 255, 0)
    assert len(raw) == 23570
    silent = (raw._frame["silent"] == "yes").mean()
    assert round(float(silent), 3) == 0.701


def test_the_holders_own_people_see_what_was_cleaned_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    (home / "orders.csv").write_text("who,day\nann,2026-12-01\nann,2026-12-02\n,2026-12-02\nbob,2027-01-02\n", encoding="utf-8")
    configure(home, contract="contract.toml")
    assert client("contract", "check", home / "contract.toml") == 0
    assert client("contract", "sign", home / "contract.toml", "--config", home) == 0
    capsys.readouterr()
    words = ("table", "check", "--config", home, "--purpose", "churn-prediction", "--label", "silent")
    assert client(*words) == 0
    said = capsys.readouterr().out
    assert "4 rows, 1 customers" in said
    assert "1 of 4 lines name no customer and are left out. (RF-T062)" in said
    refused(capsys, client("table", "check", "--config", home, "--purpose", "service-quality"), "RF-S041")
