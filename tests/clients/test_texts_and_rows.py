"""Shortcuts on the way of a table: texts read once each, and rows told by one bit each."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.clients.pipeline import rows_used
from ringfence.clients.rows.cells import Cells
from ringfence.clients.rows.texts import category_texts, numbered_texts
from ringfence.privacy.agreements.columns import Source
from ringfence.privacy.errors import TableError

SOURCE = Source.model_validate({"file": "x.csv", "null_values": ["NA", " none "]})
TEXT = st.sampled_from([None, "", " ", "a", " a", "a ", "NA", " NA ", "none", "b", "\u00a0b", "1.0"])


def cells(values: object) -> Cells:
    return Cells.of(values, "x", SOURCE, list)


@given(st.lists(TEXT, max_size=30))
def test_texts_read_once_each_are_those_read_cell_by_cell(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    number, texts = numbered_texts(cells(column), ("no", "yes"))
    found = [None if each < 0 else texts[each].as_py() for each in number.tolist()]
    assert found == category_texts(cells(column), ("no", "yes")).to_pylist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([True, None, False]),
        pa.array([1, 2, None]),
        pa.array([1.5, float("nan"), 1.0]),
        pa.nulls(3),
        [1, "a", None],
    ],
)
def test_other_types_are_numbered_too(column: object) -> None:
    number, texts = numbered_texts(cells(column), ("no", "yes"))
    found = [None if each < 0 else texts[each].as_py() for each in number.tolist()]
    assert found == category_texts(cells(column), ("no", "yes")).to_pylist()


def test_a_type_that_is_no_category_is_refused() -> None:
    with pytest.raises(TableError, match="RF-T027"):
        numbered_texts(cells(pa.array([[1], [2]])), ("no", "yes"))


@given(st.lists(st.booleans(), max_size=40), st.lists(st.booleans(), max_size=40))
def test_other_rows_have_another_digest(first: list[bool], second: list[bool]) -> None:
    cohort = hashlib.sha256(b"rows").digest()
    one, other = (rows_used(cohort, np.array(each, dtype=np.bool_)) for each in (first, second))
    assert (one == other) == (first == second)
    assert one != rows_used(hashlib.sha256(b"others").digest(), np.array(first, dtype=np.bool_))
