"""Fixed-point numbers in float64 whose every sum is exact: no row can change another row's bits.

An array of this package holds whole numbers in float64, in units of a power of two. Matrix products and sums
of squares stay below 2^53 by the ranges below, so they are exact in any order, with any number of threads,
and in any batch; everything else is element by element, one operation of IEEE 754 at a time, which leaves no
choice. (Functions that do two at once, such as torch.add with a factor, are not used on anything that is no
whole number: a compiler may fuse them in the middle of an array and not at its end.) So what a customer adds
to a sum depends on that customer alone, bit for bit: the sum over a table is the sum over its customers.

    weights       2^-16, at most 16         activations   2^-18, at most 8
    derivatives   2^-20, at most 2          clipped       2^-23
    ... of gates  2^-21, at most 1          ... of gates  2^-22

A layer has at most 1,024 inputs and outputs, and the constant 1: an activation (21 bits) times a weight (20
bits), summed over 2^10 + 1 inputs, is below 2^52; so is a derivative times a weight, and a sum of squares of
either below 2^53.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural.rounding import ACTIVATION_BITS, DERIVATIVE_BITS
from ringfence.privacy.errors import N_, WaistError

Floats = npt.NDArray[np.float64]

ONE = float(1 << ACTIVATION_BITS)
ACTIVATION_LIMIT = float(8 << ACTIVATION_BITS)
DERIVATIVE_LIMIT = float(2 << DERIVATIVE_BITS)

# The factor that clips is lowered by this much: far more than the roundings on its way, far less than the
# grid.
SAFETY = 1.0 - 2.0**-40


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on one core and without recording for differentiation; results do not depend on it, times do."""
    check_curves()
    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        if threads > 1:
            torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def check_curves() -> None:
    """Make sure once that numpy's tanh of a number is the same wherever it stands; exactness rests on it.

    It is for every numpy so far: the ends of an array run through the same instructions as its middle.

    Raises:
        WaistError: it is not on this machine.
    """
    points = np.linspace(-9.0, 9.0, 1009)
    whole = np.tanh(points)
    for length in (1, 2, 3, 5, 7, 8, 9, 15, 17, 31, 33):
        pieces = [np.tanh(points[start : start + length].copy()) for start in range(0, len(points), length)]
        if not np.array_equal(np.concatenate(pieces), whole):
            raise WaistError(
                "RF-W255",
                N_(
                    "On this machine a hyperbolic tangent depends on its place in an array, so a customer "
                    "could change another's contribution. Update numpy; no neural study can run until then."
                ),
            )


def tanh_(values: Floats) -> Floats:
    """Hyperbolic tangents of real numbers, in place; element by element (see `check_curves`)."""
    return np.tanh(values, out=values)


def residuals(scores: Floats, label: npt.NDArray[np.uint8]) -> Floats:
    """`p - y` in units of derivatives, shape `(n,)`; |r| <= 2^20.

    Args:
        scores: log odds in units of activations, shape `(n,)`.
        label: 0 or 1, shape `(n,)`.
    """
    half = float(1 << (DERIVATIVE_BITS - 1))
    # p = (1 + tanh(z / 2)) / 2
    found = tanh_(scores * (0.5 / ONE))
    found *= half
    found += half - label * (2.0 * half)
    return np.rint(found, out=found)


class Scratch:
    """Memory that is used again for every piece of a table, since fresh pages cost more than sums."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def rows(self, name: str, rows: int, width: int) -> Tensor:
        """A tensor of shape `(rows, width)` with anything in it; valid until the name is asked for again."""
        kept = self._kept.get(name)
        if kept is None or kept.shape[0] < rows or kept.shape[1] != width:
            kept = self._kept[name] = torch.empty(rows, width, dtype=torch.float64)
        return kept[:rows]

    def of(self, name: str, *shape: int) -> Tensor:
        """The same in any shape."""
        return self.rows(name, math.prod(shape), 1).view(shape)


_OF_THREAD = threading.local()


def scratch_of_thread() -> Scratch:
    """The memory of this thread, some megabytes, kept for the next step with the last piece in it."""
    found = getattr(_OF_THREAD, "scratch", None)
    if not isinstance(found, Scratch):
        found = _OF_THREAD.scratch = Scratch()
    return found


def squares(values: Tensor) -> Floats:
    """Sums of squares of rows, shape `(n,)`; exact."""
    array = values.numpy()
    found: Floats = np.vecdot(array, array)
    return found


def factors(norms_squared: Floats, clipping_norm: float) -> Floats:
    """`min(1, C / norm)` of customers, shape `(n,)`, a shade below: no product of it is longer than C."""
    longest = np.maximum(np.sqrt(norms_squared), 1e-30)
    return np.asarray(np.minimum(clipping_norm * SAFETY / longest, 1.0))
