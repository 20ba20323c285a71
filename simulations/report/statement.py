"""The promise to a customer and its price: every number of it in plain words, and the holders' budgets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR

from ringfence.models.pages.charts import budget_chart
from ringfence.models.pages.markup import Html, TableColumn, element, figure, section, table
from ringfence.models.pages.words import Words, epsilon_text, percent, rounded
from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import RunFacts


def privacy_section(facts: RunFacts, words: Words) -> Html:
    """The guarantee as a sentence, then every number of it with what it means."""
    return section(
        "privacy",
        words(N_("What is promised to a customer")),
        element(
            "p",
            words(
                N_(
                    "Whether or not one customer took part changes the probability of any result of this run "
                    "by no more than a factor of {factor}, give or take a probability of {delta}, whatever "
                    "else a reader knows or computes."
                ),
                factor=factor(facts.epsilon_run),
                delta=facts.privacy["delta"],
            ),
            class_="statement",
        ),
        element("p", _conditions(facts, words)),
        table(
            words(N_("The privacy statement, number by number")),
            [
                TableColumn(title=words(N_("What"))),
                TableColumn(title=words(N_("Value"))),
                TableColumn(title=words(N_("Meaning"))),
            ],
            list(_statement(facts, words)),
            form="prose",
        ),
    )


def _conditions(facts: RunFacts, words: Words) -> str:
    """What the sentence hangs on, and what it becomes at worst."""
    repeated = int((facts.rounds["attempts"] - 1).sum())
    said = {
        "overlap": facts.privacy["overlap"],
        "honest": facts.privacy["honest_shares"],
        "most": facts.privacy["max_attempts"],
        "count": repeated,
        "worst": factor(facts.epsilon_worst),
    }
    holds = words(
        N_(
            "It holds for a customer of at most k = {overlap} holders, together over all of them, and as "
            "long as h = {honest} or more holders keep their share of the noise to themselves."
        ),
        **said,
    )
    attempts = (
        N_("No attempt was repeated in this run.")
        if not repeated
        else N_("In this run {count} attempt(s) were repeated, which is contained in it.")
    )
    worst = N_(
        "Had every round needed all {most} attempts that the study allows, the factor would be {worst}."
    )
    return words.sentences_joined([holds, words(attempts, **said), words(worst, **said)])


def factor(epsilon: float) -> str:
    """By how much odds may change: e to the epsilon, rounded up; beyond a thousand only its size."""
    if not math.isfinite(epsilon):
        return "∞"
    factor = math.exp(epsilon)
    return rounded(factor, 2, ROUND_CEILING) if factor < 1000 else f"{factor:.1e}"


def _statement(facts: RunFacts, words: Words) -> Iterator[tuple[str, str, str]]:
    """Rows of the privacy statement: what, value, meaning; with every entry of the price's report."""
    said = {key: words.fixed(value) for key, value in facts.privacy.items()}
    said |= {"run": epsilon_text(facts.epsilon_run), "asked": f"{facts.epsilon_asked:g}"}
    for what, value, meaning in _ROWS:
        yield words(what, **said), words(value, **said), words(meaning, **said)


_ROWS = (
    (
        N_("Unit of privacy"),
        "{unit}",
        N_("All that a holder has about one customer counts as one, however many rows that is."),
    ),
    (
        N_("Compared are"),
        "{neighbouring_relation}",
        N_("Two worlds that differ in this one customer must be hard to tell apart."),
    ),
    (
        N_("ε of this run, customer, k = {overlap}"),
        "{run}",
        N_("Over all holders, for a customer at {overlap} of them, with the attempts that were really made."),
    ),
    (
        N_("ε asked for by the study"),
        "{asked}",
        N_("The bound in the signed study, for the plan without repeated attempts."),
    ),
    (
        N_("ε, customer, nothing repeated"),
        "{customer_epsilon}",
        N_("What the plan of the study costs a customer when every round succeeds at once."),
    ),
    (
        N_("ε, customer, worst case"),
        "{customer_epsilon_worst_case}",
        N_("The same if every round had needed all {max_attempts} attempts; each attempt is paid for."),
    ),
    (
        N_("ε, one holder, k = 1"),
        "{holder_epsilon}",
        N_("What leaves one holder alone costs a customer this much; its ledger is charged for it."),
    ),
    (
        N_("ε, one holder, worst case"),
        "{holder_epsilon_worst_case}",
        N_("What the ledger sets aside before anything is computed."),
    ),
    (
        N_("μ, one holder"),
        N_("{holder_mu}, at worst {holder_mu_worst_case}"),
        N_("The same price on the scale that an auditor can add up: squares of μ are summed."),
    ),
    (
        N_("δ (delta)"),
        "{delta}",
        N_(
            "The probability left outside the factor. It lies below one over each holder's number of "
            "customers."
        ),
    ),
    (
        N_("Noise"),
        "{noise_form}",
        N_("Whole numbers from the discrete Gaussian law, out of the operating system's random generator."),
    ),
    (
        N_("Uploads"),
        "{uploads}",
        N_(
            "Under masks only their sum shows. An update that is seen by itself is private by its own "
            "holder's noise, and the price is the same."
        ),
    ),
    (
        N_("Honest shares, h"),
        "{honest_shares}",
        N_("The promise counts on the noise of this many holders that keep their share to themselves."),
    ),
    (
        N_("Colluding holders allowed for"),
        "{colluders}",
        N_("Holders that may pool what they know with the coordinator and one more holder."),
    ),
    (
        N_("Attempts a round, at most"),
        "{max_attempts}",
        N_("A holder answers no further attempt; nobody can drain a ledger by failing on purpose."),
    ),
    (
        N_("Parts of the customers"),
        "{parts}",
        N_(
            "A customer is in one part by a public function of its key; what reads only the others costs it "
            "nothing."
        ),
    ),
    (
        N_("Sampling"),
        N_("{sampling}; rate {sampling_rate}, {sampled_steps} steps"),
        N_("Each step reads a new random sample that nobody else knows; at rate 1 everybody is read."),
    ),
    (
        N_("Accounting"),
        "{accountant}",
        N_(
            "How the rounds add up. What the sampler is inexact by, {epsilon_slack} in ε and "
            "{sampler_total_variation} in total variation, is contained in the figures above."
        ),
    ),
    (
        N_("Not covered"),
        "{not_covered}",
        N_("No party knows this total. Each holder's ledger limits what is spent at that holder."),
    ),
)


def budget_section(facts: RunFacts, words: Words) -> Html:
    """What each ledger has given away and still has."""
    columns = [
        TableColumn(title=words(N_("Holder"))),
        TableColumn(title=words(N_("ε of the budget")), figures=True),
        TableColumn(title=words(N_("ε charged")), figures=True),
        TableColumn(title=words(N_("μ² charged")), figures=True),
        TableColumn(title=words(N_("released")), figures=True),
        TableColumn(title=words(N_("set aside")), figures=True),
        TableColumn(title=words(N_("left")), figures=True),
        TableColumn(title=words(N_("ε that still fits")), figures=True),
    ]
    rows = [
        (
            each.holder,
            f"{each.epsilon:g}",
            rounded(each.released, 6, ROUND_CEILING),
            f"{each.mu_squared:.6f}",
            percent(each.share_released),
            percent(each.share_reserved),
            percent(each.share_left),
            rounded(each.left, 3, ROUND_FLOOR),
        )
        for each in facts.budgets
    ]
    deltas = words.names(tuple(sorted({each.delta for each in facts.budgets})))
    return section(
        "budget",
        words(N_("Budget of each holder")),
        element(
            "p",
            words(
                N_(
                    "A ledger is charged before a value leaves and is never refunded. Shares are of μ², "
                    "which adds up from release to release; ε does not, so ε charged and ε that still fits "
                    "need not add to the ε of the budget. All at δ = {deltas}. A ledger counts μ² with all "
                    "its digits; elsewhere on this page ε is rounded up to three, so a charge of 0.4757 is "
                    "told as 0.476."
                ),
                deltas=deltas,
            ),
        ),
        figure(
            budget_chart(facts.budgets, words),
            words(N_("Figures of the budgets")),
            table(words(N_("Privacy budget of each holder after the run")), columns, rows, form="wide"),
        ),
    )
