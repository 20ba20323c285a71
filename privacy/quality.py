"""The quality gate: what a table's own people have to know before it takes part, and what stops it.

The report holds exact counts, so it is for the holder's own people only: nothing of it is sent, and public
parts of events hold none of it. The gate runs before a holder joins a study; a label of one class, an unknown
category or a small table are told, never a reason to stop in the middle of a study. Whether the cohort is
large enough is decided elsewhere, once, by a noisy count that is charged.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from ringfence.privacy.errors import N_, TableError, told

if TYPE_CHECKING:
    import pandas as pd


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
        excluded: rows left out for an unknown category.
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
class TableFacts:
    """What was counted while a table was read.

    Attributes:
        rows: rows in the file.
        customers: distinct customer keys.
        keyless: rows without a customer key.
        repeated: customers with more than one row.
        surplus: rows beyond the first of each customer.
        duplicates: the contract's rule.
        max_customers, min_cohort: of the contract.
        label: name of the label, or None.
        label_classes: distinct classes of the label.
        columns: facts of the label and the features.
        events: of a file with one line an event, or None; then `customers` are those with an order in the history.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the gate found.

    Attributes:
        stops: whether the table may not be used until it is mended.
        column: the feature, or empty for the table.
        code: stable code.
        template: English sentence with named fields.
        values: what fills them: counts and names of columns only.
    """

    stops: bool
    code: str
    template: str
    column: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The sentence in the chosen language."""
        return told(self.template, self.values)

    def __str__(self) -> str:
        return f"{self.sentence} ({self.code})"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """The gate's answer, for the holder's own people."""

    facts: TableFacts
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that stop the table."""
        return tuple(finding for finding in self.findings if finding.stops)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that people should know and that stop nothing."""
        return tuple(finding for finding in self.findings if not finding.stops)

    @property
    def passed(self) -> bool:
        """Whether nothing stops the table; code that goes on calls `check` instead."""
        return not self.faults

    def check(self) -> None:
        """Refuse a table that does not pass.

        Raises:
            TableError: RF-T040 with every fault.
        """
        if self.faults:
            raise TableError(
                "RF-T040",
                N_("The table does not pass the quality gate ({count} fault(s)):\n{faults}"),
                count=len(self.faults),
                faults=_Lines(self.faults),
            )

    def as_frame(self) -> pd.DataFrame:
        """Counts by column, with the findings of each column in words."""
        import pandas as pd

        words: dict[str, list[str]] = {}
        for finding in self.findings:
            words.setdefault(finding.column, []).append(str(finding))
        rows = [
            {**asdict(column), "findings": " ".join(words.get(column.name, []))} for column in self.facts.columns
        ]
        frame = pd.DataFrame(rows, columns=[*ColumnFacts.__dataclass_fields__, "findings"])
        frame["max_missing"] = [None if c.max_missing is None else float(c.max_missing) for c in self.facts.columns]
        return frame.set_index("name")


class _Lines(tuple[Finding, ...]):
    """Findings, one a line, translated when printed."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def assess(facts: TableFacts) -> QualityReport:
    """Judge a table by what was counted while it was read."""
    events = () if facts.events is None else _event_findings(facts.events)
    findings = [*events, *_table_findings(facts), *(found for column in facts.columns for found in _column_findings(column))]
    findings += _label_findings(facts)
    return QualityReport(facts=facts, findings=tuple(findings))


def _table_findings(facts: TableFacts) -> Iterator[Finding]:
    if facts.keyless:
        yield Finding(
            stops=True, code="RF-T041", values={"count": facts.keyless},
            template=N_("{count} row(s) have no customer key; every row needs one. Fill them in or remove the rows."),
        )  # fmt: skip
    if facts.surplus and facts.duplicates == "refuse":
        yield Finding(
            stops=True, code="RF-T042", values={"count": facts.repeated, "surplus": facts.surplus},
            template=N_(
                "{count} customer(s) have more than one row ({surplus} too many); one row a customer is expected. "
                'Remove them, or set duplicates = "first" or "last" in the contract.'
            ),
        )  # fmt: skip
    elif facts.surplus:
        yield Finding(
            stops=False, code="RF-T051", values={"surplus": facts.surplus, "rule": facts.duplicates},
            template=N_("{surplus} further row(s) of customers were dropped (duplicates = {rule})."),
        )  # fmt: skip
    if facts.customers > facts.max_customers:
        yield Finding(
            stops=True, code="RF-T043", values={"count": facts.customers, "limit": facts.max_customers},
            template=N_(
                "The table has {count} customers; the contract's public limit max_customers is {limit}. "
                "The privacy guarantee rests on it: raise it in a new contract."
            ),
        )  # fmt: skip
    if facts.customers < facts.min_cohort:
        yield Finding(
            stops=False, code="RF-T052", values={"count": facts.customers, "limit": facts.min_cohort},
            template=N_("The table has {count} customers, fewer than min_cohort ({limit}); studies will likely be void."),
        )  # fmt: skip


def _event_findings(facts: EventFacts) -> Iterator[Finding]:
    values: dict[str, object] = {"lines": facts.lines}
    if facts.max_unusable is not None and facts.unusable > facts.max_unusable * facts.lines:
        yield Finding(
            stops=True, code="RF-T061", values=values | {"count": facts.unusable, "limit": facts.max_unusable},
            template=N_("{count} of {lines} lines lack a customer, a time or an amount; max_unusable is {limit}."),
        )  # fmt: skip
    if facts.keyless:
        yield Finding(
            stops=False, code="RF-T062", values=values | {"count": facts.keyless},
            template=N_("{count} of {lines} lines name no customer and are left out."),
        )  # fmt: skip
    if facts.undated:
        yield Finding(
            stops=False, code="RF-T063", values=values | {"count": facts.undated},
            template=N_("{count} of {lines} lines have no time and are left out."),
        )  # fmt: skip
    if facts.unpriced:
        yield Finding(
            stops=False, code="RF-T064", values=values | {"count": facts.unpriced},
            template=N_("{count} of {lines} lines have no amount and are left out."),
        )  # fmt: skip
    if facts.before + facts.after:
        yield Finding(
            stops=False, code="RF-T070", values=values | {"count": facts.before + facts.after},
            template=N_("{count} of {lines} lines lie outside the window and are passed over."),
        )  # fmt: skip
    if not facts.following:
        yield Finding(
            stops=False, code="RF-T071", values={"end": facts.end.isoformat()},
            template=N_("No line lies in the label's days, so every customer counts as silent: does the export reach to {end}?"),
        )  # fmt: skip
    yield from _order_findings(facts, values)


def _order_findings(facts: EventFacts, values: Mapping[str, object]) -> Iterator[Finding]:
    """What the contract's rules made of lines that a customer has."""
    zero, repeated = ("drop" if dropped else "keep" for dropped in (facts.zero_dropped, facts.repeated_dropped))
    if facts.cancelled:
        yield Finding(
            stops=False, code="RF-T065", values={**values, "count": facts.cancelled},
            template=N_("{count} of {lines} lines are of cancelled orders and are left out."),
        )  # fmt: skip
    if facts.returns and facts.returns_rule == "refuse":
        yield Finding(
            stops=True, code="RF-T066", values={**values, "count": facts.returns},
            template=N_('{count} of {lines} lines have an amount below zero; the contract says returns = "refuse".'),
        )  # fmt: skip
    elif facts.returns:
        yield Finding(
            stops=False, code="RF-T067", values={**values, "count": facts.returns, "rule": facts.returns_rule},
            template=N_("{count} of {lines} lines have an amount below zero (returns = {rule})."),
        )  # fmt: skip
    if facts.zero:
        yield Finding(
            stops=False, code="RF-T068", values={**values, "count": facts.zero, "rule": zero},
            template=N_("{count} of {lines} lines have the amount zero (zero = {rule})."),
        )  # fmt: skip
    if facts.repeated:
        yield Finding(
            stops=False, code="RF-T069", values={**values, "count": facts.repeated, "rule": repeated},
            template=N_("{count} of {lines} lines are like an earlier one (repeated = {rule})."),
        )  # fmt: skip


def _column_findings(column: ColumnFacts) -> Iterator[Finding]:
    values: dict[str, object] = {"column": column.name, "rows": column.rows}
    if column.missing and column.missing_refused:
        yield Finding(
            stops=True, code="RF-T044", column=column.name, values=values | {"count": column.missing},
            template=N_('"{column}" is missing in {count} of {rows} rows; the schema allows no missing entry.'),
        )  # fmt: skip
    elif column.max_missing is not None and column.missing > column.max_missing * column.rows:
        yield Finding(
            stops=True, code="RF-T045", column=column.name,
            values=values | {"count": column.missing, "limit": column.max_missing},
            template=N_('"{column}" is missing in {count} of {rows} rows; max_missing is {limit}.'),
        )  # fmt: skip
    if column.unknown and column.unknown == column.present:
        yield Finding(
            stops=True, code="RF-T046", column=column.name, values=values,
            template=N_('No entry of "{column}" is a category of the schema. Map its codes with values in the contract.'),
        )  # fmt: skip
    elif column.unknown:
        yield Finding(
            stops=False, code="RF-T053", column=column.name, values=values | {"count": column.unknown},
            template=N_('"{column}" is not a category of the schema in {count} of {rows} rows.'),
        )  # fmt: skip
    if column.excluded:
        yield Finding(
            stops=False, code="RF-T054", column=column.name, values=values | {"count": column.excluded},
            template=N_('{count} row(s) are left out because "{column}" is not a category of the schema.'),
        )  # fmt: skip
    if column.clipped:
        yield Finding(
            stops=False, code="RF-T055", column=column.name, values=values | {"count": column.clipped},
            template=N_('"{column}" was clipped to its bounds in {count} of {rows} rows.'),
        )  # fmt: skip
    if column.distinct <= 1:
        yield Finding(
            stops=False, code="RF-T056", column=column.name, values=values,
            template=N_('"{column}" has the same value in every row, so nothing can be learnt from it here.'),
        )  # fmt: skip


def _label_findings(facts: TableFacts) -> Iterator[Finding]:
    if facts.label is not None and facts.label_classes <= 1:
        yield Finding(
            stops=False, code="RF-T057", column=facts.label, values={"column": facts.label},
            template=N_('The label "{column}" has one class here; the other holders carry the contrast.'),
        )  # fmt: skip
