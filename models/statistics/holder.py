"""The holder's side of statistics: exact whole numbers for every question of the signed study.

A query says nothing but which round it is: what is counted stands in the study. Each customer adds to each
block by itself, so the contribution of a table is the sum of those of its single customers, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.models.features import FeatureMatrix
from ringfence.models.statistics.plan import asked_questions
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.waist import Contribution, IntVector, Query


def lengths(context: StudyContext, query: Query) -> Mapping[str, int]:
    """Entries of each block.

    Raises:
        WaistError: RF-W470 the query says more than which round it is.
    """
    if query.round != 0 or query.numbers or query.arrays:
        raise WaistError(
            "RF-W470",
            N_(
                "A query for statistics was refused before any row was read: what is counted stands in the "
                "signed study, and a query adds nothing to it."
            ),
        )
    return {each.name: each.shape.length for question in asked_questions(context) for each in question.blocks}


def contribute(context: StudyContext, query: Query, features: FeatureMatrix) -> Contribution:
    """The exact blocks of all questions."""
    blocks: dict[str, IntVector] = {}
    for question in asked_questions(context):
        found = question.method.contribute(question.inquiry, question.bits, features)
        blocks |= {each.name: found[each.shape.part] for each in question.blocks}
    return Contribution(query_digest=query.digest(), blocks=blocks)


def measured(context: StudyContext) -> tuple[str, ...]:
    """The numbers whose values the questions add up, in the study's order."""
    wanted = {
        name
        for question in asked_questions(context)
        if any(each.shape.graded for each in question.blocks)
        for name in question.inquiry.question.of
    }
    return tuple(name for name in context.study.features or () if name in wanted)
