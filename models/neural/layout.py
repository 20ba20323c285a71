"""Where the parameters of a flat vector stand in the multiplied matrices, as indices.

A dense layer's matrix has its bias as the last column, and one row more, `(0, ..., 0, 1)`, which passes the
constant 1 on to the next layer. Sums of gradients have the shape of the matrix without that row. The cell of
an LSTM has its gates in the order i, f, o, g there (models/neural/recurrent.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ringfence.models.neural.architecture import RECURRENT, Architecture

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterLayout:
    """Indices for one architecture.

    Attributes:
        cell: number of the cell's parameters, which come first; 0 without an LSTM.
        passing: for each entry of the dense layers' matrices its parameter; d stands for 0 and d + 1 for 1.
        passing_shapes: of these matrices.
        summed: for each parameter the entry of the sums where it stands.
        sum_shapes: of the sums, the cell's first.
    """

    cell: int
    passing: Integers
    passing_shapes: tuple[tuple[int, int], ...]
    summed: Integers
    sum_shapes: tuple[tuple[int, int], ...]


@lru_cache(maxsize=32)
def parameter_layout(architecture: Architecture) -> ParameterLayout:
    """The indices of an architecture."""
    length = architecture.length
    named = dict(architecture.split(np.arange(length)))
    sums, passing = [], []
    if RECURRENT in named:
        sums.append(sigmoids_first(named[RECURRENT]))
    for number in range(len(architecture.widths) - 1):
        weight, bias = named[f"dense.{number}.weight"], named[f"dense.{number}.bias"]
        sums.append(np.column_stack((weight, bias)))
        constant = np.full((1, weight.shape[1] + 1), length)
        constant[0, -1] = length + 1
        passing.append(np.concatenate((sums[-1], constant)))
    return ParameterLayout(
        cell=math.prod(named[RECURRENT].shape) if RECURRENT in named else 0,
        passing=np.concatenate([each.ravel() for each in passing]),
        passing_shapes=tuple(each.shape for each in passing),
        summed=np.argsort(np.concatenate([each.ravel() for each in sums])),
        sum_shapes=tuple(each.shape for each in sums),
    )


def sigmoids_first(weight: Integers) -> Integers:
    """Rows of gates i, f, g, o as i, f, o, g."""
    i, f, g, o = np.split(weight, 4)
    return np.concatenate((i, f, o, g))
