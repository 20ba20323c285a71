"""The plan of a neural study: one noisy customer count, then one clipped gradient sum a step.

    cohort      1 %   one noisy count a holder, its own noise
    customers   1 %   how many customers take part, all holders together
    gradients   the rest, the same for every step; with Poisson sampling by privacy loss distributions

One customer adds a vector of length at most C; sums are rounded to a grid of `grid_bits` binary places, so
that the squared sensitivity is `(C 2^g + sqrt(d))^2` grid units, plus what rounding inside an LSTM adds
(models/neural/fixed.py). The grid is as fine as keeps sqrt(d) below 2^-8 of C, and a share's scale drawable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from ringfence.models.neural.architecture import Architecture
from ringfence.models.neural.inputs import InputPlan, input_plan
from ringfence.models.neural.options import NeuralOptions, combination_of, options_of
from ringfence.models.neural.rounding import rounded_sensitivity_squared, rounding_slack
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.multiplier import noise_multiplier
from ringfence.privacy.accounting.scales import LARGEST_SHARE, grid_unit, share_scale
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan, UploadBlock

Kind = Literal["mlp", "lstm", "attention"]
KINDS: Mapping[str, Kind] = {"mlp": "mlp", "lstm": "lstm", "attention": "attention"}

COHORT_SHARE = 0.01
CUSTOMERS_SHARE = 0.01
FEWEST_GRID_BITS, MOST_GRID_BITS = 6, 20
ROUNDING_SHARE = 2.0**-8
# Sums in units of 2^-41 have to fit 62 bits.
MOST_CUSTOMERS = 1 << 21
UPDATE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDesign:
    """Numbers that holders and coordinator share, all derived from the signed study.

    Attributes:
        kind: mlp, lstm or attention.
        options: the study's `[model]` table.
        inputs: which feature feeds which input.
        architecture: of the network.
        honest: h.
        customers: price, in mu squared, of the cohort count and of the customer count, each.
        step: price of one step, in mu squared, to whoever takes part in it.
        grid_bits: binary places of a sum of gradients.
        gradient: the block of one step.
    """

    kind: Kind
    options: NeuralOptions
    inputs: InputPlan
    architecture: Architecture
    honest: int
    customers: float
    step: float
    grid_bits: int
    gradient: BlockPlan


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A context as a key that stands for itself alone, so that one design a run is enough."""

    context: StudyContext

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.context is self.context

    def __hash__(self) -> int:
        return id(self.context)


def design(kind: Kind, context: StudyContext) -> NetworkDesign:
    """Derive the network, its grid and its noise from the study.

    Raises:
        StudyError: options out of range, no sequence for an LSTM, or too many customers for exact sums.
        BudgetError: epsilon or delta cannot be met.
    """
    return _design(kind, _Same(context))


@lru_cache(maxsize=32)
def _design(kind: Kind, same: _Same) -> NetworkDesign:
    context = same.context
    options = options_of(context)
    inputs = input_plan(context, sequence=kind != "mlp", embedding=options.embedding > 0)
    architecture = _architecture(kind, options, inputs)
    _check_customers(context, options)
    terms = context.study.privacy
    overlap, honest = context.study.overlap(), context.study.honest()
    mu = calibrate(terms.epsilon, terms.delta, overlap, terms.noise)
    besides = (COHORT_SHARE + CUSTOMERS_SHARE) * mu**2
    multiplier = noise_multiplier(
        epsilon=terms.epsilon,
        delta=terms.delta,
        rate=options.sampling_rate,
        steps=options.rounds * max(1, options.local_steps),
        overlap=overlap,
        noise_form=terms.noise,
        besides=Decimal(besides * (1 + 1e-9)),
    )
    step = multiplier**-2
    grid_bits = largest_grid_bits(
        float(options.clipping_norm), architecture.length, multiplier / math.sqrt(honest)
    )
    return NetworkDesign(
        kind=kind,
        options=options,
        inputs=inputs,
        architecture=architecture,
        honest=honest,
        customers=COHORT_SHARE * mu**2,
        step=step,
        grid_bits=grid_bits,
        gradient=_gradient(options, architecture, grid_bits, step, honest),
    )


def plan(kind: Kind, context: StudyContext) -> StudyPlan:
    """Every release of the study, with its noise; see the module's table."""
    shape = design(kind, context)
    options = shape.options
    name = "local-steps" if options.local_steps else "gradient"
    combination = combination_of(options)
    upload = UploadBlock(name="update", max_abs=UPDATE_LIMIT, max_length=shape.architecture.length)
    steps = tuple(
        RoundPlan(
            name=f"{name}-{number}",
            blocks=(shape.gradient,),
            sampling_rate=options.sampling_rate,
            local_steps=options.local_steps,
            uploads=(upload,) if options.local_steps else (),
            combination=combination,
        )
        for number in range(1, options.rounds + 1)
    )
    return StudyPlan(
        honest=shape.honest,
        cohort=_count("cohort", shape.customers, 1),
        # Local steps want a holder's usual number of customers, so the middle of the counts is what they are
        # told.
        rounds=(
            RoundPlan(name="customers", blocks=(customers_block(shape),), combination=combination),
            *steps,
        ),
        max_attempts=context.study.privacy.max_attempts,
    )


def customers_block(shape: NetworkDesign) -> BlockPlan:
    """The block of the count of customers."""
    return _count("customers", shape.customers, shape.honest)


def _count(name: str, price: float, honest: int) -> BlockPlan:
    unit = grid_unit(math.sqrt(1.0 / (price * honest)))
    scale = share_scale(unit**2, price, honest)
    return BlockPlan(name=name, sensitivity_squared=unit**2, max_abs=unit, share_scale=scale, max_length=1)


def _gradient(
    options: NeuralOptions, architecture: Architecture, grid_bits: int, step: float, honest: int
) -> BlockPlan:
    norm = float(options.clipping_norm)
    if (
        options.engine == "opacus"
    ):  # whose vectors are whole numbers before they are summed (neural/sampled.py)
        most = math.ceil(norm * 2.0**grid_bits)
        sensitivity = math.ceil((norm * 2.0**grid_bits) ** 2)
    else:
        slack = rounding_slack(architecture, norm)
        most = math.ceil((norm + slack) * 2.0**grid_bits) + 1
        sensitivity = rounded_sensitivity_squared(norm, slack, architecture.length, grid_bits)
    return BlockPlan(
        name="gradient",
        sensitivity_squared=sensitivity,
        max_abs=most,
        share_scale=share_scale(sensitivity, step, honest),
        max_length=architecture.length,
    )


def largest_grid_bits(norm: float, length: int, scale_of_norm: float) -> int:
    """Binary places of a sum: fine enough that sqrt(d) costs little, coarse enough for the sampler.

    Args:
        norm: C.
        length: d.
        scale_of_norm: scale of a share over C.
    """
    wanted = math.ceil(math.log2(math.sqrt(length) / (norm * ROUNDING_SHARE)))
    drawable = math.floor(math.log2(LARGEST_SHARE / (scale_of_norm * norm)))
    return max(FEWEST_GRID_BITS, min(wanted, drawable, MOST_GRID_BITS))


def _architecture(kind: Kind, options: NeuralOptions, inputs: InputPlan) -> Architecture:
    if kind != "mlp" and not inputs.sequence:
        raise StudyError(
            "RF-S253",
            N_(
                "The task {task} reads features by period, named like spend_p01, spend_p02; the study has "
                "none. Add an [events] table to the schema, or use the task mlp."
            ),
            task=kind,
        )
    return Architecture(
        inputs=inputs.inputs,
        hidden=options.hidden,
        periods=len(inputs.sequence),
        channels=inputs.channels,
        recurrent=0 if kind == "mlp" else options.recurrent,
        heads=options.heads if kind == "attention" else 0,
        embedded=tuple(len(inputs.tables[column]) for column in inputs.embedded),
        embedding=options.embedding if inputs.embedded else 0,
        layer_norm=options.normalisation == "layer",
    )


def _check_customers(context: StudyContext, options: NeuralOptions) -> None:
    most = int(MOST_CUSTOMERS / max(1.0, float(options.clipping_norm)))
    for holder in context.study.holders:
        if holder.max_customers > most:
            raise StudyError(
                "RF-S254",
                N_(
                    "{holder} may have {found} customers; exact sums of gradients hold {most} at this "
                    "clipping norm."
                ),
                holder=holder.name,
                found=holder.max_customers,
                most=most,
            )
