"""The closed-form engine: per-layer norms from inputs and output derivatives, then one product a layer.

For a layer with input a and output derivative g of one customer,

    Linear      |g|^2 |a|^2, and |g|^2 for the bias                            (Goodfellow 2015)
    ... used at several places t: sum over t, s of (g_t . g_s)(a_t . a_s)      (Li et al. 2022, "ghost norm")
    Embedding   the same with (a_t . a_s) = 1 where the two indices agree
    LayerNorm   |sum_t g_t * normalised_t|^2 + |sum_t g_t|^2

An LSTM here is `Unrolled`, the cell of nn.LSTM made of one Linear that is used once a period.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringfence.models.neural.losses import Loss, finite_factors, per_customer
from ringfence.privacy.errors import N_, WaistError


class Unrolled(nn.Module):
    """An LSTM as one Linear over (values, 1, last output), gates in order i, f, g, o; gives the last output.

    Args:
        channels: m, values a period.
        hidden: h.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = nn.Linear(channels + 1 + hidden, 4 * hidden, bias=False)

    def forward(self, sequence: Tensor) -> Tensor:
        """From shape `(n, T, m)` to `(n, h)`."""
        output = sequence.new_zeros(len(sequence), self.hidden)
        state = torch.zeros_like(output)
        one = sequence.new_ones(len(sequence), 1)
        for values in sequence.unbind(dim=1):
            i, f, g, o = self.cell(torch.cat((values, one, output), dim=1)).chunk(4, dim=1)
            state = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(g)
            output = torch.sigmoid(o) * torch.tanh(state)
        return output


@dataclass(slots=True)
class _Use:
    """Calls of one layer in one pass: what entered and what left, in order."""

    entered: list[Tensor] = field(default_factory=list)
    left: list[Tensor] = field(default_factory=list)


def closed_sum(
    model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, clipping_norm: float, loss: Loss
) -> Tensor:
    """See `engines.clipped_sum`; memory is that of one ordinary pass."""
    layers = _layers(model)
    uses: dict[nn.Module, _Use] = {layer: _Use() for layer in layers}

    def keep(layer: nn.Module, entered: tuple[Tensor, ...], left: Tensor) -> None:
        uses[layer].entered.append(entered[0].detach())
        uses[layer].left.append(left)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        losses = per_customer(loss(model(*inputs), label), label)
    finally:
        for handle in handles:
            handle.remove()
    outputs = [left for use in uses.values() for left in use.left]
    derivatives = iter(torch.autograd.grad(losses.sum(), outputs))
    taken = {layer: _joined(use, derivatives, len(label)) for layer, use in uses.items() if use.left}
    squares = torch.zeros(len(label), dtype=torch.float64)
    for layer, (entered, derivative) in taken.items():
        squares += _norms_squared(layer, entered, derivative)
    factors = finite_factors(squares.sqrt(), clipping_norm)
    sums: dict[int, Tensor] = {}
    for layer, (entered, derivative) in taken.items():
        shaped = factors.to(derivative.dtype).view(-1, 1, 1)
        clipped = torch.where(shaped > 0, derivative * shaped, torch.zeros_like(derivative))
        finite = (
            torch.where(shaped > 0, entered, torch.zeros_like(entered))
            if entered.is_floating_point()
            else entered
        )
        sums.update(
            zip((id(p) for p in layer.parameters(recurse=False)), _sums(layer, finite, clipped), strict=True)
        )
    return torch.cat(
        [
            sums[id(p)].flatten().double() if id(p) in sums else torch.zeros(p.numel(), dtype=torch.float64)
            for p in model.parameters()
            if p.requires_grad
        ]
    )


def _layers(model: nn.Module) -> list[nn.Module]:
    """The layers that own parameters, all of kinds with a rule, none shared."""
    found: list[nn.Module] = []
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if not own or not any(p.requires_grad for p in own):
            continue
        if not isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
            raise WaistError(
                "RF-W254",
                N_(
                    "The closed engine has no rule for the layer {name}, a {kind}; it knows Linear, "
                    "Embedding, LayerNorm and its own Unrolled LSTM. Use the engine opacus."
                ),
                name=name,
                kind=type(module).__name__,
            )
        found.append(module)
    return found


def _joined(use: _Use, derivatives: object, customers: int) -> tuple[Tensor, Tensor]:
    """Inputs and derivatives of all uses of a layer, shapes `(n, T, .)`."""
    entered, left = [], []
    for one in use.entered:
        derivative = next(derivatives)  # type: ignore[call-overload]
        entered.append(
            one.reshape(customers, -1, one.shape[-1])
            if one.is_floating_point()
            else one.reshape(customers, -1)
        )
        left.append(derivative.reshape(customers, -1, derivative.shape[-1]))
    return torch.cat(entered, dim=1), torch.cat(left, dim=1)


def _norms_squared(layer: nn.Module, entered: Tensor, derivative: Tensor) -> Tensor:
    """Squared norms of the customers' gradients in one layer, shape `(n,)`, float64."""
    g = derivative.double()
    if isinstance(layer, nn.LayerNorm):
        return sum(
            (part.square().sum(dim=1) for part in _scales(layer, entered.double(), g)), g.new_zeros(len(g))
        )
    between = torch.bmm(g, g.mT)
    if isinstance(layer, nn.Embedding):
        same = (entered.unsqueeze(1) == entered.unsqueeze(2)).double()
        if layer.padding_idx is not None:
            same = same * (entered != layer.padding_idx).unsqueeze(1)
        return (between * same).sum(dim=(1, 2))
    a = entered.double()
    gram = torch.bmm(a, a.mT)
    bias = 1.0 if isinstance(layer, nn.Linear) and layer.bias is not None else 0.0
    return (between * (gram + bias)).sum(dim=(1, 2)).clamp(min=0.0)


def _sums(layer: nn.Module, entered: Tensor, clipped: Tensor) -> list[Tensor]:
    """Sums over customers of the clipped gradients, in the order of the layer's own parameters."""
    g = clipped.flatten(0, 1)
    if isinstance(layer, nn.LayerNorm):
        return [part.sum(dim=0) for part in _scales(layer, entered, clipped)]
    if isinstance(layer, nn.Embedding):
        total = torch.zeros_like(layer.weight).index_add_(0, entered.flatten(), g)
        if layer.padding_idx is not None:
            total[layer.padding_idx] = 0.0
        return [total.detach()]
    products = [g.mT @ entered.flatten(0, 1)]
    return [*products, g.sum(dim=0)] if layer.bias is not None else products


def _scales(layer: nn.LayerNorm, entered: Tensor, derivative: Tensor) -> list[Tensor]:
    """Gradients of a LayerNorm's scale, and of its shift where it has one, shapes `(n, width)`."""
    normalised = functional.layer_norm(entered, layer.normalized_shape, eps=layer.eps)
    parts = [(derivative * normalised).sum(dim=1)]
    return [*parts, derivative.sum(dim=1)] if layer.bias is not None else parts
