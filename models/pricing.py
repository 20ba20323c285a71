"""A study's plan and price, from the signed study alone, for coordinator, holder or simulation.

What a study's people cannot know of, such as grid units of noise, is put into the words of a study here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from ringfence.models.task import Outlook, StudyContext, Task
from ringfence.privacy.accounting.noise_laws import check_scale
from ringfence.privacy.accounting.study import StudyPrice, price
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.errors import N_, BudgetError, RingfenceError, StudyError
from ringfence.privacy.waist import StudyPlan

_TOO_MUCH_NOISE: Final = "RF-B002"
_MOST_EPSILON: Final = Decimal(1000)


def planned(task: Task[Any, Any], context: StudyContext) -> StudyPlan:
    """Everything a study will ask, once it is sure that its noise can be drawn.

    Args:
        task: the one the study names.
        context: the study and what follows from it.

    Raises:
        StudyError: RF-S068 epsilon is so small that the noise cannot be drawn; whatever the task's plan
            refuses.
        BudgetError: terms are out of range.
    """
    try:
        return _drawable(task, context)
    except BudgetError as error:
        if error.code != _TOO_MUCH_NOISE:
            raise
        least = next((epsilon for epsilon in _larger(context.study) if _works(task, context, epsilon)), None)
        if least is None:
            raise
        raise StudyError(
            "RF-S068",
            N_(
                "epsilon {epsilon} is too small for this study: the noise would be larger than can be drawn, "
                "and bury every result. Use at least about {least}."
            ),
            epsilon=f"{context.study.privacy.epsilon:g}",
            least=f"{least:f}",
        ) from None


def price_of(study: Study, plan: StudyPlan) -> StudyPrice:
    """The price of a study whose holders are known.

    Args:
        study: the study.
        plan: everything it asks.

    Raises:
        BudgetError: its terms are out of range.
    """
    terms = study.privacy
    return price(
        plan,
        delta=terms.delta,
        overlap=study.overlap(),
        noise_form=terms.noise,
        colluders=terms.colluders,
        visible=terms.visible,
        runs=study.runs,
    )


def composed_epsilon(study: Study, plan: StudyPlan) -> str:
    """Epsilon of all runs of a series with every attempt, rounded up; empty for a study that is run once.

    Raises:
        BudgetError: as `price_of`.
    """
    series = None if study.series is None else price_of(study, plan).series
    return "" if series is None else str(series.as_report()["series_customer_epsilon_worst_case"])


def outlook_of(task: Task[Any, Any], context: StudyContext) -> Outlook:
    """What errors a study's answers are expected to have, from public facts alone.

    Raises:
        StudyError: RF-S523 the task cannot say before it has run; whatever its plan refuses.
    """
    planned(task, context)
    if task.outlook is None:
        raise StudyError(
            "RF-S523",
            N_(
                "The task {task} cannot tell before it has run how good its result will be: try it on a "
                "table of your own, with ringfence-simulate run."
            ),
            task=task.name,
        )
    return task.outlook(context)


def _drawable(task: Task[Any, Any], context: StudyContext) -> StudyPlan:
    plan = task.plan(context)
    for block in (plan.cohort, *(block for each in plan.rounds for block in each.blocks)):
        check_scale(block.share_scale)
    return plan


def _larger(study: Study) -> Iterator[Decimal]:
    """1, 2 and 5 times powers of ten from the study's epsilon on."""
    power = math.floor(math.log10(study.privacy.epsilon))
    while True:
        for digit in (1, 2, 5):
            epsilon = Decimal(digit).scaleb(power)
            if epsilon > _MOST_EPSILON:
                return
            if epsilon > study.privacy.epsilon:
                yield epsilon
        power += 1


def _works(task: Task[Any, Any], context: StudyContext, epsilon: Decimal) -> bool:
    study = context.study.revised(privacy=context.study.privacy.revised(epsilon=epsilon))
    try:
        _drawable(task, replace(context, study=study))
    except RingfenceError:
        return False
    return True
