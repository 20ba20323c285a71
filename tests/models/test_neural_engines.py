"""Two engines, one sum: clipped per-customer gradients agree, and what would void clipping is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ringfence.models.neural.closed import Unrolled
from ringfence.models.neural.engines import clipped_sum
from ringfence.models.neural.losses import logistic
from ringfence.privacy.errors import WaistError

TOLERANCE = 1e-5


def tensor(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


def filled(model: nn.Module, rng: np.random.Generator) -> nn.Module:
    """The module with weights from a generator; PyTorch's own seed is left alone."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(tensor(rng, *parameter.shape) * 0.4)
    return model


class Tabular(nn.Module):
    """Embedded categories beside numbers, layer norm, two hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.hidden = nn.Linear(5 + 3 * 2, 8)
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, 1)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        entered = torch.cat((numbers, self.embedding(categories).flatten(1)), dim=1)
        return self.out(torch.tanh(self.norm(self.hidden(entered))))


class Sequential(nn.Module):
    """An unrolled LSTM and static values at the head."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = Unrolled(3, 5)
        self.head = nn.Linear(5 + 2, 1)

    def forward(self, sequence: Tensor, static: Tensor) -> Tensor:
        return self.head(torch.cat((self.lstm(sequence), static), dim=1))


def one_by_one(model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, norm: float) -> Tensor:
    """The definition: one backward pass a customer."""
    total = torch.zeros(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    for row in range(len(label)):
        piece = tuple(each[row : row + 1] for each in inputs)
        loss = logistic(model(*piece), label[row : row + 1]).sum()
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]).double()
        total += flat * min(1.0, norm / float(flat.norm()))
    return total


def close(found: Tensor, expected: Tensor) -> bool:
    return float((found - expected).norm()) <= TOLERANCE * max(1e-6, float(expected.norm()))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 24), norm=st.floats(0.01, 20.0))
def test_both_engines_give_the_sum_of_the_definition(seed: int, rows: int, norm: float) -> None:
    rng = np.random.default_rng(seed)
    label = torch.from_numpy(rng.integers(0, 2, rows))
    cases: list[tuple[nn.Module, tuple[Tensor, ...]]] = [
        (
            nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 1)),
            (tensor(rng, rows, 6),),
        ),
        (Tabular(), (tensor(rng, rows, 5), torch.from_numpy(rng.integers(0, 7, (rows, 2))))),
        (Sequential(), (tensor(rng, rows, 4, 3), tensor(rng, rows, 2))),
    ]
    for model, inputs in cases:
        filled(model, rng)
        expected = one_by_one(model, inputs, label, norm)
        assert close(clipped_sum(model, inputs, label, norm, engine="closed"), expected)
        assert close(clipped_sum(model, inputs, label, norm, engine="opacus"), expected)


def test_the_unrolled_cell_is_opacus_own_lstm() -> None:
    from opacus.layers import DPLSTM

    rng = np.random.default_rng(1)
    unrolled = Unrolled(3, 5)
    filled(unrolled, rng)
    theirs = DPLSTM(4, 5, bias=False, batch_first=True)
    with torch.no_grad():
        cell = theirs.layers[0].cell if hasattr(theirs, "layers") else theirs.cells[0]
        cell.ih.weight.copy_(unrolled.cell.weight[:, :4])
        cell.hh.weight.copy_(unrolled.cell.weight[:, 4:])
    sequence = tensor(rng, 6, 7, 3)
    _, (last, _) = theirs(torch.cat((sequence, torch.ones(6, 7, 1)), dim=2))
    assert torch.allclose(last[0], unrolled(sequence), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ["closed", "opacus"])
def test_a_loss_that_is_not_one_a_customer_is_refused(engine: str) -> None:
    model, inputs = nn.Linear(3, 1), torch.ones(4, 3)
    label = torch.ones(4)

    def spread(outputs: Tensor, target: Tensor) -> Tensor:
        # Logits (n, 1) against labels (n,): an n x n table, the silent failure of ghost clipping.
        return nn.functional.softplus(outputs) - outputs * target

    def mean(outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(outputs.squeeze(1), target)

    for loss in (spread, mean):
        with pytest.raises(WaistError) as error:
            clipped_sum(model, inputs, label, 1.0, engine=engine, loss=loss)  # type: ignore[arg-type]
        assert error.value.code == "RF-W252"


@pytest.mark.parametrize("engine", ["closed", "opacus"])
def test_batch_norm_is_refused(engine: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(WaistError) as error:
        clipped_sum(model, torch.ones(4, 3), torch.ones(4), 1.0, engine=engine)  # type: ignore[arg-type]
    assert error.value.code == "RF-W253"


@pytest.mark.parametrize("engine", ["closed", "opacus"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_customer_without_a_finite_gradient_adds_nothing(engine: str, bad: float) -> None:
    rng = np.random.default_rng(3)
    model = filled(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), rng)
    inputs, label = tensor(rng, 5, 3), torch.tensor([0, 1, 0, 1, 1])
    broken = inputs.clone()
    broken[2] = bad
    rest = [0, 1, 3, 4]
    found = clipped_sum(model, broken, label, 1.0, engine=engine)  # type: ignore[arg-type]
    assert close(found, clipped_sum(model, inputs[rest], label[rest], 1.0))


@pytest.mark.parametrize("engine", ["closed", "opacus"])
def test_no_customer_gives_zeros_and_the_module_is_left_as_it_was(engine: str) -> None:
    model = nn.Linear(3, 1)
    assert not clipped_sum(model, torch.ones(0, 3), torch.ones(0), 1.0, engine=engine).any()  # type: ignore[arg-type]
    clipped_sum(model, torch.ones(2, 3), torch.ones(2), 1.0, engine=engine)  # type: ignore[arg-type]
    assert model.weight.grad is None
    assert not model._forward_hooks
    assert not hasattr(model.weight, "grad_sample") or model.weight.grad_sample is None


def test_a_layer_without_a_rule_and_a_norm_of_nothing_are_refused() -> None:
    with pytest.raises(WaistError) as error:
        clipped_sum(nn.Sequential(nn.Conv1d(1, 1, 2)), torch.ones(2, 1, 3), torch.ones(2), 1.0)
    assert error.value.code == "RF-W254"
    for norm in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(WaistError) as error:
            clipped_sum(nn.Linear(3, 1), torch.ones(2, 3), torch.ones(2), norm)
        assert error.value.code == "RF-W251"


def test_without_clipping_the_sums_differ() -> None:
    """The comparison can fail: a norm that clips nothing gives another sum than one that clips."""
    rng = np.random.default_rng(5)
    model = filled(nn.Linear(3, 1), rng)
    inputs, label = tensor(rng, 8, 3), torch.ones(8)
    assert not close(clipped_sum(model, inputs, label, 0.1), clipped_sum(model, inputs, label, 1e6))


@pytest.mark.parametrize("engine", ["closed", "opacus"])
def test_a_loss_or_model_that_mixes_customers_is_refused(engine: Any) -> None:
    """One loss a customer is not enough: each must be that customer's own."""

    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x - x.mean(dim=0)).squeeze(1)

    torch.manual_seed(1)
    x, y = torch.randn(9, 3), torch.randint(0, 2, (9,)).float()
    with pytest.raises(WaistError) as caught:
        clipped_sum(Centred(), x, y, 1.0, engine=engine)
    assert caught.value.code == "RF-W256"
    plain = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))

    def neighbours(outputs: Tensor, label: Tensor) -> Tensor:
        return (outputs - outputs.roll(1)).square() + label

    with pytest.raises(WaistError) as caught:
        clipped_sum(plain, x, y, 1.0, engine=engine, loss=neighbours)
    assert caught.value.code == "RF-W256"
    whole = clipped_sum(plain, x, y, 1.0, engine=engine)
    again = clipped_sum(plain, x[:5], y[:5], 1.0, engine=engine) + clipped_sum(
        plain, x[5:], y[5:], 1.0, engine=engine
    )
    assert torch.allclose(whole, again, atol=1e-5), "a refusal leaves nothing behind"
