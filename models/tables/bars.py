"""A bar chart with intervals as a passive SVG, drawn here: what a release shows needs no drawing package."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence.models.pages.markup import Html, element
from ringfence.models.pages.svg import FONTS

WIDTH, ROOM, STEP, TOP, LETTER, FIGURES = 640, 190, 26, 8, 12, 90
MOST_BARS = 40
INK, BAR, RANGE = "#1b2733", "#0b4f8a", "#b4540a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar.

    Attributes:
        label: what it stands for.
        value: its length.
        low, high: the ends of its interval.
        text: the value as it is written.
    """

    label: str
    value: float
    low: float
    high: float
    text: str


def bar_chart(bars: Sequence[Bar], *, name: str, title: str, description: str) -> Html:
    """Horizontal bars from zero, or from the least where some are negative; at most 40 of them.

    Args:
        bars: from above.
        name: unique on the page.
        title: what the picture shows, for those who do not see it.
        description: what it says.
    """
    shown = bars[:MOST_BARS]
    least = min([0.0, *(each.low for each in shown)])
    most = max([*(each.high for each in shown), least + 1e-12])
    span = WIDTH - ROOM - FIGURES

    def at(value: float) -> int:
        return ROOM + round(span * (min(max(value, least), most) - least) / (most - least))

    height = TOP * 2 + STEP * len(shown)
    parts = [part for place, each in enumerate(shown) for part in _bar(each, TOP + STEP * place, at)]
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        element("rect", x="0", y="0", width=str(WIDTH), height=str(height), fill="white"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=str(WIDTH),
        height=str(height),
        font_family=FONTS,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def _bar(bar: Bar, top: int, place: Callable[[float], int]) -> list[Html]:
    zero, end, middle = place(0.0), place(bar.value), top + STEP // 2
    return [
        element(
            "text",
            _cut(bar.label),
            x=str(ROOM - 8),
            y=str(middle + 4),
            text_anchor="end",
            font_size=str(LETTER),
            fill=INK,
        ),
        element(
            "rect",
            x=str(min(zero, end)),
            y=str(top + 5),
            width=str(abs(end - zero)),
            height=str(STEP - 10),
            fill=BAR,
        ),
        element(
            "line",
            x1=str(place(bar.low)),
            x2=str(place(bar.high)),
            y1=str(middle),
            y2=str(middle),
            stroke=RANGE,
            stroke_width="2",
        ),
        element(
            "text",
            bar.text,
            x=str(max(place(bar.high), zero) + 6),
            y=str(middle + 4),
            font_size=str(LETTER),
            fill=INK,
        ),
    ]


def _cut(label: str) -> str:
    """A label in its room, by the widths of its letters."""
    room, kept = (ROOM - 16) / (LETTER * 0.56), ""
    for letter in label:
        room -= 1.8 if unicodedata.east_asian_width(letter) in "WF" else 1.0
        if room < 1:
            return kept + "…"
        kept += letter
    return kept
