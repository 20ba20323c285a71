"""The engine `opacus` of a study: a gradient a customer by Opacus' hooks, clipped and rounded by us.

Floating point decides nothing about the bound. A customer's gradient is put on a grid, its length is taken
in exact integers, it is clipped there and cut towards zero on the grid of the release; so one customer adds
an integer vector whose length is at most C, whatever the passes before it came to. What one customer's
gradient is must not depend on the others: customers are worked in pieces of one fixed shape, on one core, and
`check_rows` makes sure once for each network that neither neighbours nor places change a bit of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural.architecture import Architecture, Number
from ringfence.models.neural.fixed import SAFETY
from ringfence.models.neural.hooks import customer_gradients
from ringfence.models.neural.losses import logistic
from ringfence.models.neural.modules import ModuleNetwork
from ringfence.models.neural.rounding import ACTIVATION_BITS, WEIGHT_BITS
from ringfence.privacy.errors import N_, WaistError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Customers of a piece: always so many, filled up with nobody.
PIECE = 128
# A gradient is held in units of 2^-15 C, at most 64 C an entry: squares of 2^21 of them fit 63 bits.
GRADIENT_BITS = 15
LARGEST_ENTRY = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRows:
    """Customers as inputs of a module, real numbers.

    Attributes:
        static: shape `(n, inputs)`, float64.
        cells: of the embedded categories, shape `(n, E)`, int64.
        sequence: shape `(n, T, m)`, float64; `(n, 0, 0)` without periods.
        offset: added to the log odds, shape `(n,)`, float64.
    """

    static: Floats
    cells: Integers
    sequence: Floats
    offset: Floats

    def __len__(self) -> int:
        return len(self.static)

    def pieces(self) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
        """Pieces of `PIECE` customers as tensors, the last one filled up with zeros."""
        for start in range(0, len(self), PIECE):
            part = slice(start, min(start + PIECE, len(self)))
            arrays = (self.static[part], self.cells[part], self.sequence[part], self.offset[part])
            yield part, tuple(torch.from_numpy(_filled(each)) for each in arrays)


def gradient_sum(
    architecture: Architecture,
    weights: Integers,
    rows: ModuleRows,
    label: npt.NDArray[np.uint8],
    *,
    clipping_norm: float,
    grid_bits: int,
) -> Integers:
    """Sum over customers of their gradients of the logistic loss, each clipped to length C and rounded.

    *Formal guarantees*: what a customer adds is an integer vector of length at most `C 2^grid_bits` that
    depends on that customer and the weights alone; a gradient that is not finite adds nothing.

    Args:
        architecture: of the network.
        weights: shape `(d,)`, in units of 2^-16.
        rows: the customers, maybe none.
        label: 0 or 1, shape `(n,)`.
        clipping_norm: C.
        grid_bits: g.

    Returns:
        Shape `(d,)`, int64, in units of 2^-g.

    Raises:
        WaistError: on this machine a customer's gradient depends on others.
    """
    total = np.zeros(architecture.length, dtype=np.int64)
    with _alone():
        check_rows(architecture)
        network = loaded(architecture, weights)
        for part, inputs in rows.pieces():
            found = _gradients(architecture, network, inputs, _filled(label[part]))
            total += clipped(found[: part.stop - part.start], clipping_norm, grid_bits).sum(axis=0)
    return total


def scores(architecture: Architecture, weights: Integers, rows: ModuleRows) -> Integers:
    """Log odds of customers in units of 2^-16, shape `(n,)`; 0 where they are not finite.

    Raises:
        WaistError: on this machine a customer's score depends on others.
    """
    found = np.zeros(len(rows), dtype=np.int64)
    with _alone():
        check_rows(architecture)
        network = loaded(architecture, weights)
        with torch.no_grad():
            for part, inputs in rows.pieces():
                real = network(*inputs).numpy()[: part.stop - part.start]
                whole = np.clip(np.nan_to_num(real, posinf=0.0, neginf=0.0), -(2.0**20), 2.0**20)
                found[part] = np.rint(whole * 2.0**WEIGHT_BITS)
    return found


def clipped(gradients: Floats, clipping_norm: float, grid_bits: int) -> Integers:
    """Each customer's gradient clipped to length C, on the grid, cut towards zero.

    Args:
        gradients: shape `(n, d)`.
        clipping_norm: C.
        grid_bits: g.

    Returns:
        Shape `(n, d)`, int64; the length of a row is at most `C 2^g`.
    """
    finite = np.isfinite(gradients).all(axis=1, keepdims=True)
    most = LARGEST_ENTRY * clipping_norm
    in_norms = np.clip(np.where(finite, gradients, 0.0), -most, most) / clipping_norm
    whole = np.rint(in_norms * 2.0**GRADIENT_BITS).astype(np.int64)
    length = np.sqrt((whole * whole).sum(axis=1, keepdims=True).astype(np.float64))
    factor = np.minimum(2.0**GRADIENT_BITS * SAFETY / np.maximum(length, 1.0), 1.0)
    unit = clipping_norm * 2.0 ** (grid_bits - GRADIENT_BITS)
    found: Integers = np.trunc(whole * factor * unit).astype(np.int64)
    return found


def loaded(architecture: Architecture, weights: Integers) -> ModuleNetwork:
    """The module with these weights, in units of 2^-16."""
    network = ModuleNetwork(architecture)
    real = weights / 2.0**WEIGHT_BITS
    network.load(torch.from_numpy(np.array(each)) for _, each in architecture.split(real))
    return network


@lru_cache(maxsize=32)
def _places(architecture: Architecture) -> Integers:
    """Where each parameter of the architecture stands among the module's wider ones, shape `(d,)`."""
    begun, found = 0, []
    for shape, parameter in zip(
        architecture.shapes.values(), ModuleNetwork(architecture).parameters(), strict=True
    ):
        places = np.arange(begun, begun + parameter.numel()).reshape(tuple(parameter.shape))
        found.append(places[tuple(slice(0, size) for size in shape)].ravel())
        begun += parameter.numel()
    return np.concatenate(found)


def _gradients(
    architecture: Architecture,
    network: ModuleNetwork,
    inputs: tuple[Tensor, ...],
    label: npt.NDArray[np.uint8],
) -> Floats:
    """The gradient of every customer of a piece, shape `(PIECE, d)`."""
    found = customer_gradients(network, inputs, torch.from_numpy(label), logistic).numpy()
    taken: Floats = found[:, _places(architecture)]
    return taken


@lru_cache(maxsize=32)
def check_rows(architecture: Architecture) -> None:
    """Make sure once that a customer's gradient and score do not depend on who else is in a piece, or where.

    A look at this machine and this network, not a proof for all weights: places are turned round and
    neighbours replaced, and every bit has to stay.

    Raises:
        WaistError: they depend on it.
    """
    rng = np.random.default_rng(7)
    weights = rng.integers(-(1 << WEIGHT_BITS), 1 << WEIGHT_BITS, architecture.length)
    network, rows, label = loaded(architecture, weights), _some_rows(architecture, rng), _some_labels(rng)
    whole = _results(architecture, network, rows, label)
    turned = rng.permutation(PIECE)
    moved = _results(architecture, network, _taken(rows, turned), label[turned])
    half = np.arange(PIECE) < PIECE // 2
    alone = _results(architecture, network, _blanked(rows, half), np.where(half, label, 0).astype(np.uint8))
    for before, places, neighbours in zip(whole, moved, alone, strict=True):
        if not (np.array_equal(before[turned], places) and np.array_equal(before[half], neighbours[half])):
            raise WaistError(
                "RF-W257",
                N_(
                    "On this machine a customer's gradient depends on the others in its piece, so a customer "
                    "could change another's contribution. Update PyTorch, or leave engine out."
                ),
            )


def _results(
    architecture: Architecture, network: ModuleNetwork, rows: ModuleRows, label: npt.NDArray[np.uint8]
) -> tuple[Floats, Floats]:
    inputs = next(rows.pieces())[1]
    with torch.no_grad():
        scores_found = network(*inputs).numpy()
    return _gradients(architecture, network, inputs, label), scores_found


def _some_rows(architecture: Architecture, rng: np.random.Generator) -> ModuleRows:
    cells = [rng.integers(0, cells, PIECE) for cells in architecture.embedded]
    return ModuleRows(
        static=rng.normal(size=(PIECE, architecture.inputs)),
        cells=np.stack(cells, axis=1) if cells else np.zeros((PIECE, 0), dtype=np.int64),
        sequence=rng.normal(size=(PIECE, architecture.periods, architecture.channels)),
        offset=rng.normal(size=PIECE),
    )


def _some_labels(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    return rng.integers(0, 2, PIECE).astype(np.uint8)


def _taken(rows: ModuleRows, index: Integers) -> ModuleRows:
    return ModuleRows(
        static=rows.static[index],
        cells=rows.cells[index],
        sequence=rows.sequence[index],
        offset=rows.offset[index],
    )


def _blanked(rows: ModuleRows, keep: npt.NDArray[np.bool_]) -> ModuleRows:
    """The same rows with nobody in the places that are not kept."""
    return ModuleRows(
        static=rows.static * keep[:, None],
        cells=rows.cells * keep[:, None],
        sequence=rows.sequence * keep[:, None, None],
        offset=rows.offset * keep,
    )


def _filled(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Exactly `PIECE` rows: zeros behind those that are there."""
    whole = np.zeros((PIECE, *values.shape[1:]), dtype=values.dtype)
    whole[: len(values)] = values
    return whole


@contextmanager
def _alone() -> Iterator[None]:
    """Work on one core, so that no piece is cut in two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def real_rows(static: Floats, sequence: Floats | None, cells: Integers, offset: Floats | None) -> ModuleRows:
    """Inputs in units of activations, as `InputPlan` gives them, as real numbers.

    Args:
        static: shape `(n, inputs)`.
        sequence: shape `(T, n, m)`, or None.
        cells: shape `(n, E)`.
        offset: shape `(n,)`, or None.
    """
    unit, count = 2.0**-ACTIVATION_BITS, len(static)
    periods = np.zeros((count, 0, 0)) if sequence is None else np.swapaxes(sequence, 0, 1) * unit
    return ModuleRows(
        static=static * unit,
        cells=cells,
        sequence=np.ascontiguousarray(periods),
        offset=np.zeros(count) if offset is None else offset * unit,
    )
