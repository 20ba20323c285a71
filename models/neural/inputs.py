"""Inputs of a network from cell codes: public tables turn a feature's cell into whole numbers.

A number becomes the centre of its cell on the public scale, from -1 to 1, and a flag for "missing" where its
schema has one; a category becomes one input a cell. Features whose names end in `_p01`, `_p02`, ... are the
periods of a sequence, oldest first; only an LSTM reads them as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ringfence.models.features import CellGrid, FeatureMatrix
from ringfence.models.neural.rounding import ACTIVATION_BITS
from ringfence.models.task import StudyContext

ONE = 1 << ACTIVATION_BITS
_PERIOD = re.compile(r"(?P<stem>.+)_p(?P<number>[0-9]{2})")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """Which feature feeds which input.

    Attributes:
        static: columns of features outside the sequence that are inputs as they are.
        embedded: columns of categories that are embedded.
        sequence: columns by period and channel, shape `(T, channels' features)`; empty without a sequence.
        tables: by column, whole numbers of shape `(cells, width)` in units of 2^-18.
    """

    static: tuple[int, ...]
    sequence: tuple[tuple[int, ...], ...]
    tables: tuple[Floats, ...]
    embedded: tuple[int, ...] = ()

    @property
    def inputs(self) -> int:
        """Number of static inputs."""
        return sum(self.tables[column].shape[1] for column in self.static)

    @property
    def channels(self) -> int:
        """Number of values a period."""
        return sum(self.tables[column].shape[1] for column in self.sequence[0]) if self.sequence else 0

    def static_rows(self, features: FeatureMatrix) -> Floats:
        """Static inputs of customers, shape `(n, inputs)`."""
        return self._rows(features, self.static)

    def embedded_rows(self, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """Cells of the embedded categories, shape `(n, E)`."""
        return features.codes[:, list(self.embedded)].astype(np.int64)

    def sequence_rows(self, features: FeatureMatrix) -> Floats:
        """Sequences of customers, shape `(T, n, channels)`."""
        return np.stack([self._rows(features, columns) for columns in self.sequence])

    def _rows(self, features: FeatureMatrix, columns: tuple[int, ...]) -> Floats:
        if not columns:
            return np.zeros((len(features.label), 0))
        return np.concatenate([self.tables[column][features.codes[:, column]] for column in columns], axis=1)


def input_plan(context: StudyContext, *, sequence: bool, embedding: bool = False) -> InputPlan:
    """Decide from the study's features alone.

    Args:
        context: the study.
        sequence: read `_pNN` features as periods; else every feature is static.
        embedding: embed the categories outside the sequence; else each of their cells is an input.
    """
    tables = tuple(cell_table(grid) for grid in context.grids)
    periods = _periods(context.features) if sequence else ()
    used = {column for columns in periods for column in columns}
    outside = [column for column in range(len(context.features)) if column not in used]
    embedded = tuple(column for column in outside if embedding and not context.grids[column].ordered)
    static = tuple(column for column in outside if column not in embedded)
    return InputPlan(static=static, sequence=periods, tables=tables, embedded=embedded)


def cell_table(grid: CellGrid) -> Floats:
    """What a cell feeds in, shape `(cells, width)`, whole numbers in units of 2^-18, at most one in size."""
    if not grid.ordered:
        return np.eye(grid.size) * ONE
    table = np.zeros((grid.size, 1 + (grid.missing is not None)))
    cells = np.arange(grid.values)
    table[: grid.values, 0] = (2 * cells + 1 - grid.values) * (ONE // grid.values)
    if grid.missing is not None:
        table[grid.missing, 1] = ONE
    return table


def _periods(names: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Columns by period of all stems that have every period from 01 to the last one."""
    found: dict[str, dict[int, int]] = {}
    for column, name in enumerate(names):
        match = _PERIOD.fullmatch(name)
        if match:
            found.setdefault(match["stem"], {})[int(match["number"])] = column
    last = max((max(numbers) for numbers in found.values()), default=0)
    whole = [numbers for numbers in found.values() if sorted(numbers) == list(range(1, last + 1))]
    return (
        tuple(tuple(numbers[period] for numbers in whole) for period in range(1, last + 1)) if whole else ()
    )
