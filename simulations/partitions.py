"""Cuts one table into simulated holders: evenly, with label skew, or by the values of a column.

For simulations only: a cut that looks at labels or permutes rows has no place where the rows have real
holders. Every row goes to exactly one holder. `partition` cuts rows, so a table with several rows a customer
has to be cut by a column that is constant within a customer, or the holders overlap; `partition_customers`
cuts customers with all their lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from ringfence.privacy.agreements.parties import alike, may_be_called
from ringfence.privacy.errors import N_, UsageError

MOST_HOLDERS = 200
"""A simulated holder has files, keys, stores and a log of its own; more than this are not worth the wait."""

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSpec:
    """A parsed `--partition` value; `alpha` belongs to dirichlet, `column` to by."""

    kind: Literal["iid", "dirichlet", "by"]
    alpha: float = 0.0
    column: str = ""


def parse_spec(text: str) -> PartitionSpec:
    """Read `iid`, `dirichlet:ALPHA` or `by:COLUMN`.

    Raises:
        UsageError: RF-U321 for anything else, RF-U322 when ALPHA is not a positive finite number.
    """
    kind, _colon, argument = text.partition(":")
    if kind == "iid" and not argument:
        return PartitionSpec(kind="iid")
    if kind == "by" and argument:
        return PartitionSpec(kind="by", column=argument)
    if kind == "dirichlet" and argument:
        return PartitionSpec(kind="dirichlet", alpha=_alpha(argument))
    raise UsageError(
        "RF-U321",
        N_(
            "The partition {spec} is unknown; expected iid, dirichlet:ALPHA (such as dirichlet:0.5) or "
            "by:COLUMN."
        ),
        spec=repr(text),
    )


def _alpha(argument: str) -> float:
    """The concentration as a float above zero."""
    try:
        alpha = float(argument)
    except ValueError:
        alpha = float("nan")
    if not (np.isfinite(alpha) and alpha > 0):
        raise UsageError(
            "RF-U322",
            N_("The concentration of dirichlet:{alpha} is not a number above 0; use such as dirichlet:0.5."),
            alpha=argument,
        )
    return alpha


def partition(
    frame: pd.DataFrame, spec: str, holders: int | None, seed: int, *, label: str | None = None
) -> dict[str, pd.DataFrame]:
    """Cut a table into holders.

    `iid` permutes the rows and deals them out, sizes differ by one at most. `dirichlet:ALPHA` gives each
    label's rows to the holders in proportions drawn from a symmetric Dirichlet distribution (Hsu, Qi, Brown
    2019, arXiv:1909.06335, the form with proportions over holders for each label); a holder left without a
    row gets one from the largest. `by:COLUMN` makes one holder per value, in the order of the values' texts,
    missing values together as `missing`.

    Args:
        frame: `(n, p)` rows; every row is in exactly one part, and keeps its index label.
        spec: see `parse_spec`.
        holders: number of holders; None or the number of values for `by:COLUMN`.
        seed: fixes the cut (it is no privacy noise).
        label: column whose values `dirichlet` skews; needed there only. Missing labels are one more value.

    Returns:
        Name to rows, in the order of the names: `holder-1`, ... or a safe form of the value.

    Raises:
        UsageError: unknown spec, ALPHA not above 0, an absent column, fewer than one holder, more holders
            than rows or than `MOST_HOLDERS`, another number of holders than the column has values.
    """
    parsed = parse_spec(spec)
    if parsed.kind == "by":
        return _by_column(frame, parsed.column, holders)
    count = _checked_count(holders, len(frame))
    rng = np.random.default_rng(seed)
    if parsed.kind == "iid":
        parts = [np.sort(part) for part in np.array_split(rng.permutation(len(frame)), count)]
    else:
        if label is None:
            raise UsageError("RF-U325", N_("The partition dirichlet skews a label; name the label's column."))
        parts = _dirichlet(_column(frame, label), parsed.alpha, count, rng)
    width = len(str(count))
    return {f"holder-{i:0{width}d}": frame.iloc[part] for i, part in enumerate(parts, start=1)}


def partition_customers(
    frame: pd.DataFrame, spec: str, holders: int | None, seed: int, *, keys: pd.Series[str]
) -> dict[str, pd.DataFrame]:
    """Cut a table of events into holders: all lines of a customer go to one of them.

    A customer with several values in the column of `by:COLUMN` goes where its first line says. Lines without
    a customer go to the first holder, who will leave them out.

    Args:
        frame: `(n, p)` lines; every line is in exactly one part, in its order, and keeps its index label.
        spec: `iid` or `by:COLUMN`.
        holders: as for `partition`.
        seed: as for `partition`.
        keys: each line's customer as text, empty for none, in the frame's order.

    Raises:
        UsageError: RF-U329 for dirichlet, which needs a label in a column; else as `partition`, of customers.
    """
    if parse_spec(spec).kind == "dirichlet":
        raise UsageError(
            "RF-U329",
            N_(
                "The partition dirichlet skews a label's column, and the label of events stands in none; use "
                "iid or by:COLUMN."
            ),
        )
    names = keys.to_numpy(dtype=object)
    first = ~pd.Series(names).duplicated().to_numpy() & (names != "")
    parts = partition(frame[first], spec, holders, seed)
    owner = {names[row]: name for name, part in parts.items() for row in frame.index.get_indexer(part.index)}
    place = pd.Series(names).map(owner).fillna(next(iter(parts))).to_numpy()
    return {name: frame[place == name] for name in parts}


def _checked_count(holders: int | None, rows: int) -> int:
    """The number of holders, at least one and at most one a row."""
    if holders is None or holders < 1:
        raise UsageError(
            "RF-U323", N_("A partition needs at least 1 holder; found {holders}."), holders=holders or 0
        )
    if holders > MOST_HOLDERS:
        raise UsageError(
            "RF-U331",
            N_("A simulation has at most {most} holders; found {holders}. Name fewer."),
            most=MOST_HOLDERS,
            holders=holders,
        )
    if holders > rows:
        raise UsageError(
            "RF-U324",
            N_(
                "{rows} rows cannot be cut into {holders} holders with at least one row each; name fewer "
                "holders."
            ),
            rows=rows,
            holders=holders,
        )
    return holders


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column by its name in the file."""
    if name not in frame.columns:
        shown = ", ".join(str(column) for column in frame.columns[:12])
        raise UsageError(
            "RF-U326",
            N_("The table has no column {column}; it has {known}. Use a name of the header."),
            column=repr(name),
            known=shown + (", ..." if len(frame.columns) > 12 else ""),
        )
    return frame[name]


def _dirichlet(labels: pd.Series[Any], alpha: float, count: int, rng: np.random.Generator) -> list[Integers]:
    """Row positions by holder; each label is split at Dirichlet proportions."""
    codes = pd.factorize(labels.astype(object), sort=False, use_na_sentinel=False)[0]
    owner = np.empty(len(codes), dtype=np.int64)
    for code in range(int(codes.max()) + 1):
        rows = rng.permutation(np.flatnonzero(codes == code))
        shares = rng.dirichlet(np.full(count, alpha))
        if not np.isfinite(shares).all():  # alpha so small that every gamma draw underflowed
            shares = np.eye(count)[rng.integers(count)]
        cuts = np.rint(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
        for holder, part in enumerate(np.split(rows, cuts)):
            owner[part] = holder
    parts = [np.flatnonzero(owner == holder) for holder in range(count)]
    return _fill_empty(parts)


def _fill_empty(parts: Sequence[Integers]) -> list[Integers]:
    """Give every empty holder the last row of the then largest one."""
    filled = list(parts)
    for holder, part in enumerate(filled):
        if not len(part):
            donor = max(range(len(filled)), key=lambda other: len(filled[other]))
            filled[holder], filled[donor] = filled[donor][-1:], filled[donor][:-1]
    return filled


def _by_column(frame: pd.DataFrame, name: str, holders: int | None) -> dict[str, pd.DataFrame]:
    """One holder for each value of a column."""
    values = _column(frame, name)
    texts = values.astype(object).where(values.notna(), None).map(_text_of, na_action=None)
    known = sorted(set(texts))
    if not known:
        raise UsageError("RF-U327", N_("The table has no rows, so there is nothing to cut."))
    if len(known) > MOST_HOLDERS:
        raise UsageError(
            "RF-U330",
            N_(
                "The column {column} has {values} values, one a holder, and a simulation has at most {most} "
                "holders. Choose a column with fewer values, or the partition iid."
            ),
            column=name,
            values=len(known),
            most=MOST_HOLDERS,
        )
    if holders is not None and holders != len(known):
        raise UsageError(
            "RF-U328",
            N_(
                "The column {column} has {values} values, one a holder; found --holders {holders}. Leave it "
                "out."
            ),
            column=name,
            values=len(known),
            holders=holders,
        )
    return {safe: frame[(texts == text).to_numpy()] for text, safe in _safe_names(known).items()}


def _text_of(value: object) -> str:
    """A value as text; whole floats lose their `.0`, so that 1 and 1.0 read alike."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _safe_names(texts: Sequence[str]) -> dict[str, str]:
    """Distinct names of lower-case letters of any script, digits and hyphens, at most 40 characters.

    Two values whose safe forms are one, or read alike, are told apart by `-2`, `-3`, ... in the order of
    their texts. A value that no holder may be called by is a `holder`.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        spelled = re.sub(r"^-(?=\d)", "minus-", unicodedata.normalize("NFKC", text).lower())
        base = re.sub(r"[\W_]+", "-", spelled).strip("-")[:40].strip("-") or "missing"
        base = base if may_be_called(base) else "holder"
        name, turn = base, 1
        while alike(name) in taken:
            turn += 1
            name = f"{base}-{turn}"
        names[text] = name
        taken.add(alike(name))
    return names
