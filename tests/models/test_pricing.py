"""A study whose noise cannot be drawn is refused in words of the study, with an epsilon that would do."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from kits.small import context_of, schema_of, study_of

from ringfence.models.catalogue import task_named
from ringfence.models.pricing import planned, price_of
from ringfence.models.task import StudyContext
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import BudgetError, StudyError
from ringfence.server.coordinator import sign_study

TASK = task_named("scorecard")


@pytest.mark.parametrize("epsilon", ["0.000000001", "0.0000002"])
def test_an_epsilon_far_too_small_names_one_that_works(epsilon: str) -> None:
    context = context_of(privacy={"epsilon": epsilon})
    with pytest.raises(StudyError, match=r"RF-S068: epsilon .* at least about ") as caught:
        planned(TASK, context)
    named = re.search(r"at least about ([0-9.]+[0-9])\.", str(caught.value))
    assert named is not None
    least = Decimal(named[1])
    assert Decimal(epsilon) < least <= Decimal("0.01")
    study = context.study.revised(privacy=context.study.privacy.revised(epsilon=least))
    enough = StudyContext.of(study, context.schema)
    assert price_of(study, planned(TASK, enough)).customer_epsilon <= float(least) * (1 + 1e-9)


def test_the_coordinator_does_not_sign_it() -> None:
    schema = schema_of()
    with pytest.raises(StudyError, match="RF-S068"):
        sign_study(
            Identity.generate("coordinator"), study_of(schema, privacy={"epsilon": "0.000000001"}), schema
        )


def test_a_study_that_can_be_drawn_keeps_its_plan() -> None:
    context = context_of()
    assert planned(TASK, context) == TASK.plan(context)


def test_other_faults_of_a_plan_are_told_as_they_are() -> None:
    context = context_of()

    def finer(asked: StudyContext):  # type: ignore[no-untyped-def]
        plan = TASK.plan(asked)
        return replace(plan, cohort=replace(plan.cohort, share_scale=0.5))

    with pytest.raises(BudgetError, match="RF-B001"):
        planned(replace(TASK, plan=finer), context)


def test_when_no_epsilon_helps_the_fault_is_told_as_it_is() -> None:
    context = context_of()

    def huge(asked: StudyContext):  # type: ignore[no-untyped-def]
        plan = TASK.plan(asked)
        return replace(plan, cohort=replace(plan.cohort, share_scale=2.0**30))

    with pytest.raises(BudgetError, match="RF-B002"):
        planned(replace(TASK, plan=huge), context)
