"""The quality gate: what stops a table, what is only told, and that counts are all it says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ringfence.privacy.errors import TableError
from ringfence.privacy.tables.facts import ColumnFacts, TableFacts
from ringfence.privacy.tables.quality import QualityReport, assess

COLUMN = ColumnFacts(name="age", kind="number", rows=100, present=100, distinct=40)


def facts(*columns: ColumnFacts, **table: Any) -> TableFacts:
    values: dict[str, Any] = {
        "rows": 100,
        "customers": 100,
        "keyless": 0,
        "repeated": 0,
        "surplus": 0,
        "duplicates": "refuse",
        "max_customers": 1000,
        "min_cohort": 100,
        "label": None,
        "label_classes": 0,
        "columns": columns or (COLUMN,),
    }
    return TableFacts(**values | table)


def column(**values: Any) -> ColumnFacts:
    whole: dict[str, Any] = {"name": "age", "kind": "number", "rows": 100, "present": 100, "distinct": 40}
    return ColumnFacts(**whole | values)


def codes(report: QualityReport, stops: bool) -> list[str]:
    return [finding.code for finding in (report.faults if stops else report.notes)]


def test_a_clean_table_passes_in_silence() -> None:
    report = assess(facts())
    assert report.passed
    assert report.findings == ()
    report.check()


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        (facts(keyless=3), "RF-T041", "3 row(s)"),
        (facts(repeated=2, surplus=5), "RF-T042", "2 customer(s) have more than one row (5 too many)"),
        (facts(customers=1001, rows=1001), "RF-T043", "max_customers is 1000"),
        (
            facts(column(missing=1, present=99, missing_refused=True)),
            "RF-T044",
            '"age" is missing in 1 of 100',
        ),
        (facts(column(missing=21, present=79, max_missing=Decimal("0.2"))), "RF-T045", "max_missing is 0.2"),
        (facts(column(unknown=90, present=90, missing=10)), "RF-T046", "No entry"),
        (facts(column(unknown=90, present=90, missing=100, distinct=0)), "RF-T046", "No entry"),
    ],
)
def test_what_stops(made: TableFacts, code: str, words: str) -> None:
    report = assess(made)
    assert codes(report, True) == [code]
    assert not report.passed
    with pytest.raises(TableError, match="RF-T040") as fault:
        report.check()
    assert words in str(fault.value)
    assert code in str(fault.value)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (facts(surplus=4, repeated=4, duplicates="last"), "RF-T051"),
        (facts(customers=99), "RF-T052"),
        (facts(column(unknown=89, present=90, missing=10)), "RF-T053"),
        (facts(column(clipped=7)), "RF-T055"),
        (facts(column(distinct=1)), "RF-T056"),
        (facts(label="churn", label_classes=1), "RF-T057"),
        (facts(label="churn", label_classes=0), "RF-T057"),
    ],
)
def test_what_is_only_told(made: TableFacts, code: str) -> None:
    report = assess(made)
    assert codes(report, True) == []
    assert codes(report, False) == [code]
    report.check()


def test_excluded_rows_are_told() -> None:
    assert codes(assess(facts(column(unknown=2, excluded=2))), False) == ["RF-T053", "RF-T054"]


def test_a_limit_is_reached_before_it_is_passed() -> None:
    limit = Decimal("0.2")
    assert assess(facts(column(missing=20, present=80, max_missing=limit))).passed
    assert assess(facts(customers=1000)).passed
    assert assess(facts(label="churn", label_classes=2)).findings == ()


def test_all_faults_are_told_at_once() -> None:
    report = assess(
        facts(
            column(missing=1, missing_refused=True),
            column(name="b", clipped=1),
            keyless=1,
            surplus=1,
            repeated=1,
        )
    )
    with pytest.raises(TableError) as fault:
        report.check()
    text = str(fault.value)
    assert all(code in text for code in ("RF-T041", "RF-T042", "RF-T044"))
    assert "RF-T055" not in text
    assert fault.value.values["count"] == 3


def test_the_frame_has_a_row_a_column_with_its_findings() -> None:
    frame = assess(facts(column(clipped=7, max_missing=Decimal("0.5")), column(name="b"))).as_frame()
    assert list(frame.index) == ["age", "b"]
    assert frame.loc["age", "clipped"] == 7
    assert frame.loc["age", "max_missing"] == 0.5
    assert "RF-T055" in str(frame.loc["age", "findings"])
    assert frame.loc["b", "findings"] == ""


def test_a_column_without_entries_is_not_called_constant() -> None:
    empty = assess(facts(column(present=0, missing=100, distinct=0)))
    assert codes(empty, False) == ["RF-T112"]
    assert "missing in every row" in str(empty.notes[0])
    refused = assess(facts(column(present=0, missing=100, distinct=0, missing_refused=True)))
    assert (codes(refused, True), codes(refused, False)) == (["RF-T044"], [])
    unknown = assess(facts(column(unknown=100, distinct=0)))
    assert (codes(unknown, True), codes(unknown, False)) == (["RF-T046"], [])
    constant = assess(facts(column(present=60, missing=40, distinct=1)))
    assert codes(constant, False) == ["RF-T056"]


def test_rows_without_a_known_label_are_told_as_left_out() -> None:
    report = assess(facts(column(excluded=7, unknown=5, missing=2, distinct=2), label="age", label_classes=2))
    assert codes(report, False) == ["RF-T053", "RF-T111"]
    assert "7 of 100 rows are left out" in str(report.notes[1])


def test_a_key_written_like_a_missing_one_is_named_as_such() -> None:
    assert codes(assess(facts(unnamed=1)), False) == ["RF-T110"]
    assert codes(assess(facts(unnamed=3, unnamed_repeated=True)), True) == ["RF-T110"]
