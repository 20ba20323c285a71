"""The holder's integer vectors: sensitivity, additivity, and queries that must be refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard import SCORECARD
from ringfence.models.scorecard.codes import ONE, code_matrix, encode_sums, simplex
from ringfence.models.scorecard.holder import residual_table, residuals
from ringfence.models.scorecard.pairs import pair_sums, products
from ringfence.models.scorecard.plan import MOST_GROUPS, TWO_WAY_ROUND, design
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import Query

CONTEXT = context_of()
FEATURES = matrix_of(CONTEXT, frame_of(300))
PLAN = SCORECARD.plan(CONTEXT)


LAST = 6


def bins_query(
    context: StudyContext, round_index: int, seed: int = 0, theta_limit: int = 2**20, *, pairs: bool = False
) -> Query:
    """A query with random, lawful bins and parameters, of a gradient over pairs if asked for."""
    from ringfence.models.scorecard.plan import most_bins, options_of

    rng, options = np.random.default_rng(seed), options_of(context)
    tables, offsets = [], [0]
    for grid in context.grids:
        width = int(rng.integers(1, most_bins(grid, options) + 1))
        tables.append(rng.integers(0, width, grid.size) + offsets[-1])
        offsets.append(offsets[-1] + width)
    arrays = {"bins": np.concatenate(tables), "offsets": np.array(offsets)}
    if round_index > 0:
        arrays["theta"] = rng.integers(-theta_limit, theta_limit, offsets[-1])
    if pairs or round_index == TWO_WAY_ROUND:
        groups, starts = [], [0]
        for width in np.diff(offsets):
            few = min(MOST_GROUPS, int(width))
            groups.append(rng.integers(0, few, width) + starts[-1])
            starts.append(starts[-1] + few)
        arrays |= {"groups": np.concatenate(groups), "group_offsets": np.array(starts)}
    return Query(task="scorecard", round=round_index, arrays=arrays)


PAIRS = bins_query(CONTEXT, LAST, 4, theta_limit=2**15, pairs=True)
QUERIES = [
    Query(task="scorecard", round=0),
    bins_query(CONTEXT, 1),
    bins_query(CONTEXT, 2),
    bins_query(CONTEXT, 5, 3, theta_limit=2**15),
    bins_query(CONTEXT, LAST, 3, theta_limit=2**15),
    PAIRS,
]
NAMES = ["histogram", "first", "second", "fifth", "last", "pairs"]


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
def test_one_customer_stays_within_the_declared_sensitivity(query: Query) -> None:
    lengths = SCORECARD.lengths(CONTEXT, query)
    for row in range(60):
        blocks = SCORECARD.contribute(CONTEXT, query, FEATURES.take(np.array([row]))).blocks
        for block in PLAN.rounds[query.round].blocks:
            values = blocks[block.name]
            assert values.dtype == np.int64
            assert values.shape == (lengths[block.name],)
            assert int((values**2).sum()) <= block.sensitivity_squared
            assert int(np.abs(values).max()) <= block.max_abs


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 2**31 - 1),
    st.integers(0, 299),
    st.sampled_from([1, 2, LAST]),
    st.booleans(),
)
def test_hypothesis_finds_no_neighbour_beyond_the_sensitivity(
    seed: int, limit: int, row: int, stage: int, pairs: bool
) -> None:
    query = bins_query(CONTEXT, stage, seed, theta_limit=max(1, limit), pairs=pairs and stage == LAST)
    SCORECARD.lengths(CONTEXT, query)
    everybody = SCORECARD.contribute(CONTEXT, query, FEATURES).blocks
    without = SCORECARD.contribute(CONTEXT, query, FEATURES.take(np.delete(np.arange(300), row))).blocks
    for block in PLAN.rounds[stage].blocks:
        difference = everybody[block.name] - without[block.name]
        assert int((difference**2).sum()) <= block.sensitivity_squared


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
def test_a_table_contributes_the_sum_of_its_customers_in_any_order_and_batching(query: Query) -> None:
    order = np.random.default_rng(1).permutation(300)
    whole = SCORECARD.contribute(CONTEXT, query, FEATURES).blocks
    for parts in ([order], np.array_split(order, 7), [np.array([i]) for i in order]):
        summed: dict[str, np.ndarray] = {}
        for part in parts:
            for name, values in SCORECARD.contribute(CONTEXT, query, FEATURES.take(part)).blocks.items():
                summed[name] = summed.get(name, 0) + values
        for name, values in whole.items():
            assert np.array_equal(values, summed[name])


def test_a_gradient_against_a_slow_sum() -> None:
    query = QUERIES[2]
    found = SCORECARD.contribute(CONTEXT, query, FEATURES).blocks["gradient"]
    from ringfence.models.scorecard.holder import bins_of

    offsets, theta = query.arrays["offsets"], query.arrays["theta"]
    bins = bins_of(CONTEXT, FEATURES.codes, query.arrays["bins"])
    slow = [0] * len(found)
    for customer, label in zip(bins.tolist(), FEATURES.label, strict=True):
        score = np.array([sum(int(theta[b]) for b in customer)])
        residual = int(residuals(score, np.array([label]), design(CONTEXT).residual_bits)[0])
        slow[0] += ONE * residual
        start = 1
        for feature, bin_ in enumerate(customer):
            first, last = int(offsets[feature]), int(offsets[feature + 1])
            for column in range(last - first - 1):
                slow[start + column] += residual * int(simplex(last - first)[bin_ - first, column])
            start += last - first - 1
    assert found.tolist() == slow


def test_two_way_tables_against_a_slow_count() -> None:
    query = QUERIES[1]
    found = SCORECARD.contribute(CONTEXT, query, FEATURES).blocks["two-way"]
    from ringfence.models.scorecard.holder import bins_of

    bins = bins_of(CONTEXT, FEATURES.codes, query.arrays["bins"])
    groups, offsets = query.arrays["groups"][bins].tolist(), query.arrays["group_offsets"].tolist()
    one, slow = 2 ** design(CONTEXT).pair_bits, []
    for left in range(4):
        for right in range(left + 1, 4):
            sides = [(f, simplex(offsets[f + 1] - offsets[f], one)) for f in (left, right)]
            table = sum(
                np.outer(*(code[customer[feature] - offsets[feature]] for feature, code in sides))
                for customer in groups
            )
            slow += np.asarray(table).ravel().tolist()
    assert found.tolist() == slow


def test_customers_of_bins_are_counted_one_by_one() -> None:
    query = QUERIES[1]
    found = SCORECARD.contribute(CONTEXT, query, FEATURES).blocks["masses"]
    from ringfence.models.scorecard.holder import bins_of

    slow = [0] * int(query.arrays["offsets"][-1])
    for customer in bins_of(CONTEXT, FEATURES.codes, query.arrays["bins"]).tolist():
        for bin_ in customer:
            slow[bin_] += design(CONTEXT).mass_unit
    assert found.tolist() == slow


def test_tables_of_residuals_against_a_slow_sum() -> None:
    found = SCORECARD.contribute(CONTEXT, PAIRS, FEATURES).blocks["gradient"]
    from ringfence.models.scorecard.holder import bins_of

    code = design(CONTEXT).pair_code
    assert code is not None
    bits, one = code
    bins = bins_of(CONTEXT, FEATURES.codes, PAIRS.arrays["bins"])
    scores = PAIRS.arrays["theta"][bins].sum(axis=1)
    residual = residuals(scores, FEATURES.label, bits).tolist()
    groups, offsets = PAIRS.arrays["groups"][bins].tolist(), PAIRS.arrays["group_offsets"].tolist()
    slow = []
    for left in range(4):
        for right in range(left + 1, 4):
            sides = [(f, simplex(offsets[f + 1] - offsets[f], one)) for f in (left, right)]
            table = sum(
                r * np.outer(*(code[customer[feature] - offsets[feature]] for feature, code in sides))
                for r, customer in zip(residual, groups, strict=True)
            )
            slow += np.asarray(table).ravel().tolist()
    assert found.tolist() == slow


@pytest.mark.parametrize("features", [2, 3, 10, 23, 60])
@pytest.mark.parametrize("epsilon", ["0.5", "4"])
def test_residuals_of_pairs_use_the_bound_of_a_gradient_and_never_pass_it(
    features: int, epsilon: str
) -> None:
    shape = replace(design(context_of(privacy={"epsilon": epsilon})), dimensions=features)
    assert shape.pair_code is not None
    bits, one = shape.pair_code
    assert shape.pairs * 4**bits * one**4 <= shape.gradient_bound
    assert 2**bits * one**2 <= shape.residual_unit
    if features >= 10:
        assert shape.pairs * 4**bits * one**4 >= 0.7 * shape.gradient_bound


def test_a_table_is_read_back_as_it_was_counted() -> None:
    from ringfence.models.scorecard.pairs import deviations

    rng = np.random.default_rng(1)
    offsets = np.array([0, 2, 3, 7])
    groups = np.stack([rng.integers(0, 2, 500), np.full(500, 2), rng.integers(3, 7, 500)], axis=1)
    groups[:250, 2] = groups[:250, 0] + 3
    counts = pair_sums(groups, 7)
    expected = np.outer(np.diagonal(counts), np.diagonal(counts)) / 500
    coded = products(counts, offsets, 32).astype(np.float64)
    found, variance = deviations(coded, expected, offsets, 32, 1.0)
    assert np.allclose(found[:2, 3:], (counts - expected)[:2, 3:], atol=2.5)
    assert not found[2].any()
    assert np.all(variance[:2, 3:] > 0)
    assert np.all(variance[:2, :2] == 0)


@pytest.mark.parametrize("bins", [1, 2, 3, 5, 8, 64])
def test_corners_are_no_longer_than_one_and_hardly_shorter(bins: int) -> None:
    corners = simplex(bins)
    lengths = (corners**2).sum(axis=1)
    assert np.all(lengths <= ONE**2)
    if bins > 1:
        assert np.all(lengths >= ONE**2 * 0.85)
        products = (corners @ corners.T)[~np.eye(bins, dtype=bool)] / ONE**2
        assert np.abs(products + 1 / (bins - 1)).max() < 0.1


def test_a_code_is_what_its_matrix_says() -> None:
    offsets, sums = np.array([0, 3, 4, 6]), np.array([5, -7, 11, 9, 2, 7])
    coded = encode_sums(offsets, 9, sums)
    assert np.allclose(code_matrix(offsets).T @ np.concatenate([[9], sums]) * ONE, coded)
    assert len(coded) == 1 + 2 + 0 + 1


def test_residuals_are_bounded_and_right_to_half_a_unit() -> None:
    scores = np.array([-(2**40), -(2**16), 0, 2**15, 2**16, 2**40])
    for label in (0, 1):
        found = residuals(scores, np.full(6, label, dtype=np.uint8), 10)
        side = 1 - 2 * label
        exact = side * np.minimum(1, np.exp(side * np.clip(scores / 2**16, -16, 16))) * 1024
        assert np.abs(found).max() <= 1024
        assert np.abs(found - exact).max() <= 0.5 + 1e-9
    assert residual_table(10).min() >= 0


def test_one_class_and_a_constant_column_stop_nothing() -> None:
    frame = frame_of(50).assign(churn="no", active="yes", age=40.0)
    features = matrix_of(CONTEXT, frame)
    for query in QUERIES:
        lengths = SCORECARD.lengths(CONTEXT, query)
        whole = SCORECARD.contribute(CONTEXT, query, features).blocks
        halves = [
            SCORECARD.contribute(CONTEXT, query, features.take(part)).blocks
            for part in np.array_split(np.arange(50), 2)
        ]
        for name, values in whole.items():
            assert values.shape == (lengths[name],)
            assert np.array_equal(values, halves[0][name] + halves[1][name])
            assert values.any(), "customers who are all alike count too"


def test_no_customers_contribute_zeros() -> None:
    nobody = FEATURES.take(np.array([], dtype=np.int64))
    for query in QUERIES:
        for values in SCORECARD.contribute(CONTEXT, query, nobody).blocks.values():
            assert not values.any()


def broken(query: Query, **arrays: object) -> Query:
    kept = {name: value for name, value in {**query.arrays, **arrays}.items() if value is not None}
    return replace(query, arrays=kept)


GOOD = bins_query(CONTEXT, 3)
TABLES = bins_query(CONTEXT, TWO_WAY_ROUND)


def moved(name: str, starts: str, place: int, feature: int) -> npt.NDArray[np.int64]:
    """The bins, or the groups, of a lawful query, but for one cell that another feature's is put in."""
    query = TABLES if name == "groups" else GOOD
    found = query.arrays[name].copy()
    found[place] = query.arrays[starts][:-1][feature]
    return found


BAD = {
    "parameters in a histogram": replace(GOOD, round=0),
    "no bins": broken(GOOD, bins=None),
    "no theta": broken(GOOD, theta=None),
    "no parameters in the first gradient": replace(broken(GOOD, theta=None), round=1),
    "short theta": broken(GOOD, theta=GOOD.arrays["theta"][:-1]),
    "theta beyond 32 bits": broken(GOOD, theta=GOOD.arrays["theta"] + 2**40),
    "short bins": broken(GOOD, bins=GOOD.arrays["bins"][:-1]),
    "a bin of another feature": broken(GOOD, bins=np.roll(GOOD.arrays["bins"], 40)),
    "a bin of the feature before": broken(GOOD, bins=moved("bins", "offsets", -1, 0)),
    "a bin of the feature after": broken(GOOD, bins=moved("bins", "offsets", 0, -1)),
    "a negative bin": broken(GOOD, bins=GOOD.arrays["bins"] - 1),
    "offsets that fall": broken(GOOD, offsets=GOOD.arrays["offsets"][::-1].copy()),
    "offsets that do not start at 0": broken(GOOD, offsets=GOOD.arrays["offsets"] + 1),
    "too many bins": broken(GOOD, offsets=GOOD.arrays["offsets"] * 50),
    "groups in the third gradient": replace(TABLES, round=3),
    "pairs before the last gradient": replace(PAIRS, round=LAST - 1),
    "pairs without group offsets": broken(PAIRS, group_offsets=None),
    "pairs with a group of another feature": broken(PAIRS, groups=PAIRS.arrays["groups"][::-1].copy()),
    "no groups in the first": broken(TABLES, groups=None),
    "no group offsets in the first": broken(TABLES, group_offsets=None),
    "short groups": broken(TABLES, groups=TABLES.arrays["groups"][1:]),
    "a group of another feature": broken(TABLES, groups=TABLES.arrays["groups"][::-1].copy()),
    "a group of the feature before": broken(TABLES, groups=moved("groups", "group_offsets", -1, 0)),
    "a group of the feature after": broken(TABLES, groups=moved("groups", "group_offsets", 0, -1)),
    "too many groups": broken(TABLES, group_offsets=np.arange(5) * (MOST_GROUPS + 1)),
    "more groups than bins": broken(TABLES, offsets=np.arange(5), bins=np.zeros_like(TABLES.arrays["bins"])),
    "an extra number": replace(GOOD, numbers={"rows": 1}),
}


@pytest.mark.parametrize("query", BAD.values(), ids=BAD.keys())
def test_queries_out_of_shape_or_range_are_refused(query: Query) -> None:
    with pytest.raises(WaistError, match="RF-W050"):
        SCORECARD.lengths(CONTEXT, query)


def test_more_bins_than_the_plan_prices_are_refused() -> None:
    from ringfence.models.scorecard.plan import most_bins, options_of

    options = options_of(CONTEXT)
    widths = [most_bins(grid, options) for grid in CONTEXT.grids]
    for extra, lawful in ((0, True), (1, False)):
        sizes = [widths[0] + extra, *widths[1:]]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        table = np.concatenate(
            [
                np.arange(grid.size) % width + start
                for grid, width, start in zip(CONTEXT.grids, sizes, offsets[:-1], strict=True)
            ]
        )
        arrays = {"bins": table, "offsets": offsets, "theta": np.zeros(offsets[-1], dtype=np.int64)}
        query = Query(task="scorecard", round=2, arrays=arrays)
        if lawful:
            assert SCORECARD.lengths(CONTEXT, query)["gradient"] == 1 + sum(widths) - len(widths)
            assert sum(SCORECARD.lengths(CONTEXT, query).values()) <= PLAN.rounds[1].max_length
        else:
            with pytest.raises(WaistError, match="RF-W050"):
                SCORECARD.lengths(CONTEXT, query)


def test_a_broken_clamp_would_break_the_bound() -> None:
    """The property test above can fail: residuals without the clamp exceed the sensitivity."""
    features: FeatureMatrix = FEATURES.take(np.array([0]))
    block = next(b for b in PLAN.rounds[2].blocks if b.name == "gradient")
    unclamped = np.full(4, block.max_abs * 3, dtype=np.int64)
    assert int((unclamped**2).sum()) > block.sensitivity_squared
    assert len(features.label) == 1
