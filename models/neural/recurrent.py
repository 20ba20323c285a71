"""The clipped sum of an LSTM in fixed point: ghost norms over time, one matrix product a period for the sum.

The cell is that of Hochreiter, Schmidhuber (1997) with forget gates, gates in the order i, f, g, o; its one
weight `W` of shape `(4h, m + 1 + h)` reads the period's values, the constant 1 (so there is no bias beside
it) and the last output. A customer's gradient is `sum_t g_t u_t^T`, whose squared norm is `sum_{t,s} (g_t .
g_s)(u_t . u_s)` (Li et al. 2022): two small Gram matrices a customer instead of 4h (m + 1 + h) numbers.

Customers are columns here, unlike in the dense layers: so the numbers of a gate lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural.fixed import ONE, Floats, Scratch, tanh_
from ringfence.models.neural.layout import sigmoids_first
from ringfence.models.neural.rounding import (
    ACTIVATION_BITS,
    DERIVATIVE_BITS,
    GATE_BITS,
    RECURRENT_BITS,
    WEIGHT_BITS,
)

_TO_REAL = 2.0 ** -(2 * ACTIVATION_BITS + 2 * GATE_BITS)
_TO_GATES = 2.0 ** (GATE_BITS - DERIVATIVE_BITS)
_GATE_LIMIT = float(1 << GATE_BITS)
# Whole numbers of a product of a clipped derivative (2^22) and an entry of u (2^18), summed over rows and
# periods.
LARGEST_SUM = 1 << 13


@dataclass(frozen=True, slots=True)
class Cell:
    """An LSTM's weight with its gates in the order i, f, o, g, so that the three sigmoids stand together.

    Attributes:
        forward: shape `(4h, m + 1 + h)`, from activations to real arguments of a hyperbolic tangent.
        backward: shape `(h, 4h)`, whole numbers times 2^-16, from derivatives by gates to those by the last
            output.
    """

    forward: Tensor
    backward: Tensor

    @classmethod
    def of(cls, weight: npt.NDArray[np.int64]) -> Cell:
        """From integers in units of 2^-16, gates in the order i, f, g, o."""
        h = len(weight) // 4
        real = sigmoids_first(weight) / 2.0**WEIGHT_BITS
        # A sigmoid is (1 + tanh(z / 2)) / 2, so one tanh serves all four gates.
        halves = np.repeat([0.5 / ONE, 1.0 / ONE], [3 * h, h])[:, None]
        return cls(torch.from_numpy(real * halves), torch.from_numpy(np.ascontiguousarray(real[:, -h:].T)))

    @property
    def hidden(self) -> int:
        """h, the number of outputs."""
        return len(self.backward)


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods of a forward pass.

    Attributes:
        entered: what the weight read, shape `(T, m + 1 + h, n)`, units of activations.
        gates: i, f, o, g as real numbers, shape `(T, 4h, n)`.
        states: real, shape `(T + 1, h, n)`, the first before the first period.
        squashed: tanh of the state after each period, real, shape `(T, h, n)`.
    """

    entered: Tensor
    gates: Tensor
    states: Floats
    squashed: Floats


def unroll(cell: Cell, sequence: Floats, scratch: Scratch) -> tuple[Periods, Floats]:
    """Run over the periods.

    Args:
        cell: public weights.
        sequence: shape `(T, n, m)`, activations of at most 1 in size.
        scratch: memory.

    Returns:
        The periods, and the last output, shape `(h, n)`, units of activations.
    """
    periods, customers, channels = sequence.shape
    h = cell.hidden
    moments = Periods(
        entered=scratch.of("entered", periods, channels + 1 + h, customers),
        gates=scratch.of("gates", periods, 4 * h, customers),
        states=scratch.of("states", periods + 1, h, customers).numpy(),
        squashed=scratch.of("squashed", periods, h, customers).numpy(),
    )
    moments.states[0] = 0.0
    entered = moments.entered.numpy()
    entered[:, :channels] = sequence.transpose(0, 2, 1)
    entered[:, channels] = ONE
    entered[0, channels + 1 :] = 0.0
    leaving = [*entered[1:, channels + 1 :], scratch.of("output", h, customers).numpy()]
    for t in range(periods):
        # Only what enters a matrix product has to be on a grid: gates and states are worked on element by
        # element.
        gates = tanh_(torch.mm(cell.forward, moments.entered[t], out=moments.gates[t]).numpy())
        sigmoids, g = gates[: 3 * h], gates[3 * h :]
        sigmoids += 1.0
        sigmoids *= 0.5
        i, f, o = sigmoids[:h], sigmoids[h : 2 * h], sigmoids[2 * h :]
        after, squashed, last = moments.states[t + 1], moments.squashed[t], leaving[t]
        np.multiply(f, moments.states[t], out=after)
        after += np.multiply(i, g, out=last)
        np.tanh(after, out=squashed)
        np.multiply(o, squashed, out=last)
        last *= ONE
        np.rint(last, out=last)
    return moments, leaving[-1]


def back_in_time(cell: Cell, moments: Periods, derivative: Tensor, scratch: Scratch) -> Tensor:
    """Derivatives by the gates' arguments, shape `(T, 4h, n)`, units 2^-21; they take the gates' place.

    Args:
        cell: public weights.
        moments: of `unroll`; used up.
        derivative: by the last output, shape `(n, h)`, units 2^-20.
        scratch: memory.
    """
    customers, h = derivative.shape
    kept = scratch.of("by gate", 5, h, customers).numpy()
    by_sigmoids, (for_q, for_v, for_e, p, d) = kept[:3].reshape(3 * h, customers), kept
    by_output = torch.mul(derivative.T, _TO_GATES, out=scratch.of("by output", h, customers))
    by_state = np.zeros((h, customers))
    for t in range(len(moments.gates) - 1, -1, -1):
        gates, squashed = moments.gates[t].numpy(), moments.squashed[t]
        sigmoids, g = gates[: 3 * h], gates[3 * h :]
        i, f, o = sigmoids[:h], sigmoids[h : 2 * h], sigmoids[2 * h :]
        # By the state: d (1 - squashed^2), and what came from the period after.
        np.multiply(by_output.numpy(), o, out=d)
        np.multiply(d, squashed, out=for_e)
        by_state += d
        by_state -= np.multiply(for_e, squashed, out=d)
        np.multiply(by_state, i, out=p)
        np.multiply(p, g, out=for_q)
        by_state *= f
        np.multiply(by_state, moments.states[t], out=for_v)
        # The slope of a sigmoid s is s (1 - s), that of tanh 1 - tanh^2; one of the s is in the products
        # already.
        np.subtract(by_sigmoids, np.multiply(by_sigmoids, sigmoids, out=sigmoids), out=sigmoids)
        np.subtract(p, np.multiply(for_q, g, out=g), out=g)
        by_gates = moments.gates[t].round_().clamp_(-_GATE_LIMIT, _GATE_LIMIT)
        if t:
            torch.mm(cell.backward, by_gates, out=by_output)
    return moments.gates


def ghost_norms_squared(derivatives: Tensor, entered: Tensor, scratch: Scratch) -> Floats:
    """Squared norms of `sum_t g_t u_t^T`, shape `(n,)`, as real numbers.

    Args:
        derivatives: shape `(T, 4h, n)`.
        entered: shape `(T, m + 1 + h, n)`.
        scratch: memory.
    """
    products = _gram(derivatives, "derivatives", scratch).mul_(_gram(entered, "entered", scratch)).flatten(1)
    terms = scratch.of("terms", products.shape[1], products.shape[0]).copy_(products.T).numpy()
    # The Gram entries are exact; their products are added by halves, entry by entry, in one order for all
    # customers.
    count = len(terms)
    while count > 1:
        half = count // 2
        terms[:half] += terms[half : 2 * half]
        if count % 2:
            terms[half] = terms[count - 1]
        count -= half
    return np.asarray(np.maximum(terms[0] * _TO_REAL, 0.0))


def _gram(values: Tensor, name: str, scratch: Scratch) -> Tensor:
    """Products of a customer's vectors over time, from shape `(T, width, n)` to `(n, T, T)`; exact."""
    periods, width, customers = values.shape
    by_customer = scratch.of(f"{name} by customer", customers, width, periods)
    by_customer.copy_(values.permute(2, 1, 0))
    return torch.bmm(
        by_customer.mT, by_customer, out=scratch.of(f"{name} products", customers, periods, periods)
    )


def add_clipped(total: Tensor, derivatives: Tensor, entered: Tensor, factor: Floats) -> None:
    """Add these customers' clipped gradients of the weight to a sum `(4h, m + 1 + h)`, gates i, f, o, g.

    It is in units of 2^-40 or finer. Derivatives are rounded after clipping and used up;
    `rounding.rounding_slack` bounds what that adds to a length.
    """
    scale = torch.from_numpy(factor * 2.0 ** (RECURRENT_BITS - GATE_BITS))
    for t, by_gates in enumerate(derivatives):
        total.addmm_(by_gates.mul_(scale).round_(), entered[t].T)


def most_rows(terms: int) -> int:
    """Rows whose sums stay exact: 2^22 2^18 rows terms <= 2^53, with T terms a row, more on a finer grid."""
    return max(1, LARGEST_SUM // terms)
