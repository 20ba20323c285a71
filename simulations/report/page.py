"""The report of a run as one HTML page: no script, no request, one style sheet inside, fit for print and export.

Invariant: the page is made from `RunFacts` alone and every text in it passes `markup.element`, which escapes it.
"""

from __future__ import annotations

from importlib import resources

from ringfence.privacy.errors import N_
from ringfence.simulations.report import evidence, parties, results, statement
from ringfence.simulations.report.facts import RunFacts
from ringfence.simulations.report.markup import Html, element, join, trusted
from ringfence.simulations.report.words import Language, Words, fixed_point, price, whole

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(facts: RunFacts, language: Language = "en") -> str:
    """The whole page.

    Args:
        facts: what it says.
        language: `en` or `zh-CN`; sentences without a translation stay English.

    Raises:
        KeyError: another language.
    """
    words = Words.of(language)
    title = words(N_("Report of the study {study}"), study=facts.study)
    parts = [
        statement.privacy_section(facts, words),
        parties.parties_section(facts, words),
        statement.budget_section(facts, words),
        results.points_section(facts, words),
        results.quality_section(facts, words),
        results.rounds_section(facts, words),
        evidence.audit_section(facts, words),
        evidence.limits_section(words),
    ]
    body = element(
        "body",
        element("a", words(N_("Skip to the content")), href="#content", class_="skip"),
        _header(facts, words, title),
        element("main", _summary(facts, words), results.cards(facts, words), *parts, id="content"),
        element("footer", element("p", words(
            N_("Made by Ringfence in a simulation (stores: {profile}). This page loads nothing and runs nothing."),
            profile=words.fixed(facts.profile),
        ))),
    )  # fmt: skip
    return "<!DOCTYPE html>\n" + element("html", _head(title), body, lang=language) + "\n"


def _head(title: str) -> Html:
    style = resources.files("ringfence.simulations.report").joinpath("style.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", trusted(style)),
    )


def _header(facts: RunFacts, words: Words, title: str) -> Html:
    contents = [
        ("privacy", words(N_("Promise"))),
        ("parties", words(N_("Who saw what"))),
        ("budget", words(N_("Budgets"))),
        ("points", words(N_("Scorecard"))),
        ("quality", words(N_("Quality"))),
        ("rounds", words(N_("Rounds"))),
        ("audit", words(N_("Verify"))),
        ("limits", words(N_("Limits"))),
    ]
    return element(
        "header",
        element("p", "Ringfence", class_="brand"),
        element("h1", title),
        element("p", words(
            N_("Purpose: {purpose}. Legal basis: {basis}. Impact assessment: {dpia}. The study ends on {expires}."),
            purpose=facts.purpose_titles[1 if words.language == "zh-CN" else 0],
            basis=words.fixed(facts.legal_basis), dpia=facts.dpia, expires=facts.expires.isoformat(),
        )),
        element(
            "nav",
            element("ul", *(element("li", element("a", text, href=f"#{name}")) for name, text in contents)),
            aria_label=words(N_("Contents")),
        ),
    )  # fmt: skip


def _summary(facts: RunFacts, words: Words) -> Html:
    """What happened, in five lines."""
    vectors, numbers = facts.parties[0].vectors, facts.parties[0].words
    lines = [
        words(
            N_("{count} holders ({names}) learned together how likely “{label} = {positive}” is for a customer; their "
               "tables have {rows} rows in all."),
            count=whole(len(facts.present)), names=words.names(facts.present), label=facts.label,
            positive=words.fixed(facts.positive), rows=whole(facts.rows),
        ),
        words(
            N_("No row left its holder. What left were {vectors} vectors, {numbers} numbers in all, each with noise and "
               "under a mask; the coordinator could read {sums} noisy sums."),
            vectors=whole(vectors), numbers=whole(numbers), sums=whole(facts.parties[0].sums),
        ),
        words(
            N_("The price for a customer is ε = {epsilon} at δ = {delta}, over all holders; every ledger was charged "
               "before a value left."),
            epsilon=price(facts.epsilon_run), delta=facts.privacy["delta"],
        ),
        words(
            N_("The result is a scorecard of {count} features; its AUC on {customers} test customers is {auc}, {kind}."),
            count=whole(facts.points["feature"].nunique()), customers=whole(facts.test_customers),
            auc=fixed_point(facts.metrics["auc"]) if facts.test_customers else "–",
            kind=words.fixed(facts.metrics_kind),
        ),
        words(
            N_("{rounds} rounds took {seconds} seconds and left {events} events in {logs} audit logs, which anybody can "
               "verify offline."),
            rounds=whole(len(facts.rounds)), seconds=fixed_point(facts.seconds, 1),
            events=whole(sum(facts.log_sizes.values())), logs=whole(len(facts.log_sizes)),
        ),
    ]  # fmt: skip
    heading = element("h2", words(N_("What happened")), id="summary-title")
    return element(
        "section",
        heading,
        element("ol", *(element("li", line) for line in lines), class_="summary"),
        _absence(facts, words),
        aria_labelledby="summary-title",
    )


def _absence(facts: RunFacts, words: Words) -> Html:
    notices = []
    if facts.absent:
        notices.append(
            words(N_("Absent: {names}. The reason stays with the holder."), names=words.names(facts.absent))
        )
    if facts.unfinished:
        notices.append(words(
            N_("The study could not go on at the stage {stage}; its result is the model that the sums made until then."),
            stage=facts.unfinished,
        ))  # fmt: skip
    return join([element("p", told, class_="notice") for told in notices])
