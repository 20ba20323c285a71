"""Raw events as documents: the public window in the schema, and in the contract where a holder's events stand.

A holder's file has one line an event (customer, time, amount, kind); a study sees one row a customer. The window says
which days count and how each customer's own events become that row's features; it is public and signed, so the
schema's digest covers it, and the features it expands into stand in the schema's canonical form beside it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from ringfence.privacy.documents.canonical import Document, Exact, Slug, Text, Whole
from ringfence.privacy.documents.columns import Column, purposes_problems
from ringfence.privacy.documents.faults import Problem, refuse, settle
from ringfence.privacy.documents.feature import Feature
from ringfence.privacy.errors import N_

LABEL: Final = "silent"
"""The label an event schema has: no order in the days that follow the cutoff."""

_LARGEST: Final = 10**9
_NO_ORDER: Final = Decimal("0.5")
_SPEND_DECADES: Final = Decimal(1000)
_OF_TIME: Final = re.compile(rf"recency_days|tenure_days|orders|orders_p\d\d|{LABEL}")
_OF_AMOUNT: Final = re.compile(r"spend|spend_p\d\d")


class EventWindow(Document):
    """Which days count, and the public bounds of what is counted."""

    cutoff: datetime.date = Field(
        description="First day of the label: features know the days before it, the label the days from it on.",
        examples=["2027-01-01"],
    )
    history_days: Whole = Field(
        ge=2, le=3660, description="Days before the cutoff that features are made from.", examples=[360]
    )
    periods: Whole = Field(
        ge=1, le=99, description="Equal parts of the history, oldest first, for the features `_p01`, `_p02`, ...",
        examples=[12],
    )  # fmt: skip
    silent_days: Whole = Field(
        ge=1,
        le=731,
        description="Days from the cutoff on; a customer without an order in them is silent. Usually 30 or 90.",
        examples=[90],
    )
    most_orders: Whole = Field(
        ge=1, le=_LARGEST, description="Largest number of orders told apart in the history.", examples=[60]
    )
    most_period_orders: Whole | None = Field(
        default=None,
        ge=1,
        le=_LARGEST,
        description="The same in one period; `most_orders` when absent.",
        examples=[12],
    )
    amount: tuple[Exact, Exact] | None = Field(
        default=None,
        description="Smallest and largest amount of one order, from the data dictionary; amounts outside are clipped. "
        "Without it nothing is spent, and there are no features of spend.",
        examples=[[0, 2000]],
    )
    most_spend: Exact | None = Field(
        default=None, gt=0, le=_LARGEST, description="Largest spend in the history; with `amount`.", examples=[8000]
    )
    most_period_spend: Exact | None = Field(
        default=None,
        gt=0,
        le=_LARGEST,
        description="The same in one period; `most_spend` when absent.",
        examples=[2000],
    )
    kinds: tuple[Annotated[Slug, Field(max_length=58)], ...] = Field(
        default=(),
        max_length=256,
        description="Kinds of event from the data dictionary; each becomes a feature, its share of the customer's lines.",
        examples=[["grocery", "fashion"]],
    )

    @field_validator("cutoff", mode="before")
    @classmethod
    def _read_cutoff(cls, value: object) -> object:
        if isinstance(value, bool | int | float | datetime.datetime):
            refuse("RF-C033", N_("Must be a date such as 1990-12-31."))
        return value

    @model_validator(mode="after")
    def _whole(self) -> EventWindow:
        settle(_window_problems(self))
        return self

    @property
    def start(self) -> datetime.date:
        """First day of the history."""
        return self.cutoff - datetime.timedelta(days=self.history_days)

    @property
    def end(self) -> datetime.date:
        """First day after the label's days."""
        return self.cutoff + datetime.timedelta(days=self.silent_days)

    @property
    def sequence(self) -> tuple[tuple[str, ...], ...]:
        """Names of the features of each period, oldest first: what a sequence model reads."""
        return tuple(self._of_period(number) for number in range(1, self.periods + 1))

    def features(self) -> tuple[Feature, ...]:
        """The ordinary features and the label this window stands for, always in this order.

        Counts and sums have logarithmic cells: what is below their smallest bound, zero included, is in the first one.
        """
        number = self.periods
        made = [
            _days("recency_days", "Days since the last order", "距最近一次下单的天数", self.history_days),
            _days("tenure_days", "Days since the first order in the history", "距窗口内首次下单的天数", self.history_days),
            _count("orders", "Orders in the history", "窗口内订单数", self.most_orders),
        ]
        if self.most_spend is not None:
            made.append(_sum("spend", "Spend in the history", "窗口内消费额", self.most_spend))
        for place in range(1, number + 1):
            en, zh = f"in period {place} of {number}", f"第{place}期（共{number}期）"
            most = self.most_period_orders or self.most_orders
            made.append(_count(f"orders_p{place:02d}", f"Orders {en}", f"{zh}订单数", most))
            if self.most_spend is not None:
                spend = self.most_period_spend or self.most_spend
                made.append(_sum(f"spend_p{place:02d}", f"Spend {en}", f"{zh}消费额", spend))
        made += (
            Feature(
                name=f"share_{kind}", kind="number", bounds=(Decimal(0), Decimal(1)), missing="refuse",
                title=f"Share of {kind}", title_zh=f"{kind}占比",
            )
            for kind in self.kinds
        )  # fmt: skip
        days = self.silent_days
        made.append(
            Feature(
                name=LABEL, kind="flag", missing="refuse", unknown="exclude",
                title=f"No order in the {days} days after the cutoff", title_zh=f"截止日后{days}天内无订单",
            )
        )  # fmt: skip
        return tuple(made)

    def _of_period(self, number: int) -> tuple[str, ...]:
        spend = () if self.most_spend is None else (f"spend_p{number:02d}",)
        return (f"orders_p{number:02d}", *spend)


def _days(name: str, title: str, title_zh: str, most: int) -> Feature:
    bounds = (Decimal(1), Decimal(most))
    return Feature(name=name, kind="number", bounds=bounds, missing="refuse", title=title, title_zh=title_zh)


def _count(name: str, title: str, title_zh: str, most: int) -> Feature:
    return Feature(
        name=name, kind="number", bounds=(_NO_ORDER, Decimal(most)), scale="log", missing="refuse",
        title=title, title_zh=title_zh,
    )  # fmt: skip


def _sum(name: str, title: str, title_zh: str, most: Decimal) -> Feature:
    return Feature(
        name=name, kind="number", bounds=(most / _SPEND_DECADES, most), scale="log", missing="refuse",
        title=title, title_zh=title_zh,
    )  # fmt: skip


def _window_problems(window: EventWindow) -> Iterator[Problem]:
    if window.periods > window.history_days:
        yield Problem(
            code="RF-C120", path=("periods",), template=N_("The history has fewer days than periods; each needs a day.")
        )
    yield from _amount_problems(window)
    for position, kind in enumerate(window.kinds):
        if kind in window.kinds[:position]:
            yield Problem(
                code="RF-C124", path=("kinds", position), values={"kind": kind},
                template=N_('The kind "{kind}" is listed twice.'),
            )  # fmt: skip


def _amount_problems(window: EventWindow) -> Iterator[Problem]:
    if window.amount is None:
        for name in ("most_spend", "most_period_spend"):
            if getattr(window, name) is not None:
                yield Problem(code="RF-C121", path=(name,), template=N_("A limit of spend needs amount = [smallest, largest]."))
        return
    low, high = window.amount
    if not low < high or not 0 < high <= _LARGEST or low < -_LARGEST:
        yield Problem(
            code="RF-C122",
            path=("amount",),
            values={"limit": _LARGEST},
            template=N_(
                "The amount of one order is [smallest, largest]: the first below the second, the second above zero, "
                "neither beyond {limit}."
            ),
        )
    if window.most_spend is None:
        yield Problem(
            code="RF-C123", path=("amount",), template=N_("With amount, most_spend says the largest spend in the history.")
        )


class EventSource(Document):
    """Where a holder's events stand in its file, how they are cleaned, and what they may be used for."""

    time: Text = Field(description="Column of the day or moment of the event.", examples=["ordered_at"])
    amount: Text | None = Field(
        default=None, description="Column of the amount of one line.", examples=["dollars"]
    )
    quantity: Text | None = Field(
        default=None, description="Column the amount is multiplied by, if it is the price of a piece.", examples=["pieces"]
    )
    order: Text | None = Field(
        default=None,
        description="Column that names the order; its lines on one day count once. Without it each line is an order.",
        examples=["invoice"],
    )
    kind: Text | None = Field(default=None, description="Column of the kind of event.", examples=["department"])
    item: Text | None = Field(
        default=None,
        description='Column of the article; read only to tell lines apart where `repeated = "drop"`.',
        examples=["article"],
    )
    values: dict[Annotated[str, Field(max_length=200)], Text] = Field(
        default_factory=dict, description="What the file's codes of kinds mean: code = kind.", examples=[{"G": "grocery"}]
    )
    cancelled: tuple[Text, ...] = Field(
        default=(), description="How the names of cancelled orders begin; their lines are left out.", examples=[["C"]]
    )
    returns: Literal["drop", "subtract", "refuse"] = Field(
        default="drop",
        description="Lines of an amount below zero are left out, or lower what was spent (and are no order), or the "
        "table is refused.",
        examples=["subtract"],
    )
    zero: Literal["keep", "drop"] = Field(
        default="keep", description="Whether a line that cost nothing is an order.", examples=["drop"]
    )
    repeated: Literal["keep", "drop"] = Field(
        default="keep",
        description="Lines alike in the customer, the day and every column named here: all are kept, or the first.",
        examples=["drop"],
    )
    max_unusable: Exact | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest share of lines without a customer, a time or an amount; above it the table is refused.",
        examples=["0.3"],
    )
    sensitivity: Literal["quasi", "sensitive", "plain"] = Field(
        default="quasi", description="Of all that is made from the events; as for a column.", examples=["quasi"]
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
            header = self.kind if name.startswith("share_") else None
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
                code="RF-C140", path=(key,), values={"header": header, "other": seen[header]},
                template=N_('The column "{header}" is already named by {other}.'),
            )  # fmt: skip
        elif header is not None:
            seen[header] = key
    needs = (("quantity", "amount"), ("cancelled", "order"), ("values", "kind"))
    for key, other in needs:
        if getattr(source, key) and getattr(source, other) is None:
            yield Problem(
                code="RF-C141", path=(key,), values={"key": key, "other": other},
                template=N_("{key} needs the column of {other}."),
            )  # fmt: skip
    yield from purposes_problems(source.purposes)


def event_problems(source: EventSource | None, window: EventWindow | None, subject: str | None, schema: str) -> Iterator[Problem]:
    """What in a contract's `[events]` does not fit the schema's; None where there is none."""
    if source is None and window is not None:
        yield Problem(
            code="RF-C142", path=("events",), values={"schema": schema},
            template=N_("The schema {schema} is made of events; the contract needs an [events] table that says where they stand."),
        )  # fmt: skip
    if source is None:
        return
    if subject is not None and subject in source.headers:
        yield Problem(
            code="RF-C143", path=("subject",),
            template=N_("The column of the customer (subject) cannot stand for something else in [events]."),
        )  # fmt: skip
    if window is None:
        yield Problem(
            code="RF-C144", path=("events",), values={"schema": schema},
            template=N_("The schema {schema} has no [events]; a contract of events needs one that says which days count."),
        )  # fmt: skip
        return
    for key, given in (("amount", window.amount is not None), ("kind", bool(window.kinds))):
        if given and getattr(source, key) is None:
            yield Problem(
                code="RF-C145", path=("events", key), values={"key": key},
                template=N_("The schema's features need the column of {key}; name it here."),
            )  # fmt: skip
    for code, kind in source.values.items():
        if kind not in window.kinds:
            yield Problem(
                code="RF-C114", path=("events", "values", code),
                values={"category": kind, "known": ", ".join(window.kinds)},
                template=N_('"{category}" is not a category of the schema; it has: {known}.'),
            )  # fmt: skip
