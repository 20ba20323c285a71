"""Events from every kind of file and from databases, and the public files' reference figures."""

from __future__ import annotations

import datetime
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.event_kit import HEADER, allowed_of, contract_of, read_lines, rows, schema_of

from ringfence.clients.rows import raw_events as events
from ringfence.clients.rows.table import read_table
from ringfence.clients.rows.windowing import UNITS
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.schema import EventWindow, Schema
from ringfence.privacy.errors import TableError
from ringfence.privacy.tables import tabular

DATA = Path(os.environ.get("RINGFENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
GOOD = "ann,2026-12-01,10,1,1,F,a"


def public(name: str) -> Path:
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not there; set RINGFENCE_DATA to the folder that holds it")
    return DATA


@pytest.mark.parametrize("named", [False, True])
def test_blanks_between_cells_with_and_without_a_header(tmp_path: Path, named: bool) -> None:
    body = b" 1 20261201  10.50\r\n\t2\t20261202 7\r\n\r\n  1 20270103 1\r\n"
    (tmp_path / "orders.csv").write_bytes(body if named else b" who day  price\r\n" + body)
    source: dict[str, Any] = {"delimiter": "whitespace", "date_format": "%Y%m%d"}
    bare = dict.fromkeys(("quantity", "order", "kind", "item", "values", "cancelled"))
    schema = schema_of(kinds=[])
    contract = contract_of(
        schema, source=source | ({"header": ["who", "day", "price"]} if named else {}), **bare
    )
    found = rows(read_table(contract, schema, allowed_of(contract, schema), tmp_path))
    assert {who: (row["spend"], row["silent"]) for who, row in found.items()} == {
        "1": (10.5, "no"),
        "2": (7, "yes"),
    }
    text = (tmp_path / "orders.csv").read_bytes()
    for bad, code, sentence in (
        (b"20261202", "RF-T026", f"(line {2 if named else 3})"),
        (b" 7", "RF-T014", "3 fields"),
    ):
        (tmp_path / "orders.csv").write_bytes(text.replace(bad, b" soon" if code == "RF-T026" else b""))
        with pytest.raises(TableError) as caught:
            read_table(contract, schema, allowed_of(contract, schema), tmp_path)
        assert caught.value.code == code
        assert sentence in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "latin-1"])
def test_blanks_never_cut_a_character(tmp_path: Path, encoding: str) -> None:
    text = "who day\n" + "".join(
        f"{key} 1\n" for key in (["né", "ü"] if encoding == "latin-1" else ["客户甲", "丂龥"])
    )
    (tmp_path / "t.txt").write_text(text, encoding=encoding)
    layout = tabular.Layout(delimiter="whitespace", encoding=encoding)
    table = tabular.read_columns(tmp_path / "t.txt", ["who"], layout)
    assert table["who"].to_pylist() == [row.split()[0] for row in text.splitlines()[1:]]


def test_a_file_without_a_header_that_has_one_is_told_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("who,day,price\n1,2026-12-01,3\n", encoding="utf-8")
    schema = schema_of(kinds=[])
    bare = dict.fromkeys(("quantity", "order", "kind", "item", "values", "cancelled"))
    contract = contract_of(schema, source={"header": ["who", "day", "price"]}, **bare)
    with pytest.raises(TableError, match=r"orders\.csv that cannot be read \(2\)(.|\n)*line 1"):
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
        connection.executemany(
            "insert into orders values (?,?,?,?,?,?,?)", zip(*columns.values(), strict=True)
        )
    connection.close()
    data = contract_of(schema).model_dump(by_alias=True, exclude_none=True)
    contract = Contract.model_validate(data | {"source": {"url": "sqlite:///shop.db", "table": "orders"}})
    assert rows(read_table(contract, schema, allowed_of(contract, schema), tmp_path)) == expected


def test_the_public_retail_file_is_cleaned_to_its_reference_figures() -> None:
    """4,338 customers and a revenue of 8,911,407.90, as in the literature on this file's RFM."""
    data = public("online_retail.parquet")
    source = {
        "time": "InvoiceDate",
        "amount": "UnitPrice",
        "quantity": "Quantity",
        "order": "InvoiceNo",
        "cancelled": ["C"],
        "zero": "drop",
        "kind": None,
        "item": None,
        "values": None,
    }
    window = {
        "cutoff": "2011-12-10",
        "history_days": 375,
        "kinds": [],
        "amount": [0, 10**6],
        "most_spend": 10**6,
    }
    schema = schema_of(**window)
    data_of = contract_of(schema, source={"file": "online_retail.parquet"}, **source).model_dump(
        by_alias=True, exclude_none=True
    )
    contract = Contract.model_validate(data_of | {"subject": "CustomerID", "max_customers": 10_000})
    raw = read_table(contract, schema, allowed_of(contract, schema), data)
    facts = raw.quality.facts.events
    assert facts is not None
    assert (len(raw), facts.lines, facts.keyless, facts.cancelled, facts.history) == (
        4338,
        541909,
        135080,
        8905,
        397884,
    )
    assert contract.events is not None
    assert schema.events is not None
    allowed = allowed_of(contract, schema)
    cells, _locate = events.decoded(contract, contract.events, schema.events, allowed, data)
    lines, _facts = events.cleaned(cells, contract.events, schema.events)
    assert round(lines.amount.sum() / UNITS, 2) == 8_911_407.90
    assert len(np.unique(lines.customer)) == 4338


def test_the_public_orders_of_discs_have_their_known_share_of_silent_customers() -> None:
    data = public("CDNOW_master.txt")
    window = EventWindow.model_validate(
        {
            "cutoff": "1997-10-01",
            "history_days": 273,
            "periods": 9,
            "silent_days": 273,
            "most_orders": 60,
            "amount": [0, 2000],
            "most_spend": 8000,
        }
    )
    schema = Schema(id="cdnow", version=1, events=window)
    source = {"file": "CDNOW_master.txt", "delimiter": "whitespace", "date_format": "%Y%m%d"}
    bare = dict.fromkeys(("quantity", "order", "kind", "item", "values", "cancelled"))
    made = contract_of(schema, source=source, time="date", amount="dollar_value", **bare).model_dump(
        by_alias=True, exclude_none=True
    )
    contract = Contract.model_validate(made | {"subject": "customer_id", "max_customers": 30_000})
    raw = read_table(contract, schema, allowed_of(contract, schema, ("orders", "silent")), data)
    facts = raw.quality.facts.events
    assert facts is not None
    assert (facts.lines, facts.zero, facts.repeated, facts.before + facts.after) == (69659, 80, 255, 0)
    assert len(raw) == 23570
    silent = (raw._frame["silent"] == "yes").mean()
    assert round(float(silent), 3) == 0.701
