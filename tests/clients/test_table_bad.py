"""A museum of tables that cannot be read: one clear sentence each, never a value, never a traceback of a
library.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from ringfence.clients.rows.table import read_table
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.errors import TableError
from ringfence.privacy.tables import tabular

Make = Callable[[Path], object]
SECRET = "zhang-wei-13800138000"


def documents(**source: Any) -> tuple[Contract, Schema, Allowed]:
    features: list[dict[str, Any]] = [
        {"name": "age", "kind": "number", "bounds": [0, 120]},
        {"name": "since", "kind": "date", "bounds": ["2000-01-01", "2030-01-01"]},
        {"name": "plan", "kind": "category", "categories": ["基本", "黄金"]},
        {"name": "remark", "kind": "text"},
    ]
    schema = Schema.model_validate({"id": "s", "version": 1, "feature": features})
    columns = [{"name": f["name"], "purposes": ["churn-prediction"]} for f in features]
    contract = Contract.model_validate(
        {
            "id": "c",
            "holder": "h",
            "version": 1,
            "schema": schema.digest(),
            "subject": "id",
            "population": "p",
            "jurisdiction": "CN",
            "max_customers": 100,
            "column": columns,
            "source": {"file": "t.csv"} | source,
        }
    )
    names = ("age", "since", "plan")
    allowed = Allowed(
        subject="id", label=None, features=names, headers={n: n for n in names}, sensitive=(), separate=()
    )
    return contract, schema, allowed


def csv(content: str | bytes, encoding: str = "utf-8", name: str = "t.csv") -> Make:
    data = content if isinstance(content, bytes) else content.encode(encoding)
    return lambda folder: (folder / name).write_bytes(data)


def parquet_file(name: str = "t.parquet", **columns: Any) -> Make:
    whole = {"id": ["1"], "age": [1.0], "since": ["2020-01-01"], "plan": ["基本"]} | columns
    return lambda folder: parquet.write_table(pa.table(whole), folder / name)


HEADER = "id,age,since,plan\n"
ROW = "1,30,2020-01-01,基本\n"
BAD: dict[str, tuple[Make, dict[str, Any], str, str]] = {
    "missing": (lambda folder: None, {}, "RF-T001", "does not exist"),
    "folder": (lambda folder: (folder / "t.csv").mkdir(), {}, "RF-T002", "folder"),
    "empty": (csv(""), {}, "RF-T003", "empty"),
    "header only": (csv(HEADER), {}, "RF-T004", "no rows"),
    "header without line end": (csv(HEADER.strip()), {}, "RF-T004", "no rows"),
    "empty parquet": (
        parquet_file(id=[], age=[], since=[], plan=[]),
        {"file": "t.parquet"},
        "RF-T004",
        "no rows",
    ),
    "not parquet": (csv(HEADER + ROW, name="t.parquet"), {"file": "t.parquet"}, "RF-T005", "not a Parquet"),
    "cut parquet": (
        csv(b"PAR1" + bytes(40), name="t.parquet"),
        {"file": "t.parquet"},
        "RF-T005",
        "not a Parquet",
    ),
    "parquet named csv": (parquet_file("t.csv"), {}, "RF-T006", ".parquet"),
    "spreadsheet": (csv(b"PK\x03\x04" + bytes(30)), {}, "RF-T007", "Export it as CSV"),
    "gzip": (csv(b"\x1f\x8b\x08" + bytes(30)), {}, "RF-T007", "archive"),
    "semicolons": (csv((HEADER + ROW).replace(",", ";")), {}, "RF-T008", "set delimiter = ';'"),
    "tabs": (csv((HEADER + ROW).replace(",", "\t")), {}, "RF-T008", "'\\t'"),
    "column misspelt": (csv((HEADER + ROW).replace("plan", "Plann")), {}, "RF-T009", 'Did you mean "Plann"?'),
    "column with a mark of no width": (
        csv((HEADER + ROW).replace("plan", "pl\u200ban")),
        {},
        "RF-T009",
        "characters that cannot be seen",
    ),
    "no customer key": (csv((HEADER + ROW).replace("id,", "x,")), {}, "RF-T009", '"id"'),
    "parquet lacks a column": (
        lambda folder: parquet.write_table(pa.table({"id": [1]}), folder / "t.parquet"),
        {"file": "t.parquet"},
        "RF-T009",
        '"age", "since", "plan"',
    ),
    "column twice": (
        csv("id,age,since,plan,age\n1,30,2020-01-01,基本,31\n"),
        {},
        "RF-T011",
        "more than once",
    ),
    "quotation never closed": (
        csv(HEADER + ROW * 3 + '2,"30,2020-01-01,基本\n' + ROW * 3),
        {},
        "RF-T036",
        "from line 5 on",
    ),
    "quotation closed by a later one": (
        csv(HEADER + ROW * 3 + '2,"30,2020-01-01,基本\n' + ROW + '3,30,2020-01-01,"基本"\n' + ROW),
        {},
        "RF-T036",
        "line 5",
    ),
    "quotation of a last cell never closed": (
        csv(HEADER + ROW + '2,30,2020-01-01,"基本\n' + ROW * 3),
        {},
        "RF-T036",
        "from line 3 on",
    ),
    "quotation opened in a long file": (
        csv(HEADER + ROW * 90_000 + '2,"30,2020-01-01,基本\n' + ROW * 250_000),
        {},
        "RF-T036",
        "from line 90002 on",
    ),
    "gb18030 undeclared": (csv(HEADER + ROW, "gb18030"), {}, "RF-T016", 'encoding = "gb18030"'),
    "gb18030 header undeclared": (csv("编号" + HEADER, "gb18030"), {}, "RF-T013", 'encoding = "gb18030"'),
    "utf-8 declared gb18030": (csv(HEADER + ROW), {"encoding": "gb18030"}, "RF-T016", 'encoding = "utf-8"'),
    "utf-8 header declared gb18030": (
        csv((HEADER + ROW).replace("plan", "套餐类型")),
        {"encoding": "gb18030"},
        "RF-T009",
        'encoding = "utf-8"',
    ),
    "short row": (csv(HEADER + ROW + f"{SECRET},3\n" + ROW), {}, "RF-T014", "line 3"),
    "long row": (csv(HEADER + ROW + "\n" + ROW.strip() + f",{SECRET}\n"), {}, "RF-T014", "line 4"),
    "text in a number": (
        csv(HEADER + ROW + f'"2\n3",{SECRET},,\n' + f"4,{SECRET},,\n"),
        {},
        "RF-T025",
        "(line 3, 5)",
    ),
    "infinite number": (csv(HEADER + "1,inf,,\n2,nan,,\n3,1_0,,\n"), {}, "RF-T025", "not numbers: 3 (line"),
    "infinite number in parquet": (
        parquet_file(age=[float("inf")]),
        {"file": "t.parquet"},
        "RF-T025",
        "line 1",
    ),
    "decimal comma undeclared": (csv(HEADER + '1,"1,5",,\n'), {}, "RF-T025", "Check decimal"),
    "decimal comma read as thousands": (csv(HEADER + '1,"1,5",,\n'), {"thousands": ","}, "RF-T025", "line 2"),
    "point under a decimal comma": (csv(HEADER + "1,1.500,,\n"), {"decimal": ","}, "RF-T025", "line 2"),
    "not a date": (csv(HEADER + ROW + f"2,3,{SECRET},\n"), {}, "RF-T026", "line 3"),
    "date of another form": (csv(HEADER + ROW), {"date_format": "%d.%m.%Y"}, "RF-T026", "date_format"),
    "a list for a number": (parquet_file(age=[[1, 2]]), {"file": "t.parquet"}, "RF-T027", "a number"),
    "a number for a date": (parquet_file(since=[5]), {"file": "t.parquet"}, "RF-T027", "a date"),
    "a time for a number": (
        parquet_file(age=pa.array([1], pa.timestamp("us"))),
        {"file": "t.parquet"},
        "RF-T027",
        "timestamp",
    ),
    "bytes for a category": (parquet_file(plan=[b"x"]), {"file": "t.parquet"}, "RF-T027", "a category"),
    "fractions as customer keys": (parquet_file(id=[1.5]), {"file": "t.parquet"}, "RF-T017", "whole numbers"),
    "dates as customer keys": (
        parquet_file(id=pa.array([1], pa.date32())),
        {"file": "t.parquet"},
        "RF-T017",
        "text",
    ),
    "no source": (lambda folder: None, {"file": None}, "RF-T018", "neither"),
    "two columns at once": (csv(HEADER + f"1,{SECRET},{SECRET},\n"), {}, "RF-T033", "cannot be read (2)"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_one_clear_sentence(name: str, tmp_path: Path) -> None:
    make, source, code, words = BAD[name]
    make(tmp_path)
    with pytest.raises(TableError) as fault:
        read_table(*documents(**source), tmp_path)
    assert fault.value.code == code
    assert words in str(fault.value)
    assert SECRET not in str(fault.value)
    assert SECRET not in repr(fault.value.__cause__)
    assert fault.value.__suppress_context__ or fault.value.__context__ is None


GOOD: dict[str, tuple[Make, dict[str, Any]]] = {
    "byte order mark": (csv(HEADER + ROW, "utf-8-sig"), {}),
    "byte order mark, said so": (csv(HEADER + ROW, "utf-8-sig"), {"encoding": "utf-8-sig"}),
    "quoted line break in a header": (csv('id,age,since,plan,"a\nb"\n1,30,2020-01-01,基本,\n'), {}),
    "blank line before the header": (csv("\n" + HEADER + ROW), {}),
    "windows line ends": (csv((HEADER + ROW).replace("\n", "\r\n")), {}),
    "spaces around names": (csv(HEADER.replace(",", " , ") + ROW), {}),
    "gb18030": (csv(HEADER + ROW, "gb18030"), {"encoding": "gb18030"}),
    "gb18030 cut at a bar": (
        csv((HEADER + ROW).replace(",", "|"), "gb18030"),
        {"encoding": "gb18030", "delimiter": "|"},
    ),
    "a column the contract does not have": (csv("extra," + HEADER + "x," + ROW), {}),
    "no line end at the end": (csv((HEADER + ROW).strip()), {}),
    "dictionaries and large strings": (
        parquet_file(plan=pa.array(["基本"]).dictionary_encode(), id=pa.array(["1"], pa.large_string())),
        {"file": "t.parquet"},
    ),
    "an empty parquet column": (parquet_file(age=pa.nulls(1), since=pa.nulls(1)), {"file": "t.parquet"}),
}


@pytest.mark.parametrize("name", list(GOOD))
def test_what_looks_odd_and_is_fine(name: str, tmp_path: Path) -> None:
    make, source = GOOD[name]
    make(tmp_path)
    raw = read_table(*documents(**source), tmp_path)
    assert raw.keys() == ("1",)
    assert raw.quality.facts.columns[2].unknown == 0


def test_free_text_is_never_a_feature(tmp_path: Path) -> None:
    csv("id,remark\n1,hello\n")(tmp_path)
    contract, schema, _allowed = documents()
    allowed = Allowed(
        subject="id",
        label=None,
        features=("remark",),
        headers={"remark": "remark"},
        sensitive=(),
        separate=(),
    )
    with pytest.raises(TableError, match="RF-T028"):
        read_table(contract, schema, allowed, tmp_path)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(TableError, match="RF-T010"):
        tabular.Layout(encoding="utf-9").codec()


@pytest.mark.parametrize(
    ("encoding", "delimiter", "safe"),
    [
        ("utf-8", "|", True),
        ("gb18030", ",", True),
        ("gbk", ";", True),
        ("gb18030", "|", False),
        ("gbk", "0", False),
        ("utf-16", ",", False),
        ("latin-1", "|", True),
    ],
)
def test_fields_are_cut_as_bytes_only_where_no_character_holds_the_delimiter(
    encoding: str, delimiter: str, safe: bool
) -> None:
    assert tabular.Layout(encoding=encoding, delimiter=delimiter).splits_as_bytes() is safe
    if encoding in {"gb18030", "gbk"}:  # every character of two bytes, by trial
        chars = [chr(c) for c in range(0x4E00, 0x9FA6)]
        clash = any(delimiter.encode() in c.encode(encoding)[1:] for c in chars)
        assert not (safe and clash)


def test_lines_are_found_behind_quotes_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"x\ny"\n\n2,z\n3,w\n')
    assert tabular.line_numbers(path, tabular.Layout(), [0, 1, 2]) == [2, 5, 6]
