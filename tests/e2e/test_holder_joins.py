"""What a join takes up, reserves, counts and freezes, and what is left of one that fails."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from kits.asking import CUSTOMERS, Asking, Counted

from ringfence.audit.log import AuditLog
from ringfence.clients import joining
from ringfence.clients.rows.splitting import below, split_values
from ringfence.privacy.errors import TableError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.ledger.entries import COHORT_ROUND
from ringfence.privacy.protocol.control import StudyOffer
from ringfence.privacy.wire.envelope import MessageKind

TODAY = datetime(2026, 7, 1, tzinfo=UTC)


def kinds(asking: Asking) -> list[str]:
    """Entries of the bank's ledger after its first."""
    return [entry.kind for entry in asking.bank.ledger.entries()][1:]


def counted(asking: Asking) -> tuple[str, str | None, dict[str, Any], dict[str, Any]]:
    (found,) = asking.bank.log.events(action="cohort.counted")
    private = json.loads(asking.bank.log.open_event(found.seq).private)
    return found.event.outcome, found.event.resource, dict(found.event.public), private


@pytest.mark.parametrize(("shift", "joins"), [(-20, True), (-21, False)])
def test_a_cohort_of_just_the_least_number_joins_and_one_less_is_denied(
    tmp_path: Path, shift: int, joins: bool
) -> None:
    """The contract of the bank asks for ten of its thirty; the count, not the truth, decides."""
    asking = Asking.of(tmp_path, shift=shift, bank={"min_cohort": 10})
    assert asking.offered() == ("join" if joins else "unavailable")
    run = {"run": asking.parties.federation.opened.run}
    if not joins:
        asking.refused("RF-S062", "study.refused")
    assert counted(asking) == (
        "allow" if joins else "deny",
        f"study:{asking.study}",
        run,
        {"rows": CUSTOMERS, "members": CUSTOMERS, "noisy": CUSTOMERS + shift},
    )
    assert asking.charges() == [(COHORT_ROUND, 0)] == [(-1, 0)]
    assert kinds(asking) == ["reserved", "charged", *([] if joins else ["committed"])]
    if not joins:
        assert asking.bank.snapshots.find(asking.study) is None
        assert asking.offered() == "unavailable"
        asking.refused("RF-S064", "study.refused")


def test_only_those_who_consent_are_counted_and_encoded(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    gone = [f"bank-{number}" for number in range(4)]
    asking.bank.registry.withdraw(gone, "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC))
    assert asking.offered() == "join"
    assert counted(asking)[3] == {"rows": 30, "members": 26, "noisy": 26}
    joined = asking.run.joined
    assert len(joined.features.label) == 26
    assert joined.separate == ("provision", "cross-border")
    assert joined.rows.hex() == joined.features.digest().removeprefix("sha256:")
    assert joined.features.names == ("age", "spend", "plan", "active")


@pytest.mark.parametrize("changes", [{"headers": ("key", "age")}, {"contract": "sha256:" + "0" * 64}, {}])
def test_a_copy_of_other_columns_or_terms_or_none_is_not_taken_up(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    asking = Asking.of(tmp_path)
    snapshots, found = asking.bank.snapshots, asking.bank.snapshots.find(asking.study)
    assert found is not None
    if changes:
        file, digest = snapshots.write(asking.study, snapshots.content(found))
        snapshots.put(replace(found, file=file, digest=digest, **changes), lambda _: None)
    else:
        snapshots.forget(asking.study)
    before = [action for action, _ in asking.parties.actions("bank")].count("table.read")
    assert asking.offered() == "unavailable"
    asking.refused("RF-T152", "study.refused")
    assert kinds(asking) == []
    assert [action for action, _ in asking.parties.actions("bank")].count("table.read") == before


def test_what_is_encoded_is_the_table_under_the_study(tmp_path: Path) -> None:
    """Labels, test part and the holder's own column, counted from the file and the signed study."""
    asking = Asking.of(
        tmp_path,
        customers=80,
        model={"iterations": 1, "offsets": "holder"},
        evaluation={"test_fraction": "0.5"},
    )
    assert asking.offered() == "join"
    features, study = asking.run.joined.features, asking.parties.federation.opened.study
    table = pd.read_csv(asking.bank.base / "bank.csv")
    assert int(features.label.sum()) == int((table["churn"] == "yes").sum())
    # Forty of eighty, with a standard deviation of 4.5.
    assert 10 < int(features.is_test.sum()) < 70
    sides = below(split_values([f"bank-{i}" for i in range(80)], joining.split_key(study))[0], Fraction(1, 2))
    assert int(features.is_test.sum()) == int(sides.sum())
    names = sorted(each.name for each in study.holders)
    assert features.names == ("age", "spend", "plan", "active", "(holder)")
    assert set(features.codes[:, -1].tolist()) == {names.index("bank")}


def test_the_cohort_is_frozen_at_the_holders_clock(tmp_path: Path) -> None:
    """Consents begin in 2026: a holder whose clock stands in 2025 has nobody."""
    asking = Asking.of(tmp_path, shift=5)
    asking.replaced(clock=lambda: datetime(2019, 1, 1, tzinfo=UTC))
    assert asking.offered() == "join"
    assert counted(asking)[3] == {"rows": 30, "members": 0, "noisy": 5}


def test_a_holder_that_dies_before_the_count_takes_its_reservation_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reservation is durable and empty: the next offer counts on it, and nothing is reserved twice."""
    asking = Asking.of(tmp_path)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "release", dies)
        with pytest.raises(KeyboardInterrupt):
            asking.offered()
    assert kinds(asking) == ["reserved"]
    asking.restarted()
    assert asking.offered() == "join"
    assert kinds(asking) == ["reserved", "charged"]


def test_a_cohort_that_was_counted_is_taken_up_as_it_was(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    assert asking.offered() == "join"
    before = asking.run.joined
    asking.restarted()
    noise = cast(Counted, asking.bank.noise)
    assert len(noise.asked) == 1
    assert asking.offered() == "join"
    after = asking.run.joined
    assert len(noise.asked) == 1, "nothing is drawn or counted again"
    assert (after.cohort, after.rows, after.reservation.id) == (
        before.cohort,
        before.rows,
        before.reservation.id,
    )
    assert kinds(asking) == ["reserved", "charged"]
    assert [e.event.action for e in asking.bank.log.events()].count("cohort.counted") == 1


def test_a_reservation_of_another_run_is_not_taken_up(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    offer: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    assert asking.ask(offer)[0] == "join"
    asking.restarted()
    later = "ab" * 16
    assert asking.ask(replace(offer, run=later), run=later)[0] == "unavailable"
    asking.refused("RF-S064", "study.refused", run=later)
    assert kinds(asking) == ["reserved", "charged"]
    assert len(asking.bank.ledger.reservations()) == 1
    assert asking.ask(offer)[0] == "join"


def test_a_join_that_fails_leaves_other_studies_alone_and_says_its_own_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)
    other = asking.bank.ledger.reserve("sha256:" + "77" * 32, 0.01)

    def fails(*_: Any) -> None:
        raise TableError("RF-T150", "it cannot be read")  # type: ignore[arg-type]

    monkeypatch.setattr(joining, "consented", fails)
    assert asking.offered() == "unavailable"
    asking.refused("RF-T150", "study.refused")
    assert [each.id for each in asking.bank.ledger.reservations()] == [other.id]
    assert kinds(asking) == ["reserved", "reserved", "charged", "committed"]


def test_where_the_reservation_cannot_be_closed_the_first_fault_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path)

    def fails(*_: Any) -> None:
        raise TableError("RF-T150", "it cannot be read")  # type: ignore[arg-type]

    def full(*_: Any, **__: Any) -> None:
        raise OSError("full")

    monkeypatch.setattr(joining, "consented", fails)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit", full)
        assert asking.offered() == "unavailable"
    asking.refused("RF-T150", "study.refused")
    assert len(asking.bank.ledger.reservations()) == 1


def test_a_count_that_cannot_be_logged_is_not_charged_and_closes_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking.of(tmp_path, shift=-30, bank={"min_cohort": 10})
    record = AuditLog.record

    def fails(self: AuditLog, action: str, *arguments: Any, **rest: Any) -> int:
        sequence = record(self, action, *arguments, **rest)
        if action == "cohort.counted":
            raise OSError("full")
        return sequence

    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "record", fails)
        assert asking.offered() == "unavailable"
    assert kinds(asking) == ["reserved", "committed"]
    assert list(asking.bank.log.events(action="cohort.counted")) == []


def test_people_who_attest_again_and_again_end_a_join_after_four_readings(tmp_path: Path) -> None:
    """As long as another copy comes into force it is read instead; four times, then the join gives up."""
    asking = Asking.of(tmp_path)
    bank, found = asking.bank, asking.bank.snapshots.find(asking.study)
    assert found is not None
    read, at = list[object](), iter(range(1000))

    def find(*_: object) -> Any:
        return replace(found, at=TODAY + timedelta(days=next(at)))

    def fails(attestation: object) -> None:
        read.append(attestation)
        raise TableError("RF-T151", "gone")  # type: ignore[arg-type]

    asking.replaced(snapshots=SimpleNamespace(find=find, content=fails, forget=bank.snapshots.forget))
    assert asking.offered() == "unavailable"
    asking.refused("RF-T151", "study.refused")
    assert len(read) == 4
    read.clear()
    asking.replaced(snapshots=SimpleNamespace(find=lambda *_: found, content=fails))
    assert asking.offered() == "unavailable"
    assert len(read) == 1, "the same copy is not read twice"
    assert kinds(asking) == []
