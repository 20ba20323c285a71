"""The coordinator's side of statistics: one noisy sum becomes tables, less what may not be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ringfence.models.pricing import composed_epsilon
from ringfence.models.statistics.axes import CellAxis, size_of
from ringfence.models.statistics.inquiry import BlockSum, Inquiry, Method, Sums
from ringfence.models.statistics.plan import AskedBlock, asked_questions, plan
from ringfence.models.tables.disclosure import hidden_cells
from ringfence.models.tables.recoding import joined_groups
from ringfence.models.tables.release import TableRelease
from ringfence.models.task import StudyContext
from ringfence.privacy.waist import Aggregate, Query

NAME = "statistics"

Cut: TypeAlias = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsState:
    """Nothing is carried: there is one round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedQuestion:
    """A question with what was released of it.

    Attributes:
        inquiry: the question and its cells.
        method: how it is answered.
        sums: of its blocks.
    """

    inquiry: Inquiry
    method: Method
    sums: Sums

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """The noisy customers of its cells, one axis a feature."""
        return self.inquiry.counted(np.asarray(self.method.counts(self.inquiry, self.sums))).counts

    def joined(self, goes: Mapping[Cut, npt.NDArray[np.int64]]) -> ReleasedQuestion:
        """The same over joined groups."""
        axes = self.inquiry.axes
        if not self.method.joins or not axes:
            return self
        moves = [goes[_cut(axis)] for axis in axes]
        merged = tuple(axis.joined(move) for axis, move in zip(axes, moves, strict=True))
        cells = np.zeros(1, dtype=np.int64)
        for axis, move in zip(merged, moves, strict=True):
            cells = (cells[:, None] * axis.size + move[None, :]).ravel()
        sums = {part: each.joined(cells, size_of(merged)) for part, each in self.sums.items()}
        return replace(self, inquiry=replace(self.inquiry, axes=merged), sums=sums)


def start(context: StudyContext) -> tuple[StatisticsState, Query]:
    """Ask for all tables at once."""
    asked_questions(context)
    return StatisticsState(), Query(task=NAME, round=0)


def step(
    context: StudyContext, state: StatisticsState, aggregate: Aggregate
) -> tuple[StatisticsState, TableRelease]:
    """The tables that the noisy sum makes."""
    found = [
        ReleasedQuestion(
            inquiry=question.inquiry,
            method=question.method,
            sums={each.shape.part: _sum(each, aggregate) for each in question.blocks},
        )
        for question in asked_questions(context)
    ]
    goes = _joins(found)
    found = [each.joined(goes) for each in found]
    why = hidden_cells([each.inquiry.counted(each.counts) for each in found])
    tables = tuple(
        each.method.answer(each.inquiry, each.sums, reasons) for each, reasons in zip(found, why, strict=True)
    )
    composed = composed_epsilon(context.study, plan(context))
    return state, TableRelease.of(context, tables, aggregate.holders, composed)


def _sum(asked: AskedBlock, aggregate: Aggregate) -> BlockSum:
    unit = float(1 << asked.bits)
    return BlockSum(
        values=aggregate.blocks[asked.name].astype(np.float64) / unit,
        deviation=asked.block.share_scale * math.sqrt(aggregate.holders) / unit,
        rounding=0.5 / unit if asked.shape.graded else 0.0,
    )


def _cut(axis: CellAxis) -> Cut:
    """A feature in one set of groups, which may be an axis of several tables."""
    return axis.name, axis.labels


def _joins(found: Sequence[ReleasedQuestion]) -> dict[Cut, npt.NDArray[np.int64]]:
    """Which groups are joined, once for each feature, by its margin of least noise.

    A question whose customers need a value beside (a mean) is asked only where no other has the feature.
    """
    best: dict[Cut, tuple[tuple[bool, float], npt.NDArray[np.int64]]] = {}
    for each in found:
        if not each.method.joins:
            continue
        counts, noise = each.counts, next(iter(each.sums.values())).deviation
        for place, axis in enumerate(each.inquiry.axes):
            others = tuple(other for other in range(counts.ndim) if other != place)
            deviation = noise * math.sqrt(counts.size / axis.size)
            rank = (len(each.sums) > 1, deviation)
            if _cut(axis) not in best or rank < best[_cut(axis)][0]:
                margin = np.asarray(counts.sum(axis=others))
                goes = joined_groups(margin, deviation, each.inquiry.threshold, axis.ordered)
                best[_cut(axis)] = (rank, goes)
    return {cut: goes for cut, (_rank, goes) in best.items()}
