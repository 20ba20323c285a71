"""Correlations of every pair of numbers, from one Gram release of values clipped to the schema's bounds.

Source: sufficient statistics perturbation, the noisy Gram matrix of the values with a constant (Dwork,
Talwar, Thakurta, Zhang 2014). Values are taken from the middle of their bounds in halves of the range, so
each lies in [-1, 1]; d numbers have d (d + 1) / 2 products, d values and one count a customer. Only customers
with a value in every number are in it.

The interval of a correlation is a first-order one: the noise of the moments, carried through the formula. It
is as wide as [-1, 1] where a variance is not clear of its noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, combinations_with_replacement

import numpy as np

from ringfence.models.features import NO_VALUE, STEP_BITS, FeatureMatrix
from ringfence.models.statistics.counts import COUNTS
from ringfence.models.statistics.inquiry import BlockShape, Floats, Inquiry, Method, Sums
from ringfence.models.statistics.means import VALUES, in_units
from ringfence.models.tables.disclosure import Why
from ringfence.models.tables.noisy import CUSTOMERS, NoisyFigure, NoisyRow, NoisyTable, counted, half_width
from ringfence.privacy.waist import IntVector

PRODUCTS = "products"
FIRST, SECOND, CORRELATION = "first", "second", "correlation"
# Of the question's budget; products carry the variances, where most of the noise comes from.
COUNT_PART, VALUE_PART = 0.05, 0.15
ROWS_AT_ONCE = 1 << 18


def _shapes(inquiry: Inquiry) -> tuple[BlockShape, ...]:
    size = len(inquiry.question.of)
    products = size * (size + 1) // 2
    return (
        BlockShape(part=COUNTS, length=1, ones=1, share=COUNT_PART),
        BlockShape(part=VALUES, length=size, ones=size, share=VALUE_PART, graded=True),
        BlockShape(
            part=PRODUCTS,
            length=products,
            ones=products,
            share=1.0 - COUNT_PART - VALUE_PART,
            graded=True,
        ),
    )


def _contribute(
    inquiry: Inquiry, bits: Mapping[str, int], features: FeatureMatrix
) -> Mapping[str, IntVector]:
    """Each customer's products are rounded by themselves, so that a table is the sum of its rows."""
    assert features.steps is not None
    places = [features.measured.index(name) for name in inquiry.question.of]
    pairs = list(combinations_with_replacement(range(len(places)), 2))
    count = 0
    values = np.zeros(len(places), dtype=np.int64)
    products = np.zeros(len(pairs), dtype=np.int64)
    shift = 2 * STEP_BITS - bits[PRODUCTS]
    for first in range(0, len(features.label), ROWS_AT_ONCE):
        steps = features.steps[first : first + ROWS_AT_ONCE][:, places]
        steps = steps[np.all(steps != NO_VALUE, axis=1)]
        count += len(steps)
        values += in_units(steps, bits[VALUES]).sum(axis=0)
        wide = steps.astype(np.int64)
        for place, (left, right) in enumerate(pairs):
            product = wide[:, left] * wide[:, right]
            products[place] += ((product + (1 << (shift - 1))) >> shift).sum()
    return {
        COUNTS: np.array([count], dtype=np.int64) << bits[COUNTS],
        VALUES: values,
        PRODUCTS: products,
    }


def _counts(_inquiry: Inquiry, sums: Sums) -> Floats:
    return sums[COUNTS].values


def _error(inquiry: Inquiry, customers: float) -> float:
    """Of a correlation near zero between numbers that fill their bounds evenly (variance 1/3)."""
    (products,) = (each for each in _shapes(inquiry) if each.part == PRODUCTS)
    return 3.0 * math.sqrt(products.ones / products.share) / customers


def _table(inquiry: Inquiry, sums: Sums, why: Sequence[Why]) -> NoisyTable:
    names = inquiry.question.of
    pairs = list(combinations(range(len(names)), 2))
    width = half_width(1, 1)
    (customers,) = counted(sums[COUNTS].values.tolist(), sums[COUNTS].deviations, width)
    rows = tuple(
        NoisyRow(
            group=(names[left], names[right]),
            figures=() if why[0] else (customers, _correlation(sums, len(names), left, right, width)),
            why=why[0],
        )
        for left, right in pairs
    )
    return NoisyTable(
        name=inquiry.name,
        question=inquiry.question.text,
        kind="correlations",
        by=(FIRST, SECOND),
        measures=(CUSTOMERS, CORRELATION),
        rows=rows,
        threshold=inquiry.threshold,
        quasi=inquiry.quasi,
        deviation=sums[COUNTS].deviation,
    )


def _correlation(sums: Sums, size: int, left: int, right: int, width: float) -> NoisyFigure:
    place = {pair: n for n, pair in enumerate(combinations_with_replacement(range(size), 2))}
    noise = {part: sums[part].deviation for part in (COUNTS, VALUES, PRODUCTS)}
    count = max(1.0, float(sums[COUNTS].values[0]))
    x, y = (float(sums[VALUES].values[each]) / count for each in (left, right))
    xx, yy, xy = (
        float(sums[PRODUCTS].values[place[pair]]) / count
        for pair in ((left, left), (right, right), (left, right))
    )
    a, b, c = xx - x * x, yy - y * y, xy - x * y
    # Noise of a variance, bounded: of the sum of squares, twice that of the mean, and that of the count.
    clear = 3.0 * math.sqrt(noise[PRODUCTS] ** 2 + 4.0 * noise[VALUES] ** 2 + noise[COUNTS] ** 2) / count
    if min(a, b) <= clear:
        return NoisyFigure(value=0.0, low=-1.0, high=1.0)
    s = math.sqrt(a * b)
    r = c / s
    # dr = dc / s - r / 2 (da / a + db / b), each in terms of the independent noises of the sums.
    products = (1.0 / s) ** 2 + (r / (2.0 * a)) ** 2 + (r / (2.0 * b)) ** 2
    values = (r * x / a - y / s) ** 2 + (r * y / b - x / s) ** 2
    counts = ((x * y - c) / s - r / 2.0 * ((x * x - a) / a + (y * y - b) / b)) ** 2
    variance = (
        products * noise[PRODUCTS] ** 2 + values * noise[VALUES] ** 2 + counts * noise[COUNTS] ** 2
    ) / count**2
    off = sums[PRODUCTS].rounding + 2.0 * sums[VALUES].rounding
    rounding = off * (1.0 / s + abs(r) / 2.0 * (1.0 / a + 1.0 / b))
    reach = width * math.sqrt(variance) + rounding
    return NoisyFigure(value=r, low=r - reach, high=r + reach).within(-1.0, 1.0)


CORRELATIONS = Method(shapes=_shapes, contribute=_contribute, counts=_counts, answer=_table, error=_error)
