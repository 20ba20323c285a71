"""What a schema declares beside its features: bounded lists of public codes, one list a customer.

Items are articles of baskets, paths are steps over channels, notes are service texts that become topics. All
of it is public and signed: the catalogue that codes count in, how many of them a customer may have, the days
that count. Where a holder's lines stand says `input_sources`.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from ringfence.privacy.agreements.event_window import EventWindow
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Document, Prose, Slug, Text, Whole
from ringfence.privacy.toml.faults import Problem, refuse, settle

_MOST: Final = 1000
_WORD: Final = re.compile(r"[a-z0-9]")
_SIGNS: Final = re.compile(r"[!-/:-@\[-^`{-~]")
"""Signs of ASCII, which stand for themselves in an expression behind a backslash."""


class ListedInput(Document):
    """What every input has: a name, the days that count, and how many entries a customer may have."""

    name: Slug = Field(description="Name of the input, unique in the schema.", examples=["basket"])
    since: datetime.date | None = Field(
        default=None, description="First day that counts; with `until`.", examples=["2026-01-01"]
    )
    until: datetime.date | None = Field(
        default=None,
        description="First day that does not count any more. Beside `[events]` it lies at the cutoff or "
        "before, so that no input knows the label's days.",
        examples=["2027-01-01"],
    )
    title: Prose | None = Field(default=None, description="Label for people.", examples=["What was bought"])
    title_zh: Prose | None = Field(
        default=None, description="Label for people, Chinese.", examples=["购买记录"]
    )

    @field_validator("since", "until", mode="before")
    @classmethod
    def _read_day(cls, value: object) -> object:
        if isinstance(value, bool | int | float | datetime.datetime):
            refuse("RF-C033", N_("Must be a date such as 1990-12-31."))
        return value

    @property
    def span(self) -> tuple[int, int] | None:
        """First day that counts and first that does not, as in `date.toordinal`; None for all days."""
        if self.since is None or self.until is None:
            return None
        return self.since.toordinal(), self.until.toordinal()


class ItemsInput(ListedInput):
    """Articles of a public catalogue that a customer bought, each counted once, in one set or in baskets."""

    catalogue: tuple[Text, ...] = Field(
        min_length=1,
        max_length=50_000,
        description="The articles, from a public catalogue.",
        examples=[["milk", "bread"]],
    )
    most: Whole = Field(
        ge=1, le=_MOST, description="Most articles of a customer, or of one of its baskets.", examples=[20]
    )
    baskets: Whole = Field(
        default=1,
        ge=1,
        le=_MOST,
        description="Most baskets of a customer; with 1 all its articles are one set.",
        examples=[5],
    )
    choice: Literal["keyed", "first"] = Field(
        default="keyed",
        description="Which are kept of a customer that has more: by a hash of its key and the article, or "
        "the first in time.",
        examples=["first"],
    )
    unknown: Literal["drop", "other"] = Field(
        default="drop",
        description="An article outside the catalogue is left out, or is one more article, `(other)`.",
        examples=["other"],
    )

    @model_validator(mode="after")
    def _whole(self) -> ItemsInput:
        settle((*_span_problems(self), *_twice(self.catalogue, "catalogue")))
        if self.choice == "first":
            settle(_needs_days(self, "choice"))
        return self

    @property
    def codes(self) -> tuple[str, ...]:
        """What a code stands for, in order."""
        return self.catalogue if self.unknown == "drop" else (*self.catalogue, OTHER_CODE)


class PathsInput(ListedInput):
    """A customer's steps over channels in the order of time, up to its first conversion."""

    channels: tuple[Text, ...] = Field(
        min_length=1,
        max_length=1000,
        description="The channels, from a public list.",
        examples=[["search", "mail", "shop"]],
    )
    most: Whole = Field(ge=1, le=_MOST, description="Most steps of a customer.", examples=[10])
    keep: Literal["last", "first"] = Field(
        default="last", description="Which steps are kept of a longer path.", examples=["first"]
    )
    repeats: Literal["fold", "keep"] = Field(
        default="fold",
        description="Steps on one channel that follow one another are one step, or each is one.",
        examples=["keep"],
    )
    unknown: Literal["drop", "other"] = Field(
        default="drop",
        description="A channel that is not listed is left out, or is one more channel, `(other)`.",
        examples=["other"],
    )

    @model_validator(mode="after")
    def _whole(self) -> PathsInput:
        settle((*_span_problems(self), *_twice(self.channels, "channels"), *_needs_days(self, "since")))
        return self

    @property
    def codes(self) -> tuple[str, ...]:
        """What a code stands for, in order."""
        return self.channels if self.unknown == "drop" else (*self.channels, OTHER_CODE)


class NoteTopic(Document):
    """What a note is about when one of its words or patterns stands in it."""

    name: Slug = Field(description="Name of the topic.", examples=["billing"])
    words: tuple[Text, ...] = Field(
        default=(),
        max_length=2000,
        description="Words and phrases of any language, capital or small; Latin ones count as whole words.",
        examples=[["invoice", "账单"]],
    )
    patterns: tuple[Text, ...] = Field(
        default=(),
        max_length=100,
        description="Regular expressions (RE2), matched against the text in small letters.",
        examples=[["not (so )?good"]],
    )

    @model_validator(mode="after")
    def _whole(self) -> NoteTopic:
        settle(_topic_problems(self))
        return self

    @property
    def expression(self) -> str:
        """One RE2 expression that finds the topic in a text of NFKC in small letters."""
        parts = [f"(?:{pattern})" for pattern in self.patterns]
        for word in self.words:
            text = folded(word)
            before, after = ("\\b" if _WORD.match(end) else "" for end in (text[0], text[-1]))
            parts.append(before + re.sub(r"\s+", r"\\s+", _SIGNS.sub(r"\\\g<0>", text)) + after)
        return "|".join(parts)


class NotesInput(ListedInput):
    """Service texts: each becomes one topic before anything else sees it; the text is never a feature."""

    topics: tuple[NoteTopic, ...] = Field(
        validation_alias="topic",
        serialization_alias="topic",
        min_length=1,
        max_length=200,
        description="The topics, one `[[notes.topic]]` table each; a note has the first whose words it "
        "holds.",
    )
    most: Whole = Field(ge=1, le=_MOST, description="Most notes of a customer.", examples=[5])
    choice: Literal["keyed", "last"] = Field(
        default="keyed",
        description="Which are kept of a customer that has more: by a hash of its key, or the last in time.",
        examples=["last"],
    )
    longest: Whole = Field(
        default=2000, ge=1, le=100_000, description="Characters of a note that are read.", examples=[500]
    )

    @model_validator(mode="after")
    def _whole(self) -> NotesInput:
        settle((*_span_problems(self), *_twice([topic.name for topic in self.topics], "topic")))
        if self.choice == "last":
            settle(_needs_days(self, "choice"))
        return self

    @property
    def codes(self) -> tuple[str, ...]:
        """What a code stands for, in order; the last one is for notes of no topic."""
        return (*(topic.name for topic in self.topics), OTHER_CODE)


AnyInput: TypeAlias = ItemsInput | PathsInput | NotesInput
OTHER_CODE: Final = "(other)"
"""The code of what the catalogue does not list, and of notes of no topic."""


def folded(text: str) -> str:
    """A text as topics are looked for in it: NFKC, small letters."""
    return unicodedata.normalize("NFKC", text).lower().strip()


def _span_problems(declared: ListedInput) -> Iterator[Problem]:
    if (declared.since is None) != (declared.until is None):
        yield Problem(
            code="RF-C347",
            path=("until" if declared.until is None else "since",),
            template=N_("since and until say together which days count; give both or none."),
        )
    elif declared.since is not None and declared.until is not None and not declared.since < declared.until:
        yield Problem(
            code="RF-C348",
            path=("until",),
            template=N_("until is the first day that does not count, so it comes after since."),
        )


def _needs_days(declared: ListedInput, key: str) -> Iterator[Problem]:
    if declared.since is None and declared.until is None:
        yield Problem(
            code="RF-C349",
            path=(key,),
            template=N_("What comes first or last is told by time, so since and until have to be given."),
        )


def _twice(names: Sequence[str], key: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            yield Problem(
                code="RF-C350",
                path=(key, position),
                values={"name": name},
                template=N_('"{name}" is listed twice.'),
            )
        seen.add(name)


def _topic_problems(topic: NoteTopic) -> Iterator[Problem]:
    if not topic.words and not topic.patterns:
        yield Problem(
            code="RF-C351",
            path=("words",),
            template=N_("A topic needs words or patterns that tell it."),
        )
    for position, word in enumerate(topic.words):
        if not folded(word):
            yield Problem(code="RF-C352", path=("words", position), template=N_("A word is blank."))
    for position, pattern in enumerate(topic.patterns):
        if not _readable(pattern):
            yield Problem(
                code="RF-C353",
                path=("patterns", position),
                template=N_(
                    "Not a regular expression of RE2, or one that stands in every text; "
                    "look-around and references back are not of RE2."
                ),
            )


def _readable(pattern: str) -> bool:
    """Whether RE2 reads a pattern that does not match the empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found = pc.match_substring_regex(pa.array([""], pa.string()), pattern)
    except pa.ArrowException:
        return False
    return not found[0].as_py()


def input_problems(
    inputs: Mapping[str, Sequence[AnyInput]], names: Sequence[str], events: EventWindow | None
) -> Iterator[Problem]:
    """What is wrong between the inputs of a schema.

    Args:
        inputs: by their key in the file.
        names: of the features.
        events: the schema's window, or None.
    """
    seen = set(names)
    for key, declared in inputs.items():
        for position, one in enumerate(declared):
            if one.name in seen:
                yield Problem(
                    code="RF-C354",
                    path=(key, position, "name"),
                    values={"name": one.name},
                    template=N_('Another input or feature of the schema is called "{name}" already.'),
                )
            seen.add(one.name)
            if events is not None and (one.until is None or one.until > events.cutoff):
                yield Problem(
                    code="RF-C355",
                    path=(key, position, "until"),
                    values={"cutoff": events.cutoff.isoformat()},
                    template=N_(
                        "Beside [events] an input ends at the cutoff, {cutoff}, or before: what comes later "
                        "would tell the label."
                    ),
                )


def asked_problems(asked: Sequence[str] | None, known: Sequence[str], schema: str) -> Iterator[Problem]:
    """What in a study's inputs does not fit the schema.

    Args:
        asked: names of inputs in the study.
        known: names of the schema's.
        schema: its name.
    """
    for position, name in enumerate(asked or ()):
        if name not in known:
            yield Problem(
                code="RF-S551",
                path=("inputs", position),
                values={"name": name, "schema": schema},
                template=N_('The schema {schema} has no input "{name}".'),
            )
        if name in (asked or ())[:position]:
            yield Problem(
                code="RF-S552",
                path=("inputs", position),
                values={"name": name},
                template=N_('The input "{name}" is listed twice.'),
            )
