"""Which rows were used: left out, unknown and clipped ones, and customers without consent in words."""

from __future__ import annotations

from ringfence.models.pages.markup import Html, bullets, element, section
from ringfence.models.pages.words import Words, count_text
from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import Remark, RunFacts

# Smaller counts are not told on a page that leaves the house.
LEAST_COUNT = 10


def rows_section(facts: RunFacts, words: Words) -> Html:
    """What was read and what became of it."""
    told = [_remark(each, words) for each in facts.remarks]
    return section(
        "rows",
        words(N_("Which rows were used")),
        element(
            "p",
            words(
                N_(
                    "Of {rows} rows {used} were learned from or tested. Left out for lack of consent: "
                    "{share} of the customers; how many is told to their holder alone."
                ),
                rows=count_text(facts.rows),
                used=count_text(facts.rows_used),
                share=words(facts.without_consent),
            ),
        ),
        bullets(told) if told else element("p", words(N_("No entry was unknown, clipped or left out."))),
    )


def _remark(remark: Remark, words: Words) -> str:
    values = {
        name: words(N_("fewer than {count}"), count=LEAST_COUNT)
        if isinstance(value, int) and 0 < value < LEAST_COUNT
        else value
        for name, value in remark.values.items()
    }
    sentence = words(remark.template, **values)
    return words(N_("{holder}: {names}"), holder=remark.holder, names=sentence) if remark.holder else sentence
