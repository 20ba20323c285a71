"""The clipped sum of an LSTM in fixed point: ghost norms over time, one matrix product for the sum.

The cell is that of Hochreiter, Schmidhuber (1997) with forget gates, gates in the order i, f, g, o; its one weight
`W` of shape `(4h, m + 1 + h)` reads the period's values, the constant 1 (so there is no bias beside it) and the last
output. A customer's gradient is `sum_t g_t u_t^T`, whose squared norm is `sum_{t,s} (g_t . g_s)(u_t . u_s)` (Li et
al. 2022): two small Gram matrices a customer instead of 4h (m + 1 + h) numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural.dense import as_integers, step_back
from ringfence.models.neural.fixed import tanh_
from ringfence.models.neural.rounding import (
    ACTIVATION_BITS,
    DERIVATIVE_BITS,
    GATE_BITS,
    RECURRENT_BITS,
    WEIGHT_BITS,
)

_ONE = float(1 << ACTIVATION_BITS)
_UNIT = 2.0**-ACTIVATION_BITS
_TO_REAL = 2.0 ** -(2 * ACTIVATION_BITS + 2 * GATE_BITS)
_TO_GATES = 2.0 ** (GATE_BITS - DERIVATIVE_BITS)
_GATE_LIMIT = float(1 << GATE_BITS)
# Whole numbers of a product of a clipped derivative (2^22) and an entry of u (2^18), summed over rows and periods.
LARGEST_SUM = 1 << 13


@dataclass(frozen=True, slots=True)
class Cell:
    """An LSTM's weight, shape `(4h, m + 1 + h)`, whole numbers times 2^-16."""

    weight: Tensor

    @classmethod
    def of(cls, weight: npt.NDArray[np.int64]) -> Cell:
        """From integers in units of 2^-16."""
        return cls(torch.from_numpy(weight / 2.0**WEIGHT_BITS))

    @property
    def hidden(self) -> int:
        """h, the number of outputs."""
        return self.weight.shape[0] // 4


@dataclass(frozen=True, slots=True)
class Moment:
    """One period of a forward pass.

    Attributes:
        entered: what the weight read, shape `(n, m + 1 + h)`, units of activations.
        gates: i, f, g, o as real numbers, shape `(n, 4h)`.
        slopes: of the gates' curves times 2, so that products are in units of gates' derivatives.
        before: the state before, real, shape `(n, h)`.
        squashed: tanh of the state after, real, shape `(n, h)`.
    """

    entered: Tensor
    gates: Tensor
    slopes: Tensor
    before: Tensor
    squashed: Tensor


def unroll(cell: Cell, sequence: Tensor) -> tuple[list[Moment], Tensor]:
    """Run over the periods.

    Args:
        cell: public weights.
        sequence: shape `(T, n, m)`, activations of at most 1 in size.

    Returns:
        The periods, and the last output, shape `(n, h)`, units of activations.
    """
    periods, rows, channels = sequence.shape
    h = cell.hidden
    # A sigmoid is (1 + tanh(z / 2)) / 2, so one tanh serves all four gates. Only what enters a matrix product has to
    # be on a grid: gates and states are worked on element by element.
    outer, shift = _by_gate(h, 0.5, 1.0), _by_gate(h, 0.5, 0.0)
    # The slope of tanh is 1 - tanh^2; that of the sigmoid is a quarter of it.
    slope = _by_gate(h, 0.25 * _TO_GATES, _TO_GATES)
    weight = cell.weight.T * _by_gate(h, 0.5 * _UNIT, _UNIT)
    output = torch.zeros(rows, h, dtype=torch.float64)
    state = torch.zeros_like(output)
    moments = []
    for t in range(periods):
        entered = torch.empty(rows, weight.shape[0], dtype=torch.float64)
        entered[:, :channels] = sequence[t]
        entered[:, channels] = _ONE
        entered[:, channels + 1 :] = output
        curve = tanh_(torch.mm(entered, weight))
        gates = (curve * outer).add_(shift)
        slopes = curve.mul_(curve).mul_(-slope).add_(slope)
        i, f, g, o = gates.chunk(4, dim=1)
        after = (f * state).add_(i * g)
        squashed = tanh_(after.clone())
        moments.append(Moment(entered, gates, slopes, state, squashed))
        output, state = (o * squashed).mul_(_ONE).round_(), after
    return moments, output


def _by_gate(hidden: int, sigmoids: float, tanh: float) -> Tensor:
    """One number for each of i, f, o and another for g, shape `(4h,)`."""
    values = torch.full((4 * hidden,), sigmoids, dtype=torch.float64)
    values[2 * hidden : 3 * hidden] = tanh
    return values


def back_in_time(cell: Cell, moments: list[Moment], derivative: Tensor) -> Tensor:
    """Derivatives by the gates' arguments, shape `(n, T, 4h)`, units 2^-21, from those by the last output `(n, h)`."""
    h = cell.hidden
    outer = cell.weight[:, -h:] / _TO_GATES
    kept = torch.empty(len(derivative), len(moments), 4 * h, dtype=torch.float64)
    by_state = torch.zeros_like(derivative)
    for t in range(len(moments) - 1, -1, -1):
        moment = moments[t]
        i, f, g, o = moment.gates.chunk(4, dim=1)
        by_state = by_state + (derivative * o).mul_(1.0 - moment.squashed * moment.squashed)
        by_gates = kept[:, t]
        torch.mul(by_state, g, out=by_gates[:, :h])
        torch.mul(by_state, moment.before, out=by_gates[:, h : 2 * h])
        torch.mul(by_state, i, out=by_gates[:, 2 * h : 3 * h])
        torch.mul(derivative, moment.squashed, out=by_gates[:, 3 * h :])
        by_gates.mul_(moment.slopes).round_().clamp_(-_GATE_LIMIT, _GATE_LIMIT)
        by_state = by_state * f
        derivative = step_back(by_gates, outer)
    return kept


def ghost_norms_squared(derivatives: Tensor, entered: Tensor) -> Tensor:
    """Squared norms of `sum_t g_t u_t^T`, shape `(n,)`, as real numbers.

    Args:
        derivatives: shape `(n, T, 4h)`.
        entered: shape `(n, T, m + 1 + h)`.
    """
    # The Gram entries are exact; their products are added by halves, entry by entry, in one order for all rows.
    terms = torch.bmm(derivatives, derivatives.mT).mul_(torch.bmm(entered, entered.mT)).flatten(1).T.contiguous()
    while len(terms) > 1:
        half = len(terms) // 2
        rest = terms[2 * half :]
        terms = torch.cat((terms[:half] + terms[half : 2 * half], rest)) if len(rest) else terms[:half] + terms[half:]
    return terms[0].mul(_TO_REAL).clamp_(min=0.0)


def clipped_sum(derivatives: Tensor, entered: Tensor, factor: Tensor) -> npt.NDArray[np.int64]:
    """Sum of the clipped gradients of the cell's weight, flattened, in units of 2^-40 or finer.

    Derivatives are rounded after clipping and used up; `rounding.rounding_slack` bounds what that adds to a length.
    """
    scale = factor.mul(2.0 ** (RECURRENT_BITS - GATE_BITS)).view(-1, 1, 1)
    clipped = derivatives.mul_(scale).round_()
    return as_integers(torch.mm(clipped.flatten(0, 1).T, entered.flatten(0, 1)))


def most_rows(terms: int) -> int:
    """Rows whose sums stay exact: 2^22 2^18 rows terms <= 2^53, with T terms a row, more on a finer grid."""
    return max(1, LARGEST_SUM // terms)
