"""The figures of the privacy benchmarks as tables: once as a page with plots, once as Markdown for documents.

Both are made from the same rows, so they cannot tell different stories. The page loads nothing and runs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ringfence.models.pages.markup import CONTENT_POLICY, Html, TableColumn, element, section, table, trusted

METHODS = {
    "central": "scorecard, central",
    "distributed-10": "scorecard, 10 holders",
    "distributed-3": "scorecard, 3 holders",
    "local-10": "scorecard, 10 holders, local noise",
    "dp-ebm": "DP-EBM",
}
# Six values of epsilon with their errors stand side by side.
WIDE_TABLES = "\ntable { font-size: 0.8rem; }\ntable th, table td { padding-inline: 0.3rem; }\n"
COLOURS = ("#0b4f8a", "#3f88c5", "#1b7f5c", "#7d8b99", "#b4540a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table: a name for links, a title, what to know, headings, and rows of texts."""

    name: str
    title: str
    note: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(report: Mapping[str, Any]) -> Iterator[Sheet]:
    """All tables of a report, in the order they are shown."""
    parts = report["parts"]
    for name, found in parts["scorecard"]["tables"].items():
        yield _accuracy(name, found, parts["scorecard"])
    yield _differences(parts["scorecard"])
    yield _scale(parts["scale"])
    yield _stages(parts["scale"])
    yield _engines(parts["engines"])
    yield _rates(parts)


def markdown(report: Mapping[str, Any]) -> str:
    """The tables as Markdown, without a heading of the first level."""
    lines = []
    for sheet in sheets(report):
        lines += [f"### {sheet.title}", "", sheet.note, ""]
        lines.append("| " + " | ".join(sheet.headings) + " |")
        lines.append("|" + "|".join(["---"] + ["---:"] * (len(sheet.headings) - 1)) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in sheet.rows]
        lines.append("")
    machine = report["machine"]
    lines.append(
        f"Measured on {machine['processors']} processors ({machine['architecture']}), Python "
        f"{machine['python']}."
    )
    return "\n".join(lines) + "\n"


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    style = resources.files("ringfence.simulations.report").joinpath("style.css").read_text(encoding="utf-8")
    machine = report["machine"]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", "Benchmarks of the privacy engine"),
        element("style", trusted(style + WIDE_TABLES)),
    )
    pictures = dict(_pictures(report))
    body = element(
        "body",
        element(
            "header",
            element("p", "Ringfence", class_="brand"),
            element("h1", "Benchmarks of the privacy engine"),
            element(
                "p",
                f"Measured on {machine['processors']} processors ({machine['architecture']}), Python "
                f"{machine['python']}. Peers ran in the same process, in turns.",
            ),
        ),
        element("main", *(_shown(sheet, pictures.get(sheet.name)) for sheet in sheets(report))),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _shown(sheet: Sheet, picture: Html | None) -> Html:
    columns = [
        TableColumn(title=heading, figures=bool(place)) for place, heading in enumerate(sheet.headings)
    ]
    figure = [] if picture is None else [element("figure", element("div", picture, class_="picture"))]
    made = table(sheet.title, columns, sheet.rows, form="wide")
    return section(sheet.name, sheet.title, element("p", sheet.note), *figure, made)


def _accuracy(name: str, found: Mapping[str, Any], measured: Mapping[str, Any]) -> Sheet:
    epsilons = list(found["epsilon"])
    rows = [
        (title, *(_mean(found["epsilon"][epsilon].get(method)) for epsilon in epsilons))
        for method, title in METHODS.items()
        if any(method in found["epsilon"][epsilon] for epsilon in epsilons)
    ]
    worst = tuple(f"{found['epsilon'][epsilon]['central']['worst']:.4f}" for epsilon in epsilons)
    rows.append(("scorecard, central, worst single draw", *worst))
    rows += [
        (f"{title}, no privacy", *([_mean(value)] * len(epsilons)))
        for title, value in found["without_privacy"].items()
    ]
    return Sheet(
        name=f"accuracy-{name.replace('_', '-')}",
        title=f"AUC on {name}",
        note=f"Mean over {measured['splits']} random 80/20 splits with {measured['draws']} draw(s) of noise "
        f"each, and its standard error; delta {measured['delta']:g}. Every method saw the same splits.",
        headings=("method", *(f"epsilon {epsilon}" for epsilon in epsilons)),
        rows=tuple(rows),
    )


def _differences(measured: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            f"{name}, {METHODS[method]}",
            *(_signed(found["epsilon"][e].get(method, {}).get("against_central")) for e in found["epsilon"]),
        )
        for name, found in measured["tables"].items()
        for method in METHODS
        if method != "central" and any(method in each for each in found["epsilon"].values())
    ]
    first = next(iter(measured["tables"].values()))
    return Sheet(
        name="differences",
        title="Against the central scorecard on the same splits",
        note="Paired differences of AUC and their standard errors.",
        headings=("table and method", *(f"epsilon {epsilon}" for epsilon in first["epsilon"])),
        rows=tuple(rows),
    )


def _scale(measured: Mapping[str, Any]) -> Sheet:
    rows = tuple(
        (
            _sized(each),
            f"{each['seconds']:.2f}",
            f"{each['processor_seconds']:.2f}",
            f"{each['peak_rss_mb']:,.0f}",
        )
        for each in measured["fits"]
    )
    return Sheet(
        name="scale",
        title="One whole study",
        note=f"{measured['holders']} holders, {measured['columns']} columns, epsilon 1: offer, tables, "
        "consent, all secure sums, evaluation, farewell, in one process.",
        headings=("size", "seconds", "of processor", "MB at most"),
        rows=rows,
    )


def _sized(each: Mapping[str, Any]) -> str:
    return f"{each['rows']:,} rows, stores {'on disk' if each['profile'] == 'durable' else 'in memory'}"


def _stages(measured: Mapping[str, Any]) -> Sheet:
    """Where the time of whole studies goes."""
    fits = measured["fits"]
    names = list(dict.fromkeys(name for each in fits for name in each["stages"]))
    return Sheet(
        name="stages",
        title="Where a whole study's time goes",
        note="Seconds of the processor by stage, all holders together.",
        headings=("stage", *(_sized(each) for each in fits)),
        rows=tuple((name, *(_spent(each["stages"].get(name)) for each in fits)) for name in names),
    )


def _spent(stage: Mapping[str, float] | None) -> str:
    return f"{stage['processor_seconds']:.2f}" if stage else "–"


def _engines(measured: Mapping[str, Any]) -> Sheet:
    rows = tuple(
        (
            name.replace(" ", ", batch "),
            f"{step['ours_ms']:.2f}",
            f"{step['opacus_ms']:.2f}",
            f"{step['ratio']:.1f}",
            f"{measured['goals'].get(name, 0):.0f}",
            f"{step['engine_ratio']:.1f}",
            f"{step['noise_share']:.0%}",
        )
        for name, step in measured["steps"].items()
    )
    return Sheet(
        name="engines",
        title="One private step of a network, one thread",
        note="Milliseconds from sample to new weights, with the same safe noise in both; Opacus by its "
        "hooks.",
        headings=("network", "ours", "Opacus", "ratio", "asked", "engine alone", "noise in our step"),
        rows=rows,
    )


def _rates(parts: Mapping[str, Any]) -> Sheet:
    noise, masks, total = parts["noise"], parts["masks"], parts["secure_sum"]
    rows = (
        ("noise, scale up to 4,096, M samples/s", f"{noise['least']['up_to_4096'] / 1e6:.1f}", "4.0"),
        ("noise, larger scales, M samples/s", f"{noise['least']['above_4096'] / 1e6:.1f}", "1.5"),
        ("noise against OpenDP, least ratio", f"{min(noise['ratio'].values()):.0f}", "–"),
        ("masks, G words/s", f"{masks['masks_32'] / 1e9:.2f}", "0.80"),
        ("masks against AES-256-CTR alone", f"{masks['ratio']['cipher']:.0%}", "–"),
        ("masks against Flower's generator, ratio", f"{masks['ratio']['long']:.1f}", "20"),
        (
            f"secure sum, {total['words'] / 1e6:.0f} M words, {total['holders']} holders, seconds",
            f"{total['seconds']:.2f}",
            "0.50",
        ),
        ("the same on the processor, seconds", f"{total['processor_seconds']['all']:.2f}", "–"),
    )
    return Sheet(
        name="rates",
        title="Noise, masks and secure sums, one core",
        note="Rates are per second of the processor.",
        headings=("what", "measured", "asked"),
        rows=rows,
    )


def _pictures(report: Mapping[str, Any]) -> Iterator[tuple[str, Html]]:
    """A plot of AUC against epsilon for every table, and of time against rows."""
    for name, found in report["parts"]["scorecard"]["tables"].items():
        yield f"accuracy-{name.replace('_', '-')}", _auc_plot(name, found)
    yield "scale", _scale_plot(report["parts"]["scale"])


def _auc_plot(name: str, found: Mapping[str, Any]) -> Html:
    import altair as alt
    import pandas as pd

    from ringfence.models.pages.charts import specification
    from ringfence.models.pages.svg import draw_chart

    rows = [
        {
            "epsilon": epsilon,
            "method": METHODS[method],
            "auc": value["mean"],
            "low": value["mean"] - 2 * value["standard_error"],
            "high": value["mean"] + 2 * value["standard_error"],
        }
        for epsilon, methods in found["epsilon"].items()
        for method, value in methods.items()
        if method in METHODS
    ]
    colours = {
        title: colour
        for title, colour in zip(METHODS.values(), COLOURS, strict=True)
        if any(row["method"] == title for row in rows)
    }
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("epsilon:O", sort=list(found["epsilon"]), title="epsilon", axis=alt.Axis(labelAngle=0)),
        color=alt.Color(
            "method:N",
            sort=list(colours),
            title=None,
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            legend=alt.Legend(orient="bottom", columns=2, labelLimit=0),
        ),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("auc:Q", scale=alt.Scale(zero=False), title="AUC, mean and two standard errors")
    )
    bars = base.mark_rule().encode(y="low:Q", y2="high:Q")
    return draw_chart(
        specification(bars + lines, height=320),
        name=f"auc-{name.replace('_', '-')}",
        title=f"AUC against epsilon on {name}",
        description="The table below has the same figures.",
    )


def _scale_plot(measured: Mapping[str, Any]) -> Html:
    import altair as alt
    import pandas as pd

    from ringfence.models.pages.charts import specification
    from ringfence.models.pages.svg import draw_chart

    rows = [
        {"rows": each["rows"] / 1000, "seconds": each["processor_seconds"]}
        for each in measured["fits"]
        if each["profile"] == "simulation"
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point=True, color=COLOURS[0])
        .encode(
            x=alt.X("rows:Q", title="thousand rows, all holders"),
            y=alt.Y("seconds:Q", title="seconds of processor"),
        )
    )
    return draw_chart(
        specification(chart, height=240),
        name="scale-plot",
        title="Seconds of processor against rows",
        description="The table below has the same figures.",
    )


def _mean(value: Mapping[str, float] | None) -> str:
    return "–" if value is None else f"{value['mean']:.4f} ± {value['standard_error']:.4f}"


def _signed(value: Mapping[str, float] | None) -> str:
    return "–" if value is None else f"{value['mean']:+.4f} ± {value['standard_error']:.4f}"
