"""The clipped sum of a multilayer perceptron in fixed point: per-customer norms without per-customer gradients.

A layer's gradient for one customer is the outer product of its derivative g and its input a (and g for the bias),
so its squared norm is |g|^2 (|a|^2 + 1) (Goodfellow 2015). The factor that clips a customer is folded into its
derivatives, and one matrix product a layer gives the sum over all customers: nothing of the size
(customers x parameters) is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ringfence.models.neural.fixed import ACTIVATION_LIMIT, DERIVATIVE_LIMIT, Scratch, squares
from ringfence.models.neural.rounding import ACTIVATION_BITS, CLIPPED_BITS, DERIVATIVE_BITS, WEIGHT_BITS

_ONE_SQUARED = float(1 << (2 * ACTIVATION_BITS))
_TO_REAL = 2.0 ** -(2 * ACTIVATION_BITS + 2 * DERIVATIVE_BITS)


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A linear layer as public data.

    Attributes:
        weight: shape `(out, in)`, whole numbers times 2^-16, so that a product is in units of its input.
        bias: shape `(out,)`, in units of activations.
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: npt.NDArray[np.int64], bias: npt.NDArray[np.int64]) -> DenseLayer:
        """From integers in units of 2^-16."""
        return cls(
            torch.from_numpy(weight / 2.0**WEIGHT_BITS),
            torch.from_numpy(bias * 2.0 ** (ACTIVATION_BITS - WEIGHT_BITS)),
        )


@dataclass(frozen=True, slots=True)
class DenseTape:
    """What a forward pass leaves for the backward pass.

    Attributes:
        inputs: of each layer, shape `(n, in)`.
        scores: log odds in units of activations, exact, shape `(n,)`.
    """

    inputs: tuple[Tensor, ...]
    scores: Tensor


def forward(layers: Sequence[DenseLayer], inputs: Tensor, scratch: Scratch) -> DenseTape:
    """Log odds of rows; hidden layers are rectified and cut off at 8."""
    kept = [inputs]
    for number, layer in enumerate(layers[:-1]):
        hidden = scratch.of(f"hidden {number}", len(inputs), len(layer.bias))
        torch.addmm(layer.bias, kept[-1], layer.weight.T, out=hidden)
        kept.append(hidden.round_().clamp_(0.0, ACTIVATION_LIMIT))
    last = layers[-1]
    return DenseTape(tuple(kept), torch.mv(kept[-1], last.weight[0]) + last.bias)


def backward(layers: Sequence[DenseLayer], tape: DenseTape, residual: Tensor, scratch: Scratch) -> list[Tensor]:
    """Derivatives of the loss by each layer's output, shapes `(n, out)`, from `p - y`."""
    derivatives = [residual.unsqueeze(1)]
    for number in range(len(layers) - 1, 0, -1):
        activation = tape.inputs[number]
        entering = scratch.of(f"derivative {number}", *activation.shape)
        open_ = torch.sign(activation, out=scratch.of(f"open {activation.shape[1]}", *activation.shape))
        derivatives.append(step_back(derivatives[-1], layers[number].weight, entering).mul_(open_))
    return derivatives[::-1]


def step_back(derivative: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Derivatives by a linear layer's input, rounded to the grid and cut off at 2."""
    return torch.mm(derivative, weight, out=out).round_().clamp_(-DERIVATIVE_LIMIT, DERIVATIVE_LIMIT)


def norms_squared(tape: DenseTape, derivatives: Sequence[Tensor]) -> Tensor:
    """Squared norms of the customers' gradients over these layers, shape `(n,)`, as real numbers."""
    total = torch.zeros(len(tape.scores), dtype=torch.float64)
    for derivative, entered in zip(derivatives, tape.inputs, strict=True):
        total += squares(derivative).mul_(squares(entered).add_(_ONE_SQUARED))
    return total.mul_(_TO_REAL)


def clipped_sums(tape: DenseTape, derivatives: Sequence[Tensor], factor: Tensor) -> list[npt.NDArray[np.int64]]:
    """Sums of the clipped gradients: weight and bias of each layer in turn, flattened.

    Weights are in units of 2^-41, biases of 2^-23, or finer if the factor was raised by `finer_bits`. Derivatives
    are cut towards zero after clipping, which never lengthens a customer's vector; entries of at most
    max(1, C) 2^41 over 1,024 rows, C <= 4, reach 2^53 at most: exact.
    The derivatives are used up.
    """
    scale = factor.mul(2.0 ** (CLIPPED_BITS - DERIVATIVE_BITS)).unsqueeze(1)
    sums = []
    for derivative, entered in zip(derivatives, tape.inputs, strict=True):
        clipped = derivative.mul_(scale).trunc_()
        sums.append(as_integers(torch.mm(clipped.T, entered)))
        sums.append(as_integers(clipped.sum(dim=0)))
    return sums


def as_integers(values: Tensor) -> npt.NDArray[np.int64]:
    """Exact whole numbers as int64, flattened."""
    return values.to(torch.int64).flatten().numpy()
