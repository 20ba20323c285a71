"""Features: public cells, codes of rows, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.edges import NUMBER_CELLS
from ringfence.models.features import (
    FeatureMatrix,
    category_codes,
    cell_edges,
    grid_of,
    number_codes,
)
from ringfence.privacy.agreements.schema import Feature
from ringfence.privacy.errors import SchemaError


def feature(**fields: object) -> Feature:
    return Feature.model_validate({"name": "x", **fields})


def test_a_number_has_its_cells_and_one_for_missing() -> None:
    grid = grid_of(feature(kind="number", bounds=[0, 10]))
    assert (grid.values, grid.other, grid.missing, grid.size) == (
        NUMBER_CELLS,
        None,
        NUMBER_CELLS,
        NUMBER_CELLS + 1,
    )


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


@given(
    st.lists(st.sampled_from(["a", "b", "zzz", "(other)", None]), max_size=20),
    st.permutations(["zzz", "a", "(other)", "b"]),
)
def test_a_categorical_is_coded_as_its_texts_are(entries: list[str | None], order: list[str]) -> None:
    kind = feature(kind="category", categories=["a", "b"])
    texts = pd.Series(entries, dtype="object")
    coded = pd.Series(pd.Categorical(entries, categories=order))
    expected = [{"a": 0, "b": 1, None: 3}.get(entry, 2) for entry in entries]
    assert category_codes(texts, kind).tolist() == category_codes(coded, kind).tolist() == expected


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.data())
def test_a_part_among_some_is_the_part_of_those(is_test: list[bool], data: st.DataObject) -> None:
    among = np.array(data.draw(st.lists(st.booleans(), min_size=len(is_test), max_size=len(is_test))))
    codes = np.arange(2 * len(is_test), dtype=np.uint16).reshape(-1, 2)
    matrix = FeatureMatrix(
        names=("x", "y"),
        codes=codes,
        label=np.arange(len(is_test), dtype=np.uint8),
        is_test=np.array(is_test),
    )
    for name in ("train", "test"):
        once, twice = matrix.part(name, among), matrix.take(among).part(name)
        assert once.digest() == twice.digest()
        assert once.codes.tolist() == [
            [2 * i, 2 * i + 1] for i, test in enumerate(is_test) if among[i] and test == (name == "test")
        ]


def test_a_missing_value_without_a_cell_is_refused() -> None:
    with pytest.raises(SchemaError):
        number_codes(np.array([1.0, np.nan]), feature(kind="number", bounds=[0, 10], missing="refuse"))


def test_codes_of_a_row_depend_on_that_row_alone() -> None:
    context, frame = context_of(), frame_of(200)
    whole = matrix_of(context, frame)
    single = [matrix_of(context, frame.iloc[[i]]).codes[0] for i in range(len(frame))]
    assert np.array_equal(whole.codes, np.array(single))
    assert whole.label.tolist() == (frame["churn"] == "yes").astype(int).tolist()
