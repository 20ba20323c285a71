"""The cohort is frozen at the join, only shrinks, and cannot be forged or swapped."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap, FrozenBitMap
from sqlalchemy import text

from ringfence.privacy.consent import Cohort, CohortMembers, ConsentRegistry, tables
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store

PURPOSE = "churn-prediction"
JOIN = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYS = [f"c{i}" for i in range(10)]


def grants(path: Path, keys: list[str], at: str = "2026-01-01", separate: str = "") -> Path:
    row = {
        "event": "granted",
        "purpose": PURPOSE,
        "at": at,
        "notice_id": "n",
        "notice_version": "1",
        "notice_language": "en",
        "notice_digest": "sha256:" + "0" * 64,
        "legal_basis": "consent",
        "separate_consents": separate,
    }
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.DictWriter(stream, ["customer_key", *row])
        out.writeheader()
        out.writerows({"customer_key": key} | row for key in keys)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> ConsentRegistry:
    made = ConsentRegistry.open(open_store(tmp_path / "holder.db"), bytes(range(32)))
    made.import_file(grants(tmp_path / "c.csv", KEYS))
    return made


def freeze(
    registry: ConsentRegistry, keys: list[str] = KEYS, run: str = "run", at: datetime = JOIN
) -> Cohort:
    return Cohort.freeze(registry, study="s", run=run, purpose=PURPOSE, at=at, indices=registry.indices(keys))


def inside(registry: ConsentRegistry, members: CohortMembers, keys: list[str] = KEYS) -> list[str]:
    return [key for key, held in zip(keys, members.holds(registry.indices(keys)), strict=True) if held]


def test_customers_only_leave(registry: ConsentRegistry, tmp_path: Path) -> None:
    registry.withdraw(["c0"], PURPOSE, JOIN - HOUR)
    cohort = freeze(registry, [*KEYS[:6], "stranger"])
    assert inside(registry, cohort.current(registry, JOIN)) == ["c1", "c2", "c3", "c4", "c5"]
    registry.import_file(grants(tmp_path / "later.csv", ["c0", "c8", "fresh"], "2026-06-02"))
    registry.withdraw(["c1"], "all", JOIN + HOUR)
    late = JOIN + 48 * HOUR
    assert inside(registry, cohort.current(registry, JOIN + HOUR)) == ["c2", "c3", "c4", "c5"]
    assert inside(registry, cohort.current(registry, late)) == ["c2", "c3", "c4", "c5"]


def test_a_second_grant_brings_nobody_back_even_after_a_restart(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    cohort = freeze(registry)
    registry.withdraw(["c3"], PURPOSE, JOIN + HOUR)
    assert len(cohort.current(registry, JOIN + HOUR)) == 9
    registry.import_file(grants(tmp_path / "again.csv", ["c3"], "2026-06-02"))
    again = ConsentRegistry.open(registry.engine, bytes(range(32)))
    found = Cohort.load(again, study="s", run="run")
    assert found == cohort
    assert len(again.eligible(PURPOSE, JOIN + 48 * HOUR)) == 10
    assert inside(again, found.current(again, JOIN + 48 * HOUR)) == [k for k in KEYS if k != "c3"]


def test_an_expiry_is_out_as_a_withdrawal_is(registry: ConsentRegistry, tmp_path: Path) -> None:
    cohort = freeze(registry)
    lines = ["customer_key,event,purpose,at", f"c4,expired,{PURPOSE},2026-06-02"]
    (tmp_path / "e.csv").write_text("\n".join(lines) + "\n")
    registry.import_file(tmp_path / "e.csv")
    assert len(cohort.current(registry, JOIN + HOUR)) == 10
    assert len(cohort.current(registry, JOIN + 25 * HOUR)) == 9


def test_a_grant_dated_ahead_counts_from_its_day_on_in_a_registry_that_was_asked_before(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    registry.import_file(grants(tmp_path / "ahead.csv", ["late"], "2026-06-02"))
    counted = [len(registry.eligible(PURPOSE, JOIN + hours * HOUR)) for hours in (0, 12, 36, 12)]
    assert counted == [10, 10, 11, 10]


@pytest.mark.parametrize(("purpose", "left"), [(PURPOSE, 0), ("all", 0), ("fraud-prevention", 1)])
def test_a_refusal_ends_what_was_granted_ahead_for_its_own_purpose_alone(
    registry: ConsentRegistry, tmp_path: Path, purpose: str, left: int
) -> None:
    """An older registry may hold grants dated ahead."""
    ahead = datetime.now(UTC) + 48 * HOUR
    registry.import_file(grants(tmp_path / "ahead.csv", ["late"]))
    mine = tables.event.c.subject == int(registry.indices(["late"])[0])
    with registry.engine.begin() as connection:
        connection.execute(tables.event.update().where(mine).values(at=tables.to_micros(ahead)))
    registry.withdraw(["late"], purpose, datetime.now(UTC))
    late = registry.indices(["late"])
    eligible = registry.eligible(PURPOSE, ahead + HOUR)
    assert int(late[0]) >= 0
    assert (int(late[0]) in eligible) == bool(left)


def test_a_run_is_frozen_once_and_must_be_frozen(registry: ConsentRegistry) -> None:
    freeze(registry)
    with pytest.raises(ConsentError, match="RF-N020"):
        freeze(registry)
    with pytest.raises(ConsentError, match="RF-N021"):
        Cohort.load(registry, study="s", run="another")
    with pytest.raises(ConsentError, match="RF-N021"):
        Cohort(study="s", run="another", purpose=PURPOSE).current(registry, JOIN)
    assert len(freeze(registry, KEYS[:2], run="another").members(registry)) == 2


def test_the_freeze_stands_or_falls_with_the_callers_transaction(registry: ConsentRegistry) -> None:
    indices = registry.indices(KEYS)
    with registry.engine.connect() as connection, connection.begin() as transaction:
        cohort = Cohort.freeze(
            registry, study="s", run="run", purpose=PURPOSE, at=JOIN, indices=indices, connection=connection
        )
        assert len(cohort.members(registry, connection=connection)) == 10
        assert len(cohort.current(registry, JOIN, connection=connection)) == 10
        transaction.rollback()
    with pytest.raises(ConsentError, match="RF-N021"):
        Cohort.load(registry, study="s", run="run")


@pytest.mark.parametrize(
    "forgery",
    [
        "update consent_cohort set members = (select members from consent_cohort where run = 'all') where "
        "run = 'few'",
        "update consent_cohort set members = (select members from consent_cohort where run = 'all'), "
        "seal = (select seal from consent_cohort where run = 'all') where run = 'few'",
        "update consent_cohort set members = x'00' where run = 'few'",
        "update consent_cohort set purpose = 'fraud-prevention' where run = 'few'",
        "update consent_cohort set separate = 'sensitive-data' where run = 'few'",
    ],
)
def test_a_bitmap_changed_by_another_hand_is_refused(registry: ConsentRegistry, forgery: str) -> None:
    freeze(registry, run="all")
    freeze(registry, KEYS[:2], run="few")
    with registry.engine.begin() as connection:
        connection.execute(text(forgery))
    with pytest.raises(ConsentError, match="RF-N022"):
        Cohort.load(registry, study="s", run="few")


def test_separate_consents_are_frozen_with_the_cohort(registry: ConsentRegistry, tmp_path: Path) -> None:
    registry.import_file(grants(tmp_path / "s.csv", KEYS[:3], "2026-02-01", "sensitive-data"))
    cohort = Cohort.freeze(
        registry,
        study="s",
        run="run",
        purpose=PURPOSE,
        at=JOIN,
        indices=registry.indices(KEYS),
        separate=["sensitive-data"],
    )
    members = Cohort.load(registry, study="s", run="run").current(registry, JOIN)
    assert inside(registry, members) == KEYS[:3]
    members.require_separate(["sensitive-data"])
    with pytest.raises(ConsentError, match="RF-N023"):
        members.require_separate(["cross-border"])
    registry.import_file(grants(tmp_path / "less.csv", ["c0"], "2026-03-01"))
    assert inside(registry, cohort.current(registry, JOIN)) == ["c1", "c2"]


def test_members_cannot_be_made_up() -> None:
    with pytest.raises(ConsentError, match="RF-N024"):
        CohortMembers(subjects=FrozenBitMap([1, 2]), separate=(), token=object())


def test_holds_is_membership(registry: ConsentRegistry) -> None:
    members = freeze(registry).current(registry, JOIN)
    asked = np.array([-1, 0, 9, 10, 10**6])
    assert members.holds(asked).tolist() == [False, True, True, False, False]
    nobody = freeze(registry, ["stranger"], run="nobody").current(registry, JOIN)
    assert len(nobody) == 0
    assert not nobody.holds(asked).any()


@given(steps=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_cohort_only_shrinks(tmp_path: Path, steps: list[tuple[int, bool]]) -> None:
    registry = ConsentRegistry.open(open_store(None), bytes(range(32)))
    registry.import_file(grants(tmp_path / "c.csv", KEYS[:8]))
    cohort = freeze(registry)
    before, at = BitMap(cohort.members(registry)), JOIN
    for who, leaves in steps:
        at += HOUR
        if leaves:
            registry.withdraw([KEYS[who]], PURPOSE, at)
        else:
            registry.import_file(grants(tmp_path / "g.csv", [KEYS[who]], at.isoformat()))
        now = BitMap(cohort.current(registry, at).subjects)
        assert now <= before
        assert now <= registry.eligible(PURPOSE, at)
        before = now
