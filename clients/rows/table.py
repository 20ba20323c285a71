"""The holder's table on its way to a task: read, filtered by consent, stripped of what identifies.

Invariant (DESIGN, 6.4): only this file reads raw columns, and only those the study's purpose allows
(`reading`, `coding`, `kept`, `customers`, `raw_events` and `raw_lists` work for it and are imported by
nothing else).

    RawTable -> AttestedTable -> ConsentedTable -> MinimisedTable

Each type is made by the function before it and by nothing else: the constructors ask for a token of this
module, and a test reads the whole code base for other callers. So a skipped stage is a type error, and a
forged one does not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients.rows.cells import null_marks
from ringfence.clients.rows.coding import OTHER, code_columns, facts_of, known, one_by_one
from ringfence.clients.rows.customers import KeyColumn, counted_customers
from ringfence.clients.rows.kept import from_bytes, to_bytes
from ringfence.clients.rows.raw_events import read_event_table
from ringfence.clients.rows.raw_lists import InputTable, beside, read_inputs
from ringfence.clients.rows.reading import fetch
from ringfence.clients.rows.splitting import below, split_values
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.consent import CohortMembers, ConsentRegistry
from ringfence.privacy.errors import N_, ContractError, TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.coded_lists import CodedLists
from ringfence.privacy.tables.facts import TableFacts
from ringfence.privacy.tables.quality import QualityReport, assess

__all__ = [
    "OTHER",
    "AttestedTable",
    "ConsentedTable",
    "MinimisedTable",
    "Presence",
    "RawTable",
    "attested",
    "consented",
    "kept",
    "minimised",
    "read_table",
    "restored",
    "separate_consents",
]

_MADE_HERE: Final = object()
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Lists = Mapping[str, CodedLists]
_Read = tuple[KeyColumn, pd.DataFrame, TableFacts]


def _require_maker(token: object, name: str) -> None:
    if token is not _MADE_HERE:
        raise TableError(
            "RF-T030",
            N_("A {name} was made outside clients/rows/table; only the stage before it may make one."),
            name=name,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class RawTable:
    """The allowed columns in the schema's terms, one row a customer, with the customer keys.

    Attributes:
        allowed: the decision under which the columns were decoded.
        quality: the gate's report, for the holder's own people.
    """

    allowed: Allowed
    quality: QualityReport
    _keys: KeyColumn
    _frame: pd.DataFrame = field(compare=False)
    _lists: Lists
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "RawTable")

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> KeyColumn:
        """The customer keys, to be looked up in the registry; they never leave this process."""
        return self._keys


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class AttestedTable:
    """A table that passed the quality gate, as its people attested it for a study; one row a customer.

    Attributes:
        allowed: as in `RawTable`.
    """

    allowed: Allowed
    _keys: KeyColumn
    _frame: pd.DataFrame
    _lists: Lists
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "AttestedTable")

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> KeyColumn:
        """As in `RawTable`."""
        return self._keys


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ConsentedTable:
    """The rows of the customers who take part in a round; still with their keys.

    Attributes:
        allowed: as in `RawTable`.
    """

    allowed: Allowed
    _keys: KeyColumn
    _subjects: npt.NDArray[np.int64]
    _frame: pd.DataFrame
    _lists: Lists
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "ConsentedTable")

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Presence:
    """Who is behind which row, by index in the holder's registry, for one question: still in?"""

    _subjects: npt.NDArray[np.int64]
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "Presence")

    def still(self, members: CohortMembers) -> Flags:
        """Which rows' customers take part in this round, bool `(n,)`; the work is the same whoever left."""
        return members.holds(self._subjects)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class MinimisedTable:
    """What a task may see: schema features and label, no key, in an order that says nothing about the file.

    Attributes:
        frame: `(n, d)`; numbers and dates float64 with NaN for missing, categories and flags categorical over
            the schema's categories and `OTHER`, null for missing.
        features: names of the features, in the study's order.
        label: name of the label, or None; rows without a known label are not here.
        is_test: which rows belong to the test part, bool `(n,)`.
        presence: tells at each round whose rows stay in.
        inputs: items, paths and notes by name, one list for each row.
    """

    frame: pd.DataFrame
    features: tuple[str, ...]
    label: str | None
    is_test: Flags
    presence: Presence
    inputs: Lists
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "MinimisedTable")

    def __len__(self) -> int:
        return len(self.is_test)


def read_table(contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path) -> RawTable:
    """Read the columns a study may use, code them by the schema and assess their quality.

    Nothing stops here for what the quality gate found: `RawTable.quality` tells it to the holder's people,
    and `consented` refuses a table that does not pass.

    Args:
        contract: this holder's contract.
        schema: the schema it is mapped to.
        allowed: the policy's decision; no other column is decoded.
        base_dir: what a relative path in `[source]` stands against (the contract's folder).

    Raises:
        TableError: RF-T001 to RF-T029 when the source cannot be read as the contract says.
    """
    inputs = read_inputs(contract, schema, allowed, base_dir)
    if contract.events is not None or schema.events is not None:
        keys, frame, facts = _of_events(contract, schema, allowed, base_dir)
    elif contract.columns:
        keys, frame, facts = _of_rows(contract, schema, allowed, base_dir)
    else:
        keys, frame, facts = _of_inputs(contract, allowed, inputs)
    lists, counted = beside(keys, inputs)
    return RawTable(
        allowed=allowed,
        quality=assess(replace(facts, inputs=counted)),
        _keys=keys,
        _frame=frame,
        _lists=lists,
        token=_MADE_HERE,
    )


def _of_rows(contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path) -> _Read:
    """Keys, columns and counts of a file with one row a customer."""
    table, name, locate = fetch(contract.source, allowed.decode, base_dir)
    coded = code_columns(table, contract, schema, allowed, locate, name)
    column = tabular.key_text(table[allowed.subject], null_marks(contract.source))
    customers = counted_customers(column, contract.duplicates)
    del table  # what was decoded is not needed beside what it was coded into
    keep = np.logical_and.reduce([customers.chosen, *(part.keep for part in coded.values())])
    facts = replace(
        facts_of(contract, allowed, coded, rows=len(customers.number), customers=len(customers.rows)),
        keyless=int((customers.number < 0).sum()),
        repeated=int((customers.rows[customers.named] > 1).sum()),
        surplus=int((customers.rows[customers.named] - 1).sum()),
        unnamed=int(customers.rows[~customers.named].sum()),
        unnamed_repeated=bool((customers.rows[~customers.named] > 1).any()),
    )
    whole = bool(keep.all())
    values = {name: part.values if whole else part.values[keep] for name, part in one_by_one(coded)}
    return KeyColumn(column).take(keep), _framed(values, int(keep.sum())), facts


def _framed(values: Mapping[str, Any], rows: int) -> pd.DataFrame:
    """Columns side by side, without a copy of them; their number of rows is known without a column too."""
    return pd.DataFrame(dict(values), index=pd.RangeIndex(rows), copy=False)


def _of_events(contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path) -> _Read:
    """The same of a file with one line an event: one row for every customer with an order in the history."""
    table = read_event_table(contract, schema, allowed, base_dir)
    facts = facts_of(contract, allowed, table.coded, rows=table.facts.lines, customers=len(table.keys))
    frame = _framed({name: part.values for name, part in table.coded.items()}, len(table.keys))
    return table.keys, frame, replace(facts, events=table.facts)


def _of_inputs(contract: Contract, allowed: Allowed, inputs: Mapping[str, InputTable]) -> _Read:
    """The same where there is no table beside the inputs: every customer with a usable line in any."""
    keys = KeyColumn.distinct([each.keys for each in inputs.values()])
    lines = sum(each.facts.lines for each in inputs.values())
    facts = facts_of(contract, allowed, {}, rows=lines, customers=len(keys))
    return keys, _framed({}, len(keys)), facts


def _taken(lists: Lists, rows: Flags | Numbers) -> Lists:
    return {name: each.take(rows) for name, each in lists.items()}


def attested(raw: RawTable) -> AttestedTable:
    """The table as its people may attest it.

    Raises:
        TableError: RF-T040 when it does not pass the quality gate.
    """
    raw.quality.check()
    return AttestedTable(
        allowed=raw.allowed, _keys=raw._keys, _frame=raw._frame, _lists=raw._lists, token=_MADE_HERE
    )


def kept(table: AttestedTable) -> bytes:
    """The table in the form in which the holder keeps it until the study is over."""
    return to_bytes(table._keys, table._frame, table._lists)


def restored(allowed: Allowed, content: bytes) -> AttestedTable:
    """The attested table again: of bytes from `kept` whose digest was compared with the attestation's.

    Raises:
        TableError: RF-T150 when the bytes are of another kind or hold other columns.
    """
    keys, frame, lists = from_bytes(content, tuple(allowed.headers), tuple(allowed.inputs))
    return AttestedTable(allowed=allowed, _keys=keys, _frame=frame, _lists=lists, token=_MADE_HERE)


def separate_consents(allowed: Allowed) -> tuple[str, ...]:
    """Separate consents that the policy's decision demands; a cohort is frozen with them."""
    return allowed.separate


def consented(
    raw: RawTable | AttestedTable,
    registry: ConsentRegistry,
    members: CohortMembers,
    subjects: npt.NDArray[np.int64] | None = None,
) -> ConsentedTable:
    """The rows whose customers take part in this round.

    Args:
        raw: the table as it was read, or as it was attested.
        registry: the holder's registry.
        members: from `Cohort.current`, asked at this round.
        subjects: `registry.indices(raw.keys())` where they are known already; a customer is never enrolled
            twice.

    Raises:
        TableError: RF-T040 when the table does not pass the quality gate.
        ConsentError: RF-N023 when the columns need a separate consent the cohort was frozen without.
    """
    if isinstance(raw, RawTable):
        raw.quality.check()
    members.require_separate(separate_consents(raw.allowed))
    if subjects is None:
        subjects = registry.indices(raw._keys)
    inside = members.holds(subjects)
    return ConsentedTable(
        allowed=raw.allowed,
        _keys=raw._keys.take(inside),
        _subjects=subjects[inside],
        _frame=raw._frame[inside].reset_index(drop=True),
        _lists=_taken(raw._lists, inside),
        token=_MADE_HERE,
    )


def minimised(
    table: ConsentedTable,
    *,
    features: Sequence[str],
    label: str | None,
    split_key: bytes,
    test_fraction: Decimal | Fraction = Fraction(0),
) -> MinimisedTable:
    """Drop the customer keys and every column but the features and the label.

    A customer is in the test part iff HMAC-SHA256(split key, customer key) as a fraction lies below the test
    fraction: a function of that customer alone, the same at every holder and in every round. The rows are put
    in the order of other bits of the same value, so the result does not depend on the order of the file.

    Args:
        table: the consented rows.
        features: names of features, in the order wanted.
        label: name of the label; rows whose label is missing or unknown are left out.
        split_key: at least 16 bytes, shared by the holders of a study.
        test_fraction: 0 <= fraction < 1.

    Raises:
        ContractError: RF-T031 for a column the decision does not allow.
        TableError: RF-T032 for a short split key.
    """
    if len(split_key) < 16:
        raise TableError("RF-T032", N_("The split key is shorter than 16 bytes; take the study's own."))
    _require_allowed(table.allowed, features, label)
    frame = table._frame[[*features, *(() if label is None else (label,))]]
    side, order_by = split_values(table._keys, split_key)
    keep = np.ones(len(frame), dtype=np.bool_) if label is None else known(frame[label].array)
    order = np.flatnonzero(keep)
    order = order[np.argsort(order_by[order], kind="stable")]
    is_test = below(side, Fraction(test_fraction))[order]
    is_test.flags.writeable = False
    return MinimisedTable(
        frame=frame.iloc[order].reset_index(drop=True),
        features=tuple(features),
        label=label,
        is_test=is_test,
        presence=Presence(_subjects=table._subjects[order], token=_MADE_HERE),
        inputs=_taken(table._lists, order),
        token=_MADE_HERE,
    )


def _require_allowed(allowed: Allowed, features: Sequence[str], label: str | None) -> None:
    refused = [name for name in features if name not in allowed.features or name == allowed.label]
    refused += [label] if label is not None and label != allowed.label else []
    for name in refused:
        raise ContractError(
            "RF-T031",
            N_('"{column}" is not among the columns this study may use as a feature or label.'),
            column=name,
        )
