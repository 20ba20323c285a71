"""A card as a file: read back as it was, refused when it is of another version or none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.models.scorecard.prior import with_prior
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import StudyError
from ringfence.simulations.reference import central, run_reference


def made() -> tuple[StudyContext, Scorecard]:
    context = central(context_of())
    card = run_reference(context, [matrix_of(context, frame_of(2000))], task=SCORECARD)
    assert isinstance(card, Scorecard)
    return context, card


def test_a_card_is_read_as_it_was_written() -> None:
    context, card = made()
    read = Scorecard.from_json(json.dumps(card.to_dict()))
    assert read.to_dict() == card.to_dict()
    assert read.digest() == card.digest()
    rows = matrix_of(context, frame_of(300, 3))
    assert np.array_equal(read.scores(context, rows), card.scores(context, rows))


def test_what_is_no_card_is_refused() -> None:
    _, card = made()
    whole = card.to_dict()
    astray = json.loads(json.dumps(whole))
    astray["features"][0]["cells"][0] = 99
    for text in ("", "[]", "{", "{}", json.dumps({"format": whole["format"]}), json.dumps(astray)):
        with pytest.raises(StudyError) as caught:
            Scorecard.from_json(text)
        assert caught.value.code == "RF-S058"
    with pytest.raises(StudyError) as caught:
        Scorecard.from_json(json.dumps(whole | {"format": "ringfence-scorecard-9"}))
    assert caught.value.code == "RF-S059"


def test_a_study_takes_a_card_as_its_prior_or_says_why_not() -> None:
    context, card = made()
    bare = context.study.model_copy(update={"features": None})
    warm = with_prior(bare, context.schema, card)
    assert warm.features == tuple(part.name for part in card.parts)
    assert len(warm.model["prior"]) == sum(grid.size for grid in context.grids)
    fewer = context.study.model_copy(update={"features": ("age", "spend")})
    with pytest.raises(StudyError) as caught:
        with_prior(fewer, context.schema, card)
    assert caught.value.code == "RF-S258"
