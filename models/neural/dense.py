"""The clipped sum of a perceptron in fixed point: per-customer norms without per-customer gradients.

A layer's gradient for one customer is the outer product of its derivative g and its input a (and g for the
bias), so its squared norm is |g|^2 (|a|^2 + 1) (Goodfellow 2015). The factor that clips a customer is folded
into its derivatives, and one matrix product a layer gives the sum over all customers: nothing of the size
(customers x parameters) is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ringfence.models.neural.fixed import ACTIVATION_LIMIT, DERIVATIVE_LIMIT, Floats, Scratch, squares
from ringfence.models.neural.rounding import ACTIVATION_BITS, CLIPPED_BITS, DERIVATIVE_BITS

# What PyTorch itself runs behind a rectifier: derivatives, set to 0 where an activation is.
_closed = torch.ops.aten.threshold_backward.grad_input
_TO_REAL = 2.0 ** -(2 * ACTIVATION_BITS + 2 * DERIVATIVE_BITS)


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A linear layer as public data; its bias is the weight of one more input, which is always 1.

    Attributes:
        passing: whole numbers times 2^-16, so that a product is in units of its input; its last output passes
            the 1 on to the next layer; shape `(out + 1, in + 1)`.
        weight: without the bias and that output, shape `(out, in)`.
    """

    passing: Tensor
    weight: Tensor

    @classmethod
    def of(cls, passing: Floats) -> DenseLayer:
        """From its matrix (models/neural/layout.py)."""
        return cls(torch.from_numpy(passing), torch.from_numpy(passing[:-1, :-1]))


@dataclass(frozen=True, slots=True)
class DenseTape:
    """What a forward pass leaves for the backward pass.

    Attributes:
        inputs: of each layer, shape `(n, in + 1)`, the last column 1.
        scores: log odds in units of activations, exact, shape `(n,)`.
    """

    inputs: tuple[Tensor, ...]
    scores: Floats


def forward(layers: Sequence[DenseLayer], inputs: Tensor, scratch: Scratch) -> DenseTape:
    """Log odds of rows; hidden layers are rectified and cut off at 8."""
    kept = [inputs]
    for number, layer in enumerate(layers[:-1]):
        hidden = scratch.rows(f"hidden {number}", len(inputs), len(layer.passing))
        torch.mm(kept[-1], layer.passing.T, out=hidden)
        kept.append(hidden.round_().clamp_(0.0, ACTIVATION_LIMIT))
    return DenseTape(tuple(kept), torch.mv(kept[-1], layers[-1].passing[0]).numpy())


def backward(
    layers: Sequence[DenseLayer], tape: DenseTape, residual: Floats, scratch: Scratch
) -> list[Tensor]:
    """Derivatives of the loss by each layer's output, shapes `(n, out)`, from `p - y`."""
    derivatives = [torch.from_numpy(residual).unsqueeze(1)]
    for number in range(len(layers) - 1, 0, -1):
        activation = tape.inputs[number][:, :-1]
        entering = step_back(
            derivatives[-1], layers[number], scratch.rows(f"derivative {number}", *activation.shape)
        )
        derivatives.append(_closed(entering, activation, 0.0, grad_input=entering))
    return derivatives[::-1]


def step_back(derivative: Tensor, layer: DenseLayer, out: Tensor) -> Tensor:
    """Derivatives by a layer's inputs, without the constant one, rounded to the grid and cut off at 2."""
    torch.mm(derivative, layer.weight, out=out)
    return out.round_().clamp_(-DERIVATIVE_LIMIT, DERIVATIVE_LIMIT)


def norms_squared(tape: DenseTape, derivatives: Sequence[Tensor]) -> Floats:
    """Squared norms of the customers' gradients over these layers, shape `(n,)`, as real numbers."""
    total = np.zeros(len(tape.scores))
    for derivative, entered in zip(derivatives, tape.inputs, strict=True):
        total += squares(derivative) * squares(entered)
    total *= _TO_REAL
    return total


def add_clipped(
    sums: Sequence[Tensor], tape: DenseTape, derivatives: Sequence[Tensor], factor: Floats
) -> None:
    """Add the clipped gradients of these customers to sums of shape `(out, in + 1)`, one a layer.

    Sums are in units of 2^-41, or finer if the factor was raised by `finer_bits`. Derivatives are cut towards
    zero after clipping, which never lengthens a customer's vector; entries of at most max(1, C) 2^41 over
    1,024 customers, C <= 4, reach 2^53 at most: exact. The derivatives are used up.
    """
    scale = torch.from_numpy(factor * 2.0 ** (CLIPPED_BITS - DERIVATIVE_BITS)).unsqueeze(1)
    for total, derivative, entered in zip(sums, derivatives, tape.inputs, strict=True):
        total.addmm_(derivative.mul_(scale).trunc_().T, entered)
