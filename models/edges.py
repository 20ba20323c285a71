"""Edges between the cells of a number or a date: few digits, so that they can be printed as they are.

A card that prints "42.3" must cut at 42.3 and not near it; so the even steps between the bounds are rounded
first, and both the codes of rows and the labels of bins follow from what was rounded. Exact decimal
arithmetic makes the same edges on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache
from itertools import pairwise

from ringfence.privacy.agreements.feature import Bounds, Feature

NUMBER_CELLS = 256
_DIGITS = 50


def edges_of(feature: Feature) -> tuple[Decimal, ...]:
    """The `NUMBER_CELLS + 1` edges; a cell holds its lower edge and not its upper one, the last holds both.

    Numbers rise strictly. Edges of dates are whole days, as in `date.toordinal`, and those of counts whole
    numbers; between close bounds several cells begin at one of them, and the last of these cells holds it.
    """
    assert feature.bounds is not None
    return _edges(feature.scale == "log", bool(feature.whole), feature.bounds)


@lru_cache(maxsize=1024)
def _edges(logarithmic: bool, whole: bool, bounds: Bounds) -> tuple[Decimal, ...]:
    with localcontext(Context(prec=_DIGITS)):
        days = isinstance(bounds[0], date)
        low, high = (Decimal(each.toordinal()) if isinstance(each, date) else each for each in bounds)
        steps = list(_even(low.ln(), high.ln())) if logarithmic else list(_even(low, high))
        exact = [each.exp() for each in steps] if logarithmic else steps
        if whole or days:
            inner = [min(high, edge.to_integral_value(ROUND_CEILING)) for edge in exact[1:-1]]
        else:
            inner = [_short(edge, edge - before) for before, edge in pairwise(exact[:-1])]
        return (low, *inner, high)


def _even(low: Decimal, high: Decimal) -> Iterator[Decimal]:
    return (low + (high - low) * step / NUMBER_CELLS for step in range(NUMBER_CELLS + 1))


def _short(edge: Decimal, width: Decimal) -> Decimal:
    """An edge to the nearest power of ten that is at most half a cell: no two edges become one."""
    unit = Decimal(1).scaleb((width / 2).adjusted())
    return edge.quantize(unit, rounding=ROUND_HALF_EVEN)
