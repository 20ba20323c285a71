"""What is counted while a table is read: exact counts, so they stay with the holder's own people."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """What was counted while one column was read; all counts are rows.

    Attributes:
        name: name of the feature.
        kind: its kind in the schema.
        rows: rows read.
        present: entries that are there, whether or not the schema knows them.
        missing: entries that count as missing: those not there, and unknown categories the schema says so of.
        clipped: values moved to a bound.
        unknown: entries that are no category of the schema.
        excluded: rows left out for an unknown category; of the label, all rows whose label is not known.
        distinct: distinct values that are not missing.
        max_missing: largest allowed share of missing entries, or None.
        missing_refused: the schema says `missing = "refuse"`.
    """

    name: str
    kind: str
    rows: int
    present: int
    missing: int = 0
    clipped: int = 0
    unknown: int = 0
    excluded: int = 0
    distinct: int = 0
    max_missing: Decimal | None = None
    missing_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """What was counted while a file of events was read; all counts are lines.

    Attributes:
        lines: lines of the file.
        keyless, undated, unpriced: without a customer, a time, an amount; left out.
        cancelled: of cancelled orders; left out.
        returns: of an amount below zero; what becomes of them is `returns_rule`.
        zero: of the amount zero; left out where `zero_dropped`.
        repeated: alike to an earlier line; left out where `repeated_dropped`.
        before, after: outside the window.
        history, following: usable lines of the history and of the label's days.
        end: first day after the label's days.
        max_unusable: largest allowed share of lines without a customer, time or amount, or None.
    """

    lines: int
    keyless: int
    undated: int
    unpriced: int
    cancelled: int
    returns: int
    zero: int
    repeated: int
    before: int
    after: int
    history: int
    following: int
    end: datetime.date
    returns_rule: Literal["drop", "subtract", "refuse"]
    zero_dropped: bool
    repeated_dropped: bool
    max_unusable: Decimal | None

    @property
    def unusable(self) -> int:
        """Lines that say too little to be an event of a customer."""
        return self.keyless + self.undated + self.unpriced


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What was counted while the lines of items, paths or notes were read; lines where nothing else is said.

    Attributes:
        name: of the input.
        kind: items, paths or notes.
        lines: lines of the source.
        keyless, undated, unquantified, nameless: without a customer, a time, a quantity, or an article, a
            channel, a text; left out.
        cancelled: of cancelled baskets; left out.
        returns: of a quantity below zero; what becomes of them is `returns_rule`.
        zero: of the quantity zero; left out.
        before, after: outside the days that count.
        outside: of an article or channel that is not listed; what becomes of them is `unknown_rule`.
        cut: notes longer than what is read of them.
        folded: entries like an earlier one that count once.
        beyond: entries left out since their customer has more than the schema allows.
        bounded: customers who have more.
        later: touches after a customer's first conversion; left out.
        listed: entries that are kept.
        converted: customers whose path ends in a conversion.
        strangers: customers with usable lines who are not in the table.
        without: customers of the table without an entry.
        max_unusable: largest allowed share of lines that lack something, or None.
    """

    name: str
    kind: str
    lines: int
    keyless: int
    undated: int
    unquantified: int
    nameless: int
    cancelled: int
    returns: int
    zero: int
    before: int
    after: int
    outside: int
    returns_rule: Literal["drop", "subtract", "refuse"]
    unknown_rule: Literal["drop", "other"]
    max_unusable: Decimal | None
    cut: int = 0
    folded: int = 0
    beyond: int = 0
    bounded: int = 0
    later: int = 0
    listed: int = 0
    converted: int = 0
    strangers: int = 0
    without: int = 0

    @property
    def unusable(self) -> int:
        """Lines that say too little."""
        return self.keyless + self.undated + self.unquantified + self.nameless


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What was counted while a table was read.

    Attributes:
        rows: rows in the file.
        customers: distinct customer keys.
        keyless: rows without a customer key.
        repeated: customers with more than one row.
        surplus: rows beyond the first of each customer.
        unnamed: rows whose key is written like a missing one, such as NaN; not among those repeated.
        unnamed_repeated: several of them share one such key.
        duplicates: the contract's rule.
        max_customers, min_cohort: of the contract.
        label: name of the label, or None.
        label_classes: distinct classes of the label.
        columns: facts of the label and the features.
        events: of a file with one line an event, or None; then `customers` are those with an order in the
            history.
        inputs: of the items, paths and notes that were read beside the table.
    """

    rows: int
    customers: int
    keyless: int
    repeated: int
    surplus: int
    duplicates: Literal["refuse", "first", "last"]
    max_customers: int
    min_cohort: int
    label: str | None
    label_classes: int
    columns: tuple[ColumnFacts, ...]
    events: EventFacts | None = None
    inputs: tuple[InputFacts, ...] = ()
    unnamed: int = 0
    unnamed_repeated: bool = False
