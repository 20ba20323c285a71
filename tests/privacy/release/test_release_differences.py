"""Two tables that differ by a few customers do not leave one after the other, whatever gate they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kits.artefact_kit import artefact, html
from kits.journal_kit import Notebook

from ringfence.privacy.errors import ExportError
from ringfence.privacy.release import (
    Artefact,
    ColumnRule,
    ExportGate,
    ExportPolicy,
    ExportRefused,
    TableRegister,
)
from ringfence.privacy.release.differences import CountTable, refuse_small_difference
from ringfence.privacy.stores.store import open_store

NAMES = ("group", "region", "share", "n")
RULES = tuple(ColumnRule(name=name, sensitivity="plain", count=name == "n") for name in NAMES)


def table(rows: dict[str, Any], kind: str = "csv") -> Artefact:
    return artefact(kind, pd.DataFrame(rows), columns=RULES)


def gate(register: TableRegister | None) -> tuple[ExportGate, Notebook]:
    notebook = Notebook(failure=ExportError("RF-A999", "the log is full"))
    return ExportGate(notebook, ExportPolicy(), register), notebook


@pytest.fixture
def register() -> TableRegister:
    return TableRegister.open(open_store(None))


FIRST = {"group": ["a", "b"], "n": [100, 400]}
REFUSED: dict[str, dict[str, Any]] = {
    "one customer fewer": {"group": ["a", "b"], "n": [99, 400]},
    "one more": {"group": ["a", "b"], "n": [101, 400]},
    "nineteen": {"group": ["a", "b"], "n": [119, 400]},
    "other order": {"group": ["B ", "a"], "n": [400, 99]},
    "fewer groups": {"group": ["a"], "n": [99]},
    "a total": {"n": [499]},
    "other names in the same column": {"group": ["c", "d"], "n": [200, 299]},
    "other groups, nearly the same people": {"region": ["x", "y"], "n": [250, 249]},
    "one column more": {"group": ["a", "a", "b"], "region": ["x", "y", "x"], "n": [50, 49, 400]},
    "another figure beside it": {"group": ["a", "b"], "share": [0.2, 0.8], "n": [99, 400]},
    "suppressed elsewhere": {"group": ["a", "b", "c"], "n": [99, None, None]},
}
ALLOWED: dict[str, dict[str, Any]] = {
    "the same": FIRST,
    "as many": {"region": ["x", "y"], "n": [300, 200]},
    "twenty more": {"group": ["a", "b"], "n": [120, 400]},
    "suppressed": {"group": ["a", "b", "c"], "n": [None, 400, None]},
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_a_small_difference_is_refused(tmp_path: Path, register: TableRegister, name: str, kind: str) -> None:
    door, notebook = gate(register)
    door.release_all([table(FIRST)], tmp_path / "one")
    frame = pd.DataFrame(REFUSED[name]).astype({"n": "Int64"})
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release_all([artefact(kind, frame, columns=RULES)], tmp_path / "two")
    assert not (tmp_path / "two").exists()
    assert notebook.actions()[-1] == ("export.refused", "deny")
    assert notebook.events[-1].public["reasons"] == ["RF-X100"]


@pytest.mark.parametrize("name", ALLOWED)
def test_others_leave(tmp_path: Path, register: TableRegister, name: str) -> None:
    door, notebook = gate(register)
    door.release_all([table(FIRST)], tmp_path / "one")
    frame = pd.DataFrame(ALLOWED[name]).astype({"n": "Int64"})
    door.release_all([artefact("csv", frame, columns=RULES)], tmp_path / "two")
    (left,) = (tmp_path / "two").iterdir()
    assert pd.read_csv(left).astype({"n": "Int64"}).equals(frame)
    assert notebook.actions()[-1] == ("export.released", "allow")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("html", html("<table><tr><th>group</th><th>n</th></tr><tr><td>a</td><td>99</td></tr></table>")),
        ("markdown", b"| group | n |\n|---|---|\n| a | 99 |\n"),
        ("text", b"group,n\na,99\n"),
        ("json", b'{"t": [{"group": "a", "n": 99}]}'),
    ],
)
def test_the_kind_of_the_artefact_does_not_matter(
    tmp_path: Path, register: TableRegister, kind: str, content: bytes
) -> None:
    door, _ = gate(register)
    door.release_all([table(FIRST)], tmp_path / "one")
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release_all([artefact(kind, content, columns=RULES)], tmp_path / "two")


def counted(counts: dict[str, int | None], threshold: int, *, whole: bool = True) -> CountTable:
    return CountTable(
        names=("group",),
        groups=tuple((group,) for group in counts),
        counts=tuple(counts.values()),
        threshold=threshold,
        whole=whole,
    )


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("thresholds", [(20, 50), (50, 20), (50, 50)])
def test_the_higher_threshold_of_two_tables_holds(thresholds: tuple[int, int], whole: bool) -> None:
    """A table with a quasi-identifier in it is no less delicate for coming first."""
    first = counted({"a": 100, "b": 400}, thresholds[0], whole=whole)
    with pytest.raises(ExportError, match="RF-X100"):
        refuse_small_difference(first, counted({"a": 149}, thresholds[1], whole=whole))
    refuse_small_difference(first, counted({"a": 150}, thresholds[1], whole=whole))


def test_a_group_of_which_a_part_is_suppressed_has_no_sum() -> None:
    parts = CountTable(
        names=("group", "region"),
        groups=(("a", "x"), ("a", "y"), ("b", "x")),
        counts=(100, None, 400),
        threshold=20,
    )
    refuse_small_difference(parts, counted({"a": 110}, 20))
    with pytest.raises(ExportError, match="RF-X100"):
        refuse_small_difference(parts, counted({"b": 410, "c": None}, 20))


def test_sums_over_one_column_are_compared_where_no_cell_and_no_total_tells() -> None:
    def crossed(cells: dict[tuple[str, str], int]) -> CountTable:
        return CountTable(
            names=("group", "region"), groups=tuple(cells), counts=tuple(cells.values()), threshold=20
        )

    first = crossed({("a", "x"): 100, ("b", "y"): 400})
    with pytest.raises(ExportError, match="RF-X100"):
        refuse_small_difference(first, crossed({("a", "y"): 99, ("b", "z"): 401}))
    with pytest.raises(ExportError, match="RF-X100"):
        refuse_small_difference(first, crossed({("c", "x"): 99, ("d", "z"): 401}))
    refuse_small_difference(first, crossed({("a", "y"): 200, ("b", "x"): 300}))


def test_two_tables_of_one_request_are_compared_too(tmp_path: Path, register: TableRegister) -> None:
    door, _ = gate(register)
    second = artefact("csv", pd.DataFrame({"group": ["a"], "n": [99]}), columns=RULES, name="b.csv")
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release_all([table(FIRST), second], tmp_path / "both")
    door.release_all(
        [table({"group": ["a"], "n": [90]})], tmp_path / "later"
    )  # nothing of a refused one is kept


def test_a_single_figure_is_compared_with_the_one_at_its_place(
    tmp_path: Path, register: TableRegister
) -> None:
    door, _ = gate(register)
    door.release_all([artefact("json", b'{"all": {"customers": 100}}', columns=())], tmp_path / "one")
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release_all([artefact("json", b'{"all": {"customers": 99}}', columns=())], tmp_path / "two")
    door.release_all([artefact("text", b"customers: 400\n", columns=())], tmp_path / "three")
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release_all([artefact("text", b"customers: 399\n", columns=())], tmp_path / "four")


def test_the_register_outlives_the_process_and_serves_every_gate_of_its_store(tmp_path: Path) -> None:
    store = tmp_path / "holder.db"
    gate(TableRegister.open(open_store(store)))[0].release_all([table(FIRST)], tmp_path / "one")
    with pytest.raises(ExportRefused, match="RF-X100"):
        gate(TableRegister.open(open_store(store)))[0].release_all(
            [table(REFUSED["one customer fewer"])], tmp_path / "two"
        )


def test_a_table_is_remembered_before_it_is_written(tmp_path: Path, register: TableRegister) -> None:
    door, notebook = gate(register)
    notebook.fail_at = "export.released"
    with pytest.raises(ExportError, match="RF-A999"):
        door.release_all([table(FIRST)], tmp_path / "one")
    notebook.fail_at = ""
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release_all([table(REFUSED["one customer fewer"])], tmp_path / "two")


def test_without_a_register_no_table_of_counts_leaves(tmp_path: Path) -> None:
    door, notebook = gate(None)
    with pytest.raises(ExportRefused, match="RF-X102"):
        door.release_all([table(FIRST)], tmp_path / "one")
    assert notebook.actions()[-1] == ("export.refused", "deny")
    assert list(tmp_path.iterdir()) == []
    door.release_all([artefact("text", b"no table here\n")], tmp_path / "two")
