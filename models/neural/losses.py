"""One loss a customer, and how much of a customer's gradient clipping leaves: what both engines share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from ringfence.privacy.errors import N_, WaistError

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def logistic(outputs: Tensor, label: Tensor) -> Tensor:
    """Logistic loss of every customer, shape `(n,)`; outputs of shape `(n, 1)` are squeezed first."""
    scores = outputs.squeeze(1) if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs
    return functional.binary_cross_entropy_with_logits(scores, label.to(scores.dtype), reduction="none")


def per_customer(losses: Tensor, label: Tensor) -> Tensor:
    """The losses, if there is one a customer.

    Raises:
        WaistError: another shape, e.g. from logits of shape `(n, 1)` against labels of shape `(n,)`, or a
            mean.
    """
    if losses.shape != label.shape or losses.ndim != 1:
        raise WaistError(
            "RF-W252",
            N_(
                "The loss has shape {found}; expected one loss a customer, {expected}. Anything else mixes "
                "customers "
                'and voids clipping: use reduction="none" and squeeze the outputs.'
            ),
            found=str(tuple(losses.shape)),
            expected=str(tuple(label.shape)),
        )
    return losses


def finite_factors(norms: Tensor, clipping_norm: float) -> Tensor:
    """`min(1, C / norm)` of customers; 0 where the norm is not a finite number."""
    factors = (clipping_norm / norms.clamp(min=1e-12)).clamp(max=1.0)
    return torch.where(torch.isfinite(norms), factors, torch.zeros_like(factors))
