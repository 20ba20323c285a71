"""The public window of raw events in the schema: which days count, and the features they become.

A holder's file has one line an event (customer, time, amount, kind); a study sees one row a customer. The
window is public and signed, so the schema's digest covers it, and the features it expands into stand in the
schema's canonical form beside it. Where a holder's events stand says `event_source`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field, field_validator, model_validator

from ringfence.privacy.agreements.feature import Feature
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Document, Exact, Prose, Slug, Whole
from ringfence.privacy.toml.faults import Problem, refuse, settle

LABEL: Final = "silent"
"""The label an event schema has: no order in the days that follow the cutoff."""
WILL: Final = "will_"
"""How the names of labels begin that ask for events of some kinds in the days that follow the cutoff."""

_LARGEST: Final = 10**9
NO_ORDER: Final = Decimal("0.5")
"""Smallest bound of a count on its logarithmic axis: nothing at all."""
_SPEND_DECADES: Final = Decimal(1000)


class EventLabel(Document):
    """An event of some kinds in the days that follow the cutoff, to be predicted."""

    name: Annotated[Slug, Field(max_length=59)] = Field(
        description="What the customer may do; the label's name in studies is `will_` and this.",
        examples=["buy_toys"],
    )
    kinds: tuple[Slug, ...] = Field(
        min_length=1,
        max_length=256,
        description="Kinds of event, of the window's `kinds` or `not_orders`; one of any of them suffices.",
        examples=[["toys"]],
    )
    days: Whole = Field(
        ge=1, le=731, description="Days from the cutoff on in which the event has to happen.", examples=[60]
    )
    absent: bool = Field(
        default=False,
        description="Whether the label is that no such event happens, as when somebody stops paying.",
        examples=[True],
    )
    title: Prose | None = Field(
        default=None, description="Label for people.", examples=["Will buy toys within 60 days"]
    )
    title_zh: Prose | None = Field(
        default=None, description="Label for people, Chinese.", examples=["60天内会购买玩具"]
    )

    @property
    def feature(self) -> Feature:
        """The flag a study names as its label."""
        kinds, days = ", ".join(self.kinds), self.days
        event, verb = ("No event", "无") if self.absent else ("An event", "发生")
        return Feature(
            name=WILL + self.name,
            kind="flag",
            missing="refuse",
            unknown="exclude",
            title=self.title or f"{event} of {kinds} in the {days} days from the cutoff on",
            title_zh=self.title_zh or f"截止日起{days}天内{verb}{kinds}",
        )


class EventWindow(Document):
    """Which days count, and the public bounds of what is counted."""

    cutoff: datetime.date = Field(
        description="First day of the label: features know the days before it, the label the days from it "
        "on.",
        examples=["2027-01-01"],
    )
    history_days: Whole = Field(
        ge=2, le=3660, description="Days before the cutoff that features are made from.", examples=[360]
    )
    periods: Whole = Field(
        ge=1,
        le=99,
        description="Equal parts of the history, oldest first, for the features `_p01`, `_p02`, ...",
        examples=[12],
    )
    silent_days: Whole = Field(
        ge=1,
        le=731,
        description="Days from the cutoff on; a customer without an order in them is silent. Usually 30 or "
        "90.",
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
        description="Smallest and largest amount of one order, from the data dictionary; amounts outside are "
        "clipped. Without it nothing is spent, and there are no features of spend.",
        examples=[[0, 2000]],
    )
    most_spend: Exact | None = Field(
        default=None,
        gt=0,
        le=_LARGEST,
        description="Largest spend in the history; with `amount`.",
        examples=[8000],
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
        description="Kinds of event from the data dictionary; each becomes a feature, its share of the "
        "customer's lines.",
        examples=[["grocery", "fashion"]],
    )
    not_orders: tuple[Annotated[Slug, Field(max_length=57)], ...] | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Kinds of event that are no orders, such as a complaint or a missed payment: they need "
        "no amount and break no silence, and each becomes a feature, its number in the history.",
        examples=[["complaint"]],
    )
    labels: tuple[EventLabel, ...] | None = Field(
        default=None,
        validation_alias="label",
        serialization_alias="label",
        min_length=1,
        max_length=64,
        description="Further labels beside `silent`, one `[[events.label]]` table each: an event of some "
        "kinds in the days from the cutoff on.",
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
        """First day after the days of every label."""
        longest = max([self.silent_days, *(label.days for label in self.labels or ())])
        return self.cutoff + datetime.timedelta(days=longest)

    @property
    def every_kind(self) -> tuple[str, ...]:
        """Kinds of orders, then of events that are none."""
        return (*self.kinds, *(self.not_orders or ()))

    @property
    def label_names(self) -> tuple[str, ...]:
        """What is made of the days from the cutoff on, so that it is a label and never a feature."""
        return (LABEL, *(WILL + label.name for label in self.labels or ()))

    @property
    def sequence(self) -> tuple[tuple[str, ...], ...]:
        """Names of the features of each period, oldest first: what a sequence model reads."""
        return tuple(self._of_period(number) for number in range(1, self.periods + 1))

    def features(self) -> tuple[Feature, ...]:
        """The ordinary features and the label this window stands for, always in this order.

        Counts and sums have logarithmic cells: what is below their smallest bound, zero included, is in the
        first one.
        """
        number = self.periods
        made = [
            _days("recency_days", "Days since the last order", "距最近一次下单的天数", self.history_days),
            _days(
                "tenure_days",
                "Days since the first order in the history",
                "距窗口内首次下单的天数",
                self.history_days,
            ),
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
                name=f"share_{kind}",
                kind="number",
                bounds=(Decimal(0), Decimal(1)),
                missing="refuse",
                title=f"Share of {kind}",
                title_zh=f"{kind}占比",
            )
            for kind in self.kinds
        )
        for kind in self.not_orders or ():
            en, zh = f"Events of {kind} in the history", f"窗口内{kind}次数"
            made.append(_count(f"events_{kind}", en, zh, self.most_orders))
        days = self.silent_days
        made.append(
            Feature(
                name=LABEL,
                kind="flag",
                missing="refuse",
                unknown="exclude",
                title=f"No order in the {days} days after the cutoff",
                title_zh=f"截止日后{days}天内无订单",
            )
        )
        return (*made, *(label.feature for label in self.labels or ()))

    def _of_period(self, number: int) -> tuple[str, ...]:
        spend = () if self.most_spend is None else (f"spend_p{number:02d}",)
        return (f"orders_p{number:02d}", *spend)


def _days(name: str, title: str, title_zh: str, most: int) -> Feature:
    bounds = (Decimal(1), Decimal(most))
    return Feature(
        name=name,
        kind="number",
        bounds=bounds,
        whole=True,
        missing="refuse",
        title=title,
        title_zh=title_zh,
    )


def _count(name: str, title: str, title_zh: str, most: int) -> Feature:
    return Feature(
        name=name,
        kind="number",
        bounds=(NO_ORDER, Decimal(most)),
        scale="log",
        whole=True,
        missing="refuse",
        title=title,
        title_zh=title_zh,
    )


def _sum(name: str, title: str, title_zh: str, most: Decimal) -> Feature:
    return Feature(
        name=name,
        kind="number",
        bounds=(most / _SPEND_DECADES, most),
        scale="log",
        missing="refuse",
        title=title,
        title_zh=title_zh,
    )


def _window_problems(window: EventWindow) -> Iterator[Problem]:
    if window.periods > window.history_days:
        yield Problem(
            code="RF-C120",
            path=("periods",),
            template=N_("The history has fewer days than periods; each needs a day."),
        )
    yield from _amount_problems(window)
    for key, kinds, before in (
        ("kinds", window.kinds, ()),
        ("not_orders", window.not_orders or (), window.kinds),
    ):
        for position, kind in enumerate(kinds):
            if kind in kinds[:position] or kind in before:
                yield Problem(
                    code="RF-C124",
                    path=(key, position),
                    values={"kind": kind},
                    template=N_('The kind "{kind}" is listed twice.'),
                )
    yield from _label_problems(window)


def _label_problems(window: EventWindow) -> Iterator[Problem]:
    labels, known = window.labels or (), window.every_kind
    for place, label in enumerate(labels):
        if any(label.name == other.name for other in labels[:place]):
            yield Problem(
                code="RF-C345",
                path=("label", place, "name"),
                values={"name": label.name},
                template=N_('The label "{name}" stands in the window twice.'),
            )
        for position, kind in enumerate(label.kinds):
            if kind not in known:
                yield Problem(
                    code="RF-C346",
                    path=("label", place, "kinds", position),
                    values={"kind": kind, "known": ", ".join(known) or "-"},
                    template=N_(
                        '"{kind}" is neither among the kinds nor the not_orders of the window, which are: '
                        "{known}."
                    ),
                )


def _amount_problems(window: EventWindow) -> Iterator[Problem]:
    if window.amount is None:
        for name in ("most_spend", "most_period_spend"):
            if getattr(window, name) is not None:
                yield Problem(
                    code="RF-C121",
                    path=(name,),
                    template=N_("A limit of spend needs amount = [smallest, largest]."),
                )
        return
    low, high = window.amount
    if not low < high or not 0 < high <= _LARGEST or low < -_LARGEST:
        yield Problem(
            code="RF-C122",
            path=("amount",),
            values={"limit": _LARGEST},
            template=N_(
                "The amount of one order is [smallest, largest]: the first below the second, the second "
                "above zero, neither beyond {limit}."
            ),
        )
    if window.most_spend is None:
        yield Problem(
            code="RF-C123",
            path=("amount",),
            template=N_("With amount, most_spend says the largest spend in the history."),
        )
