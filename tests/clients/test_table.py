"""From a file to coded values: what is decoded, from which source, and how it is written there."""

from __future__ import annotations

import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from kits.table_kit import COLUMNS, FEATURES, HEADER, PURPOSE, ROWS, by_age, documents, minimise, write
from pyarrow import csv as pa_csv
from pyarrow import parquet
from sqlalchemy import create_engine, text

from ringfence.clients.rows.table import OTHER, read_table
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.errors import TableError


def test_values_are_coded_by_schema_and_contract(tmp_path: Path) -> None:
    contract, schema, allowed = documents()
    write(tmp_path, ROWS)
    raw = read_table(contract, schema, allowed, tmp_path)
    frame = by_age(minimise(raw))
    assert list(frame.columns) == ["age", "plan", "joined", "churn"]
    assert frame["age"].dtype == np.float64
    assert frame["age"].fillna(-1).tolist() == [-1, 30, 90]
    assert frame["joined"].dtype == np.float64
    days = [date(2020, 2, 29).toordinal(), date(2030, 1, 1).toordinal()]
    assert frame["joined"].fillna(-1).tolist() == [-1, *days]
    assert frame["plan"].tolist() == ["gold", "basic", OTHER]
    assert list(frame["plan"].cat.categories) == ["basic", "gold", OTHER]
    assert frame["churn"].tolist() == ["yes", "no", "yes"]
    facts = {column.name: column for column in raw.quality.facts.columns}
    assert (facts["age"].missing, facts["age"].clipped, facts["joined"].clipped) == (1, 1, 1)
    assert facts["plan"].unknown == 1


def test_no_column_but_the_allowed_ones_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    path.write_bytes(path.read_bytes().replace(b",x\n", b",\xff\xfe\xff\n"))
    contract, schema, allowed = documents()
    assert len(read_table(contract, schema, allowed, tmp_path)) == 3
    columns = [*COLUMNS, {"name": "notes", "purposes": [PURPOSE]}]
    features = [*FEATURES, {"name": "notes", "kind": "category", "categories": ["x", "y"]}]
    with pytest.raises(TableError, match="RF-T016"):
        read_table(*documents(features, columns), tmp_path)


def test_arrow_is_asked_for_the_allowed_columns_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real_csv, real_parquet = pa_csv.open_csv, parquet.ParquetFile.read

    def spy_csv(*args: Any, **options: Any) -> Any:
        blocks = real_csv(*args, **options)
        asked.append(blocks.schema.names)
        return blocks

    def spy_parquet(self: Any, columns: list[str] | None = None, **options: Any) -> Any:
        asked.append(columns)
        return real_parquet(self, columns=columns, **options)

    monkeypatch.setattr(pa_csv, "open_csv", spy_csv)
    monkeypatch.setattr(parquet.ParquetFile, "read", spy_parquet)
    contract, schema, allowed = documents()
    path = write(tmp_path, ROWS)
    read_table(contract, schema, allowed, tmp_path)
    names = HEADER.split(",")
    assert sorted(names[int(i)] for i in asked.pop()) == sorted(allowed.decode)
    assert "notes" not in allowed.decode
    parquet.write_table(pa.Table.from_pandas(pd.read_csv(path)), tmp_path / "t.parquet")
    contract, schema, allowed = documents(source={"file": "t.parquet"})
    read_table(contract, schema, allowed, tmp_path)
    assert asked == [list(allowed.decode)]


@pytest.mark.parametrize("form", ["csv", "parquet", "sqlite", "gb18030", "bom"])
def test_every_source_gives_the_same_table(tmp_path: Path, form: str) -> None:
    features = [dict(f) for f in FEATURES]
    features[1] = {"name": "plan", "kind": "category", "categories": ["基本", "黄金,尊享"]}
    columns = [dict(c) for c in COLUMNS]
    columns[1] = {"name": "plan", "source": "套餐", "purposes": [PURPOSE], "values": {"1": "基本"}}
    header, rows = (
        "id,AGE,套餐,joined,churn,notes",
        ['7,30,1,2020-02-29,N,"x\ny"', '8,,"黄金,尊享",,Y,', "9,200,3,2031-01-01,Y,z"],
    )
    path = write(tmp_path, rows, header, {"gb18030": "gb18030", "bom": "utf-8-sig"}.get(form, "utf-8"))
    source: dict[str, Any] = {"file": "t.csv", "encoding": "gb18030" if form == "gb18030" else "utf-8"}
    if form in {"parquet", "sqlite"}:
        frame = pd.read_csv(path, dtype={"id": "int64", "AGE": "float64"})
        if form == "parquet":
            frame.to_parquet(tmp_path / "t.parquet")
            source = {"file": "t.parquet"}
        else:
            engine = create_engine(f"sqlite:///{tmp_path / 't.db'}")
            frame.to_sql("customers", engine, index=False)
            engine.dispose()
            source = {"url": "sqlite:///t.db", "table": "customers"}
    raw = read_table(*documents(features, columns, source=source), tmp_path)
    assert sorted(raw.keys()) == ["7", "8", "9"]
    frame = by_age(minimise(raw))
    assert frame["plan"].tolist() == ["黄金,尊享", "基本", OTHER]
    assert frame["age"].fillna(-1).tolist() == [-1, 30, 90]
    assert frame["churn"].tolist() == ["yes", "no", "yes"]


@pytest.mark.parametrize(
    "values", [["1", "2"], [1, 2], [1.0, 2.0], ["1.0", "+2"], [Decimal("1.00"), Decimal("2.00")]]
)
def test_one_code_matches_however_the_file_holds_it(tmp_path: Path, values: list[Any]) -> None:
    table = pa.table({"id": ["a", "b"], "PLAN_CD": pa.array(values)})
    parquet.write_table(table, tmp_path / "t.parquet")
    contract, schema, allowed = documents(FEATURES[1:2], COLUMNS[1:2], source={"file": "t.parquet"})
    assert sorted(minimise(read_table(contract, schema, allowed, tmp_path)).frame["plan"]) == [
        "basic",
        "gold",
    ]


def test_leading_zeros_are_significant_and_truth_values_fill_flags(tmp_path: Path) -> None:
    columns = [{"name": "plan", "purposes": [PURPOSE], "values": {"01": "basic", "1": "gold"}}]
    write(tmp_path, ["a,01", "b,1"], "id,plan")
    raw = read_table(*documents(FEATURES[1:2], columns), tmp_path)
    assert sorted(minimise(raw).frame["plan"]) == ["basic", "gold"]
    parquet.write_table(pa.table({"id": ["a", "b"], "churn": [True, None]}), tmp_path / "t.parquet")
    made = documents(FEATURES[3:], [{"name": "churn", "purposes": [PURPOSE]}], source={"file": "t.parquet"})
    flags = read_table(*made, tmp_path)
    assert flags.quality.facts.columns[0].missing == 1
    assert minimise(flags).frame["churn"].tolist() == ["yes"]


@pytest.mark.parametrize(
    ("source", "cells", "expected"),
    [
        ({}, ["1.5", " 2 ", "+3", "1e1", ""], [1.5, 2, 3, 10, -1]),
        ({"decimal": ",", "thousands": "."}, ["1,5", "1.234,5", "20", " ", "-3"], [1.5, 1234.5, 20, -1, -3]),
        ({"thousands": ","}, ["1,234,567.25", "12", ".5", "1e3", "NA"], [1234567.25, 12, 0.5, 1000, -1]),
        (
            {"thousands": "'", "decimal": ","},
            ["1'000", "0,25", "1'000,5", "", ""],
            [1000, 0.25, 1000.5, -1, -1],
        ),
    ],
)
def test_numbers_as_people_write_them(
    tmp_path: Path, source: dict[str, Any], cells: list[str], expected: list[float]
) -> None:
    write(tmp_path, [f"{i};{cell}" for i, cell in enumerate(cells)], "id;x")
    made = documents(
        [{"name": "x", "kind": "number", "bounds": [-10, 10**7]}],
        [{"name": "x", "purposes": [PURPOSE]}],
        source={"file": "t.csv", "delimiter": ";", "null_values": ["", "NA"]} | source,
    )
    frame = minimise(read_table(*made, tmp_path)).frame
    assert sorted(frame["x"].fillna(-1)) == sorted(expected)


@pytest.mark.parametrize(
    ("unknown", "missing", "expected"),
    [
        ("other", {}, {"b": "nan", "a": "basic", "c": OTHER}),
        ("missing", {}, {"a": "basic", "b": "nan", "c": "nan"}),
        ("exclude", {}, {"a": "basic", "b": "nan"}),
        ("missing", {"missing": "value", "missing_value": "gold"}, {"a": "basic", "b": "gold", "c": "gold"}),
        ("other", {"missing": "value", "missing_value": "gold"}, {"a": "basic", "b": "gold", "c": OTHER}),
    ],
)
def test_unknown_and_missing_follow_the_schema(
    tmp_path: Path, unknown: str, missing: dict[str, str], expected: dict[str, str]
) -> None:
    write(tmp_path, ["a,1", "b,", "c,77"], "id,PLAN_CD")
    feature = FEATURES[1] | {"unknown": unknown} | missing
    raw = read_table(*documents([feature], COLUMNS[1:2]), tmp_path)
    assert sorted(raw.keys()) == sorted(expected)
    assert sorted(map(str, minimise(raw).frame["plan"])) == sorted(expected.values())


def test_a_missing_number_or_date_becomes_its_value(tmp_path: Path) -> None:
    write(tmp_path, ["a,,", "b,20,01.02.2003"], "id,AGE,joined")
    features = [
        FEATURES[0] | {"missing": "value", "missing_value": 40},
        FEATURES[2] | {"missing": "value", "missing_value": "2001-01-01"},
    ]
    source = {"file": "t.csv", "date_format": "%d.%m.%Y"}
    frame = by_age(
        minimise(read_table(*documents(features, [COLUMNS[0], COLUMNS[2]], source=source), tmp_path))
    )
    assert frame["age"].tolist() == [20, 40]
    assert frame["joined"].tolist() == [date(2003, 2, 1).toordinal(), date(2001, 1, 1).toordinal()]


def test_dates_of_parquet(tmp_path: Path) -> None:
    day, moment = date(2020, 2, 29), datetime(2020, 2, 29, 23, 59)
    for column in ([day, None], [moment, None], ["2020-02-29T10:00:00", None]):
        parquet.write_table(pa.table({"id": ["a", "b"], "joined": pa.array(column)}), tmp_path / "t.parquet")
        made = documents(FEATURES[2:3], COLUMNS[2:3], source={"file": "t.parquet"})
        frame = minimise(read_table(*made, tmp_path)).frame
        assert sorted(frame["joined"].fillna(0)) == [0, day.toordinal()]


def test_telco_reads_with_blank_totals_as_missing(tmp_path: Path) -> None:
    folder = Path(
        os.environ.get("RINGFENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")
    ).resolve()
    name = "WA_Fn-UseC_-Telco-Customer-Churn.csv"
    if not (folder / name).is_file():
        pytest.skip(f"{name} is not in RINGFENCE_DATA")
    features: list[dict[str, Any]] = [
        {"name": "tenure", "kind": "number", "bounds": [0, 72]},
        {"name": "total", "kind": "number", "bounds": [0, 9000]},
        {"name": "senior", "kind": "flag"},
        {"name": "terms", "kind": "category", "categories": ["Month-to-month", "One year", "Two year"]},
        {"name": "churn", "kind": "flag"},
    ]
    columns: list[dict[str, Any]] = [
        {"name": "tenure", "purposes": [PURPOSE]},
        {"name": "total", "source": "TotalCharges", "purposes": [PURPOSE], "max_missing": "0.01"},
        {
            "name": "senior",
            "source": "SeniorCitizen",
            "purposes": [PURPOSE],
            "values": {"0": "no", "1": "yes"},
        },
        {"name": "terms", "source": "Contract", "purposes": [PURPOSE]},
        {"name": "churn", "source": "Churn", "purposes": [PURPOSE], "values": {"No": "no", "Yes": "yes"}},
    ]
    made = documents(features, columns, source={"file": name}, subject="customerID")
    contract, schema, allowed = made
    allowed = Allowed(
        subject="customerID",
        label="churn",
        features=allowed.features,
        headers=allowed.headers,
        sensitive=(),
        separate=(),
    )
    raw = read_table(contract, schema, allowed, folder)
    raw.quality.check()
    assert len(raw) == 7043
    facts = {column.name: column for column in raw.quality.facts.columns}
    assert [facts[n].missing for n in ("tenure", "total", "senior", "terms", "churn")] == [0, 11, 0, 0, 0]
    frame = minimise(raw, fraction=Decimal("0.2")).frame
    assert round(float((frame["churn"] == "yes").mean()), 3) == 0.265
    assert frame.loc[frame["total"].isna(), "tenure"].tolist() == [0.0] * 11


def test_a_database_is_read_by_name_and_only_the_allowed_columns(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 't.db'}")
    with engine.begin() as connection:
        connection.execute(text('create table customers (id integer, "AGE" , secret text)'))
        connection.execute(
            text("insert into customers values (1, 20, 'x'), (2, '30.5', 'y'), (3, null, 'z')")
        )
        connection.execute(text('create table empty (id integer, "AGE" integer)'))
    engine.dispose()
    made = documents(FEATURES[:1], COLUMNS[:1], source={"url": "sqlite:///t.db", "table": "customers"})
    assert sorted(minimise(read_table(*made, tmp_path)).frame["age"].fillna(-1)) == [-1, 20, 30.5]
    for url, table, code in (
        ("sqlite:///t.db", "empty", "RF-T023"),
        ("sqlite:///t.db", "nobody", "RF-T021"),
        ("sqlite:///none.db", "customers", "RF-T001"),
        ("nosuch://h/x", "customers", "RF-T024"),
        ("postgresql://reader@127.0.0.1:9/crm", "customers", "RF-T022"),
    ):
        bad = documents(FEATURES[:1], COLUMNS[:1], source={"url": url, "table": table})
        with pytest.raises(TableError) as fault:
            read_table(*bad, tmp_path)
        assert fault.value.code == code
    assert not (tmp_path / "none.db").exists()
    bad = documents(
        FEATURES[:1],
        [COLUMNS[0] | {"source": "AGEE"}],
        source={"url": "sqlite:///t.db", "table": "customers"},
    )
    with pytest.raises(TableError, match=r'RF-T019.*Did you mean "AGE"'):
        read_table(*bad, tmp_path)
    keyless = documents(
        FEATURES[:1],
        COLUMNS[:1],
        source={"url": "sqlite:///t.db", "table": "customers"},
        subject="person",
    )
    with pytest.raises(TableError, match=r"RF-T019.*--row-is-customer"):
        read_table(*keyless, tmp_path)
