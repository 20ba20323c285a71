"""The charts of the report, as Altair specifications over the facts, drawn to SVG.

Colours keep a contrast of at least 3:1 to the white ground and to each other's edge (WCAG 2.2, 1.4.11), differ in
lightness as well as in hue, and never carry a meaning alone: order, labels and the table under each chart say the same.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import HolderBudget, RunFacts
from ringfence.simulations.report.markup import Html
from ringfence.simulations.report.svg import FONTS, draw
from ringfence.simulations.report.words import Words, fixed_point, percent, whole

if TYPE_CHECKING:
    import altair as alt

# Altair's chart classes are many; what they have in common here is `to_dict`.
Chart: TypeAlias = "alt.Chart | alt.LayerChart | alt.FacetChart"

INK, MUTED, GRID = "#1b2733", "#4a5a6a", "#d9e0e7"
SPENT, RESERVED, LEFT = "#0b4f8a", "#b4540a", "#7d8b99"
WIDTH, STEP, LETTER = 440, 24, 12
STRONGEST = 6
MOST_HOLDERS = 20


def strongest(points: pd.DataFrame, most: int = STRONGEST) -> list[str]:
    """Names of the features whose points differ most between bins, the widest first."""
    spans = points.groupby("feature", sort=False)["points"].agg(lambda each: each.max() - each.min())
    return [str(name) for name in spans.sort_values(ascending=False, kind="stable").index[:most]]


def points_charts(facts: RunFacts, words: Words) -> list[tuple[str, Html]]:
    """One bar chart a feature, all on one scale, for the strongest features.

    Returns:
        Name and picture, the strongest first.
    """
    names = strongest(facts.points)
    shown = facts.points[facts.points["feature"].isin(names)]
    labels = {label: words.bin(str(label)) for label in shown["bin"].unique()}
    extent = _extent(labels.values())
    most = int(shown["points"].max()) if len(shown) else 1
    charts = []
    for position, name in enumerate(names):
        rows = shown[shown["feature"] == name]
        frame = pd.DataFrame(
            {
                "position": range(len(rows)),
                "bin": rows["bin"].map(labels).tolist(),
                "points": rows["points"].tolist(),
            }
        )
        picture = draw(
            specification(
                _bars(frame, max(1, most), extent, words(N_("points"))), height=STEP * len(frame) + 46
            ),
            name=f"chart-points-{position}",
            title=words(N_("Points of {feature}"), feature=name),
            description=words.sentences(
                f"{row['bin']}: {whole(int(row['points']))}" for row in frame.to_dict("records")
            ),
        )
        charts.append((name, picture))
    return charts


def calibration_chart(facts: RunFacts, words: Words) -> Html:
    """Predicted probability against observed rate, with the diagonal of perfect agreement."""
    import altair as alt

    frame = facts.calibration
    top = max(0.05, *(float(frame[name].max()) for name in ("predicted", "observed"))) if len(frame) else 1.0
    high = min(1.0, -(-top // 0.1) / 10)
    scale = alt.Scale(domain=[0, high])
    axis = alt.Axis(format="%", tickCount=5)
    base = alt.Chart(frame).encode(
        x=alt.X("predicted:Q", scale=scale, axis=axis, title=words(N_("predicted probability"))),
        y=alt.Y("observed:Q", scale=scale, axis=axis, title=words(N_("observed rate"))),
    )
    chart = (
        _diagonal(high)
        + base.mark_line(color=SPENT, strokeWidth=2)
        + base.mark_point(color=SPENT, fill=SPENT, size=50, opacity=1)
    )
    return draw(
        specification(chart, height=320),
        name="chart-calibration",
        title=words(N_("Calibration")),
        description=words.sentences(
            words(N_("predicted {predicted}, observed {observed}"), predicted=percent(row["predicted"]),
                  observed=percent(row["observed"]))
            for row in frame.to_dict("records")
        ),
    )  # fmt: skip


def roc_chart(facts: RunFacts, words: Words) -> Html:
    """The ROC curve with the diagonal of chance."""
    import altair as alt

    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format="%", tickCount=5)
    curve = (
        alt.Chart(facts.roc)
        .mark_line(color=SPENT, strokeWidth=2.5)
        .encode(
            x=alt.X("false_positive_rate:Q", scale=scale, axis=axis, title=words(N_("false positive rate"))),
            y=alt.Y("true_positive_rate:Q", scale=scale, axis=axis, title=words(N_("true positive rate"))),
            order="false_positive_rate:Q",
        )
    )
    return draw(
        specification(_diagonal(1.0) + curve, height=320),
        name="chart-roc",
        title=words(N_("ROC curve")),
        description=words(
            N_("The area under the curve is {auc}; the diagonal, chance, has 0.500."),
            auc=fixed_point(facts.metrics["auc"]),
        ),
    )


def budget_chart(facts: RunFacts, words: Words) -> Html:
    """Stacked bars of what each holder's ledger has released, set aside and free."""
    import altair as alt

    budgets = sorted(facts.budgets, key=lambda each: each.share_left)[:MOST_HOLDERS]
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
            x=alt.X("share:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5),
                    title=words(N_("share of the holder's budget"))),
            y=alt.Y("holder:N", sort=None, title=None,
                    axis=alt.Axis(minExtent=extent, maxExtent=extent, labelLimit=extent - 8, grid=False, zindex=1)),
            color=alt.Color("kind:N", sort=kinds, title=None,
                            scale=alt.Scale(domain=kinds, range=[SPENT, RESERVED, LEFT]),
                            legend=alt.Legend(orient="top", symbolType="square")),
            order="order:Q",
        )
    )  # fmt: skip
    return draw(
        specification(chart, height=28 * len(budgets) + 84),
        name="chart-budget",
        title=words(N_("Privacy budget of each holder")),
        description=words.sentences(
            words(N_("{holder}: {released} released, {reserved} set aside, {left} left"), holder=each.holder,
                  released=percent(each.share_released), reserved=percent(each.share_reserved),
                  left=percent(each.share_left))
            for each in budgets
        ),
    )  # fmt: skip


def _shares(budget: HolderBudget) -> tuple[float, float, float]:
    return budget.share_released, budget.share_reserved, budget.share_left


def _bars(frame: pd.DataFrame, most: int, extent: int, title: str) -> Chart:
    """Horizontal bars with their figure at the end; bins keep their order, equal labels stay apart."""
    import altair as alt

    texts = {str(row["position"]): str(row["bin"]) for row in frame.to_dict("records")}
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
            scale=alt.Scale(domain=[0, most * 1.12], nice=False),
            axis=alt.Axis(tickCount=5),
        ),
    )
    bars = base.mark_bar(color=SPENT, height=alt.RelativeBandSize(0.68))
    figures = base.mark_text(align="left", dx=4, color=INK, fontSize=LETTER).encode(text="points:Q")
    return bars + figures


def _diagonal(high: float) -> Chart:
    import altair as alt

    ends = pd.DataFrame({"x": [0.0, high], "y": [0.0, high]})
    return alt.Chart(ends).mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5).encode(x="x:Q", y="y:Q")


def _extent(labels: Iterable[str]) -> int:
    """Room for labels in pixels, by the width of their letters; not left to fonts, which differ by machine."""
    widths = (sum(_width(letter) for letter in label) for label in labels)
    return min(170, 16 + int(max(widths, default=40)))


def _width(letter: str) -> float:
    return LETTER if unicodedata.east_asian_width(letter) in "WF" else LETTER * 0.56


def specification(chart: Chart, *, height: int) -> dict[str, Any]:
    """The chart in the report's style, fitted into so many pixels."""
    axis = {
        "labelFontSize": LETTER, "titleFontSize": LETTER, "labelColor": INK, "titleColor": INK,
        "titleFontWeight": "normal", "gridColor": GRID, "domainColor": MUTED, "tickColor": MUTED, "titlePadding": 8, "labelFlush": False,
    }  # fmt: skip
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
