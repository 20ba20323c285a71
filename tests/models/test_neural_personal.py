"""A holder's own weights: where steps begin, what is uploaded, what is kept and averaged, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from kits.neural_kit import weights_for
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix
from ringfence.models.neural import MLP, NeuralModel
from ringfence.models.neural.holder import gradient_sum, whole_weights
from ringfence.models.neural.personal import OwnWeights
from ringfence.models.neural.plan import design
from ringfence.models.neural.rounding import WEIGHT_BITS
from ringfence.privacy.errors import StudyError
from ringfence.privacy.waist import IntVector, Query

CUSTOMERS = 200


class Steps:
    """Noisy steps without noise, that count."""

    def __init__(self, rows: FeatureMatrix) -> None:
        self.rows, self.taken = rows, 0

    def step(self, add_up: Callable[[FeatureMatrix], Mapping[str, IntVector]]) -> Mapping[str, IntVector]:
        self.taken += 1
        return add_up(self.rows)


def context_with(**model: Any) -> Any:
    asked = {"rounds": 4, "local_steps": 1, "local_rate": "1/2", "personal": "1/4"} | model
    return context_of(task="mlp", model=asked, privacy={"noise": "local"})


def query_of(context: Any, number: int = 1) -> Query:
    weights = weights_for(design("mlp", context).architecture, np.random.default_rng(1), 0.2)
    return Query(task="mlp", round=number, numbers={"customers": CUSTOMERS}, arrays={"weights": weights})


def trained(
    context: Any, query: Query, before: OwnWeights | None = None
) -> tuple[IntVector, OwnWeights, int]:
    steps = Steps(matrix_of(context, frame_of(CUSTOMERS)))
    assert MLP.personal is not None
    contribution, kept = MLP.personal.train(context, query, steps, before)
    assert contribution.query_digest == query.digest()
    return contribution.blocks["update"], kept, steps.taken


def test_one_step_is_the_formula_and_the_upload_is_the_distance_to_the_common_weights() -> None:
    context = context_with()
    query, shape = query_of(context), design("mlp", context)
    common = query.arrays["weights"] / 2.0**WEIGHT_BITS
    own = common + 0.25
    update, kept, taken = trained(context, query, OwnWeights(weights=own, total=np.zeros_like(own)))
    rows = matrix_of(context, frame_of(CUSTOMERS))
    gradient = gradient_sum(shape, whole_weights(own), rows) / 2.0**shape.grid_bits / CUSTOMERS
    expected = (own - 0.5 * gradient + 0.125 * common) / 1.125
    assert taken == 1
    assert np.allclose(kept.weights, expected, atol=1e-12)
    assert np.array_equal(update, np.rint((expected - common) * 2**WEIGHT_BITS))
    assert np.abs(update).max() > 0.1 * 2**WEIGHT_BITS


def test_without_anything_kept_it_begins_from_the_common_weights() -> None:
    context = context_with()
    query = query_of(context)
    common = query.arrays["weights"] / 2.0**WEIGHT_BITS
    first = trained(context, query)
    again = trained(context, query, OwnWeights(weights=common, total=np.zeros_like(common)))
    assert np.array_equal(first[0], again[0])


@pytest.mark.parametrize(("pull", "near"), [("100", True), ("1/100", False)])
def test_the_pull_decides_how_far_it_goes(pull: str, near: bool) -> None:
    context = context_with(personal=pull, local_steps=30, local_rate="1")
    update, _, taken = trained(context, query_of(context))
    assert taken == 30
    assert bool(np.linalg.norm(update) / 2**WEIGHT_BITS < 0.05) == near


def test_the_last_half_of_its_rounds_is_averaged_and_the_file_says_whose_it_is() -> None:
    context = context_with()
    ends, kept = [], None
    for number in range(1, 5):
        _, kept, _ = trained(context, query_of(context, number), kept)
        ends.append(kept.weights)
    assert kept is not None
    assert kept.averaged == 2
    assert MLP.personal is not None
    model = NeuralModel.from_safetensors(MLP.personal.file(context, kept, "bank"))
    assert model.holder == "bank"
    assert np.array_equal(model.weights, whole_weights((ends[2] + ends[3]) / 2))
    assert not np.array_equal(ends[2], ends[3])
    last = context_with(average="none")
    _, alone, _ = trained(last, query_of(last, 4))
    found = NeuralModel.from_safetensors(MLP.personal.file(last, alone, "bank"))
    assert np.array_equal(found.weights, whole_weights(alone.weights))


def test_the_common_network_is_nobodys_own() -> None:
    context = context_with()
    model = NeuralModel.of(context, design("mlp", context), query_of(context).arrays["weights"])
    assert NeuralModel.from_safetensors(model.to_safetensors()).holder == ""
    assert "holder" not in model.to_dict()


@pytest.mark.parametrize(
    ("model", "noise", "code"),
    [
        ({"personal": "1"}, "local", "RF-S264"),
        ({"personal": "1", "local_steps": 2}, "distributed", "RF-S251"),
        ({"personal": "1"}, "distributed", "RF-S264"),
        ({"personal": "1", "local_steps": 2, "proximal": "1"}, "local", "RF-S265"),
        ({"personal": "0", "local_steps": 2}, "local", "RF-S250"),
        ({"personal": "101", "local_steps": 2}, "local", "RF-S250"),
        ({"personal": "some", "local_steps": 2}, "local", "RF-S250"),
    ],
)
def test_what_makes_no_own_network_is_refused(model: dict[str, Any], noise: str, code: str) -> None:
    with pytest.raises(StudyError) as error:
        MLP.plan(context_of(task="mlp", model={"rounds": 2, **model}, privacy={"noise": noise}))
    assert error.value.code == code


def test_it_costs_nothing_beside_the_uploads_and_an_evaluated_task_has_it_too() -> None:
    bare = context_of(
        task="mlp", model={"rounds": 4, "local_steps": 1, "local_rate": "1/2"}, privacy={"noise": "local"}
    )
    assert MLP.plan(context_with()) == MLP.plan(bare)
    personal = task_named("mlp").personal
    assert personal is not None
    assert personal.wanted(context_with())
    assert not personal.wanted(bare)
