"""The coordinator's side of a neural study: weights in, noisy mean gradient back, next weights.

Everything here is post-processing of released aggregates. The first weights follow from the study's digest,
so that anybody can compute them again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.neural.architecture import RECURRENT
from ringfence.models.neural.holder import COUNT_ROUND, LARGEST_COUNT, whole_weights
from ringfence.models.neural.model import NeuralModel
from ringfence.models.neural.optimisers import Memory, ServerOptimiser, Vector, adam, sgd
from ringfence.models.neural.plan import Kind, NetworkDesign, customers_block, design
from ringfence.models.neural.rounding import WEIGHT_BITS
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import Aggregate, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralState:
    """What the coordinator carries from round to round.

    Attributes:
        parameters: shape `(d,)`, float64.
        memory: of the optimiser.
        total: sum of the iterates that are averaged, shape `(d,)`.
        round: of the query that is asked.
        customers: noisy number of customers, all holders together; 0 while unknown.
    """

    parameters: Vector
    memory: Memory
    total: Vector
    round: int = COUNT_ROUND
    customers: float = 0.0


def optimiser_of(shape: NetworkDesign) -> ServerOptimiser:
    """The optimiser a study names; plain FedAvg after local steps is `sgd` without momentum."""
    rate = float(shape.options.learning_rate)
    if shape.options.optimiser == "adam":
        return adam(rate)
    return sgd(rate, 0.0 if shape.options.local_steps else 0.9)


def start(kind: Kind, context: StudyContext) -> tuple[NeuralState, Query]:
    """Public first weights; ask how many customers there are."""
    shape = design(kind, context)
    parameters = first_weights(shape, context.study.digest())
    state = NeuralState(
        parameters=parameters,
        memory=optimiser_of(shape).init(len(parameters)),
        total=np.zeros(len(parameters)),
    )
    return state, Query(task=kind, round=COUNT_ROUND)


def step(
    kind: Kind, context: StudyContext, state: NeuralState, aggregate: Aggregate
) -> tuple[NeuralState, Query | NeuralModel]:
    """Take one noisy sum in and say what to ask next, or give the finished network."""
    shape = design(kind, context)
    if aggregate.round == COUNT_ROUND:
        counted = float(aggregate.blocks["customers"][0]) / customers_block(shape).max_abs
        state = replace(state, customers=max(1.0, counted))
    else:
        state = _descended(shape, state, aggregate)
    if aggregate.round == shape.options.rounds:
        return state, NeuralModel.of(context, shape, whole_weights(_released(shape, state)))
    state = replace(state, round=aggregate.round + 1)
    return state, asked(kind, context, state, aggregate.holders)


def so_far(kind: Kind, context: StudyContext, state: NeuralState) -> NeuralModel | None:
    """The network that the gradients make by now, or None before the first."""
    shape = design(kind, context)
    done = state.round - 1 - COUNT_ROUND
    if done < 1:
        return None
    averaged = done - shape.options.rounds // 2
    whole = shape.options.average == "none" or averaged < 1
    parameters = state.parameters if whole else state.total / averaged
    return NeuralModel.of(context, shape, whole_weights(parameters))


def asked(kind: Kind, context: StudyContext, state: NeuralState, holders: int) -> Query:
    """The query of the state's round; also what a coordinator asks again after a restart."""
    numbers = {}
    if design(kind, context).options.local_steps:
        numbers["customers"] = int(min(max(1.0, state.customers / holders), LARGEST_COUNT))
    return Query(
        task=kind, round=state.round, numbers=numbers, arrays={"weights": whole_weights(state.parameters)}
    )


def first_weights(shape: NetworkDesign, digest: str) -> Vector:
    """Uniform weights of variance 2 / inputs before a rectifier and 1 / inputs elsewhere (He et al. 2015)."""
    seed = int.from_bytes(hashlib.sha256(b"ringfence/first-weights/v1\n" + digest.encode()).digest(), "big")
    generator = np.random.default_rng(seed)
    last = f"dense.{len(shape.architecture.widths) - 2}.weight"
    pieces = []
    for name, dims in shape.architecture.shapes.items():
        gain = 2.0 if name.startswith("dense.") and name != last else 1.0
        bound = 0.0 if name.endswith(".bias") else math.sqrt(3.0 * gain / dims[-1])
        limit = round(bound * 2**WEIGHT_BITS)
        pieces.append(generator.integers(-limit, limit + 1, math.prod(dims)) / 2.0**WEIGHT_BITS)
        if "norm." in name and name.endswith(".weight"):
            pieces[-1] = np.ones(math.prod(dims))
        if name == RECURRENT:
            pieces[-1] = _forgetting_little(pieces[-1].reshape(dims), shape)
    return np.concatenate(pieces)


def _forgetting_little(weight: Vector, shape: NetworkDesign) -> Vector:
    """Forget gates that start open: 1 where they read the constant (Jozefowicz et al. 2015)."""
    hidden = shape.architecture.recurrent
    weight[hidden : 2 * hidden, shape.architecture.channels] = 1.0
    return weight.ravel()


def _descended(shape: NetworkDesign, state: NeuralState, aggregate: Aggregate) -> NeuralState:
    """One step of the optimiser from the weights the holders really used."""
    if shape.options.local_steps:
        gradient = -aggregate.blocks["update"] / (2.0**WEIGHT_BITS * aggregate.holders)
        noise = 0.0
    else:
        expected = max(1.0, state.customers * float(shape.options.sampling_rate))
        unit = 2.0**shape.grid_bits * expected
        gradient = aggregate.blocks["gradient"] / unit
        noise = shape.gradient.share_scale * math.sqrt(aggregate.holders) / unit
    used = whole_weights(state.parameters) / 2.0**WEIGHT_BITS
    memory, parameters = optimiser_of(shape).apply(state.memory, used, gradient, noise)
    first = shape.options.rounds // 2 + 1
    total = state.total + parameters if aggregate.round >= first else state.total
    return replace(state, memory=memory, parameters=parameters, total=total)


def _released(shape: NetworkDesign, state: NeuralState) -> npt.NDArray[np.float64]:
    """The mean of the last half of the iterates, or the last one."""
    if shape.options.average == "none":
        return state.parameters
    return np.asarray(state.total / (shape.options.rounds - shape.options.rounds // 2))


def model_arrays(model: NeuralModel) -> Mapping[str, npt.NDArray[np.int64]]:
    """The finished network as arrays of a query."""
    return {"weights": model.weights}
