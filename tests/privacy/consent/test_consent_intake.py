"""Consent files: what is read, and every fault at once with its line, nothing half imported."""

from __future__ import annotations

import csv
import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import text

from ringfence.privacy.agreements.law import LEGAL_BASES, bases_of
from ringfence.privacy.consent import ConsentRegistry
from ringfence.privacy.consent.records import ConsentTerms, EventKind
from ringfence.privacy.errors import RingfenceError, TableError
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.tables.tabular import Layout
from ringfence.privacy.toml.faults import faults_of

PURPOSE = "churn-prediction"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = {
    "customer_key": "a",
    "event": "granted",
    "purpose": PURPOSE,
    "at": "2026-01-01",
    "valid_until": "2027-01-01",
    "notice_id": "privacy",
    "notice_version": "3",
    "notice_language": "zh-CN",
    "notice_digest": "sha256:" + "0" * 64,
    "legal_basis": "consent",
    "recipients": "North Bank",
    "column_groups": "billing",
    "separate_consents": "provision",
    "letter_digest": "sha256:" + "1" * 64,
}


def registry() -> ConsentRegistry:
    return ConsentRegistry.open(open_store(None), bytes(range(32)))


def write(path: Path, rows: list[dict[str, str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as stream:
        out = csv.DictWriter(stream, list(rows[0]), restval="", delimiter=delimiter)
        out.writeheader()
        out.writerows(rows)
    return path


def refused(path: Path, jurisdiction: str | None = None) -> RingfenceError:
    """Import a bad file; show that nothing of it stayed."""
    target = registry()
    with pytest.raises(RingfenceError) as fault:
        target.import_file(path, jurisdiction=jurisdiction)
    with target.engine.connect() as connection:
        for name in ("subject", "event", "batch", "terms"):
            assert connection.scalar(text(f"select count(*) from consent_{name}")) == 0
    return fault.value


def test_all_columns_and_the_least_columns(tmp_path: Path) -> None:
    target = registry()
    target.import_file(write(tmp_path / "all.csv", [GOOD]))
    least = [{"customer_key": "b", "event": "withdrawn", "purpose": "all", "at": "2026-01-01"}]
    target.import_file(write(tmp_path / "least.csv", least))
    assert target.status("a", NOW)[PURPOSE].eligible
    assert not target.status("b", NOW)[PURPOSE].eligible


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    rows = [GOOD | {"customer_key": "17"}, GOOD | {"customer_key": "18", "valid_until": ""}]
    one, other = registry(), registry()
    one.import_file(write(tmp_path / "c.csv", rows))
    table = pa.table({name: [row[name] for row in rows] for name in GOOD})
    table = table.set_column(0, "customer_key", pa.array([17.0, 18.0]))
    moments = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("ms", tz="Asia/Shanghai"))
    table = table.set_column(3, "at", moments)
    parquet.write_table(table, tmp_path / "c.parquet")
    other.import_file(tmp_path / "c.parquet")
    assert one.root(PURPOSE, NOW) == other.root(PURPOSE, NOW)
    assert len(one.eligible(PURPOSE, NOW)) == 2


def test_delimiter_and_encoding(tmp_path: Path) -> None:
    target = registry()
    path = write(tmp_path / "c.csv", [GOOD | {"recipients": "北方银行"}], ";", "gb18030")
    target.import_file(path, layout=Layout(delimiter=";", encoding="gb18030"))
    terms = target.status("a", NOW)[PURPOSE].terms
    assert terms is not None
    assert terms["party"]["recipients"] == ["北方银行"]


BAD = {
    "no key": ({"customer_key": "  "}, "RF-N011", "customer_key"),
    "strange event": ({"event": "gave"}, "RF-N012", "event"),
    "strange purpose": ({"purpose": "churn"}, "RF-N013", "purpose"),
    "grant for all": ({"purpose": "all"}, "RF-N014", "purpose"),
    "no time": ({"at": ""}, "RF-N015", "at"),
    "time without zone": ({"at": "2026-01-01T10:00:00"}, "RF-N015", "at"),
    "not a date": ({"valid_until": "01/02/2026"}, "RF-N015", "valid_until"),
    "no date but a mark for none": ({"at": "1900-01-01"}, "RF-N200", "at"),
    "year 1 far in the east": ({"at": "0001-01-01T00:00:00+14:00"}, "RF-N200", "at"),
    "offset out of range": ({"at": "2026-01-01T00:00:00+25:00"}, "RF-N015", "at"),
    "dated ahead": ({"at": "2999-01-01"}, "RF-N201", "at"),
    "refusal dated ahead": ({"event": "withdrawn", "at": "2999-01-01T00:00:00Z"}, "RF-N201", "at"),
    "began in year 1": ({"valid_from": "0001-01-01T00:00:00+05:00"}, "RF-N200", "valid_from"),
    "a cell over two lines": ({"recipients": "Shop\nNorth"}, "RF-N205", "recipients"),
    "ends before it begins": ({"valid_until": "2025-12-31"}, "RF-N016", "valid_until"),
    "no notice digest": ({"notice_digest": ""}, "RF-N018", "notice_digest"),
    "plain digest": ({"notice_digest": "0" * 64}, "RF-N018", "notice_digest"),
    "no language": ({"notice_language": "Chinese!"}, "RF-N018", "notice_language"),
    "strange basis": ({"legal_basis": "because"}, "RF-N018", "legal_basis"),
    "strange separate consent": ({"separate_consents": "provision;anything"}, "RF-N018", "separate_consents"),
    "bad letter": ({"letter_digest": "letter.pdf"}, "RF-N018", "letter_digest"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_one_fault_each_with_its_line_and_no_value(tmp_path: Path, name: str) -> None:
    change, code, column = BAD[name]
    fault = refused(
        write(tmp_path / "c.csv", [GOOD | {"valid_from": ""}, GOOD | {"valid_from": ""} | change])
    )
    assert fault.code == "RF-N010"
    (found,) = faults_of(fault)
    assert (found.line, found.path, found.code) == (3, column, code)
    for value in change.values():
        if value.strip() and value != "all":
            assert value not in found.sentence


def test_all_faults_at_once_with_lines_of_the_file(tmp_path: Path) -> None:
    rows = [
        GOOD | {"notice_id": "two\nlines"},
        GOOD,
        GOOD | {"event": "?", "at": "?"},
        GOOD,
        GOOD | {"customer_key": ""},
    ]
    fault = refused(write(tmp_path / "c.csv", rows))
    assert [(f.line, f.path, f.code) for f in faults_of(fault)] == [
        (2, "notice_id", "RF-N205"),
        (5, "event", "RF-N012"),
        (5, "at", "RF-N015"),
        (7, "customer_key", "RF-N011"),
    ]
    assert fault.values["count"] == 4
    assert "c.csv:5" in str(fault)


def test_many_faults_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    fault = refused(write(tmp_path / "c.csv", [GOOD | {"event": "?"}] * 1000))
    assert fault.values["count"] == 1000
    assert len(faults_of(fault)) == 200


def test_terms_are_required_to_permit_and_only_then(tmp_path: Path) -> None:
    row = {name: GOOD[name] for name in ("customer_key", "event", "purpose", "at")}
    (found,) = faults_of(refused(write(tmp_path / "c.csv", [row])))
    assert (found.code, found.path) == ("RF-N017", "notice_id")


def test_unknown_and_missing_columns(tmp_path: Path) -> None:
    fault = refused(write(tmp_path / "c.csv", [GOOD | {"valid_untill": ""}]))
    assert (fault.code, '"valid_until"' in str(fault)) == ("RF-N019", True)
    lacking = {name: value for name, value in GOOD.items() if name != "purpose"}
    fault = refused(write(tmp_path / "c.csv", [lacking | {"purposes": PURPOSE}]))
    assert isinstance(fault, TableError)
    assert (fault.code, 'Did you mean "purposes"?' in str(fault)) == ("RF-T009", True)


def test_legal_bases_are_judged_by_jurisdiction(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", [GOOD | {"legal_basis": "legitimate-interest"}])
    (found,) = faults_of(refused(path, "CN"))
    assert found.path == "legal_basis"
    assert registry().import_file(path, jurisdiction="EU").rows == 1
    assert "disclosed-information" in bases_of("CN")
    assert "disclosed-information" not in bases_of("DE")
    assert bases_of(None) == set(LEGAL_BASES)


def test_terms_are_told_apart_by_their_digest() -> None:
    one = ConsentTerms(
        notice_id="n",
        notice_version="1",
        notice_language="zh",
        notice_digest=GOOD["notice_digest"],
        legal_basis="consent",
        recipients=("A", "B"),
    )
    assert one.digest() == dataclasses.replace(one).digest()
    assert one.digest() != dataclasses.replace(one, recipients=("A",)).digest()
    assert one.faults("CN") == []


def test_kinds_keep_their_numbers() -> None:
    assert {kind.word: int(kind) for kind in EventKind} == {
        "granted": 1,
        "renewed": 2,
        "refused": 3,
        "withdrawn": 4,
        "expired": 5,
        "objected": 6,
    }
    assert [kind.word for kind in EventKind if kind.permits] == ["granted", "renewed"]
