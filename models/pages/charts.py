"""The charts of the report, as Altair specifications over frames of figures, drawn to SVG.

Colours keep a contrast of at least 3:1 to the white ground and to each other's edge (WCAG 2.2, 1.4.11),
differ in lightness as well as in hue, and never carry a meaning alone: order, labels and the table under each
chart say the same.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from ringfence.models.pages.budgets import HolderBudget
from ringfence.models.pages.markup import Html
from ringfence.models.pages.svg import FONTS, draw_chart
from ringfence.models.pages.words import Words, count_text, percent
from ringfence.privacy.errors import N_

if TYPE_CHECKING:
    import altair as alt

# Altair's chart classes are many; what they have in common here is `to_dict`.
Chart: TypeAlias = "alt.Chart | alt.LayerChart | alt.FacetChart"

INK, MUTED, GRID = "#1b2733", "#4a5a6a", "#d9e0e7"
SPENT, RESERVED, LEFT = "#0b4f8a", "#b4540a", "#7d8b99"
WIDTH, STEP, LETTER = 440, 24, 12
# Most pixels that a label takes; longer ones are broken, and cut where that does not help.
ROOM = 170
STRONGEST = 6
MOST_HOLDERS = 20


def strongest(points: pd.DataFrame, most: int = STRONGEST) -> list[str]:
    """Names of the features whose points differ most between bins, the widest first."""
    spans = points.groupby("feature", sort=False)["points"].agg(lambda each: each.max() - each.min())
    return [str(name) for name in spans.sort_values(ascending=False, kind="stable").index[:most]]


def points_charts(points: pd.DataFrame, words: Words) -> list[tuple[str, Html]]:
    """One bar chart a feature, all on one scale, for the strongest features.

    Returns:
        Name and picture, the strongest first.
    """
    names = strongest(points)
    shown = points[points["feature"].isin(names)]
    labels = {label: words.bin(str(label)) for label in shown["bin"].unique()}
    extent = _extent(line for label in labels.values() for line in label_lines(label))
    most = int((shown["points"] + shown["plus_minus"].fillna(0)).max()) if len(shown) else 1
    charts = []
    for position, name in enumerate(names):
        rows = shown[shown["feature"] == name]
        frame = pd.DataFrame(
            {
                "position": range(len(rows)),
                "bin": rows["bin"].map(labels).tolist(),
                "points": rows["points"].tolist(),
                "low": (rows["points"] - rows["plus_minus"].fillna(0)).clip(lower=0).astype("int64").tolist(),
                "high": (rows["points"] + rows["plus_minus"].fillna(0)).astype("int64").tolist(),
            }
        )
        picture = draw_chart(
            specification(
                _bars(frame, max(1, most), extent, words(N_("points"))),
                height=_step(frame["bin"]) * len(frame) + 46,
            ),
            name=f"chart-points-{position}",
            title=words(N_("Points of {feature}"), feature=name),
            description=words.sentences(
                f"{row['bin']}: {count_text(int(row['points']))}" for row in frame.to_dict("records")
            ),
        )
        charts.append((name, picture))
    return charts


def calibration_chart(released: pd.DataFrame, exact: pd.DataFrame, words: Words) -> Html:
    """Predicted probability against observed rate, with the diagonal of perfect agreement.

    Args:
        released: columns `predicted`, `observed`, `low`, `high`: points with their intervals.
        exact: columns `predicted`, `observed`: a thin line, for simulations only.
        words: of the reader.
    """
    import altair as alt

    known = [*(released[name] for name in ("predicted", "high")), exact["predicted"], exact["observed"]]
    top = max(0.05, *(float(each.max()) for each in known if len(each)))
    high = min(1.0, -(-top // 0.1) / 10)
    scale = alt.Scale(domain=[0, high], clamp=True)
    axis = alt.Axis(format="%", tickCount=5)
    x = alt.X("predicted:Q", scale=scale, axis=axis, title=words(N_("predicted probability")))
    y = alt.Y("observed:Q", scale=scale, axis=axis, title=words(N_("observed rate")))
    base = alt.Chart(released).encode(x=x, y=y)
    ranges = base.mark_rule(color=SPENT, strokeWidth=1.5).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    chart = (
        _diagonal(high)
        + alt.Chart(exact).mark_line(color=MUTED, strokeWidth=1.5).encode(x=x, y=y)
        + ranges
        + base.mark_point(color=SPENT, fill=SPENT, size=50, opacity=1)
    )
    shown = released if len(released) else exact
    return draw_chart(
        specification(chart, height=320),
        name="chart-calibration",
        title=words(N_("Calibration")),
        description=words.sentences(
            words(
                N_("predicted {predicted}, observed {observed}"),
                predicted=percent(row["predicted"]),
                observed=percent(row["observed"]),
            )
            for row in shown.to_dict("records")
        ),
    )


def roc_chart(roc: pd.DataFrame, area: float | None, words: Words) -> Html:
    """The ROC curve with the diagonal of chance."""
    import altair as alt

    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format="%", tickCount=5)
    curve = (
        alt.Chart(roc)
        .mark_line(color=SPENT, strokeWidth=2.5)
        .encode(
            x=alt.X("false_positive_rate:Q", scale=scale, axis=axis, title=words(N_("false positive rate"))),
            y=alt.Y("true_positive_rate:Q", scale=scale, axis=axis, title=words(N_("true positive rate"))),
            order="false_positive_rate:Q",
        )
    )
    return draw_chart(
        specification(_diagonal(1.0) + curve, height=320),
        name="chart-roc",
        title=words(N_("ROC curve")),
        description=words(
            N_("The area under the curve is {auc}; the diagonal, chance, has 0.500."),
            auc=words.figure(area),
        ),
    )


def budget_chart(every: Sequence[HolderBudget], words: Words) -> Html:
    """Stacked bars of what each holder's ledger has released, set aside and free."""
    import altair as alt

    budgets = sorted(every, key=lambda each: each.share_left)[:MOST_HOLDERS]
    kinds = [words(N_("released")), words(N_("set aside")), words(N_("left"))]
    rows = [
        {"holder": each.holder, "kind": kind, "order": position, "share": share}
        for each in budgets
        for position, (kind, share) in enumerate(zip(kinds, _shares(each), strict=True))
    ]
    extent = _extent(each.holder for each in budgets)
    chart = (
        alt.Chart(pd.DataFrame(rows, columns=["holder", "kind", "order", "share"]))
        .mark_bar(stroke="white", strokeWidth=1.5, height=alt.RelativeBandSize(0.72))
        .encode(
            x=alt.X(
                "share:Q",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5),
                title=words(N_("share of the holder's budget")),
            ),
            y=alt.Y(
                "holder:N",
                sort=None,
                title=None,
                axis=alt.Axis(
                    minExtent=extent, maxExtent=extent, labelLimit=extent - 8, grid=False, zindex=1
                ),
            ),
            color=alt.Color(
                "kind:N",
                sort=kinds,
                title=None,
                scale=alt.Scale(domain=kinds, range=[SPENT, RESERVED, LEFT]),
                legend=alt.Legend(orient="top", symbolType="square"),
            ),
            order="order:Q",
        )
    )
    return draw_chart(
        specification(chart, height=28 * len(budgets) + 84),
        name="chart-budget",
        title=words(N_("Privacy budget of each holder")),
        description=words.sentences(
            words(
                N_("{holder}: {released} released, {reserved} set aside, {left} left"),
                holder=each.holder,
                released=percent(each.share_released),
                reserved=percent(each.share_reserved),
                left=percent(each.share_left),
            )
            for each in budgets
        ),
    )


def _shares(budget: HolderBudget) -> tuple[float, float, float]:
    return budget.share_released, budget.share_reserved, budget.share_left


def _bars(frame: pd.DataFrame, most: int, extent: int, title: str) -> Chart:
    """Horizontal bars with their figure at the end; bins keep their order, equal labels stay apart."""
    import altair as alt

    scale = alt.Scale(domain=[0, most * 1.12], nice=False)
    texts = {str(row["position"]): label_lines(str(row["bin"])) for row in frame.to_dict("records")}
    label = f"{json.dumps(texts)}[datum.value]"
    base = alt.Chart(frame.assign(position=frame["position"].astype(str))).encode(
        y=alt.Y(
            "position:N",
            sort=None,
            title=None,
            axis=alt.Axis(
                labelExpr=label, minExtent=extent, maxExtent=extent, labelLimit=extent - 8, grid=False
            ),
        ),
        x=alt.X(
            "points:Q",
            title=title,
            scale=scale,
            axis=alt.Axis(tickCount=5),
        ),
    )
    bars = base.mark_bar(color=SPENT, height=alt.RelativeBandSize(0.68))
    ranges = base.mark_rule(color=RESERVED, strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    figures = base.mark_text(align="left", dx=5, color=INK, fontSize=LETTER).encode(
        x=alt.X("high:Q", scale=scale), text="points:Q"
    )
    return bars + ranges.transform_filter("datum.high > datum.low") + figures


def _step(labels: Iterable[str]) -> int:
    """Height of a bar's place, by the lines of the highest label."""
    return STEP + (max(len(label_lines(label)) for label in labels) - 1) * (LETTER + 2)


def _diagonal(high: float) -> Chart:
    import altair as alt

    ends = pd.DataFrame({"x": [0.0, high], "y": [0.0, high]})
    return alt.Chart(ends).mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5).encode(x="x:Q", y="y:Q")


def label_lines(label: str) -> list[str]:
    """A label on one line, or on two of about equal width where it is too long for its room."""
    places = [found.end() for found in re.finditer(r", |、| & ", label)]
    if not places or _room(label) <= ROOM:
        return [label]
    place = min(places, key=lambda at: max(_room(label[:at].rstrip()), _room(label[at:])))
    return [label[:place].rstrip(), label[place:]]


def _room(text: str) -> float:
    return sum(_width(letter) for letter in text)


def _extent(labels: Iterable[str]) -> int:
    """Room for labels in pixels, by their letters' widths, since fonts differ by machine."""
    widths = (_room(label) for label in labels)
    return 16 + min(ROOM, int(max(widths, default=40)))


def _width(letter: str) -> float:
    return LETTER if unicodedata.east_asian_width(letter) in "WF" else LETTER * 0.56


def specification(chart: Chart, *, height: int) -> dict[str, Any]:
    """The chart in the report's style, fitted into so many pixels."""
    axis = {
        "labelFontSize": LETTER,
        "titleFontSize": LETTER,
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "titlePadding": 8,
        "labelFlush": False,
    }
    made = chart.properties(width=WIDTH, height=height, autosize={"type": "fit", "contains": "padding"})
    described: dict[str, Any] = made.configure(
        font=FONTS, background="white", padding={"left": 4, "top": 6, "right": 12, "bottom": 4}
    ).to_dict()
    described["config"] |= {
        "axis": axis,
        "view": {"stroke": None},
        "legend": {"labelFontSize": LETTER, "labelColor": INK, "symbolSize": 140},
    }
    return described
