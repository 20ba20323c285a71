"""The report of a run as one HTML page: no script, no request, one style sheet inside, fit for print.

Invariant: the page is made from `RunFacts` alone and every text in it passes `markup.element` and is escaped.
"""

from __future__ import annotations

from importlib import resources

from ringfence.models.pages.markup import CONTENT_POLICY, Html, element, joined_html, trusted
from ringfence.models.pages.words import Language, Words, count_text, epsilon_text, fixed_point
from ringfence.privacy.errors import N_
from ringfence.simulations.report import evidence, parties, quality, results, rows, statement
from ringfence.simulations.report.facts import RunFacts

# Of a key's fingerprint, enough to find it in the log; holders whose approvers are named.
FINGERPRINT, MOST_HOLDERS = 16, 6


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
        *_found(facts, words),
        rows.rows_section(facts, words),
        results.rounds_section(facts, words),
        evidence.audit_section(facts, words),
        evidence.limits_section(words),
    ]
    body = element(
        "body",
        element("a", words(N_("Skip to the content")), href="#content", class_="skip"),
        _header(facts, words, title),
        element("main", _summary(facts, words), results.cards(facts, words), *parts, id="content"),
        element(
            "footer",
            element(
                "p",
                words(
                    N_(
                        "Made by Ringfence in a simulation (stores: {profile}). This page loads nothing and "
                        "runs nothing."
                    ),
                    profile=words.fixed(facts.profile),
                ),
            ),
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", _head(title), body, lang=language) + "\n"


def _head(title: str) -> Html:
    style = resources.files("ringfence.simulations.report").joinpath("style.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
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
        *(
            [("tables", words(N_("Tables")))]
            if facts.tables
            else [("points", words(N_("Model"))), ("quality", words(N_("Quality")))]
        ),
        ("rows", words(N_("Rows"))),
        ("rounds", words(N_("Rounds"))),
        ("audit", words(N_("Verify"))),
        ("limits", words(N_("Limits"))),
    ]
    return element(
        "header",
        element("p", "Ringfence", class_="brand"),
        element("h1", title),
        element(
            "p",
            words(
                N_(
                    "Purpose: {purpose}. Legal basis: {basis}. Impact assessment: {dpia}. The study ends on "
                    "{expires}."
                ),
                purpose=facts.purpose_titles[1 if words.language == "zh-CN" else 0],
                basis=words.fixed(facts.legal_basis),
                dpia=facts.dpia,
                expires=facts.expires.isoformat(),
            ),
        ),
        element(
            "p",
            words(
                N_("Made on {day} by Ringfence {version}. Approved by {people}."),
                day=facts.made.isoformat(),
                version=facts.version,
                people=_approvers(facts, words),
            ),
        ),
        element(
            "nav",
            element("ul", *(element("li", element("a", text, href=f"#{name}")) for name, text in contents)),
            aria_label=words(N_("Contents")),
        ),
    )


def _approvers(facts: RunFacts, words: Words) -> str:
    """Two people a holder, by name and key; simulated ones may have no name."""
    holders = dict.fromkeys(each.holder for each in facts.approvers)
    nameless = words(N_("a simulated approver"))
    shown = [
        words(
            N_("{holder}: {names}"),
            holder=holder,
            names=words.names(
                tuple(
                    f"{each.name or nameless} ({each.fingerprint[:FINGERPRINT]}…)"
                    for each in facts.approvers
                    if each.holder == holder
                )
            ),
        )
        for holder in list(holders)[:MOST_HOLDERS]
    ]
    if len(holders) > len(shown):
        shown.append(words(N_("and those of {count} more holders"), count=len(holders) - len(shown)))
    return words.sentences(shown)


def _summary(facts: RunFacts, words: Words) -> Html:
    """What happened, in five lines."""
    vectors, numbers = facts.parties[0].vectors, facts.parties[0].words
    lines = [
        _purpose(facts, words),
        words(
            N_(
                "No row left its holder. What left were {vectors} vectors, {numbers} numbers in all, each "
                "with noise and under a mask; the coordinator could read {sums} noisy sums."
            ),
            vectors=count_text(vectors),
            numbers=count_text(numbers),
            sums=count_text(facts.parties[0].sums),
        ),
        words(
            N_(
                "The price for a customer is ε = {epsilon} at δ = {delta}, over all holders; every ledger "
                "was charged before a value left."
            ),
            epsilon=epsilon_text(facts.epsilon_run),
            delta=facts.privacy["delta"],
        ),
        _result(facts, words),
        words(
            N_(
                "{rounds} rounds took {seconds} seconds and left {events} events in {logs} audit logs, which "
                "anybody can verify offline."
            ),
            rounds=count_text(len(facts.rounds)),
            seconds=fixed_point(facts.seconds, 1),
            events=count_text(sum(facts.log_sizes.values())),
            logs=count_text(len(facts.log_sizes)),
        ),
    ]
    heading = element("h2", words(N_("What happened")), id="summary-title")
    return element(
        "section",
        heading,
        element("ol", *(element("li", line) for line in lines), class_="summary"),
        _absence(facts, words),
        aria_labelledby="summary-title",
    )


def _found(facts: RunFacts, words: Words) -> list[Html]:
    """The sections of the result: tables, or a model with its quality."""
    if facts.tables:
        return [results.tables_section(facts, words)]
    return [results.points_section(facts, words), quality.quality_section(facts, words)]


def _purpose(facts: RunFacts, words: Words) -> str:
    """Who did what together."""
    if facts.tables:
        return words(
            N_(
                "{count} holders ({names}) counted their customers together; their tables have {rows} rows "
                "in all."
            ),
            count=count_text(len(facts.present)),
            names=words.names(facts.present),
            rows=count_text(facts.rows),
        )
    return words(
        N_(
            "{count} holders ({names}) learned together how likely “{label} = {positive}” is for a "
            "customer; their tables have {rows} rows in all."
        ),
        count=count_text(len(facts.present)),
        names=words.names(facts.present),
        label=facts.label,
        positive=words.fixed(facts.positive),
        rows=count_text(facts.rows),
    )


def _result(facts: RunFacts, words: Words) -> Html:
    """What came of it, by the figure that a real study would know; the exact one small beside it."""
    if facts.tables:
        asked = words(
            N_("The result is the answers to {count} questions."), count=count_text(len(facts.tables))
        )
        return joined_html([asked])
    auc = None if facts.figures is None else facts.figures.auc
    told = (
        words(N_("The result is a network (features: {count}). "), count=count_text(len(facts.features)))
        if facts.points.empty
        else words(
            N_("The result is a scorecard (features: {count}). "),
            count=count_text(facts.points["feature"].nunique()),
        )
    )
    found = (
        words(N_("The study released no AUC of it. "))
        if auc is None
        else words(
            N_("The study released its AUC: {auc} (95 % interval {interval}). "),
            auc=fixed_point(auc.value),
            interval=quality.interval(auc),
        )
    )
    exact = words(
        N_("Exact, in a simulation only: {auc} on {customers} test customers."),
        auc=words.figure(facts.metrics["auc"]),
        customers=count_text(facts.test_customers),
    )
    return joined_html([told, found, element("small", exact)])


def _absence(facts: RunFacts, words: Words) -> Html:
    notices = []
    if facts.absent:
        notices.append(
            words(N_("Absent: {names}. The reason stays with the holder."), names=words.names(facts.absent))
        )
    if facts.unfinished:
        notices.append(
            words(
                N_(
                    "The study could not go on at the stage {stage}; its result is the model that the sums "
                    "made until then."
                ),
                stage=facts.unfinished,
            )
        )
    return joined_html([element("p", told, class_="notice") for told in notices])
