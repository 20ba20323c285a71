"""How the cells of a feature become the groups of a table: by public steps, with a label for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard.labels import COMMA, labels_of, reachable
from ringfence.models.task import StudyContext


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellAxis:
    """One feature as an axis of a table.

    Attributes:
        name: of the feature.
        group: group of each cell of the schema, int64; groups are numbered from 0 without gaps.
        labels: of each group.
        ordered: how many of the first groups have an order.
    """

    name: str
    group: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    ordered: int

    @property
    def size(self) -> int:
        """Number of groups."""
        return len(self.labels)

    def joined(self, goes: npt.NDArray[np.int64]) -> CellAxis:
        """The axis with groups joined, given the new group of each."""
        labels = [
            COMMA.join(self.labels[place] for place in np.flatnonzero(goes == new).tolist())
            for new in range(int(goes.max()) + 1)
        ]
        return CellAxis(name=self.name, group=goes[self.group], labels=tuple(labels), ordered=0)


def axis_of(context: StudyContext, name: str, bins: int) -> CellAxis:
    """The groups of a feature: a category's values, or `bins` even stretches of a number's cells.

    Then, where the schema has them, one group of other and one of missing values. Stretches that no value can
    fall into, as between close dates, belong to the group before them.

    Args:
        context: the study.
        name: of the feature.
        bins: a divisor of the number of cells; categories are left as they are.
    """
    grid = next(each for each in context.grids if each.name == name)
    group = np.arange(grid.size, dtype=np.int64)
    ordered = 0
    if grid.ordered:
        possible = reachable(context.schema.feature(name))
        width = grid.values // bins
        group[: grid.values] = np.arange(grid.values) // width
        filled = np.unique(group[: grid.values][possible])
        group[: grid.values] = np.maximum(np.searchsorted(filled, group[: grid.values], side="right") - 1, 0)
        ordered = len(filled)
        group[grid.values :] = ordered + np.arange(grid.size - grid.values)
    labels = tuple(labels_of(context, name, grid, group))
    return CellAxis(name=name, group=group, labels=labels, ordered=ordered)


def table_cells(axes: tuple[CellAxis, ...], features: FeatureMatrix) -> npt.NDArray[np.int64]:
    """The cell of each customer in a table of these axes, counted row by row, shape `(n,)`."""
    found = np.zeros(len(features.label), dtype=np.int64)
    for axis in axes:
        codes = features.codes[:, features.names.index(axis.name)]
        found *= axis.size
        found += axis.group[codes]
    return found


def size_of(axes: tuple[CellAxis, ...]) -> int:
    """Cells of a table of these axes."""
    return int(np.prod([axis.size for axis in axes], dtype=np.int64)) if axes else 1


def labels_at(axes: tuple[CellAxis, ...]) -> list[tuple[str, ...]]:
    """The labels of each cell of a table, in the order of its cells."""
    return [
        tuple(axis.labels[place] for axis, place in zip(axes, at, strict=True))
        for at in np.ndindex(*(axis.size for axis in axes))
    ]
