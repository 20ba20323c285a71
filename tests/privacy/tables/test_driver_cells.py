"""Columns of databases: what is held as Arrow holds it means, cell by cell, what the driver's value means."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.errors import TableError
from ringfence.privacy.tables.celltext import cell_text, in_utc, key_text
from ringfence.privacy.tables.driver_cells import DriverColumn

EAST = timezone(timedelta(hours=8))
CELLS: list[Any] = [
    None,
    True,
    False,
    0,
    -7,
    2**63 - 1,
    -(2**63),
    2**63,
    10**400,
    1.5,
    7.0,
    1e300,
    float("nan"),
    float("-inf"),
    "",
    " a ",
    "7",
    "客户",
    Decimal("1.50"),
    Decimal("1E+3"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    date(2027, 1, 31),
    date(1, 1, 1),
    datetime(2027, 1, 31, 23, 59, 59, 999999),
    datetime(2027, 1, 31, 3, tzinfo=EAST),
    datetime(1, 1, 1, 0, 0, tzinfo=EAST),
    datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    uuid.UUID(int=5),
    b"bytes",
    timedelta(1),
]


def text_or_wrong(value: object) -> tuple[str | None, bool]:
    try:
        return cell_text(value), False
    except TypeError:
        return None, True


def number_or_unread(value: object) -> tuple[float, bool]:
    """As a cell by itself: NaN for what is not there or is text, unread for what is no number."""
    if value is None or isinstance(value, str):
        return math.nan, False
    if not isinstance(value, int | float | Decimal):
        return math.nan, True
    try:
        return float(value), False
    except (OverflowError, ValueError):
        return math.nan, True


@given(parts=st.lists(st.lists(st.sampled_from(CELLS), max_size=9), max_size=5))
@settings(max_examples=300, deadline=None)
def test_a_cell_means_what_it_means_alone(parts: list[list[Any]]) -> None:
    column = DriverColumn()
    for part in parts:
        column.extend(part)
    cells = [cell for part in parts for cell in part]
    assert len(column) == len(cells)
    texts, wrong = column.texts()
    assert list(zip(texts.to_pylist(), wrong.tolist(), strict=True)) == [text_or_wrong(c) for c in cells]
    assert column.plain_texts().to_pylist() == [c if isinstance(c, str) else None for c in cells]
    numbers, unread = column.native_numbers()
    expected = [number_or_unread(cell) for cell in cells]
    assert unread.tolist() == [each for _number, each in expected]
    np.testing.assert_array_equal(numbers, [number for number, _each in expected])
    days = [
        float((in_utc(c) if isinstance(c, datetime) else c).toordinal()) if isinstance(c, date) else math.nan
        for c in cells
    ]
    np.testing.assert_array_equal(np.floor(column.native_moments()), days)


def test_truth_values_are_called_as_asked() -> None:
    texts, _wrong = DriverColumn.of([True, None, False, "x"]).texts(("no", "yes"))
    assert texts.to_pylist() == ["yes", None, "no", "x"]


def test_moments_of_one_day_keep_their_order_and_their_day() -> None:
    day = datetime(2027, 1, 31)
    moments = DriverColumn.of(
        [
            day,
            day + timedelta(hours=1),
            day + timedelta(hours=1, seconds=1),
            datetime(2027, 1, 31, 23, 59, 59, 999999),
        ]
    ).native_moments()
    assert (np.diff(moments) > 0).all()
    assert set(np.floor(moments)) == {day.toordinal()}


def test_keys_of_a_database_are_spelt_as_those_of_a_file() -> None:
    cells: list[Any] = [7, 7.0, "7", " 7 ", None, Decimal("7.0"), uuid.UUID(int=5), "007"]
    found = key_text(DriverColumn.of(cells)).to_pylist()
    assert found == key_text(cells).to_pylist()
    assert found[:4] == ["7"] * 4
    for bad, code in (([b"7"], "RF-T017"), ([2.0**53], "RF-T100"), (["1.23E+15"], "RF-T101")):
        with pytest.raises(TableError, match=code):
            key_text(DriverColumn.of(bad))
