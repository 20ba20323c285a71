"""The parts of one table are told together, as the user who gave the table sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kits.event_kit import read_lines

from ringfence.privacy.tables.facts import ColumnFacts, TableFacts
from ringfence.privacy.tables.quality import assess
from ringfence.simulations.readings import together


def part(column: ColumnFacts, **changes: Any) -> TableFacts:
    counts: dict[str, Any] = {"rows": 100, "customers": 100, "keyless": 0, "repeated": 0, "surplus": 0}
    rules: dict[str, Any] = {"duplicates": "refuse", "max_customers": 1000, "min_cohort": 100}
    return TableFacts(**counts | rules | {"label": None, "label_classes": 0, "columns": (column,)} | changes)


def column(name: str, **changes: Any) -> ColumnFacts:
    return ColumnFacts(
        **{"name": name, "kind": "number", "rows": 100, "present": 100, "distinct": 9} | changes
    )


def test_counts_are_added_up_and_values_that_differ_are_not() -> None:
    one = part(column("age", clipped=3, unknown=1, missing=2, distinct=40), keyless=1, label_classes=2)
    other = part(column("age", clipped=4, excluded=5, distinct=30), customers=50, label_classes=1)
    whole = together([one, other])
    assert (whole.rows, whole.customers, whole.keyless, whole.label_classes) == (200, 150, 1, 2)
    assert whole.max_customers == 1000
    age = whole.columns[0]
    assert (age.rows, age.clipped, age.unknown, age.missing, age.excluded) == (200, 7, 1, 2, 5)
    assert age.distinct == 40
    told = assess(whole)
    assert [fault.code for fault in told.faults] == ["RF-T041"]
    assert '"age" was clipped to its bounds in 7 of 200 rows.' in str(told.notes[-1])


def test_one_part_alone_is_the_whole() -> None:
    alone = part(column("age", clipped=3), keyless=1)
    assert together([alone]) == alone


def test_columns_are_put_together_by_their_names() -> None:
    one = part(column("age", clipped=1))
    both = part(column("plan", clipped=10), columns=(column("plan", clipped=10), column("age", clipped=2)))
    assert [(each.name, each.clipped) for each in together([one, both]).columns] == [("age", 3)]


def test_what_holds_of_any_part_holds_of_the_whole() -> None:
    clean, shared = part(column("age")), part(column("age"), unnamed=2, unnamed_repeated=True)
    for parts in ([clean, shared], [shared, clean]):
        whole = together(parts)
        assert (whole.unnamed, whole.unnamed_repeated) == (2, True)
        assert [fault.code for fault in assess(whole).faults] == ["RF-T110"]
    assert not together([clean, clean]).unnamed_repeated


def test_the_lines_of_several_holders_are_told_as_one(tmp_path: Path) -> None:
    lines = ["ann,2026-12-01,10,1,1,F,a", ",2026-12-01,10,1,1,F,a"]
    facts = read_lines(tmp_path, lines).quality.facts
    whole = together([facts, facts])
    assert whole.events is not None
    assert (whole.events.lines, whole.events.keyless, whole.customers) == (4, 2, 2)
    notes = map(str, assess(whole).notes)
    assert "2 of 4 lines name no customer and are left out. (RF-T062)" in notes
