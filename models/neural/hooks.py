"""Every customer's gradient by Opacus' hooks: the reference engine, and what the engine `opacus` clips."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from ringfence.models.neural.losses import Loss, finite_factors, per_customer


def hooked_sum(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, clipping_norm: float, loss: Loss
) -> Tensor:
    """See `engines.clipped_sum`; memory is (customers x parameters)."""
    samples = customer_gradients(model, inputs, label, loss)
    factors = finite_factors(samples.square().sum(dim=1).sqrt(), clipping_norm)
    return factors @ torch.where(factors.unsqueeze(1) > 0, samples, torch.zeros_like(samples))


def customer_gradients(model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, loss: Loss) -> Tensor:
    """The gradient of every customer's own loss, shape `(n, d)`, float64, in the order of the parameters.

    Raises:
        WaistError: the loss is not one a customer.
    """
    from opacus.grad_sample import GradSampleModule

    parameters = [p for p in model.parameters() if p.requires_grad]
    kept = [p.grad for p in parameters]
    hooked = GradSampleModule(model, batch_first=True, loss_reduction="sum")
    try:
        with warnings.catch_warnings():
            # PyTorch warns that hooks on inputs without gradients see none; Opacus does not need them.
            warnings.simplefilter("ignore")
            torch.autograd.backward(per_customer(loss(hooked(*inputs), label), label).sum())
        samples = [_one_tensor(p).flatten(1).double() for p in parameters]
    finally:
        for parameter, gradient in zip(parameters, kept, strict=True):
            parameter.grad = gradient
            # What a refused loss left behind would be counted with the next batch.
            parameter.grad_sample = None  # type: ignore[attr-defined]
        hooked.to_standard_module()
    return torch.cat(samples, dim=1)


def _one_tensor(parameter: nn.Parameter) -> Tensor:
    """Gradients a customer, summed over the uses of a parameter in one pass."""
    sample = parameter.grad_sample  # type: ignore[attr-defined]
    found: Tensor = torch.stack(sample).sum(dim=0) if isinstance(sample, list) else sample
    return found
