"""The evaluation of a model inside its study: what it asks, what it costs, what it finds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.catalogue import task_named
from ringfence.models.evaluation import EDGES, MOST_CELLS, Evaluated, evaluated
from ringfence.models.features import FeatureMatrix
from ringfence.models.metrics.exact import auc, kolmogorov_smirnov
from ringfence.models.scorecard import SCORECARD
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.study import price
from ringfence.privacy.errors import StudyError, WaistError
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import Aggregate, IntVector, Query

TASK = evaluated(SCORECARD)


def with_test(features: FeatureMatrix, seed: int = 3) -> FeatureMatrix:
    return replace(features, is_test=np.random.default_rng(seed).random(len(features.label)) < 0.3)


def judge(
    context: StudyContext, parts: list[FeatureMatrix], *, noisy: bool = True
) -> tuple[object, list[Query]]:
    """The study without masks, and what was asked."""
    plan = TASK.plan(context)
    state, first = TASK.start(context)
    step: object = first
    asked = []
    while isinstance(step, Query):
        asked.append(step)
        lengths = TASK.lengths(context, step)
        total: dict[str, IntVector] = {name: np.zeros(n, dtype=np.int64) for name, n in lengths.items()}
        for part in parts:
            rows = part.part(plan.rounds[step.round].part)
            blocks = TASK.contribute(context, step, rows).blocks
            share = OsNoise().share(plan.rounds[step.round], lengths, plan.honest).blocks
            for name in total:
                total[name] = total[name] + blocks[name] + (share[name] if noisy else 0)
        state, step = TASK.step(context, state, Aggregate(round=step.round, holders=len(parts), blocks=total))
    return step, asked


def parts_of(context: StudyContext, customers: int = 12_000) -> list[FeatureMatrix]:
    whole = with_test(matrix_of(context, frame_of(customers, 5)))
    return [whole.take(rows) for rows in np.array_split(np.arange(customers), 3)]


def exact(context: StudyContext, found: object, parts: list[FeatureMatrix]) -> tuple[float, float]:
    assert isinstance(found, Evaluated)
    tests = [part.test() for part in parts]
    score = np.concatenate([found.model.predict(context, test)["probability"].to_numpy() for test in tests])
    label = np.concatenate([test.label for test in tests])
    return auc(score, label), kolmogorov_smirnov(score, label)


def test_an_evaluation_raises_no_price() -> None:
    context = context_of()
    terms = context.study.privacy
    bare, judged = SCORECARD.plan(context), TASK.plan(context)
    assert [each.part for each in judged.rounds[len(bare.rounds) :]] == ["test", "test"]
    assert judged.mu_squared <= bare.mu_squared * (1 + 1e-6)
    told = price(judged, delta=terms.delta, overlap=context.study.overlap(), noise_form=terms.noise)
    assert Decimal(told.customer_epsilon) <= terms.epsilon


def test_a_study_without_a_test_part_is_not_judged() -> None:
    context = context_of(evaluation={"test_fraction": "0"})
    assert TASK.plan(context) == SCORECARD.plan(context)
    found, asked = judge(context, [matrix_of(context, frame_of(3000))])
    assert not isinstance(found, Evaluated)
    assert len(asked) == len(SCORECARD.plan(context).rounds)


def test_the_figures_are_those_of_the_test_part() -> None:
    context = context_of()
    parts = parts_of(context)
    found, asked = judge(context, parts)
    area, gap = exact(context, found, parts)
    assert isinstance(found, Evaluated)
    figures = found.figures
    assert figures.measurable
    assert figures.auc.low < area < figures.auc.high
    assert figures.ks.low < gap < figures.ks.high
    assert figures.gini.value == pytest.approx(2 * figures.auc.value - 1)
    assert abs(figures.customers - sum(len(part.test().label) for part in parts)) < 200
    assert found.digest() == found.model.digest()
    assert len(asked[-1].arrays[EDGES]) < MOST_CELLS
    cells = TASK.plan(context).rounds[-1].blocks[0]
    deviation = cells.share_scale * len(parts) ** 0.5 / cells.max_abs
    assert figures.noise == pytest.approx(deviation), "the noise of all holders together, in customers"


def test_without_noise_only_the_cells_are_between_it_and_the_exact_figures() -> None:
    context = context_of()
    parts = parts_of(context)
    found, _ = judge(context, parts, noisy=False)
    area, gap = exact(context, found, parts)
    assert isinstance(found, Evaluated)
    assert found.figures.auc.value == pytest.approx(area, abs=0.006)
    assert found.figures.ks.value == pytest.approx(gap, abs=0.03)


def test_one_customer_is_in_one_cell_of_each_histogram_and_sums_are_additive() -> None:
    context = context_of()
    parts = parts_of(context, 600)
    _, asked = judge(context, parts)
    plan = TASK.plan(context)
    rows = parts[0].test()
    for query in asked[-2:]:
        block = plan.rounds[query.round].blocks[0]
        whole = TASK.contribute(context, query, rows).blocks[block.name]
        singles = [
            TASK.contribute(context, query, rows.take(np.array([i]))).blocks[block.name]
            for i in range(len(rows.label))
        ]
        assert all(int(np.sum(one**2)) <= block.sensitivity_squared for one in singles)
        assert np.array_equal(np.sum(singles, axis=0), whole)


def test_whatever_the_edges_a_customer_moves_one_cell() -> None:
    """Edges that wrap around when neighbours are subtracted are refused; a cell depends on its own score
    alone.
    """
    context = context_of()
    parts = parts_of(context, 600)
    _, asked = judge(context, parts)
    block = TASK.plan(context).rounds[asked[-1].round].blocks[0]
    rows = parts[0].test()
    rng = np.random.default_rng(5)
    extremes = np.array([-(2**63), -(2**62), -5, 0, 7, 2**62, 2**63 - 1], dtype=np.int64)
    for _ in range(40):
        edges = rng.choice(extremes, size=6)
        wild = replace(asked[-1], arrays={**asked[-1].arrays, EDGES: edges})
        with pytest.raises(WaistError):
            TASK.lengths(context, wild)
        with pytest.raises(WaistError):
            TASK.contribute(context, wild, rows)
    whole = TASK.contribute(context, asked[-1], rows).blocks[block.name]
    for leave in range(0, len(rows.label), 9):
        rest = TASK.contribute(context, asked[-1], rows.take(np.delete(np.arange(len(rows.label)), leave)))
        assert int(np.sum((whole - rest.blocks[block.name]) ** 2)) <= block.sensitivity_squared


@pytest.mark.parametrize(
    "edges",
    [[], [5, 5], [7, 3], list(range(MOST_CELLS)), [[1, 2]]],
    ids=["none", "equal", "falling", "many", "square"],
)
def test_edges_out_of_rule_are_refused(edges: list[int]) -> None:
    context = context_of()
    _, asked = judge(context, parts_of(context, 600))
    wrong = replace(asked[-1], arrays={**asked[-1].arrays, EDGES: np.array(edges, dtype=np.int64)})
    with pytest.raises(WaistError) as caught:
        TASK.lengths(context, wrong)
    assert caught.value.code == "RF-W055"


def test_a_model_that_is_none_of_the_study_is_refused() -> None:
    context = context_of()
    _, asked = judge(context, parts_of(context, 600))
    wrong = replace(asked[-1], arrays={**asked[-1].arrays, "theta": np.zeros(3, dtype=np.int64)})
    with pytest.raises(WaistError):
        TASK.lengths(context, wrong)


@pytest.mark.parametrize(
    ("noise", "overlap", "refused"), [("local", 2, True), ("local", 1, False), ("distributed", 2, False)]
)
def test_samples_under_local_noise_at_several_holders_are_not_judged(
    noise: str, overlap: int, refused: bool
) -> None:
    """The one mixture of parts that costs more than its dearer one."""
    context = context_of(
        task="mlp",
        privacy={"noise": noise, "epsilon": "4"},
        model={"sampling_rate": "0.05", "rounds": 20},
        holders=3,
    )
    holders = tuple(each.model_copy(update={"overlap": overlap}) for each in context.study.holders)
    context = StudyContext.of(context.study.model_copy(update={"holders": holders}), context.schema)
    task = task_named("mlp")
    if refused:
        with pytest.raises(StudyError) as caught:
            task.plan(context)
        assert caught.value.code == "RF-S057"
    else:
        assert task.plan(context).sampled


def test_a_task_that_scores_nobody_refuses_a_study_that_wants_it_evaluated() -> None:
    """It loads like any other task; a study that keeps a test part is told, and one without is planned."""
    bare = evaluated(replace(SCORECARD, scoring=None))
    with pytest.raises(StudyError, match="RF-S323"):
        bare.plan(context_of())
    without = context_of(evaluation={"test_fraction": "0"})
    assert bare.plan(without) == SCORECARD.plan(without)
