"""Tables as the gate finds them: in documents, in lines, in arrays, each with its header and its cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ringfence.privacy.release import grids
from ringfence.privacy.release.grids import (
    of_arrays,
    of_document,
    of_frame,
    of_marked,
    of_rows,
    of_text,
    transposed,
)
from ringfence.privacy.release.parsed import Grid

Seen = tuple[tuple[str, ...], list[list[object]]]


def seen(found: Iterable[Grid]) -> list[Seen]:
    """Header and columns of each grid."""
    return [(grid.names, [grid.cells(place) for place in range(len(grid.names))]) for grid in found]


def test_a_frame_is_a_table_and_no_record() -> None:
    grid = of_frame(pd.DataFrame({"a": [1, 2], 3: ["x", "y"]}))
    assert seen([grid]) == [(("a", "3"), [[1, 2], ["x", "y"]])]
    assert (grid.where, grid.rows, grid.lying, grid.record) == ("the table", 2, False, False)
    assert of_frame(pd.DataFrame()).rows == 0


def test_rows_of_other_lengths_are_filled_up() -> None:
    uneven: list[list[object]] = [["a", None], [1, 2, 3], []]
    grid = of_rows("here", uneven)
    assert seen([grid]) == [(("a", "", ""), [[1, None], [2, None], [3, None]])]
    assert (grid.where, grid.rows, grid.lying, grid.record) == ("here", 2, True, False)
    assert seen([of_rows("x", [["a", "b"]])]) == [(("a", "b"), [[], []])]
    assert seen(of_marked([[], ["a"], [], ["b"]], "x")) == [(("a",), [["b"]])]
    assert list(of_marked([[], []], "x")) == []


def test_a_lying_table_is_read_by_its_rows_too() -> None:
    rows: list[list[object]] = [["age", "40", "50"], ["customers", 100, None], [None, 1, 2]]
    assert list(transposed(of_rows("x", rows))) == [
        ("age", ["40", "50"]),
        ("customers", [100, None]),
        ("", [1, 2]),
    ]
    assert list(transposed(of_rows("x", [["a"], [1]]))) == []
    assert list(transposed(of_frame(pd.DataFrame({"a": [1], "b": [2]})))) == []
    assert list(transposed(of_rows("x", [["a", "b"]]))) == [("a", ["b"])]


DOCUMENTS: list[tuple[Any, list[tuple[str, Seen]]]] = [
    (
        [{"a": 1, "b": 2}, {"b": 3, "c": [4]}],
        [("document", (("a", "b", "c"), [[1, None], [2, 3], [None, None]]))],
    ),
    ({"a": 1, "b": "x"}, [("document", (("a", "b"), [[1], ["x"]]))]),
    (
        {"a": [1, 2], "b": [3, 4], "c": [5], "d": []},
        [("document", (("c",), [[5]])), ("document", (("a", "b"), [[1, 2], [3, 4]]))],
    ),
    (
        {"x": {"a": 1}, "y": {"a": 2, "b": 3}},
        [
            ("document", (("", "a", "b"), [["x", "y"], [1, 2], [None, 3]])),
            ("document/1", (("a",), [[1]])),
            ("document/2", (("a", "b"), [[2], [3]])),
        ],
    ),
    ([["a", "b"], [1, 2]], [("document", (("a", "b"), [[1], [2]]))]),
    (
        {"h": ["a", "b"], "rows": [[1, 2], [3, 4]]},
        [
            ("document", (("h", "rows"), [["a", "b"], [None, None]])),
            ("document", (("a", "b"), [[1, 3], [2, 4]])),
            ("document/2", (("1", "2"), [[3], [4]])),
        ],
    ),
    (
        {"deep": [{"in": [{"a": 1}]}]},
        [
            ("document", (("deep",), [[None]])),
            ("document/1", (("in",), [[None]])),
            ("document/1/1", (("a",), [[1]])),
        ],
    ),
    ([1, {"a": 1}], [("document/2", (("a",), [[1]]))]),
    (
        {"h": ["a", 1], "rows": [[1, 2]]},
        [
            ("document", (("rows",), [[None]])),
            ("document", (("h",), [["a", 1]])),
            ("document/2", (("1", "2"), [[], []])),
        ],
    ),
    ([], []),
    ("text", []),
]


@pytest.mark.parametrize(("document", "expected"), DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_tables_of_a_document(document: Any, expected: list[tuple[str, Seen]]) -> None:
    found = list(of_document(document))
    told = [(grid.where, one) for grid, one in zip(found, seen(found), strict=True)]
    assert sorted(told, key=repr) == sorted(expected, key=repr)


def test_records_objects_and_rows_of_a_document_are_told_apart() -> None:
    assert [g.record for g in of_document({"a": 1, "b": [1, 2]})] == [True, False]
    assert [(g.lying, g.record) for g in of_document({"x": {"a": 1}})] == [(True, False), (False, True)]
    assert [(g.lying, g.record) for g in of_document([{"a": 1}])] == [(False, False)]
    assert [g.lying for g in of_document([["a"], [1]])] == [True]


LINES: dict[str, list[tuple[str, Seen]]] = {
    "a|b\n1|2\n": [("line 1", (("a", "b"), [["1"], ["2"]]))],
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n": [("line 1", (("a", "b"), [["1"], ["2"]]))],
    "x\na;b;c\n1;2;3\n\n": [("line 2", (("a", "b", "c"), [["1"], ["2"], ["3"]]))],
    "a,b\n1,2\n3\n4,5\n": [
        ("line 1", (("a", "b"), [["1"], ["2"]])),
        ("line 4", (("4", "5"), [[], []])),
    ],
    "age   customers\n40    400\n": [("line 1", (("age", "customers"), [["40"], ["400"]]))] * 2,
    "a\tb\n1\t2\n": [("line 1", (("a", "b"), [["1"], ["2"]]))] * 2,
    "customers: 12\n": [
        ("line 1", (("customers:", "12"), [[], []])),
        ("line 1", (("", ""), [["customers"], ["12"]])),
    ],
    "- 客户数：12\n": [
        ("line 1", (("-", "客户数：12"), [[], []])),
        ("line 1", (("", ""), [["客户数"], ["12"]])),
    ],
    "one\ntwo\n": [],
    "a, b, c\n": [],
}


@pytest.mark.parametrize("text", LINES)
def test_tables_of_lines(text: str) -> None:
    found = list(of_text(text.split("\n")))
    told = [(grid.where, one) for grid, one in zip(found, seen(found), strict=True)]
    for expected in LINES[text]:
        assert expected in told
    assert len({repr(one) for one in told}) >= len({repr(one) for one in LINES[text]})
    if not LINES[text]:
        assert told == []


def test_a_pair_behind_a_pair_and_a_table_with_empty_lines_are_seen() -> None:
    pairs = seen(of_text(["age 93: customers: 1"]))
    assert (("", ""), [["age 93"], ["customers: 1"]]) in pairs
    assert (("", ""), [["customers"], ["1"]]) in pairs
    parted = list(of_text(["a,b", "", "1,2"]))
    assert (("a", "b"), [["1"], ["2"]]) in seen(parted)
    assert {grid.where for grid in parted} == {"line 1", "line 3"}
    assert seen(of_text(["x" * 61 + ": 5y"])) == [(("x" * 61 + ":", "5y"), [[], []])]


def test_lines_are_read_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "MOST_LINES", 2)
    assert seen(of_text(["a,b", "1,2", "3,4"])) == [(("a", "b"), [["1"], ["2"]])]


def test_arrays_of_one_length_are_columns_and_of_one_entry_a_record() -> None:
    arrays = {
        "age": np.array([40, 50]),
        "customers": np.array([100, 200]),
        "total": np.array(300),
        "one": np.array([[7]]),
        "words": np.array(["a", "b"]),
        "empty": np.array([]),
        "objects": np.array([1 + 2j]),
    }
    found = list(of_arrays(arrays))
    assert [(grid.where, grid.record) for grid in found[:2]] == [("the arrays", True), ("the arrays", False)]
    assert seen(found)[:2] == [
        (("total", "one"), [[300], [7]]),
        (("age", "customers", "words"), [[40, 50], [100, 200], ["a", "b"]]),
    ]
    assert len(found) == 2


def test_a_table_of_words_and_a_table_below_its_header_are_seen() -> None:
    words = np.array([["age", "customers"], ["93", "1"]])
    assert (("age", "customers"), [["93"], ["1"]]) in seen(of_arrays({"t": words}))
    numbers = {"names": np.array(["age", "customers"]), "t": np.array([[93, 1], [40, 200]])}
    assert (("age", "customers"), [[93, 40], [1, 200]]) in seen(of_arrays(numbers))
    assert (
        len(list(of_arrays({"names": np.array(["a", "b", "c"]), "t": np.array([[93, 1], [40, 200]])}))) == 2
    )
