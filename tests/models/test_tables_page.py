"""The page of released tables: what is hidden is said and not shown, names are text, bars stay inside."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from kits.small import frame_of
from kits.statistics_kit import asking, release_of

from ringfence.models.tables.bars import FIGURES, MOST_BARS, ROOM, WIDTH, Bar, bar_chart
from ringfence.models.tables.noisy import NoisyFigure, NoisyRow, significant
from ringfence.models.tables.page import number_text, rendered
from ringfence.privacy.identifiers.pii import STOCK

FRAME = frame_of(3000, seed=4)


def chart(*bars: Bar) -> str:
    return bar_chart(bars, name="c", title="t", description="d")


def bar(value: float, label: str = "x", reach: float = 1.0) -> Bar:
    return Bar(label=label, value=value, low=value - reach, high=value + reach, text=f"{value:g}")


@pytest.mark.parametrize("values", [(1.0, 5.0, 2e9), (-5.0, 3.0), (0.0,), (-2.0, -1.0)])
def test_bars_and_intervals_stay_inside_the_picture(values: tuple[float, ...]) -> None:
    picture = chart(*(bar(value) for value in values))
    places = [int(found) for found in re.findall(r' (?:x1|x2)="(-?\d+)"', picture)]
    assert places
    assert all(ROOM <= place <= WIDTH - FIGURES for place in places)
    widths = [int(found) for found in re.findall(r'<rect x="\d+" y="\d+" width="(\d+)" height="16"', picture)]
    assert len(widths) == len(values)
    assert max(widths) <= WIDTH - ROOM - FIGURES


def test_names_are_text_and_long_ones_are_cut() -> None:
    picture = chart(bar(1.0, "<script>"), bar(2.0, "y" * 90), bar(3.0, "中" * 40))
    assert "&lt;script&gt;" in picture
    assert "<script" not in picture
    assert "y" * 40 not in picture
    assert "…" in picture
    assert picture.count("中") < 20
    assert chart(*[bar(1.0)] * (MOST_BARS + 5)).count("<rect") == MOST_BARS + 1


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_hidden_line_shows_no_figure_and_its_reason_is_said(language: str) -> None:
    release = release_of(asking("count by plan", "mean of age by plan", privacy={"epsilon": "32"}), FRAME)
    (first, *others) = release.tables[0].rows
    hidden = NoisyRow(group=first.group, figures=(), why="small")
    told = f"{round(first.figures[0].value):,}"
    page = rendered(release, language)  # type: ignore[arg-type]
    assert told in page
    table = replace(release.tables[0], rows=(hidden, *others))
    other = rendered(replace(release, tables=(table,)), language)  # type: ignore[arg-type]
    assert told not in other
    assert "–" in other
    assert f"{table.threshold}" in other
    assert 'lang="' + language in other


def test_an_answer_that_is_hidden_altogether_has_no_picture() -> None:
    release = release_of(asking("distinct", privacy={"epsilon": "32"}), FRAME)
    (row,) = release.tables[0].rows
    assert row.figures[0] == NoisyFigure(value=3000.0, low=row.figures[0].low, high=row.figures[0].high)
    nothing = replace(release.tables[0], rows=(NoisyRow(group=(), figures=(), why="small"),))
    page = rendered(replace(release, tables=(nothing,)), "en")
    assert "<svg" not in page
    assert "3,000" not in page


def test_numbers_of_every_size_are_none_that_the_gate_takes_for_a_telephones() -> None:
    """A release that is refused for its own figures would have been paid for in vain."""
    rng = np.random.default_rng(1)
    for power in range(-3, 13):
        for _ in range(60):
            value = 10.0**power * rng.uniform(1, 10) * rng.choice([-1, 1])
            low, high = value - abs(value) / 1000, value + abs(value) / 1000
            texts = [number_text(significant(each)) for each in (value, low, high)]
            assert not any("e" in each for each in texts)
            assert not STOCK.find(f"{texts[0]} ({texts[1]} … {texts[2]})"), texts
    assert number_text(97999800.0) == "97,999,800"
    assert number_text(-0.00031) == "−0.00031"
    assert number_text(0.0) == number_text(-1e-9) == "0"
