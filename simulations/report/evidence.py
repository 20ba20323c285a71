"""How to check the run afterwards, and what no check and no promise covers."""

from __future__ import annotations

from ringfence.audit.catalogue import EVENT_TYPES
from ringfence.models.pages.markup import Html, TableColumn, bullets, element, joined_html, section, table
from ringfence.models.pages.words import Words, count_text
from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import RunFacts


def audit_section(facts: RunFacts, words: Words) -> Html:
    """How to verify the logs, and what stands in them."""
    return section(
        "audit",
        words(N_("How to verify this run")),
        element(
            "p",
            words(
                N_(
                    "Every organisation keeps its own log. The exported bundle holds all of them, and is "
                    "verified offline, without trust in the house it came from. The command names the first "
                    "event that was altered, inserted, deleted or reordered."
                )
            ),
        ),
        element("pre", element("code", "ringfence-audit verify audit-bundle")),
        element(
            "p",
            words(
                N_(
                    "A log cut short, or two versions shown to two people, are found with a checkpoint that "
                    "was kept elsewhere (option --checkpoint); without one the command says that freshness "
                    "is not shown."
                )
            ),
        ),
        digests(facts, words),
        _events(facts, words),
    )


def digests(facts: RunFacts, words: Words) -> Html:
    """What the logs call the study, the run and the model."""
    rows = [
        (words(N_("signed study")), element("code", facts.study_digest)),
        (words(N_("run")), element("code", facts.run)),
        (words(N_("released model")), element("code", facts.model)),
    ]
    columns = [TableColumn(title=words(N_("What"))), TableColumn(title=words(N_("Name in the logs")))]
    return table(words(N_("Look for these in the logs")), columns, rows)


def _events(facts: RunFacts, words: Words) -> Html:
    """Numbers of events by action, the coordinator's beside the holders'."""
    frame = facts.events
    logs = [str(name) for name in facts.log_sizes]
    if len(logs) > 7:  # one column a holder would not fit
        frame = frame.assign(log=frame["log"].where(frame["log"] == logs[0], words(N_("all holders"))))
        logs = [logs[0], words(N_("all holders"))]
    counts = frame.groupby(["action", "outcome", "log"], sort=False)["count"].sum()
    kinds = dict.fromkeys((str(row["action"]), str(row["outcome"])) for row in frame.to_dict("records"))
    order = {action: position for position, action in enumerate(EVENT_TYPES)}
    rows: list[tuple[str, ...]] = [
        (
            joined_html([element("code", action), element("small", words.event(EVENT_TYPES[action]))]),
            words.fixed(outcome),
            *(count_text(int(counts.get((action, outcome, log), 0))) for log in logs),
        )
        for action, outcome in sorted(kinds, key=lambda kind: (order[kind[0]], kind[1]))
    ]
    totals = [count_text(int(frame.loc[frame["log"] == log, "count"].sum())) for log in logs]
    rows.append((words(N_("all events")), "", *totals))
    columns = [
        TableColumn(title=words(N_("Event"))),
        TableColumn(title=words(N_("Outcome"))),
        *(TableColumn(title=words.fixed(log) if log == logs[0] else log, figures=True) for log in logs),
    ]
    return element(
        "details",
        element(
            "summary",
            words(N_("Events in the logs, {count} in all"), count=count_text(sum(facts.log_sizes.values()))),
        ),
        table(words(N_("Events by log, up to the end of the run")), columns, rows, form="wide"),
    )


def limits_section(words: Words) -> Html:
    """What none of this protects against."""
    return section(
        "limits",
        words(N_("What this does not protect against")),
        bullets(
            [
                words(
                    N_(
                        "A holder that leaves customers out or invents them: the software sees what it is "
                        "shown."
                    )
                ),
                words(
                    N_(
                        "More colluding holders than the study allows for. When all but one pool what they "
                        "see with the coordinator, only the last one's share of the noise is left."
                    )
                ),
                words(
                    N_(
                        "A stolen or taken-over machine of a holder, and an insider who carries rows out "
                        "another way."
                    )
                ),
                words(N_("Poisoned contributions: masks hide a bad vector from those who would reject it.")),
                words(N_("Timing: how long a reply takes shows roughly how many rows there are.")),
                words(
                    N_(
                        "Other studies: what a customer spends at other holders in other studies is in no "
                        "one's ledger."
                    )
                ),
                words(
                    N_(
                        "Correct conclusions about people who resemble these customers. That is what "
                        "learning is for, it breaks no promise above, and it can still do harm."
                    )
                ),
                words(
                    N_(
                        "This page comes from a simulation: its keys were made for the run, and the exact "
                        "figures on it would not exist in a real one."
                    )
                ),
            ]
        ),
    )
