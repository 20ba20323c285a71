"""The real path, asked many times at once: a federation whose task repeats every entry a customer can move.

A probe keeps a task's own plan, its noise scales, its checks and its integers. It keeps only the entries that
one known customer moves, and sends each of them many times over side by side in one vector, so that every
copy is an independent release. Everything else is the product: tables and consent records are read from
files, the study is signed and approved, shares are drawn, words are masked, sealed, opened, summed and
checked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from kits.parties import Parties, contract_of
from kits.small import frame_of, schema_of, study_of

from ringfence.models.catalogue import TASKS
from ringfence.models.features import FeatureMatrix
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoiseSource, NoisyShare, OsNoise
from ringfence.privacy.waist import Aggregate, BlockPlan, Contribution, IntVector, Query, RoundPlan, StudyPlan
from ringfence.server.rounds import run_study
from ringfence.simulations.experiment import everybody_consents
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import Site

NAMES = ("bank", "partner", "retailer")
CUSTOMERS = 250

Blocks = Mapping[str, IntVector]


@dataclass(frozen=True, slots=True)
class Done:
    """A probe's result: nothing was learned."""

    def digest(self) -> str:
        return "sha256:" + "0" * 64


@dataclass(slots=True, kw_only=True)
class Probe:
    """A task that stands in for another one in the catalogue.

    Attributes:
        task: the product's.
        queries: what the coordinator asks, whatever comes back.
        keep: by round and block, which entries to keep; None keeps all.
        repeats: how often each kept entry is sent.
        exact: round and contribution, in the order they were asked for.
        rows: how many customers each of them is of.
        aggregates: what the coordinator unmasked.
        empty: rounds in which nobody is in the sample.
    """

    task: Task[Any, Any]
    queries: Sequence[Query]
    keep: Sequence[Mapping[str, npt.NDArray[np.int64]]] | None = None
    repeats: int = 1
    empty: frozenset[int] = frozenset()
    exact: list[tuple[int, Blocks]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)

    def as_task(self) -> Task[Any, Any]:
        """The task to put into the catalogue."""
        return replace(
            self.task,
            plan=self._plan,
            lengths=self._lengths,
            contribute=self._contribute,
            start=lambda _context: (0, self.queries[0]),
            step=self._step,
            so_far=None,
        )

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let studies that name the task run the probe."""
        TASKS[self.task.name] = self.as_task()
        try:
            yield
        finally:
            TASKS[self.task.name] = self.task

    def _plan(self, context: StudyContext) -> StudyPlan:
        plan = self.task.plan(context)
        asked = [query.round for query in self.queries]
        assert asked == list(range(len(plan.rounds))), "the queries must be those of the whole study"
        return replace(plan, rounds=tuple(self._long(index, each) for index, each in enumerate(plan.rounds)))

    def _long(self, index: int, plan: RoundPlan) -> RoundPlan:
        if self.keep is None:
            return plan
        kept = self.keep[index]
        blocks = tuple(
            replace(block, max_length=self.repeats * len(kept[block.name])) for block in plan.blocks
        )
        return replace(plan, blocks=blocks)

    def _lengths(self, context: StudyContext, query: Query) -> Mapping[str, int]:
        lengths = self.task.lengths(context, query)
        if self.keep is None:
            return lengths
        return {name: self.repeats * len(self.keep[query.round][name]) for name in lengths}

    def _contribute(self, context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
        if query.round in self.empty:
            features = features.take(np.zeros(len(features.label), dtype=np.bool_))
        whole = self.task.contribute(context, query, features)
        blocks = dict(whole.blocks)
        if self.keep is not None:
            kept = self.keep[query.round]
            blocks = {name: np.tile(values[kept[name]], self.repeats) for name, values in blocks.items()}
        self.exact.append((query.round, blocks))
        self.rows.append(len(features.label))
        return replace(whole, blocks=blocks)

    def _step(self, _context: StudyContext, state: int, aggregate: Aggregate) -> tuple[int, Query | Done]:
        self.aggregates.append(aggregate)
        following = state + 1
        return following, self.queries[following] if following < len(self.queries) else Done()


class Silent:
    """A colluder's noise: none, so that only the honest shares stand between its friends and the victim."""

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, dict.fromkeys(lengths, 0), honest)
        return replace(share, blocks={name: np.zeros(n, dtype=np.int64) for name, n in lengths.items()})


@dataclass(slots=True)
class Recorded:
    """The operating system's noise, with a copy of every share kept."""

    shares: list[Blocks] = field(default_factory=list)

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        self.shares.append(share.blocks)
        return share


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Who is in which table, and what is asked.

    Attributes:
        study: changes of the small study.
        extra: rows put at the head of a holder's table, with their column `key`.
        overlap: at how many holders the contracts say a customer may be.
        noise: a source of noise by holder's name; the operating system's for the others.
    """

    study: Mapping[str, Any]
    extra: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    overlap: int = 1
    noise: Mapping[str, NoiseSource] = field(default_factory=dict)

    def run(self, probe: Probe) -> Parties:
        """Run the whole study with a probe in its task's place."""
        with tempfile.TemporaryDirectory(prefix="prove-") as folder, probe.installed():
            parties = Parties.of(self.federation(Path(folder)), lambda name: self.noise.get(name, OsNoise()))
            try:
                run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
            except WaistError as error:
                error.add_note(f"holders said: {parties.said}")
                raise
        return parties

    def federation(self, folder: Path, profile: Any = "simulation") -> Federation:
        """Files of the holders, and the signed study."""
        schema = schema_of()
        study = study_of(schema, **dict(self.study))
        sites = {name: self._site(folder, name, schema.digest()) for name in NAMES}
        unsigned = study.model_copy(update={"holders": ()})
        return Federation.make(unsigned, schema, sites, profile=profile, folder=folder)

    def _site(self, folder: Path, name: str, schema_digest: str) -> Site:
        contract = contract_of(name, schema_digest, overlap=self.overlap, duplicates="first")
        own = frame_of(CUSTOMERS, NAMES.index(name)).assign(key=[f"{name}-{i}" for i in range(CUSTOMERS)])
        table = pd.concat([self.extra[name], own]) if name in self.extra else own
        table.to_csv(folder / f"{name}.csv", index=False)
        consent = folder / f"{name}-consent.csv"
        everybody_consents(table["key"], study_of(schema_of()), contract).to_csv(consent, index=False)
        return Site(contract=contract, base=folder, consent=consent)


def asked(task: Task[Any, Any], context: StudyContext, features: FeatureMatrix) -> list[Query]:
    """The queries of one undisturbed study over some customers, noise included."""
    plan, (state, step) = task.plan(context), task.start(context)
    queries = []
    while isinstance(step, Query):
        queries.append(step)
        each = plan.rounds[step.round]
        exact = task.contribute(context, step, features).blocks
        share = OsNoise().share(each, task.lengths(context, step), plan.honest).blocks
        blocks = {block.name: exact[block.name] + share[block.name] for block in each.blocks}
        state, step = task.step(context, state, Aggregate(round=step.round, holders=3, blocks=blocks))
    return queries


def moved(
    task: Task[Any, Any], context: StudyContext, queries: Sequence[Query], customer: FeatureMatrix
) -> list[Blocks]:
    """What one customer alone adds, round by round."""
    return [task.contribute(context, query, customer).blocks for query in queries]


def mu_of_attack(plan: StudyPlan, shifts: Sequence[Blocks]) -> float:
    """The mu of the best test against a customer that adds `shifts`, the noise taken as normal."""
    total = 0.0
    for each, blocks in zip(plan.rounds, shifts, strict=True):
        for block in each.blocks:
            total += float((blocks[block.name] ** 2).sum()) / variance(plan, block)
    return total**0.5


def variance(plan: StudyPlan, block: BlockPlan) -> float:
    """Of the honest shares together."""
    return plan.honest * block.share_scale**2
