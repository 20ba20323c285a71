"""What one customer can move, in exact integers: for each task, and from the file on.

`worst` lets hypothesis look for a lawful query and a customer that move a block beyond the declared L2 or the largest
entry, and for an order or batching in which a table is not the sum of its customers, bit for bit. `from_files` adds
one customer, with several rows, at the head of a holder's file and runs the whole study both times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prove.cases import CASES, SCORECARD, Case
from prove.finding import Finding
from prove.probe import Probe, World, asked
from small import frame_of, matrix_of

from ringfence.models.features import FeatureMatrix
from ringfence.privacy.waist import Query, StudyPlan

EXAMPLES = 40


class _Refuted(Exception):
    """An example beyond a bound."""


def worst(cases: tuple[Case, ...] = CASES) -> Finding:
    """Hostile queries and neighbouring tables for every task."""
    closest = 0.0
    for case in cases:
        try:
            closest = max(closest, _of_task(case))
        except _Refuted as example:
            return Finding(evidence=f"{case.name}: {example}", bound="declared L2, L-infinity, additivity", holds=False)
    names = ", ".join(case.name for case in cases)
    return Finding(
        evidence=f"{names}: {EXAMPLES} examples a task, the closest at {closest:.4f} of the declared L2; tables are sums",
        bound="at most 1; equal bit for bit",
        holds=0.9 < closest <= 1,
    )


def _of_task(case: Case) -> float:
    """The largest part of a declared L2 that any example reached."""
    context = case.context(features=["age", "spend", "plan", "active"])
    features = matrix_of(context, frame_of(120))
    plan, task = case.task.plan(context), case.task
    lawful = asked(task, context, features)
    largest = [0.0]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(lawful), st.integers(0, 119), st.integers(0, 2**32 - 1), st.sampled_from([8, 16, 20, 31]))
    def look(query: Query, row: int, seed: int, bits: int) -> None:
        query = _varied(query, seed, bits)
        task.lengths(context, query)
        everybody = task.contribute(context, query, features).blocks
        others = task.contribute(context, query, features.take(np.delete(np.arange(120), row))).blocks
        alone = task.contribute(context, query, features.take(np.array([row]))).blocks
        for block in plan.rounds[query.round].blocks:
            difference = everybody[block.name] - others[block.name]
            square, most = int((difference**2).sum()), int(np.abs(difference).max(initial=0))
            if square > block.sensitivity_squared or most > block.max_abs:
                raise _Refuted(f"{block.name} moved by {square**0.5:.1f}, declared {block.sensitivity_squared**0.5:.1f}")
            if not np.array_equal(difference, alone[block.name]):
                raise _Refuted(f"{block.name} of a table is not the sum over its customers")
            largest[0] = max(largest[0], (square / block.sensitivity_squared) ** 0.5)
        _batches(task, context, query, features, everybody, seed)

    look()
    return largest[0]


def _batches(task: Any, context: Any, query: Query, features: FeatureMatrix, whole: Mapping[str, Any], seed: int) -> None:
    """The same table in another order and in pieces."""
    rng = np.random.default_rng(seed)
    parts = np.array_split(rng.permutation(len(features.label)), 5)
    pieces = [task.contribute(context, query, features.take(part)).blocks for part in parts]
    for name, values in whole.items():
        if not np.array_equal(values, sum(piece[name] for piece in pieces)):
            raise _Refuted(f"{name} depends on order or batching")


def _varied(query: Query, seed: int, bits: int) -> Query:
    """The query with random parameters of a size; other arrays stay lawful as they are."""
    if "theta" not in query.arrays:
        return query
    rng, limit = np.random.default_rng(seed), 2**bits - 1
    theta = rng.integers(-limit, limit, query.arrays["theta"].shape, endpoint=True)
    return replace(query, arrays={**query.arrays, "theta": theta})


def from_files() -> Finding:
    """One more customer in a file, all the way to the integers that meet the noise."""
    study = {**SCORECARD.study, "evaluation": {"test_fraction": "0.5"}, "model": {"iterations": 2}}
    case = replace(SCORECARD, study=study)
    context = case.context()
    queries = case.queries(context)
    victim = case.worst(context, queries)
    plan, base = _exact(study, case, queries, {})
    for attempt in range(12):
        # Three rows with one key; the same customer's other values must not count.
        rows = pd.concat([victim, frame_of(2, seed=3)], ignore_index=True).assign(key=f"victim-{attempt}")
        _, found = _exact(study, case, queries, {"bank": rows})
        change = _largest(plan, base, found)
        if change > 0:
            break
    return Finding(
        evidence=f"a customer with three rows at the head of a file moves at most {change:.3f} of a declared L2",
        bound="at most 1, and more than half",
        holds=0.5 < change <= 1,
    )


def _exact(
    study: Mapping[str, Any], case: Case, queries: list[Query], extra: Mapping[str, pd.DataFrame]
) -> tuple[StudyPlan, list[tuple[int, Mapping[str, Any]]]]:
    probe = Probe(task=case.task, queries=queries)
    parties = World(study=study, extra=extra).run(probe)
    return parties.federation.opened.plan, probe.exact


def _largest(plan: StudyPlan, before: list[Any], after: list[Any]) -> float:
    """The largest part of a declared L2 by which any holder's block differs."""
    part = 0.0
    for (index, left), (_, right) in zip(before, after, strict=True):
        for block in plan.rounds[index].blocks:
            square = int(((left[block.name] - right[block.name]) ** 2).sum())
            part = max(part, (square / block.sensitivity_squared) ** 0.5)
    return part
