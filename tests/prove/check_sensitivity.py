"""What one customer can move, in exact integers: for each task, and from the file on.

`worst` lets hypothesis look for a lawful query and a customer that move a block beyond the declared L2 or the
largest entry, and for an order or batching in which a table is not the sum of its customers, bit for bit.
`from_files` adds one customer, with several rows, at the head of a holder's file and runs the whole study
both times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kits.small import frame_of
from prove.cases import CASES, SCORECARD, Case, Exact
from prove.finding import Finding
from prove.probe import Probe, World, asked

from ringfence.models.features import FeatureMatrix
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import Query, StudyPlan

EXAMPLES = 40
ROWS_BETWEEN = 3


class _Refuted(Exception):
    """An example beyond a bound."""


def worst(cases: tuple[Case, ...] = CASES) -> Finding:
    """Hostile queries and neighbouring tables for every task."""
    closest = 0.0
    for case in cases:
        try:
            closest = max(closest, _of_task(case))
        except _Refuted as example:
            return Finding(
                evidence=f"{case.name}: {example}", bound="declared L2, L-infinity, additivity", holds=False
            )
    names = ", ".join(case.name for case in cases)
    return Finding(
        evidence=f"{names}: {EXAMPLES} examples a task, the closest at {closest:.4f} of the declared L2; "
        "tables are sums",
        bound="at most 1; equal bit for bit",
        holds=0.9 < closest <= 1,
    )


def _wide(case: Case) -> StudyContext:
    """The case's study over all features, with a test part where its task has one."""
    if not case.task.labelled:
        return case.context()
    wide = {} if case.periods else {"features": ["age", "spend", "plan", "active"]}
    return case.context(evaluation={"test_fraction": "0.2"}, **wide)


def _of_task(case: Case) -> float:
    """The largest part of a declared L2 that any example reached."""
    context = _wide(case)
    features = case.customers(context, 120)
    plan, task = case.task.plan(context), case.task
    lawful = asked(task, context, features)
    hostile = [case.hostile(context, query) for query in lawful]
    lawful += hostile + case.more(context, hostile)
    exact: Exact = case.exact or (lambda *given: task.contribute(*given).blocks)
    largest = [0.0]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(lawful), st.booleans(), st.integers(0, 119), st.integers(0, 2**32 - 1))
    def look(query: Query, vary: bool, row: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        compare(case.varied(context, query, rng) if vary else query, row, rng)

    def within(query: Query, everybody: FeatureMatrix, others: FeatureMatrix) -> None:
        """Two tables that differ by one customer differ by no more than is declared."""
        whole = task.contribute(context, query, everybody).blocks
        rest = task.contribute(context, query, others).blocks
        for block in plan.rounds[query.round].blocks:
            difference = whole[block.name] - rest[block.name]
            # Python's integers: a mutant's squares may not fit 64 bits.
            square, most = (
                sum(entry * entry for entry in difference.tolist()),
                int(np.abs(difference).max(initial=0)),
            )
            if square > block.sensitivity_squared or most > block.max_abs:
                raise _Refuted(
                    f"{block.name} moved by {square**0.5:.1f}, declared {block.sensitivity_squared**0.5:.1f}"
                )
            largest[0] = max(largest[0], (square / block.sensitivity_squared) ** 0.5)

    def compare(query: Query, row: int, rng: np.random.Generator) -> None:
        task.lengths(context, query)
        within(query, features, features.take(np.delete(np.arange(120), row)))
        pieces = [np.array([row]), *np.array_split(rng.permutation(np.delete(np.arange(120), row)), 4)]
        parts = [exact(context, query, features.take(piece)) for piece in pieces]
        for name, values in exact(context, query, features).items():
            if not np.array_equal(values, sum(part[name] for part in parts)):
                raise _Refuted(f"{name} of a table is not the sum over its customers")

    # Every query, with many customers who stand alone: what the search meets is left to chance, and the
    # edges of bins are too (they come from noisy counts), so no few customers would do.
    nobody = features.take(np.array([], dtype=np.int64))
    for number, query in enumerate(lawful):
        compare(query, number, np.random.default_rng(number))
        for row in range(0, 120, ROWS_BETWEEN):
            within(query, features.take(np.array([row])), nobody)
    look()
    return largest[0]


def from_files() -> Finding:
    """One more customer in a file, all the way to the integers that meet the noise."""
    study = {**SCORECARD.study, "evaluation": {"test_fraction": "0.5"}, "model": {"iterations": 2}}
    case = replace(SCORECARD, study=study)
    context = case.context()
    queries = case.queries(context)
    # Three rows with one key; the same customer's other values must not count.
    rows = pd.concat([case.worst(context, queries), frame_of(2, seed=3)], ignore_index=True)
    plan, base = _exact(study, case, queries, {})
    _, found = _exact(study, case, queries, {"bank": rows.assign(key="victim")})
    change, parts = _largest(plan, base, found)
    return Finding(
        evidence=f"a customer with three rows at the head of a file moves {change:.3f} of a declared L2, in "
        f"{len(parts)} part",
        bound="at most 1, more than half; train or test, not both",
        holds=0.5 < change <= 1 and len(parts) == 1,
    )


def _exact(
    study: Mapping[str, Any], case: Case, queries: list[Query], extra: Mapping[str, pd.DataFrame]
) -> tuple[StudyPlan, list[tuple[int, Mapping[str, Any]]]]:
    probe = Probe(task=case.task, queries=queries)
    parties = World(study=study, extra=extra).run(probe)
    return parties.federation.opened.plan, probe.exact


def _largest(plan: StudyPlan, before: list[Any], after: list[Any]) -> tuple[float, set[str]]:
    """The largest part of a declared L2 by which any holder's block differs, and the parts in which one
    does.
    """
    largest, parts = 0.0, set()
    for (index, left), (_, right) in zip(before, after, strict=True):
        for block in plan.rounds[index].blocks:
            square = int(((left[block.name] - right[block.name]) ** 2).sum())
            largest = max(largest, (square / block.sensitivity_squared) ** 0.5)
            parts |= {plan.rounds[index].part} if square else set()
    return largest, parts
