"""Fixed-point numbers in float64: arithmetic whose every sum is exact, so that no row can change another row's bits.

A tensor of this package holds whole numbers in float64, in units of a power of two. Matrix products and sums of
squares stay below 2^53 by the ranges below, so they are exact in any order, with any number of threads, and in any
batch; everything else is element by element, where IEEE 754 leaves no choice. So what a customer adds to a sum
depends on that customer alone, bit for bit: the sum over a table is the sum over its customers.

    weights       2^-16, at most 16         activations   2^-18, at most 8
    derivatives   2^-20, at most 2          clipped       2^-23
    ... of gates  2^-21, at most 1          ... of gates  2^-22

A layer has at most 1,024 inputs and outputs: an activation (21 bits) times a weight (20 bits), summed over 2^10
inputs, has 51 bits; so have a derivative times a weight, and a sum of squares of either has 52.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ringfence.models.neural.rounding import ACTIVATION_BITS, DERIVATIVE_BITS

ACTIVATION_LIMIT = float(8 << ACTIVATION_BITS)
DERIVATIVE_LIMIT = float(2 << DERIVATIVE_BITS)

TABLE_BITS = 9
TABLE_LIMIT = 16
_STEP = 1 << (ACTIVATION_BITS - TABLE_BITS)
# The factor that clips is lowered by this much: far more than the roundings on its way, far less than the grid.
_SAFETY = 1.0 - 2.0**-40


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on one core and without recording for differentiation; results do not depend on it, times do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=2)
def _table(name: str) -> tuple[Tensor, Tensor]:
    """Values of a curve in units of 2^-18 at steps of 2^-9 from -16 to 16, and the rises to the next."""
    points = np.arange(-(TABLE_LIMIT << TABLE_BITS), (TABLE_LIMIT << TABLE_BITS) + 2) / (1 << TABLE_BITS)
    curve = np.tanh(points) if name == "tanh" else 1.0 / (1.0 + np.exp(-points))
    values = np.rint(curve * (1 << ACTIVATION_BITS))
    return torch.from_numpy(values[:-1].copy()), torch.from_numpy(np.diff(values) / _STEP)


def curve(name: str, values: Tensor) -> Tensor:
    """`sigmoid` or `tanh`, interpolated in a public table: within 4e-6, activations in and out."""
    levels, rises = _table(name)
    limit = float(TABLE_LIMIT << ACTIVATION_BITS)
    inside = values.clamp(-limit, limit)
    position = torch.mul(inside, 1.0 / _STEP).floor_()
    index = position.to(torch.int64).add_(TABLE_LIMIT << TABLE_BITS)
    rest = inside.sub_(position.mul_(float(_STEP)))
    return rest.mul_(rises[index]).add_(levels[index]).round_()


def residuals(scores: Tensor, label: Tensor) -> Tensor:
    """`p - y` in units of derivatives, shape `(n,)`, from scores in units of activations; |r| <= 2^20.

    Args:
        scores: log odds, shape `(n,)`.
        label: 0 or 1, shape `(n,)`, float64.
    """
    up = float(1 << (DERIVATIVE_BITS - ACTIVATION_BITS))
    return curve("sigmoid", scores.round()).mul_(up).sub_(label, alpha=1 << DERIVATIVE_BITS)


def squares(values: Tensor) -> Tensor:
    """Sums of squares of rows, shape `(n,)`; exact."""
    total: Tensor = torch.linalg.vecdot(values, values)
    return total


def factors(norms_squared: Tensor, clipping_norm: float) -> Tensor:
    """`min(1, C / norm)` of rows, shape `(n,)`, a shade below: no product of it is longer than C."""
    return norms_squared.sqrt().clamp_(min=1e-30).reciprocal_().mul_(clipping_norm * _SAFETY).clamp_(max=1.0)
