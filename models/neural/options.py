"""The `[model]` table of a neural study."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.waist import Combination, Rule

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
        recurrent: outputs of the LSTM or of attention; the multilayer perceptron does not have it.
        engine: `closed` works by closed formulas of our own, `opacus` by a gradient a customer; None for the
            one a task needs.
        embedding: width in which each category outside the sequence is embedded; 0 leaves one input a cell.
        normalisation: `layer` normalises hidden layers, and attention's output, customer by customer.
        heads: of the task attention; has to divide `recurrent`.
        rounds: secure sums of gradients (of local updates with local steps).
        clipping_norm: C, the longest gradient of one customer.
        optimiser: of the coordinator.
        learning_rate: of the coordinator.
        sampling_rate: q of Poisson sampling of customers.
        local_steps: noisy steps inside a holder between two sums; with local noise only.
        local_rate: learning rate of local steps.
        proximal: FedProx's pull of local steps towards the round's start.
        average: release the mean of the last half of the iterates.
        personal: pull of each holder's own network towards the common one; None where there is only that one.
        combine: how the holders' updates become one; other than the mean with visible uploads only.
        wrong: holders that may be wrong without ruining the model.
        prior: log odds of every cell of every feature in units of 2^-16, e.g. of an earlier scorecard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[Width, ...] = Field(default=(16,), max_length=4)
    recurrent: Width = 16
    engine: Literal["closed", "opacus"] | None = None
    embedding: int = Field(default=0, ge=0, le=64)
    normalisation: Literal["none", "layer"] = "none"
    heads: int = Field(default=2, ge=1, le=16)
    rounds: int = Field(default=60, ge=1, le=2000)
    clipping_norm: Annotated[Exact, Field(gt=0, le=4)] = Fraction(1)
    optimiser: Literal["adam", "sgd"] = "sgd"
    learning_rate: Annotated[Exact, Field(gt=0, le=100)] = Fraction(1)
    sampling_rate: Annotated[Exact, Field(gt=0, le=1)] = Fraction(1)
    local_steps: int = Field(default=0, ge=0, le=1000)
    local_rate: Annotated[Exact, Field(gt=0, le=100)] = Fraction(1, 2)
    proximal: Annotated[Exact, Field(ge=0, le=100)] = Fraction(0)
    average: Literal["last-half", "none"] = "last-half"
    personal: Annotated[Exact, Field(gt=0, le=100)] | None = None
    combine: Rule = "mean"
    wrong: int = Field(default=0, ge=0, le=1000)
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
            N_(
                "[model] {key}: {found}. The options of a neural task are described in "
                "docs/methods/neural.md."
            ),
            key=".".join(str(part) for part in fault["loc"]),
            found=fault["msg"],
        ) from None
    if options.local_steps and context.study.privacy.noise != "local":
        raise StudyError(
            "RF-S251",
            N_(
                '[model] local_steps = {steps} needs noise = "local": steps inside a holder are noised '
                "there, and "
                "distributed noise is only whole once it is summed. Leave local_steps out, or choose local "
                "noise."
            ),
            steps=options.local_steps,
        )
    if options.prior is not None and len(options.prior) != (
        cells := sum(grid.size for grid in context.grids)
    ):
        raise StudyError(
            "RF-S252",
            N_("[model] prior has {found} entries; expected {cells}, one for every cell of every feature."),
            found=len(options.prior),
            cells=cells,
        )
    _check_engine(options, context.study)
    _check_personal(options, context.study)
    _check_combination(options, context.study)
    return options


def _check_engine(options: NeuralOptions, study: Study) -> None:
    """Refuse an engine that cannot do what the study asks for.

    Raises:
        StudyError: RF-S270 to RF-S272.
    """
    attention = study.task == "attention"
    needs = [
        name
        for name, asked in (
            ("task attention", attention),
            ("embedding", options.embedding > 0),
            ("normalisation", options.normalisation != "none"),
        )
        if asked
    ]
    if needs and options.engine != "opacus":
        raise StudyError(
            "RF-S270",
            N_(
                "The study asks for {needs}, which the closed formulas have no rule for: write "
                'engine = "opacus" into [model]. It is slower.'
            ),
            needs=", ".join(needs),
        )
    if options.engine == "opacus" and study.task == "lstm":
        raise StudyError(
            "RF-S271",
            N_(
                "The engine opacus has no LSTM here: leave engine out, or choose the task attention, which "
                "reads the same periods."
            ),
        )
    if attention and options.recurrent % options.heads:
        raise StudyError(
            "RF-S272",
            N_("[model] heads = {heads} does not divide recurrent = {width}; every head has the same width."),
            heads=options.heads,
            width=options.recurrent,
        )


def _check_personal(options: NeuralOptions, study: Study) -> None:
    """Refuse own networks where a holder has no noisy steps of its own, or a second pull.

    Raises:
        StudyError: RF-S264 or RF-S265.
    """
    if options.personal is None:
        return
    if not options.local_steps or study.privacy.noise != "local":
        raise StudyError(
            "RF-S264",
            N_(
                '[model] personal needs noise = "local" and local_steps: a holder\'s own network is trained '
                "by noisy steps "
                "of its own."
            ),
        )
    if options.proximal:
        raise StudyError(
            "RF-S265",
            N_(
                "[model] has personal and proximal; both pull a holder's steps towards the common network, "
                "so choose one."
            ),
        )


def combination_of(options: NeuralOptions) -> Combination:
    """How the holders' updates become one."""
    return Combination(rule=options.combine, wrong=options.wrong)


def _check_combination(options: NeuralOptions, study: Study) -> None:
    """Refuse a way to combine updates that cannot be worked out, or that withstands less than it says.

    Raises:
        StudyError: RF-S260 to RF-S263.
    """
    if options.combine == "mean":
        if options.wrong:
            raise StudyError(
                "RF-S263",
                N_(
                    '[model] wrong = {wrong} needs combine = "median" or "trimmed-mean"; a mean withstands '
                    "no wrong "
                    "holder."
                ),
                wrong=options.wrong,
            )
        return
    if not study.privacy.visible:
        raise StudyError(
            "RF-S260",
            N_(
                '[model] combine = "{combine}" has to see the holders\' updates one by one, and masks hide '
                "them: set "
                '[privacy] uploads = "visible", which needs noise = "local", or combine = "mean".'
            ),
            combine=options.combine,
        )
    if not options.local_steps:
        raise StudyError(
            "RF-S261",
            N_(
                '[model] combine = "{combine}" needs local_steps: the middle of updates is one whatever the '
                "holders' sizes, "
                "the middle of sums over customers is not."
            ),
            combine=options.combine,
        )
    needed = 2 * options.wrong + 1
    if not options.wrong or study.privacy.min_holders < needed:
        raise StudyError(
            "RF-S262",
            N_(
                '[model] combine = "{combine}" needs wrong of at least 1 and min_holders of at least 2 wrong '
                "+ 1; here they "
                "are {wrong} and {holders}."
            ),
            combine=options.combine,
            wrong=options.wrong,
            holders=study.privacy.min_holders,
        )
