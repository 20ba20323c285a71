"""What errors a study's answers are expected to have, before anything is spent; from public facts alone.

A task of tables says how wide the 95 % interval of a typical line of each answer will be under its signed
terms, and how wide under others: with the budget shared equally, with half of epsilon and with twice as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.privacy.errors import N_, _

EQUAL, HALF, TWICE = "equal shares", "half of epsilon", "twice epsilon"

UNITS = {
    "customers": N_("customers"),
    "value": N_("in units of {name}"),
    "total": N_("in units of {name}, of a group's sum"),
    "ranks": N_("% of ranks"),
    "correlation": N_("of a correlation between -1 and 1"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """What is expected of one answer.

    Attributes:
        question: as it is asked.
        share: of what all questions may spend.
        lines: of its table.
        unit: what the half widths are in, a key of `UNITS`.
        name: of the feature whose units they are.
        half_width: of the 95 % interval of a line of average size.
        otherwise: the same under other terms, by `EQUAL`, `HALF` and `TWICE`.
    """

    question: str
    share: float
    lines: int
    unit: str
    name: str
    half_width: float
    otherwise: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "question": self.question,
            "share": round(self.share, 6),
            "lines": self.lines,
            "unit": self.unit,
            "feature": self.name,
            "half_width": float(f"{self.half_width:.4g}"),
            "otherwise": {key: float(f"{value:.4g}") for key, value in self.otherwise.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOutlook:
    """What is expected of a study's answers.

    Attributes:
        customers: expected in all.
        stated: whether the study says how many; otherwise they are the most that its holders may have.
        holders: in the sum.
        answers: one for each question.
    """

    customers: int
    stated: bool
    holders: int
    answers: tuple[ExpectedError, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "customers": self.customers,
            "customers_stated": self.stated,
            "holders": self.holders,
            "answers": [each.as_json() for each in self.answers],
        }

    def told(self) -> Iterator[str]:
        """For people, a line each, in the chosen language."""
        yield _(
            "Expected, with {customers} customers at {holders} holders: half of the 95 % interval of a line "
            "of average size"
        ).format(customers=self.customers, holders=self.holders)
        for each in self.answers:
            unit = _(UNITS[each.unit]).format(name=each.name)
            yield _("  {question}: ±{width} {unit}; lines: {lines}, share: {share}").format(
                question=each.question,
                width=f"{each.half_width:.3g}",
                unit=unit,
                lines=each.lines,
                share=f"{each.share:.1%}",
            )
            yield _("    with equal shares ±{equal}; half of epsilon ±{half}; twice epsilon ±{twice}").format(
                equal=f"{each.otherwise[EQUAL]:.3g}",
                half=f"{each.otherwise[HALF]:.3g}",
                twice=f"{each.otherwise[TWICE]:.3g}",
            )
        if not self.stated:
            yield _(
                "The study does not say how many customers are expected, so the most that contracts allow "
                "were taken: customers in [model]."
            )
