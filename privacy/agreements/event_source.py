"""Where a holder's raw events stand in its file, how they are cleaned, and whether they fit the window."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from ringfence.privacy.agreements.columns import Column, purposes_problems
from ringfence.privacy.agreements.event_window import LABEL, WILL, EventWindow
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Document, Exact, Text
from ringfence.privacy.toml.faults import Problem, settle

_OF_TIME: Final = re.compile(rf"recency_days|tenure_days|orders|orders_p\d\d|{LABEL}")
_OF_AMOUNT: Final = re.compile(r"spend|spend_p\d\d")
OF_KIND: Final = ("share_", "events_", WILL)
"""How the names of features and labels begin that are made of the kinds of events."""


class EventSource(Document):
    """Where a holder's events stand in its file, how they are cleaned, and what they may be used for."""

    time: Text = Field(description="Column of the day or moment of the event.", examples=["ordered_at"])
    amount: Text | None = Field(
        default=None, description="Column of the amount of one line.", examples=["dollars"]
    )
    quantity: Text | None = Field(
        default=None,
        description="Column the amount is multiplied by, if it is the price of a piece.",
        examples=["pieces"],
    )
    order: Text | None = Field(
        default=None,
        description="Column that names the order; its lines on one day count once. Without it each line is "
        "an order.",
        examples=["invoice"],
    )
    kind: Text | None = Field(
        default=None, description="Column of the kind of event.", examples=["department"]
    )
    item: Text | None = Field(
        default=None,
        description='Column of the article; read only to tell lines apart where `repeated = "drop"`.',
        examples=["article"],
    )
    values: dict[Annotated[str, Field(max_length=200)], Text] = Field(
        default_factory=dict,
        description="What the file's codes of kinds mean: code = kind.",
        examples=[{"G": "grocery"}],
    )
    cancelled: tuple[Text, ...] = Field(
        default=(),
        description="How the names of cancelled orders begin; their lines are left out.",
        examples=[["C"]],
    )
    returns: Literal["drop", "subtract", "refuse"] = Field(
        default="drop",
        description="Lines of an amount below zero are left out, or lower what was spent (and are no order), "
        "or the table is refused.",
        examples=["subtract"],
    )
    zero: Literal["keep", "drop"] = Field(
        default="keep", description="Whether a line that cost nothing is an order.", examples=["drop"]
    )
    repeated: Literal["keep", "drop"] = Field(
        default="keep",
        description="Lines alike in the customer, the day and every column named here: all are kept, or the "
        "first.",
        examples=["drop"],
    )
    max_unusable: Exact | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest share of lines without a customer, a time or an amount; above it the table is "
        "refused.",
        examples=["0.3"],
    )
    sensitivity: Literal["quasi", "sensitive", "plain"] = Field(
        default="quasi",
        description="Of all that is made from the events; as for a column.",
        examples=["quasi"],
    )
    purposes: tuple[Text, ...] = Field(
        default=(),
        description="Purposes of the catalogue the events may be used for; none when absent.",
        examples=[["churn-prediction"]],
    )

    @model_validator(mode="after")
    def _whole(self) -> EventSource:
        settle(_source_problems(self))
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """Names in the file of all columns but the customer's."""
        named = (self.time, self.amount, self.quantity, self.order, self.kind, self.item)
        return tuple(header for header in named if header is not None)

    def column(self, name: str) -> Column | None:
        """The column a feature is made of, or None when the file has none for it."""
        if _OF_TIME.fullmatch(name):
            header: str | None = self.time
        elif _OF_AMOUNT.fullmatch(name):
            header = self.amount
        else:
            header = self.kind if name.startswith(OF_KIND) else None
        if header is None:
            return None
        return Column(name=name, source=header, sensitivity=self.sensitivity, purposes=self.purposes)


def _source_problems(source: EventSource) -> Iterator[Problem]:
    named = ("time", "amount", "quantity", "order", "kind", "item")
    seen: dict[str, str] = {}
    for key in named:
        header = getattr(source, key)
        if header is not None and header in seen:
            yield Problem(
                code="RF-C140",
                path=(key,),
                values={"header": header, "other": seen[header]},
                template=N_('The column "{header}" is already named by {other}.'),
            )
        elif header is not None:
            seen[header] = key
    needs = (("quantity", "amount"), ("cancelled", "order"), ("values", "kind"))
    for key, other in needs:
        if getattr(source, key) and getattr(source, other) is None:
            yield Problem(
                code="RF-C141",
                path=(key,),
                values={"key": key, "other": other},
                template=N_("{key} needs the column of {other}."),
            )
    yield from purposes_problems(source.purposes)


def event_problems(
    source: EventSource | None, window: EventWindow | None, subject: str | None, schema: str
) -> Iterator[Problem]:
    """What in a contract's `[events]` does not fit the schema's; None where there is none."""
    if source is None and window is not None:
        yield Problem(
            code="RF-C142",
            path=("events",),
            values={"schema": schema},
            template=N_(
                "The schema {schema} is made of events; the contract needs an [events] table that says where "
                "they stand."
            ),
        )
    if source is None:
        return
    if subject is not None and subject in source.headers:
        yield Problem(
            code="RF-C143",
            path=("subject",),
            template=N_("The column of the customer (subject) cannot stand for something else in [events]."),
        )
    if window is None:
        yield Problem(
            code="RF-C144",
            path=("events",),
            values={"schema": schema},
            template=N_(
                "The schema {schema} has no [events]; a contract of events needs one that says which days "
                "count."
            ),
        )
        return
    for key, given in (("amount", window.amount is not None), ("kind", bool(window.every_kind))):
        if given and getattr(source, key) is None:
            yield Problem(
                code="RF-C145",
                path=("events", key),
                values={"key": key},
                template=N_("The schema's features need the column of {key}; name it here."),
            )
    for code, kind in source.values.items():
        if kind not in window.every_kind:
            yield Problem(
                code="RF-C114",
                path=("events", "values", code),
                values={"category": kind, "known": ", ".join(window.every_kind)},
                template=N_('"{category}" is not a category of the schema; it has: {known}.'),
            )
