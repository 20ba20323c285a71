"""A table that is attested while a holder joins: one copy is settled for, the one that was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties, federation_of

from ringfence.clients import attesting
from ringfence.clients.agent import Agent
from ringfence.clients.attesting import attest
from ringfence.clients.records.snapshots import Attestation, Snapshots
from ringfence.privacy.errors import StudyError, TableError
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.membership import offer

NAMES = ("bank", "retailer", "partner")


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    contracts = {name: {"min_cohort": 1} for name in NAMES}
    return Parties.of(federation_of(tmp_path, customers=60, contracts=contracts))


def offered(parties: Parties, times: int = 1) -> list[str]:
    """Kinds of the bank's replies to so many offers of the study."""
    for _ in range(times):
        offer(parties.federation.coordinator, parties.federation.opened, parties.wire, names=["bank"])
    return [read_header(reply).kind for name, _, reply in parties.wire.sent if name == "bank"][-times:]


def in_force(parties: Parties) -> Attestation:
    found = parties.holders["bank"].snapshots.find(parties.federation.opened.digest)
    assert found is not None
    return found


def attested_again(parties: Parties) -> Attestation:
    """The bank's people attest the table after its last row was deleted."""
    bank = parties.holders["bank"]
    file = bank.base / "bank.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    return attest(bank.premises, parties.federation.opened.study, datetime.now(UTC)).attestation


def once(do: Callable[[], object]) -> Callable[[], None]:
    """Do something at the first call only."""
    left = [do]

    def call() -> None:
        if left:
            left.pop()()

    return call


def members(parties: Parties) -> int:
    (run,) = parties.agents["bank"]._runs.values()
    return int(run.joined.features.codes.shape[0])


def test_a_table_attested_anew_while_a_holder_joins_is_the_one_that_is_joined_with(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old copy is read already (or its file is gone); nothing is reserved for it."""
    bank, before = parties.holders["bank"], in_force(parties)
    read, again = Snapshots.content, once(lambda: attested_again(parties))

    def slow(self: Snapshots, attestation: Attestation) -> bytes:
        content = read(self, attestation)
        again()
        return content

    monkeypatch.setattr(Snapshots, "content", slow)
    assert offered(parties) == ["join"]
    assert in_force(parties) != before
    assert members(parties) == 59
    assert len(bank.ledger.reservations()) == 1
    assert [file.name for file in bank.snapshots.folder.iterdir()] == [in_force(parties).file]
    # A process that begins anew reads the very copy that the cohort was counted on.
    parties.agents["bank"] = Agent(holder=bank, report=parties.said["bank"].append)
    parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)
    assert offered(parties) == ["join"]
    assert members(parties) == 59


def test_a_study_that_begins_while_its_table_is_attested_keeps_the_copy_it_began_with(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, before = parties.holders["bank"], in_force(parties)
    read = attesting.read_table

    def slow(*words: Any) -> Any:
        table = read(*words)
        assert offered(parties) == ["join"]
        return table

    monkeypatch.setattr(attesting, "read_table", slow)
    with pytest.raises(StudyError, match="RF-S321"):
        attested_again(parties)
    assert in_force(parties) == before
    assert [file.name for file in bank.snapshots.folder.iterdir()] == [before.file]
    assert members(parties) == 60


def test_a_copy_that_others_made_meanwhile_is_not_displaced_by_a_table_that_fails(parties: Parties) -> None:
    snapshots, before = parties.holders["bank"].snapshots, in_force(parties)
    failed = replace(before, digest="", file="", fault="RF-T040: it does not pass")
    told: list[object] = []
    snapshots.put(failed, told.append)
    assert len(told) == 1
    assert in_force(parties) == before
    assert snapshots.content(before)
    snapshots.put(replace(failed, contract="sha256:" + 64 * "0"), told.append)
    assert in_force(parties).fault, "another contract's copy serves nobody"


def test_what_is_not_settled_leaves_everything_as_it_was(parties: Parties) -> None:
    snapshots, before = parties.holders["bank"].snapshots, in_force(parties)

    def refuse(_connection: object) -> None:
        raise StudyError("RF-S321", "no")

    file, digest = snapshots.write(before.study, b"another copy")
    with pytest.raises(StudyError):
        snapshots.put(replace(before, file=file, digest=digest), lambda _: None, refuse)
    with pytest.raises(StudyError):
        snapshots.forget(before.study, refuse)
    assert in_force(parties) == before
    assert [each.name for each in snapshots.folder.iterdir()] == [before.file]


def test_a_copy_that_is_deleted_while_a_holder_joins_is_not_settled_for(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, known, read = parties.holders["bank"], in_force(parties), Snapshots.content

    def slow(self: Snapshots, attestation: Attestation) -> bytes:
        content = read(self, attestation)
        self.forget(attestation.study)
        return content

    monkeypatch.setattr(Snapshots, "content", slow)
    assert offered(parties) == ["unavailable"]
    assert bank.ledger.reservations() == ()
    assert bank.ledger.charged().mu_squared == 0
    with bank.engine.begin() as connection, pytest.raises(TableError, match="RF-T170"):
        bank.snapshots.require(known, connection)


def test_an_offer_that_is_repeated_after_joining_writes_no_more_events(parties: Parties) -> None:
    assert offered(parties) == ["join"]
    events = len(list(parties.holders["bank"].log.events()))
    assert set(offered(parties, 20)) == {"join"}
    assert len(list(parties.holders["bank"].log.events())) == events
