"""Customers' events inside a public window become one row a customer: integers first, floats of them last.

Invariants. A row is a function of that customer's own events and of the public window alone, bit for bit, in
any order of the lines: everything is counted and summed in integers. Features see the days before the cutoff
and the label sees the days from it on; no line is in both. However many events a customer has, it has one
row, or none without an order in the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from ringfence.privacy.agreements.event_window import LABEL, NO_ORDER, WILL, EventWindow

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

UNITS: Final = 10_000
"""Amounts are whole numbers of this part of the currency's unit, so that sums are exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Events as numbers, one entry a line, shape `(n,)`.

    Attributes:
        customer: number of the customer.
        day: as in `date.toordinal`.
        amount: in `1 / UNITS`; below zero for a return.
        order: number of the order within the file.
        kind: position among the window's `every_kind`, below zero for none of them.
        is_return: the line returns something and is no order.
    """

    customer: Numbers
    day: Numbers
    amount: Numbers
    order: Numbers
    kind: Numbers
    is_return: Flags

    def take(self, rows: Flags | Numbers) -> Lines:
        """Some of the lines."""
        return Lines(
            customer=self.customer[rows],
            day=self.day[rows],
            amount=self.amount[rows],
            order=self.order[rows],
            kind=self.kind[rows],
            is_return=self.is_return[rows],
        )

    def between(self, first: int, end: int) -> Lines:
        """The lines of the days `first` to `end - 1`."""
        return self.take((self.day >= first) & (self.day < end))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRows:
    """One row a customer.

    Attributes:
        customers: their numbers, ascending, int64 `(m,)`.
        columns: the window's features and its label, `(m,)` each.
    """

    customers: Numbers
    columns: dict[str, Values | Flags]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orders:
    """Lines of one customer, day and order added up, `(k,)` each.

    Attributes:
        counts: a line is no return, so that it is an order.
        returns: a line is a return, so that the amount may be below zero.
    """

    customer: Numbers
    day: Numbers
    amount: Numbers
    counts: Flags
    returns: Flags


def customer_rows(lines: Lines, window: EventWindow) -> CustomerRows:
    """Count every customer's events in the window.

    Args:
        lines: usable lines of any day; those outside the window are passed over.
        window: the schema's.

    Returns:
        The customers with at least one order in the history, and the window's features of each. What is none
        (no order, nothing spent) is the smallest bound of its logarithmic feature.
    """
    start, cutoff = (day.toordinal() for day in (window.start, window.cutoff))
    seen = lines.between(start, cutoff)
    apart = no_order(seen.kind, window)
    ordered = seen.take(~apart)
    orders = _added_up(ordered)
    customers = np.unique(orders.customer[orders.counts])
    columns: dict[str, Values | Flags] = {}
    columns |= _days_ago(orders, customers, cutoff)
    columns |= _counts(orders, customers, window, start)
    columns |= _shares(ordered, customers, window)
    columns |= _events(seen.take(apart), customers, window)
    columns |= _labels(lines, customers, window)
    return CustomerRows(customers=customers, columns=columns)


def no_order(kind: Numbers, window: EventWindow) -> Flags:
    """Which lines are of a kind that is no order, bool `(n,)`."""
    return (kind >= len(window.kinds)) & (kind < len(window.every_kind))


def _labels(lines: Lines, customers: Numbers, window: EventWindow) -> dict[str, Flags]:
    """What happens from the cutoff on: no order at all, and events of the kinds of every further label."""
    cutoff = window.cutoff.toordinal()
    later = lines.take(~lines.is_return).between(cutoff, window.end.toordinal())
    follows = later.day - cutoff

    def who(which: Flags) -> Flags:
        return np.isin(customers, later.customer[which])

    made = {LABEL: ~who((follows < window.silent_days) & ~no_order(later.kind, window))}
    for label in window.labels or ():
        kinds = [window.every_kind.index(kind) for kind in label.kinds]
        happens = who((follows < label.days) & np.isin(later.kind, kinds))
        made[WILL + label.name] = ~happens if label.absent else happens
    return made


def _added_up(lines: Lines) -> _Orders:
    by = np.lexsort((lines.order, lines.day, lines.customer))
    ordered = lines.take(by)
    keys = (ordered.customer, ordered.day, ordered.order)
    fresh = np.ones(len(by), dtype=np.bool_)
    fresh[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    first, group = np.flatnonzero(fresh), np.cumsum(fresh) - 1
    amount = np.zeros(len(first), dtype=np.int64)
    np.add.at(amount, group, ordered.amount)
    counts, returns = np.zeros((2, len(first)), dtype=np.bool_)
    counts[group[~ordered.is_return]] = True
    returns[group[ordered.is_return]] = True
    return _Orders(
        customer=ordered.customer[first],
        day=ordered.day[first],
        amount=amount,
        counts=counts,
        returns=returns,
    )


def _days_ago(orders: _Orders, customers: Numbers, cutoff: int) -> dict[str, Values]:
    place, day = np.searchsorted(customers, orders.customer[orders.counts]), orders.day[orders.counts]
    last, first = np.zeros(len(customers), dtype=np.int64), np.full(len(customers), cutoff, dtype=np.int64)
    np.maximum.at(last, place, day)
    np.minimum.at(first, place, day)
    return {
        "recency_days": (cutoff - last).astype(np.float64),
        "tenure_days": (cutoff - first).astype(np.float64),
    }


def _counts(orders: _Orders, customers: Numbers, window: EventWindow, start: int) -> dict[str, Values]:
    """Orders and spend, in the history and in each of its periods.

    An order is clipped to the window's amounts; where something is returned, down to the largest amount below
    zero, so that a return under a number of its own or on a later day lowers what was spent. A period, and
    the history, cannot come to less than the smallest bound of its feature.
    """
    mine = np.isin(orders.customer, customers)
    place = np.searchsorted(customers, orders.customer[mine])
    # Period of day d of H, in P periods: floor(d P / H); lengths differ by a day at most.
    period = (orders.day[mine] - start) * window.periods // window.history_days
    counted = np.zeros((len(customers), window.periods), dtype=np.int64)
    np.add.at(counted, (place, period), orders.counts[mine].astype(np.int64))
    tables = {"orders": counted}
    if window.amount is not None:
        low, high = (_in_units(bound) for bound in window.amount)
        lowest = np.where(orders.returns[mine], min(low, -high), low)
        spent = np.zeros_like(counted)
        np.add.at(spent, (place, period), np.clip(orders.amount[mine], lowest, high))
        tables["spend"] = spent
    columns: dict[str, Values] = {}
    units = {"orders": 1, "spend": UNITS}
    for feature in window.features():
        name, _, part = feature.name.partition("_p")
        if name in tables:
            total = tables[name][:, int(part) - 1] if part else tables[name].sum(axis=1)
            columns[feature.name] = np.maximum(total / units[name], feature.limits[0])
    return columns


def _in_units(amount: Decimal) -> int:
    return int((amount * UNITS).to_integral_value())


def _shares(lines: Lines, customers: Numbers, window: EventWindow) -> dict[str, Values]:
    """Lines of each kind as a share of a customer's orders' lines in the history, without returns."""
    kept = lines.take(~lines.is_return)
    place = np.searchsorted(customers, kept.customer)
    every = np.bincount(place, minlength=len(customers))
    return {
        f"share_{kind}": np.bincount(place[kept.kind == number], minlength=len(customers)) / every
        for number, kind in enumerate(window.kinds)
    }


def _events(lines: Lines, customers: Numbers, window: EventWindow) -> dict[str, Values]:
    """Number of events in the history of each kind that is no order."""
    mine = lines.take(np.isin(lines.customer, customers))
    place = np.searchsorted(customers, mine.customer)
    made: dict[str, Values] = {}
    for number, kind in enumerate(window.not_orders or (), start=len(window.kinds)):
        count = np.bincount(place[mine.kind == number], minlength=len(customers))
        made[f"events_{kind}"] = np.maximum(count, float(NO_ORDER))
    return made
