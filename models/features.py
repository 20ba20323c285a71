"""Features: a minimised table becomes integer cell codes on a public grid.

Every column of a schema has a fixed list of *cells*, known before a row is read: a number has 256 even steps
between its bounds (even on a log axis where the schema says so, rounded a little, see `edges`), a category
its values; then, where the schema asks for them, one cell for "other" and one for "missing". A code is the
index of a row's cell. Codes of one row depend on that row alone, so whatever is summed over them is additive
over customers, bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.models.edges import NUMBER_CELLS, edges_of
from ringfence.privacy.agreements.schema import Feature, Schema
from ringfence.privacy.errors import N_, SchemaError
from ringfence.privacy.tables.coded_lists import CodedLists
from ringfence.privacy.waist import BOTH, Scope

Codes: TypeAlias = npt.NDArray[np.uint16]
Steps: TypeAlias = npt.NDArray[np.int32]
# A number's place between the middle of its bounds (0) and either bound: this many steps.
STEP_BITS = 20
NO_VALUE = -(1 << 31)


class MinimisedRows(Protocol):
    """What features are made from: rows without their key (`clients.rows.table.MinimisedTable`)."""

    @property
    def frame(self) -> pd.DataFrame:
        """Columns of the study under their schema names; one row a customer."""
        ...

    @property
    def is_test(self) -> npt.NDArray[np.bool_]:
        """Whether a customer belongs to the test part, shape `(n,)`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGrid:
    """The public cells of one feature.

    Attributes:
        name: the feature's name in the schema.
        ordered: whether the first `values` cells have an order (numbers and dates).
        values: number of ordinary cells.
        other: index of the cell for unknown categories, or None.
        missing: index of the cell for missing values, or None.
    """

    name: str
    ordered: bool
    values: int
    other: int | None
    missing: int | None

    @property
    def size(self) -> int:
        """Number of all cells."""
        return self.values + (self.other is not None) + (self.missing is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMatrix:
    """One holder's customers as cell codes.

    Attributes:
        names: feature names, in the columns' order.
        codes: shape `(n, D)`, uint16: the cell of each customer in each feature.
        label: shape `(n,)`, uint8: 1 where the label equals the study's positive value, else 0; all 0 in a
            study without a label.
        is_test: shape `(n,)`, whether the customer is in the test part.
        measured: names of the numbers whose values are here as well, finer than cells.
        steps: shape `(n, len(measured))`, int32, see `number_steps`.
        inputs: items, paths and notes by name, one bounded list for each customer.
    """

    names: tuple[str, ...]
    codes: Codes
    label: npt.NDArray[np.uint8]
    is_test: npt.NDArray[np.bool_]
    measured: tuple[str, ...] = ()
    steps: Steps | None = None
    inputs: Mapping[str, CodedLists] = field(default_factory=dict)

    def train(self, among: npt.NDArray[np.bool_] | None = None) -> FeatureMatrix:
        """The customers a model may learn from; of those chosen by a mask, or of all."""
        return self.take(~self.is_test if among is None else ~self.is_test & among)

    def test(self, among: npt.NDArray[np.bool_] | None = None) -> FeatureMatrix:
        """The customers a model is judged by; of those chosen by a mask, or of all."""
        return self.take(self.is_test if among is None else self.is_test & among)

    def part(self, name: Scope, among: npt.NDArray[np.bool_] | None = None) -> FeatureMatrix:
        """The customers a round of that part reads; of those chosen by a mask, or of all."""
        if name == BOTH:
            return self if among is None else self.take(among)
        return self.train(among) if name == "train" else self.test(among)

    def digest(self) -> str:
        """`sha256:` over codes, labels, parts and inputs: which rows were used; private, since it can be
        guessed.
        """
        state = hashlib.sha256(np.ascontiguousarray(self.codes, dtype="<u2").tobytes())
        state.update(self.label.tobytes())
        state.update(self.is_test.tobytes())
        if self.steps is not None:
            state.update(np.ascontiguousarray(self.steps, dtype="<i4").tobytes())
        for name, lists in self.inputs.items():
            state.update(name.encode() + b"\n" + lists.digest())
        return "sha256:" + state.hexdigest()

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> FeatureMatrix:
        """The customers chosen by a mask or by positions."""
        # Whole rows are gathered by positions in half the time that a mask takes.
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return FeatureMatrix(
            names=self.names,
            codes=self.codes.take(chosen, axis=0),
            label=self.label[chosen],
            is_test=self.is_test[chosen],
            measured=self.measured,
            steps=None if self.steps is None else self.steps.take(chosen, axis=0),
            inputs={name: lists.take(chosen) for name, lists in self.inputs.items()},
        )


def grid_of(feature: Feature) -> CellGrid:
    """The cells of a feature, from its schema alone.

    Raises:
        SchemaError: the feature is free text, which is never a feature of a model.
    """
    ordered = feature.kind in ("number", "date")
    if feature.kind == "text":
        raise SchemaError(
            "RF-C050",
            N_(
                "The feature {name} is free text; a task needs numbers, dates, categories or flags. Leave it "
                "out."
            ),
            name=feature.name,
        )
    values = NUMBER_CELLS if ordered else len(feature.categories or ())
    after = values
    other = None
    if not ordered and feature.unknown == "other":
        other, after = after, after + 1
    missing = after if feature.missing == "category" or feature.unknown == "missing" else None
    return CellGrid(name=feature.name, ordered=ordered, values=values, other=other, missing=missing)


def number_codes(values: npt.NDArray[np.float64], feature: Feature) -> Codes:
    """Cells of numbers and of dates (as ordinal days), shape `(n,)`: values are clipped to the bounds, NaN
    goes to the missing cell. A value on an edge belongs to the cell above it.
    """
    low, high = feature.limits
    missing = np.isnan(values)
    clipped = np.clip(np.where(missing, low, values), low, high)
    edges = cell_edges(feature)
    last = NUMBER_CELLS - 1
    if np.abs(_position(edges, feature) - np.arange(NUMBER_CELLS + 1)).max() >= 1.0:
        codes = np.searchsorted(edges[1:-1], clipped, side="right").astype(np.int64)
        return _with_missing(codes, missing, feature)
    # Even steps are at most one cell off the edges that were rounded, and are found faster than by search.
    codes = np.minimum(_position(clipped, feature).astype(np.int64), last)
    codes += (clipped >= edges[1:][codes]) & (codes < last)
    codes -= clipped < edges[codes]
    return _with_missing(codes, missing, feature)


def _position(values: npt.NDArray[np.float64], feature: Feature) -> npt.NDArray[np.float64]:
    """Where values stand among even steps between the bounds, 0 to `NUMBER_CELLS`."""
    low, high = feature.limits
    if feature.scale == "log":
        return np.asarray(np.log(values / low) / np.log(high / low) * NUMBER_CELLS)
    return np.asarray((values - low) / (high - low) * NUMBER_CELLS)


def cell_edges(feature: Feature) -> npt.NDArray[np.float64]:
    """The `NUMBER_CELLS + 1` edges of a number's cells in the units of the schema, see `edges`."""
    return np.array([float(edge) for edge in edges_of(feature)])


def category_codes(values: pd.Series, feature: Feature) -> Codes:
    """Cells of categories: listed values by position, unknown ones to "other", absent ones to "missing"."""
    grid = grid_of(feature)
    number, distinct = _numbered(values)
    position = {category: code for code, category in enumerate(feature.categories or ())}
    # The last entry stands for absent ones, whose number is -1.
    codes = np.array([*(position.get(value, -1) for value in distinct), -1], dtype=np.int64)[number]
    absent = number < 0
    unknown = (codes < 0) & ~absent
    if grid.other is not None:
        codes[unknown] = grid.other
    else:
        absent = absent | unknown
    return _with_missing(codes, absent, feature)


def number_steps(values: npt.NDArray[np.float64], feature: Feature) -> Steps:
    """Numbers and dates as whole steps from the middle of their bounds, int32 `(n,)`; each by itself.

    Values are clipped to the bounds, which stand at `-2^20` and `2^20`; NaN becomes `NO_VALUE`.
    """
    low, high = feature.limits
    missing = np.isnan(values)
    share = (np.clip(np.where(missing, low, values), low, high) - low) / (high - low)
    steps = np.rint((2.0 * share - 1.0) * (1 << STEP_BITS)).astype(np.int32)
    return np.where(missing, np.int32(NO_VALUE), steps)


def encode_rows(
    rows: MinimisedRows,
    schema: Schema,
    features: Sequence[str],
    label: str | None,
    positive: str | None,
    measured: Sequence[str] = (),
) -> FeatureMatrix:
    """Turn a minimised table into cell codes.

    Args:
        rows: the table without customer keys.
        schema: the public meaning of its columns.
        features: names of the D features, in the study's order.
        label: name of the label column; None for a study without one.
        positive: the label's value that counts as 1; every other value, and an absent one, counts as 0.
        measured: numbers and dates among the features whose values are wanted beside their cells.

    Returns:
        Codes of shape `(n, D)`.
    """
    frame = rows.frame
    codes = np.empty((len(frame), len(features)), dtype=np.uint16)
    for column, name in enumerate(features):
        feature = schema.feature(name)
        if feature.kind in ("number", "date"):
            codes[:, column] = number_codes(frame[name].to_numpy(dtype=np.float64, na_value=np.nan), feature)
        else:
            codes[:, column] = category_codes(frame[name], feature)
    steps = np.empty((len(frame), len(measured)), dtype=np.int32) if measured else None
    for column, name in enumerate(measured):
        assert steps is not None
        floats = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        steps[:, column] = number_steps(floats, schema.feature(name))
    return FeatureMatrix(
        names=tuple(features),
        codes=codes,
        label=np.zeros(len(frame), dtype=np.uint8) if label is None else _hits(frame[label], positive),
        is_test=np.asarray(rows.is_test, dtype=bool),
        measured=tuple(measured),
        steps=steps,
    )


def _hits(values: pd.Series, positive: str | None) -> npt.NDArray[np.uint8]:
    """1 where a label is the positive one, uint8 `(n,)`."""
    number, distinct = _numbered(values)
    hit = np.array([*(value == positive for value in distinct), False], dtype=np.bool_)
    return hit[number].astype(np.uint8)


def _numbered(values: pd.Series) -> tuple[npt.NDArray[np.int64], list[str]]:
    """A number for each entry, -1 for absent ones, int64 `(n,)`; and the distinct entries."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return np.asarray(values.cat.codes, dtype=np.int64), list(values.cat.categories)
    number, distinct = pd.factorize(values.astype("object"))
    return np.asarray(number, dtype=np.int64), list(distinct)


def _with_missing(codes: npt.NDArray[np.int64], absent: npt.NDArray[np.bool_], feature: Feature) -> Codes:
    grid = grid_of(feature)
    if absent.any():
        if grid.missing is None:
            raise SchemaError(
                "RF-C052",
                N_(
                    "The feature {name} has missing values, which its schema does not provide for. Set "
                    "missing = "
                    '"category" or "value", or repair the table.'
                ),
                name=feature.name,
            )
        codes = np.where(absent, grid.missing, codes)
    return codes.astype(np.uint16)
