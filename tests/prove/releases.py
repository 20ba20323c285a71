"""Every release of every installed task, each attempt at it, next to the exact numbers and the noise drawn.

`Trace.of` runs a way (`ways.py`) over the product's own parties: real files, consent, ledger, gate, masks,
and the coordinator's own unmasking. Every round is summed in all the attempts its study may make. So that
laws can be told from few attempts, the vector of a block is sent many times side by side under the block's
own plan.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from kits.parties import Parties
from prove.ways import NAMES, Way

from ringfence.models.catalogue import TASKS
from ringfence.models.features import FeatureMatrix
from ringfence.models.task import NoisySteps, StudyContext, Task
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoiseSource, NoisyShare, OsNoise
from ringfence.privacy.waist import Aggregate, BlockPlan, Contribution, IntVector, Query, RoundPlan, StudyPlan
from ringfence.server.membership import offer
from ringfence.server.recover_sums import Recover
from ringfence.server.retry_sums import Retry
from ringfence.server.sums import Conduct

ENTRIES = 1500
"""At least so many entries has every noised block."""

Blocks = Mapping[str, IntVector]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One share of noise as a holder's source gave it."""

    holder: str
    plan: RoundPlan
    honest: int
    blocks: Blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One local step: the exact sum, what the task was given for it, and the shares drawn meanwhile."""

    exact: Blocks
    given: Blocks
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at one round.

    Attributes:
        round, number: which.
        query: what was asked.
        exact: what the holders' contributions add up to.
        released: what the coordinator unmasked.
        drawn: the shares of noise that were drawn for it, those of local steps included.
        steps: the local steps of all holders.
    """

    round: int
    number: int
    query: Query
    exact: Blocks
    released: Blocks
    drawn: tuple[Drawn, ...]
    steps: tuple[Step, ...]


@dataclass(slots=True, kw_only=True)
class Trace:
    """What a run left behind.

    Attributes:
        way: what was run.
        plan: as the holders had it, with its blocks side by side.
        context: of the study.
        attempts: all of them, in order.
        joins: the shares drawn when holders joined.
        samples: for every sample a task was given, whose rows it held, by round; rounds that sample only.
        customers: rows of one holder.
        parties: the holders as the run left them; their reservations are still open.
    """

    way: Way
    plan: StudyPlan
    context: StudyContext
    attempts: list[Attempt]
    joins: tuple[Drawn, ...]
    samples: list[bytes]
    customers: list[FeatureMatrix]
    parties: Parties

    @classmethod
    def of(cls, way: Way) -> Trace:
        """Run a way."""
        drawn: list[Drawn] = []
        tap = _Tap(task=way.case.task, drawn=drawn)
        with tempfile.TemporaryDirectory(prefix="prove-") as folder, tap.installed():
            parties = Parties.of(
                way.federation(Path(folder)), lambda name: Recording(holder=name, drawn=drawn)
            )
            opened = parties.federation.opened
            members = offer(parties.federation.coordinator, opened, parties.wire)
            joins, kind = tuple(drawn), Recover if opened.study.privacy.dropouts == "recover" else Retry
            conduct = Conduct(
                coordinator=parties.federation.coordinator,
                opened=opened,
                transport=parties.wire,
                members=members,
            )
            assert set(members.keys) == set(NAMES), parties.said
            sums = kind(conduct=conduct, numbered=lambda _number: None)
            attempts, (state, query) = list[Attempt](), opened.task.start(opened.context)
            while isinstance(query, Query):
                attempts += [_attempt(tap, sums, query, number) for number in range(opened.plan.max_attempts)]
                aggregate = Aggregate(round=query.round, holders=len(NAMES), blocks=attempts[-1].released)
                state, query = opened.task.step(opened.context, state, aggregate)
        return cls(
            way=way,
            plan=opened.plan,
            context=opened.context,
            attempts=attempts,
            joins=joins,
            samples=tap.samples,
            customers=tap.customers,
            parties=parties,
        )

    def of_round(self, index: int) -> list[Attempt]:
        """The attempts at one round."""
        return [each for each in self.attempts if each.round == index]


def _attempt(tap: _Tap, sums: Retry | Recover, query: Query, number: int) -> Attempt:
    first = len(tap.drawn)
    tap.exact.clear()
    tap.steps.clear()
    summed = sums.round(query, lambda *_: None, number)
    assert summed.attempts == number + 1, "the attempt was given up"
    blocks = summed.aggregate.blocks
    return Attempt(
        round=query.round,
        number=number,
        query=query,
        exact={name: sum((each[name] for each in tap.exact), np.zeros_like(blocks[name])) for name in blocks},
        released=blocks,
        drawn=tuple(tap.drawn[first:]),
        steps=tuple(tap.steps),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording(NoiseSource):
    """The operating system's noise, with a copy of every share kept."""

    holder: str
    drawn: list[Drawn]

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        kept = {name: values.copy() for name, values in share.blocks.items()}
        self.drawn.append(Drawn(holder=self.holder, plan=round_plan, honest=honest, blocks=kept))
        return share


@dataclass(slots=True, kw_only=True)
class _Tap:
    """A task in the place of the installed one: the same, with its noised blocks side by side, and listened
    to.
    """

    task: Task[Any, Any]
    drawn: list[Drawn]
    exact: list[Blocks] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    samples: list[bytes] = field(default_factory=list)
    customers: list[FeatureMatrix] = field(default_factory=list)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let studies that name the task run this one."""
        TASKS[self.task.name] = self._wide()
        try:
            yield
        finally:
            TASKS[self.task.name] = self.task

    def _wide(self) -> Task[Any, Any]:
        local, personal = self.task.train_locally, self.task.personal
        return replace(
            self.task,
            plan=lambda context: widened(self.task.plan(context)),
            lengths=self._lengths,
            contribute=self._contribute,
            step=self._step,
            train_locally=local and (lambda *given: self._trained(local, *given)),
            personal=personal
            and replace(personal, train=lambda *given: self._trained(personal.train, *given)),
            so_far=None,
        )

    def _lengths(self, context: StudyContext, query: Query) -> Mapping[str, int]:
        blocks = self._noised(context, query)
        lengths = self.task.lengths(context, query)
        return {name: copies(blocks[name]) * n if name in blocks else n for name, n in lengths.items()}

    def _noised(self, context: StudyContext, query: Query) -> Mapping[str, BlockPlan]:
        """The blocks of a round that leave with noise on them."""
        plan = self.task.plan(context).rounds[query.round]
        return {} if plan.local_steps else {block.name: block for block in plan.blocks}

    def _contribute(self, context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
        self._seen(context, query, features)
        given, blocks = self.task.contribute(context, query, features), self._noised(context, query)
        wide = {name: np.tile(values, copies(blocks[name])) for name, values in given.blocks.items()}
        self.exact.append(wide)
        return replace(given, blocks=wide)

    def _seen(self, context: StudyContext, query: Query, features: FeatureMatrix) -> None:
        """Whose rows a step read: rows of many cells, of which hardly two are alike."""
        if self.task.plan(context).rounds[query.round].sampling_rate != 1:
            self.samples.append(features.digest().encode())
        elif len(self.customers) < len(NAMES):
            self.customers.append(features)

    def _trained(
        self, train: Callable[..., Any], context: StudyContext, query: Query, steps: NoisySteps, *more: Any
    ) -> Any:
        plan = self.task.plan(context).rounds[query.round]

        def listen(rows: FeatureMatrix) -> None:
            self._seen(context, query, rows)

        wide = _WideSteps(steps=steps, plan=plan, drawn=self.drawn, taken=self.steps, listen=listen)
        found = train(context, query, wide, *more)
        # A task that wants one step more than planned is refused; if it is not, a share too many is seen.
        with suppress(WaistError):
            last = self.steps[-1].exact
            steps.step(lambda _rows: last)
        self.exact.append((found if isinstance(found, Contribution) else found[0]).blocks)
        return found

    def _step(self, context: StudyContext, state: Any, aggregate: Aggregate) -> Any:
        plan = self.task.plan(context).rounds[aggregate.round]
        times = {block.name: 1 if plan.local_steps else copies(block) for block in plan.sent}
        blocks = {name: values[: len(values) // times[name]] for name, values in aggregate.blocks.items()}
        return self.task.step(context, state, replace(aggregate, blocks=blocks))


@dataclass(frozen=True, slots=True, kw_only=True)
class _WideSteps(NoisySteps):
    """A holder's noisy steps, each of whose blocks goes through them side by side.

    Attributes:
        steps: the holder's.
        plan: the task's own, of one copy.
        drawn: all shares of noise drawn so far.
        taken: where each step is kept.
        listen: told whose rows a step reads.
    """

    steps: NoisySteps
    plan: RoundPlan
    drawn: list[Drawn]
    taken: list[Step]
    listen: Callable[[FeatureMatrix], None]

    def step(self, add_up: Callable[[FeatureMatrix], Blocks]) -> Blocks:
        first, kept = len(self.drawn), list[Blocks]()

        def add_wide(rows: FeatureMatrix) -> Blocks:
            self.listen(rows)
            exact = add_up(rows)
            kept.append({b.name: np.tile(exact[b.name], copies(b)) for b in self.plan.blocks})
            return kept[-1]

        given = self.steps.step(add_wide)
        (exact,) = kept
        self.taken.append(Step(exact=exact, given=given, drawn=tuple(self.drawn[first:])))
        return {b.name: given[b.name][: len(given[b.name]) // copies(b)] for b in self.plan.blocks}


def copies(block: BlockPlan | Any) -> int:
    """How often a noised block is sent side by side."""
    return -(-ENTRIES // block.max_length)


def widened(plan: StudyPlan) -> StudyPlan:
    """The plan with room for every copy; nothing else of it is changed."""
    return replace(
        plan,
        rounds=tuple(
            replace(
                each,
                blocks=tuple(
                    replace(block, max_length=block.max_length * copies(block)) for block in each.blocks
                ),
            )
            for each in plan.rounds
        ),
    )
