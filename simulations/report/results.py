"""The results on the page: key figures, points and rounds."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import pandas as pd

from ringfence.models.pages.charts import points_charts
from ringfence.models.pages.markup import (
    Html,
    TableColumn,
    bullets,
    element,
    joined_html,
    section,
    table,
)
from ringfence.models.pages.words import Words, count_text, epsilon_text, fixed_point, rounded, small
from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import RunFacts
from ringfence.simulations.report.quality import interval


def cards(facts: RunFacts, words: Words) -> Html:
    """The key figures, each with what it is about."""
    honest, overlap = facts.privacy["honest_shares"], facts.privacy["overlap"]
    total = len(facts.present) + len(facts.absent)
    repeated = int((facts.rounds["attempts"] - 1).sum())
    auc = None if facts.figures is None else facts.figures.auc
    exact = words(N_("{auc} exact, in a simulation only"), auc=words.figure(facts.metrics["auc"]))
    quality = (
        "AUC",
        words.figure(None if auc is None else auc.value),
        joined_html(
            [
                words(N_("released; 95 % interval {interval}. "), interval=interval(auc))
                if auc is not None
                else words(N_("the study released none. ")),
                element("small", exact),
            ]
        ),
    )
    asked = (words(N_("tables")), count_text(len(facts.tables)), words(N_("released, with intervals")))
    shown = [
        asked if facts.tables else quality,
        (
            words(N_("ε (epsilon)")),
            epsilon_text(facts.epsilon_run),
            words(N_("a customer, over all holders, k = {overlap}"), overlap=overlap),
        ),
        (
            words(N_("δ (delta)")),
            small(Decimal(str(facts.privacy["delta"]))),
            words(N_("probability outside the factor")),
        ),
        (words(N_("honest (h)")), str(honest), words(N_("shares of noise are counted on"))),
        (
            words(N_("holders")),
            count_text(len(facts.present)),
            words(N_("of {count} in the study"), count=count_text(total)),
        ),
        (
            words(N_("rounds")),
            count_text(len(facts.rounds)),
            words(N_("attempts repeated: {count}"), count=count_text(repeated)),
        ),
        (words(N_("seconds")), fixed_point(facts.seconds, 1), words.fixed(facts.runner)),
    ]
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value), element("dd", note, class_="note"))
            for name, value, note in shown
        ),
        class_="cards",
    )


def tables_section(facts: RunFacts, words: Words) -> Html:
    """What was asked; the answers are files of the result, with a page of their own."""
    return section(
        "tables",
        words(N_("The tables")),
        element("p", words(N_("Each question is answered in a table of its own, in the result's files."))),
        bullets(facts.tables),
    )


def points_section(facts: RunFacts, words: Words) -> Html:
    """The strongest features as small charts on one scale, and the whole card as a table."""
    if facts.points.empty:
        told = words(N_("The study releases a network, which has no points; it is a file of weights."))
        return section("points", words(N_("The model")), element("p", told))
    titles = {each.name: each.zh if words.language == "zh-CN" else each.en for each in facts.features}
    charts = [
        element(
            "figure",
            element("h3", name),
            element("p", titles.get(name, ""), class_="note"),
            element("div", picture, class_="picture"),
        )
        for name, picture in points_charts(facts.points, words)
    ]
    return section(
        "points",
        words(N_("The scorecard")),
        element(
            "p",
            words(
                N_(
                    "A customer starts at {base} points and adds those of one bin of each feature, and of "
                    "one cell of each pair of features that matter together (×). 500 points are even odds of "
                    "“{label} = {positive}”, 20 points double the odds. Shown are the {count} whose points "
                    "differ most; the table has all of them."
                ),
                base=count_text(facts.base_points),
                label=facts.label,
                positive=words.fixed(facts.positive),
                count=len(charts),
            ),
        ),
        element(
            "p",
            words(
                N_(
                    "Points are whole numbers that add up to a customer's score; against the weights a sum "
                    "is off by at most {rounding} points. A value on an edge belongs to the bin that begins "
                    "there. The lines on the bars, ± in the table, are 95 % ranges of the noise and of "
                    "chance."
                ),
                rounding=rounded(facts.rounding, 1, ROUND_CEILING),
            ),
        ),
        element("div", *charts, class_="multiples"),
        _points(facts, words),
    )


def _points(facts: RunFacts, words: Words) -> Html:
    """The whole card."""
    columns = [
        TableColumn(title=words(N_("Feature"))),
        TableColumn(title=words(N_("Bin"))),
        TableColumn(title=words(N_("Weight (log odds)")), figures=True),
        TableColumn(title=words(N_("Points")), figures=True),
        TableColumn(title="±", figures=True),
    ]
    rows = [
        (
            str(row["feature"]),
            words.bin(str(row["bin"])),
            fixed_point(float(row["weight"]), 4),
            count_text(int(row["points"])),
            "–" if pd.isna(row["plus_minus"]) else count_text(int(row["plus_minus"])),
        )
        for row in facts.points.to_dict("records")
    ]
    return element(
        "details",
        element("summary", words(N_("Points of every feature, {count} bins"), count=count_text(len(rows)))),
        table(words(N_("The released scorecard")), columns, rows, form="wide"),
    )


def rounds_section(facts: RunFacts, words: Words) -> Html:
    """What was summed, round by round."""
    columns = [
        TableColumn(title=words(N_("Round"))),
        TableColumn(title=words(N_("Numbers in the sum")), figures=True),
        TableColumn(title=words(N_("Attempts")), figures=True),
    ]
    rows = [
        (str(row["round"]), count_text(int(row["entries"])), count_text(int(row["attempts"])))
        for row in facts.rounds.to_dict("records")
    ]
    return section(
        "rounds",
        words(N_("Rounds")),
        element(
            "p",
            words(
                N_(
                    "Each round is one secure sum. An attempt that some holder did not answer is void; it is "
                    "paid for all the same."
                )
            ),
        ),
        element(
            "details",
            element("summary", words(N_("All {count} rounds"), count=count_text(len(rows)))),
            table(words(N_("Secure sums of the run")), columns, rows),
        ),
    )
