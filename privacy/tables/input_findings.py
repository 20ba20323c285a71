"""What the counts of items, paths and notes say."""

from __future__ import annotations

from collections.abc import Iterator

from ringfence.privacy.errors import N_
from ringfence.privacy.tables.facts import InputFacts
from ringfence.privacy.tables.findings import Finding

_LEFT_OUT = (
    ("keyless", "RF-T221", N_("{input}: {count} of {lines} lines name no customer and are left out.")),
    ("undated", "RF-T222", N_("{input}: {count} of {lines} lines have no time and are left out.")),
    ("unquantified", "RF-T223", N_("{input}: {count} of {lines} lines have no quantity and are left out.")),
    (
        "nameless",
        "RF-T224",
        N_("{input}: {count} of {lines} lines have no article, channel or text and are left out."),
    ),
    (
        "cancelled",
        "RF-T225",
        N_("{input}: {count} of {lines} lines are of cancelled baskets and are left out."),
    ),
    ("zero", "RF-T228", N_("{input}: {count} of {lines} lines have the quantity zero and are left out.")),
    (
        "folded",
        "RF-T231",
        N_("{input}: {count} entries are like another one of the same customer and count once."),
    ),
    (
        "later",
        "RF-T235",
        N_("{input}: {count} touches lie after their customer's first conversion and are left out."),
    ),
    ("cut", "RF-T236", N_("{input}: {count} notes are longer than what is read of them.")),
    ("strangers", "RF-T233", N_("{input}: {count} customers are not in the table and are left out.")),
    ("without", "RF-T237", N_("{input}: {count} customers of the table have no entry.")),
)


def input_findings(facts: InputFacts) -> Iterator[Finding]:
    """Of the lines that are left out, and of customers with more than the schema allows."""
    values: dict[str, object] = {"input": facts.name, "lines": facts.lines}
    if facts.max_unusable is not None and facts.unusable > facts.max_unusable * facts.lines:
        yield Finding(
            stops=True,
            code="RF-T220",
            values=values | {"count": facts.unusable, "limit": facts.max_unusable},
            template=N_(
                "{input}: {count} of {lines} lines lack a customer, a time, a quantity or what is listed; "
                "max_unusable is {limit}."
            ),
        )
    for key, code, template in _LEFT_OUT:
        if count := getattr(facts, key):
            yield Finding(stops=False, code=code, values=values | {"count": count}, template=template)
    if facts.before + facts.after:
        yield Finding(
            stops=False,
            code="RF-T229",
            values=values | {"count": facts.before + facts.after, "late": facts.after},
            template=N_(
                "{input}: {count} of {lines} lines lie outside the days that count and are passed over, "
                "{late} of them after the last."
            ),
        )
    yield from _ruled_findings(facts, values)


def _ruled_findings(facts: InputFacts, values: dict[str, object]) -> Iterator[Finding]:
    """What the documents' rules made of lines."""
    if facts.returns and facts.returns_rule == "refuse":
        yield Finding(
            stops=True,
            code="RF-T226",
            values=values | {"count": facts.returns},
            template=N_(
                "{input}: {count} of {lines} lines have a quantity below zero; the contract says returns = "
                '"refuse".'
            ),
        )
    elif facts.returns:
        yield Finding(
            stops=False,
            code="RF-T227",
            values=values | {"count": facts.returns, "rule": facts.returns_rule},
            template=N_("{input}: {count} of {lines} lines have a quantity below zero (returns = {rule})."),
        )
    if facts.outside:
        yield Finding(
            stops=False,
            code="RF-T230",
            values=values | {"count": facts.outside, "rule": facts.unknown_rule},
            template=N_(
                "{input}: {count} of {lines} lines name what the schema does not list (unknown = {rule})."
            ),
        )
    if facts.bounded:
        yield Finding(
            stops=False,
            code="RF-T232",
            values=values | {"count": facts.bounded, "entries": facts.beyond},
            template=N_(
                "{input}: {count} customers have more than the schema allows; {entries} of their entries are "
                "left out."
            ),
        )
    if not facts.listed:
        yield Finding(
            stops=False,
            code="RF-T234",
            values=values,
            template=N_(
                "{input}: none of the {lines} lines is usable, so every customer's list is empty. Check the "
                "days that count, the codes and the export."
            ),
        )
