"""The shape of a network, and its parameters as one flat vector of integers in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)

RECURRENT = "lstm.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """An LSTM or attention over periods where there are any, then a perceptron with one output.

    Attributes:
        inputs: static inputs, beside the sequence and the embedded categories.
        hidden: widths of the hidden layers.
        periods: T, 0 without a sequence.
        channels: m, values a period.
        recurrent: h, outputs of the LSTM or of attention; 0 without a sequence.
        heads: of attention over the periods; 0 for an LSTM.
        embedded: cells of each embedded category.
        embedding: width of an embedded category; 0 where categories are inputs, one a cell.
        layer_norm: whether hidden layers, and attention, are normalised.
    """

    inputs: int
    hidden: tuple[int, ...]
    periods: int = 0
    channels: int = 0
    recurrent: int = 0
    heads: int = 0
    embedded: tuple[int, ...] = ()
    embedding: int = 0
    layer_norm: bool = False

    @property
    def entered(self) -> int:
        """Entries that the LSTM's weight reads in a period: the values, the constant 1, the last output."""
        return self.channels + 1 + self.recurrent

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the perceptron from its inputs to its one output; the sequence's outputs come first."""
        return (self.recurrent + self.embedding * len(self.embedded) + self.inputs, *self.hidden, 1)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the parameters, in the order of the flat vector (that of PyTorch's modules)."""
        shapes: dict[str, tuple[int, ...]] = {}
        for index, cells in enumerate(self.embedded):
            shapes[f"embedding.{index}.weight"] = (cells, self.embedding)
        if self.heads:
            shapes |= self._attention_shapes()
        elif self.recurrent:
            shapes[RECURRENT] = (4 * self.recurrent, self.entered)
        for index, (entering, leaving) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            shapes[f"dense.{index}.weight"] = (leaving, entering)
            shapes[f"dense.{index}.bias"] = (leaving,)
        for index, width in enumerate(self.hidden if self.layer_norm else ()):
            shapes[f"norm.{index}.weight"] = shapes[f"norm.{index}.bias"] = (width,)
        return shapes

    def _attention_shapes(self) -> dict[str, tuple[int, ...]]:
        width = self.recurrent
        shapes: dict[str, tuple[int, ...]] = {
            "attention.entry.weight": (width, self.channels),
            "attention.entry.bias": (width,),
            "attention.position.weight": (self.periods, width),
        }
        for part in ("query", "key", "value", "exit"):
            shapes[f"attention.{part}.weight"] = (width, width)
            shapes[f"attention.{part}.bias"] = (width,)
        if self.layer_norm:
            shapes["attention.norm.weight"] = shapes["attention.norm.bias"] = (width,)
        return shapes

    @property
    def length(self) -> int:
        """d, the number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, vector: npt.NDArray[Number]) -> Iterator[tuple[str, npt.NDArray[Number]]]:
        """The parameters by name, as views of a vector of shape `(d,)`."""
        start = 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            yield name, vector[start : start + size].reshape(shape)
            start += size
