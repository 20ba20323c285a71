"""The `[model]` table of a neural study."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ringfence.models.task import StudyContext
from ringfence.privacy.errors import N_, StudyError

LARGEST_WIDTH = 256


def _exact(value: object) -> Fraction:
    """A whole number, or a text such as "0.05" or "1/20"."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str) or len(str(value)) > 32:
        raise ValueError('expected a whole number or a text such as "0.05"')
    try:
        return Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError('expected a whole number or a text such as "0.05"') from None


Exact = Annotated[Fraction, BeforeValidator(_exact)]
Width = Annotated[int, Field(ge=1, le=LARGEST_WIDTH)]
LogOdds = Annotated[int, Field(ge=-(1 << 22), le=1 << 22)]


class NeuralOptions(BaseModel):
    """What a study may choose about a network.

    Attributes:
        hidden: widths of the hidden layers.
        recurrent: outputs of the LSTM; the multilayer perceptron does not have it.
        rounds: secure sums of gradients (of local updates with local steps).
        clipping_norm: C, the longest gradient of one customer.
        optimiser: of the coordinator.
        learning_rate: of the coordinator.
        sampling_rate: q of Poisson sampling of customers.
        local_steps: noisy steps inside a holder between two sums; with local noise only.
        local_rate: learning rate of local steps.
        proximal: FedProx's pull of local steps towards the round's start.
        average: release the mean of the last half of the iterates.
        prior: log odds of every cell of every feature in units of 2^-16, e.g. of an earlier scorecard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[Width, ...] = Field(default=(16,), max_length=4)
    recurrent: Width = 16
    rounds: int = Field(default=60, ge=1, le=2000)
    clipping_norm: Annotated[Exact, Field(gt=0, le=4)] = Fraction(1)
    optimiser: Literal["adam", "sgd"] = "sgd"
    learning_rate: Annotated[Exact, Field(gt=0, le=100)] = Fraction(1)
    sampling_rate: Annotated[Exact, Field(gt=0, le=1)] = Fraction(1)
    local_steps: int = Field(default=0, ge=0, le=1000)
    local_rate: Annotated[Exact, Field(gt=0, le=100)] = Fraction(1, 2)
    proximal: Annotated[Exact, Field(ge=0, le=100)] = Fraction(0)
    average: Literal["last-half", "none"] = "last-half"
    prior: tuple[LogOdds, ...] | None = None


def options_of(context: StudyContext) -> NeuralOptions:
    """Read the `[model]` table.

    Raises:
        StudyError: an unknown key, a value out of range, or local steps under distributed noise.
    """
    try:
        options = NeuralOptions.model_validate(dict(context.study.model))
    except ValidationError as error:
        fault = error.errors()[0]
        raise StudyError(
            "RF-S250",
            N_("[model] {key}: {found}. The options of a neural task are described in docs/methods/neural.md."),
            key=".".join(str(part) for part in fault["loc"]),
            found=fault["msg"],
        ) from None
    if options.local_steps and context.study.privacy.noise != "local":
        raise StudyError(
            "RF-S251",
            N_("[model] local_steps = {steps} needs noise = \"local\": steps inside a holder are noised there, and "
               "distributed noise is only whole once it is summed. Leave local_steps out, or choose local noise."),
            steps=options.local_steps,
        )  # fmt: skip
    if options.prior is not None and len(options.prior) != (cells := sum(grid.size for grid in context.grids)):
        raise StudyError(
            "RF-S252",
            N_("[model] prior has {found} entries; expected {cells}, one for every cell of every feature."),
            found=len(options.prior),
            cells=cells,
        )
    return options
