"""A study without a label is refused where it is signed and where it is admitted, before any charge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kits.parties import Parties, federation_of
from kits.small import schema_of, study_of

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import StudyError
from ringfence.server.coordinator import sign_study
from ringfence.server.membership import offer


def test_a_coordinator_cannot_sign_it() -> None:
    schema = schema_of()
    study = study_of(schema, label=None)
    with pytest.raises(StudyError, match="RF-S020"):
        sign_study(Identity.generate(), study, schema)


def test_a_holder_does_not_admit_it_and_sets_nothing_aside(tmp_path: Path) -> None:
    """A dishonest coordinator has signed it by other means; it was charged once before it was refused."""
    federation = federation_of(tmp_path)
    opened, identity = federation.opened, federation.coordinator.identity
    study = opened.study.revised(label=None)
    unlabelled = replace(
        opened,
        document=SignedDocument(kind="study", body=study.canonical()).signed_by(identity),
        context=replace(opened.context, study=study),
    )
    parties = Parties.of(replace(federation, opened=unlabelled))
    members = offer(federation.coordinator, unlabelled, parties.wire)
    assert members.keys == {}
    for name, holder in parties.holders.items():
        assert parties.said[name][0].startswith("RF-S020")
        assert [entry.kind for entry in holder.ledger.entries()] == ["created"]
        assert parties.actions(name)[-1] == ("study.refused", "deny")
