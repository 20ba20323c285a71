"""What a statistics study asks, a line of words for each question, as it is signed.

count [by FEATURE, ...]                how many customers, in each group
histogram of FEATURE [in BINS]         how many in each range of a number, or in each category
sum of NUMBER [by FEATURE, ...]        of values clipped to the schema's bounds, in each group
mean of NUMBER [by FEATURE, ...]
quantiles of NUMBER [at PERCENT, ...]  at 25, 50 and 75 unless said
top COUNT of CATEGORY                  the most frequent values of a public list
distinct [by FEATURE, ...]             customers of all holders, each counted once: between two bounds
correlations of NUMBER, NUMBER, ...    of every pair
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias, get_args

from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import Feature
from ringfence.privacy.errors import N_, Clause, StudyError

QuestionKind: TypeAlias = Literal[
    "count", "histogram", "sum", "mean", "quantiles", "top", "distinct", "correlations"
]
KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
MOST_QUESTIONS = 64
MOST_BY = 3
MOST_PERCENTS = 20
MOST_NUMBERS = 20
QUARTERS = (Decimal(25), Decimal(50), Decimal(75))
DEFAULT_BINS = 16
BINS = (2, 4, 8, 16, 32, 64, 128, 256)

_KEYS: dict[QuestionKind, frozenset[str]] = {
    "count": frozenset({"by"}),
    "histogram": frozenset({"of", "in"}),
    "sum": frozenset({"of", "by"}),
    "mean": frozenset({"of", "by"}),
    "quantiles": frozenset({"of", "at"}),
    "top": frozenset({"of"}),
    "distinct": frozenset({"by"}),
    "correlations": frozenset({"of"}),
}
_WORD = re.compile(r"\s*(,|[^\s,]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsQuestion:
    """One question.

    Attributes:
        text: as it was asked.
        kind: what is computed.
        of: the features it is computed of.
        by: the features whose values tell groups apart.
        number: bins of a histogram, or how many values of a top list.
        percents: of quantiles.
    """

    text: str
    kind: QuestionKind
    of: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    number: int = 0
    percents: tuple[Decimal, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """All features it looks at."""
        return tuple(dict.fromkeys((*self.of, *self.by)))

    @property
    def groups(self) -> tuple[str, ...]:
        """The features whose cells are its lines."""
        return self.of if self.kind in ("histogram", "top") else self.by


def read_question(text: str, context: StudyContext) -> StatisticsQuestion:
    """Read a question and check it against the study's features.

    Raises:
        StudyError: RF-S513 it is no question, RF-S514 it asks for what cannot be computed.
    """
    try:
        question = _read(text)
    except (ValueError, InvalidOperation):
        raise StudyError(
            "RF-S513",
            N_(
                "[model] questions: {question} is no question. Ask, for example: count by FEATURE, FEATURE; "
                "histogram of FEATURE in 16; sum of NUMBER by FEATURE; mean of NUMBER; quantiles of NUMBER "
                "at 10, 50, 90; top 10 of CATEGORY; distinct; correlations of NUMBER, NUMBER."
            ),
            question=_quoted(text),
        ) from None
    for fault in _faults(question, context):
        raise StudyError(
            "RF-S514",
            N_("[model] questions: {question} cannot be answered, since {rule}."),
            question=_quoted(text),
            rule=fault,
        )
    return question


def _quoted(text: str) -> str:
    return f'"{text[:80]}"'


def _read(text: str) -> StatisticsQuestion:
    """The parts of a line; ValueError where it is not of the form."""
    words = _WORD.findall(text)
    if not words or words[0] not in KINDS:
        raise ValueError(text)
    kind: QuestionKind = words[0]
    place, number = 1, 0
    if kind == "top":
        number, place = _whole(words[1] if len(words) > 1 else ""), 2
    given: dict[str, list[str]] = {}
    while place < len(words):
        key = words[place]
        if key not in _KEYS[kind] or key in given:
            raise ValueError(text)
        given[key], place = _listed(words, place + 1)
    if "of" in _KEYS[kind] and "of" not in given:
        raise ValueError(text)
    if "in" in given:
        number = _whole(*given["in"])
    elif kind == "histogram":
        number = DEFAULT_BINS
    return StatisticsQuestion(
        text=" ".join(text.split()),
        kind=kind,
        of=tuple(given.get("of", ())),
        by=tuple(given.get("by", ())),
        number=number,
        percents=_percents(given, kind),
    )


def _listed(words: list[str], place: int) -> tuple[list[str], int]:
    """Names or numbers between commas, and the place after them."""
    found: list[str] = []
    while True:
        if place >= len(words) or words[place] == ",":
            raise ValueError(words)
        found.append(words[place])
        place += 1
        if place >= len(words) or words[place] != ",":
            return found, place
        place += 1


def _whole(*texts: str) -> int:
    if len(texts) != 1 or not re.fullmatch(r"[1-9][0-9]{0,3}", texts[0]):
        raise ValueError(texts)
    return int(texts[0])


def _percents(given: dict[str, list[str]], kind: QuestionKind) -> tuple[Decimal, ...]:
    if kind != "quantiles":
        return ()
    if "at" not in given:
        return QUARTERS
    if any(not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", each) for each in given["at"]):
        raise ValueError(given)
    return tuple(Decimal(each) for each in given["at"])


def _faults(question: StatisticsQuestion, context: StudyContext) -> Iterator[Clause | str]:
    """What is wrong with a question of the right form."""
    known = context.study.features or ()
    for name in question.features:
        if name not in known:
            yield Clause(N_("it names a feature that the study does not list"))
            return
    if len(set(question.of)) < len(question.of) or len(set(question.by)) < len(question.by):
        yield Clause(N_("it names a feature twice"))
    if len(question.by) > MOST_BY:
        yield Clause(N_("groups are told apart by at most three features"))
    kinds = {name: context.schema.feature(name) for name in question.features}
    yield from _wrong_of(question, kinds)
    if question.kind == "histogram" and question.number not in BINS:
        yield Clause(N_("a histogram has 2, 4, 8, 16, 32, 64, 128 or 256 bins"))
    if question.percents and not (
        len(question.percents) <= MOST_PERCENTS
        and all(0 < each < 100 for each in question.percents)
        and list(question.percents) == sorted(set(question.percents))
    ):
        yield Clause(N_("quantiles are at most 20 rising percentages between 0 and 100"))


def _wrong_of(question: StatisticsQuestion, features: dict[str, Feature]) -> Iterator[Clause]:
    """What it is computed of, by kind."""
    of = [features[name] for name in question.of]
    if question.kind == "correlations":
        if not 2 <= len(of) <= MOST_NUMBERS:
            yield Clause(N_("correlations are of 2 to 20 numbers"))
    elif len(of) > 1:
        yield Clause(N_("it is of one feature"))
    if question.kind in ("sum", "mean", "quantiles", "correlations") and any(
        each.categories is not None for each in of
    ):
        yield Clause(
            N_("a category or a flag has no sums, quantiles and correlations; numbers and dates have")
        )
    if question.kind == "sum" and any(each.kind == "date" for each in of):
        yield Clause(N_("dates have no sum; ask for their mean or quantiles"))
    if question.kind == "top" and any(each.categories is None for each in of):
        yield Clause(N_("a top list is of a category"))
