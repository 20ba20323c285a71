"""What an evaluation asks and costs by hand, and the ends of what it may be asked."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.evaluation import EDGES, Evaluated, evaluated
from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard import SCORECARD
from ringfence.models.task import Scoring
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.errors import WaistError
from ringfence.privacy.waist import Aggregate, Contribution, Query

CONTEXT = context_of(model={"iterations": 1})
TASK = evaluated(SCORECARD)
PLAN = TASK.plan(CONTEXT)
BARE = SCORECARD.plan(CONTEXT)
UNIT = 1 << 16
ROWS = matrix_of(CONTEXT, frame_of(6))


@pytest.mark.parametrize(
    "changes",
    [{}, {"holders": 6}, {"privacy": {"epsilon": "0.5"}}, {"privacy": {"noise": "local"}}],
    ids=["three", "six", "weak", "local"],
)
def test_the_two_rounds_by_hand(changes: dict[str, Any]) -> None:
    context = context_of(**changes)
    plan, bare, terms = TASK.plan(context), SCORECARD.plan(context), context.study.privacy
    assert plan.rounds[:-2] == bare.rounds
    assert (plan.cohort, plan.honest, plan.max_attempts) == (bare.cohort, bare.honest, bare.max_attempts)
    assert [each.name for each in plan.rounds[-2:]] == ["score-range", "score-figures"]
    mu = calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise)
    for each, name, length, share in zip(
        plan.rounds[-2:], ("scores", "figures"), (64, 40), (0.2, 0.8), strict=True
    ):
        (block,) = each.blocks
        assert (each.part, block.name, block.max_length) == ("test", name, length)
        assert (each.sampling_rate, each.local_steps, each.uploads) == (1, 0, ())
        assert block.sensitivity_squared == block.max_abs**2
        price = block.sensitivity_squared / (plan.honest * block.share_scale**2 - 4)
        # Testing may cost what training did, beside the count of the cohort, which is 1 % of either.
        assert price == pytest.approx(share * 0.99 * mu**2, rel=1e-8)
        assert price < share * 0.99 * mu**2
        assert block.max_abs & (block.max_abs - 1) == 0
        assert block.share_scale >= 16
        assert block.max_abs == 1 or block.share_scale < 32.2


def fixed(scores: list[int]) -> Scoring[Any]:
    """Customers with given scores."""
    return replace(SCORECARD.scoring, scores=lambda *_: np.array(scores, dtype=np.int64))  # type: ignore[type-var]


def asked(stage: int, **arrays: Any) -> Query:
    return Query(task="scorecard", round=len(BARE.rounds) + stage, arrays=arrays)


def counted(scores: list[int], query: Query, label: list[int] | None = None) -> Contribution:
    rows = FeatureMatrix(
        names=ROWS.names,
        codes=np.repeat(ROWS.codes[:1], len(scores), axis=0),
        label=np.array(label or [0] * len(scores), dtype=np.uint8),
        is_test=np.ones(len(scores), dtype=bool),
    )
    task = evaluated(replace(SCORECARD, scoring=fixed(scores)))
    return task.contribute(CONTEXT, query, rows)


@pytest.mark.parametrize(
    ("score", "cell"),
    [
        (-(1 << 40), 0),
        (-8 * UNIT, 0),
        (-8 * UNIT + UNIT // 4 - 1, 0),
        (-8 * UNIT + UNIT // 4, 1),
        (-1, 31),
        (0, 32),
        (UNIT // 4 - 1, 32),
        (UNIT // 4, 33),
        (8 * UNIT - UNIT // 4 - 1, 62),
        (8 * UNIT - 1, 63),
        (8 * UNIT, 63),
        (1 << 40, 63),
    ],
)
def test_the_range_is_counted_in_quarters_of_log_odds_and_beyond_at_its_ends(score: int, cell: int) -> None:
    query = asked(0)
    found = counted([score], query)
    unit = PLAN.rounds[-2].blocks[0].max_abs
    assert found.query_digest == query.digest()
    assert found.blocks["scores"].tolist() == [unit if at == cell else 0 for at in range(64)]


def test_figures_are_counted_by_cell_and_label_and_an_edge_belongs_above() -> None:
    query = asked(1, **{EDGES: np.array([-UNIT, 0, 5])})
    found = counted([-UNIT - 1, -UNIT, -1, 0, 4, 5, 9, 5], query, [0, 0, 1, 1, 0, 0, 1, 1])
    unit = PLAN.rounds[-1].blocks[0].max_abs
    assert found.query_digest == query.digest()
    assert found.blocks["figures"].tolist() == [unit * n for n in (1, 1, 1, 1, 0, 1, 1, 2)]
    assert counted([], query).blocks["figures"].tolist() == [0] * 8
    assert counted([], asked(0)).blocks["scores"].tolist() == [0] * 64


def model_query() -> Query:
    """The evaluation's first question about a real card."""
    state, step = TASK.start(CONTEXT)
    rng = np.random.default_rng(4)
    while isinstance(step, Query) and step.round < len(BARE.rounds):
        lengths = TASK.lengths(CONTEXT, step)
        blocks = {name: rng.integers(-3, 900, n) for name, n in lengths.items()}
        state, step = TASK.step(CONTEXT, state, Aggregate(round=step.round, holders=3, blocks=blocks))
    assert isinstance(step, Query)
    return step


MODEL = model_query()


def refused(query: Query) -> bool:
    try:
        TASK.lengths(CONTEXT, query)
    except WaistError as error:
        return error.code == "RF-W055"
    return False


def with_edges(edges: Any) -> Query:
    return replace(
        MODEL, round=MODEL.round + 1, arrays={**MODEL.arrays, EDGES: np.array(edges, dtype=np.int64)}
    )


LARGE = 1 << 32


@pytest.mark.parametrize(
    ("edges", "wrong"),
    [
        ([0], False),
        ([0, 1], False),
        (range(19), False),
        (range(20), True),
        ([], True),
        ([1, 1], True),
        ([1, 0], True),
        ([0, 2, 1], True),
        ([[0, 1]], True),
        ([-LARGE, LARGE], False),
        ([-LARGE - 1, 0], True),
        ([0, LARGE + 1], True),
        ([-(2**63), 2**63 - 1], True),
    ],
)
def test_what_edges_may_be(edges: Any, wrong: bool) -> None:
    query = with_edges(list(edges))
    assert refused(query) is wrong
    if not wrong:
        assert TASK.lengths(CONTEXT, query) == {"figures": 2 * (len(query.arrays[EDGES]) + 1)}


def test_the_range_has_no_edges_and_the_figures_have() -> None:
    assert TASK.lengths(CONTEXT, MODEL) == {"scores": 64}
    assert refused(replace(with_edges([0]), round=MODEL.round))
    assert refused(replace(MODEL, round=MODEL.round + 1))
    training = replace(MODEL, round=1, arrays={**MODEL.arrays, EDGES: np.array([0])})
    with pytest.raises(WaistError, match="RF-W050"):
        TASK.lengths(CONTEXT, training)


def judged(spread: np.ndarray[Any, Any], holders: int = 3) -> tuple[Query, Any]:
    """What is asked after a range of scores, and the state to go on from."""
    state, step = TASK.start(CONTEXT)
    rng = np.random.default_rng(4)
    while isinstance(step, Query) and step.round < len(BARE.rounds):
        lengths = TASK.lengths(CONTEXT, step)
        blocks = {name: rng.integers(-3, 900, n) for name, n in lengths.items()}
        state, step = TASK.step(CONTEXT, state, Aggregate(round=step.round, holders=3, blocks=blocks))
    assert isinstance(step, Query)
    unit = PLAN.rounds[-2].blocks[0].max_abs
    seen = Aggregate(round=step.round, holders=holders, blocks={"scores": spread * unit})
    state, following = TASK.step(CONTEXT, state, seen)
    assert isinstance(following, Query)
    assert following.round == step.round + 1
    assert {name: array.tolist() for name, array in following.arrays.items() if name != EDGES} == {
        name: array.tolist() for name, array in step.arrays.items()
    }
    return following, state


def noise(holders: int = 3) -> float:
    block = PLAN.rounds[-1].blocks[0]
    return block.share_scale * math.sqrt(holders) / block.max_abs


@pytest.mark.parametrize(
    ("cells", "expected"),
    [(0.5, 8), (7.9, 8), (8.1, 8), (9.1, 9), (13.5, 13), (19.5, 19), (20.5, 20), (300, 20)],
)
@pytest.mark.parametrize("holders", [3, 5])
def test_a_cell_holds_twenty_deviations_of_its_noise(cells: float, expected: int, holders: int) -> None:
    # Customers spread evenly over the whole range, as far as whole ones are: edges are even parts of it.
    total = round(cells * 20 * noise(holders))
    following, _ = judged(total // 64 + (np.arange(64) * 5 % 64 < total % 64), holders)
    found = following.arrays[EDGES]
    assert len(found) == expected - 1
    even = [(-8 + 16 * part / expected) * UNIT for part in range(1, expected)]
    assert total < 64 or np.abs(found - even).max() <= UNIT // 2


def test_edges_are_placed_where_the_customers_are() -> None:
    spread = np.zeros(64, dtype=np.int64)
    spread[40:42] = 40_000
    edges = judged(spread)[0].arrays[EDGES] / UNIT
    assert len(edges) == 19
    # 40,000 in each of two quarters from 2.0 and 2.25 on: twenty even parts of both.
    assert edges == pytest.approx(2.0 + 0.5 * np.arange(1, 20) / 20, abs=1e-3)


def test_a_range_of_noise_alone_still_has_edges_that_rise() -> None:
    spread = np.where(np.arange(64) % 2 == 0, -3, 2)
    following, _ = judged(spread)
    edges = following.arrays[EDGES]
    assert 1 <= len(edges) <= 7
    assert np.all(np.diff(edges) > 0)
    assert not refused(following)


def test_the_figures_are_those_of_the_counts_and_their_noise() -> None:
    spread = np.zeros(64, dtype=np.int64)
    spread[16:48] = 400
    following, state = judged(spread)
    edges = following.arrays[EDGES]
    block = PLAN.rounds[-1].blocks[0]
    cells = len(edges) + 1
    negative, positive = np.linspace(900, 300, cells).round(), np.linspace(200, 800, cells).round()
    blocks = {"figures": np.concatenate([negative, positive]).astype(np.int64) * block.max_abs}
    _, found = TASK.step(CONTEXT, state, Aggregate(round=following.round, holders=3, blocks=blocks))
    assert isinstance(found, Evaluated)
    figures = found.figures
    assert figures.noise == pytest.approx(noise())
    assert (figures.customers, figures.positives) == (negative.sum() + positive.sum(), positive.sum())
    assert figures.base_rate is not None
    assert figures.base_rate.value == pytest.approx(positive.sum() / (negative + positive).sum())
    # A cell's predicted rate is the mean of the logistic curve over its part of the range.
    ends = np.concatenate([[-4.0], edges / UNIT, [4.0]])
    middles = 1 / (1 + np.exp(-(ends[1:] + ends[:-1]) / 2))
    assert [cell.predicted for cell in figures.calibration] == pytest.approx(middles, abs=0.01)
    # From the highest scores downwards: the first 5 % of customers are in the top cell.
    assert [cutoff.share for cutoff in figures.cutoffs] == [0.05, 0.1, 0.2]
    width = (edges[-1] - edges[-2]) / UNIT
    expected = [edges[-1] / UNIT + width * (1 - cutoff.share * cells) for cutoff in figures.cutoffs]
    assert [cutoff.score for cutoff in figures.cutoffs] == pytest.approx(expected, abs=0.01)
    assert found.files() == found.model.files()
