"""What the counts of a file of one line an event say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ringfence.privacy.errors import N_
from ringfence.privacy.tables.facts import EventFacts
from ringfence.privacy.tables.findings import Finding


def event_findings(facts: EventFacts) -> Iterator[Finding]:
    """Of the lines that are left out, and of the window."""
    values: dict[str, object] = {"lines": facts.lines}
    if facts.max_unusable is not None and facts.unusable > facts.max_unusable * facts.lines:
        yield Finding(
            stops=True,
            code="RF-T061",
            values=values | {"count": facts.unusable, "limit": facts.max_unusable},
            template=N_(
                "{count} of {lines} lines lack a customer, a time or an amount; max_unusable is {limit}."
            ),
        )
    if facts.keyless:
        yield Finding(
            stops=False,
            code="RF-T062",
            values=values | {"count": facts.keyless},
            template=N_("{count} of {lines} lines name no customer and are left out."),
        )
    if facts.undated:
        yield Finding(
            stops=False,
            code="RF-T063",
            values=values | {"count": facts.undated},
            template=N_("{count} of {lines} lines have no time and are left out."),
        )
    if facts.unpriced:
        yield Finding(
            stops=False,
            code="RF-T064",
            values=values | {"count": facts.unpriced},
            template=N_("{count} of {lines} lines have no amount and are left out."),
        )
    if facts.before + facts.after:
        yield Finding(
            stops=False,
            code="RF-T070",
            values=values | {"count": facts.before + facts.after},
            template=N_("{count} of {lines} lines lie outside the window and are passed over."),
        )
    if not facts.following:
        yield Finding(
            stops=False,
            code="RF-T071",
            values={"end": facts.end.isoformat()},
            template=N_(
                "No line lies in the label's days, so every customer counts as silent: does the export reach "
                "to {end}?"
            ),
        )
    yield from _order_findings(facts, values)


def _order_findings(facts: EventFacts, values: Mapping[str, object]) -> Iterator[Finding]:
    """What the contract's rules made of lines that a customer has."""
    zero, repeated = (
        "drop" if dropped else "keep" for dropped in (facts.zero_dropped, facts.repeated_dropped)
    )
    if facts.cancelled:
        yield Finding(
            stops=False,
            code="RF-T065",
            values={**values, "count": facts.cancelled},
            template=N_("{count} of {lines} lines are of cancelled orders and are left out."),
        )
    if facts.returns and facts.returns_rule == "refuse":
        yield Finding(
            stops=True,
            code="RF-T066",
            values={**values, "count": facts.returns},
            template=N_(
                '{count} of {lines} lines have an amount below zero; the contract says returns = "refuse".'
            ),
        )
    elif facts.returns:
        yield Finding(
            stops=False,
            code="RF-T067",
            values={**values, "count": facts.returns, "rule": facts.returns_rule},
            template=N_("{count} of {lines} lines have an amount below zero (returns = {rule})."),
        )
    if facts.zero:
        yield Finding(
            stops=False,
            code="RF-T068",
            values={**values, "count": facts.zero, "rule": zero},
            template=N_("{count} of {lines} lines have the amount zero (zero = {rule})."),
        )
    if facts.repeated:
        yield Finding(
            stops=False,
            code="RF-T069",
            values={**values, "count": facts.repeated, "rule": repeated},
            template=N_("{count} of {lines} lines are like an earlier one (repeated = {rule})."),
        )
