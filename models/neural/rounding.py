"""Grids of fixed-point numbers, and what rounding to them does to the length of a customer's vector.

Everything here is public arithmetic on a study's shape; it needs no PyTorch.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ringfence.models.neural.architecture import RECURRENT, Architecture

WEIGHT_BITS = 16
WEIGHT_LIMIT = 16 << WEIGHT_BITS
ACTIVATION_BITS = 18
DERIVATIVE_BITS = 20
GATE_BITS = 21
CLIPPED_BITS = 23
RECURRENT_BITS = 22
LARGEST_WIDTH = 1 << 10


def finer_bits(clipping_norm: float) -> int:
    """Binary places, at most 4, that a clipping norm below one adds to clipped derivatives."""
    return min(4, max(0, math.floor(-math.log2(clipping_norm))))


def sum_bits(name: str, clipping_norm: float) -> int:
    """Binary places of an exact sum of clipped gradients by a parameter: the derivative's and the input's.

    The input of a bias is 1, in units of activations like any other.
    """
    derivative = RECURRENT_BITS if name == RECURRENT else CLIPPED_BITS
    return derivative + ACTIVATION_BITS + finer_bits(clipping_norm)


def to_grid(total: npt.NDArray[np.int64], bits: int, grid_bits: int) -> npt.NDArray[np.int64]:
    """Round a sum in units of 2^-bits to units of 2^-grid_bits, half upwards."""
    shift = bits - grid_bits
    return np.asarray((total + (1 << (shift - 1))) >> shift)


def vector_to_grid(
    architecture: Architecture, total: npt.NDArray[np.int64], clipping_norm: float, grid_bits: int
) -> npt.NDArray[np.int64]:
    """Round an exact sum of clipped gradients over all parameters, shape `(d,)`, to units of 2^-grid_bits."""
    cell = math.prod(architecture.shapes[RECURRENT]) if architecture.recurrent else 0
    dense = to_grid(total[cell:], sum_bits("dense", clipping_norm), grid_bits)
    return (
        np.concatenate((to_grid(total[:cell], sum_bits(RECURRENT, clipping_norm), grid_bits), dense))
        if cell
        else dense
    )


def rounding_slack(architecture: Architecture, clipping_norm: float) -> float:
    """Most that rounding inside an LSTM adds to the length of one customer's clipped gradient; 0 without one.

    Each of T derivatives moves by at most half a unit of 2^-22 in each of 4h entries, times an input whose
    entries are at most 1. Dense layers cut towards zero instead, which never lengthens a single outer
    product.
    """
    if not architecture.recurrent:
        return 0.0
    moved = math.sqrt(4 * architecture.recurrent * architecture.entered)
    return architecture.periods * moved * 2.0 ** -(RECURRENT_BITS + finer_bits(clipping_norm) + 1)


def rounded_sensitivity_squared(clipping_norm: float, slack: float, length: int, grid_bits: int) -> int:
    """Squared L2 sensitivity, in grid units, of a sum of vectors of length <= C + slack rounded to the grid.

    *Formal guarantees*: two neighbouring exact sums differ by one customer's vector; rounding moves each
    entry of either by at most half a unit, so the rounded sums differ by at most `(C + slack) 2^g + sqrt(d)`
    in length.
    """
    reach = (clipping_norm + slack) * 2.0**grid_bits + math.sqrt(length)
    return math.ceil(reach * reach * (1.0 + 2.0**-40))
