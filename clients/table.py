"""The holder's table on its way to a task: read, filtered by consent, stripped of what identifies.

Invariant (DESIGN, 6.4): only this file reads raw columns, and only those the study's purpose allows (`reading`,
`coding` and `events` work for it and are imported by nothing else).

    RawTable -> ConsentedTable -> MinimisedTable

Each type is made by the function before it and by nothing else: the constructors ask for a token of this
module, and a test reads the whole code base for other callers. So a skipped stage is a type error, and a
forged one does not run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients.coding import OTHER, Coded, code
from ringfence.clients.events import read_event_table
from ringfence.clients.reading import Locate, fetch
from ringfence.clients.values import raise_together
from ringfence.privacy import tabular
from ringfence.privacy.consent import ConsentRegistry, Members
from ringfence.privacy.contract import Contract
from ringfence.privacy.errors import N_, ContractError, TableError
from ringfence.privacy.policy import Allowed
from ringfence.privacy.quality import QualityReport, TableFacts, assess
from ringfence.privacy.schema import Schema

__all__ = [
    "OTHER", "ConsentedTable", "MinimisedTable", "Presence", "RawTable", "consented", "minimised", "read_table",
    "separate_consents",
]  # fmt: skip

_MADE_HERE: Final = object()
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


def _require_maker(token: object, name: str) -> None:
    if token is not _MADE_HERE:
        raise TableError(
            "RF-T030", N_("A {name} was made outside clients/table; only the stage before it may make one."), name=name
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
    _keys: tuple[str, ...]
    _frame: pd.DataFrame = field(compare=False)
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "RawTable")

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> tuple[str, ...]:
        """The customer keys, to be looked up in the registry; they never leave this process."""
        return self._keys


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ConsentedTable:
    """The rows of the customers who take part in a round; still with their keys.

    Attributes:
        allowed: as in `RawTable`.
    """

    allowed: Allowed
    _keys: tuple[str, ...]
    _subjects: npt.NDArray[np.int64]
    _frame: pd.DataFrame
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "ConsentedTable")

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Presence:
    """Who is behind which row, as indices of the holder's own registry, for one question: are they still in?"""

    _subjects: npt.NDArray[np.int64]
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "Presence")

    def still(self, members: Members) -> Flags:
        """Which rows' customers take part in this round, bool `(n,)`; the work is the same whoever left."""
        return members.holds(self._subjects)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class MinimisedTable:
    """What a task may see: schema features and the label, no key, in an order that says nothing about the file.

    Attributes:
        frame: `(n, d)`; numbers and dates float64 with NaN for missing, categories and flags categorical over
            the schema's categories and `OTHER`, null for missing.
        features: names of the features, in the study's order.
        label: name of the label, or None; rows without a known label are not here.
        is_test: which rows belong to the test part, bool `(n,)`.
        presence: tells at each round whose rows stay in.
    """

    frame: pd.DataFrame
    features: tuple[str, ...]
    label: str | None
    is_test: Flags
    presence: Presence
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _require_maker(token, "MinimisedTable")

    def __len__(self) -> int:
        return len(self.is_test)


def read_table(contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path) -> RawTable:
    """Read the columns a study may use, code them by the schema and assess their quality.

    Nothing stops here for what the quality gate found: `RawTable.quality` tells it to the holder's people, and
    `consented` refuses a table that does not pass.

    Args:
        contract: this holder's contract.
        schema: the schema it is mapped to.
        allowed: the policy's decision; no other column is decoded.
        base_dir: what a relative path in `[source]` stands against (the contract's folder).

    Raises:
        TableError: RF-T001 to RF-T029 when the source cannot be read as the contract says.
    """
    if contract.events is not None or schema.events is not None:
        return _of_events(contract, schema, allowed, base_dir)
    table, name, locate = fetch(contract.source, allowed.decode, base_dir)
    coded = _coded(table, contract, schema, allowed, locate, name)
    column = tabular.key_text(table[allowed.subject])
    number, count, first = _customers(column, contract.duplicates)
    keep = np.logical_and.reduce([first, *(part.keep for part in coded.values())])
    frame = pd.DataFrame({feature: part.values for feature, part in coded.items()})
    label = None if allowed.label is None else coded[allowed.label].facts
    facts = TableFacts(
        rows=len(number), customers=len(count), keyless=int((number < 0).sum()),
        repeated=int((count > 1).sum()), surplus=int((count - 1).sum()), duplicates=contract.duplicates,
        max_customers=contract.max_customers, min_cohort=contract.min_cohort, label=allowed.label,
        label_classes=0 if label is None else label.distinct, columns=tuple(part.facts for part in coded.values()),
    )  # fmt: skip
    return RawTable(
        allowed=allowed, quality=assess(facts), _keys=_chosen(column.to_pylist(), keep),
        _frame=frame[keep].reset_index(drop=True), token=_MADE_HERE,
    )  # fmt: skip


def _of_events(contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path) -> RawTable:
    """The same of a file with one line an event: one row for every customer with an order in the history."""
    table = read_event_table(contract, schema, allowed, base_dir)
    label = None if allowed.label is None else table.coded[allowed.label].facts
    facts = TableFacts(
        rows=table.facts.lines, customers=len(table.keys), keyless=0, repeated=0, surplus=0,
        duplicates=contract.duplicates, max_customers=contract.max_customers, min_cohort=contract.min_cohort,
        label=allowed.label, label_classes=0 if label is None else label.distinct,
        columns=tuple(part.facts for part in table.coded.values()), events=table.facts,
    )  # fmt: skip
    frame = pd.DataFrame({feature: part.values for feature, part in table.coded.items()})
    return RawTable(allowed=allowed, quality=assess(facts), _keys=table.keys, _frame=frame, token=_MADE_HERE)


def separate_consents(allowed: Allowed) -> tuple[str, ...]:
    """Separate consents that the columns need; a cohort is frozen with them."""
    return ("sensitive-data",) if allowed.sensitive else ()


def consented(
    raw: RawTable,
    registry: ConsentRegistry,
    members: Members,
    subjects: npt.NDArray[np.int64] | None = None,
) -> ConsentedTable:
    """The rows whose customers take part in this round.

    Args:
        raw: the table as it was read.
        registry: the holder's registry.
        members: from `Cohort.current`, asked at this round.
        subjects: `registry.indices(raw.keys())` where they are known already; a customer is never enrolled twice.

    Raises:
        TableError: RF-T040 when the table does not pass the quality gate.
        ConsentError: RF-N023 when the columns need a separate consent the cohort was frozen without.
    """
    raw.quality.check()
    members.require_separate(separate_consents(raw.allowed))
    if subjects is None:
        subjects = registry.indices(raw._keys)
    inside = members.holds(subjects)
    return ConsentedTable(
        allowed=raw.allowed, _keys=_chosen(raw._keys, inside), _subjects=subjects[inside],
        _frame=raw._frame[inside].reset_index(drop=True), token=_MADE_HERE,
    )  # fmt: skip


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
    side, order_by = _split_values(table._keys, split_key)
    keep = np.ones(len(frame), dtype=np.bool_) if label is None else _labelled(frame[label])
    order = np.flatnonzero(keep)
    order = order[np.argsort(order_by[order], kind="stable")]
    is_test = _below(side, Fraction(test_fraction))[order]
    is_test.flags.writeable = False
    return MinimisedTable(
        frame=frame.iloc[order].reset_index(drop=True), features=tuple(features), label=label, is_test=is_test,
        presence=Presence(_subjects=table._subjects[order], token=_MADE_HERE), token=_MADE_HERE,
    )  # fmt: skip


def _coded(
    table: Any, contract: Contract, schema: Schema, allowed: Allowed, locate: Locate, name: str
) -> dict[str, Coded]:
    """Code all columns, and tell of all that cannot be coded at once."""
    coded: dict[str, Coded] = {}
    faults: list[TableError] = []
    for feature, header in allowed.headers.items():
        column = contract.column(feature)
        if column is None:
            raise ContractError("RF-T029", N_('The contract has no column for "{column}".'), column=feature)
        try:
            coded[feature] = code(table[header], schema.feature(feature), column, contract.source, locate)
        except TableError as fault:
            faults.append(fault)
    raise_together(faults, name)
    return coded


def _customers(keys: Any, rule: str) -> tuple[Numbers, Numbers, Flags]:
    """Count the rows of each customer, and choose one of them.

    Args:
        keys: customer keys as text, empty for none.
        rule: the contract's `duplicates`; `refuse` chooses as `first` does, for the report.

    Returns:
        A number for each row's customer, -1 without a key, int64 `(n,)`; how many rows each customer has,
        int64 `(customers,)`; which rows are chosen, bool `(n,)`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    some = pc.if_else(pc.equal(keys, ""), pa.scalar(None, pa.string()), keys)
    coded = (some.combine_chunks() if isinstance(some, pa.ChunkedArray) else some).dictionary_encode()
    number = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.flatnonzero(number >= 0)
    chosen = np.zeros(len(coded.dictionary), dtype=np.int64)
    # The last assignment to a place wins.
    wins = rows if rule == "last" else rows[::-1]
    chosen[number[wins]] = wins
    keep = np.zeros(len(number), dtype=np.bool_)
    keep[chosen] = len(chosen) > 0
    return number, np.bincount(number[rows], minlength=len(chosen)), keep


def _chosen(keys: Iterable[str], keep: Flags) -> tuple[str, ...]:
    return tuple(compress(keys, keep.tolist()))


def _require_allowed(allowed: Allowed, features: Sequence[str], label: str | None) -> None:
    refused = [name for name in features if name not in allowed.features or name == allowed.label]
    refused += [label] if label is not None and label != allowed.label else []
    for name in refused:
        raise ContractError(
            "RF-T031",
            N_('"{column}" is not among the columns this study may use as a feature or label.'),
            column=name,
        )


def _labelled(label: pd.Series[Any]) -> Flags:
    known = label.notna().to_numpy(dtype=np.bool_)
    if isinstance(label.dtype, pd.CategoricalDtype):
        known = known & (label != OTHER).to_numpy(dtype=np.bool_)
    return known


def _split_values(
    keys: Iterable[str], split_key: bytes
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The first and second 64 bits of HMAC-SHA256(split key, customer key), uint64 `(n,)` each.

    RFC 2104 written out over two hash states made once: half the time of the `hmac` module a key.
    """
    block = (hashlib.sha256(split_key).digest() if len(split_key) > 64 else split_key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block)).copy
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy
    digests: list[bytes] = []
    for key in keys:
        first, second = inner(), outer()
        first.update(key.encode())
        second.update(first.digest())
        digests.append(second.digest())
    words = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 4)[:, :2].T.astype(np.uint64)
    return words[0], words[1]


def _below(values: npt.NDArray[np.uint64], fraction: Fraction) -> Flags:
    """Whether value / 2^64 < fraction, exactly: v < f 2^64 iff v < ceil(f 2^64)."""
    limit = math.ceil(fraction * 2**64)
    return np.ones(len(values), dtype=np.bool_) if limit >= 2**64 else values < np.uint64(max(limit, 0))
