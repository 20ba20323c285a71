"""What a cell means does not depend on what holds it: marks, moments, years and thousands in every source."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kits.document_kit import ASSETS
from kits.event_kit import allowed_of, contract_of, read_lines, rows, schema_of
from kits.table_kit import PURPOSE, documents
from pyarrow import parquet

from ringfence.clients.rows.table import RawTable, read_table
from ringfence.privacy.errors import TableError

MUSEUM = ASSETS / "bad_tables"
FEATURES: list[dict[str, Any]] = [
    {"name": "months", "kind": "number", "bounds": [1, 240], "scale": "log"},
    {"name": "since", "kind": "date", "bounds": ["1950-01-01", "2030-01-01"]},
    {"name": "plan", "kind": "category", "categories": ["basic", "99"]},
    {"name": "left", "kind": "flag"},
]
COLUMNS: list[dict[str, Any]] = [{"name": feature["name"], "purposes": [PURPOSE]} for feature in FEATURES]
COLUMNS[3] |= {"values": {"J": "yes", "N": "no", "1": "yes"}}
NAMES = ("id", *(feature["name"] for feature in FEATURES))
Cells = Sequence[Sequence[object]]
MARKS = ["", "-999", "1900-01-01", "99", "-1"]


def of_csv(folder: Path, cells: Cells) -> dict[str, Any]:
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(
            [NAMES, *(["" if cell is None else cell for cell in row] for row in cells)]
        )
    return {"file": "t.csv"}


def of_parquet(folder: Path, cells: Cells) -> dict[str, Any]:
    columns = dict(zip(NAMES, map(list, zip(*cells, strict=True)), strict=True))
    parquet.write_table(pa.table(columns), folder / "t.parquet")
    return {"file": "t.parquet"}


def of_database(folder: Path, cells: Cells) -> dict[str, Any]:
    plain = [[str(cell) if isinstance(cell, date | Decimal) else cell for cell in row] for row in cells]
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        connection.execute('create table t (id, months, since, plan, "left")')
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", plain)
        connection.commit()
    return {"url": "sqlite:///t.db", "table": "t", "file": None}


def read(
    folder: Path, source: dict[str, Any], columns: Sequence[str] = NAMES[1:], **features: Any
) -> RawTable:
    wanted = [feature | features for feature in FEATURES if feature["name"] in columns]
    kept = {key: value for key, value in source.items() if value is not None}
    mapped = [column for column in COLUMNS if column["name"] in columns]
    return read_table(*documents(wanted, mapped, source=kept), folder)


def missing(raw: RawTable) -> dict[str, int]:
    return {column.name: column.missing for column in raw.quality.facts.columns}


@pytest.mark.parametrize("make", [of_csv, of_parquet, of_database])
@pytest.mark.parametrize("number", [-999, -999.0, "-999", "-999.00", Decimal("-999.000")])
@pytest.mark.parametrize("day", ["1900-01-01", "1900-01-01T00:00:00", date(1900, 1, 1), datetime(1900, 1, 1)])
def test_a_mark_for_missing_is_missing_however_it_is_held(
    tmp_path: Path, make: Callable[[Path, Cells], dict[str, Any]], number: object, day: object
) -> None:
    plan: object = "99.0" if isinstance(number, str) else type(number)(99)  # type: ignore[call-arg]
    left: object = "-1.0" if isinstance(number, str) else type(number)(-1)  # type: ignore[call-arg]
    source = make(tmp_path, [[key, number, day, plan, left] for key in "ab"])
    raw = read(tmp_path, source | {"null_values": MARKS})
    assert missing(raw) == {"months": 2, "since": 2, "plan": 2, "left": 2}
    assert all(column.clipped == 0 == column.unknown for column in raw.quality.facts.columns)
    kept = read(tmp_path, source | {"null_values": [""]}, ["months", "since"])
    assert missing(kept) == {"months": 0, "since": 0}


def test_a_mark_is_a_number_in_the_files_own_way(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes((MUSEUM / "sentinels.csv").read_bytes())
    source = {"file": "t.csv", "delimiter": ";", "decimal": ",", "null_values": MARKS}
    raw = read(tmp_path, source)
    assert missing(raw) == {"months": 3, "since": 2, "plan": 3, "left": 2}
    assert raw._frame["months"].dropna().tolist() == [12.5]


@pytest.mark.parametrize("held", [pa.float32(), pa.float16(), pa.float64(), pa.int16()])
def test_a_mark_is_the_number_that_a_column_can_hold(tmp_path: Path, held: pa.DataType) -> None:
    mark = "-999" if pa.types.is_integer(held) else "-999.9"
    table = pa.table({"id": ["a", "b"], "months": pa.array([float(mark), 5]).cast(held, safe=False)})
    parquet.write_table(table, tmp_path / "t.parquet")
    raw = read(tmp_path, {"file": "t.parquet", "null_values": [mark]}, ["months"])
    assert (missing(raw), raw._frame["months"].tolist()[1]) == ({"months": 1}, 5)


@pytest.mark.parametrize("key", ["NULL", " NULL ", "0", "0.0", "-0"])
@pytest.mark.parametrize("make", [of_csv, of_parquet, of_database])
def test_a_key_that_is_a_mark_for_missing_names_nobody(
    tmp_path: Path, make: Callable[[Path, Cells], dict[str, Any]], key: str
) -> None:
    cells = [[key, 20, "2020-01-01", "basic", "J"], ["00", 30, "2020-01-01", "basic", "N"]]
    raw = read(tmp_path, make(tmp_path, cells) | {"null_values": ["", "NULL", "0"]})
    assert raw.keys() == ("00",)
    assert raw.quality.facts.keyless == 1
    assert [fault.code for fault in raw.quality.faults] == ["RF-T041"]


def test_the_case_of_a_null_mark_as_a_customer(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes((MUSEUM / "null_mark_as_customer.csv").read_bytes())
    features = [{"name": "age", "kind": "number", "bounds": [0, 120]}]
    source = {"file": "t.csv", "null_values": ["", "NULL"]}
    raw = read_table(*documents(features, [{"name": "age", "purposes": [PURPOSE]}], source=source), tmp_path)
    assert raw.keys() == ("K1", "K2")


def test_events_of_a_key_that_is_a_mark_for_missing_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("who,day\nNULL,2026-12-01\nann,2026-12-01\n", encoding="utf-8")
    raw = bare_events(tmp_path, null_values=["", "NULL"])
    assert raw.keys() == ("ann",)
    assert raw.quality.facts.events is not None
    assert raw.quality.facts.events.keyless == 1


def bare_events(folder: Path, **source: Any) -> RawTable:
    schema = schema_of(amount=None, most_spend=None, kinds=None)
    bare = dict.fromkeys(("amount", "quantity", "order", "kind", "item", "values", "cancelled"))
    contract = contract_of(schema, source=source, **bare)
    return read_table(contract, schema, allowed_of(contract, schema), folder)


MOMENTS = [
    "2026-12-31T23:30:00-05:00",  # the day of the cutoff in UTC
    "2027-01-01T07:30:00+08:00",  # the day before it in UTC
    "2026-12-31T23:59:59Z",
    "2027-01-01T00:00:00+00:00",
]
DAYS = ["2027-01-01", "2026-12-31", "2026-12-31", "2027-01-01"]


def test_one_moment_is_one_day_in_every_source(tmp_path: Path) -> None:
    who = ["a", "b", "c", "d"]
    lines = [f"{name},2026-12-01" for name in who]

    def read_moments(cells: Sequence[str]) -> dict[str, dict[str, Any]]:
        more = [f"{name},{cell}" for name, cell in zip(who, cells, strict=True)]
        (tmp_path / "orders.csv").write_text("\n".join(["who,day", *lines, *more, ""]), encoding="utf-8")
        return rows(bare_events(tmp_path))

    expected = read_moments(DAYS)
    assert [expected[name]["silent"] for name in who] == ["no", "yes", "yes", "no"]
    assert read_moments(MOMENTS) == expected
    moments = [datetime(2026, 12, 1, tzinfo=UTC)] * 4 + [datetime.fromisoformat(text) for text in MOMENTS]
    for zone in ("UTC", "America/New_York", "+08:00"):
        column = pa.array(moments, pa.timestamp("us", tz=zone))
        parquet.write_table(pa.table({"who": who * 2, "day": column}), tmp_path / "orders.parquet")
        assert rows(bare_events(tmp_path, file="orders.parquet")) == expected
    forms = [text.replace("T", " ").replace("Z", "+00:00") for text in MOMENTS]
    lines = [f"{name},2026-12-01 00:00:00+00:00" for name in who]
    (tmp_path / "orders.csv").write_text(
        "\n".join(["who,day", *lines, *map(",".join, zip(who, forms, strict=True)), ""]), encoding="utf-8"
    )
    assert rows(bare_events(tmp_path, date_format="%Y-%m-%d %H:%M:%S%z")) == expected


def test_a_moment_at_the_end_of_time_is_the_last_day(tmp_path: Path) -> None:
    source = of_csv(tmp_path, [["a", 1, "9999-12-31T23:59:59-05:00", "basic", "J"]])
    raw = read(tmp_path, source, ["since"])
    assert raw.quality.facts.columns[0].clipped == 1
    assert raw._frame["since"].tolist() == [date(2030, 1, 1).toordinal()]


def test_years_of_two_digits_are_those_within_the_bounds(tmp_path: Path) -> None:
    cells = [
        ["a", 1, "15/03/52", "basic", "J"],
        ["b", 1, "29/02/00", "basic", "J"],
        ["c", 1, "", "basic", "J"],
    ]
    source = of_csv(tmp_path, cells) | {"date_format": "%d/%m/%y"}
    raw = read(tmp_path, source, ["since"], bounds=["1920-01-01", "2008-12-31"])
    born = [date.fromordinal(int(day)) for day in raw._frame["since"].dropna()]
    assert born == [date(1952, 3, 15), date(2000, 2, 29)]
    assert raw.quality.facts.columns[0].clipped == 0
    source = of_csv(tmp_path, [*cells, ["d", 1, "15/03/15", "basic", "J"], ["e", 1, "soon", "basic", "J"]])
    with pytest.raises(TableError, match=r"RF-T102.*2 \(line 5, 6\)"):
        read(tmp_path, source | {"date_format": "%d/%m/%y"}, ["since"], bounds=["1920-01-01", "2008-12-31"])


def test_years_of_two_digits_in_events_are_those_near_the_cutoff(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "who,day\nann,01.12.26\nbob,01.12.99\nbob,02.12.26\n", encoding="utf-8"
    )
    found = rows(bare_events(tmp_path, date_format="%d.%m.%y"))
    assert (found["ann"]["recency_days"], found["bob"]["orders"]) == (31, 1)


@pytest.mark.parametrize(
    ("source", "cells", "expected"),
    [
        (
            {"thousands": " "},
            ["1 234", "1\u00a0234", "1\u202f234", "1\u2009234.5"],
            [1234, 1234, 1234, 1234.5],
        ),
        ({"thousands": "'"}, ["1'234", "1\u2019234", "1234", "12"], [1234, 1234, 1234, 12]),
        ({"thousands": "\u00a0", "decimal": ","}, ["1 234,5", "1\u00a0234", "7", "8"], [1234.5, 1234, 7, 8]),
        ({"thousands": "\u2019"}, ["1'234", "1", "2", "3"], [1234, 1, 2, 3]),
    ],
)
def test_blanks_and_apostrophes_between_thousands(
    tmp_path: Path, source: dict[str, Any], cells: list[str], expected: list[float]
) -> None:
    made = of_csv(tmp_path, [[f"k{i}", cell, "", "basic", "J"] for i, cell in enumerate(cells)])
    raw = read(tmp_path, made | source, ["months"], bounds=[1, 10_000])
    assert raw._frame["months"].tolist() == expected


def test_blanks_that_part_no_thousands_are_refused(tmp_path: Path) -> None:
    made = of_csv(tmp_path, [["a", "12\u00a034", "", "basic", "J"]])
    with pytest.raises(TableError, match="RF-T025"):
        read(tmp_path, made | {"thousands": " "}, ["months"])


KINDS = [pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string()]


@pytest.mark.parametrize("held", KINDS, ids=str)
def test_texts_are_read_however_parquet_holds_them(tmp_path: Path, held: pa.DataType) -> None:
    columns = {"id": "a", "months": "12", "since": "2020-01-02", "plan": "basic", "left": "J"}
    table = pa.table({name: pa.array([text]).cast(held) for name, text in columns.items()})
    parquet.write_table(table, tmp_path / "t.parquet")
    raw = read(tmp_path, {"file": "t.parquet"})
    assert raw.keys() == ("a",)
    assert raw._frame.iloc[0].tolist() == [12, date(2020, 1, 2).toordinal(), "basic", "yes"]


def test_days_kept_as_fractions_are_read_by_their_form(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "since": pa.array([20200102.0, None])})
    parquet.write_table(table, tmp_path / "t.parquet")
    raw = read(tmp_path, {"file": "t.parquet", "date_format": "%Y%m%d"}, ["since"])
    assert raw._frame["since"].dropna().tolist() == [date(2020, 1, 2).toordinal()]


def test_keys_of_a_parquet_file_that_have_lost_digits_are_refused() -> None:
    features = [{"name": "age", "kind": "number", "bounds": [0, 120]}]
    made = documents(
        features, [{"name": "age", "purposes": [PURPOSE]}], source={"file": "float_keys.parquet"}
    )
    with pytest.raises(TableError, match=r"RF-T100.*2\^53"):
        read_table(*made, MUSEUM)


RETURNS = "who,day,invoice,price,pieces"
PARTS = {"kind": None, "item": None, "values": None, "returns": "subtract"}


def spend(folder: Path, lines: Sequence[str], **window: Any) -> dict[str, list[float]]:
    made = read_lines(folder, list(lines), header=RETURNS, window={"kinds": None} | window, **PARTS)
    return {
        who: [row[name] for name in ("spend", "spend_p01", "spend_p02", "spend_p03")]
        for who, row in rows(made).items()
    }


def test_a_return_lowers_what_was_spent_whatever_its_number_and_day(tmp_path: Path) -> None:
    lines = (MUSEUM / "returns.csv").read_text("utf-8").splitlines()[1:]
    found = spend(tmp_path, lines, most_spend=8000, amount=[0, 2000])
    nothing = 8  # the smallest bound: a thousandth of the largest
    assert {who: row[0] for who, row in found.items()} == {"A": nothing, "B": nothing, "C": nothing, "D": 100}


def test_a_return_counts_where_it_happens_and_never_below_nothing(tmp_path: Path) -> None:
    lines = [
        "ann,2026-10-10,1,100,1",  # the first of three periods
        "ann,2026-12-20,2,30,-1",  # the last
        "bob,2026-10-10,1,100,1",
        "bob,2026-12-20,2,90,-3",  # one order's returns are at most the largest amount
        "eve,2026-10-10,1,20,1",
        "eve,2026-10-10,1,5,-1",
        "eve,2026-10-11,2,9,1",
    ]
    found = spend(tmp_path, lines)
    assert found["ann"] == [70, 100, 0.4, 0.4]
    assert found["bob"] == [0.4, 100, 0.4, 0.4]
    assert found["eve"] == [24, 24, 0.4, 0.4]
    low, high = 0.4, 400
    worst = [f"max,2026-10-{10 + i // 40},{i},1e9,{1 if i % 2 else -1}" for i in range(400)]
    assert all(low <= value <= high for value in spend(tmp_path, worst)["max"])
