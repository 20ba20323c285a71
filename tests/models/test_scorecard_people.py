"""What people demand of a card beyond its accuracy: directions, reasons, and a card from a study that ended
early.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.models.scorecard.holder import PARAMETER_BITS
from ringfence.models.scorecard.parts import FACTOR
from ringfence.models.scorecard.prior import prior_of
from ringfence.models.scorecard.reasons import reasons
from ringfence.models.scorecard.scoring import scores
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import StudyError
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import Aggregate, Query


def fit(
    context: StudyContext, rows: FeatureMatrix, *, noisy: bool = True, rounds: int | None = None
) -> Scorecard | None:
    """One holder's sums with or without its share; after so many rounds, what there is."""
    plan = SCORECARD.plan(context)
    state, first = SCORECARD.start(context)
    step: object = first
    while isinstance(step, Query):
        if rounds is not None and step.round == rounds:
            assert SCORECARD.so_far is not None
            return SCORECARD.so_far(context, state)
        lengths = SCORECARD.lengths(context, step)
        blocks = dict(SCORECARD.contribute(context, step, rows).blocks)
        if noisy:
            share = OsNoise().share(plan.rounds[step.round], lengths, plan.honest).blocks
            blocks = {name: values + share[name] for name, values in blocks.items()}
        state, step = SCORECARD.step(context, state, Aggregate(round=step.round, holders=1, blocks=blocks))
    assert isinstance(step, Scorecard)
    return step


def age_weights(card: Scorecard | None) -> list[int]:
    assert card is not None
    part = next(part for part in card.parts if part.name == "age")
    # No age is missing here, but where noise counts some, they get a bin of their own that follows no order.
    return [b.weight for b in part.bins if b.label != "(missing)"]


@pytest.mark.parametrize(("direction", "sign"), [("rising", 1), ("falling", -1)])
def test_points_follow_the_direction_that_is_demanded(direction: str, sign: int) -> None:
    # Churn falls with age here, so "rising" goes against the evidence: all ages then share their points.
    context = context_of(privacy={"epsilon": "1"}, model={direction: ["age"]})
    weights = np.array(age_weights(fit(context, matrix_of(context, frame_of(4000)))))
    assert np.all(sign * np.diff(weights) >= -1)
    if direction == "rising":
        assert np.ptp(weights) <= 1


def test_without_a_demand_noise_may_break_the_order() -> None:
    context = context_of(privacy={"epsilon": "1"})
    # Labels by chance follow no order either.
    rows = matrix_of(context, frame_of(4000))
    rows = replace(rows, label=np.random.default_rng(1).permutation(rows.label))
    broken = [np.any(np.diff(age_weights(fit(context, rows))) > 1) for _ in range(12)]
    assert any(broken)


@pytest.mark.parametrize(
    "model", [{"rising": ["plan"]}, {"rising": ["nothing"]}, {"rising": ["age"], "falling": ["age"]}]
)
def test_a_direction_for_what_has_none_is_refused(model: dict[str, list[str]]) -> None:
    with pytest.raises(StudyError) as caught:
        SCORECARD.plan(context_of(model=model))
    assert caught.value.code == "RF-S054"


def test_reasons_are_the_features_that_move_a_score_most() -> None:
    context = context_of()
    rows = matrix_of(context, frame_of(3000))
    card = fit(context, rows)
    assert card is not None
    told = reasons(card, context, rows, most=4)
    weights = card.weights(context, rows)
    moved = (weights - np.array([average for _, average in card.terms])) * FACTOR / 2**PARAMETER_BITS
    best = np.argmax(moved, axis=1)
    names = np.array([name for name, _ in card.terms], dtype=object)
    some = moved[np.arange(len(moved)), best] > 0
    assert np.array_equal(told["feature_1"].to_numpy()[some], names[best][some])
    assert np.allclose(told["points_1"].to_numpy()[some], moved.max(axis=1)[some], atol=0.51)
    points = told[[f"points_{i}" for i in range(1, 5)]].to_numpy()
    assert np.all(np.diff(points, axis=1) <= 0)
    assert np.all(points >= 0)
    low = reasons(card, context, rows, most=1, raising=False)
    assert np.all(low["points_1"] <= 0)
    assert abs(moved.mean()) < 1.0, "the average customer has no reasons"


def test_a_study_that_ends_early_has_the_card_of_its_gradients() -> None:
    context = context_of()
    rows = matrix_of(context, frame_of(3000))
    assert fit(context, rows, rounds=1) is None, "a histogram makes no card"
    early = fit(context, rows, noisy=False, rounds=3)
    whole = fit(context, rows, noisy=False)
    assert early is not None
    assert whole is not None
    assert early.digest() != whole.digest()
    pair = early.scores(context, rows), whole.scores(context, rows)
    assert np.corrcoef(*pair)[0, 1] > 0.95


def test_a_prior_card_is_kept_where_there_is_no_evidence_and_left_where_there_is() -> None:
    first = context_of(privacy={"epsilon": "20"})
    rows = matrix_of(first, frame_of(6000))
    card = fit(first, rows)
    assert card is not None
    prior = list(prior_of(card, first))
    test = matrix_of(first, frame_of(3000, 4))
    warm = context_of(model={"prior": prior})
    state, query = SCORECARD.start(warm)
    blocks = SCORECARD.contribute(warm, query, rows).blocks
    _, asked = SCORECARD.step(warm, state, Aggregate(round=0, holders=1, blocks=blocks))
    assert isinstance(asked, Query)
    first_scores = scores(warm, asked, test)
    assert np.corrcoef(first_scores, card.scores(first, test))[0, 1] > 0.97, (
        "the first gradient is taken at the prior"
    )
    assert abs(first_scores.mean() - card.scores(first, test).mean()) < 0.2 * 2**PARAMETER_BITS
    against = context_of(privacy={"epsilon": "20"}, model={"prior": [-each for each in prior]})
    turned = fit(against, matrix_of(against, frame_of(6000)))
    assert turned is not None
    assert np.corrcoef(turned.scores(against, test), card.scores(first, test))[0, 1] > 0.9


def test_a_prior_for_other_cells_is_refused() -> None:
    with pytest.raises(StudyError) as caught:
        SCORECARD.plan(context_of(model={"prior": [0, 1, 2]}))
    assert caught.value.code == "RF-S056"
