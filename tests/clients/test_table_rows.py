"""The coded rows of a table are the coded rows of its rows, each read alone: no customer changes another's.

A customer's contribution is bounded by what that customer's row can change. Were a column typed by all its
cells, one text among the numbers would spell every other customer's key anew, and so change who is found in
the consent registry.
"""

from __future__ import annotations

import csv
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kits.table_kit import PURPOSE, documents
from pyarrow import parquet

from ringfence.clients.rows.coding import code
from ringfence.clients.rows.table import read_table
from ringfence.privacy.errors import TableError
from ringfence.privacy.tables.celltext import cell_text, key_text

Row: TypeAlias = tuple[object, ...]
Coded: TypeAlias = tuple[str, ...]
Source: TypeAlias = Callable[[Path, Sequence[Row]], dict[str, Any]]

HEADERS = ("id", "amount", "plan", "since", "churn")
FEATURES: list[dict[str, Any]] = [
    {"name": "amount", "kind": "number", "bounds": [-1000, 1000]},
    {"name": "plan", "kind": "category", "categories": ["basic", "12", "1.5"]},
    {"name": "since", "kind": "date", "bounds": ["1950-01-01", "2030-01-01"]},
    {"name": "churn", "kind": "flag", "unknown": "exclude"},
]
COLUMNS: list[dict[str, Any]] = [
    {"name": "amount", "purposes": [PURPOSE]},
    {"name": "plan", "purposes": [PURPOSE], "values": {"0": "basic", "true": "basic"}},
    {"name": "since", "purposes": [PURPOSE]},
    {"name": "churn", "purposes": [PURPOSE], "values": {"1": "yes", "0": "no"}},
]

NUMBERS: list[object] = [12, 12.0, -0.0, 0, 1.5, 1e22, 2**63 - 1, -(2**63), 9007199254740993, 0.1, 1e-7]
TEXTS: list[object] = [
    "12",
    "12.0",
    " 12 ",
    "+12",
    "012",
    "1e3",
    "1.5",
    "x",
    "",
    " ",
    "NA",
    "yes",
    "no",
    "true",
    "中文",
    "a,b",
    'q"q',
    "1_0",
    "nan",
    "inf",
    "1,5",
    "1.234,5",
    "1.234",
]
DATES: list[object] = ["2020-02-29", "2020-02-29T23:59:59", "29.02.2020", "20200229", 20200229]
ANY = st.sampled_from([None, *NUMBERS, *TEXTS, *DATES])
# Mostly cells that can be read, so that whole tables are; each column now and then holds anything.
CELLS = (
    st.one_of(
        st.sampled_from([*NUMBERS, *TEXTS]),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.none(),
    ),
    st.one_of(st.sampled_from([*NUMBERS, None, "12", "12.0", " 12", "+12", "1e3"]), ANY),
    ANY,
    st.sampled_from([None, "", "2020-02-29", "2020-02-29T23:59:59", "20200229", 20200229]),
    ANY,
)
TABLES = st.lists(st.tuples(*CELLS), min_size=2, max_size=6)
CONVENTIONS: list[dict[str, Any]] = [
    {},
    {"decimal": ",", "thousands": "."},
    {"thousands": ","},
    {"date_format": "%Y%m%d"},
]


def as_sqlite(folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """A table whose columns have no type of their own, so that each cell keeps its own."""
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        connection.execute(f"create table t ({', '.join(HEADERS)})")
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
        connection.commit()
    return {"url": "sqlite:///t.db", "table": "t", "file": None}


def as_csv(folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, quoting=csv.QUOTE_ALL)
        out.writerows([HEADERS, *(["" if cell is None else str(cell) for cell in row] for row in rows)])
    return {"file": "t.csv"}


def coded(make: Source, rows: Sequence[Row], convention: dict[str, Any]) -> list[Coded] | str:
    """Key and values of every row, or the code of the refusal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make(folder, rows) | {"null_values": ["", "NA"]} | convention
        source = {key: value for key, value in source.items() if value is not None}
        try:
            raw = read_table(*documents(FEATURES, COLUMNS, source=source), folder)
        except TableError as refusal:
            return refusal.code
    columns = (raw._frame[feature["name"]].tolist() for feature in FEATURES)
    return [tuple(map(str, cells)) for cells in zip(raw.keys(), *columns, strict=True)]


def check_additive(make: Source, rows: Sequence[Row], convention: dict[str, Any]) -> None:
    """What can be read alone is read the same together; what cannot stops the whole table."""
    alone = [coded(make, [row], convention) for row in rows]
    if any(isinstance(found, str) for found in alone):
        assert isinstance(coded(make, rows, convention), str)
    seen: set[str] = set()
    good: list[Row] = []
    expected: list[Coded] = []
    for row, found in zip(rows, alone, strict=True):
        if isinstance(found, str):
            continue
        good.append(row)
        cell = row[0] if make is as_sqlite else "" if row[0] is None else str(row[0])
        key = key_text([cell])[0].as_py()
        if key not in seen:  # of one customer's rows the first counts, and the others change nothing
            expected += found
        seen.add(key)
    assert not good or coded(make, good, convention) == expected


@settings(max_examples=60, deadline=None)
@given(TABLES, st.sampled_from(CONVENTIONS))
@example([(12.0, 1, "12", None, 1), (13.0, 2, 12.0, None, 0), ("x", 3, "x", None, "yes")], {})
@example([(2**63 - 1, 1, 1, None, 1), (1.0, 2, 2.5, None, 1), (1e22, 1e22, 1e22, None, 0)], {})
@example([("a", 1.5, 1.5, None, 1), ("b", "1,5", "1,5", None, 1)], {"decimal": ",", "thousands": "."})
@example([("a", 1, 1, 20200229, 1), ("b", 1, 1, "20200229", 1)], {"date_format": "%Y%m%d"})
def test_rows_of_a_database_do_not_change_each_other(rows: list[Row], convention: dict[str, Any]) -> None:
    check_additive(as_sqlite, rows, convention)


@settings(max_examples=60, deadline=None)
@given(TABLES, st.sampled_from(CONVENTIONS))
@example([("1", "+1", "12", None, "1"), ("2", "12", "12.0", None, "0"), ("x", "1e3", "x", None, "yes")], {})
def test_rows_of_a_csv_file_do_not_change_each_other(rows: list[Row], convention: dict[str, Any]) -> None:
    check_additive(as_csv, rows, convention)


def test_a_key_is_spelt_by_itself() -> None:
    keys: list[object] = [
        12.0,
        12,
        Decimal("12.00"),
        13.5,
        2**64,
        -0.0,
        " x ",
        None,
        float("nan"),
        UUID(int=1),
        True,
    ]
    texts = ["12", "12", "12", "13.5", str(2**64), "0", "x", "", "", str(UUID(int=1)), "1"]
    assert key_text(keys).to_pylist() == texts
    assert [key_text([key])[0].as_py() for key in keys] == texts
    with pytest.raises(TableError, match="RF-T017"):
        key_text([1, b"1"])


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([12, None], pa.int64()), ["12", ""]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([12.0, float("nan"), None]), ["12", "", ""]),
        (pa.array([2.0**53 - 1, -0.0]), [str(2**53 - 1), "0"]),
        (pa.array([2.0**24 - 1], pa.float32()), [str(2**24 - 1)]),
        (pa.array([" a", None], pa.string_view()), ["a", ""]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.nulls(2), ["", ""]),
        (pa.array([Decimal("12.00")]), ["12"]),
        (pa.array([12.0]).dictionary_encode(), ["12"]),
        (pa.chunked_array([[" a"], ["b "]]), ["a", "b"]),
    ],
)
def test_keys_of_a_file_are_spelt_alike_whatever_their_type(column: Any, texts: list[str]) -> None:
    assert key_text(column).to_pylist() == texts


@pytest.mark.parametrize(
    "column", [pa.array([1.5]), pa.array([float("inf")]), pa.array([True]), pa.array([b"1"])]
)
def test_what_is_no_key_is_refused(column: Any) -> None:
    with pytest.raises(TableError, match="RF-T017"):
        key_text(column)


LOST: list[Any] = [
    pa.array([9007199254740993.0, None]),
    pa.array([-(2.0**53)]),
    pa.array([2.0**24], pa.float32()),
    pa.array([2048.0], pa.float16()),
    pa.array([1e19]).dictionary_encode(),
    [2.0**53, "a"],
]


@pytest.mark.parametrize("column", LOST)
def test_a_key_that_has_lost_digits_is_refused(column: Any) -> None:
    with pytest.raises(TableError, match="RF-T100"):
        key_text(column)


@pytest.mark.parametrize("key", ["9.00719925474099E+15", "1E+15", "4,2E+16", "-1.5e+20"])
def test_a_key_that_a_spreadsheet_has_shortened_is_refused(key: str) -> None:
    for column in (pa.array(["a", key]), ["a", key]):
        with pytest.raises(TableError, match="RF-T101") as caught:
            key_text(column)
        assert key not in str(caught.value)
    assert key_text(["1E15", "A+12", "12E5", "1e5"]).to_pylist() == ["1E15", "A+12", "12E5", "1e5"]


def test_the_text_of_a_cell() -> None:
    east = timezone(timedelta(hours=8))
    cells: dict[object, str | None] = {
        1.5: "1.5",
        1e22: "1" + 22 * "0",
        5e-324: "5e-324",
        Decimal("1.50"): "1.5",
        Decimal("-0.0"): "0",
        Decimal("1E+3"): "1000",
        Decimal("NaN"): None,
        float("inf"): "inf",
        Decimal("-Infinity"): "-Infinity",
        date(2020, 2, 29): "2020-02-29",
        datetime(2020, 2, 29, 1, 2): "2020-02-29T01:02:00",
        datetime(2020, 3, 1, 1, tzinfo=east): "2020-02-29T17:00:00",
        False: "0",
    }
    assert {cell: cell_text(cell) for cell in cells} == cells
    with pytest.raises(TypeError):
        cell_text(["a list"])


def one(feature: int, cells: list[object] | Any, **source: Any) -> list[object]:
    contract, schema, _allowed = documents(
        FEATURES, COLUMNS, source={"url": "sqlite:///t.db", "table": "t"} | source
    )
    made = code(
        cells, schema.features[feature], contract.columns[feature], contract.source, lambda rows: list(rows)
    )
    return [None if value != value else value for value in made.values]


def test_types_that_only_servers_have() -> None:
    utc = datetime(2020, 2, 29, 23, tzinfo=UTC)
    assert one(0, [Decimal("1.5"), True, 10**400 // 10**398, None, "2"]) == [1.5, 1, 100, None, 2]
    assert one(2, [date(2020, 2, 29), utc, "2020-02-29", None]) == [
        *3 * [date(2020, 2, 29).toordinal()],
        None,
    ]
    assert one(3, [True, False, "yes", 1, None]) == ["yes", "no", "yes", "yes", None]
    assert one(1, [True, Decimal("12.00"), 12, "1.50", 1.5]) == ["basic", "12", "12", "(other)", "1.5"]


@pytest.mark.parametrize(
    ("feature", "cell", "code"),
    [
        (0, b"12", "RF-T025"),
        (0, float("inf"), "RF-T025"),
        (0, 10**400, "RF-T025"),
        (0, date(2020, 1, 1), "RF-T025"),
        (0, Decimal("sNaN"), "RF-T025"),
        (2, b"2020-01-01", "RF-T026"),
        (2, 1.5, "RF-T026"),
        (1, b"basic", "RF-T034"),
        (3, [1], "RF-T034"),
    ],
)
def test_a_cell_that_cannot_be_read_is_told_by_its_row(feature: int, cell: object, code: str) -> None:
    with pytest.raises(TableError) as refusal:
        one(feature, [None, cell])
    assert refusal.value.code == code
    assert "(line 1)" in str(refusal.value)  # rows count from 0 in this test


@pytest.mark.parametrize("values", [[12], [12.0], [Decimal("12.00")], ["12"]])
def test_a_file_that_types_a_column_otherwise_means_the_same(tmp_path: Path, values: list[Any]) -> None:
    # A writer that looks at all rows makes floats of whole numbers once one is missing.
    table = {"id": values, "amount": values, "plan": values, "since": ["2020-02-29"], "churn": ["yes"]}
    parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    raw = read_table(*documents(FEATURES, COLUMNS, source={"file": "t.parquet"}), tmp_path)
    assert raw.keys() == ("12",)
    assert [raw._frame[name][0] for name in ("amount", "plan")] == [12, "12"]


def test_moments_of_a_file_may_be_finer_than_microseconds() -> None:
    moments = pa.array([1582934400_000000001, None], pa.timestamp("ns"))
    assert one(2, moments) == [date(2020, 2, 29).toordinal(), None]
