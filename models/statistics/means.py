"""Sums and means of a number over the groups of a table, of values clipped to the schema's bounds.

Source: clipped sums under the Gaussian mechanism; a value is taken from the middle of its bounds, so that one
customer moves a sum by half the range and not by all of it. Beside the sum its customers are counted, and
what noise of both says of their ratio is Fieller's interval (Fieller 1954), which keeps its level however few
the customers are. A customer without a value is in no group.

How a question's budget is shared between its two blocks, by optimal allocation: the variance of a mean is
`(v_sum / share_sum + m^2 v_count / share_count) / N^2`, m being where the mean lies between the middle (0)
and either bound (1); with m^2 = 1/3, that of a mean that may lie anywhere, it is least at `sqrt(3) : 1`. A
sum is `middle count + half values`, and the two noises weigh as these do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ringfence.models.features import NO_VALUE, STEP_BITS, FeatureMatrix
from ringfence.models.statistics.axes import table_cells
from ringfence.models.statistics.counts import COUNTS
from ringfence.models.statistics.inquiry import BlockShape, Floats, Inquiry, Method, Sums
from ringfence.models.tables.disclosure import Why
from ringfence.models.tables.noisy import (
    CUSTOMERS,
    NoisyFigure,
    NoisyRow,
    NoisyTable,
    counted,
    half_width,
)
from ringfence.privacy.waist import IntVector

VALUES = "values"
LEAST_SHARE = 0.1
"""Neither block gets less: counts decide which lines are shown."""


def _count_share(inquiry: Inquiry) -> float:
    """Of the question's budget, for its counts."""
    if inquiry.question.kind == "mean":
        return 1.0 / (1.0 + math.sqrt(3.0))
    middle, half = _middle(inquiry)
    return min(max(abs(middle) / (abs(middle) + half), LEAST_SHARE), 1.0 - LEAST_SHARE)


def _shapes(inquiry: Inquiry) -> tuple[BlockShape, ...]:
    """Customers with a value, and their values."""
    share = _count_share(inquiry)
    return (
        BlockShape(part=COUNTS, length=inquiry.cells, ones=1, share=share),
        BlockShape(part=VALUES, length=inquiry.cells, ones=1, share=1.0 - share, graded=True),
    )


def in_units(steps: npt.NDArray[np.int32], bits: int) -> npt.NDArray[np.int64]:
    """Steps of `2^-20` half ranges as whole parts of `2^bits`, rounded; at most `2^bits` in size."""
    shift = STEP_BITS - bits
    wide = steps.astype(np.int64)
    return wide if shift == 0 else (wide + (1 << (shift - 1))) >> shift


def _contribute(
    inquiry: Inquiry, bits: Mapping[str, int], features: FeatureMatrix
) -> Mapping[str, IntVector]:
    """Customers and summed values of each cell."""
    assert features.steps is not None
    steps = features.steps[:, features.measured.index(inquiry.question.of[0])]
    known = steps != NO_VALUE
    cells = table_cells(inquiry.axes, features)[known]
    values = in_units(steps[known], bits[VALUES])
    # Whole numbers that add up to far less than 2^53: the float64 sums are exact.
    summed = np.bincount(cells, weights=values, minlength=inquiry.cells).astype(np.int64)
    return {
        COUNTS: np.bincount(cells, minlength=inquiry.cells).astype(np.int64) << bits[COUNTS],
        VALUES: summed,
    }


def _counts(_inquiry: Inquiry, sums: Sums) -> Floats:
    return sums[COUNTS].values


def _error(inquiry: Inquiry, customers: float) -> float:
    """Of half the range of values; of a sum, of so much for each customer of a group."""
    share = _count_share(inquiry)
    middle, half = _middle(inquiry)
    weight = 1.0 / 3.0 if inquiry.question.kind == "mean" else (middle / half) ** 2
    return math.sqrt(1.0 / (1.0 - share) + weight / share) * inquiry.cells / customers


def ratio(
    value: float, value_deviation: float, count: float, count_deviation: float, width: float
) -> NoisyFigure:
    """Fieller's interval of value / count, held to [-1, 1]; all of it where the count is lost in noise."""
    a = count**2 - (width * count_deviation) ** 2
    b = value * count
    c = value**2 - (width * value_deviation) ** 2
    estimate = value / count if count > 0 else 0.0
    inside = b**2 - a * c
    if count <= 0 or a <= 0 or inside < 0:
        return NoisyFigure(value=estimate, low=-1.0, high=1.0).within(-1.0, 1.0)
    root = math.sqrt(inside)
    return NoisyFigure(value=estimate, low=(b - root) / a, high=(b + root) / a).within(-1.0, 1.0)


def _table(inquiry: Inquiry, sums: Sums, why: Sequence[Why]) -> NoisyTable:
    width = half_width(list(why).count(""), len(why))
    counts = sums[COUNTS]
    customers = counted(counts.values.tolist(), counts.deviations, width)
    told = _mean if inquiry.question.kind == "mean" else _sum
    rows = tuple(
        NoisyRow(
            group=group,
            figures=() if why[cell] else (customers[cell], told(inquiry, sums, cell, width)),
            why=why[cell],
        )
        for cell, group in enumerate(inquiry.labels)
    )
    return NoisyTable(
        name=inquiry.name,
        question=inquiry.question.text,
        kind=inquiry.question.kind,
        by=tuple(axis.name for axis in inquiry.axes),
        measures=(CUSTOMERS, inquiry.question.kind),
        rows=rows,
        threshold=inquiry.threshold,
        quasi=inquiry.quasi,
        days=(inquiry.question.kind,) if inquiry.of_days else (),
        deviation=counts.deviation,
    )


def _middle(inquiry: Inquiry) -> tuple[float, float]:
    """Middle and half of the range of values."""
    low, high = inquiry.context.schema.feature(inquiry.question.of[0]).limits
    return (low + high) / 2.0, (high - low) / 2.0


def _mean(inquiry: Inquiry, sums: Sums, cell: int, width: float) -> NoisyFigure:
    middle, half = _middle(inquiry)
    counts, values = sums[COUNTS], sums[VALUES]
    found = ratio(
        float(values.values[cell]),
        values.deviation_of(cell),
        float(counts.values[cell]),
        counts.deviation_of(cell),
        width,
    )
    return NoisyFigure(
        value=middle + half * found.value,
        low=middle + half * max(-1.0, found.low - values.rounding),
        high=middle + half * min(1.0, found.high + values.rounding),
    )


def _sum(inquiry: Inquiry, sums: Sums, cell: int, width: float) -> NoisyFigure:
    """middle x customers + half x values, whose noises are independent."""
    middle, half = _middle(inquiry)
    counts, values = sums[COUNTS], sums[VALUES]
    count, value = float(counts.values[cell]), float(values.values[cell])
    noise = counts.deviation_of(cell)
    deviation = math.hypot(middle * noise, half * values.deviation_of(cell))
    reach = width * deviation + half * values.rounding * (max(0.0, count) + width * noise)
    estimate = middle * count + half * value
    return NoisyFigure(value=estimate, low=estimate - reach, high=estimate + reach)


MEAN = Method(shapes=_shapes, contribute=_contribute, counts=_counts, answer=_table, error=_error)
