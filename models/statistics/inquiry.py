"""One question on its way: what it needs, what holders add to it, what its sums say.

Everything a customer adds to a block is a vector of whole numbers whose squared length is at most `ones`
times the block's unit squared, exactly; a unit is a power of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ringfence.models.features import FeatureMatrix
from ringfence.models.statistics.axes import CellAxis, labels_at, size_of
from ringfence.models.statistics.questions import StatisticsQuestion
from ringfence.models.tables.disclosure import CountedCells, Why
from ringfence.models.tables.noisy import NoisyTable
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import IntVector

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShape:
    """One block of a question, before its noise is chosen.

    Attributes:
        part: its name within the question.
        length: entries.
        ones: bound on the squared length of what a customer adds, in units squared.
        share: of the question's budget, by optimal allocation within it.
        graded: whether entries are parts of a unit, as values are, so that a fine unit is worth having;
            counts are whole units.
    """

    part: str
    length: int
    ones: int
    share: float
    graded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question with the cells it is answered in.

    Attributes:
        context: the study.
        question: as it was asked.
        name: of its files.
        axes: of its table.
        threshold: fewest customers, by the noisy count, that a line may stand for.
        quasi: those of its features that may help to recognise a customer.
    """

    context: StudyContext
    question: StatisticsQuestion
    name: str
    axes: tuple[CellAxis, ...]
    threshold: int
    quasi: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Lines of its table."""
        return size_of(self.axes)

    @property
    def of_days(self) -> bool:
        """Whether it is computed of dates."""
        return any(self.context.schema.feature(name).kind == "date" for name in self.question.of)

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of each line."""
        return labels_at(self.axes)

    def counted(self, counts: Floats) -> CountedCells:
        """Its noisy counts as disclosure control sees them."""
        return CountedCells(
            names=tuple(axis.name for axis in self.axes),
            labels=tuple(axis.labels for axis in self.axes),
            counts=counts.reshape(tuple(axis.size for axis in self.axes)),
            threshold=self.threshold,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSum:
    """The released sum of one block.

    Attributes:
        values: in units of one customer, `(length,)`.
        deviation: standard deviation of the noise in an entry as it was released, in the same.
        rounding: by how much one customer's entry may be off, in the same; 0 for counts.
        members: released entries that were added up for each value; None where all stand by themselves.
    """

    values: Floats
    deviation: float
    rounding: float
    members: Floats | None = None

    def deviation_of(self, place: int) -> float:
        """Standard deviation of the noise in one value."""
        return self.deviation if self.members is None else self.deviation * math.sqrt(self.members[place])

    @property
    def deviations(self) -> list[float]:
        """Standard deviation of the noise in every value."""
        return [self.deviation_of(place) for place in range(len(self.values))]

    def joined(self, cells: npt.NDArray[np.int64], size: int) -> BlockSum:
        """Values added up over cells, given the new cell of each."""
        return replace(
            self,
            values=np.bincount(cells, weights=self.values, minlength=size).astype(np.float64),
            members=np.bincount(cells, minlength=size).astype(np.float64),
        )


Sums = Mapping[str, BlockSum]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How one kind of question is answered: pure functions, in a file of its own.

    Attributes:
        shapes: the blocks it asks for.
        contribute: a holder's exact integers, given the unit's bits by block.
        counts: the noisy counts that decide which lines are shown, one a line; one for the whole of a
            question without groups.
        answer: its table, given why each of those is not shown.
        error: expected standard deviation of a typical answer if the question had mu = 1 and every sum held
            one share of noise, as a part of what such an answer is about: of a group's customers, of half the
            range of values, of all ranks. From public facts: the number of customers that is expected.
        joins: whether groups that are lost in noise are joined with others (models/tables/recoding.py).
    """

    shapes: Callable[[Inquiry], tuple[BlockShape, ...]]
    contribute: Callable[[Inquiry, Mapping[str, int], FeatureMatrix], Mapping[str, IntVector]]
    counts: Callable[[Inquiry, Sums], Floats]
    answer: Callable[[Inquiry, Sums, Sequence[Why]], NoisyTable]
    error: Callable[[Inquiry, float], float]
    joins: bool = True
