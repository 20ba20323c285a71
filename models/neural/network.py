"""A network over the fixed point: exact sums of clipped gradients, and exact scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural import dense, recurrent
from ringfence.models.neural.architecture import RECURRENT, Architecture, Number
from ringfence.models.neural.fixed import (
    ONE,
    Floats,
    Scratch,
    factors,
    one_thread,
    residuals,
    scratch_of_thread,
)
from ringfence.models.neural.layout import ParameterLayout, parameter_layout
from ringfence.models.neural.rounding import ACTIVATION_BITS, WEIGHT_BITS, finer_bits

Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint8]

# Customers whose sums of a perceptron stay below 2^53 (dense.add_clipped).
LONGEST = 1024
# Customers worked at a time: as many as sums allow where calls are the cost, and a piece in the cache with
# periods.
PIECE = 1024
RECURRENT_PIECE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Customers as inputs, whole numbers in units of activations.

    Attributes:
        static: shape `(n, inputs)`.
        sequence: shape `(T, n, channels)`, or None.
        offset: added to the log odds, shape `(n,)`, or None.
    """

    static: Floats
    sequence: Floats | None = None
    offset: Floats | None = None

    def __len__(self) -> int:
        return len(self.static)

    def pieces(self, most: int) -> Iterator[tuple[slice, Rows]]:
        """Consecutive pieces of at most so many customers, all of about one size."""
        count = -(-len(self) // most)
        size = -(-len(self) // max(1, count))
        for start in range(0, len(self), max(1, size)):
            part = slice(start, start + size)
            sequence = None if self.sequence is None else self.sequence[:, part]
            offset = None if self.offset is None else self.offset[part]
            yield part, Rows(static=self.static[part], sequence=sequence, offset=offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Public weights laid out for the fixed point."""

    architecture: Architecture
    cell: recurrent.Cell | None
    layers: tuple[dense.DenseLayer, ...]

    @classmethod
    def of(cls, architecture: Architecture, weights: Integers) -> Network:
        """From the flat vector of integers in units of 2^-16, shape `(d,)`."""
        layout = parameter_layout(architecture)
        cell = None
        if layout.cell:
            cell = recurrent.Cell.of(weights[: layout.cell].reshape(architecture.shapes[RECURRENT]))
        real = np.append(weights / 2.0**WEIGHT_BITS, (0.0, 1.0))
        layers = tuple(
            dense.DenseLayer.of(each) for each in _cut(_taken(real, layout.passing), layout.passing_shapes)
        )
        return cls(architecture=architecture, cell=cell, layers=layers)

    def clipped_sum(self, rows: Rows, label: Labels, clipping_norm: float) -> Integers:
        """Sum over customers of their gradients of the logistic loss, each clipped to length C.

        *Formal guarantees*: what a customer adds depends on that customer and the weights alone, bit for bit;
        its length is at most C, plus `rounding.rounding_slack` for an LSTM.

        Args:
            rows: the customers, maybe none.
            label: 0 or 1, shape `(n,)`.
            clipping_norm: C.

        Returns:
            The exact sum, shape `(d,)`, by parameter in units of `2^-rounding.sum_bits(name, clipping_norm)`.
        """
        most = self._most_rows(clipping_norm)
        sums, scratch = Sums(parameter_layout(self.architecture), most), scratch_of_thread()
        with one_thread():
            for part, piece in rows.pieces(min(most, PIECE if self.cell is None else RECURRENT_PIECE)):
                sums.make_room(len(piece))
                self._add(sums.exact, piece, label[part], clipping_norm, scratch)
            return sums.by_parameter()

    def scores(self, rows: Rows) -> Integers:
        """Log odds of customers in units of 2^-16, shape `(n,)`."""
        found = np.zeros(len(rows), dtype=np.int64)
        scratch = scratch_of_thread()
        with one_thread():
            for part, piece in rows.pieces(PIECE):
                _, tape = self._forward(piece, scratch)
                found[part] = np.rint(_shifted(tape.scores, piece) * 2.0 ** (WEIGHT_BITS - ACTIVATION_BITS))
        return found

    def _most_rows(self, clipping_norm: float) -> int:
        if self.cell is None:
            return LONGEST
        return min(LONGEST, recurrent.most_rows(self.architecture.periods << finer_bits(clipping_norm)))

    def _forward(self, rows: Rows, scratch: Scratch) -> tuple[recurrent.Periods | None, dense.DenseTape]:
        h = 0 if self.cell is None else self.cell.hidden
        inputs = scratch.rows("inputs", len(rows), h + rows.static.shape[1] + 1)
        array, moments = inputs.numpy(), None
        array[:, h:-1], array[:, -1] = rows.static, ONE
        if self.cell is not None and rows.sequence is not None:
            moments, output = recurrent.unroll(self.cell, rows.sequence, scratch)
            array[:, :h] = output.T
        return moments, dense.forward(self.layers, inputs, scratch)

    def _add(
        self, sums: Sequence[Tensor], rows: Rows, label: Labels, clipping_norm: float, scratch: Scratch
    ) -> None:
        """Add the clipped gradients of a piece to the sums, the cell's first."""
        moments, tape = self._forward(rows, scratch)
        derivatives = dense.backward(
            self.layers, tape, residuals(_shifted(tape.scores, rows), label), scratch
        )
        norms = dense.norms_squared(tape, derivatives)
        finer = 2.0 ** finer_bits(clipping_norm)
        if self.cell is None or moments is None:
            dense.add_clipped(sums, tape, derivatives, factors(norms, clipping_norm) * finer)
            return
        by_inputs = scratch.rows("by inputs", len(rows), tape.inputs[0].shape[1] - 1)
        by_output = dense.step_back(derivatives[0], self.layers[0], by_inputs)[:, : self.cell.hidden]
        by_gates = recurrent.back_in_time(self.cell, moments, by_output, scratch)
        ghost = recurrent.ghost_norms_squared(by_gates, moments.entered, scratch)
        factor = factors(norms + ghost, clipping_norm) * finer
        recurrent.add_clipped(sums[0], by_gates, moments.entered, factor)
        dense.add_clipped(sums[1:], tape, derivatives, factor)


class Sums:
    """Whole numbers that are added up in float64 as long as they are exact there, and in int64 from then on.

    Attributes:
        exact: what is being added up, by layer.
    """

    def __init__(self, layout: ParameterLayout, most: int) -> None:
        """Nothing yet; `most` customers fit the exact sums."""
        self._flat = np.zeros(len(layout.summed))
        self._total = np.zeros(len(layout.summed), dtype=np.int64)
        self.exact = [torch.from_numpy(each) for each in _cut(self._flat, layout.sum_shapes)]
        self._layout, self._most, self._room = layout, most, most

    def make_room(self, customers: int) -> None:
        """Let the exact sums take so many customers more, at most `most`."""
        if customers > self._room:
            self._carry()
            self._flat[:] = 0.0
            self._room = self._most
        self._room -= customers

    def by_parameter(self) -> Integers:
        """All that was added, in the order of the parameters, shape `(d,)`; to be asked for once."""
        self._carry()
        return _taken(self._total, self._layout.summed)

    def _carry(self) -> None:
        self._total += self._flat.astype(np.int64)


def _cut(flat: Floats, shapes: Sequence[tuple[int, int]]) -> list[Floats]:
    """A flat array as matrices, one after the other."""
    ends = list(accumulate(rows * columns for rows, columns in shapes))
    return [
        flat[end - rows * columns : end].reshape(rows, columns)
        for end, (rows, columns) in zip(ends, shapes, strict=True)
    ]


def _taken(values: npt.NDArray[Number], index: Integers) -> npt.NDArray[Number]:
    """Values at the places of a layout, none of which is beyond them, so no index is looked at."""
    return values.take(index, mode="clip")


def _shifted(scores: Floats, rows: Rows) -> Floats:
    """Log odds with the prior's added, in units of activations."""
    return scores if rows.offset is None else scores + rows.offset
