"""What falls into a bin, in words by which a card is read by hand: each value fits exactly one label.

An edge is printed as it is cut, and each label says on which side it belongs. The first and the last bin are
open, since values beyond the bounds are counted there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from ringfence.models.edges import edges_of
from ringfence.models.features import CellGrid
from ringfence.models.task import HOLDER_FEATURE, StudyContext
from ringfence.privacy.agreements.schema import Feature

# Between what shares a bin, and between the groups of a pair.
COMMA, AND = ", ", " & "


def labels_of(context: StudyContext, name: str, grid: CellGrid, local: npt.NDArray[np.int64]) -> list[str]:
    """What falls into each bin, or each group of bins, for people.

    Args:
        context: the study.
        name: of the feature.
        grid: its cells.
        local: bin of each cell.
    """
    found: list[list[str]] = [[] for _ in range(int(local.max()) + 1)]
    for bin_, text in _told(context, name, grid, local):
        found[bin_].append(text)
    return [COMMA.join(texts) for texts in found]


def reachable(feature: Feature) -> npt.NDArray[np.bool_]:
    """Which ordered cells a value can be in; between close dates or counts some hold none."""
    edges = edges_of(feature)
    return np.array([low < high for low, high in zip(edges[:-1], [*edges[1:-1], edges[-1] + 1], strict=True)])


def _told(
    context: StudyContext, name: str, grid: CellGrid, local: npt.NDArray[np.int64]
) -> Iterator[tuple[int, str]]:
    if name == HOLDER_FEATURE:
        yield from zip(local.tolist(), (_quoted(each.name) for each in context.study.holders), strict=True)
        return
    feature = context.schema.feature(name)
    if grid.ordered:
        yield from _ranges(feature, local[: grid.values])
    else:
        yield from zip(local.tolist(), (_quoted(each) for each in feature.categories or ()), strict=False)
    if not grid.ordered and grid.other is not None:
        yield int(local[grid.other]), "(other)"
    if grid.missing is not None:
        yield int(local[grid.missing]), "(missing)"


def _ranges(feature: Feature, local: npt.NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Bins of neighbouring cells, by rising value."""
    edges = edges_of(feature)
    cuts = np.flatnonzero(np.diff(local)) + 1
    bins, inner = local[np.concatenate([[0], cuts])].tolist(), [edges[cut] for cut in cuts]
    days = feature.kind == "date"
    if not inner:
        yield bins[0], "any date" if days else "any number"
        return
    texts = [_day(each) if days else _number(each) for each in inner]
    below, above = ("before", "after") if days else ("below", "above")
    yield bins[0], f"{below} {texts[0]}"
    for bin_, low, high in zip(bins[1:-1], texts[:-1], texts[1:], strict=True):
        yield bin_, f"{low} to {below} {high}"
    yield bins[-1], f"{texts[-1]} and {above}"


def _day(edge: Decimal) -> str:
    return date.fromordinal(int(edge)).isoformat()


def _number(edge: Decimal) -> str:
    """An edge as it is cut, without signs between thousands, which countries read differently."""
    text = f"{edge:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    # A cell that begins with a hyphen is a formula to a spreadsheet.
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text


def _quoted(category: str) -> str:
    """A category's name, in quotation marks where it could be taken for several or for another thing."""
    return f'"{category}"' if COMMA in category or AND in category or category.startswith("(") else category
