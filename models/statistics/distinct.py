"""Distinct customers over holders, between two bounds that follow from how many holders one may be at.

Holders add their customers up without comparing them, so a customer at j holders counts j times, and j is at
most k, the study's overlap: the number of distinct customers lies between N / k and N. Nothing narrower
follows from sums alone; where no customer is at two holders (overlap 1) the bounds meet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ringfence.models.statistics.counts import (
    COUNTS,
    count_cells,
    count_error,
    count_shapes,
    count_table,
    count_values,
)
from ringfence.models.statistics.inquiry import Inquiry, Method, Sums
from ringfence.models.tables.disclosure import Why
from ringfence.models.tables.noisy import CUSTOMERS, NoisyFigure, NoisyTable, half_width

DISTINCT = "distinct"


def _table(inquiry: Inquiry, sums: Sums, why: Sequence[Why]) -> NoisyTable:
    """Counts over holders, and beside each the bounds of distinct customers with the middle between them."""
    overlap = inquiry.context.study.overlap()
    width = half_width(list(why).count(""), len(why))
    table = count_table(inquiry, sums, why)
    rows = tuple(
        replace(row, figures=(*row.figures, _between(value, width * noise, overlap))) if row.figures else row
        for row, value, noise in zip(
            table.rows, sums[COUNTS].values.tolist(), sums[COUNTS].deviations, strict=True
        )
    )
    return replace(table, measures=(CUSTOMERS, DISTINCT), rows=rows)


def _between(value: float, reach: float, overlap: int) -> NoisyFigure:
    low, high = max(0.0, value - reach) / overlap, value + reach
    middle = max(0.0, value) * (1.0 + 1.0 / overlap) / 2.0
    return NoisyFigure(value=float(round(middle)), low=float(math.floor(low)), high=float(math.ceil(high)))


DISTINCT_CUSTOMERS = Method(
    shapes=count_shapes, contribute=count_cells, counts=count_values, answer=_table, error=count_error
)
