"""Warm start from a released scorecard, and personalisation as a pure function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.neural.holder import rows_of
from ringfence.models.neural.network import Network
from ringfence.models.neural.personal import mean_regularised
from ringfence.models.neural.plan import design
from ringfence.models.scorecard.card import Scorecard
from ringfence.models.scorecard.parts import Bin, FeaturePart
from ringfence.models.scorecard.prior import prior_of
from ringfence.privacy.errors import StudyError


def card_of(context: Any) -> Scorecard:
    """A card of two bins a feature, any weights."""
    rng = np.random.default_rng(1)
    parts = []
    for name, grid in zip(context.features, context.grids, strict=True):
        bins = tuple(
            Bin(label=str(b), weight=int(rng.integers(-60_000, 60_000)), customers=0) for b in range(2)
        )
        parts.append(
            FeaturePart(name=name, cells=tuple(int(b) for b in rng.integers(0, 2, grid.size)), bins=bins)
        )
    return Scorecard(
        study="s", schema=context.schema.digest(), label="churn", positive="yes", parts=tuple(parts)
    )


def test_a_network_of_zeros_with_a_cards_prior_scores_as_the_card() -> None:
    scored = context_of()
    card = card_of(scored)
    context = context_of(task="mlp", model={"prior": list(prior_of(card, scored))})
    shape = design("mlp", context)
    rows = matrix_of(context, frame_of(300))
    network = Network.of(shape.architecture, np.zeros(shape.architecture.length, dtype=np.int64))
    assert np.array_equal(network.scores(rows_of(shape, rows)), card.scores(scored, rows))


def test_a_card_over_other_features_is_no_prior() -> None:
    context = context_of()
    card = card_of(context)
    short = replace(card.parts[0], cells=card.parts[0].cells[1:])
    others = (
        replace(card, parts=card.parts[1:]),
        replace(card, parts=(short, *card.parts[1:])),
        replace(card, schema="sha256:" + "0" * 64),
    )
    for other in others:
        with pytest.raises(StudyError) as error:
            prior_of(other, context)
        assert error.value.code == "RF-S258"


@given(st.floats(0, 1e6), st.floats(1e-3, 10))
def test_own_weights_move_towards_the_common_ones_and_never_past_them(pull: float, rate: float) -> None:
    own, common = np.array([2.0, -1.0]), np.array([0.0, 0.0])
    moved = mean_regularised(own, common, np.zeros(2), rate=rate, pull=pull)
    assert np.all(np.abs(moved) <= np.abs(own))
    assert np.all(moved * own >= 0)
    alone = mean_regularised(own, common, np.ones(2), rate=rate, pull=0.0)
    assert np.allclose(alone, own - rate)
