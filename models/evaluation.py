"""Judging a model inside its study: two noisy histograms of test scores, then figures from them.

    score-range     one histogram on a fixed grid of log odds; it places the cells of the next
    score-figures   cells of about equal size, for each label apart

The test customers are none of those the model learnt from, by a public function of their keys, so what they
pay comes beside what the others paid (`StudyPlan`, parallel composition): the evaluation may spend as much as
the training did and raises no price. A study with test_fraction = 0 has no evaluation.

`evaluated` makes of a task one that ends with it; the task lends its scoring and is not touched otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.metrics.noisy import NoisyFigures, figures
from ringfence.models.task import Released, Result, Scoring, State, StudyContext, Task, require_fitting
from ringfence.privacy.accounting.scales import grid_unit, share_scale
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.errors import N_, Clause, StudyError, WaistError
from ringfence.privacy.release.artefact import ResultFile
from ringfence.privacy.waist import Aggregate, BlockPlan, Contribution, Query, RoundPlan, StudyPlan

SCORE_BITS = 16
RANGE_CELLS = 64
# The grid of the first histogram: log odds from -8 to 8; what lies outside is counted at its ends.
RANGE_LIMIT = 8
RANGE_SHARE = 0.2
MOST_CELLS = 20
FEWEST_CELLS = 8
# A cell shall hold this many standard deviations of its noise, both labels together.
CLEARANCE = 20.0
EDGES = "score_edges"
LARGEST_EDGE = 1 << 32
# What rounding in `share_scale` may take is left unspent.
_MARGIN = 1e-9

Model = TypeVar("Model", bound=Released)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Generic[Model]):
    """A model and what its study found of its quality."""

    model: Model
    figures: NoisyFigures

    def digest(self) -> str:
        """The model's own digest."""
        return self.model.digest()

    def files(self) -> tuple[ResultFile, ...]:
        """The model's own files."""
        return self.model.files()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationState(Generic[State, Result]):
    """The task's own state; after its end the model, and then the noisy range of its scores."""

    training: State
    model: Result | None = None
    spread: npt.NDArray[np.float64] | None = None


def evaluated(task: Task[State, Result]) -> Task[EvaluationState[State, Result], Result | Evaluated[Result]]:
    """The same task with an evaluation at its end, for studies that keep a test part.

    A task whose result scores nobody has none; its plan refuses a study that asks for one.
    """
    if task.scoring is None:
        bare: Task[Any, Any] = task
        return replace(bare, plan=partial(_unevaluated, task))
    both = _WithEvaluation(task=task, scoring=task.scoring)
    return Task(
        name=task.name,
        plan=both.plan,
        lengths=both.lengths,
        contribute=both.contribute,
        start=both.start,
        step=both.step,
        train_locally=task.train_locally,
        personal=task.personal,
        so_far=both.so_far,
        labelled=task.labelled,
        reads_inputs=task.reads_inputs,
        measured=task.measured,
        template=task.template,
        outlook=task.outlook,
    )


def _unevaluated(task: Task[Any, Any], context: StudyContext) -> StudyPlan:
    """The plan of a task without an evaluation.

    Raises:
        StudyError: RF-S323 the study asks for one; its label or its inputs do not fit the task.
    """
    require_fitting(task, context)
    if _wanted(context):
        raise StudyError(
            "RF-S323",
            N_(
                "The task {task} scores no customers, so nothing can be evaluated on a test part; set "
                "test_fraction = 0 in [evaluation]."
            ),
            task=task.name,
        )
    return task.plan(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithEvaluation(Generic[State, Result]):
    """The functions of a task that ends with an evaluation; each hands the task's own rounds to the task."""

    task: Task[State, Result]
    scoring: Scoring[Result]

    def plan(self, context: StudyContext) -> StudyPlan:
        require_fitting(self.task, context)
        bare = self.task.plan(context)
        if not _wanted(context):
            return bare
        _refuse_mixture(context, bare)
        return replace(bare, rounds=(*bare.rounds, *_rounds(context, bare)))

    def lengths(self, context: StudyContext, query: Query) -> Mapping[str, int]:
        stage = _stage(context, self.task, query)
        if stage is None:
            return self.task.lengths(context, query)
        own = {name: array for name, array in query.arrays.items() if name != EDGES}
        self.scoring.check(context, replace(query, arrays=own))
        if stage == 0:
            _expect(EDGES not in query.arrays, N_("the range of scores has no edges"))
            return {"scores": RANGE_CELLS}
        return {"figures": 2 * (len(_edges(query)) + 1)}

    def contribute(self, context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
        stage = _stage(context, self.task, query)
        if stage is None:
            return self.task.contribute(context, query, features)
        scores = self.scoring.scores(context, query, features)
        unit = _rounds(context, self.task.plan(context))[stage].blocks[0].max_abs
        if stage == 0:
            counts = np.bincount(_range_cells(scores), minlength=RANGE_CELLS)
            blocks = {"scores": counts.astype(np.int64) * unit}
        else:
            edges = _edges(query)
            # Edge by edge, so that a customer's cell depends on its own score whatever the edges are; a
            # search by halves remembers its last key.
            cell = sum((scores >= edge).astype(np.int64) for edge in edges) + features.label.astype(
                np.int64
            ) * (len(edges) + 1)
            blocks = {"figures": np.bincount(cell, minlength=2 * (len(edges) + 1)).astype(np.int64) * unit}
        return Contribution(query_digest=query.digest(), blocks=blocks)

    def start(self, context: StudyContext) -> tuple[EvaluationState[State, Result], Query]:
        state, query = self.task.start(context)
        return EvaluationState(training=state), query

    def step(
        self, context: StudyContext, state: EvaluationState[State, Result], aggregate: Aggregate
    ) -> tuple[EvaluationState[State, Result], Query | Result | Evaluated[Result]]:
        if state.model is None:
            training, answer = self.task.step(context, state.training, aggregate)
            state = replace(state, training=training)
            if isinstance(answer, Query) or not _wanted(context):
                return state, answer
            arrays = self.scoring.arrays(answer)
            asked = len(self.task.plan(context).rounds)
            return replace(state, model=answer), Query(task=self.task.name, round=asked, arrays=arrays)
        return self._judge(context, state, state.model, aggregate)

    def _judge(
        self,
        context: StudyContext,
        state: EvaluationState[State, Result],
        model: Result,
        aggregate: Aggregate,
    ) -> tuple[EvaluationState[State, Result], Query | Evaluated[Result]]:
        """From the noisy range of scores to the cells to ask for, and from those to the figures."""
        bare = self.task.plan(context)
        block = _rounds(context, bare)[aggregate.round - len(bare.rounds)].blocks[0]
        counts = aggregate.blocks[block.name] / block.max_abs
        noise = block.share_scale * np.sqrt(aggregate.holders) / block.max_abs
        if state.spread is None:
            arrays = {**self.scoring.arrays(model), EDGES: _cells(context, bare, counts, aggregate.holders)}
            query = Query(task=self.task.name, round=aggregate.round + 1, arrays=arrays)
            return replace(state, spread=counts), query
        negative, positive = np.split(counts, 2)
        edges = _cells(context, bare, state.spread, aggregate.holders)
        predicted = _predicted(state.spread, edges)
        found = figures(negative, positive, predicted, float(noise), edges / 2**SCORE_BITS)
        return state, Evaluated(model=model, figures=found)

    def so_far(self, context: StudyContext, state: EvaluationState[State, Result]) -> Result | None:
        if state.model is not None or self.task.so_far is None:
            return state.model
        return self.task.so_far(context, state.training)


def _wanted(context: StudyContext) -> bool:
    return context.study.evaluation.test_fraction > 0


def _refuse_mixture(context: StudyContext, bare: StudyPlan) -> None:
    """Refuse the one kind of study whose parts cost more together than apart.

    A person with different keys at two holders may be in the training part of one and the test part of the
    other. Gaussian prices bear that (`j^2 + (k-j)^2 <= k^2`, and `j + (k-j) = k` under local noise), and so
    do samples under one summed noise. Under local noise, samples at one holder and a whole Gaussian at
    another cost more than either k times: epsilon 4 became 4.29 for k = 2, rate 1/100 and 10 steps.

    Raises:
        StudyError: the study is of that kind.
    """
    terms = context.study.privacy
    if bare.sampled and terms.noise == "local" and context.study.overlap() > 1:
        raise StudyError(
            "RF-S057",
            N_(
                "A study that samples customers under local noise, with customers at several holders, cannot "
                "keep a test "
                'part: set test_fraction = 0, sampling_rate = 1, noise = "distributed", or an overlap of 1.'
            ),
        )


def _stage(context: StudyContext, task: Task[Any, Any], query: Query) -> int | None:
    """Which round of the evaluation a query is of, or None for one of the task's own."""
    own = len(task.plan(context).rounds)
    return query.round - own if _wanted(context) and query.round >= own else None


def _rounds(context: StudyContext, bare: StudyPlan) -> tuple[RoundPlan, RoundPlan]:
    """The two rounds, at what the cohort count leaves of the study's price."""
    terms = context.study.privacy
    mu = calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise)
    left = (mu**2 - bare.cohort.mu_squared(1)) * (1 - _MARGIN)
    return (
        RoundPlan(
            name="score-range", blocks=(_block("scores", RANGE_SHARE * left, bare, RANGE_CELLS),), part="test"
        ),
        RoundPlan(
            name="score-figures",
            blocks=(_block("figures", (1 - RANGE_SHARE) * left, bare, 2 * MOST_CELLS),),
            part="test",
        ),
    )


def _block(name: str, mu_squared: float, bare: StudyPlan, length: int) -> BlockPlan:
    """Counts of customers: each is in one cell."""
    unit = grid_unit((1.0 / (mu_squared * bare.honest)) ** 0.5)
    scale = share_scale(unit**2, mu_squared, bare.honest)
    return BlockPlan(
        name=name, sensitivity_squared=unit**2, max_abs=unit, share_scale=scale, max_length=length
    )


def _range_cells(scores: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    width = (2 * RANGE_LIMIT << SCORE_BITS) // RANGE_CELLS
    return np.asarray(np.clip((scores + (RANGE_LIMIT << SCORE_BITS)) // width, 0, RANGE_CELLS - 1))


def _cells(
    context: StudyContext, bare: StudyPlan, spread: npt.NDArray[np.float64], holders: int
) -> npt.NDArray[np.int64]:
    """Edges between cells of about equal size, in 2^-16 log odds, from the noisy range of scores."""
    block = _rounds(context, bare)[1].blocks[0]
    noise = block.share_scale * np.sqrt(holders) / block.max_abs
    total = max(0.0, float(spread.sum()))
    wanted = int(np.clip(total / (CLEARANCE * noise), FEWEST_CELLS, MOST_CELLS))
    return np.unique(
        np.rint(_quantiles(spread, np.arange(1, wanted) / wanted) * 2**SCORE_BITS).astype(np.int64)
    )


def _quantiles(spread: npt.NDArray[np.float64], parts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log odds below which such a part of the customers is."""
    # A cumulative curve must rise; a little everywhere keeps it invertible where noise hides the customers.
    rising = np.maximum.accumulate(np.concatenate([[0.0], np.cumsum(spread)]))
    rising = rising + np.linspace(0.0, 1e-6 * max(1.0, rising[-1]), len(rising))
    grid = np.linspace(-RANGE_LIMIT, RANGE_LIMIT, RANGE_CELLS + 1)
    return np.asarray(np.interp(rising[-1] * parts, rising, grid))


def _predicted(spread: npt.NDArray[np.float64], edges: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean probability in each cell, weighted by the noisy range of scores."""
    grid = np.linspace(-RANGE_LIMIT, RANGE_LIMIT, RANGE_CELLS * 8 + 1)
    middle = (grid[:-1] + grid[1:]) / 2
    weight = np.maximum(np.repeat(spread, 8), 1e-3 * max(1.0, float(np.abs(spread).max())))
    cell = np.searchsorted(edges / 2**SCORE_BITS, middle, side="right")
    probability = 1.0 / (1.0 + np.exp(-middle))
    mass = np.bincount(cell, weights=weight, minlength=len(edges) + 1)
    summed = np.bincount(cell, weights=weight * probability, minlength=len(edges) + 1)
    between = np.concatenate([[-RANGE_LIMIT], edges / 2**SCORE_BITS, [RANGE_LIMIT]])
    fallback = 1.0 / (1.0 + np.exp(-(between[:-1] + between[1:]) / 2))
    return np.where(mass > 0, summed / np.where(mass > 0, mass, 1.0), fallback)


def _edges(query: Query) -> npt.NDArray[np.int64]:
    edges = query.arrays.get(EDGES)
    _expect(edges is not None, N_("the figures need edges"))
    assert edges is not None  # for the type checker; _expect has refused otherwise
    _expect(edges.ndim == 1 and 1 <= len(edges) <= MOST_CELLS - 1, N_("there are 1 to 19 edges"))
    inside = (edges >= -LARGEST_EDGE) & (edges <= LARGEST_EDGE)
    # Neighbours are compared, not subtracted: differences of 64 bits wrap around.
    _expect(bool(np.all(inside) and np.all(edges[1:] > edges[:-1])), N_("edges are scores and rise"))
    return edges


def _expect(condition: bool, rule: str) -> None:
    if not condition:
        raise WaistError(
            "RF-W055",
            N_("A query for an evaluation was refused before any row was read: the rule is that {rule}."),
            rule=Clause(rule),
        )
