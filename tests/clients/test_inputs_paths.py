"""Journeys over channels: steps in the order of time up to the first conversion, bounded a customer."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.event_kit import codes_noted
from kits.input_kit import facts_of, found_lists, read_input

from ringfence.clients.rows.table import RawTable

HEADER = "who,at,channel,event"
Path_ = tuple[list[int], bool]


def read(folder: Path, lines: list[str], declared: dict[str, Any] | None = None, **source: Any) -> RawTable:
    return read_input(folder, "paths", HEADER, lines, declared=declared, source=source)


def paths(raw: RawTable) -> dict[str, Path_]:
    return {key: (codes, flag) for key, (codes, _groups, flag) in found_lists(raw, "journey").items()}


def line(who: str, at: str, channel: str, event: str = "") -> str:
    return f"{who},2026-{at},{channel},{event}"


def test_steps_are_in_the_order_of_time_up_to_the_first_conversion(tmp_path: Path) -> None:
    lines = [
        line("ann", "03-01T09:30", "mail"),
        line("ann", "03-01T09:29", "search"),
        line("ann", "03-02", "shop", "buy"),  # the touch that converts is a step
        line("ann", "03-03", "mail"),
        line("ann", "03-04", "", "buy"),
        line("bob", "05-01", "mail"),
        line("eve", "05-01", "", "buy"),  # bought without a touch
    ]
    raw = read(tmp_path, lines)
    assert paths(raw) == {"ann": ([0, 1, 2], True), "bob": ([1], False), "eve": ([], True)}
    facts = facts_of(raw)
    assert (facts.later, facts.converted, facts.without, facts.listed) == (1, 2, 1, 4)
    assert codes_noted(raw) >= {"RF-T235", "RF-T237"}


def test_a_conversion_may_stand_in_the_channels_own_column(tmp_path: Path) -> None:
    lines = [line("ann", "03-01", "mail"), line("ann", "03-02", "buy"), line("bob", "03-02", "boat")]
    raw = read(tmp_path, lines, {"unknown": "other"}, converted="channel")
    assert paths(raw) == {"ann": ([1], True), "bob": ([3], False)}
    assert facts_of(raw).outside == 1


def test_without_a_column_of_conversions_nobody_converts(tmp_path: Path) -> None:
    raw = read(tmp_path, [line("ann", "03-01", "mail", "buy")], converted=None, conversions=None)
    assert paths(raw) == {"ann": ([1], False)}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, [1, 0, 1, 2]),
        ({"keep": "first"}, [0, 1, 0, 1]),
        ({"repeats": "keep"}, [0, 1, 1, 2]),
        ({"repeats": "keep", "keep": "first"}, [0, 0, 1, 0]),
    ],
)
def test_a_long_path_keeps_its_end_or_its_beginning(
    tmp_path: Path, declared: dict[str, Any], expected: list[int]
) -> None:
    channels = ["search", "search", "mail", "search", "mail", "mail", "shop"]
    lines = [line("ann", f"03-0{day}", channel) for day, channel in enumerate(channels, start=1)]
    raw = read(tmp_path, lines, declared)
    assert paths(raw) == {"ann": (expected, False)}
    facts = facts_of(raw)
    assert (facts.bounded, facts.folded + facts.beyond) == (1, 3)


def test_an_endless_path_is_bounded_and_counted(tmp_path: Path) -> None:
    moments = [f"03-01T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}" for n in range(50_000)]
    lines = [line("ann", at, ("search", "mail")[n % 2]) for n, at in enumerate(moments)]
    raw = read(tmp_path, lines)
    assert paths(raw) == {"ann": ([0, 1, 0, 1], False)}
    facts = facts_of(raw)
    assert (facts.bounded, facts.beyond, facts.listed) == (1, 49_996, 4)


def test_what_does_not_count_is_told(tmp_path: Path) -> None:
    lines = [
        line("ann", "03-01", "mail"),
        ",2026-03-01,mail,",
        "ann,,mail,",
        "ann,2025-12-31,mail,buy",  # a conversion before the days that count is none
        "ann,2027-01-01,mail,buy",
        line("ann", "03-01", ""),
        line("ann", "03-01", "boat"),
    ]
    raw = read(tmp_path, lines)
    assert paths(raw) == {"ann": ([1], False)}
    facts = facts_of(raw)
    assert (facts.keyless, facts.undated, facts.nameless, facts.outside) == (1, 1, 1, 1)
    assert (facts.before, facts.after) == (1, 1)


CELLS = st.tuples(
    st.sampled_from(["ann", "bob", ""]),
    st.sampled_from(["03-01", "03-01T08:00", "03-01T08:00:00.5", "03-02", "12-31T23:59:59.999999"]),
    st.sampled_from(["search", "mail", "shop", "boat", ""]),
    st.sampled_from(["", "", "buy", "look"]),
)


@given(
    cells=st.lists(CELLS, min_size=1, max_size=20),
    declared=st.fixed_dictionaries(
        {
            "most": st.integers(1, 3),
            "keep": st.sampled_from(["first", "last"]),
            "repeats": st.sampled_from(["fold", "keep"]),
            "unknown": st.sampled_from(["drop", "other"]),
        }
    ),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_path_is_a_function_of_its_customers_own_lines_and_bounded(
    tmp_path: Path, cells: list[tuple[str, ...]], declared: dict[str, Any], seed: int
) -> None:
    lines = [line(*cell) for cell in cells]
    together = paths(read(tmp_path, lines, declared))
    random.Random(seed).shuffle(lines)
    apart: dict[str, Path_] = {}
    for who in ("ann", "bob"):
        own = [text for text in lines if text.startswith(f"{who},")]
        apart |= paths(read(tmp_path, own, declared)) if own else {}
    assert apart == together
    for codes, _flag in together.values():
        assert len(codes) <= declared["most"]
        if declared["repeats"] == "fold":
            assert all(one != other for one, other in itertools.pairwise(codes))
