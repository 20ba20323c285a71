"""Drafts: from header and types only, no value of a row, every ??? reported once."""

from __future__ import annotations

import datetime
import tomllib
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kits.document_kit import GOOD, museum

from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.draft_text import ContractOutline, identifying
from ringfence.privacy.agreements.drafting import contract_faults, draft_contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.errors import ContractError, StudyError
from ringfence.privacy.tables.sniffing import SAMPLE_BYTES

HEADER = ["customer", "age", "balance", "joined", "active", "city", "empty"]
ROWS = [
    ["K-77123", "33", "1.5", "2020-01-02", "true", "Zanzibar", ""],
    ["K-88456", "44", "2.25", "2021-11-12", "false", "Qaqortoq", ""],
]
KINDS = ["category", "number", "number", "date", "flag", "category", "???"]


def table(
    folder: Path, delimiter: str = ",", encoding: str = "utf-8", header: list[str] | None = None
) -> Path:
    path = folder / "people.csv"
    lines = [delimiter.join(row) for row in [header or HEADER, *ROWS]]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def unfilled(text: str) -> list[int]:
    """The line of every ??? outside comments."""
    return [n for n, line in enumerate(text.split("\n"), 1) for _ in range(line.split("#")[0].count('"???"'))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_layout_and_types_are_found(tmp_path: Path, delimiter: str, encoding: str) -> None:
    header = ["客户号", "年龄", *HEADER[2:]]
    data = tomllib.loads(draft_contract(table(tmp_path, delimiter, encoding, header)))
    assert data["source"] == {
        "file": "people.csv",
        "delimiter": delimiter,
        "encoding": encoding,
        "decimal": ".",
    }
    assert [column["name"] for column in data["column"]] == header
    assert [feature["kind"] for feature in data["schema"]["feature"]] == KINDS


def test_no_value_of_a_row_is_written(tmp_path: Path) -> None:
    text = draft_contract(table(tmp_path))
    for value in {value for row in ROWS for value in row if value not in {"", "true", "false"}}:
        assert value not in text.replace("1920-01-01", ""), value


def test_check_reports_each_placeholder_and_nothing_else(tmp_path: Path) -> None:
    text = draft_contract(table(tmp_path))
    file = tmp_path / "contract.toml"
    file.write_text(text, encoding="utf-8")
    faults = contract_faults(file)
    assert {fault.code for fault in faults} == {"RF-C011"}
    assert sorted(fault.line for fault in faults) == unfilled(text)
    assert len(faults) == 5 + len(HEADER) + 3 + 2 + 1  # head, purposes, bounds, categories, kind


def test_a_filled_draft_is_a_contract(tmp_path: Path) -> None:
    text = draft_contract(table(tmp_path))
    for key, value in {
        'holder = "???"': 'holder = "north"',
        'subject = "???"': 'subject = "customer"',
        'population = "???"': 'population = "people"',
        'jurisdiction = "???"': 'jurisdiction = "CN"',
        'max_customers = "???"': "max_customers = 5000",
        'purposes = "???"': 'purposes = ["churn-prediction"]',
        'categories = "???"': 'categories = ["x", "y"]',
        'kind = "???"': 'kind = "text"',
        'kind = "date"\nbounds = "???"': 'kind = "date"\nbounds = [1990-01-01, 2030-01-01]',
        'bounds = "???"': "bounds = [0, 100]",
    }.items():
        assert key in text
        text = text.replace(key, value)
    assert unfilled(text) == []
    file = tmp_path / "contract.toml"
    file.write_text(text, encoding="utf-8")
    # One fault is left, and it is right: the customer key stands among the features.
    assert [fault.code for fault in contract_faults(file)] == ["RF-C111"]
    text = text.replace('name = "customer"\n# values', 'name = "customer"\n#', 1)
    text = text.replace('sensitivity = "quasi"', 'sensitivity = "identifier"', 1).replace(
        'purposes = ["churn-prediction"]', "purposes = []", 1
    )
    file.write_text(text, encoding="utf-8")
    assert contract_faults(file) == []
    assert load_contract(file).contract.holder == "north"


def test_a_decimal_comma_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("plan;amount;weight\na;1,5;2,25\nb;3,75;1,0\n")
    data = tomllib.loads(draft_contract(path))
    assert data["source"]["decimal"] == ","
    assert [feature["kind"] for feature in data["schema"]["feature"]] == ["category", "number", "number"]


def test_quoted_cells_and_long_files(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    row = '"line one\nline two, still","7"\n'
    path.write_text("note,count\n" + row * (SAMPLE_BYTES // len(row) + 10), encoding="utf-8")
    assert path.stat().st_size > SAMPLE_BYTES
    data = tomllib.loads(draft_contract(path))
    assert [feature["kind"] for feature in data["schema"]["feature"]] == ["category", "number"]


def test_a_sample_that_ends_within_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for pad in range(3):
        path.write_text("姓,名" + "x" * pad + "\n" + "甲乙,丙\n" * (SAMPLE_BYTES // 11 + 2), encoding="utf-8")
        assert tomllib.loads(draft_contract(path))["source"]["encoding"] == "utf-8"


def test_headers_become_names_of_features(tmp_path: Path) -> None:
    path = tmp_path / "My table (1).csv"
    path.write_text(
        '"Monthly Charges ($)",Monthly_Charges,"_x","say ""hi""",客户 类别\n1,2,3,4,5\n', encoding="utf-8"
    )
    data = tomllib.loads(draft_contract(path))
    assert data["id"] == "My_table_1"
    assert [(c["name"], c.get("source")) for c in data["column"]] == [
        ("Monthly_Charges", "Monthly Charges ($)"),
        ("Monthly_Charges_2", "Monthly_Charges"),
        ("x", "_x"),
        ("say_hi", 'say "hi"'),
        ("客户_类别", "客户 类别"),
    ]


def test_parquet_is_read_by_its_schema_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {
        "n": [1],
        "x": [1.5],
        "d": [Decimal("1.50")],
        "b": [True],
        "s": ["Zanzibar"],
        "when": [datetime.datetime(2020, 1, 2)],
        "day": [datetime.date(2020, 1, 2)],
        "raw": [b"\x00"],
    }
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays["code"] = pa.array(["Zanzibar"]).dictionary_encode()
    arrays["view"] = pa.array(["Zanzibar"], pa.string_view())
    pq.write_table(pa.table(arrays), path)
    text = draft_contract(path)
    data = tomllib.loads(text)
    kinds = {feature["name"]: feature["kind"] for feature in data["schema"]["feature"]}
    assert kinds == {
        "n": "number",
        "x": "number",
        "d": "number",
        "b": "flag",
        "s": "category",
        "when": "date",
        "day": "date",
        "raw": "text",
        "code": "category",
        "view": "category",
    }
    assert data["source"] == {"file": "a.parquet"}
    assert "Zanzibar" not in text


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "RF-C082"),
        (b"a,b\n", "RF-C082"),
        (b"\n\n", "RF-C082"),
        (b"a,b\n\x80\x00,1\n", "RF-C081"),
        (b"\xff\xd0\xff\xd0,b\n\xff\xff,1\n", "RF-C081"),
        (b'a,b\n1,"x\n2,y\n', "RF-C300"),
        (b'a,b\n1,"x"y\n', "RF-C300"),
        (b"\xef\xbb\xbfa,b\n\xff,1\n", "RF-C081"),
        (b"12,13,1\n1,2,3\n", "RF-C083"),
        (b"a,anna@example.org\n1,2\n", "RF-C083"),
        (b"a,2020-01-02\n1,2\n", "RF-C083"),
        (b"a,13812345678\n1,2\n", "RF-C083"),
        (b"a,,b\n1,2,3\n", "RF-C084"),
        (b"a,b,a\n1,2,3\n", "RF-C084"),
        (b"a,b\n1\n2\n3\n1,2\n", "RF-C085"),
    ],
)
def test_a_table_that_gives_no_draft(tmp_path: Path, raw: bytes, code: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    with pytest.raises(ContractError) as caught:
        draft_contract(path)
    assert caught.value.code == code
    for value in ("anna", "138", "2020"):
        assert value not in caught.value.sentence()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("absent.csv", "RF-C320"),
        ("absent.parquet", "RF-C320"),
        ("folder.csv", "RF-C321"),
        ("bad.parquet", "RF-C080"),
        ("book.xlsx", "RF-C322"),
        ("book.csv", "RF-C322"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is none")
    for book in ("book.xlsx", "book.csv"):
        (tmp_path / book).write_bytes(b"PK\x03\x04" + bytes(range(256)))
    with pytest.raises(ContractError, match=code) as caught:
        draft_contract(tmp_path / name)
    assert name in caught.value.sentence()


def test_the_present_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContractError, match=r"RF-C321: \. is a folder"):
        draft_contract(Path())


def test_what_is_known_is_filled_in(tmp_path: Path) -> None:
    known = ContractOutline(
        subject="customer", purposes=("churn-prediction", "credit-risk"), holder="north", population="p"
    )
    path = table(tmp_path)
    assert len(unfilled(draft_contract(path))) == 18
    text = draft_contract(path, known)
    data = tomllib.loads(text)
    assert (data["subject"], data["holder"], data["population"]) == ("customer", "north", "p")
    assert [column["name"] for column in data["column"]] == HEADER[1:]
    assert [feature["name"] for feature in data["schema"]["feature"]] == HEADER[1:]
    assert all(column["purposes"] == ["churn-prediction", "credit-risk"] for column in data["column"])
    # Left: jurisdiction, max_customers, three bounds, one list of categories, one kind; never read off rows.
    assert len(unfilled(text)) == 7
    with pytest.raises(ContractError, match=r"RF-C323.*it has: customer\."):
        draft_contract(path, ContractOutline(subject="custommer"))
    with pytest.raises(StudyError, match="RF-S002"):
        draft_contract(path, ContractOutline(purposes=("churn",)))


def test_columns_are_mapped_to_a_schema_that_stands_already(tmp_path: Path) -> None:
    schema = Schema.model_validate(
        {
            "id": "s",
            "version": 1,
            "feature": [
                {"name": "Age", "kind": "number", "bounds": [0, 100]},
                {"name": "active", "kind": "flag"},
                {"name": "tier", "kind": "category", "categories": ["basic", "gold"]},
            ],
        }
    )
    known = ContractOutline(
        subject="customer", purposes=("churn-prediction",), schema=schema, reference="../schema.toml"
    )
    text = draft_contract(table(tmp_path), known)
    data = tomllib.loads(text)
    assert data["schema"] == "../schema.toml"
    assert [(column["name"], column.get("source")) for column in data["column"]] == [
        ("Age", "age"),
        ("active", None),
        ("tier", "???"),
    ]
    assert '# Columns of the file that are left: "balance", "joined", "city", "empty"\n' in text
    assert '"category" }  # of: basic, gold\n' in text
    assert len(unfilled(text)) == 5  # four of the head, and one column: no bounds, no categories


@pytest.mark.parametrize(
    ("header", "kind", "left_out"),
    [
        ("full_name", "category", True),
        ("name_zh", "category", True),
        ("CustomerName", "category", True),
        ("plan_name", "category", False),
        ("mobile", "number", True),
        ("phone number", "number", True),
        ("has_phone", "flag", False),
        ("email_opens", "number", False),
        ("Email", "category", True),
        ("id_number", "category", True),
        ("number", "number", False),
        ("客户姓名", "category", True),
        ("手机号", "number", True),
        ("年龄", "number", False),
        ("city", "category", False),
    ],
)
def test_a_column_that_says_that_it_identifies_is_left_out_whatever_the_purpose(
    tmp_path: Path, header: str, kind: str, left_out: bool
) -> None:
    assert identifying(header, kind) is left_out
    path = tmp_path / "a.csv"
    value = {"category": "x", "number": "1", "flag": "true"}[kind]
    path.write_text(f"key,{header},spend\na,{value},2\nb,{value},3\n", encoding="utf-8")
    text = draft_contract(path, ContractOutline(subject="key", purposes=("churn-prediction",)))
    listed = {column.get("source", column["name"]) for column in tomllib.loads(text)["column"]}
    assert (header not in listed) is left_out
    assert header in text  # a person sees what was left out


def test_check_lists_what_loading_refuses() -> None:
    assert contract_faults(GOOD / "contract.toml") == []
    for path in museum("bad_contracts"):
        assert contract_faults(path) != []


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@settings(max_examples=60, deadline=None)
@example([":", "¹"], [""] * 5)
@given(st.lists(cells, min_size=2, max_size=5, unique=True), st.lists(cells, min_size=5, max_size=5))
def test_any_header_gives_a_draft_or_a_clear_refusal(
    tmp_path_factory: pytest.TempPathFactory, header: list[str], row: list[str]
) -> None:
    import csv

    path = tmp_path_factory.mktemp("any") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        writer.writerow(row[: len(header)])
    try:
        text = draft_contract(path)
    except ContractError as error:
        if error.code not in {"RF-C082", "RF-C083", "RF-C084", "RF-C085"}:
            raise
        return
    file_ = path.with_suffix(".toml")
    file_.write_text(text, encoding="utf-8")
    assert sorted(fault.line for fault in contract_faults(file_)) == unfilled(text)
