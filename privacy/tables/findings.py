"""What the counts of a table say: one sentence a finding, and whether it stops the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ringfence.privacy.errors import N_, told
from ringfence.privacy.tables.facts import ColumnFacts, TableFacts


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


def table_findings(facts: TableFacts) -> Iterator[Finding]:
    """Of the rows and their customers."""
    if facts.keyless:
        yield Finding(
            stops=True,
            code="RF-T041",
            values={"count": facts.keyless},
            template=N_(
                "{count} row(s) have no customer key; every row needs one. Fill them in or remove the rows."
            ),
        )
    if facts.unnamed:
        yield Finding(
            stops=facts.unnamed_repeated,
            code="RF-T110",
            values={"count": facts.unnamed},
            template=N_(
                "{count} row(s) have a customer key that is written like a missing one (NaN, NULL and the "
                "like). List that mark in null_values if it names nobody, or mend the keys."
            ),
        )
    if facts.surplus and facts.duplicates == "refuse":
        yield Finding(
            stops=True,
            code="RF-T042",
            values={"count": facts.repeated, "surplus": facts.surplus},
            template=N_(
                "{count} customer(s) have more than one row ({surplus} too many); one row a customer is "
                "expected. "
                'Remove them, or set duplicates = "first" or "last" in the contract.'
            ),
        )
    elif facts.surplus:
        yield Finding(
            stops=False,
            code="RF-T051",
            values={"surplus": facts.surplus, "rule": facts.duplicates},
            template=N_("{surplus} further row(s) of customers were dropped (duplicates = {rule})."),
        )
    if facts.customers > facts.max_customers:
        yield Finding(
            stops=True,
            code="RF-T043",
            values={"count": facts.customers, "limit": facts.max_customers},
            template=N_(
                "Customers in the table: {count}; the contract's public limit max_customers is {limit}. "
                "The privacy guarantee rests on it: raise it in a new contract."
            ),
        )
    if facts.customers < facts.min_cohort:
        yield Finding(
            stops=False,
            code="RF-T052",
            values={"count": facts.customers, "limit": facts.min_cohort},
            template=N_(
                "Customers in the table: {count}, fewer than min_cohort ({limit}); studies will likely be "
                "void."
            ),
        )


def column_findings(column: ColumnFacts, *, is_label: bool = False) -> Iterator[Finding]:
    """Of one column."""
    yield from _missing_findings(column)
    yield from _category_findings(column, is_label)
    if column.clipped:
        yield Finding(
            stops=False,
            code="RF-T055",
            column=column.name,
            values={"column": column.name, "rows": column.rows, "count": column.clipped},
            template=N_('"{column}" was clipped to its bounds in {count} of {rows} rows.'),
        )
    if column.distinct <= 1 and column.present > column.unknown:
        yield Finding(
            stops=False,
            code="RF-T056",
            column=column.name,
            values={"column": column.name},
            template=N_('"{column}" has the same value in every row, so nothing can be learnt from it here.'),
        )


def _missing_findings(column: ColumnFacts) -> Iterator[Finding]:
    values: dict[str, object] = {"column": column.name, "rows": column.rows, "count": column.missing}
    if column.missing and column.missing_refused:
        yield Finding(
            stops=True,
            code="RF-T044",
            column=column.name,
            values=values,
            template=N_(
                '"{column}" is missing in {count} of {rows} rows; the schema allows no missing entry.'
            ),
        )
    elif column.max_missing is not None and column.missing > column.max_missing * column.rows:
        yield Finding(
            stops=True,
            code="RF-T045",
            column=column.name,
            values=values | {"limit": column.max_missing},
            template=N_('"{column}" is missing in {count} of {rows} rows; max_missing is {limit}.'),
        )
    elif column.rows and not column.present:
        yield Finding(
            stops=False,
            code="RF-T112",
            column=column.name,
            values=values,
            template=N_(
                '"{column}" is missing in every row: is its column in the file empty, or are its entries '
                "listed in null_values?"
            ),
        )


def _category_findings(column: ColumnFacts, is_label: bool) -> Iterator[Finding]:
    values: dict[str, object] = {"column": column.name, "rows": column.rows}
    if column.unknown and column.unknown == column.present:
        yield Finding(
            stops=True,
            code="RF-T046",
            column=column.name,
            values=values,
            template=N_(
                'No entry of "{column}" is a category of the schema. Map its codes with values in the '
                "contract."
            ),
        )
    elif column.unknown:
        yield Finding(
            stops=False,
            code="RF-T053",
            column=column.name,
            values=values | {"count": column.unknown},
            template=N_('"{column}" is not a category of the schema in {count} of {rows} rows.'),
        )
    if column.excluded and is_label:
        yield Finding(
            stops=False,
            code="RF-T111",
            column=column.name,
            values=values | {"count": column.excluded},
            template=N_(
                '{count} of {rows} rows are left out because the label "{column}" is missing there or is '
                "none of its values."
            ),
        )
    elif column.excluded:
        yield Finding(
            stops=False,
            code="RF-T054",
            column=column.name,
            values=values | {"count": column.excluded},
            template=N_('{count} row(s) are left out because "{column}" is not a category of the schema.'),
        )


def label_findings(facts: TableFacts) -> Iterator[Finding]:
    """Of the label."""
    if facts.label is not None and facts.label_classes <= 1:
        yield Finding(
            stops=False,
            code="RF-T057",
            column=facts.label,
            values={"column": facts.label},
            template=N_(
                'The label "{column}" has one class here; the contrast has to come from the other holders.'
            ),
        )
