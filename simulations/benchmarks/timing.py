"""Clocks of the measurements: medians, candidates taking turns, and a long run by its stages.

Rates are per second of the processor, so that a neighbour who takes the core away does not count; seconds on
the wall stand beside them. Candidates take turns within every repetition, so a core that slows down slows all
of them and their ratios stay.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Medians over the repetitions, in seconds."""

    processor: float
    wall: float


def take_turns(candidates: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, Timing]:
    """Time each candidate `repetitions` times, in turns, after one run that warms caches and tables."""
    for candidate in candidates.values():
        candidate()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for _ in range(repetitions):
        for name, candidate in candidates.items():
            wall, processor = time.perf_counter(), time.process_time()
            candidate()
            spent[name].append((time.process_time() - processor, time.perf_counter() - wall))
    return {
        name: Timing(
            processor=statistics.median(each for each, _ in pairs),
            wall=statistics.median(each for _, each in pairs),
        )
        for name, pairs in spent.items()
    }


@dataclass(slots=True)
class Stages:
    """Seconds of a run by stage, on processor and wall, each without the watched functions that it calls.

    Attributes:
        spent: by stage, (calls, seconds of the processor, seconds on the wall).
    """

    spent: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    _inside: list[list[float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block as a stage."""
        self._inside.append([0.0, 0.0])
        wall, processor = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            inner_processor, inner_wall = self._inside.pop()
            calls, known_processor, known_wall = self.spent.get(name, (0, 0.0, 0.0))
            own = (known_processor + processor - inner_processor, known_wall + wall - inner_wall)
            self.spent[name] = (calls + 1, *own)
            if self._inside:
                self._inside[-1][0] += processor
                self._inside[-1][1] += wall

    @contextmanager
    def watching(self, places: Mapping[str, tuple[Any, str]]) -> Iterator[None]:
        """Time functions as stages while the block runs; each is called as before and put back at the end.

        Args:
            places: by stage, the module or class that holds a function, and its name there.
        """
        before = {stage: vars(owner)[name] for stage, (owner, name) in places.items()}
        for stage, (owner, name) in places.items():
            setattr(owner, name, self._timed(stage, before[stage]))
        try:
            yield
        finally:
            for stage, (owner, name) in places.items():
                setattr(owner, name, before[stage])

    def as_json(self) -> dict[str, dict[str, float]]:
        """Calls and rounded seconds by stage."""
        return {
            stage: {"calls": calls, "processor_seconds": round(processor, 4), "seconds": round(wall, 4)}
            for stage, (calls, processor, wall) in self.spent.items()
        }

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **named)

        return timed
