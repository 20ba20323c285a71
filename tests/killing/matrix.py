"""The kill matrix of parties that are forked: every named step, and instants by chance from a seed."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from killing.ground import WAYS, Ground, ground_of, warmed
from killing.lives import COORDINATOR, DURING, Link, asked_of
from killing.oracle import Findings, examine
from killing.watching import AFTER, Step, read_told

AWAY = 3
"""For so many exchanges a holder that is not started at once stays away."""


@dataclass(frozen=True, slots=True)
class Case:
    """One study in which somebody dies.

    Attributes:
        way: to meet drop-outs.
        step: where; None where instants say when.
        away: for how many exchanges a dead holder stays away.
        instants: who dies when, in seconds from the beginning.
    """

    way: str
    step: Step | None = None
    away: int = 0
    instants: tuple[tuple[float, str], ...] = ()

    def __str__(self) -> str:
        later = f", away for {self.away} exchanges" if self.away else ""
        return f"{self.way}: {self.step or self.instants}{later}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of it.

    Attributes:
        case: which.
        deaths: processes that died, by party.
        released: whether there is a model.
        refusals: codes with which `study run` ended before or instead.
        findings: the oracle's.
        seconds: that the study took.
    """

    case: Case
    deaths: dict[str, int]
    released: bool
    refusals: tuple[str, ...]
    findings: Findings
    seconds: float


@dataclass(slots=True, kw_only=True)
class Field:
    """Both studies, founded, and what a run of each that nobody disturbs does.

    Attributes:
        folder: for everything.
        grounds, steps, seconds: by way to meet drop-outs.
    """

    folder: Path
    grounds: dict[str, Ground] = field(default_factory=dict)
    steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    @classmethod
    def founded(cls, folder: Path) -> Field:
        """Found both studies and run each once."""
        (folder / "warm").mkdir(parents=True)
        warmed(folder / "warm")
        found = cls(folder=folder)
        for way in WAYS:
            ground = found.grounds[way] = ground_of(folder / way, way)
            asked_of(ground.found)
            ended = found.run(Case(way), keep=True)
            assert ended.released, ended
            assert ended.findings.whole, ended.findings
            told = read_told(found._told())
            found.steps[way] = tuple(
                dict.fromkeys(Step(line[1], line[2], line[3], line[4]) for line in told if line[0] == "step")
            )
            found.seconds[way] = ended.seconds
        return found

    def run(self, case: Case, *, keep: bool = False) -> Ended:
        """A study on a fresh copy, disturbed, and looked at when it has ended."""
        self._count += 1
        ground = self.grounds[case.way].copied(self.folder / f"study-{self._count}")
        link = Link(
            ground=ground, told=self._told(), kill=case.step, away=case.away, instants=list(case.instants)
        )
        began = time.monotonic()
        digest = link.conduct()
        seconds = time.monotonic() - began
        findings = examine(ground, self._told(), digest, link.refusals)
        shutil.rmtree(ground.folder)
        if not keep:
            self._told().unlink()
        return Ended(
            case=case,
            deaths=link.deaths,
            released=bool(digest),
            refusals=tuple(code for code, _ in link.refusals),
            findings=findings,
            seconds=seconds,
        )

    def _told(self) -> Path:
        return self.folder / f"told-{self._count}"

    def cases(self) -> Iterator[Case]:
        """Every named step: of the coordinator, of the holder asked first, and of the one asked last."""
        for way in WAYS:
            first, *_, last = self.grounds[way].names
            for step in self.steps[way]:
                if step.party in (COORDINATOR, first):
                    yield Case(way, step)
                elif step.party == last:
                    yield Case(way, step, away=AWAY)

    def few(self) -> Iterator[Case]:
        """Those of every commit: each name once, killed after it, and while holders are asked."""
        seen: set[tuple[str, str]] = set()
        for case in self.cases():
            assert case.step is not None
            known = (case.step.party, case.step.name)
            if case.away or known in seen or case.step.when not in (AFTER, DURING):
                continue
            seen.add(known)
            if case.way == WAYS[0] or "call" in case.step.name:
                yield case

    def by_chance(self, count: int, seed: int) -> Iterator[Case]:
        """So many instants over the time that a study takes; who dies takes turns, holders by chance."""
        chance = random.Random(seed)
        for number in range(count):
            way = WAYS[number % 2]
            names = self.grounds[way].names
            victim = COORDINATOR if number // 2 % 2 else chance.choice(names)
            away = chance.choice((0, AWAY))
            instant = chance.uniform(0.0, self.seconds[way])
            yield Case(way, None, away, ((instant, victim),))


def steps_named(steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """Names of the steps of the coordinator, and of holders all together."""
    found: dict[str, dict[str, None]] = {COORDINATOR: {}, "holder": {}}
    for step in steps:
        found[COORDINATOR if step.party == COORDINATOR else "holder"][step.name] = None
    return {party: tuple(names) for party, names in found.items()}
