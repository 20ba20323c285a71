"""A network over the fixed point: exact sums of clipped gradients, and exact scores, of any number of customers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural import dense, recurrent
from ringfence.models.neural.architecture import RECURRENT, Architecture
from ringfence.models.neural.fixed import Scratch, factors, one_thread, residuals
from ringfence.models.neural.rounding import ACTIVATION_BITS, WEIGHT_BITS, finer_bits

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Rows worked at a time: every sum stays below 2^53, and a piece in the processor's cache.
PIECE = 1024
RECURRENT_PIECE = 512


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

    def pieces(self, most: int) -> Iterator[tuple[slice, Rows]]:
        """Consecutive pieces of at most so many customers."""
        for start in range(0, len(self.static), most):
            part = slice(start, start + most)
            sequence = None if self.sequence is None else self.sequence[:, part]
            offset = None if self.offset is None else self.offset[part]
            yield part, Rows(static=self.static[part], sequence=sequence, offset=offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Public weights laid out for the fixed point."""

    cell: recurrent.Cell | None
    layers: tuple[dense.DenseLayer, ...]
    names: tuple[str, ...]
    periods: int

    @classmethod
    def of(cls, architecture: Architecture, weights: Integers) -> Network:
        """From the flat vector of integers in units of 2^-16, shape `(d,)`."""
        named = dict(architecture.split(weights))
        count = len(architecture.widths) - 1
        layers = (
            dense.DenseLayer.of(named[f"dense.{index}.weight"], named[f"dense.{index}.bias"]) for index in range(count)
        )
        cell = recurrent.Cell.of(named[RECURRENT]) if architecture.recurrent else None
        return cls(cell=cell, layers=tuple(layers), names=tuple(named), periods=architecture.periods)

    def clipped_sum(self, rows: Rows, label: npt.NDArray[np.uint8], clipping_norm: float) -> dict[str, Integers]:
        """Sum over customers of their gradients of the logistic loss, each clipped to length C.

        *Formal guarantees*: what a customer adds depends on that customer and the weights alone, bit for bit; its
        length is at most C, plus `rounding.rounding_slack` for an LSTM.

        Args:
            rows: the customers, maybe none.
            label: 0 or 1, shape `(n,)`.
            clipping_norm: C.

        Returns:
            Flat exact sums by parameter, in units of `2^-rounding.sum_bits(name, clipping_norm)`.
        """
        totals: dict[str, Integers] = {}
        scratch = Scratch()
        with one_thread():
            for part, piece in rows.pieces(self._most_rows(clipping_norm)):
                target = torch.from_numpy(label[part].astype(np.float64))
                sums = self._piece(piece, target, clipping_norm, scratch)
                for name, values in zip(self.names, sums, strict=True):
                    totals[name] = totals[name] + values if name in totals else values
        return totals

    def scores(self, rows: Rows) -> Integers:
        """Log odds of customers in units of 2^-16, shape `(n,)`."""
        found = np.zeros(len(rows.static), dtype=np.int64)
        scratch = Scratch()
        with one_thread():
            for part, piece in rows.pieces(PIECE):
                _, tape = self._forward(piece, scratch)
                scaled = _shifted(tape.scores, piece).mul(2.0 ** (WEIGHT_BITS - ACTIVATION_BITS))
                found[part] = scaled.round_().to(torch.int64).numpy()
        return found

    def _most_rows(self, clipping_norm: float) -> int:
        if self.cell is None:
            return PIECE
        return min(PIECE, RECURRENT_PIECE, recurrent.most_rows(self.periods << finer_bits(clipping_norm)))

    def _forward(self, rows: Rows, scratch: Scratch) -> tuple[list[recurrent.Moment], dense.DenseTape]:
        static = torch.from_numpy(rows.static)
        if self.cell is None or rows.sequence is None:
            return [], dense.forward(self.layers, static, scratch)
        moments, output = recurrent.unroll(self.cell, torch.from_numpy(rows.sequence))
        return moments, dense.forward(self.layers, torch.cat((output, static), dim=1), scratch)

    def _piece(self, rows: Rows, label: Tensor, clipping_norm: float, scratch: Scratch) -> list[Integers]:
        moments, tape = self._forward(rows, scratch)
        residual = residuals(_shifted(tape.scores, rows), label)
        derivatives = dense.backward(self.layers, tape, residual, scratch)
        norms = dense.norms_squared(tape, derivatives)
        finer = 2.0 ** finer_bits(clipping_norm)
        if self.cell is None:
            return dense.clipped_sums(tape, derivatives, factors(norms, clipping_norm).mul_(finer))
        by_output = dense.step_back(derivatives[0], self.layers[0].weight)[:, : self.cell.hidden]
        by_gates = recurrent.back_in_time(self.cell, moments, by_output)
        entered = torch.stack([moment.entered for moment in moments], dim=1)
        factor = factors(norms + recurrent.ghost_norms_squared(by_gates, entered), clipping_norm).mul_(finer)
        return [
            recurrent.clipped_sum(by_gates, entered, factor),
            *dense.clipped_sums(tape, derivatives, factor),
        ]


def _shifted(scores: Tensor, rows: Rows) -> Tensor:
    """Log odds with the prior's added, in units of activations."""
    return scores if rows.offset is None else scores + torch.from_numpy(rows.offset)
