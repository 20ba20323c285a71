"""One clock for the small measurements: medians over repetitions, candidates taking turns.

Rates are per second of the processor, so that a neighbour who takes the core away does not count; seconds on the
wall stand beside them. Candidates take turns within every repetition, so a core that slows down slows all of them
and their ratios stay.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


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
