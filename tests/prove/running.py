"""Runs claims and mutants over processes and puts what came of them into one table."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal

from prove.claims import CLAIMS, claim_named
from prove.finding import Finding
from prove.mutants import MUTANTS
from prove.mutation import Mutant, applied

WIDTHS = (46, 58, 30, 9)
HEAD = ("claim", "evidence", "bound", "verdict")
# The longest go first, so that no process is left with one of them alone at the end.
SLOW = (
    "releases-mlp",
    "releases-scorecard",
    "releases-lstm",
    "crashes",
    "canary",
    "canary-network",
    "sensitivity",
    "canary-overlap",
    "canary-local",
    "sampling",
    "files",
    "law",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a check: on the product as it is, or on a mutant of it."""

    kind: Literal["claim", "mutant"]
    name: str

    @property
    def claim(self) -> str:
        """Whose check is run."""
        return self.name if self.kind == "claim" else mutant_named(self.name).claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of a check gave: a finding, or why there is none."""

    task: Task
    finding: Finding | None
    fault: str
    seconds: float

    @property
    def good(self) -> bool:
        """A claim holds; a mutant's claim does not."""
        return self.finding is not None and self.finding.holds == (self.task.kind == "claim")


def mutant_named(name: str) -> Mutant:
    """Look a mutant up."""
    return next(mutant for mutant in MUTANTS if mutant.name == name)


def examine(task: Task) -> Outcome:
    """Run one check here."""
    started, finding, fault = time.perf_counter(), None, ""
    try:
        if task.kind == "claim":
            finding = claim_named(task.name).check()
        else:
            with applied(mutant_named(task.name)):
                finding = claim_named(task.claim).check()
    except Exception as error:  # a check that breaks proves nothing, in either direction
        notes = " ".join(getattr(error, "__notes__", []))
        fault = f"{type(error).__name__}: {error} {notes}".strip()
    return Outcome(task=task, finding=finding, fault=fault, seconds=time.perf_counter() - started)


def tasks(names: Sequence[str] = ()) -> list[Task]:
    """All claims and mutants, or the claims of these names and their mutants, the longest first."""
    found = [Task(kind="claim", name=claim.name) for claim in CLAIMS]
    found += [Task(kind="mutant", name=mutant.name) for mutant in MUTANTS]
    if names:
        found = [task for task in found if task.claim in names]
    rank = {name: number for number, name in enumerate(SLOW)}
    return sorted(found, key=lambda task: rank.get(task.claim, len(SLOW)))


def run(asked: Sequence[Task], jobs: int, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Examine all, `jobs` at a time, in processes that start afresh."""
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(examine, task) for task in asked]
        done = []
        for future in as_completed(waiting):
            done.append(future.result())
            tell(done[-1])
    return done


def report(outcomes: Sequence[Outcome]) -> list[str]:
    """The table of claims and a line for each mutant, in the order they are declared."""
    found = {(outcome.task.kind, outcome.task.name): outcome for outcome in outcomes}
    lines = [*_row(HEAD), _rule()]
    for claim in CLAIMS:
        outcome = found.get(("claim", claim.name))
        if outcome is not None:
            lines += [*_row(_cells(f"{claim.name}: {claim.says}", outcome)), _rule()]
    for mutant in MUTANTS:
        outcome = found.get(("mutant", mutant.name))
        if outcome is not None:
            lines.append(_of_mutant(outcome))
    return lines


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """Names of claims that do not hold and of mutants that survived or could not be judged."""
    return [f"{outcome.task.kind} {outcome.task.name}" for outcome in outcomes if not outcome.good]


def _cells(says: str, outcome: Outcome) -> tuple[str, ...]:
    if outcome.finding is None:
        return says, outcome.fault, "-", "ERROR"
    return says, outcome.finding.evidence, outcome.finding.bound, "holds" if outcome.good else "REFUTED"


def _of_mutant(outcome: Outcome) -> str:
    name, claim = outcome.task.name, outcome.task.claim
    if outcome.finding is None:
        return f"mutant {name} NOT JUDGED by {claim}: {outcome.fault}"
    if not outcome.good:
        return f"mutant {name} SURVIVED {claim}: {outcome.finding.evidence}"
    return f"mutant {name} rejected by {claim}: {outcome.finding.evidence}"


def _row(cells: Sequence[str]) -> list[str]:
    """A row of the table; long cells go on below."""
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, WIDTHS, strict=True)]
    lines = []
    for number in range(max(len(cell) for cell in wrapped)):
        parts = (cell[number] if number < len(cell) else "" for cell in wrapped)
        lines.append(
            " | ".join(part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)).rstrip()
        )
    return lines


def _rule() -> str:
    return "-+-".join("-" * width for width in WIDTHS)
