"""Where the lines of a holder's items, paths and notes stand, and what they may be used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from ringfence.privacy.agreements.columns import Source, purposes_problems
from ringfence.privacy.agreements.inputs import AnyInput, ItemsInput, NotesInput, PathsInput
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Document, Exact, Slug, Text
from ringfence.privacy.toml.faults import Problem, settle


class InputSource(Document):
    """What the lines of every input have: a customer, often a time, and purposes."""

    name: Slug = Field(description="Name of the input in the schema.", examples=["basket"])
    source: Source | None = Field(
        default=None, description="Where the lines are; those of `[source]` when absent."
    )
    subject: Text | None = Field(
        default=None,
        description="Column that names the customer; the contract's `subject` when absent.",
        examples=["customer"],
    )
    time: Text | None = Field(
        default=None,
        description="Column of the day or moment; needed where the schema says which days count.",
        examples=["ordered_at"],
    )
    max_unusable: Exact | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest share of lines that lack a customer, a time or what is listed; above it the "
        "table is refused.",
        examples=["0.3"],
    )
    sensitivity: Literal["quasi", "sensitive", "plain"] = Field(
        default="quasi", description="Of the whole input; as for a column.", examples=["sensitive"]
    )
    purposes: tuple[Text, ...] = Field(
        default=(),
        description="Purposes of the catalogue the input may be used for; none when absent.",
        examples=[["churn-prediction"]],
    )

    @property
    def columns(self) -> dict[str, str]:
        """Columns beside the customer's, by their keys here."""
        return {} if self.time is None else {"time": self.time}

    def key(self, subject: str) -> str:
        """Column of the customer, in a contract with that subject."""
        return self.subject or subject


class ItemsSource(InputSource):
    """Where bought articles stand, one a line."""

    item: Text = Field(description="Column of the article.", examples=["article"])
    basket: Text | None = Field(
        default=None,
        description="Column that names the basket or order; needed where the schema has several baskets.",
        examples=["invoice"],
    )
    quantity: Text | None = Field(
        default=None, description="Column of the number of pieces.", examples=["pieces"]
    )
    values: dict[Annotated[str, Field(max_length=200)], Text] = Field(
        default_factory=dict,
        description="What the file's codes mean: code = article.",
        examples=[{"85123A": "lantern"}],
    )
    cancelled: tuple[Text, ...] = Field(
        default=(),
        description="How the names of cancelled baskets begin; their lines are left out.",
        examples=[["C"]],
    )
    returns: Literal["drop", "subtract", "refuse"] = Field(
        default="drop",
        description="Lines of a quantity below zero are left out, or take articles away (one is bought if "
        "more was bought than returned), or the table is refused.",
        examples=["subtract"],
    )

    @model_validator(mode="after")
    def _whole(self) -> ItemsSource:
        settle(_columns_problems(self))
        for key, other, given in (
            ("cancelled", "basket", self.cancelled),
            ("returns", "quantity", self.returns != "drop"),
        ):
            if given and getattr(self, other) is None:
                settle([_needs(key, other)])
        return self

    @property
    def columns(self) -> dict[str, str]:
        """As in `InputSource`."""
        mine = {"item": self.item, "basket": self.basket, "quantity": self.quantity}
        return super().columns | {key: header for key, header in mine.items() if header is not None}


class PathsSource(InputSource):
    """Where a customer's touches stand, one a line."""

    channel: Text = Field(description="Column of the channel.", examples=["channel"])
    values: dict[Annotated[str, Field(max_length=200)], Text] = Field(
        default_factory=dict,
        description="What the file's codes mean: code = channel.",
        examples=[{"EM": "mail"}],
    )
    converted: Text | None = Field(
        default=None,
        description="Column that tells a conversion; it may be the channel's own. Without it none converts.",
        examples=["event"],
    )
    conversions: tuple[Text, ...] = Field(
        default=(), description="What stands there at a conversion.", examples=[["purchase"]]
    )

    @model_validator(mode="after")
    def _whole(self) -> PathsSource:
        settle(_columns_problems(self))
        if bool(self.conversions) != (self.converted is not None):
            settle([_needs("converted", "conversions")])
        return self

    @property
    def columns(self) -> dict[str, str]:
        """As in `InputSource`."""
        apart = self.converted is not None and self.converted != self.channel
        return (
            super().columns
            | {"channel": self.channel}
            | ({"converted": str(self.converted)} if apart else {})
        )


class NotesSource(InputSource):
    """Where service texts stand, one a line."""

    text: Text = Field(description="Column of the text.", examples=["complaint"])

    @model_validator(mode="after")
    def _whole(self) -> NotesSource:
        settle(_columns_problems(self))
        return self

    @property
    def columns(self) -> dict[str, str]:
        """As in `InputSource`."""
        return super().columns | {"text": self.text}


AnySource: TypeAlias = ItemsSource | PathsSource | NotesSource


def _needs(key: str, other: str) -> Problem:
    return Problem(
        code="RF-C141",
        path=(key,),
        values={"key": key, "other": other},
        template=N_("{key} needs the column of {other}."),
    )


def _columns_problems(source: InputSource) -> Iterator[Problem]:
    seen: dict[str, str] = {} if source.subject is None else {source.subject: "subject"}
    for key, header in source.columns.items():
        if header in seen:
            yield Problem(
                code="RF-C140",
                path=(key,),
                values={"header": header, "other": seen[header]},
                template=N_('The column "{header}" is already named by {other}.'),
            )
        seen.setdefault(header, key)
    yield from purposes_problems(source.purposes)


_KINDS = {"items": ItemsInput, "paths": PathsInput, "notes": NotesInput}


def source_problems(
    sources: Mapping[str, Sequence[tuple[int, AnySource]]],
    declared: Mapping[str, AnyInput],
    subject: str | None,
    schema: str,
) -> Iterator[Problem]:
    """What in a contract's inputs does not fit its schema, or one another.

    Args:
        sources: by their key in the file, with their places there; faulty ones may be left out.
        declared: the schema's inputs by name.
        subject: the contract's, or None where it is faulty.
        schema: name of the schema.
    """
    seen: set[str] = set()
    for key, entries in sources.items():
        for position, source in entries:
            path = (key, position)
            one = declared.get(source.name)
            if source.name in seen:
                yield Problem(
                    code="RF-C356",
                    path=(*path, "name"),
                    values={"name": source.name},
                    template=N_('The input "{name}" is mapped twice.'),
                )
            seen.add(source.name)
            if subject is not None and source.key(subject) in source.columns.values():
                yield Problem(
                    code="RF-C357",
                    path=path,
                    template=N_("The column of the customer (subject) cannot stand for something else here."),
                )
            if one is None or not isinstance(one, _KINDS[key]):
                yield Problem(
                    code="RF-C358",
                    path=(*path, "name"),
                    values={"name": source.name, "schema": schema, "kind": key},
                    template=N_('The schema {schema} has no input "{name}" among its {kind}.'),
                )
                continue
            yield from (problem.under(*path) for problem in _fit_problems(source, one))


def _fit_problems(source: AnySource, declared: AnyInput) -> Iterator[Problem]:
    if declared.span is not None and source.time is None:
        yield Problem(
            code="RF-C359",
            path=("time",),
            template=N_("The schema says which days count, so the column of the time has to be named."),
        )
    if isinstance(declared, ItemsInput) and declared.baskets > 1 and "basket" not in source.columns:
        yield Problem(
            code="RF-C360",
            path=("basket",),
            template=N_("The schema has several baskets a customer, so their column has to be named."),
        )
    if isinstance(source, NotesSource) or isinstance(declared, NotesInput):
        return
    known = set(declared.codes)
    for code, meaning in source.values.items():
        if meaning not in known:
            yield Problem(
                code="RF-C361",
                path=("values", code),
                values={"name": meaning},
                template=N_('"{name}" is not among the codes that the schema lists for this input.'),
            )
