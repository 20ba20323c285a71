"""The holder's side of a neural study: a count, and exact integer sums of clipped gradients.

PyTorch is loaded when the first gradient is asked for; plans and prices need none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.neural.plan import UPDATE_LIMIT, Kind, NetworkDesign, customers_block, design
from ringfence.models.neural.rounding import ACTIVATION_BITS, WEIGHT_BITS, WEIGHT_LIMIT, vector_to_grid
from ringfence.models.task import NoisySteps, StudyContext
from ringfence.privacy.errors import N_, Clause, WaistError
from ringfence.privacy.waist import Contribution, IntVector, Query

if TYPE_CHECKING:
    from ringfence.models.neural.network import Rows
    from ringfence.models.neural.sampled import ModuleRows

Weights: TypeAlias = npt.NDArray[np.float64]
COUNT_ROUND = 0
LARGEST_COUNT = 1 << 40
LARGEST_WEIGHT = WEIGHT_LIMIT / 2.0**WEIGHT_BITS


def lengths(kind: Kind, context: StudyContext, query: Query) -> Mapping[str, int]:
    """Entries of each block; the query's shape and ranges are checked before rows are read.

    Raises:
        WaistError: the query is not one this study's plan can ask.
    """
    shape = design(kind, context)
    if query.round == COUNT_ROUND:
        _expect(not query.arrays and not query.numbers, N_("the count of customers has no parameters"))
        return {"customers": 1}
    check_weights(shape, query)
    local = bool(shape.options.local_steps)
    _expect(
        set(query.numbers) == ({"customers"} if local else set()),
        N_("only local steps are told a count of customers"),
    )
    if local:
        _expect(1 <= query.numbers["customers"] <= LARGEST_COUNT, N_("there is at least one customer"))
    return {"update" if local else "gradient": shape.architecture.length}


def check_weights(shape: NetworkDesign, query: Query) -> None:
    """Refuse what are no weights of the study's network.

    Raises:
        WaistError: another name, shape or range.
    """
    _expect(set(query.arrays) == {"weights"}, N_("a gradient has weights alone"))
    weights = query.arrays["weights"]
    _expect(
        weights.shape == (shape.architecture.length,),
        N_("there is one weight for every parameter of the network"),
    )
    _require_range(weights)


def _require_range(weights: npt.NDArray[np.int64]) -> None:
    """Beyond it products of a pass would not be exact, and what one customer adds could depend on another."""
    inside = (weights >= -WEIGHT_LIMIT) & (weights <= WEIGHT_LIMIT)
    _expect(bool(np.all(inside)), N_("no weight is larger than 16"))


def contribute(kind: Kind, context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
    """What this holder's customers add to the sum a query asks for.

    Args:
        kind: mlp, lstm or attention.
        context: the study and its public cells.
        query: accepted by `lengths`.
        features: codes of the customers that count in this step, maybe none.
    """
    shape = design(kind, context)
    if query.round == COUNT_ROUND:
        count = np.array([len(features.label) * customers_block(shape).max_abs], dtype=np.int64)
        return Contribution(query_digest=query.digest(), blocks={"customers": count})
    vector = gradient_sum(shape, query.arrays["weights"], features)
    return Contribution(query_digest=query.digest(), blocks={"gradient": vector})


def gradient_sum(shape: NetworkDesign, weights: npt.NDArray[np.int64], features: FeatureMatrix) -> IntVector:
    """The sum of clipped gradients on the released grid, shape `(d,)`, int64.

    *Formal guarantees*: its squared L2 sensitivity to a customer is `shape.gradient.sensitivity_squared`: the
    sum before rounding is exact, so a customer changes it by that customer's own clipped vector and nothing
    else. The engine opacus rounds each customer's vector before the sum, to the same effect.

    Raises:
        WaistError: a weight is out of range, whoever made it.
    """
    _require_range(weights)
    if shape.options.engine == "opacus":
        from ringfence.models.neural import sampled

        return sampled.gradient_sum(
            shape.architecture,
            weights,
            module_rows(shape, features),
            features.label,
            clipping_norm=float(shape.options.clipping_norm),
            grid_bits=shape.grid_bits,
        )
    exact = _exact_vector(shape, weights, features)
    return vector_to_grid(shape.architecture, exact, float(shape.options.clipping_norm), shape.grid_bits)


def exact_sum(
    shape: NetworkDesign, weights: npt.NDArray[np.int64], features: FeatureMatrix
) -> dict[str, IntVector]:
    """The sum before rounding, by parameter; a table's is the sum of its customers', bit for bit."""
    named = shape.architecture.split(_exact_vector(shape, weights, features))
    return {name: values.ravel() for name, values in named}


def _exact_vector(shape: NetworkDesign, weights: npt.NDArray[np.int64], features: FeatureMatrix) -> IntVector:
    from ringfence.models.neural.network import Network

    if not len(features.label):
        return np.zeros(shape.architecture.length, dtype=np.int64)
    network = Network.of(shape.architecture, weights)
    return network.clipped_sum(rows_of(shape, features), features.label, float(shape.options.clipping_norm))


def rows_of(shape: NetworkDesign, features: FeatureMatrix) -> Rows:
    """Inputs of customers from their codes."""
    from ringfence.models.neural.network import Rows

    return Rows(
        static=shape.inputs.static_rows(features),
        sequence=shape.inputs.sequence_rows(features) if shape.architecture.recurrent else None,
        offset=_prior(shape, features),
    )


def module_rows(shape: NetworkDesign, features: FeatureMatrix) -> ModuleRows:
    """Inputs of customers for the engine opacus."""
    from ringfence.models.neural.sampled import real_rows

    return real_rows(
        shape.inputs.static_rows(features),
        shape.inputs.sequence_rows(features) if shape.architecture.recurrent else None,
        shape.inputs.embedded_rows(features),
        _prior(shape, features),
    )


def _prior(shape: NetworkDesign, features: FeatureMatrix) -> npt.NDArray[np.float64] | None:
    """Log odds that the study itself gives to each customer's cells, in units of activations."""
    if shape.options.prior is None:
        return None
    sizes = [len(table) for table in shape.inputs.tables]
    starts = np.cumsum([0, *sizes])[:-1]
    table = np.array(shape.options.prior, dtype=np.int64)
    total = table[features.codes.astype(np.int64) + starts].sum(axis=1)
    return np.asarray(total << (ACTIVATION_BITS - WEIGHT_BITS), dtype=np.float64)


def train_locally(kind: Kind, context: StudyContext, query: Query, steps: NoisySteps) -> Contribution:
    """Descend by noisy gradients inside the holder and give the change of the weights (FedAvg, FedProx).

    McMahan et al. (2017); with `proximal` each step is also pulled back to where the round began (Li et al.
    2020). Only noisy sums are seen, so the change costs nothing beyond them.
    """
    shape = design(kind, context)
    options = shape.options
    begun = query.arrays["weights"] / 2.0**WEIGHT_BITS
    rate, pull = float(options.local_rate), float(options.proximal)
    weights = descended(shape, query, steps, begun, lambda at, mean: at - rate * (mean + pull * (at - begun)))
    return change_of(query, weights - begun)


def descended(
    shape: NetworkDesign,
    query: Query,
    steps: NoisySteps,
    begun: Weights,
    step: Callable[[Weights, Weights], Weights],
) -> Weights:
    """Weights after the local steps of a round, shape `(d,)`.

    Args:
        shape: of the study.
        query: of the round.
        steps: of the attempt.
        begun: where the first step begins.
        step: next weights from weights and the noisy mean gradient there.
    """
    options = shape.options
    expected = max(1.0, float(options.sampling_rate * query.numbers["customers"]))
    weights = begun
    for _ in range(options.local_steps):
        # What is asked of the rows is a function of public numbers: the query, and noisy sums before.
        asked = whole_weights(weights)
        noisy = steps.step(lambda rows, asked=asked: {"gradient": gradient_sum(shape, asked, rows)})  # type: ignore[misc]
        mean = noisy["gradient"] / 2.0**shape.grid_bits / expected
        # Held within the range of a query, so that no step, however long, makes a weight that is not one.
        weights = np.clip(step(weights, mean), -LARGEST_WEIGHT, LARGEST_WEIGHT)
    return weights


def change_of(query: Query, change: Weights) -> Contribution:
    """The upload of a round with local steps: a change of the weights on their grid, within its bound."""
    whole = np.clip(np.rint(change * 2.0**WEIGHT_BITS), -UPDATE_LIMIT, UPDATE_LIMIT).astype(np.int64)
    return Contribution(query_digest=query.digest(), blocks={"update": whole})


def whole_weights(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Weights on the grid of a query."""
    return np.clip(np.rint(weights * 2.0**WEIGHT_BITS), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int64)


def scores(kind: Kind, context: StudyContext, query: Query, features: FeatureMatrix) -> IntVector:
    """Log odds of customers in units of 2^-16, shape `(n,)`, int64."""
    return log_odds(design(kind, context), query.arrays["weights"], features)


def log_odds(shape: NetworkDesign, weights: npt.NDArray[np.int64], features: FeatureMatrix) -> IntVector:
    """Log odds of customers by the engine of the study, in units of 2^-16, shape `(n,)`, int64."""
    if shape.options.engine == "opacus":
        from ringfence.models.neural import sampled

        return sampled.scores(shape.architecture, weights, module_rows(shape, features))
    from ringfence.models.neural.network import Network

    return Network.of(shape.architecture, weights).scores(rows_of(shape, features))


def _expect(condition: bool, rule: str) -> None:
    if not condition:
        raise WaistError(
            "RF-W250",
            N_("A query of a neural study was refused before any row was read: the rule is that {rule}."),
            rule=Clause(rule),
        )
