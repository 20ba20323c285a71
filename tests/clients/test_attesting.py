"""Attesting a table: what is kept of the verdict, what its events say, when it may no more be done."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kits.asking import Asking

from ringfence.audit.log import AuditLog
from ringfence.clients import attesting
from ringfence.clients.attesting import attest, passing
from ringfence.clients.records.offers import MOST_REFUSALS
from ringfence.clients.records.snapshots import Attestation
from ringfence.privacy.errors import StudyError, TableError

NOW = datetime(2026, 8, 9, 10, 11, 12, tzinfo=UTC)


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking.of(tmp_path)


def events(asking: Asking, size: int) -> list[tuple[Any, ...]]:
    """The bank's events from a size of its log on, private parts opened."""
    log = asking.bank.log
    return [
        (
            each.event.action,
            each.event.outcome,
            each.event.resource,
            dict(each.event.public),
            json.loads(log.open_event(each.seq).private),
        )
        for each in list(log.events())[size:]
    ]


def expected(asking: Asking, verdict: dict[str, Any]) -> list[tuple[Any, ...]]:
    public = {"contract": asking.bank.contract.digest(), "purpose": "churn-prediction", "use": "attestation"}
    resource, columns = f"study:{asking.study}", ["active", "age", "churn", "plan", "spend"]
    return [
        ("table.read", "allow", resource, public, {"columns": columns}),
        ("table.assessed", "allow", resource, public, verdict),
    ]


def in_force(asking: Asking) -> Attestation:
    found = asking.bank.snapshots.find(asking.study)
    assert found is not None
    return found


def attested(asking: Asking) -> Any:
    return attest(asking.bank.premises, asking.parties.federation.opened.study, NOW)


def test_a_table_that_passes_is_kept_with_what_it_was_read_under(asking: Asking) -> None:
    size, bank = asking.bank.log.size, asking.bank
    made = attested(asking)
    found, study = in_force(asking), asking.parties.federation.opened.study
    content = bank.snapshots.content(found)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    assert made.attestation == found
    assert found == Attestation(
        study=asking.study,
        contract=bank.contract.digest(),
        headers=("key", "churn", "age", "spend", "plan", "active"),
        at=NOW,
        expires=study.expires,
        digest=digest,
        file=found.file,
        fault="",
    )
    assert made.quality.passed
    assert events(asking, size) == expected(asking, {"passed": True, "rows": 30, "snapshot": digest})


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (TableError("RF-T150", "damaged"), "RF-T150", "RF-T150: damaged"),  # type: ignore[arg-type]
        (OverflowError("a row of 2026 days"), "OverflowError", "OverflowError"),
    ],
)
def test_a_fault_is_kept_for_its_people_and_its_text_for_nobody_else(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: str, told: str
) -> None:
    asking.bank.snapshots.forget(asking.study)
    size = asking.bank.log.size

    def fails(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(attesting, "read_table", fails)
    with pytest.raises(type(fault)):
        attested(asking)
    found = in_force(asking)
    assert (found.fault, found.digest, found.file, found.passed) == (told, "", "", False)
    assert (found.contract, found.at) == (asking.bank.contract.digest(), NOW)
    assert events(asking, size) == expected(asking, {"passed": False, "reasons": [code]})
    assert passing(asking.bank.snapshots, asking.study, asking.bank.contract.digest()) is None


def test_what_passes_under_a_contract(asking: Asking) -> None:
    snapshots, contract = asking.bank.snapshots, asking.bank.contract.digest()
    assert passing(snapshots, asking.study, contract) == in_force(asking)
    assert passing(snapshots, asking.study, "sha256:" + "0" * 64) is None
    assert passing(snapshots, "sha256:" + "0" * 64, contract) is None


def test_a_study_that_has_begun_is_not_attested_and_nothing_is_read(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asking.offered() == "join"
    size = asking.bank.log.size
    monkeypatch.setattr(attesting, "read_table", lambda *_: pytest.fail("it was read"))
    with pytest.raises(StudyError, match="RF-S321"):
        attested(asking)
    assert asking.bank.log.size == size


def test_a_study_that_begins_while_its_table_is_read_keeps_what_it_began_with(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, before, read = asking.bank, in_force(asking), attesting.read_table

    def slow(*words: Any) -> Any:
        bank.ledger.reserve(asking.study, 0.01)
        return read(*words)

    monkeypatch.setattr(attesting, "read_table", slow)
    with pytest.raises(StudyError, match="RF-S321"):
        attested(asking)
    assert in_force(asking) == before
    assert asking.parties.actions("bank")[-1] == ("budget.reserved", "allow")


def test_a_study_that_is_not_allowed_is_not_attested_and_nothing_is_read(asking: Asking) -> None:
    size = asking.bank.log.size
    late = datetime(2036, 1, 1, tzinfo=UTC)
    with pytest.raises(StudyError, match="RF-S041"):
        attest(asking.bank.premises, asking.parties.federation.opened.study, late)
    assert asking.bank.log.size == size


@pytest.mark.parametrize("passes", [True, False])
def test_attesting_opens_a_study_that_was_refused_too_often(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    bank = asking.bank
    with bank.engine.begin() as connection:
        while bank.offers.refused(asking.study, connection=connection):
            pass
    with pytest.raises(StudyError, match="64 times"):
        bank.offers.check(asking.study)
    assert MOST_REFUSALS == 64
    if not passes:
        monkeypatch.setattr(attesting, "kept", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            attested(asking)
    else:
        attested(asking)
    bank.offers.check(asking.study)


def test_a_verdict_that_cannot_be_logged_is_not_in_force(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, before, record = asking.bank, in_force(asking), AuditLog.record
    with bank.engine.begin() as connection:
        while bank.offers.refused(asking.study, connection=connection):
            pass

    def fails(self: AuditLog, action: str, *arguments: Any, **rest: Any) -> int:
        sequence = record(self, action, *arguments, **rest)
        if action == "table.assessed":
            raise OSError("full")
        return sequence

    monkeypatch.setattr(AuditLog, "record", fails)
    with pytest.raises(OSError, match="full"):
        attested(asking)
    assert in_force(asking) == before
    assert [each.name for each in bank.snapshots.folder.iterdir()] == [before.file]
    with pytest.raises(StudyError, match="RF-S320"):
        bank.offers.check(asking.study)
