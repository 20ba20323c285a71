"""The scorecard's plan: which secure sums, at which sensitivity, with how much noise.

    cohort      1 %   one noisy count a holder, its own noise                Delta^2 = unit^2
    histogram  12 %   public cells of every feature                          Delta^2 = D unit^2
    masses      4 %   customers in every bin, with gradient 1                Delta^2 = D unit^2
    two-way     5 %   coded pair counts of grouped bins, with gradient 1     Delta^2 = D (D-1)/2 16^d
    gradients  58 %   coded residual sums, all but the last                  Delta^2 = (D + 1) ONE^2 4^R
    last       20 %   one more of them, or residual tables of all pairs      the same bound

The shares are of mu^2; with one feature there are no pairs, and the gradients have their share as well. A
customer adds D ones to a histogram; to a gradient, its residual times one code of length at most ONE for each
feature and one for everybody (codes.py); to the two-way tables, for each pair of features, the product of two
codes of length at most 2^d. What the last secure sum is asked for is decided by what was released before;
both uses keep to one bound, so the noise and the price do not depend on it. Units are powers of two chosen so
that a share's scale is at least 16 grid units, where the discrete law is smooth and rounding costs nothing.
Nothing here looks at data: every holder derives the same plan from the signed study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ringfence.models.edges import NUMBER_CELLS
from ringfence.models.features import CellGrid
from ringfence.models.scorecard.codes import ONE
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.scales import LARGEST_SHARE, grid_unit, share_scale
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

COHORT_SHARE = 0.01
HISTOGRAM_SHARE = 0.12
MASS_SHARE = 0.04
TWO_WAY_SHARE = 0.05
GRADIENT_SHARE = 0.78
# Of the gradients' share, the last one's: pairs need it, and for bins it does not matter which gradient is
# clearest.
LAST_PART = 0.26

MOST_RESIDUAL_BITS = 10
FEWEST_RESIDUAL_BITS = 1
MOST_PAIR_BITS = 5
# Bins of a feature are grouped to so many at most where pairs of features are counted.
MOST_GROUPS = 4
TWO_WAY_ROUND = 1
# Bits of the residuals in tables of pairs that are worth asking for; the first that fits best is taken.
PAIR_RESIDUAL_BITS = (8, 7, 6, 5)
# Shorter codes would be too coarse a simplex.
LEAST_PAIR_CODE = 8


LogOdds = Annotated[int, Field(ge=-(2**24), le=2**24)]


class ScorecardOptions(BaseModel):
    """The `[model]` table of a scorecard study.

    Attributes:
        bins: most bins a number is cut into; how many there are depends on the noise.
        cells: cells of a number in the first histogram, a divisor of 256.
        iterations: gradients released, the one of the constant score included.
        rising: numbers whose points may not fall as they grow.
        falling: numbers whose points may not rise as they grow.
        prior: log odds of every cell of every feature in units of 2^-16, e.g. of an earlier card (prior.py).
        offsets: `holder` gives every holder points of its own (`models.task.holder_offsets`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: int = Field(default=16, ge=2, le=64)
    cells: int = Field(default=32, ge=4, le=NUMBER_CELLS)
    iterations: int = Field(default=6, ge=1, le=32)
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    prior: tuple[LogOdds, ...] | None = None
    offsets: Literal["none", "holder"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorecardDesign:
    """Numbers that holders and coordinator share, all derived from the signed study.

    Attributes:
        options: the study's `[model]` table.
        dimensions: D, the number of features: one customer has exactly one bin in each.
        honest: h, shares of noise that are sure to be in a sum.
        mu: what one holder may spend on the whole study.
        count_unit: grid units of one customer in the histogram.
        mass_unit: the same where bins are counted.
        residual_bits: R; residuals are integers in [-2^R, 2^R].
        pair_bits: d; codes of two-way tables have a length of at most 2^d.
    """

    options: ScorecardOptions
    dimensions: int
    honest: int
    mu: float
    count_unit: int
    mass_unit: int
    residual_bits: int
    pair_bits: int

    def mu_squared(self, share: float) -> float:
        """The part of mu^2 that a stage may spend."""
        return share * self.mu**2

    def gradient_mu_squared(self, number: int) -> float:
        """mu^2 of a gradient, counted from 1."""
        share = self.mu_squared(GRADIENT_SHARE if self.pairs else GRADIENT_SHARE + TWO_WAY_SHARE)
        return share * gradient_parts(self.options.iterations)[number - 1]

    @property
    def pairs(self) -> int:
        """Pairs of features."""
        return self.dimensions * (self.dimensions - 1) // 2

    @property
    def residual_unit(self) -> int:
        """Grid units of a residual of one under a code of length one."""
        return ONE << self.residual_bits

    @property
    def gradient_bound(self) -> int:
        """Squared length of what one customer adds to any gradient, the last one included."""
        return (self.dimensions + 1) * self.residual_unit**2

    @property
    def pair_code(self) -> tuple[int, int] | None:
        """Bits of residuals and length of codes for tables of all pairs in `gradient_bound`, or None.

        A customer adds a residual of at most 2^b times a product of two codes of length o to each pair's
        table: pairs 4^b o^4 in all.
        """
        best: tuple[float, int, int] = (0.0, 0, 0)
        if not self.pairs or self.options.iterations == 1:
            return None
        for bits in PAIR_RESIDUAL_BITS:
            one = math.isqrt(math.isqrt(self.gradient_bound // (self.pairs * 4**bits)))
            one = min(one, math.isqrt(self.residual_unit >> bits))
            used = self.pairs * 4**bits * one**4 / self.gradient_bound
            if one >= LEAST_PAIR_CODE and used > best[0]:
                best = (used, bits, one)
        return best[1:] if best[0] else None


def gradient_parts(iterations: int) -> tuple[float, ...]:
    """How the gradients share what they may spend, the first one first."""
    if iterations == 1:
        return (1.0,)
    last = max(LAST_PART, 1.0 / iterations)
    return (*((1.0 - last) / (iterations - 1) for _ in range(iterations - 1)), last)


def options_of(context: StudyContext) -> ScorecardOptions:
    """Read the `[model]` table.

    Raises:
        StudyError: an unknown key, or a value out of range.
    """
    try:
        options = ScorecardOptions.model_validate(dict(context.study.model))
    except ValidationError as error:
        fault = error.errors()[0]
        raise StudyError(
            "RF-S051",
            N_(
                "[model] {key}: {found}. A scorecard knows bins (2-64), cells (4-256), iterations (1-32), "
                "rising and falling (names of numbers), offsets (holder), prior."
            ),
            key=".".join(str(part) for part in fault["loc"]),
            found=fault["msg"],
        ) from None
    if NUMBER_CELLS % options.cells:
        raise StudyError(
            "RF-S052",
            N_("[model] cells = {cells} does not divide {grid}; use 4, 8, 16, 32, 64, 128 or 256."),
            cells=options.cells,
            grid=NUMBER_CELLS,
        )
    cells = sum(grid.size for grid in context.grids)
    if options.prior is not None and len(options.prior) != cells:
        raise StudyError(
            "RF-S056",
            N_("[model] prior has {found} entries; expected {cells}, one for every cell of every feature."),
            found=len(options.prior),
            cells=cells,
        )
    ordered = {grid.name for grid in context.grids if grid.ordered}
    for name in (*options.rising, *options.falling):
        if name not in ordered or (name in options.rising and name in options.falling):
            raise StudyError(
                "RF-S054",
                N_(
                    "[model] demands a direction of {name}; expected a number or date of the study, in one "
                    "of rising and falling."
                ),
                name=name,
            )
    return options


def design(context: StudyContext) -> ScorecardDesign:
    """Derive units and budgets from the study.

    Raises:
        StudyError: options out of range.
    """
    options = options_of(context)
    dimensions = len(context.features)
    honest = context.study.honest()
    terms = context.study.privacy
    mu = calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise)
    count = math.sqrt(dimensions / (mu**2 * honest))
    faintest = GRADIENT_SHARE * gradient_parts(options.iterations)[0]
    gradient = math.sqrt((dimensions + 1) / (faintest * mu**2 * honest))
    tables = math.sqrt(max(1, dimensions * (dimensions - 1) // 2) / (TWO_WAY_SHARE * mu**2 * honest))
    return ScorecardDesign(
        options=options,
        dimensions=dimensions,
        honest=honest,
        mu=mu,
        count_unit=grid_unit(count / math.sqrt(HISTOGRAM_SHARE)),
        mass_unit=grid_unit(count / math.sqrt(MASS_SHARE)),
        residual_bits=_bits(gradient * ONE, FEWEST_RESIDUAL_BITS, MOST_RESIDUAL_BITS),
        pair_bits=_bits(tables, 2, 2 * MOST_PAIR_BITS) // 2,
    )


def plan(context: StudyContext) -> StudyPlan:
    """Every release of the study, with its noise; see the module's table."""
    shape = design(context)
    rounds = [RoundPlan(name="histogram", blocks=(_histogram_block(context, shape),))]
    for number in range(1, shape.options.iterations + 1):
        blocks = [_gradient_block(context, shape, number)]
        if number == TWO_WAY_ROUND:
            # Rounds fewer than if they were asked for alone.
            blocks += [_mass_block(context, shape)] + (
                [_two_way_block(context, shape)] if shape.pairs else []
            )
        rounds.append(RoundPlan(name=f"gradient-{number}", blocks=tuple(blocks)))
    return StudyPlan(
        honest=shape.honest,
        cohort=_cohort_block(shape),
        rounds=tuple(rounds),
        max_attempts=context.study.privacy.max_attempts,
    )


def coarse_size(grid: CellGrid, options: ScorecardOptions) -> int:
    """Cells of a feature in the first histogram."""
    return options.cells + grid.size - grid.values if grid.ordered else grid.size


def most_bins(grid: CellGrid, options: ScorecardOptions) -> int:
    """Most bins a feature may be merged into."""
    extra = grid.size - grid.values
    return min(options.bins, grid.values) + extra if grid.ordered else grid.size


def _cohort_block(shape: ScorecardDesign) -> BlockPlan:
    price = shape.mu_squared(COHORT_SHARE)
    unit = grid_unit(math.sqrt(1.0 / price))
    scale = share_scale(unit**2, price, 1)
    return BlockPlan(
        name="cohort", sensitivity_squared=unit**2, max_abs=unit, share_scale=scale, max_length=1
    )


def _histogram_block(context: StudyContext, shape: ScorecardDesign) -> BlockPlan:
    length = sum(coarse_size(grid, shape.options) for grid in context.grids)
    return _count_block("cells", shape, shape.count_unit, HISTOGRAM_SHARE, length)


def _mass_block(context: StudyContext, shape: ScorecardDesign) -> BlockPlan:
    length = sum(most_bins(grid, shape.options) for grid in context.grids)
    return _count_block("masses", shape, shape.mass_unit, MASS_SHARE, length)


def _count_block(name: str, shape: ScorecardDesign, unit: int, share: float, length: int) -> BlockPlan:
    """Counts to which a customer adds one unit a feature."""
    sensitivity = shape.dimensions * unit**2
    scale = share_scale(sensitivity, shape.mu_squared(share), shape.honest)
    return BlockPlan(
        name=name, sensitivity_squared=sensitivity, max_abs=unit, share_scale=scale, max_length=length
    )


def _gradient_block(context: StudyContext, shape: ScorecardDesign, number: int) -> BlockPlan:
    length = 1 + sum(most_bins(grid, shape.options) - 1 for grid in context.grids)
    if number == shape.options.iterations and shape.pair_code is not None:
        length = max(length, _tables_length(context, shape))
    return BlockPlan(
        name="gradient",
        sensitivity_squared=shape.gradient_bound,
        max_abs=shape.residual_unit,
        share_scale=share_scale(shape.gradient_bound, shape.gradient_mu_squared(number), shape.honest),
        max_length=length,
    )


def _tables_length(context: StudyContext, shape: ScorecardDesign) -> int:
    """Most entries of coded tables of all pairs."""
    widths = [min(MOST_GROUPS, most_bins(grid, shape.options)) - 1 for grid in context.grids]
    return (sum(widths) ** 2 - sum(width**2 for width in widths)) // 2


def _two_way_block(context: StudyContext, shape: ScorecardDesign) -> BlockPlan:
    sensitivity = shape.pairs * 16**shape.pair_bits
    return BlockPlan(
        name="two-way",
        sensitivity_squared=sensitivity,
        max_abs=4**shape.pair_bits,
        share_scale=share_scale(sensitivity, shape.mu_squared(TWO_WAY_SHARE), shape.honest),
        max_length=_tables_length(context, shape),
    )


def _bits(scale_of_one: float, fewest: int, most: int) -> int:
    """Most bits by which a share's scale can grow and stay within `LARGEST_SHARE`."""
    return max(fewest, min(most, math.floor(math.log2(LARGEST_SHARE / scale_of_one))))
