"""A study that cannot go on ends with the model that its released sums make, and says so everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties, federation_of

from ringfence.models.scorecard import Scorecard
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import Release, run_study


def run_until(parties: Parties, first_bad: int) -> Release:
    """Run the study; from one round on a holder's ledger is frozen, so it answers no more."""

    def freeze(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        ledger = parties.holders[name].ledger
        asked = name == "bank" and header.kind == MessageKind.ROUND_CALL and header.round == first_bad
        if asked and not ledger.frozen():
            ledger.freeze("stopped by two people")
        return message

    parties.wire.on_message = freeze
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def test_a_study_whose_evaluation_cannot_be_summed_releases_its_model_unjudged(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path))
    plan = parties.federation.opened.plan
    release = run_until(parties, len(plan.of_part("train")))
    assert isinstance(release.result, Scorecard)
    assert release.figures is None
    assert release.unfinished == "score-range"
    assert release.attempts == (*[1] * len(plan.of_part("train")), plan.max_attempts), (
        "void attempts are told too"
    )
    assert release.holders == ("bank", "partner", "retailer")
    events = [entry.event for entry in parties.federation.coordinator.log.events()]
    told = next(event for event in events if event.action == "model.released")
    assert told.public["unfinished"] == "score-range"
    assert told.public["model"] == release.digest
    assert parties.holders["retailer"].ledger.reservations() == (), "what was not released lapses"
    assert len(parties.holders["bank"].ledger.reservations()) == 1, "a frozen ledger keeps its reservation"


@pytest.mark.parametrize(
    ("task", "model", "stage"),
    [("scorecard", {"iterations": 3}, 3), ("mlp", {"rounds": 6, "hidden": [4]}, 5)],
)
def test_a_study_stopped_in_training_releases_what_its_gradients_make(
    tmp_path: Path, task: str, model: dict[str, Any], stage: int
) -> None:
    parties = Parties.of(federation_of(tmp_path, task=task, model=model))
    release = run_until(parties, stage)
    assert release.unfinished == parties.federation.opened.plan.rounds[stage].name
    assert release.figures is None
    assert release.digest.startswith("sha256:")
