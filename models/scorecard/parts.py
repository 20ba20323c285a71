"""What a scorecard adds up, with its points: one part a feature and one a pair of features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT

POINTS_TO_DOUBLE = 20
FACTOR = POINTS_TO_DOUBLE / math.log(2.0)
NORMAL_95 = 1.96


def exact_points(weight: int) -> float:
    """A weight on the scale of points, not rounded."""
    points: float = FACTOR * weight / 2**PARAMETER_BITS
    return points


def plus_minus(deviation: int) -> int:
    """Half the width of a 95 % range in whole points, rounded up."""
    return math.ceil(NORMAL_95 * exact_points(deviation))


def printed(weight: int) -> int:
    """A weight in whole points."""
    return round(exact_points(weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One line of the points table.

    Attributes:
        label: what falls into it, for people.
        weight: log odds in units of 2^-16.
        customers: noisy number of customers, rounded; may be negative, and is not part of what is released.
        deviation: standard deviation of the weight, by the noise and by chance, in its units.
    """

    label: str
    weight: int
    customers: int
    deviation: int = 0

    def to_dict(self) -> dict[str, str | int]:
        """What is released of it."""
        return {"label": self.label, "weight": self.weight, "deviation": self.deviation}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturePart:
    """One feature's bins, and the cell table that leads to them.

    Attributes:
        name: the feature's.
        cells: bin of each cell of the schema.
        bins: the lines of the points table.
        average: mean weight over all customers, as the noisy histogram knows it; reasons are told against it.
        groups: group of each bin, where the feature is in a pair; else empty.
        group_labels: what falls into each group, for people.
    """

    name: str
    cells: tuple[int, ...]
    bins: tuple[Bin, ...]
    average: int = 0
    groups: tuple[int, ...] = ()
    group_labels: tuple[str, ...] = ()

    @property
    def lowest(self) -> int:
        """The smallest weight."""
        return min(b.weight for b in self.bins)

    @property
    def points(self) -> tuple[int, ...]:
        """Printed points of each bin, above the lowest."""
        return tuple(printed(b.weight - self.lowest) for b in self.bins)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPart:
    """What two features say together beyond what each says alone.

    Attributes:
        first: position of the one feature.
        second: position of the other, larger.
        weights: log odds in units of 2^-16, a row for each group of the first, with an entry for each of the
            second.
    """

    first: int
    second: int
    weights: tuple[tuple[int, ...], ...]

    @property
    def lowest(self) -> int:
        """The smallest weight."""
        return min(weight for row in self.weights for weight in row)

    @property
    def points(self) -> tuple[tuple[int, ...], ...]:
        """Printed points of each cell, above the lowest."""
        return tuple(tuple(printed(weight - self.lowest) for weight in row) for row in self.weights)


def read_part(data: dict[str, Any]) -> FeaturePart:
    """One feature of a card that was read; raises ValueError for cells that lead to no bin."""
    bins = tuple(
        Bin(
            label=str(b["label"]),
            weight=_weight(b["weight"]),
            customers=0,
            deviation=abs(_weight(b["deviation"])),
        )
        for b in data["bins"]
    )
    cells = tuple(int(cell) for cell in data["cells"])
    groups = tuple(int(group) for group in data["groups"])
    labels = tuple(str(label) for label in data["group_labels"])
    whole = bool(bins and cells) and all(0 <= cell < len(bins) for cell in cells)
    if (
        not whole
        or len(groups) not in (0, len(bins))
        or not all(0 <= group < len(labels) for group in groups)
    ):
        raise ValueError(data["name"])
    return FeaturePart(
        name=str(data["name"]),
        cells=cells,
        bins=bins,
        average=int(data["average"]),
        groups=groups,
        group_labels=labels,
    )


def _weight(value: Any) -> int:
    """Log odds of a card that was read; raises ValueError for what does not fit 32 bits."""
    weight = int(value)
    if abs(weight) > PARAMETER_LIMIT:
        raise ValueError(weight)
    return weight


def read_pair(data: dict[str, Any], parts: tuple[FeaturePart, ...]) -> PairPart:
    """One pair of a card that was read; raises ValueError for one that is not of its features."""
    first, second = int(data["first"]), int(data["second"])
    weights = tuple(tuple(_weight(weight) for weight in row) for row in data["weights"])
    if not 0 <= first < second < len(parts) or not (parts[first].groups and parts[second].groups):
        raise ValueError(first, second)
    rows, columns = (len(parts[each].group_labels) for each in (first, second))
    if not rows * columns or len(weights) != rows or any(len(row) != columns for row in weights):
        raise ValueError(weights)
    return PairPart(first=first, second=second, weights=weights)
