"""Neural tasks over the waist: what a study may say, what a query may ask, what is learned, kept and
released.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import ROOT
from kits.neural_kit import PERIODS, context_with_periods, learned, rows_for, weights_for
from kits.parties import federation_of
from kits.small import context_of, frame_of, matrix_of
from safetensors.numpy import save

from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix
from ringfence.models.metrics.exact import evaluate
from ringfence.models.neural import LSTM, MLP, NeuralModel
from ringfence.models.neural.coordinator import first_weights
from ringfence.models.neural.holder import gradient_sum
from ringfence.models.neural.inputs import ONE, input_plan
from ringfence.models.neural.optimisers import adam, sgd
from ringfence.models.neural.options import NeuralOptions
from ringfence.models.neural.plan import design
from ringfence.models.neural.rounding import WEIGHT_LIMIT
from ringfence.privacy.accounting.study import price
from ringfence.privacy.errors import StudyError, WaistError
from ringfence.privacy.waist import IntVector, Query
from ringfence.simulations.federation import run_in_process


def mlp(**model: Any) -> Any:
    return context_of(task="mlp", model={"rounds": 6, **model})


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises((StudyError, WaistError)) as error:
        call()
    return error.value.code


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ({"layers": 3}, "RF-S250"),
        ({"hidden": []} | {"rounds": 0}, "RF-S250"),
        ({"hidden": [1000]}, "RF-S250"),
        ({"sampling_rate": "3/2"}, "RF-S250"),
        ({"sampling_rate": 2}, "RF-S250"),
        ({"sampling_rate": "0"}, "RF-S250"),
        ({"clipping_norm": "-1"}, "RF-S250"),
        ({"clipping_norm": "much"}, "RF-S250"),
        ({"clipping_norm": "1/0"}, "RF-S250"),
        ({"optimiser": "lion"}, "RF-S250"),
        ({"local_steps": 5}, "RF-S251"),
        ({"prior": [1, 2, 3]}, "RF-S252"),
    ],
)
def test_a_study_that_says_too_much_is_refused(model: dict[str, Any], code: str) -> None:
    assert code_of(lambda: MLP.plan(mlp(**model))) == code


def test_an_lstm_needs_periods_and_exact_sums_have_a_largest_table() -> None:
    assert code_of(lambda: LSTM.plan(context_of(task="lstm"))) == "RF-S253"
    context = context_of(task="mlp", privacy={"delta": "1e-9"})
    crowd = context.study.holders[0].model_copy(update={"max_customers": 3_000_000})
    study = context.study.revised(holders=(crowd, *context.study.holders[1:]))
    assert code_of(lambda: MLP.plan(replace(context, study=study))) == "RF-S254"


@pytest.mark.parametrize("epsilon", ["0.5", "1", "8"])
def test_the_plan_costs_what_the_study_says(epsilon: str) -> None:
    context = context_of(task="mlp", model={"rounds": 40}, privacy={"epsilon": epsilon})
    priced = price(MLP.plan(context), delta=1e-6, overlap=1, noise_form="distributed")
    assert 0.99 * float(epsilon) <= priced.customer_epsilon <= float(epsilon)


def test_sampled_steps_need_less_noise() -> None:
    """A tenth of the customers a step: amplification pays for noise that is smaller against the sum's
    price.
    """
    full, sampled = design("mlp", mlp()), design("mlp", mlp(sampling_rate="1/10"))
    assert sampled.step > 2 * full.step
    assert all(
        each.sampling_rate == sampled.options.sampling_rate
        for each in MLP.plan(mlp(sampling_rate="1/10")).rounds[1:]
    )


def query_of(context: Any, **changes: Any) -> Query:
    length = design("mlp", context).architecture.length
    fields = {"task": "mlp", "round": 1, "arrays": {"weights": np.zeros(length, dtype=np.int64)}}
    return Query(**(fields | changes))


def test_a_query_out_of_shape_or_range_is_refused_before_rows_are_read() -> None:
    context = mlp()
    weights = query_of(context).arrays["weights"]
    assert MLP.lengths(context, query_of(context)) == {"gradient": len(weights)}
    assert MLP.lengths(context, Query(task="mlp", round=0)) == {"customers": 1}
    large = weights.copy()
    large[3] = WEIGHT_LIMIT + 1
    for bad in (
        query_of(context, arrays={"weights": weights[:-1]}),
        query_of(context, arrays={"weights": weights.reshape(1, -1)}),
        query_of(context, arrays={"weights": large}),
        query_of(context, arrays={"weights": -large}),
        query_of(context, arrays={}),
        query_of(context, arrays={"weights": weights, "more": weights}),
        query_of(context, numbers={"customers": 5}),
        query_of(context, round=0),
    ):
        assert code_of(lambda bad=bad: MLP.lengths(context, bad)) == "RF-W250"  # type: ignore[misc]


def test_inputs_are_public_functions_of_cells() -> None:
    context = context_with_periods("lstm")
    plan = input_plan(context, sequence=True)
    rows = rows_for(context, np.random.default_rng(1), 50)
    assert plan.sequence_rows(rows).shape == (PERIODS, 50, plan.channels)
    static, sequence = plan.static_rows(rows), plan.sequence_rows(rows)
    assert np.abs(static).max() <= ONE
    assert np.abs(sequence).max() <= ONE
    assert np.array_equal(static, np.rint(static))
    flat = input_plan(context, sequence=False)
    assert flat.inputs == plan.inputs + PERIODS * plan.channels
    assert flat.sequence == ()


def test_a_perceptron_learns_and_is_the_same_model_every_time() -> None:
    context = context_of(task="mlp", model={"rounds": 40})
    rows, fresh = matrix_of(context, frame_of(1500)), matrix_of(context, frame_of(1500, seed=2))
    model = learned(MLP, context, rows)
    found = model.predict(context, fresh)["probability"].to_numpy()
    assert evaluate(found, fresh.label).auc > 0.78
    assert learned(MLP, context, rows).digest() == model.digest()


def test_an_lstm_learns_an_order_that_no_sum_shows() -> None:
    """The label is whether orders fall over the periods; totals are the same for both."""
    context = context_with_periods("lstm", model={"rounds": 60, "recurrent": 8})
    rng = np.random.default_rng(5)
    rows = rows_for(context, rng, 1200)
    codes = rows.codes.copy()
    first = context.features.index("orders_p01")
    levels = np.sort(rng.integers(0, 256, (1200, PERIODS)), axis=1)
    falling = rng.random(1200) < 0.5
    codes[:, first : first + PERIODS] = np.where(falling[:, None], levels[:, ::-1], levels)
    known = FeatureMatrix(names=rows.names, codes=codes, label=falling.astype(np.uint8), is_test=rows.is_test)
    model = learned(LSTM, context, known)
    assert evaluate(model.predict(context, known)["probability"].to_numpy(), known.label).auc > 0.9


def test_three_holders_learn_together_and_the_model_survives_a_file(tmp_path: Path) -> None:
    federation = federation_of(
        tmp_path, customers=500, task="mlp", model={"rounds": 10}, privacy={"epsilon": "30"}
    )
    outcome, holders = run_in_process(federation)
    model = outcome.model
    assert isinstance(model, NeuralModel)
    assert outcome.metrics.auc > 0.65
    assert set(outcome.predictions.columns) == {"probability", "label", "holder"}
    assert outcome.release.figures is not None
    read = NeuralModel.from_safetensors(model.to_safetensors())
    assert read.digest() == model.digest() == outcome.release.digest
    price_now = federation.price()
    for holder in holders.values():
        assert float(holder.ledger.charged().mu_squared) == pytest.approx(price_now.mu**2, rel=1e-9)


@pytest.mark.parametrize(
    "model", [{"local_steps": 3}, {"local_steps": 2, "proximal": "1", "sampling_rate": "1/2"}]
)
def test_holders_with_local_noise_train_by_themselves(tmp_path: Path, model: dict[str, Any]) -> None:
    federation = federation_of(
        tmp_path,
        customers=300,
        task="mlp",
        model={"rounds": 2, **model},
        privacy={"noise": "local", "epsilon": "20"},
    )
    outcome, _ = run_in_process(federation)
    assert isinstance(outcome.model, NeuralModel)


def test_a_study_that_samples_is_priced_and_runs(tmp_path: Path) -> None:
    federation = federation_of(
        tmp_path, customers=300, task="mlp", model={"rounds": 3, "sampling_rate": "1/4"}
    )
    outcome, _ = run_in_process(federation)
    assert federation.price().customer_epsilon <= 4.0
    assert isinstance(outcome.model, NeuralModel)


class Steps:
    """Noisy steps without noise, that count."""

    def __init__(self, rows: FeatureMatrix) -> None:
        self.rows, self.taken = rows, 0

    def step(self, add_up: Callable[[FeatureMatrix], Mapping[str, IntVector]]) -> Mapping[str, IntVector]:
        self.taken += 1
        return add_up(self.rows)


def test_local_steps_take_what_is_planned_and_proximal_ones_stay_nearer() -> None:
    moved = {}
    assert MLP.train_locally is not None
    for proximal in ("0", "4"):
        context = context_of(
            task="mlp",
            model={"rounds": 2, "local_steps": 8, "proximal": proximal, "local_rate": "1/10"},
            privacy={"noise": "local"},
        )
        rows = matrix_of(context, frame_of(200))
        shape = design("mlp", context)
        weights = weights_for(shape.architecture, np.random.default_rng(1), 0.2)
        query = Query(task="mlp", round=1, numbers={"customers": 200}, arrays={"weights": weights})
        assert MLP.lengths(context, query) == {"update": shape.architecture.length}
        steps = Steps(rows)
        update = MLP.train_locally(context, query, steps).blocks["update"]
        assert steps.taken == 8
        moved[proximal] = float(np.linalg.norm(update))
    assert 0 < moved["4"] < moved["0"]


def test_steps_that_run_away_stay_within_the_range_of_weights() -> None:
    """Steps that are too long once made NaN, which became a weight that no query may hold."""
    context = context_of(
        task="mlp",
        model={"rounds": 2, "local_steps": 400, "proximal": "100", "local_rate": "100"},
        privacy={"noise": "local"},
    )
    rows = matrix_of(context, frame_of(20))
    shape = design("mlp", context)
    weights = weights_for(shape.architecture, np.random.default_rng(1), 0.2)
    query = Query(task="mlp", round=1, numbers={"customers": 20}, arrays={"weights": weights})
    assert MLP.train_locally is not None
    update = MLP.train_locally(context, query, Steps(rows)).blocks["update"]
    assert int(np.abs(update).max()) <= 2 * WEIGHT_LIMIT
    with pytest.raises(WaistError):
        gradient_sum(shape, np.full(shape.architecture.length, -(2**63), dtype=np.int64), rows)


def test_a_file_of_another_version_or_kind_is_refused() -> None:
    later = save({"weights": np.zeros(3)}, {"ringfence": json.dumps({"format": "ringfence-network-2"})})
    assert code_of(lambda: NeuralModel.from_safetensors(later)) == "RF-S255"
    for bad in (b"", later[:-1], later[:40], b"\x00" * 64, save({"weights": np.zeros(3)})):
        assert code_of(lambda bad=bad: NeuralModel.from_safetensors(bad)) == "RF-S256"  # type: ignore[misc]


def test_first_weights_follow_from_the_study_alone() -> None:
    shape = design("lstm", context_with_periods("lstm"))
    one, again, other = (first_weights(shape, digest) for digest in ("a", "a", "b"))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.abs(one).max() < 4


@pytest.mark.parametrize("optimiser", [sgd(0.1), sgd(0.1, 0.9), adam(0.1)])
def test_optimisers_descend_and_leave_their_arguments_alone(optimiser: Any) -> None:
    memory, at = optimiser.init(2), np.array([3.0, -2.0])
    for _ in range(200):
        before = at.copy()
        memory, at_next = optimiser.apply(memory, at, at, 1e-3)
        assert np.array_equal(at, before)
        at = at_next
    assert np.abs(at).max() < 0.3


def test_descent_is_slower_where_noise_is_long() -> None:
    rule = sgd(1.0)
    gradient = np.ones(100)
    quiet = rule.apply(rule.init(100), np.zeros(100), gradient, 1e-6)[1]
    loud = rule.apply(rule.init(100), np.zeros(100), gradient, 1.0)[1]
    assert np.linalg.norm(loud) < 0.1 * np.linalg.norm(quiet)


def test_nobody_adds_nothing() -> None:
    context = mlp()
    shape = design("mlp", context)
    rows = matrix_of(context, frame_of(5)).take(np.zeros(0, dtype=np.int64))
    assert not gradient_sum(shape, weights_for(shape.architecture, np.random.default_rng(1)), rows).any()


def test_the_catalogue_has_both_tasks_with_an_evaluation() -> None:
    context = mlp()
    names = [each.name for each in task_named("mlp").plan(context).rounds]
    assert names[0] == "customers"
    assert names[-2:] == ["score-range", "score-figures"]
    assert task_named("lstm").name == "lstm"


def test_every_option_stands_on_the_tasks_page_with_its_default() -> None:
    page = (ROOT / "docs" / "methods" / "neural.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert set(rows) >= set(NeuralOptions.model_fields)
    for name, field in NeuralOptions.model_fields.items():
        written = rows[name].strip().strip('`"')
        expected = (
            "none"
            if field.default is None
            else str(list(field.default) if isinstance(field.default, tuple) else field.default)
        )
        assert written == expected, name
