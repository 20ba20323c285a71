"""What was folded holds until somebody's eligibility may change; a commitment is to the whole question."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from pyroaring import BitMap

from ringfence.privacy.consent.records import EventKind
from ringfence.privacy.consent.snapshot import LatestEvents, commitment
from ringfence.privacy.consent.tables import FOREVER

AT = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = {kind.permits: int(kind) for kind in EventKind}


def standing(*spans: tuple[int, int], permits: bool = True, next_event: int = FOREVER) -> LatestEvents:
    starts, ends = (np.array(column, dtype=np.int64) for column in zip(*spans, strict=True))
    some = np.arange(len(spans), dtype=np.int64)
    kind = np.full(len(spans), KINDS[permits], dtype=np.int64)
    return LatestEvents(
        subject=some,
        kind=kind,
        at=starts,
        valid_from=starts,
        valid_until=ends,
        terms=0 * some,
        next_event=next_event,
    )


def test_the_next_change_is_the_earliest_start_end_or_event_ahead() -> None:
    assert standing((0, 50), (0, 90)).next_change(10) == 50, "somebody's consent ends"
    assert standing((0, 50), (20, 90)).next_change(10) == 20, "somebody's begins"
    assert standing((0, 50), (20, 90), next_event=15).next_change(10) == 15
    assert standing((0, 50), (20, 90)).next_change(50) == 90, "what was is no change ahead"
    assert standing((0, 50), permits=False).next_change(10) == FOREVER
    assert standing((0, 50)).eligible(49).tolist() == [True]
    assert standing((0, 50)).eligible(50).tolist() == [False]


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "other"},
        {"at": datetime(2026, 6, 2, tzinfo=UTC)},
        {"separate": ()},
        {"separate": ("cross-border", "provision")},
        {"sequence": 8},
        {"eligible": BitMap([1, 2])},
        {"key": b"k" * 31 + b"l"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_commitment_is_to_every_part_of_the_question_and_to_the_answer(change: dict[str, object]) -> None:
    asked: dict[str, object] = {
        "key": b"k" * 32,
        "purpose": "churn-prediction",
        "at": AT,
        "separate": ("provision",),
        "sequence": 7,
        "eligible": BitMap([1, 2, 3]),
    }
    assert commitment(**asked) == commitment(**asked)  # type: ignore[arg-type]
    assert commitment(**asked) != commitment(**(asked | change))  # type: ignore[arg-type]
