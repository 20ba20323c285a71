"""Small neural studies for tests: schema with periods, contexts, rows, and the same network as a PyTorch
module.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kits.small import study_of
from ringfence.models.features import FeatureMatrix
from ringfence.models.neural.architecture import RECURRENT, Architecture
from ringfence.models.neural.closed import Unrolled
from ringfence.models.neural.holder import rows_of
from ringfence.models.neural.model import NeuralModel
from ringfence.models.neural.plan import NetworkDesign
from ringfence.models.neural.rounding import ACTIVATION_BITS, WEIGHT_BITS, sum_bits
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.waist import Aggregate, Query

PERIODS = 3


def schema_with_periods() -> Schema:
    features: list[dict[str, Any]] = [
        {"name": "age", "kind": "number", "bounds": [18, 98]},
        {"name": "plan", "kind": "category", "categories": ["basic", "gold", "none"]},
    ]
    features += [
        {"name": f"{stem}_p{period:02d}", "kind": "number", "bounds": [0, 10]}
        for stem in ("orders", "spend")
        for period in range(1, PERIODS + 1)
    ]
    return Schema.model_validate(
        {"id": "periods", "version": 1, "feature": [*features, {"name": "churn", "kind": "flag"}]}
    )


def context_with_periods(task: str, **changes: Any) -> StudyContext:
    schema = schema_with_periods()
    names = [feature.name for feature in schema.features if feature.name != "churn"]
    return StudyContext.of(study_of(schema, task=task, features=names, **changes), schema)


def rows_for(context: StudyContext, rng: np.random.Generator, customers: int) -> FeatureMatrix:
    """Any codes and labels."""
    codes = np.stack([rng.integers(0, grid.size, customers) for grid in context.grids], axis=1).astype(
        np.uint16
    )
    label = rng.integers(0, 2, customers).astype(np.uint8)
    return FeatureMatrix(
        names=context.features, codes=codes, label=label, is_test=np.zeros(customers, dtype=bool)
    )


def weights_for(
    architecture: Architecture, rng: np.random.Generator, size: float = 0.5
) -> npt.NDArray[np.int64]:
    return np.asarray(np.rint(rng.normal(0.0, size, architecture.length) * 2**WEIGHT_BITS), dtype=np.int64)


class Twin(nn.Module):
    """The network of an architecture as an ordinary module in float64, parameters in the same order."""

    def __init__(self, architecture: Architecture, weights: npt.NDArray[np.int64]) -> None:
        super().__init__()
        self.lstm = (
            Unrolled(architecture.channels, architecture.recurrent) if architecture.recurrent else None
        )
        widths = list(zip(architecture.widths, architecture.widths[1:], strict=False))
        self.dense = nn.ModuleList(nn.Linear(entering, leaving) for entering, leaving in widths)
        self.double()
        with torch.no_grad():
            for name, array in architecture.split(weights / 2.0**WEIGHT_BITS):
                value = torch.from_numpy(np.array(array))
                if name == RECURRENT:
                    assert self.lstm is not None
                    self.lstm.cell.weight.copy_(value)
                else:
                    _, index, kind = name.split(".")
                    getattr(self.dense[int(index)], kind).copy_(value)

    def forward(self, static: Tensor, sequence: Tensor | None = None) -> Tensor:
        hidden = static
        if self.lstm is not None:
            assert sequence is not None
            hidden = torch.cat((self.lstm(sequence), static), dim=1)
        for layer in list(self.dense)[:-1]:
            hidden = torch.relu(layer(hidden))
        return self.dense[-1](hidden)


def real_inputs(shape: NetworkDesign, features: FeatureMatrix) -> tuple[Tensor, ...]:
    """Inputs of the twin as real numbers."""
    rows = rows_of(shape, features)
    static = torch.from_numpy(rows.static / 2.0**ACTIVATION_BITS)
    if rows.sequence is None:
        return (static,)
    return static, torch.from_numpy(rows.sequence / 2.0**ACTIVATION_BITS).transpose(0, 1).contiguous()


def real_vector(exact: dict[str, npt.NDArray[np.int64]], norm: float = 1.0) -> npt.NDArray[np.float64]:
    """An exact sum as real numbers, shape `(d,)`."""
    return np.concatenate([values / 2.0 ** sum_bits(name, norm) for name, values in exact.items()])


def learned(task: Task[Any, Any], context: StudyContext, rows: FeatureMatrix) -> NeuralModel:
    """What the task learns from exact sums: its own two sides without noise in between."""
    state, query = task.start(context)
    while isinstance(query, Query):
        blocks = dict(task.contribute(context, query, rows).blocks)
        state, query = task.step(context, state, Aggregate(round=query.round, holders=3, blocks=blocks))
    assert isinstance(query, NeuralModel)
    return query
