"""One identifier found in folded text, and how overlapping ones are settled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One identifier in folded text, `[start, end)`, with a score in (0, 1]."""

    kind: str
    start: int
    end: int
    score: float


def keep_best(spans: list[Span]) -> list[Span]:
    """Resolve overlaps in favour of the higher score, then the longer span; sorted by start."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.score, s.start - s.end, s.start)):
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)
