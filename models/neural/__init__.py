"""Neural tasks over the waist: a perceptron, an LSTM and attention, one clipped integer sum a step.

DP-SGD (Abadi et al. 2016) with one secure sum a step; docs/methods/neural.md. Importing this needs no
PyTorch.
"""

from __future__ import annotations

from functools import partial

from ringfence.models.neural.coordinator import NeuralState, model_arrays, so_far, start, step
from ringfence.models.neural.holder import check_weights, contribute, lengths, scores, train_locally
from ringfence.models.neural.model import NeuralModel
from ringfence.models.neural.personal import own_file, train_own, wanted
from ringfence.models.neural.plan import Kind, design, plan
from ringfence.models.task import Personal, Scoring, StudyContext, Task
from ringfence.privacy.waist import Query


def _task(kind: Kind) -> Task[NeuralState, NeuralModel]:
    def check(context: StudyContext, query: Query) -> None:
        check_weights(design(kind, context), query)

    return Task(
        name=kind,
        plan=partial(plan, kind),
        lengths=partial(lengths, kind),
        contribute=partial(contribute, kind),
        start=partial(start, kind),
        step=partial(step, kind),
        train_locally=partial(train_locally, kind),
        personal=Personal(wanted=wanted, train=partial(train_own, kind), file=partial(own_file, kind)),
        so_far=partial(so_far, kind),
        scoring=Scoring(arrays=model_arrays, check=check, scores=partial(scores, kind)),
    )


MLP: Task[NeuralState, NeuralModel] = _task("mlp")
LSTM: Task[NeuralState, NeuralModel] = _task("lstm")
ATTENTION: Task[NeuralState, NeuralModel] = _task("attention")

__all__ = ["ATTENTION", "LSTM", "MLP", "NeuralModel", "NeuralState"]
