"""Reads a holder's events, one line each, and cleans them; `windowing` makes one row a customer of them.

Works for `clients/rows/table` alone, as `reading` does. What a line is worth depends on its own cells, on the
contract and on other lines of the same customer (of an order, or alike where `repeated = "drop"`), never on
another customer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ringfence.clients.rows.cells import Cells, null_marks, raise_together
from ringfence.clients.rows.coding import Coded, code
from ringfence.clients.rows.customers import KeyColumn
from ringfence.clients.rows.reading import Locate, fetch
from ringfence.clients.rows.texts import looked_up, numbered_apart, plain_texts
from ringfence.clients.rows.values import days, numbers
from ringfence.clients.rows.windowing import UNITS, Flags, Lines, Numbers, Values, customer_rows, no_order
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.event_source import OF_KIND, EventSource
from ringfence.privacy.agreements.event_window import EventWindow
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.errors import N_, ContractError, TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.celltext import compute
from ringfence.privacy.tables.facts import EventFacts

_LARGEST_LINE: Final = 10**9
"""A line's amount is clipped to this on either side, so that no sum of a customer's leaves the integers."""


_HALF_A_CENTURY: Final = 18_262
"""Days; twice as many are a day less than a century."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable:
    """What a file of events comes to.

    Attributes:
        keys: of the customers with an order in the history.
        coded: the allowed features and the label of each, in the schema's terms.
        facts: what was counted on the way.
    """

    keys: KeyColumn
    coded: dict[str, Coded]
    facts: EventFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCells:
    """The decoded columns, `(n,)` each; `told_apart` if these are all that lines differ in."""

    keys: KeyColumn
    customer: Numbers
    day: Values
    amount: Values
    pieces: Values
    order: Numbers
    cancelled: Flags
    kind: Numbers
    item: Numbers
    told_apart: bool


def read_event_table(contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path) -> EventTable:
    """Read, clean and count a holder's events.

    Args:
        contract: this holder's, with `[events]`.
        schema: the schema it is mapped to, with `[events]`.
        allowed: the policy's decision; kinds are decoded only if one of their shares is allowed.
        base_dir: what a relative path in `[source]` stands against.

    Raises:
        ContractError: RF-T035 when only one of contract and schema is of events.
        TableError: RF-T001 to RF-T033 when the source cannot be read as the contract says, RF-T060 when no
            order lies in the history.
    """
    source, window = contract.events, schema.events
    if source is None or window is None:
        raise ContractError(
            "RF-T035",
            N_("Only one of contract {contract} and schema {schema} has [events]; both or none is expected."),
            contract=contract.id,
            schema=schema.id,
        )
    cells, locate = decoded(contract, source, window, allowed, base_dir)
    lines, facts = cleaned(cells, source, window)
    rows = customer_rows(lines, window)
    if not len(rows.customers):
        raise _empty(facts, window)
    coded = {name: _coded(name, rows.columns[name], contract, schema, locate) for name in allowed.headers}
    return EventTable(keys=cells.keys.take(rows.customers), coded=coded, facts=facts)


def _coded(name: str, values: Values | Flags, contract: Contract, schema: Schema, locate: Locate) -> Coded:
    import pyarrow as pa

    column = contract.column(name)
    if column is None:
        raise ContractError("RF-T029", N_('The contract has no column for "{column}".'), column=name)
    return code(pa.array(values), schema.feature(name), column, contract.source, locate)


def decoded(
    contract: Contract, source: EventSource, window: EventWindow, allowed: Allowed, base_dir: Path
) -> tuple[EventCells, Locate]:
    """The allowed columns of the source, cell by cell, and where a line of them stands in it."""
    drop = source.repeated == "drop"
    # Where some kinds are no orders, no feature can be told without the kind.
    with_kinds = drop or bool(window.not_orders) or any(name.startswith(OF_KIND) for name in allowed.headers)
    spared = {None if drop else source.item, None if with_kinds else source.kind}
    headers = [header for header in source.headers if header not in spared]
    table, name, locate = fetch(contract.source, [contract.subject, *headers], base_dir)
    keys = tabular.key_text(table[contract.subject], null_marks(contract.source))
    count, faults = len(keys), list[TableError]()

    def read(header: str | None, how: Callable[[Cells], Any], absent: Any) -> Any:
        if header is None or header not in headers:
            return absent
        try:
            return how(Cells.of(table[header], header, contract.source, locate))
        except TableError as fault:
            faults.append(fault)
            return absent

    # What lies outside is passed over; the middle tells the century of a year of two digits.
    middle = window.cutoff.toordinal()
    span = (middle - _HALF_A_CENTURY, middle + _HALF_A_CENTURY)
    day = read(source.time, lambda column: days(column, span), np.zeros(count))
    amount, pieces = (read(header, numbers, np.ones(count)) for header in (source.amount, source.quantity))
    order, kind, item = (
        read(header, plain_texts, None) for header in (source.order, source.kind, source.item)
    )
    raise_together(faults, name)
    number, distinct = numbered_apart(keys, blank="")
    cells = EventCells(
        keys=KeyColumn(distinct),
        customer=number,
        day=day,
        amount=amount,
        pieces=pieces,
        order=_numbers_of(order, count),
        cancelled=_cancelled(order, source, count),
        kind=_kinds(kind, source, window, count),
        item=_numbers_of(item, count),
        told_apart=len(headers) == len(source.headers),
    )
    return cells, locate


def _numbers_of(texts: Any, count: int) -> Numbers:
    return np.full(count, -1, dtype=np.int64) if texts is None else numbered_apart(texts)[0]


def _cancelled(order: Any, source: EventSource, count: int) -> Flags:
    found = np.zeros(count, dtype=np.bool_)
    for beginning in source.cancelled if order is not None else ():
        found |= (
            compute().fill_null(compute().starts_with(order, beginning), False).to_numpy(zero_copy_only=False)
        )
    return found


def _kinds(kind: Any, source: EventSource, window: EventWindow, count: int) -> Numbers:
    """Positions among the window's `every_kind`; others get numbers below -1, so that lines can be told
    alike.
    """
    if kind is None:
        return np.full(count, -1, dtype=np.int64)
    number, distinct = numbered_apart(kind)
    place = {name: position for position, name in enumerate(window.every_kind)}
    meaning = place | {text.strip(): place[name] for text, name in source.values.items() if name in place}
    known = looked_up(distinct, meaning)
    table = np.append(np.where(known < 0, -2 - np.arange(len(known)), known), -1)
    found: Numbers = table[number]  # the last entry is for none
    return found


def cleaned(cells: EventCells, source: EventSource, window: EventWindow) -> tuple[Lines, EventFacts]:
    """The lines that count, and how many do not and why; each line is told of once, for the first reason."""
    total = len(cells.customer)
    worth = np.clip(cells.amount * cells.pieces, -_LARGEST_LINE, _LARGEST_LINE)
    amount = np.rint(np.nan_to_num(worth) * UNITS).astype(np.int64)
    left, counted = np.ones(total, dtype=np.bool_), {"repeated": 0}

    def told(reason: str, which: Flags, out: bool = True) -> None:
        nonlocal left
        counted[reason] = int((left & which).sum())
        left = left & ~which if out else left

    # Of what is no order, such as a complaint, no amount is asked for and none is looked at.
    priced = ~no_order(cells.kind, window) & (source.amount is not None)
    amount = np.where(priced, amount, 0)
    told("keyless", cells.customer < 0)
    told("undated", np.isnan(cells.day))
    told("unpriced", np.isnan(worth) & priced)
    told("cancelled", cells.cancelled)
    is_return = amount < 0
    told("returns", is_return, out=source.returns != "subtract")
    told("zero", (amount == 0) & priced, out=source.zero == "drop")
    day = np.nan_to_num(cells.day).astype(np.int64)
    if cells.told_apart:
        told("repeated", _repeated(cells, day, left), out=source.repeated == "drop")
    start, cutoff, end = (moment.toordinal() for moment in (window.start, window.cutoff, window.end))
    told("before", day < start)
    told("after", day >= end)
    history = int((left & (day < cutoff)).sum())
    # A line that names no order is one of its own.
    order = np.where(cells.order >= 0, cells.order, -2 - np.arange(total))
    lines = Lines(
        customer=cells.customer,
        day=day,
        amount=amount,
        order=order,
        kind=cells.kind,
        is_return=is_return,
    ).take(left)
    facts = EventFacts(
        lines=total,
        history=history,
        following=int(left.sum()) - history,
        end=window.end,
        returns_rule=source.returns,
        max_unusable=source.max_unusable,
        zero_dropped=source.zero == "drop",
        repeated_dropped=source.repeated == "drop",
        **counted,
    )
    return lines, facts


def _repeated(cells: EventCells, day: Numbers, left: Flags) -> Flags:
    """Which lines repeat an earlier one of those left, in customer, day and all that was decoded."""
    alike = pd.DataFrame(
        {
            "customer": cells.customer,
            "day": day,
            "amount": cells.amount,
            "pieces": cells.pieces,
            "order": cells.order,
            "kind": cells.kind,
            "item": cells.item,
        }
    )[left].duplicated()
    found = np.zeros(len(day), dtype=np.bool_)
    found[np.flatnonzero(left)[alike.to_numpy(dtype=np.bool_)]] = True
    return found


def _empty(facts: EventFacts, window: EventWindow) -> TableError:
    return TableError(
        "RF-T060",
        N_(
            "None of the {lines} lines is a usable order from {start} to the day before {cutoff} ({unusable} "
            "lack a customer, time or amount, {before} lie before, {after} from {cutoff} on). Check the "
            "window in the schema, date_format and the export."
        ),
        lines=facts.lines,
        start=window.start.isoformat(),
        cutoff=window.cutoff.isoformat(),
        unusable=facts.unusable,
        before=facts.before,
        after=facts.following + facts.after,
    )
