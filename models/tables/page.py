"""The released tables as one HTML page in English and Chinese: no script, no request; chart, table, notes."""

from __future__ import annotations

from ringfence.models.pages.markup import (
    CONTENT_POLICY,
    Html,
    TableColumn,
    bullets,
    element,
    figure,
    joined_html,
    section,
    table,
    trusted,
)
from ringfence.models.pages.words import Language, Words, count_text
from ringfence.models.tables.bars import MOST_BARS, Bar, bar_chart
from ringfence.models.tables.disclosure import REASONS
from ringfence.models.tables.noisy import CUSTOMERS, NoisyFigure, NoisyRow, NoisyTable, day_text, significant
from ringfence.models.tables.told import ToldTables
from ringfence.privacy.agreements.purposes import catalogue
from ringfence.privacy.errors import N_
from ringfence.privacy.release.artefact import ColumnRule, ResultFile

PAGES: tuple[tuple[str, Language], ...] = (("tables.html", "en"), ("tables-zh.html", "zh-CN"))
MOST_LINES = 500
# From here on decimals are beyond the digits that the noise allows.
LARGE = 1e5

_TITLES = {
    "count": N_("How many customers"),
    "histogram": N_("How customers are spread"),
    "sum": N_("Sum"),
    "mean": N_("Mean"),
    "quantiles": N_("Quantiles"),
    "top": N_("The most frequent"),
    "distinct": N_("Distinct customers"),
    "correlations": N_("Correlations"),
}
_COLUMNS = {
    "customers": N_("customers"),
    "mean": N_("mean"),
    "sum": N_("sum"),
    "distinct": N_("distinct customers"),
    "quantile": N_("value"),
    "correlation": N_("correlation"),
    "percent": N_("percent of customers below"),
    "first": N_("one number"),
    "second": N_("other number"),
}
_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f4f6f8; color: #1b2733; overflow-wrap: break-word;
  font: 16px/1.55 system-ui, "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; }
header, main, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.5rem; }
h1 { font-size: 1.8rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin: 0 0 .75rem; }
section { background: #fff; border: 1px solid #d3dae1; border-radius: .5rem; padding: 1.5rem;
  margin: 0 0 1.25rem; }
.frame { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9375rem; }
caption { text-align: left; color: #4a5a6a; font-size: .875rem; }
th, td { padding: .4rem .75rem; border-bottom: 1px solid #d3dae1; text-align: left; vertical-align: top; }
.figure { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1rem; }
svg { max-width: 100%; height: auto; }
a { color: #0b4f8a; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: #fff; }
"""


def page_files(release: ToldTables) -> tuple[ResultFile, ...]:
    """The page in both languages, with what the export gate has to know of its columns."""
    return tuple(
        ResultFile(
            name=name,
            kind="html",
            content=rendered(release, language).encode(),
            columns=_rules(release, Words.of(language)),
            cohort=release.cohort,
        )
        for name, language in PAGES
    )


def rendered(release: ToldTables, language: Language) -> str:
    """The whole page."""
    words = Words.of(language)
    title = words(N_("Tables of the study {study}"), study=release.study)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", trusted(_STYLE)),
    )
    body = element(
        "body",
        element("a", words(N_("Skip to the content")), href="#content", class_="skip"),
        element("header", element("h1", title), _preface(release, words)),
        element(
            "main",
            *(_table(each, release, words) for each in release.tables),
            _limits(words),
            id="content",
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang=language) + "\n"


def _preface(release: ToldTables, words: Words) -> Html:
    purpose = catalogue()[release.purpose]
    series = words(
        N_(
            " That is one run of a series of {runs}; all its runs together, with every attempt, cost ε = "
            "{composed}."
        ),
        runs=release.runs,
        composed=release.composed,
    )
    return element(
        "p",
        words(
            N_(
                "Purpose: {purpose}. Noisy sums over {holders} holders; the price of all tables together is "
                "ε = {epsilon} at δ = {delta} for a customer. Each interval holds the exact value of the "
                "bounded quantity in 95 % of draws of the noise."
            ),
            purpose=purpose.zh if words.language == "zh-CN" else purpose.en,
            holders=release.holders,
            epsilon=release.epsilon,
            delta=release.delta,
        ),
        series if release.runs else "",
    )


def _table(made: NoisyTable, release: ToldTables, words: Words) -> Html:
    heading = words(
        N_("{title}: {question}"),
        title=words(_TITLES.get(made.kind, "{kind}"), kind=made.kind),
        question=made.question,
    )
    lines = [
        words(
            N_("Noise in one count: standard deviation {deviation} customers."),
            deviation=f"{made.deviation:.3g}",
        )
    ]
    lines += [
        words(
            N_("Lines: {count}, {reason}."), count=count, reason=words(REASONS[why], threshold=made.threshold)
        )
        for why, count in made.hidden.items()
        if why
    ]
    if len(made.rows) > MOST_LINES:
        lines.append(
            words(
                N_("The first {most} of {count} lines; all are in the files."),
                most=MOST_LINES,
                count=count_text(len(made.rows)),
            )
        )
    bars = [bar for row in made.rows if (bar := _bar(row, made, words)) is not None]
    figures = _figures(made, release, words)
    picture = (
        bar_chart(
            bars,
            name=f"chart-{made.name}",
            title=heading,
            description=words.sentences(f"{bar.label}: {bar.text}" for bar in bars[:MOST_BARS]),
        )
        if bars
        else Html("")
    )
    shown = figure(picture, words(N_("The figures as a table")), figures) if bars else figures
    return section(made.name, heading, shown, bullets(lines))


def _bar(row: NoisyRow, made: NoisyTable, words: Words) -> Bar | None:
    """A line's last figure, which is what was asked for."""
    if not row.figures:
        return None
    found = row.figures[-1]
    return Bar(
        label=_label(row, words),
        value=found.value,
        low=found.low,
        high=found.high,
        text=_value(made, made.measures[-1], found.value),
    )


def _label(row: NoisyRow, words: Words) -> str:
    if not row.group:
        return words(N_("all customers"))
    return " · ".join(words.bin(each) for each in row.group)


def _value(made: NoisyTable, measure: str, value: float) -> str:
    if measure in made.days:
        return day_text(value)
    if measure in (CUSTOMERS, "distinct"):
        return count_text(round(value))
    return number_text(significant(value))


def number_text(value: float) -> str:
    """A number without an exponent, which would read like a telephone number to the export gate."""
    whole = f"{abs(value):,.0f}" if abs(value) >= LARGE else f"{abs(value):,.6f}".rstrip("0").rstrip(".")
    return f"\N{MINUS SIGN}{whole}" if value < 0 and whole != "0" else whole


def _figures(made: NoisyTable, release: ToldTables, words: Words) -> Html:
    groups = [_heading(name, release, words) for name in made.by] or [words(N_("group"))]
    columns = [
        *(TableColumn(title=name) for name in groups),
        *(TableColumn(title=words(_COLUMNS[name]), figures=True) for name in made.measures),
    ]
    rows = [
        [
            *([words.bin(each) for each in row.group] or [words(N_("all customers"))]),
            *(
                _cell(made, name, row.figures[place] if row.figures else None)
                for place, name in enumerate(made.measures)
            ),
        ]
        for row in made.rows[:MOST_LINES]
    ]
    return table(words(N_("Value (95 % interval); – is not shown")), columns, rows)


def _heading(name: str, release: ToldTables, words: Words) -> str:
    if name in release.titles:
        titles = [each[1 if words.language == "zh-CN" else 0] for each in release.titles.values()]
        title = release.titles[name][1 if words.language == "zh-CN" else 0]
        return title if titles.count(title) == 1 else name
    return words(_COLUMNS[name]) if name in _COLUMNS else name


def _cell(made: NoisyTable, measure: str, found: NoisyFigure | None) -> Html:
    if found is None:
        return joined_html(["–"])
    # Two numbers with a dash between them read like a telephone number to the export gate.
    ends = f"({_value(made, measure, found.low)} … {_value(made, measure, found.high)})"
    return joined_html([_value(made, measure, found.value), " ", element("small", ends)])


def _limits(words: Words) -> Html:
    return section(
        "limits",
        words(N_("What the tables are of")),
        bullets(
            [
                words(
                    N_("Customers who consent to the purpose, with values clipped to the schema's bounds.")
                ),
                words(N_("A customer of several holders counts at each of them.")),
                words(
                    N_(
                        "Which lines are shown was decided by noisy counts and by what was asked, never by "
                        "exact counts."
                    )
                ),
            ]
        ),
    )


def _rules(release: ToldTables, words: Words) -> tuple[ColumnRule, ...]:
    """The headings of the page's tables; the small-cell rules read its counts as they are written."""
    rules: dict[str, ColumnRule] = {}
    for made in release.tables:
        for name in made.by:
            heading = _heading(name, release, words)
            quasi = name in made.quasi
            rules[heading] = ColumnRule(name=heading, sensitivity="quasi" if quasi else "plain", count=False)
        for name in made.measures:
            heading = words(_COLUMNS[name])
            counts = None if name == CUSTOMERS else False
            rules[heading] = ColumnRule(name=heading, sensitivity="plain", count=counts, amount=True)
    group = words(N_("group"))
    rules.setdefault(group, ColumnRule(name=group, sensitivity="plain"))
    return tuple(rules.values())
