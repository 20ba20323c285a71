"""How accurate one budgeted release of ten questions is, beside OpenDP releasing each question by itself.

    python -m ringfence.simulations.benchmarks.statistics --draws 200 --json out/bench/statistics.json

Both see the Telco table in one place and spend the same epsilon and delta on a customer, added or removed.
OpenDP's budget is what its own accountant of zero-concentrated privacy prices at that epsilon and delta; it
is shared equally among the questions, and noise has the law of its Gaussian. Ours is shared by optimal
allocation and, in a second run, equally. An error is a root mean square over draws and lines, as a part of
what the answer is about: an average line's customers, half the range of values, all ranks. OpenDP's quantiles
are chosen by the exponential mechanism, which no sum over holders can do: it needs all rows in one place.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.models.edges import NUMBER_CELLS
from ringfence.models.features import FeatureMatrix, encode_rows
from ringfence.models.statistics import STATISTICS
from ringfence.models.statistics.counts import COUNTS
from ringfence.models.statistics.inquiry import BlockSum
from ringfence.models.statistics.means import VALUES
from ringfence.models.statistics.plan import AskedQuestion, asked_questions
from ringfence.models.statistics.quantiles import TREE, consistent
from ringfence.models.task import StudyContext
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import Query
from ringfence.simulations.benchmarks.peers import require
from ringfence.simulations.benchmarks.subjects import Subject, subject
from ringfence.simulations.reference import central
from ringfence.simulations.unsplit_rows import UnsplitRows

Floats = npt.NDArray[np.float64]
Errors = Callable[[], dict[str, Floats]]

QUESTIONS = (
    "count",
    "count by contract, internet_service",
    "count by payment_method",
    "histogram of tenure in 16",
    "histogram of monthly_charges in 16",
    "mean of monthly_charges",
    "mean of total_charges",
    "sum of tenure",
    "quantiles of monthly_charges at 25, 50, 75",
    "quantiles of total_charges at 25, 50, 75",
)
EPSILON, DELTA = "1", "0.000001"
_QUERY = Query(task="statistics", round=0)


def main() -> int:
    """Entry point."""
    return run(command, program="benchmark-statistics")


def command(argv: Sequence[str]) -> int:
    """Parse, measure, print."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.statistics",
        description="Ten questions in one release, beside OpenDP answering each by itself.",
    )
    parser.add_argument("--draws", type=int, default=100, help="draws of noise (default: 100)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    found = measure(arguments.draws)
    terminal.say(f"{'question':50} {'OpenDP':>9} {'equal':>9} {'optimal':>9}")
    for question, errors in found["errors"].items():
        figures = " ".join(f"{errors[name]:9.4%}" for name in ("opendp", "equal", "optimal"))
        terminal.say(f"{question:50} {figures}")
    terminal.say(f"{'sum of all':50} " + " ".join(f"{value:9.4%}" for value in found["sums"].values()))
    terminal.write_json(found)
    return 0


def measure(draws: int) -> dict[str, Any]:
    """Errors of each question under OpenDP, equal shares and optimal ones.

    Raises:
        UsageError: OpenDP is not installed, or the table is not at hand.
    """
    require("opendp")
    table = subject("telco")
    optimal, equal = _context(table), _context(table, shares=["1"] * len(QUESTIONS))
    rows = encode_rows(
        UnsplitRows(table.frame),
        table.schema,
        optimal.study.features or (),
        None,
        None,
        STATISTICS.measured(optimal),
    )
    kinds: dict[str, Errors] = {
        "opendp": lambda: _peer(optimal, rows, rng),
        "equal": lambda: _ours(equal, rows),
        "optimal": lambda: _ours(optimal, rows),
    }
    rng = np.random.default_rng()
    errors: dict[str, dict[str, float]] = {question: {} for question in QUESTIONS}
    for name, once in kinds.items():
        squares: dict[str, list[float]] = {question: [] for question in QUESTIONS}
        for _ in range(draws):
            for question, off in once().items():
                squares[question].append(float(np.mean(off**2)))
        for question, found in squares.items():
            errors[question][name] = math.sqrt(float(np.mean(found)))
    sums = {name: sum(each[name] for each in errors.values()) for name in kinds}
    return {"epsilon": EPSILON, "delta": DELTA, "draws": draws, "errors": errors, "sums": sums}


def _context(table: Subject, **model: Any) -> StudyContext:
    """The study, for one party whose own noise is all there is."""
    named = [name for name in table.schema.names if any(name in question for question in QUESTIONS)]
    data = table.study.model_dump(by_alias=True) | {
        "task": "statistics",
        "label": None,
        "positive": None,
        "features": named,
        "model": {"questions": list(QUESTIONS), **model},
        "evaluation": {"test_fraction": 0},
        "privacy": {
            "epsilon": EPSILON,
            "delta": DELTA,
            "noise": "distributed",
            "min_holders": 3,
        },
        "schema": table.schema.digest(),
        "holders": [
            {"name": f"h{n}", "key": f"{n:064x}", "max_customers": 10_000, "overlap": 1} for n in range(3)
        ],
    }
    return central(StudyContext.of(type(table.study).model_validate(data), table.schema))


def _ours(context: StudyContext, rows: FeatureMatrix) -> dict[str, Floats]:
    """One release of all questions; its errors."""
    plan = STATISTICS.plan(context)
    share = OsNoise().share(plan.rounds[0], dict(STATISTICS.lengths(context, _QUERY)), 1).blocks
    exact = STATISTICS.contribute(context, _QUERY, rows).blocks
    found = {}
    for question in asked_questions(context):
        sums = {}
        for each in question.blocks:
            unit = float(1 << each.bits)
            values = (exact[each.name] + share[each.name]) / unit
            sums[each.shape.part] = BlockSum(values=values, deviation=0.0, rounding=0.0)
        found[question.inquiry.question.text] = _off(question, sums, rows)
    return found


def _off(question: AskedQuestion, sums: dict[str, BlockSum], rows: FeatureMatrix) -> Floats:
    """The errors of one answer, from noisy sums of any origin."""
    asked, inquiry = question.inquiry.question, question.inquiry
    bits = question.bits
    exact = question.method.contribute(inquiry, bits, rows)
    truth = {part: values / float(1 << bits[part]) for part, values in exact.items()}
    match asked.kind:
        case "mean":
            told = np.clip(sums[VALUES].values / np.maximum(sums[COUNTS].values, 1.0), -1.0, 1.0)
            return np.asarray(told - truth[VALUES] / truth[COUNTS])
        case "sum":
            low, high = inquiry.context.schema.feature(asked.of[0]).limits
            middle, half = (low + high) / 2.0, (high - low) / 2.0
            off = middle * (sums[COUNTS].values - truth[COUNTS]) + half * (
                sums[VALUES].values - truth[VALUES]
            )
            return np.asarray(off / (half * truth[COUNTS]))
        case "quantiles":
            below = np.cumsum(consistent(sums[TREE].values))
            return _rank_errors(question, below, np.cumsum(consistent(truth[TREE])))
        case _:
            return np.asarray((sums[COUNTS].values - truth[COUNTS]) / truth[COUNTS].mean())


def _rank_errors(question: AskedQuestion, below: Floats, truth: Floats) -> Floats:
    """By how much the rank of each quantile that is read from a noisy curve is off, as a part of all."""
    rising = np.maximum.accumulate(below)
    found = []
    for percent in question.inquiry.question.percents:
        part = float(percent) / 100.0
        cell = min(int(np.searchsorted(rising, part * rising[-1])), len(truth) - 1)
        found.append(_rank_error(truth, cell, part))
    return np.array(found)


def _rank_error(truth: Floats, cell: int, part: float) -> float:
    """A cell holds ranks from its lower to its upper end; within them an answer is as good as can be."""
    low, high = (float(truth[cell - 1]) if cell else 0.0), float(truth[cell])
    whole = float(truth[-1])
    return max(0.0, low / whole - part, part - high / whole)


def _peer(context: StudyContext, rows: FeatureMatrix, rng: np.random.Generator) -> dict[str, Floats]:
    """Each question by itself, with an equal part of OpenDP's budget."""
    rho = _zero_concentrated(float(EPSILON), float(DELTA)) / len(QUESTIONS)
    found = {}
    for question in asked_questions(context):
        kind, inquiry = question.inquiry.question.kind, question.inquiry
        exact = question.method.contribute(inquiry, question.bits, rows)
        truth = {part: values / float(1 << question.bits[part]) for part, values in exact.items()}
        if kind == "quantiles":
            off = _peer_quantiles(question, truth[TREE], rho, rng)
        elif kind in ("mean", "sum"):
            off = _peer_sums(question, truth, rho, rng)
        else:
            off = rng.normal(0.0, _scale(rho), len(truth[COUNTS])) / truth[COUNTS].mean()
        found[inquiry.question.text] = off
    return found


def _scale(rho: float, sensitivity: float = 1.0) -> float:
    """Of a Gaussian that costs rho (Bun, Steinke 2016)."""
    return sensitivity / math.sqrt(2.0 * rho)


def _zero_concentrated(epsilon: float, delta: float) -> float:
    """The most rho that OpenDP's accountant prices at epsilon and delta."""
    dp: Any = import_module("opendp.prelude")  # it declares no names for type checkers
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")

    def price(scale: float) -> float:
        one = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=scale))
        return float(one.map(1.0).epsilon(delta))

    low, high = 0.1, 1000.0
    for _ in range(50):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if price(middle) <= epsilon else (middle, high)
    return 1.0 / (2.0 * high**2)


def _peer_sums(
    question: AskedQuestion, truth: dict[str, Floats], rho: float, rng: np.random.Generator
) -> Floats:
    """A sum of clamped values, which one customer moves by the larger bound; and a count for a mean."""
    asked = question.inquiry.question
    low, high = question.inquiry.context.schema.feature(asked.of[0]).limits
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    count = truth[COUNTS]
    total = middle * count + half * truth[VALUES]
    part = 0.5 if asked.kind == "mean" else 1.0
    noisy = total + rng.normal(0.0, _scale(rho * part, max(abs(low), abs(high))), len(total))
    if asked.kind == "sum":
        return np.asarray((noisy - total) / (half * count))
    counted = np.maximum(count + rng.normal(0.0, _scale(rho * part), len(count)), 1.0)
    return np.asarray((np.clip(noisy / counted, low, high) - total / count) / half)


def _peer_quantiles(question: AskedQuestion, tree: Floats, rho: float, rng: np.random.Generator) -> Floats:
    """A cell for each percentage by the exponential mechanism, which needs the rows in one place.

    It is eps^2 / 8 zero-concentrated (Cesar, Rogers 2021); one customer changes a score by at most one.
    """
    truth = np.cumsum(tree[-NUMBER_CELLS:])
    percents = question.inquiry.question.percents
    epsilon = math.sqrt(8.0 * rho / len(percents))
    found = []
    for percent in percents:
        part = float(percent) / 100.0
        score = -np.abs(truth - part * truth[-1])
        cell = int(np.argmax(score + rng.gumbel(0.0, 2.0 / epsilon, len(score))))
        found.append(_rank_error(truth, cell, part))
    return np.array(found)


if __name__ == "__main__":
    sys.exit(main())
