"""Which cells are shown: by noisy counts, so that nothing hidden follows from what is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.models.tables.disclosure import CountedCells, hidden_cells
from ringfence.models.tables.recoding import joined_groups


def table(counts: object, *names: str, threshold: int = 20) -> CountedCells:
    cells = np.asarray(counts, dtype=np.float64)
    names = names or ("a", "b", "c")[: cells.ndim]
    labels = tuple(
        tuple(f"{name}{place}" for place in range(size))
        for name, size in zip(names, cells.shape, strict=True)
    )
    return CountedCells(names=names, labels=labels, counts=cells, threshold=threshold)


def why(*tables: CountedCells) -> list[list[str]]:
    return [list(each) for each in hidden_cells(tables)]


def test_a_cell_below_the_threshold_is_hidden_and_the_smallest_other_with_it() -> None:
    assert why(table([100, 19.9, 50, 70])) == [["", "small", "complement", ""]]
    assert why(table([100, 20.0, 50, 70])) == [["", "", "", ""]]


def test_two_hidden_cells_that_stand_for_few_together_need_a_third() -> None:
    assert why(table([100, 4, 5, 30])) == [["", "small", "small", "complement"]]
    assert why(table([100, 15, 15, 30])) == [["", "small", "small", ""]]


def test_a_total_alone_and_a_table_of_small_cells_only() -> None:
    assert why(table(np.array(12.0))) == [["small"]]
    assert why(table([3, 4])) == [["small", "small"]]


def test_rows_and_columns_are_both_protected() -> None:
    counts = np.full((3, 3), 100.0)
    counts[0, 0] = 5
    found = np.array([bool(each) for each in why(table(counts))[0]]).reshape(3, 3)
    for line in (*found, *found.T):
        assert line.sum() != 1


def test_what_is_hidden_in_one_table_is_hidden_in_all_and_so_are_its_parts() -> None:
    alone = table([100, 5, 60], "a")
    crossed = table([[50, 50], [40, 40], [30, 30]], "a", "b")
    first, second = why(alone, crossed)
    assert first == ["", "small", "complement"]
    assert second == ["", "", "within", "within", "within", "within"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.floats(-30, 200), min_size=3, max_size=3), min_size=2, max_size=5),
    st.sampled_from([10, 20, 50]),
)
def test_no_line_gives_a_hidden_cell_away(rows: list[list[float]], threshold: int) -> None:
    counts = np.array(rows)
    hidden = np.array([bool(each) for each in why(table(counts, threshold=threshold))[0]]).reshape(
        counts.shape
    )
    assert np.all(hidden[counts < threshold])
    for line, mass in [*zip(hidden, counts, strict=True), *zip(hidden.T, counts.T, strict=True)]:
        if line.any() and not line.all():
            assert line.sum() >= 2
            assert mass[line].sum() >= threshold


@pytest.mark.parametrize(
    ("margin", "ordered", "expected"),
    [
        ([100, 100, 100], 3, [0, 1, 2]),
        ([5, 100, 100], 3, [0, 0, 1]),
        ([100, 5, 100], 3, [0, 1, 1]),
        ([100, 100, 5], 3, [0, 1, 1]),
        ([100, 60, 3], 2, [0, 1, 1]),
        ([100, 60, 15, 15], 2, [0, 1, 2, 2]),
        ([100, 3, 60, 4], 0, [0, 1, 1, 1]),
        ([3, 4, 5], 3, [0, 0, 0]),
        ([3, 4], 0, [0, 0]),
        ([3], 0, [0]),
    ],
)
def test_weak_groups_are_joined(margin: list[float], ordered: int, expected: list[int]) -> None:
    assert joined_groups(np.array(margin, dtype=float), 1.0, 20, ordered).tolist() == expected


def test_a_group_lost_in_noise_is_joined_although_it_is_large() -> None:
    assert joined_groups(np.array([900.0, 60.0, 500.0]), 40.0, 20, 0).tolist() == [0, 1, 1]
