"""Cells of every kind of feature by hand: where a value falls, what a part holds, what a digest is of."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.small import Rows, schema_of

from ringfence.models.features import (
    NO_VALUE,
    CellGrid,
    FeatureMatrix,
    category_codes,
    cell_edges,
    encode_rows,
    grid_of,
    number_codes,
    number_steps,
)
from ringfence.privacy.agreements.schema import Feature
from ringfence.privacy.errors import SchemaError

LISTED = ["a", "b", "c"]


def feature(**fields: object) -> Feature:
    return Feature.model_validate({"name": "x", **fields})


def grid(ordered: bool, values: int, other: int | None, missing: int | None) -> CellGrid:
    return CellGrid(name="x", ordered=ordered, values=values, other=other, missing=missing)


@pytest.mark.parametrize(
    ("fields", "expected", "size"),
    [
        ({"kind": "number", "bounds": [0, 1]}, grid(True, 256, None, 256), 257),
        ({"kind": "number", "bounds": [0, 1], "missing": "refuse"}, grid(True, 256, None, None), 256),
        (
            {"kind": "number", "bounds": [0, 1], "missing": "value", "missing_value": 0},
            grid(True, 256, None, None),
            256,
        ),
        ({"kind": "date", "bounds": ["2020-01-01", "2021-01-01"]}, grid(True, 256, None, 256), 257),
        ({"kind": "category", "categories": LISTED}, grid(False, 3, 3, 4), 5),
        ({"kind": "category", "categories": LISTED, "missing": "refuse"}, grid(False, 3, 3, None), 4),
        ({"kind": "category", "categories": LISTED, "unknown": "missing"}, grid(False, 3, None, 3), 4),
        (
            {"kind": "category", "categories": LISTED, "unknown": "missing", "missing": "refuse"},
            grid(False, 3, None, 3),
            4,
        ),
        ({"kind": "category", "categories": LISTED, "unknown": "exclude"}, grid(False, 3, None, 3), 4),
        (
            {"kind": "category", "categories": LISTED, "unknown": "exclude", "missing": "refuse"},
            grid(False, 3, None, None),
            3,
        ),
        ({"kind": "flag"}, grid(False, 2, 2, 3), 4),
    ],
)
def test_cells_of_each_kind(fields: dict[str, Any], expected: CellGrid, size: int) -> None:
    found = grid_of(feature(**fields))
    assert (found, found.size) == (expected, size)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "number", "bounds": [0, 256]},
        {"kind": "number", "bounds": [-3, 0.125]},
        {"kind": "number", "bounds": [1, 1000], "scale": "log"},
        {"kind": "number", "bounds": [0.001, 7], "scale": "log"},
        {"kind": "number", "bounds": [0, 20], "whole": True},
        {"kind": "date", "bounds": ["2020-01-01", "2020-03-01"]},
        {"kind": "date", "bounds": ["1950-01-01", "2020-03-01"]},
    ],
)
def test_a_value_on_an_edge_is_above_it_and_one_just_below_is_not(fields: dict[str, Any]) -> None:
    number = feature(**fields)
    edges = cell_edges(number)
    assert len(edges) == 257
    values = np.concatenate([edges, np.nextafter(edges[1:], -np.inf), (edges[:-1] + edges[1:]) / 2])
    # The last cell holds its upper edge; of cells that begin together the last one holds it.
    expected = [min(255, int(np.sum(edges[1:-1] <= value))) for value in values]
    assert number_codes(values, number).tolist() == expected
    beyond = np.array([-np.inf, edges[0] - 1, edges[-1] + 1, np.inf, np.nan])
    first = int(np.sum(edges[1:-1] <= edges[0]))
    assert number_codes(beyond, number).tolist() == [first, first, 255, 255, 256]
    assert number_codes(beyond, number).dtype == np.uint16


def test_categories_by_hand() -> None:
    values = pd.Series(["c", "a", None, "zzz", "b"])
    assert category_codes(values, feature(kind="category", categories=LISTED)).tolist() == [2, 0, 4, 3, 1]
    strict = feature(kind="category", categories=LISTED, unknown="missing", missing="refuse")
    assert category_codes(values, strict).tolist() == [2, 0, 3, 3, 1]
    refusing = feature(kind="category", categories=LISTED, unknown="exclude", missing="refuse")
    assert category_codes(values[[0, 1, 4]], refusing).tolist() == [2, 0, 1]
    for wrong in (["a", None], ["a", "zzz"]):
        with pytest.raises(SchemaError, match="RF-C052") as caught:
            category_codes(pd.Series(wrong), refusing)
        assert caught.value.values == {"name": "x"}
    other = feature(kind="category", categories=LISTED, missing="refuse")
    assert category_codes(pd.Series(["zzz", "a"]), other).tolist() == [3, 0]


MATRIX = FeatureMatrix(
    names=("x", "y"),
    codes=np.array([[1, 2], [3, 4], [5, 260]], dtype=np.uint16),
    label=np.array([0, 1, 1], dtype=np.uint8),
    is_test=np.array([True, False, False]),
)


def test_a_digest_is_over_codes_labels_and_parts() -> None:
    whole = b"\1\0\2\0\3\0\4\0\5\0\4\1" + b"\0\1\1" + b"\1\0\0"
    assert MATRIX.digest() == "sha256:" + hashlib.sha256(whole).hexdigest()
    columns = replace(MATRIX, codes=np.asfortranarray(MATRIX.codes))
    assert columns.digest() == MATRIX.digest()
    others = [
        replace(MATRIX, label=np.array([1, 1, 1], dtype=np.uint8)),
        replace(MATRIX, is_test=np.array([True, True, False])),
        replace(MATRIX, codes=MATRIX.codes + np.uint16(1)),
    ]
    assert len({each.digest() for each in (MATRIX, *others)}) == 4


def test_parts_by_hand() -> None:
    among = np.array([True, True, False])
    assert MATRIX.train().codes.tolist() == MATRIX.part("train").codes.tolist() == [[3, 4], [5, 260]]
    assert MATRIX.test().codes.tolist() == MATRIX.part("test").codes.tolist() == [[1, 2]]
    assert MATRIX.train(among).label.tolist() == MATRIX.part("train", among).label.tolist() == [1]
    assert MATRIX.test(among).label.tolist() == MATRIX.part("test", among).label.tolist() == [0]
    assert MATRIX.test(~among).codes.tolist() == []
    taken = MATRIX.take(np.array([2, 0]))
    assert (taken.names, taken.codes.tolist()) == (("x", "y"), [[5, 260], [1, 2]])
    assert (taken.label.tolist(), taken.is_test.tolist()) == ([1, 0], [False, True])


def test_everybody_is_both_parts() -> None:
    among = np.array([True, True, False])
    assert MATRIX.part("both").codes.tolist() == MATRIX.codes.tolist()
    assert MATRIX.part("both", among).codes.tolist() == [[1, 2], [3, 4]]


def test_values_are_whole_steps_from_the_middle_of_their_bounds() -> None:
    age = feature(kind="number", bounds=[18, 98])
    values = np.array([18.0, 98.0, 58.0, 78.0, -1e9, 1e9, np.nan, 58.0 + 80 / 2**21])
    found = number_steps(values, age).tolist()
    assert found == [-(2**20), 2**20, 0, 2**19, -(2**20), 2**20, NO_VALUE, 1]


def test_a_study_without_a_label_has_rows_all_the_same_and_values_where_they_are_wanted() -> None:
    rows = Rows(pd.DataFrame({"age": [18.0, np.nan], "spend": [1.0, 10000.0]}))
    matrix = encode_rows(rows, schema_of(), ["age", "spend"], None, None, ["spend"])
    assert matrix.label.tolist() == [0, 0]
    assert matrix.measured == ("spend",)
    assert matrix.steps is not None
    assert matrix.steps.tolist() == [[-(2**20)], [2**20]]
    taken = matrix.take(np.array([1]))
    assert taken.steps is not None
    assert (taken.measured, taken.steps.tolist()) == (("spend",), [[2**20]])
    without = encode_rows(rows, schema_of(), ["age", "spend"], None, None)
    assert without.steps is None
    assert without.digest() != matrix.digest(), "who was used is told by values as well"


@pytest.mark.parametrize("categorical", [False, True])
def test_rows_become_codes_in_the_studys_order_and_one_label(categorical: bool) -> None:
    frame = pd.DataFrame(
        {
            "age": [18.0, np.nan, 98.0],
            "plan": ["gold", None, "unheard-of"],
            "churn": ["yes", "no", None],
            "active": ["yes", "no", "yes"],
        }
    )
    if categorical:
        frame = frame.astype({"plan": "category", "churn": "category"})
    found = encode_rows(Rows(frame), schema_of(), ["plan", "age", "active"], "churn", "yes")
    assert found.names == ("plan", "age", "active")
    assert found.codes.tolist() == [[1, 0, 1], [4, 256, 0], [3, 255, 1]]
    assert (found.label.tolist(), found.is_test.tolist()) == ([1, 0, 0], [False] * 3)
    assert (found.codes.dtype, found.label.dtype, found.is_test.dtype) == (np.uint16, np.uint8, np.bool_)
    opposite = encode_rows(Rows(frame), schema_of(), ["age"], "churn", "no")
    assert opposite.label.tolist() == [0, 1, 0]


def test_dates_are_ordinal_days() -> None:
    schema = schema_of(
        [
            {"name": "since", "kind": "date", "bounds": ["2020-01-01", "2020-09-13"]},
            {"name": "churn", "kind": "flag"},
        ]
    )
    days = [date(2020, 1, 1), date(2020, 1, 2), date(2020, 9, 13), date(2021, 1, 1), date(2019, 1, 1)]
    frame = pd.DataFrame({"since": [float(day.toordinal()) for day in days], "churn": "no"})
    found = encode_rows(Rows(frame), schema, ["since"], "churn", "yes").codes[:, 0].tolist()
    # 256 days between the bounds: a day a cell.
    assert found == [0, 1, 255, 255, 0]
