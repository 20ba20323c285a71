"""The ends of every range a scorecard's query may have, and its integers by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard import SCORECARD, holder
from ringfence.models.scorecard.codes import code_length, code_matrix, encode_sums, simplex
from ringfence.models.scorecard.holder import bins_of, coarse_codes, residual_table, residuals
from ringfence.models.scorecard.pairs import deviations, pair_sums, pairs_length, products
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import Query

CONTEXT = context_of()
SIZES = [257, 257, 5, 4]
WIDTHS = [17, 17, 5, 4]
LAST = 6
LIMIT = 2**31 - 1


def query_of(round_: int, widths: list[int] | None = None, *, pairs: bool = False, **arrays: Any) -> Query:
    """Bins as many as may be, in even stretches; groups of four and fewer."""
    widths = widths or WIDTHS
    offsets = np.concatenate([[0], np.cumsum(widths)])
    table = [np.arange(n) * w // n + first for n, w, first in zip(SIZES, widths, offsets[:-1], strict=True)]
    made: dict[str, Any] = {"bins": np.concatenate(table), "offsets": offsets}
    made["theta"] = np.zeros(offsets[-1], dtype=np.int64)
    if pairs or round_ == 1:
        starts = np.concatenate([[0], np.cumsum([min(4, w) for w in widths])])
        groups = [np.minimum(np.arange(w), 3) + first for w, first in zip(widths, starts[:-1], strict=True)]
        made |= {"groups": np.concatenate(groups), "group_offsets": starts}
    kept = {name: value for name, value in (made | arrays).items() if value is not None}
    return Query(task="scorecard", round=round_, arrays=kept)


def refused(query: Query) -> bool:
    try:
        SCORECARD.lengths(CONTEXT, query)
    except WaistError as error:
        return error.code == "RF-W050"
    return False


def test_lengths_of_each_round() -> None:
    assert SCORECARD.lengths(CONTEXT, Query(task="scorecard", round=0)) == {"cells": 33 + 33 + 5 + 4}
    # Pairs of four groups each, coded in three numbers: six tables of nine.
    assert SCORECARD.lengths(CONTEXT, query_of(1)) == {"gradient": 40, "masses": 43, "two-way": 54}
    assert SCORECARD.lengths(CONTEXT, query_of(2)) == {"gradient": 40}
    assert SCORECARD.lengths(CONTEXT, query_of(LAST)) == {"gradient": 40}
    assert SCORECARD.lengths(CONTEXT, query_of(LAST, pairs=True)) == {"gradient": 54}
    assert SCORECARD.lengths(CONTEXT, query_of(LAST, [1, 2, 3, 4], pairs=True)) == {"gradient": 2 + 3 + 6}
    assert SCORECARD.lengths(CONTEXT, query_of(1, [1, 1, 1, 1])) == {"gradient": 1, "masses": 4, "two-way": 0}


@pytest.mark.parametrize(("beyond", "wrong"), [(0, False), (1, True)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("place", [0, -1])
def test_parameters_reach_their_limit_and_no_further(beyond: int, wrong: bool, sign: int, place: int) -> None:
    theta = np.zeros(43, dtype=np.int64)
    theta[place] = sign * (LIMIT + beyond)
    assert refused(query_of(2, theta=theta)) is wrong


FLAT = np.repeat(np.array([0, 17, 34, 39]), SIZES)


def moved(bins: np.ndarray[Any, Any], feature: int, to: int) -> np.ndarray[Any, Any]:
    found = bins.copy()
    found[sum(SIZES[: feature + 1]) - 1] = to
    return found


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        (query_of(2, bins=moved(FLAT, 0, 16)), False),
        (query_of(2, bins=moved(FLAT, 0, 17)), True),
        (query_of(2, bins=moved(FLAT, 0, -1)), True),
        (query_of(2, bins=moved(FLAT, 1, 17)), False),
        (query_of(2, bins=moved(FLAT, 1, 16)), True),
        (query_of(2, bins=moved(FLAT, 3, 42)), False),
        (query_of(2, bins=moved(FLAT, 3, 43)), True),
        (query_of(2, [1, 1, 1, 1]), False),
        (query_of(2, [17, 17, 5, 5]), True),
        (query_of(2, [17, 18, 5, 4]), True),
        (query_of(2, offsets=np.array([0, 17, 34, 39])), True),
        (query_of(2, offsets=np.array([0, 17, 34, 39, 43, 43])), True),
        (query_of(2, bins=None), True),
        (query_of(2, offsets=None), True),
        (query_of(2, extra=np.zeros(1, dtype=np.int64)), True),
        (query_of(2, theta=np.zeros(44, dtype=np.int64)), True),
        (query_of(2, theta=np.zeros((43, 1), dtype=np.int64)), True),
        (replace(query_of(2), numbers={"customers": 1}), True),
        (replace(query_of(0), arrays={}, numbers={"customers": 1}), True),
        (replace(query_of(0), arrays={"bins": FLAT}), True),
        (query_of(1, groups=None), True),
        (query_of(1, group_offsets=None), True),
        (query_of(1, group_offsets=None, groups=None), True),
        (query_of(5, pairs=True), True),
        (query_of(0, pairs=True), True),
    ],
)
def test_what_a_query_may_say(query: Query, wrong: bool) -> None:
    assert refused(query) is wrong


GROUPS = query_of(1).arrays["groups"]


def regrouped(bin_: int, to: int) -> np.ndarray[Any, Any]:
    found = GROUPS.copy()
    found[bin_] = to
    return found


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("arrays", "wrong"),
    [
        ({"groups": regrouped(0, 3)}, False),
        ({"groups": regrouped(0, 4)}, True),
        ({"groups": regrouped(0, -1)}, True),
        ({"groups": regrouped(42, 15)}, False),
        ({"groups": regrouped(42, 16)}, True),
        ({"groups": regrouped(42, 11)}, True),
        ({"groups": GROUPS[:-1]}, True),
        ({"group_offsets": np.array([1, 4, 8, 12, 16])}, True),
        ({"group_offsets": np.array([0, 4, 8, 12])}, True),
        ({"group_offsets": np.array([0, 5, 8, 12, 16])}, True),
        ({"group_offsets": np.array([0, 4, 4, 12, 16])}, True),
        ({"group_offsets": np.arange(5), "groups": np.repeat(np.arange(4), WIDTHS)}, False),
    ],
)
def test_what_groups_may_be(arrays: dict[str, Any], wrong: bool, last: bool) -> None:
    assert refused(query_of(LAST if last else 1, pairs=True, **arrays)) is wrong


def test_no_more_groups_than_bins() -> None:
    starts, groups = np.array([0, 2, 3, 4, 5]), np.arange(4)
    assert refused(query_of(1, [1, 1, 1, 1], group_offsets=starts, groups=groups))


def test_the_table_of_residuals_by_hand() -> None:
    table = residual_table(10)
    # From -16 to 16 in steps of 2^-8; from 0 on a residual is the largest.
    assert len(table) == 2 * 16 * 256 + 1
    assert table[4096] == table[-1] == table[4097] == 1024
    assert table[4096 - 256] == round(1024 / math.e)
    assert table[4096 - 1] == round(1024 * math.exp(-1 / 256))
    assert table[0] == 0


@pytest.mark.parametrize(
    ("score", "label", "expected"),
    [
        (0, 0, 1024),
        (0, 1, -1024),
        (1 << 16, 0, 1024),
        (1 << 16, 1, -377),
        (-(1 << 16), 0, 377),
        (-(1 << 16), 1, -1024),
        # A score is read in steps of 2^-8, downwards.
        ((1 << 8) - 1, 1, -1024),
        (1 << 8, 1, -1020),
        (-1, 0, 1020),
        (17 << 16, 1, 0),
        (-(17 << 16), 0, 0),
        (2**40, 1, 0),
        (-(2**40), 1, -1024),
    ],
)
def test_residuals_by_hand(score: int, label: int, expected: int) -> None:
    found = residuals(np.array([score]), np.array([label], dtype=np.uint8), 10)
    assert found.tolist() == [expected]


def test_a_score_is_the_sum_of_a_customers_parameters() -> None:
    features = matrix_of(CONTEXT, frame_of(40))
    rng = np.random.default_rng(3)
    query = query_of(2, theta=rng.integers(-(2**16), 2**16, 43))
    bins = bins_of(CONTEXT, features.codes, query.arrays["bins"])
    scores = np.array([sum(int(query.arrays["theta"][b]) for b in row) for row in bins])
    whole = int(residuals(scores, features.label, 10).sum())
    assert SCORECARD.contribute(CONTEXT, query, features).blocks["gradient"][0] == 64 * whole


@pytest.mark.parametrize("query", [query_of(1), query_of(3), query_of(LAST, pairs=True)])
def test_rows_worked_on_at_once_do_not_show(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    features = matrix_of(CONTEXT, frame_of(50))
    whole = SCORECARD.contribute(CONTEXT, query, features)
    monkeypatch.setattr(holder, "CHUNK", 7)
    pieces = SCORECARD.contribute(CONTEXT, query, features)
    assert pieces.query_digest == whole.query_digest == query.digest()
    assert pieces.blocks.keys() == whole.blocks.keys()
    assert all(np.array_equal(pieces.blocks[name], values) for name, values in whole.blocks.items())


def test_a_histogram_counts_customers_in_units_and_numbers_by_eights() -> None:
    codes = np.array([[0, 7, 0, 0], [7, 8, 1, 3], [8, 255, 4, 2], [256, 256, 3, 1]], dtype=np.uint16)
    features = FeatureMatrix(
        names=CONTEXT.features,
        codes=codes,
        label=np.zeros(4, dtype=np.uint8),
        is_test=np.zeros(4, dtype=bool),
    )
    query = Query(task="scorecard", round=0)
    found = SCORECARD.contribute(CONTEXT, query, features)
    cells = [[0, 0, 1, 32], [33, 34, 33 + 31, 33 + 32], [66, 67, 70, 69], [71, 74, 73, 72]]
    expected = [0] * 75
    for column in cells:
        for cell in column:
            expected[cell] += 4
    assert found.blocks["cells"].tolist() == expected
    assert found.query_digest == query.digest()
    starts = [0, 33, 66, 71]
    assert (coarse_codes(CONTEXT, codes).T + np.array(starts)[:, None]).tolist() == [
        [0, 0, 1, 32],
        [33, 34, 64, 65],
        [66, 67, 70, 69],
        [71, 74, 73, 72],
    ]


def test_bins_are_looked_up_feature_by_feature() -> None:
    table = np.arange(523)
    codes = np.array([[0, 0, 0, 0], [256, 256, 4, 3]], dtype=np.uint16)
    assert bins_of(CONTEXT, codes, table).tolist() == [[0, 257, 514, 519], [256, 513, 518, 522]]


def test_corners_by_hand() -> None:
    assert simplex(1).shape == (1, 0)
    assert simplex(2).tolist() == [[64], [-64]]
    assert simplex(2, 16).tolist() == [[16], [-16]]
    assert simplex(3).tolist() == [[55, 32], [-55, 32], [0, -64]]
    assert not simplex(3).flags.writeable


def test_codes_by_hand() -> None:
    offsets = np.array([0, 2, 3, 6])
    assert code_length(offsets) == 1 + 1 + 0 + 2
    coded = encode_sums(offsets, 10, np.array([3, 7, 10, 1, 2, 7]))
    assert coded.tolist() == [640, 64 * (3 - 7), 55 * (1 - 2), 32 * (1 + 2) - 64 * 7]
    matrix = code_matrix(offsets) * 64
    assert matrix.shape == (7, 4)
    assert matrix[0].tolist() == [64, 0, 0, 0]
    assert matrix[1:3].tolist() == [[0, 64, 0, 0], [0, -64, 0, 0]]
    assert matrix[3].tolist() == [0, 0, 0, 0]
    assert matrix[4:].tolist() == [[0, 0, 55, 32], [0, 0, -55, 32], [0, 0, 0, -64]]


def test_tables_of_pairs_by_hand() -> None:
    offsets = np.array([0, 2, 4, 5, 8])
    assert pairs_length(offsets) == 1 * 1 + 1 * 2 + 1 * 2
    groups = np.array([[0, 2, 4, 5], [0, 3, 4, 7], [1, 3, 4, 7]])
    counts = pair_sums(groups, 8)
    assert counts[0].tolist() == [2, 0, 1, 1, 2, 1, 0, 1]
    weighted = pair_sums(groups, 8, np.array([5, -2, 1]))
    assert weighted[0].tolist() == [3, 0, 5, -2, 3, 5, 0, -2]
    # Corners of length 16: +-16 for two groups, and for three:
    assert simplex(3, 16).tolist() == [[13, 8], [-13, 8], [0, -16]]
    found = products(counts, offsets, 16)
    assert found.tolist() == [
        256 * (1 - 1 - 0 + 1),
        *(16 * 13 * 1, 16 * 8 * 1 - 16 * 16 * (1 - 1)),
        *(16 * 13 * 1, 16 * 8 * 1 - 16 * 16 * (0 - 2)),
    ]


def test_deviations_of_pairs_by_hand() -> None:
    offsets = np.array([0, 2, 3, 5])
    expected = np.zeros((5, 5))
    expected[0, 3], expected[3, 0] = 4.0, 4.0
    # Eight more than expected fall together, coded with length 16: 256 a customer.
    coded = np.array([256 * (4.0 + 8.0)])
    found, variance = deviations(coded, expected, offsets, 16, 32.0)
    assert found[:2, 3:] == pytest.approx(np.array([[2.0, -2.0], [-2.0, 2.0]]))
    assert found[3:, :2] == pytest.approx(np.array([[2.0, -2.0], [-2.0, 2.0]]))
    # A corner is taken back by 1/32 on either side.
    assert variance[:2, 3:] == pytest.approx(np.full((2, 2), (32 / 32**2) ** 2))
    assert variance[3:, :2] == pytest.approx(np.full((2, 2), (32 / 32**2) ** 2))
    for first, last in pairwise(offsets):
        assert not found[first:last, first:last].any()
        assert not variance[first:last, first:last].any()
    assert not variance[2].any()
