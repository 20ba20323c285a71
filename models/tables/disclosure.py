"""Which cells of federated tables may be shown: thresholds on noisy counts, and no way round by subtraction.

Source: the rules of statistical disclosure control for frequency tables (Hundepool et al. 2012, chapter 4;
Five Safes output checking, threshold and complementary suppression), applied to noisy counts. Invariant: a
decision is a function of noisy values and of what was asked; no exact count is anywhere near.

1. *Small*: a cell whose noisy count is below the threshold of its table.
2. *Complement*: where the cells that are hidden in a line of a table are one alone, or stand for fewer than
   the threshold together, so that a total would give them away, the smallest one shown is hidden as well.
3. *Within*: a cell that is part of a group that is hidden in any table of the same release: the parts of a
   group add up to it. The same group is hidden in every table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ringfence.privacy.errors import N_

Why: TypeAlias = Literal["", "small", "complement", "within"]
Group: TypeAlias = frozenset[tuple[str, str]]

REASONS: dict[Why, str] = {
    "small": N_("not shown: by the noisy count it stands for fewer than {threshold} customers"),
    "complement": N_("not shown: with a total it would tell of a cell of fewer than {threshold} customers"),
    "within": N_("not shown: it is part of a group that is not shown"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedCells:
    """The noisy counts of one table's cells.

    Attributes:
        names: of the features that tell its cells apart.
        labels: of each feature's groups, in order.
        counts: noisy customers, one axis a feature.
        threshold: below which a count is small.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    counts: npt.NDArray[np.float64]
    threshold: int

    def groups(self) -> list[Group]:
        """Whom each cell stands for, in the order of the flattened counts."""
        return [
            frozenset(
                (name, each[place]) for name, each, place in zip(self.names, self.labels, at, strict=True)
            )
            for at in np.ndindex(self.counts.shape)
        ]


def hidden_cells(tables: Sequence[CountedCells]) -> list[list[Why]]:
    """Why each cell is not shown, or "" for those that are; for all tables of one release together.

    Args:
        tables: of one release, so of the same customers.

    Returns:
        For each table one entry a cell, in the order of its flattened counts.
    """
    why: list[list[Why]] = [
        ["small" if count < table.threshold else "" for count in table.counts.ravel().tolist()]
        for table in tables
    ]
    groups = [table.groups() for table in tables]
    while True:
        before = sum(each.count("") for each in why)
        for table, reasons in zip(tables, why, strict=True):
            _complement(table, reasons)
        _spread(groups, why)
        if sum(each.count("") for each in why) == before:
            return why


def _complement(table: CountedCells, reasons: list[Why]) -> None:
    """Hide further cells until no line of the table gives a hidden one away."""
    shape = table.counts.shape
    hidden = np.array([bool(each) for each in reasons]).reshape(shape)
    if hidden.size < 2:
        return
    changed = True
    while changed:
        changed = False
        for axis in range(len(shape)):
            lines = np.moveaxis(hidden, axis, -1).reshape(-1, shape[axis])
            counts = np.moveaxis(table.counts, axis, -1).reshape(-1, shape[axis])
            number = lines.sum(axis=1)
            together = np.where(lines, counts, 0.0).sum(axis=1)
            weak = (number > 0) & (number < shape[axis]) & ((number == 1) | (together < table.threshold))
            if weak.any():
                smallest = np.where(lines, np.inf, counts).argmin(axis=1)
                lines = lines.copy()
                lines[weak, smallest[weak]] = True
                others = tuple(size for place, size in enumerate(shape) if place != axis)
                hidden = np.moveaxis(lines.reshape(*others, shape[axis]), -1, axis)
                changed = True
    for place in np.flatnonzero(hidden.ravel()).tolist():
        reasons[place] = reasons[place] or "complement"


def _spread(groups: list[list[Group]], why: list[list[Why]]) -> None:
    """Hide what is part of a hidden group, in every table."""
    gone = {
        group
        for members, reasons in zip(groups, why, strict=True)
        for group, reason in zip(members, reasons, strict=True)
        if reason and group
    }
    if not gone:
        return
    widths = {len(group) for group in gone}
    for members, reasons in zip(groups, why, strict=True):
        for place, group in enumerate(members):
            if not reasons[place] and any(
                frozenset(part) in gone
                for width in widths
                if width <= len(group)
                for part in combinations(group, width)
            ):
                reasons[place] = "within"
