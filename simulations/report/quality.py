"""How good the model is: what the study released comes first, what only a simulation knows beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ringfence.models.metrics.noisy import CutOff, Estimate, NoisyFigures
from ringfence.models.pages.charts import calibration_chart, roc_chart
from ringfence.models.pages.markup import Html, TableColumn, element, figure, section, table
from ringfence.models.pages.words import Words, count_text, fixed_point, percent
from ringfence.models.scorecard.card import EVEN_ODDS_POINTS
from ringfence.models.scorecard.parts import FACTOR
from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import RunFacts

_MEANINGS = (
    ("auc", "AUC", N_("A positive customer outranks a negative one with this probability; 0.5 is chance.")),
    ("gini", "Gini", N_("2 AUC - 1: 0 is chance, 1 is perfect.")),
    ("ks", "KS", N_("Largest distance between the shares of positives and negatives above one threshold.")),
    ("pr_auc", "PR-AUC", N_("Average precision over all thresholds; chance gives the share of positives.")),
    ("brier", "Brier", N_("Mean squared error of the probabilities; lower is better.")),
)


def interval(estimate: Estimate | None, *, shares: bool = False) -> str:
    """The 95 % interval of a figure."""
    if estimate is None:
        return "–"
    ends = (percent(each) if shares else fixed_point(each) for each in (estimate.low, estimate.high))
    return " – ".join(ends)


def quality_section(facts: RunFacts, words: Words) -> Html:
    """How well the model ranks, whom it would call, and how well its probabilities fit."""
    title = words(N_("How good the model is"))
    if not facts.test_customers:
        told = words(N_("The study keeps no customers aside for a test, so every figure is undefined."))
        return section("quality", title, element("p", told))
    return section(
        "quality",
        title,
        element(
            "p",
            words(
                N_(
                    "Figures on customers who took no part in training. The study released those with an "
                    "interval, out of two noisy histograms of scores whose price comes beside that of the "
                    "training; the intervals cover the noise and the chance of who was tested. Exact figures "
                    "of the {count} test customers stand beside them in a simulation only: in a real run "
                    "they would be a release without noise."
                ),
                count=count_text(facts.test_customers),
            ),
        ),
        *_notices(facts, words),
        _metrics(facts, words),
        _cutoffs(facts, words),
        element("div", _calibration(facts, words), *_roc(facts, words), class_="multiples"),
    )


def _notices(facts: RunFacts, words: Words) -> Iterator[Html]:
    """Why a figure is undefined."""
    if facts.figures is None:
        told = N_("The study released no figure of quality: it ended early.")
        yield element("p", words(told), class_="notice")
    elif not facts.figures.measurable:
        told = N_("The released figures are undefined: the noise hides one class of the test customers.")
        yield element("p", words(told), class_="notice")
    if facts.metrics["auc"] is None:
        told = N_("The exact figures are undefined: all test customers have one label.")
        yield element("p", words(told), class_="notice")


def _metrics(facts: RunFacts, words: Words) -> Html:
    columns = [
        TableColumn(title=words(N_("Figure"))),
        TableColumn(title=words(N_("Released")), figures=True),
        TableColumn(title=words(N_("95 % interval")), figures=True),
        TableColumn(title=words(N_("Exact (simulation only)")), figures=True),
        TableColumn(title=words(N_("Meaning"))),
    ]
    found = _released(facts.figures)
    rows = [
        (
            name,
            words.figure(None if estimate is None else estimate.value) if key in found else "–",
            interval(estimate),
            element("small", words.figure(facts.metrics[key])),
            words(meaning),
        )
        for key, name, meaning in _MEANINGS
        for estimate in [found.get(key)]
    ]
    error, base = found["calibration_error"], found["base_rate"]
    rows[3:3] = [
        (
            words(N_("Base rate")),
            words(N_("undefined")) if base is None else percent(base.value),
            interval(base, shares=True),
            element("small", "–" if facts.base_rate is None else percent(facts.base_rate)),
            words(N_("Share of customers with the positive label.")),
        ),
        (
            words(N_("Calibration error")),
            words.figure(None if error is None else error.value),
            interval(error),
            element("small", "–"),
            words(N_("Mean distance of predicted and observed rates; 0 is perfect.")),
        ),
    ]
    return table(
        words(N_("Figures with differential privacy, exact ones beside them")), columns, rows, form="prose"
    )


def _released(figures: NoisyFigures | None) -> dict[str, Estimate | None]:
    names = ("auc", "gini", "ks", "calibration_error", "base_rate")
    return {name: None if figures is None else getattr(figures, name) for name in names}


def _cutoffs(facts: RunFacts, words: Words) -> Html:
    """Who is called when few are: a table to choose a threshold by."""
    if facts.figures is None or not facts.figures.cutoffs:
        return element(
            "p", words(N_("Whom to call is not told: it would hang on figures that are undefined."))
        )
    exact = {round(float(row["share"]), 4): row for row in facts.gains.to_dict("records")}
    columns = [
        TableColumn(title=words(N_("Called"))),
        TableColumn(title=words(N_("From")), figures=True),
        TableColumn(title=words(N_("Positive among them")), figures=True),
        TableColumn(title=words(N_("Lift")), figures=True),
        TableColumn(title=words(N_("Positives reached")), figures=True),
        TableColumn(title=words(N_("Exact (simulation only): positive, lift, reached"))),
    ]
    rows = []
    for cutoff in facts.figures.cutoffs:
        known = exact.get(round(cutoff.share, 4))
        told = "–"
        if known is not None:
            told = ", ".join(
                [percent(known["rate"]), fixed_point(known["lift"], 2), percent(known["reached"])]
            )
        rows.append(
            (
                f"{cutoff.share:.0%}",
                _threshold(cutoff, facts, words),
                _with_interval(cutoff.rate),
                f"{fixed_point(cutoff.lift.value, 2)} "
                f"({fixed_point(cutoff.lift.low, 2)} – {fixed_point(cutoff.lift.high, 2)})",
                _with_interval(cutoff.reached),
                element("small", told),
            )
        )
    return element(
        "div",
        element("h3", words(N_("Who is called"))),
        element(
            "p",
            words(
                N_(
                    "When the customers with the highest scores are called first. Lift is how many times as "
                    "many positives are among them as among as many drawn by lot."
                )
            ),
            class_="note",
        ),
        table(words(N_("What calling a share of the customers brings")), columns, rows, form="wide"),
    )


def _threshold(cutoff: CutOff, facts: RunFacts, words: Words) -> str:
    """From which score on, in points where the model has some."""
    if facts.points.empty:
        return words(N_("log odds {score}"), score=fixed_point(cutoff.score, 2))
    return words(
        N_("about {points} points"), points=count_text(round(EVEN_ODDS_POINTS + FACTOR * cutoff.score))
    )


def _with_interval(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} ({interval(estimate, shares=True)})"


def _calibration(facts: RunFacts, words: Words) -> Html:
    """Released cells with their intervals, and exact groups beside them."""
    columns = [
        TableColumn(title=words(N_("Predicted")), figures=True),
        TableColumn(title=words(N_("Observed")), figures=True),
        TableColumn(title=words(N_("95 % interval")), figures=True),
        TableColumn(title=words(N_("Kind"))),
    ]
    cells = facts.figures.calibration if facts.figures is not None else ()
    released = pd.DataFrame(
        [(c.predicted, c.observed.value, c.observed.low, c.observed.high) for c in cells],
        columns=["predicted", "observed", "low", "high"],
        dtype="float64",
    )
    rows = [
        (
            percent(c.predicted),
            percent(c.observed.value),
            interval(c.observed, shares=True),
            words(N_("released")),
        )
        for c in cells
    ] + [
        (percent(row["predicted"]), percent(row["observed"]), "–", words.fixed(facts.metrics_kind))
        for row in facts.calibration.to_dict("records")
    ]
    made = figure(
        calibration_chart(released, facts.calibration, words),
        words(N_("Figures of the calibration")),
        table(words(N_("Predicted probability and observed rate in groups of equal size")), columns, rows),
    )
    return element(
        "div",
        element("h3", words(N_("Calibration"))),
        element(
            "p",
            words(
                N_(
                    "Points on the dashed line mean that predicted and observed rates agree. Points with "
                    "lines were released, with their 95 % intervals; the thin line is exact (simulation "
                    "only)."
                )
            ),
            class_="note",
        ),
        made,
    )


def _roc(facts: RunFacts, words: Words) -> Iterator[Html]:
    """The exact curve, where there is one."""
    if facts.roc.empty:
        return
    columns = [
        TableColumn(title=words(N_("False positive rate")), figures=True),
        TableColumn(title=words(N_("True positive rate")), figures=True),
    ]
    made = figure(
        roc_chart(facts.roc, facts.metrics["auc"], words),
        words(N_("Figures of the ROC curve")),
        table(words(N_("The ROC curve at selected thresholds")), columns, list(_curve(facts))),
    )
    yield element(
        "div",
        element("h3", words(N_("ROC curve, exact (simulation only)"))),
        element(
            "p",
            words(N_("The further the curve is above the dashed line, the better the ranking.")),
            class_="note",
        ),
        made,
    )


def _curve(facts: RunFacts) -> Iterator[tuple[str, str]]:
    """About twenty places of the curve; more would not be read."""
    step = max(1, len(facts.roc) // 20)
    last = len(facts.roc) - 1
    for position, row in enumerate(facts.roc.to_dict("records")):
        if position % step == 0 or position == last:
            yield percent(row["false_positive_rate"]), percent(row["true_positive_rate"])
