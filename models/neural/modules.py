"""Networks without a closed form, as PyTorch modules: embeddings, attention, normalised layers.

Parameters stand in the order of `Architecture.shapes`. Rows of every matrix begin at multiples of 64 bytes: a
processor's routines may begin a row that does not in another way, and then what one customer comes to would
depend on its place among others. So a linear layer here is wider than its name says, with zeros in the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringfence.models.neural.architecture import Architecture

LANES = 8  # of float64 in 64 bytes


def _wide(width: int) -> int:
    return -(-width // LANES) * LANES


class AlignedLinear(nn.Module):
    """A linear layer whose rows of inputs and outputs begin at multiples of 64 bytes."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.leaving = leaving
        self.wide = nn.Linear(_wide(entering), _wide(leaving))

    def forward(self, values: Tensor) -> Tensor:
        """From shape `(..., entering)` to `(..., leaving)`."""
        filled = functional.pad(values, (0, self.wide.in_features - values.shape[-1]))
        found: Tensor = self.wide(filled)[..., : self.leaving]
        return found


class Attention(nn.Module):
    """Multi-head attention over a customer's periods, with a residual, averaged over them.

    Vaswani et al. (2017). Places are learned; every period sees every other one, since all lie in the past.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, self.heads = architecture.recurrent, architecture.heads
        self.entry = AlignedLinear(architecture.channels, width)
        self.position = nn.Embedding(architecture.periods, width)
        self.query, self.key, self.value, self.exit = (AlignedLinear(width, width) for _ in range(4))
        if architecture.layer_norm:
            self.norm = nn.LayerNorm(width)

    def forward(self, sequence: Tensor) -> Tensor:
        """From shape `(n, T, m)` to `(n, h)`."""
        customers, periods, _ = sequence.shape
        places = torch.arange(periods).expand(customers, periods)
        entered = self.entry(sequence) + self.position(places)
        query, key, value = (
            part(entered).view(customers, periods, self.heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        weight = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
        seen = (weight @ value).transpose(1, 2).reshape(customers, periods, -1)
        left = entered + self.exit(seen)
        if hasattr(self, "norm"):
            left = self.norm(left)
        found: Tensor = left.mean(dim=1)
        return found


class ModuleNetwork(nn.Module):
    """A perceptron over attention's output, embedded categories and the other inputs; float64.

    Args:
        architecture: its shape; without an LSTM.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.embedding = nn.ModuleList(
            nn.Embedding(cells, architecture.embedding) for cells in architecture.embedded
        )
        if architecture.heads:
            self.attention = Attention(architecture)
        widths = zip(architecture.widths, architecture.widths[1:], strict=False)
        self.dense = nn.ModuleList(AlignedLinear(entering, leaving) for entering, leaving in widths)
        self.norm = nn.ModuleList(
            nn.LayerNorm(width) for width in (architecture.hidden if architecture.layer_norm else ())
        )
        self.double()

    def load(self, values: Iterable[Tensor]) -> None:
        """Take over parameters in the order of `Architecture.shapes`, in their own shapes."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), values, strict=True):
                parameter.zero_()
                parameter[tuple(slice(0, size) for size in value.shape)] = value

    def forward(self, static: Tensor, cells: Tensor, sequence: Tensor, offset: Tensor) -> Tensor:
        """Log odds, shape `(n,)`.

        Args:
            static: shape `(n, inputs)`.
            cells: of the embedded categories, int64, shape `(n, E)`.
            sequence: shape `(n, T, m)`, or without periods `(n, 0, 0)`.
            offset: added to the log odds, shape `(n,)`.
        """
        parts = [self.attention(sequence)] if sequence.shape[1] else []
        parts += [table(cells[:, index]) for index, table in enumerate(self.embedding)]
        hidden = torch.cat([*parts, static], dim=1)
        for index, layer in enumerate(self.dense[:-1]):
            hidden = layer(hidden)
            hidden = torch.relu(self.norm[index](hidden) if len(self.norm) else hidden)
        found: Tensor = self.dense[-1](hidden).squeeze(1) + offset
        return found
