"""Customers in each cell of a table: counts, histograms, cross-tabs, and the most frequent of a public list.

Source: the Gaussian mechanism on a histogram (Dwork, Roth 2014, sections 3.3 and A), drawn discrete: one
customer is in one cell. A top list is chosen from the noisy counts of the whole public list, so choosing
costs nothing; its intervals are widened for the choice (Benjamini, Yekutieli 2005).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ringfence.models.features import FeatureMatrix
from ringfence.models.statistics.axes import table_cells
from ringfence.models.statistics.inquiry import BlockShape, Floats, Inquiry, Method, Sums
from ringfence.models.tables.disclosure import Why
from ringfence.models.tables.noisy import CUSTOMERS, NoisyRow, NoisyTable, counted, half_width
from ringfence.privacy.waist import IntVector

COUNTS = "counts"


def count_shapes(inquiry: Inquiry) -> tuple[BlockShape, ...]:
    """One block: a customer is in one cell."""
    return (BlockShape(part=COUNTS, length=inquiry.cells, ones=1, share=1.0),)


def count_cells(
    inquiry: Inquiry, bits: Mapping[str, int], features: FeatureMatrix
) -> Mapping[str, IntVector]:
    """Customers of each cell, in units."""
    cells = table_cells(inquiry.axes, features)
    return {COUNTS: np.bincount(cells, minlength=inquiry.cells).astype(np.int64) << bits[COUNTS]}


def count_values(_inquiry: Inquiry, sums: Sums) -> Floats:
    """The noisy counts themselves."""
    return sums[COUNTS].values


def count_error(inquiry: Inquiry, customers: float) -> float:
    """Of an average cell's customers."""
    return inquiry.cells / customers


def count_table(
    inquiry: Inquiry, sums: Sums, why: Sequence[Why], *, rows: tuple[NoisyRow, ...] = ()
) -> NoisyTable:
    """A table of counts; of all its cells unless rows are given."""
    return NoisyTable(
        name=inquiry.name,
        question=inquiry.question.text,
        kind=inquiry.question.kind,
        by=tuple(axis.name for axis in inquiry.axes),
        measures=(CUSTOMERS,),
        rows=rows or _rows(inquiry, sums, why),
        threshold=inquiry.threshold,
        quasi=inquiry.quasi,
        deviation=sums[COUNTS].deviation,
    )


def _rows(inquiry: Inquiry, sums: Sums, why: Sequence[Why]) -> tuple[NoisyRow, ...]:
    width = half_width(list(why).count(""), len(why))
    figures = counted(sums[COUNTS].values.tolist(), sums[COUNTS].deviations, width)
    return tuple(
        NoisyRow(group=group, figures=() if reason else (figure,), why=reason)
        for group, figure, reason in zip(inquiry.labels, figures, why, strict=True)
    )


def _top_table(inquiry: Inquiry, sums: Sums, why: Sequence[Why]) -> NoisyTable:
    """The lines with the largest noisy counts that may be shown, the largest first."""
    values = sums[COUNTS].values
    shown = [place for place, reason in enumerate(why) if not reason]
    best = sorted(shown, key=lambda place: -values[place])[: inquiry.question.number]
    width = half_width(len(best), len(why))
    noise = [sums[COUNTS].deviation] * len(best)
    figures = counted([float(values[place]) for place in best], noise, width)
    labels = inquiry.labels
    rows = tuple(
        NoisyRow(group=labels[place], figures=(figure,)) for place, figure in zip(best, figures, strict=True)
    )
    if not rows:
        smallest: Why = "small"
        rows = (NoisyRow(group=("-",) * len(inquiry.axes), figures=(), why=smallest),)
    return count_table(inquiry, sums, why, rows=rows)


COUNT = Method(
    shapes=count_shapes, contribute=count_cells, counts=count_values, answer=count_table, error=count_error
)
TOP = Method(
    shapes=count_shapes,
    contribute=count_cells,
    counts=count_values,
    answer=_top_table,
    error=count_error,
    joins=False,
)
