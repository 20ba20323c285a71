"""The plan: what a study costs is what it was asked to cost, whatever the study looks like."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.small import context_of, schema_of, study_of

from ringfence.models.catalogue import task_named
from ringfence.models.scorecard import SCORECARD
from ringfence.models.scorecard.plan import FEWEST_RESIDUAL_BITS, design
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.scales import LARGEST_SHARE, SMOOTH_SCALE
from ringfence.privacy.accounting.study import price
from ringfence.privacy.errors import StudyError


def price_of(context: StudyContext) -> float:
    terms = context.study.privacy
    found = price(
        SCORECARD.plan(context), delta=terms.delta, overlap=context.study.overlap(), noise_form=terms.noise
    )
    return found.customer_epsilon


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["0.1", "0.5", "1", "2", "4", "8"]),
    st.integers(3, 12),
    st.sampled_from(["distributed", "local"]),
    st.integers(1, 3),
    st.integers(1, 16),
)
def test_the_price_is_the_epsilon_of_the_study(
    epsilon: str, holders: int, noise: str, overlap: int, iterations: int
) -> None:
    context = context_of(
        holders=holders, privacy={"epsilon": epsilon, "noise": noise}, model={"iterations": iterations}
    )
    study = context.study
    shared = [h.model_copy(update={"overlap": min(overlap, holders)}) for h in study.holders]
    context = StudyContext.of(study.model_copy(update={"holders": tuple(shared)}), context.schema)
    found = price_of(context)
    assert found <= float(epsilon) * (1 + 1e-9)
    assert found >= float(epsilon) * (1 - 1e-3)


def test_shares_of_noise_are_smooth_and_units_are_powers_of_two() -> None:
    for epsilon in ("0.1", "1", "8"):
        for holders in (3, 10):
            context = context_of(holders=holders, privacy={"epsilon": epsilon})
            shape = design(context)
            plan = SCORECARD.plan(context)
            for block in (plan.cohort, *(b for r in plan.rounds for b in r.blocks)):
                assert block.share_scale >= SMOOTH_SCALE * 0.99
            gradient = plan.rounds[2].blocks[0]
            assert gradient.share_scale <= LARGEST_SHARE * 1.01 or shape.residual_bits == FEWEST_RESIDUAL_BITS
            assert shape.residual_bits >= 5
            assert math.log2(shape.count_unit) == int(math.log2(shape.count_unit))


def test_rounds_are_named_and_counted() -> None:
    plan = SCORECARD.plan(context_of(model={"iterations": 3}))
    assert [r.name for r in plan.rounds] == ["histogram", "gradient-1", "gradient-2", "gradient-3"]
    assert [b.name for b in plan.rounds[1].blocks] == ["gradient", "masses", "two-way"]
    assert [b.name for b in SCORECARD.plan(context_of(features=["age"])).rounds[1].blocks] == [
        "gradient",
        "masses",
    ]
    assert plan.reserved_mu_squared > plan.mu_squared


def test_more_colluders_mean_larger_shares() -> None:
    few = SCORECARD.plan(context_of(holders=5))
    many = SCORECARD.plan(context_of(holders=5, privacy={"colluders": 2}))
    assert (few.honest, many.honest) == (4, 2)
    noise = [plan.rounds[0].blocks[0].share_scale / plan.rounds[0].blocks[0].max_abs for plan in (few, many)]
    assert noise[1] > noise[0]


@pytest.mark.parametrize(
    "model", [{"bins": 1}, {"cells": 33}, {"cells": 3}, {"iterations": 0}, {"speed": 3}, {"bins": "many"}]
)
def test_options_out_of_range_are_refused(model: dict[str, object]) -> None:
    with pytest.raises(StudyError):
        SCORECARD.plan(context_of(model=model))


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(StudyError, match="scorecard"):
        task_named("oracle")


def test_a_study_without_features_has_no_price() -> None:
    schema = schema_of()
    study = study_of(schema).model_copy(update={"features": None})
    with pytest.raises(StudyError):
        StudyContext.of(study, schema)


def test_one_feature_alone_has_a_price() -> None:
    context = context_of(features=["age"])
    assert Decimal(str(round(price_of(context), 6))) == Decimal("4.0")
