"""Sums of clipped per-customer gradients of any PyTorch module, by either of two engines behind one function.

    opacus   the reference: hooks that make every customer's gradient (Yousefpour et al. 2021)
    closed   norms from what enters a layer and the derivative by what leaves it; no gradient a customer

The two agree within rounding before noise, which tests hold them to. They work in floating point on whatever
module a researcher gives them, and are what the fixed-point sums of the tasks (models/neural/network.py),
which leave a holder, are compared with. Neither draws noise.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ringfence.models.neural.closed import closed_sum
from ringfence.models.neural.hooks import hooked_sum
from ringfence.models.neural.losses import Loss, logistic, per_customer
from ringfence.privacy.errors import N_, WaistError

Engine: TypeAlias = Literal["closed", "opacus"]


def clipped_sum(
    model: nn.Module,
    inputs: Tensor | tuple[Tensor, ...],
    label: Tensor,
    clipping_norm: float,
    *,
    engine: Engine = "closed",
    loss: Loss = logistic,
) -> Tensor:
    """Sum over customers of their gradients, each clipped to length C.

    *Formal guarantees*: one customer adds a vector of length at most C, up to rounding in the module's own
    precision. A customer whose gradient is not finite adds nothing, by a rule that looks at that customer
    alone, so the sensitivity stays C.

    | case | what happens |
    |---|---|
    | no customer | zeros |
    | outputs of shape `(n, 1)` | squeezed before the loss |
    | a loss that is not of shape `(n,)` | refused: clipping would be void |
    | batch normalisation | refused: a customer's output would depend on the others |
    | losses that differ when others are left out | refused: a look at half, and at every second |

    Args:
        model: its parameters that require gradients are those of the sum.
        inputs: first dimension n; several tensors are passed on as arguments.
        label: shape `(n,)`.
        clipping_norm: C.
        engine: which.
        loss: from outputs and labels to losses of shape `(n,)`.

    Returns:
        Shape `(d,)`, float64, in the order of `model.parameters()`.

    Raises:
        WaistError: one of the refusals above, a layer the closed engine has no rule for, or C not positive.
    """
    if not 0 < clipping_norm < float("inf"):
        raise WaistError(
            "RF-W251", N_("The clipping norm is {norm}; expected a positive number."), norm=clipping_norm
        )
    refuse_mixing(model)
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    if not len(label):
        return torch.zeros(sum(p.numel() for p in model.parameters() if p.requires_grad), dtype=torch.float64)
    work = closed_sum if engine == "closed" else hooked_sum
    found = work(model, given, label, clipping_norm, loss)
    _refuse_entangled(model, given, label, loss)
    return found


def _refuse_entangled(model: nn.Module, given: tuple[Tensor, ...], label: Tensor, loss: Loss) -> None:
    """Refuse a model or loss in which a customer's loss changes when others are left out.

    A look, not a proof: it compares the losses of all with those of the first half and of every second
    customer.

    Raises:
        WaistError: they differ, or there is not one a customer.
    """
    with torch.no_grad():
        whole = per_customer(loss(model(*given), label), label)
        for some in (slice(0, (len(label) + 1) // 2), slice(0, None, 2)):
            part = per_customer(loss(model(*(each[some] for each in given)), label[some]), label[some])
            if not torch.allclose(part, whole[some], rtol=1e-3, atol=1e-5, equal_nan=True):
                raise WaistError(
                    "RF-W256",
                    N_(
                        "A customer's loss changes when others are left out, so clipping would bound "
                        "nothing. Use a model and a loss that look at each customer alone."
                    ),
                )


def refuse_mixing(model: nn.Module) -> None:
    """Refuse layers whose output for one customer depends on the others.

    Raises:
        WaistError: batch normalisation in any form.
    """
    mixing = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
    for name, module in model.named_modules():
        if isinstance(module, mixing):
            raise WaistError(
                "RF-W253",
                N_(
                    "The layer {name} is a {kind}: it mixes customers, so clipping would bound nothing. Use "
                    "LayerNorm."
                ),
                name=name or type(model).__name__,
                kind=type(module).__name__,
            )
