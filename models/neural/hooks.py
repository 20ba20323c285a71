"""The reference engine: Opacus makes every customer's gradient by hooks, we clip and add them up."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from ringfence.models.neural.engines import Loss, finite_factors, per_customer


def hooked_sum(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, clipping_norm: float, loss: Loss
) -> Tensor:
    """See `engines.clipped_sum`; memory is (customers x parameters)."""
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
    squares = sum((sample.square().sum(dim=1) for sample in samples), torch.zeros(len(label), dtype=torch.float64))
    factors = finite_factors(squares.sqrt(), clipping_norm)
    clean = (torch.where(factors.unsqueeze(1) > 0, sample, torch.zeros_like(sample)) for sample in samples)
    return torch.cat([factors @ sample for sample in clean])


def _one_tensor(parameter: nn.Parameter) -> Tensor:
    """Gradients a customer, summed over the uses of a parameter in one pass."""
    sample = parameter.grad_sample  # type: ignore[attr-defined]
    found: Tensor = torch.stack(sample).sum(dim=0) if isinstance(sample, list) else sample
    return found
