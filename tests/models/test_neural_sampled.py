"""The engine opacus: what one customer adds is bounded in whole numbers and is that customer's alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from kits.neural_kit import context_with_periods, learned, rows_for, weights_for
from torch import Tensor, nn

from ringfence.models.features import FeatureMatrix
from ringfence.models.neural import ATTENTION, MLP, sampled
from ringfence.models.neural.architecture import Architecture
from ringfence.models.neural.holder import gradient_sum, log_odds, module_rows
from ringfence.models.neural.losses import logistic
from ringfence.models.neural.model import NeuralModel
from ringfence.models.neural.modules import ModuleNetwork
from ringfence.models.neural.plan import Kind, NetworkDesign, design
from ringfence.models.neural.rounding import WEIGHT_LIMIT
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import StudyError, WaistError

MODEL = {"engine": "opacus", "hidden": [4], "embedding": 3, "normalisation": "layer", "rounds": 3}
KINDS: list[Kind] = ["mlp", "attention"]


def study(kind: Kind, **changes: Any) -> tuple[StudyContext, NetworkDesign]:
    attention = {"recurrent": 4, "heads": 2} if kind == "attention" else {}
    context = context_with_periods(kind, model={**MODEL, **attention, **changes})
    return context, design(kind, context)


def by_autograd(
    shape: NetworkDesign, weights: np.ndarray[Any, Any], rows: FeatureMatrix
) -> np.ndarray[Any, Any]:
    """Each customer's clipped gradient by plain differentiation, one customer at a time, shape `(n, d)`."""
    network = sampled.loaded(shape.architecture, weights)
    given = module_rows(shape, rows)
    found = []
    for row in range(len(rows.label)):
        inputs = (given.static, given.cells, given.sequence, given.offset)
        one = [torch.from_numpy(np.array(each[row : row + 1])) for each in inputs]
        loss = logistic(network(*one), torch.from_numpy(rows.label[row : row + 1])).sum()
        taken = zip(
            torch.autograd.grad(loss, list(network.parameters())),
            shape.architecture.shapes.values(),
            strict=True,
        )
        gradient = torch.cat([g[tuple(slice(0, size) for size in own)].flatten() for g, own in taken])
        found.append((gradient * min(1.0, 1.0 / float(gradient.norm()))).numpy())
    return np.stack(found)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_stand_in_the_order_of_the_architecture(kind: Kind) -> None:
    _, shape = study(kind)
    named = [name.replace(".wide.", ".") for name, _ in ModuleNetwork(shape.architecture).named_parameters()]
    assert named == list(shape.architecture.shapes)
    assert ("attention.query.weight" in named) == (kind == "attention")
    weights = np.arange(shape.architecture.length) << 16
    network = sampled.loaded(shape.architecture, weights)
    flat = torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).numpy()
    assert np.array_equal(flat[flat != 0], np.arange(1, shape.architecture.length))


@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_is_that_of_plain_differentiation(kind: Kind) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(1)
    rows, weights = rows_for(context, rng, 150), weights_for(shape.architecture, rng)
    found = gradient_sum(shape, weights, rows) / 2.0**shape.grid_bits
    right = by_autograd(shape, weights, rows).sum(axis=0)
    # A customer's entry is off by less than a unit of the grid, and by half of 2^-15.
    assert np.abs(found - right).max() <= 150 * (2.0**-shape.grid_bits + 2.0**-16)
    assert np.linalg.norm(right) > 10 * 150 * 2.0**-16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("customers", [1, 127, 128, 129, 300])
def test_a_table_is_the_sum_of_its_customers_bit_for_bit(kind: Kind, customers: int) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(customers)
    rows, weights = rows_for(context, rng, customers), weights_for(shape.architecture, rng, 2.0)
    whole = gradient_sum(shape, weights, rows)
    pieces = np.array_split(rng.permutation(customers), 3)
    parts = [gradient_sum(shape, weights, rows.take(piece)) for piece in pieces]
    assert np.array_equal(whole, sum(parts))
    scores = log_odds(shape, weights, rows)
    assert np.array_equal(
        scores[np.concatenate(pieces)],
        np.concatenate([log_odds(shape, weights, rows.take(piece)) for piece in pieces]),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.0, 0.5, 16.0])
def test_no_customer_adds_more_than_the_declared_length(kind: Kind, size: float) -> None:
    context, shape = study(kind)
    rng = np.random.default_rng(3)
    rows = rows_for(context, rng, 40)
    weights = np.clip(weights_for(shape.architecture, rng, size), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    longest = 0
    for row in range(40):
        vector = gradient_sum(shape, weights, rows.take(np.array([row]))).tolist()
        longest = max(longest, sum(entry * entry for entry in vector))
        assert max(map(abs, vector)) <= shape.gradient.max_abs
    assert longest <= shape.gradient.sensitivity_squared == 4**shape.grid_bits
    if size == 16.0:
        assert longest > 0.8 * shape.gradient.sensitivity_squared


@settings(deadline=None, max_examples=200)
@given(
    npst.arrays(np.float64, (3, 5), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.sampled_from([0.3, 1.0, 4.0]),
    st.integers(6, 20),
)
def test_clipping_is_by_whole_numbers_and_by_one_row_alone(
    gradients: np.ndarray[Any, Any], norm: float, bits: int
) -> None:
    found = sampled.clipped(gradients, norm, bits)
    for row, whole in enumerate(found.tolist()):
        assert sum(entry * entry for entry in whole) <= (norm * 2.0**bits) ** 2
        assert whole == sampled.clipped(gradients[[row]], norm, bits)[0].tolist()
        if not np.isfinite(gradients[row]).all():
            assert whole == [0] * 5


def test_a_short_gradient_is_not_lengthened() -> None:
    assert sampled.clipped(np.array([[0.25, -0.5]]), 1.0, 10).tolist() == [[256, -512]]
    assert sampled.clipped(np.array([[3.0, -4.0]]), 1.0, 10).tolist() == [[614, -819]]


def test_a_machine_on_which_rows_mix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sampled.customer_gradients

    def mixing(model: nn.Module, inputs: tuple[Tensor, ...], label: Tensor, loss: Any) -> Tensor:
        found = honest(model, inputs, label, loss)
        return found + 1e-15 * found.sum()

    context, shape = study("mlp", hidden=[5])
    rows, weights = (
        rows_for(context, np.random.default_rng(0), 3),
        weights_for(shape.architecture, np.random.default_rng(0)),
    )
    monkeypatch.setattr(sampled, "customer_gradients", mixing)
    with pytest.raises(WaistError) as caught:
        gradient_sum(shape, weights, rows)
    assert caught.value.code == "RF-W257"


def test_a_score_that_is_not_finite_is_none_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    context, shape = study("mlp", hidden=[5])
    rows = module_rows(shape, rows_for(context, np.random.default_rng(0), 5))
    found = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.5, 2.0**40], dtype=torch.float64)

    def overflowing(architecture: Architecture, weights: Any) -> Any:
        def network(*inputs: Tensor) -> Tensor:
            padded = torch.zeros(len(inputs[0]), dtype=torch.float64)
            padded[: len(found)] = found
            return padded

        return network

    monkeypatch.setattr(sampled, "check_rows", lambda architecture: None)
    monkeypatch.setattr(sampled, "loaded", overflowing)
    scores = sampled.scores(shape.architecture, np.zeros(shape.architecture.length, dtype=np.int64), rows)
    assert scores.tolist() == [0, 0, 0, 2**15, 2**36]


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_learned_and_read_back(kind: Kind) -> None:
    context, shape = study(kind, rounds=120)
    rng = np.random.default_rng(8)
    rows = rows_for(context, rng, 200)
    rows = FeatureMatrix(
        names=rows.names,
        codes=rows.codes,
        label=(rows.codes[:, 1] == 1).astype(np.uint8),
        is_test=rows.is_test,
    )
    model = learned({"mlp": MLP, "attention": ATTENTION}[kind], context, rows)
    scores = model.scores(context, rows)
    assert scores[rows.label == 1].min() > scores[rows.label == 0].max()
    again = NeuralModel.from_safetensors(model.to_safetensors())
    assert again.digest() == model.digest()
    assert again.architecture == shape.architecture


@pytest.mark.parametrize(
    ("kind", "model", "code"),
    [
        ("attention", {"hidden": [2]}, "RF-S270"),
        ("mlp", {"embedding": 2}, "RF-S270"),
        ("mlp", {"engine": "closed", "normalisation": "layer"}, "RF-S270"),
        ("lstm", {"engine": "opacus"}, "RF-S271"),
        ("attention", {"engine": "opacus", "recurrent": 5, "heads": 2}, "RF-S272"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(kind: Kind, model: dict[str, Any], code: str) -> None:
    with pytest.raises(StudyError) as caught:
        design(kind, context_with_periods(kind, model=model))
    assert caught.value.code == code


def test_an_architecture_without_the_new_parts_is_as_before() -> None:
    plain = Architecture(inputs=3, hidden=(2,))
    assert list(plain.shapes) == ["dense.0.weight", "dense.0.bias", "dense.1.weight", "dense.1.bias"]
