"""Features: public cells, codes of rows, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import context_of, frame_of, matrix_of

from ringfence.models.features import (
    NUMBER_CELLS,
    category_codes,
    cell_edges,
    grid_of,
    number_codes,
)
from ringfence.privacy.errors import SchemaError
from ringfence.privacy.schema import Feature


def feature(**fields: object) -> Feature:
    return Feature.model_validate({"name": "x", **fields})


def test_a_number_has_its_cells_and_one_for_missing() -> None:
    grid = grid_of(feature(kind="number", bounds=[0, 10]))
    assert (grid.values, grid.other, grid.missing, grid.size) == (NUMBER_CELLS, None, NUMBER_CELLS, NUMBER_CELLS + 1)


def test_a_category_has_cells_for_other_and_missing_where_the_schema_asks() -> None:
    grid = grid_of(feature(kind="category", categories=["a", "b"]))
    assert (grid.values, grid.other, grid.missing, grid.size) == (2, 2, 3, 4)
    strict = grid_of(feature(kind="category", categories=["a", "b"], unknown="exclude", missing="refuse"))
    assert strict.size == 2


def test_free_text_is_refused() -> None:
    with pytest.raises(SchemaError, match="RF-C050"):
        grid_of(feature(kind="text"))


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_codes_agree_with_the_edges_they_are_drawn_from(scale: str) -> None:
    number = feature(kind="number", bounds=[1, 1000], scale=scale)
    edges = cell_edges(number)
    middles = (edges[:-1] + edges[1:]) / 2
    assert number_codes(middles, number).tolist() == list(range(NUMBER_CELLS))
    assert number_codes(np.array([-5.0, 1.0, 1000.0, 1e9]), number).tolist() == [0, 0, 255, 255]


@given(st.floats(1, 1000), st.floats(1, 1000))
def test_codes_keep_the_order_of_numbers(first: float, second: float) -> None:
    number = feature(kind="number", bounds=[1, 1000], scale="log")
    low, high = number_codes(np.array(sorted([first, second])), number).astype(int)
    assert low <= high


def test_missing_and_unknown_go_where_the_schema_says() -> None:
    values = pd.Series(["a", "b", "zzz", None])
    assert category_codes(values, feature(kind="category", categories=["a", "b"])).tolist() == [0, 1, 2, 3]
    as_missing = feature(kind="category", categories=["a", "b"], unknown="missing")
    assert category_codes(values, as_missing).tolist() == [0, 1, 2, 2]


def test_a_missing_value_without_a_cell_is_refused() -> None:
    with pytest.raises(SchemaError):
        number_codes(np.array([1.0, np.nan]), feature(kind="number", bounds=[0, 10], missing="refuse"))


def test_codes_of_a_row_depend_on_that_row_alone() -> None:
    context, frame = context_of(), frame_of(200)
    whole = matrix_of(context, frame)
    single = [matrix_of(context, frame.iloc[[i]]).codes[0] for i in range(len(frame))]
    assert np.array_equal(whole.codes, np.array(single))
    assert whole.label.tolist() == (frame["churn"] == "yes").astype(int).tolist()
