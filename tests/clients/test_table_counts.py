"""What the holder's own people are told of rows that are left out, unknown or clipped: the right numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.table_kit import documents, minimise, write

from ringfence.clients.rows.table import read_table


def test_rows_without_a_known_label_are_counted_as_left_out(tmp_path: Path) -> None:
    rows = ["a,30,1,2020-01-01,Y,", "b,200,1,2020-01-01,N,", "c,30,7,,maybe,", "d,30,2,,,", "e,1,2,,perhaps,"]
    write(tmp_path, rows)
    raw = read_table(*documents(), tmp_path)
    facts = {column.name: column for column in raw.quality.facts.columns}
    assert (facts["churn"].unknown, facts["churn"].missing, facts["churn"].excluded) == (2, 1, 3)
    assert (facts["age"].clipped, facts["plan"].unknown, facts["plan"].excluded) == (2, 1, 0)
    assert raw.quality.facts.label_classes == 2
    assert len(minimise(raw)) == len(rows) - facts["churn"].excluded
    notes = {note.code: str(note) for note in raw.quality.notes}
    assert '3 of 5 rows are left out because the label "churn"' in notes["RF-T111"]


def test_a_label_of_one_class_and_unknown_entries_has_one_class(tmp_path: Path) -> None:
    write(tmp_path, ["a,30,1,,Y,", "b,31,2,,maybe,"])
    raw = read_table(*documents(), tmp_path)
    assert raw.quality.facts.label_classes == 1
    assert "RF-T057" in {note.code for note in raw.quality.notes}


@pytest.mark.parametrize("mark", ["NaN", "nan", "NULL", "None", "#N/A", "<NA>"])
def test_a_missing_key_in_words_is_not_reported_as_a_customer_with_many_rows(
    tmp_path: Path, mark: str
) -> None:
    write(tmp_path, ["a,30,1,,Y,", f"{mark},31,2,,N,", f"{mark},31,2,,N,"])
    raw = read_table(*documents(), tmp_path)
    assert [fault.code for fault in raw.quality.faults] == ["RF-T110"]
    assert (raw.quality.facts.repeated, raw.quality.facts.surplus, raw.quality.facts.unnamed) == (0, 0, 2)
    write(tmp_path, ["a,30,1,,Y,", f"{mark},31,2,,N,"])
    assert read_table(*documents(), tmp_path).quality.passed
