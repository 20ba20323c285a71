"""What the coordinator does with a mean gradient: frozen pairs `(init, apply)` of pure functions.

With one noisy gradient a round these are DP-FedSGD; with local steps the "gradient" is minus the holders'
mean update, and `sgd` at rate 1 is FedAvg (McMahan et al. 2017), `adam` is FedAdam (Reddi et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float64]
Memory: TypeAlias = Mapping[str, Vector]

MOMENTUM = 0.9
SECOND_MOMENT = 0.99
# Longest step, on average, that noise alone may take before momentum; chosen on synthetic tables.
NOISE_STEP = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptimiser:
    """A rule for parameters of shape `(d,)`.

    Attributes:
        init: the first memory, from d.
        apply: next memory and parameters from memory, parameters, gradient and the gradient's noise
            deviation.
    """

    init: Callable[[int], Memory]
    apply: Callable[[Memory, Vector, Vector, float], tuple[Memory, Vector]]


def sgd(rate: float, momentum: float = 0.0) -> ServerOptimiser:
    """Gradient descent with momentum (Polyak 1964), slower where noise would carry the weights away.

    The noise of a step has a length of about `noise sqrt(d)`; the rate is lowered until that, too, is a small
    step. It is known before the step: from the plan and the noisy count of customers.
    """

    def init(length: int) -> Memory:
        return {"velocity": np.zeros(length)}

    def apply(memory: Memory, parameters: Vector, gradient: Vector, noise: float) -> tuple[Memory, Vector]:
        velocity = momentum * memory["velocity"] + gradient
        carried = rate * noise * math.sqrt(len(parameters))
        return {"velocity": velocity}, parameters - rate * min(
            1.0, NOISE_STEP / max(carried, 1e-12)
        ) * velocity

    return ServerOptimiser(init=init, apply=apply)


def adam(rate: float) -> ServerOptimiser:
    """Adam with the variance of the noise taken out of the second moment (Tang, Panda, Shejwalkar 2024).

    Without that the second moment measures the noise, which is the same for all parameters, and every
    parameter takes the same small step. What is left is kept above a tenth of the noise that is really in the
    mean.
    """

    def init(length: int) -> Memory:
        return {"first": np.zeros(length), "second": np.zeros(length), "steps": np.zeros(1)}

    def apply(memory: Memory, parameters: Vector, gradient: Vector, noise: float) -> tuple[Memory, Vector]:
        steps = memory["steps"] + 1
        first = MOMENTUM * memory["first"] + (1 - MOMENTUM) * gradient
        second = SECOND_MOMENT * memory["second"] + (1 - SECOND_MOMENT) * gradient**2
        mean = first / (1 - MOMENTUM**steps)
        power = np.maximum(second / (1 - SECOND_MOMENT**steps) - noise**2, (0.1 * noise) ** 2 + 1e-16)
        return {"first": first, "second": second, "steps": steps}, parameters - rate * mean / np.sqrt(power)

    return ServerOptimiser(init=init, apply=apply)
