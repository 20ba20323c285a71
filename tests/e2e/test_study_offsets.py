"""Holders whose base rates differ: each gets points of its own, where the study says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kits.parties import federation_of
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.models.task import HOLDER_FEATURE, with_offset
from ringfence.privacy.errors import StudyError
from ringfence.simulations.federation import run_in_process
from ringfence.simulations.reference import run_reference


def test_every_holder_has_points_of_its_own(tmp_path: Path) -> None:
    federation = federation_of(tmp_path, customers=900, privacy={"epsilon": "8"}, model={"offsets": "holder"})
    outcome, _ = run_in_process(federation)
    card = outcome.release.result
    assert isinstance(card, Scorecard)
    part = card.parts[-1]
    assert part.name == HOLDER_FEATURE
    assert sorted(", ".join(b.label for b in part.bins).split(", ")) == ["bank", "partner", "retailer"]
    assert federation.opened.context.features[-1] == HOLDER_FEATURE
    assert len(outcome.predictions) > 300


def test_offsets_find_the_base_rates() -> None:
    context = context_of(privacy={"epsilon": "8"}, model={"offsets": "holder"})
    rows = []
    for place, name in enumerate(("holder-0", "holder-1", "holder-2")):
        features = matrix_of(context, frame_of(4000, place))
        flip = np.random.default_rng(place).random(len(features.label)) < 0.6 * (place == 2)
        features.label[flip] = 1
        rows.append(with_offset(context.study, name, features))
    card = run_reference(context, rows, task=SCORECARD)
    weights = {b.label: b.weight / 2**16 for b in card.parts[-1].bins}
    assert weights["holder-2"] > max(weights["holder-0"], weights["holder-1"]) + 0.5


def test_offsets_of_another_kind_are_refused() -> None:
    with pytest.raises(StudyError) as caught:
        SCORECARD.plan(context_of(model={"offsets": "branch"}))
    assert caught.value.code == "RF-S055"
