"""The results on the page: key figures, points, calibration, ROC and rounds, each chart with its table."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ringfence.privacy.errors import N_
from ringfence.simulations.report.charts import calibration_chart, points_charts, roc_chart
from ringfence.simulations.report.facts import RunFacts
from ringfence.simulations.report.markup import Column, Html, element, section, table
from ringfence.simulations.report.words import Words, fixed_point, percent, price, small, whole


def figure(picture: Html, summary: str, figures: Html) -> Html:
    """A chart and, folded under it, the table that says the same."""
    return element(
        "figure",
        element("div", picture, class_="picture"),
        element("details", element("summary", summary), figures),
    )


def cards(facts: RunFacts, words: Words) -> Html:
    """The key figures, each with what it is about."""
    honest, overlap = facts.privacy["honest_shares"], facts.privacy["overlap"]
    total = len(facts.present) + len(facts.absent)
    repeated = int((facts.rounds["attempts"] - 1).sum())
    shown = [
        (
            "AUC",
            fixed_point(facts.metrics["auc"]) if facts.test_customers else "–",
            words.fixed(facts.metrics_kind),
        ),
        (
            words(N_("ε (epsilon)")),
            price(facts.epsilon_run),
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
            whole(len(facts.present)),
            words(N_("of {count} in the study"), count=whole(total)),
        ),
        (
            words(N_("rounds")),
            whole(len(facts.rounds)),
            words(N_("{count} attempts repeated"), count=whole(repeated)),
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


def points_section(facts: RunFacts, words: Words) -> Html:
    """The strongest features as small charts on one scale, and the whole card as a table."""
    titles = {each.name: each.zh if words.language == "zh-CN" else each.en for each in facts.features}
    charts = [
        element(
            "figure",
            element("h3", name),
            element("p", titles.get(name, ""), class_="note"),
            element("div", picture, class_="picture"),
        )
        for name, picture in points_charts(facts, words)
    ]
    columns = [
        Column(title=words(N_("Feature"))),
        Column(title=words(N_("Bin"))),
        Column(title=words(N_("Weight (log odds)")), figures=True),
        Column(title=words(N_("Points")), figures=True),
    ]
    rows = [
        (
            str(row["feature"]),
            words.bin(str(row["bin"])),
            fixed_point(float(row["weight"]), 4),
            whole(int(row["points"])),
        )
        for row in facts.points.to_dict("records")
    ]
    return section(
        "points",
        words(N_("The scorecard")),
        element("p", words(
            N_("A customer starts at {base} points and adds those of one bin of each feature, and of one cell of each pair "
               "of features that matter together (×). 500 points are even odds of “{label} = {positive}”, 20 points double "
               "the odds. Shown are the {count} whose points differ most; the table has all of them."),
            base=whole(facts.base_points), label=facts.label, positive=words.fixed(facts.positive), count=len(charts),
        )),
        element("div", *charts, class_="multiples"),
        element(
            "details",
            element("summary", words(N_("Points of every feature, {count} bins"), count=whole(len(rows)))),
            table(words(N_("The released scorecard")), columns, rows, form="wide"),
        ),
    )  # fmt: skip


def quality_section(facts: RunFacts, words: Words) -> Html:
    """How well the scorecard ranks and how well its probabilities fit."""
    title = words(N_("How good the scorecard is"))
    if not facts.test_customers:
        told = words(N_("The study keeps no customers aside for a test, so there are no figures."))
        return section("quality", title, element("p", told))
    return section(
        "quality",
        title,
        element("p", words(
            N_("On {count} test customers who took no part in training. These figures are {kind}: in a real run an exact "
               "figure would itself be a release without noise."),
            count=whole(facts.test_customers), kind=words.fixed(facts.metrics_kind),
        )),
        _metrics(facts, words),
        _released_figures(facts, words),
        element("div", _calibration(facts, words), _roc(facts, words), class_="multiples"),
    )  # fmt: skip


def _metrics(facts: RunFacts, words: Words) -> Html:
    meanings = {
        "auc": (
            "AUC",
            N_("A positive customer outranks a negative one with this probability; 0.5 is chance."),
        ),
        "gini": ("Gini", N_("2 AUC - 1: 0 is chance, 1 is perfect.")),
        "ks": (
            "KS",
            N_("Largest distance between the shares of positives and negatives above one threshold."),
        ),
        "pr_auc": (
            "PR-AUC",
            N_("Average precision over all thresholds; chance gives the share of positives."),
        ),
        "brier": ("Brier", N_("Mean squared error of the probabilities; lower is better.")),
    }
    columns = [
        Column(title=words(N_("Figure"))),
        Column(title=words(N_("Value")), figures=True),
        Column(title=words(N_("Meaning"))),
    ]
    rows = [
        (name, fixed_point(facts.metrics[key]), words(meaning)) for key, (name, meaning) in meanings.items()
    ]
    caption = words(N_("Figures on the test customers, {kind}"), kind=words.fixed(facts.metrics_kind))
    return table(caption, columns, rows, form="prose")


def _released_figures(facts: RunFacts, words: Words) -> Html:
    """What a real run would know: the noisy figures that the study paid for, with their intervals."""
    if facts.figures is None or not facts.figures.measurable:
        return element("p", words(
            N_("The study itself released no figure of quality: it has no test part, ended early, or the noise hides it."),
        ), class_="notice")  # fmt: skip
    columns = [
        Column(title=words(N_("Figure"))),
        Column(title=words(N_("Value")), figures=True),
        Column(title=words(N_("95 % interval")), figures=True),
    ]
    named = {
        "AUC": facts.figures.auc,
        "Gini": facts.figures.gini,
        "KS": facts.figures.ks,
        words(N_("Calibration error")): facts.figures.calibration_error,
    }
    rows = [
        (name, fixed_point(each.value), f"{fixed_point(each.low)} – {fixed_point(each.high)}")
        for name, each in named.items()
    ]
    return element("div", element("h3", words(N_("What the study released"))), element("p", words(
        N_("Two noisy histograms of scores, over test customers alone, whose price comes beside that of the training. "
           "The intervals cover the noise and the chance of who was tested."))),
        table(words(N_("Figures with differential privacy")), columns, rows))  # fmt: skip


def _calibration(facts: RunFacts, words: Words) -> Html:
    columns = [
        Column(title=words(N_("Predicted")), figures=True),
        Column(title=words(N_("Observed")), figures=True),
        Column(title=words(N_("Customers")), figures=True),
    ]
    rows = [
        (percent(row["predicted"]), percent(row["observed"]), whole(row["customers"]))
        for row in facts.calibration.to_dict("records")
    ]
    made = figure(
        calibration_chart(facts, words),
        words(N_("Figures of the calibration")),
        table(words(N_("Predicted probability and observed rate in groups of equal size")), columns, rows),
    )
    return element("div", element("h3", words(N_("Calibration"))), element("p", words(
        N_("Points on the dashed line mean that predicted and observed rates agree.")), class_="note"), made)  # fmt: skip


def _roc(facts: RunFacts, words: Words) -> Html:
    columns = [
        Column(title=words(N_("False positive rate")), figures=True),
        Column(title=words(N_("True positive rate")), figures=True),
    ]
    made = figure(
        roc_chart(facts, words),
        words(N_("Figures of the ROC curve")),
        table(words(N_("The ROC curve at selected thresholds")), columns, list(_curve(facts))),
    )
    return element("div", element("h3", words(N_("ROC curve"))), element("p", words(
        N_("The further the curve is above the dashed line, the better the ranking.")), class_="note"), made)  # fmt: skip


def _curve(facts: RunFacts) -> Iterator[tuple[str, str]]:
    """About twenty places of the curve; more would not be read."""
    step = max(1, len(facts.roc) // 20)
    last = len(facts.roc) - 1
    for position, row in enumerate(facts.roc.to_dict("records")):
        if position % step == 0 or position == last:
            yield percent(row["false_positive_rate"]), percent(row["true_positive_rate"])


def rounds_section(facts: RunFacts, words: Words) -> Html:
    """What was summed, round by round."""
    columns = [
        Column(title=words(N_("Round"))),
        Column(title=words(N_("Numbers in the sum")), figures=True),
        Column(title=words(N_("Attempts")), figures=True),
    ]
    rows = [
        (str(row["round"]), whole(int(row["entries"])), whole(int(row["attempts"])))
        for row in facts.rounds.to_dict("records")
    ]
    return section(
        "rounds",
        words(N_("Rounds")),
        element("p", words(N_("Each round is one secure sum. An attempt that some holder did not answer is void; it is "
                              "paid for all the same."))),
        element(
            "details",
            element("summary", words(N_("All {count} rounds"), count=whole(len(rows)))),
            table(words(N_("Secure sums of the run")), columns, rows),
        ),
    )  # fmt: skip
