"""The registry as a whole: what is stored, journalled and remembered, and that nothing is half done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.consent_kit import KEY, NOW, PURPOSE, eligible_keys, grant, write
from kits.journal_kit import Notebook
from sqlalchemy import Engine, select, text

from ringfence.privacy.consent import ConsentRegistry, EventKind
from ringfence.privacy.consent import tables as stored
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store


@pytest.fixture
def engine() -> Any:
    engine = open_store(None)
    yield engine
    engine.dispose()


def test_neither_the_customer_key_nor_the_registry_key_is_stored(tmp_path: Path) -> None:
    engine = open_store(tmp_path / "holder.db")
    registry = ConsentRegistry.open(engine, KEY)
    registry.import_file(write(tmp_path / "c.csv", [grant("customer-77331-secret")]))
    registry.withdraw(["customer-77331-secret"], PURPOSE, NOW)
    engine.dispose()
    data = (tmp_path / "holder.db").read_bytes()
    assert b"77331-secret" not in data
    assert KEY not in data
    assert b"privacy" in data  # the terms are there, so the search above looked at the right bytes


def test_another_key_is_refused_and_gives_other_pseudonyms(engine: Engine) -> None:
    ConsentRegistry.open(engine, KEY)
    ConsentRegistry.open(engine, KEY)
    with pytest.raises(ConsentError) as fault:
        ConsentRegistry.open(engine, bytes(32))
    assert fault.value.code == "RF-N003"
    with pytest.raises(ConsentError) as fault:
        ConsentRegistry.open(engine, b"short")
    assert fault.value.code == "RF-N001"


def test_the_callers_bitmap_is_its_own(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    registry.import_file(write(tmp_path / "c.csv", [grant("a")]))
    registry.eligible(PURPOSE, NOW).clear()
    assert len(registry.eligible(PURPOSE, NOW)) == 1


def test_what_a_rolled_back_transaction_read_is_not_remembered(tmp_path: Path) -> None:
    engine = open_store(tmp_path / "holder.db")
    registry = ConsentRegistry.open(engine, KEY)
    registry.import_file(write(tmp_path / "c.csv", [grant("a"), grant("b")]))
    with engine.connect() as connection, connection.begin() as transaction:
        registry.withdraw(["a", "new"], PURPOSE, NOW, connection=connection)
        assert len(registry.eligible(PURPOSE, NOW, connection=connection)) == 1
        many = [*(f"x{i}" for i in range(3000)), "new"]
        assert registry.indices(many, connection=connection)[-1] >= 0
        transaction.rollback()
    assert eligible_keys(registry, ["a", "b"], NOW) == {"a", "b"}
    assert registry.withdraw(["other"], PURPOSE, NOW) == 1
    assert registry.indices([*(f"x{i}" for i in range(3000)), "new"])[-1] == -1
    engine.dispose()


def test_many_look_ups_agree_with_single_ones(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    keys = [f"c{i}" for i in range(3000)]
    registry.import_file(write(tmp_path / "c.csv", [grant(k) for k in keys[::2]]))
    at_once = registry.indices(keys)
    assert (at_once[::2] >= 0).all()
    assert (at_once[1::2] == -1).all()
    assert [int(registry.indices([k])[0]) for k in keys[:50]] == at_once[:50].tolist()
    assert len(np.unique(at_once)) == 1501


def test_roots_are_keyed_bound_to_the_instant_and_can_be_opened_later(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    registry.import_file(write(tmp_path / "c.csv", [grant("a"), grant("b")]))
    then = registry.snapshot(PURPOSE, NOW)
    assert then.root == registry.root(PURPOSE, NOW)
    assert then.root != registry.root(PURPOSE, NOW + timedelta(seconds=1))
    assert then.root != registry.root("fraud-prevention", NOW)
    registry.withdraw(["a"], PURPOSE, NOW - timedelta(days=1))
    assert registry.root(PURPOSE, NOW) != then.root
    assert registry.snapshot(PURPOSE, NOW, sequence=then.sequence).root == then.root
    other = ConsentRegistry.open(open_store(None), bytes(32))
    other.import_file(tmp_path / "c.csv")
    assert other.root(PURPOSE, NOW) != then.root


def test_erasure_cuts_the_link_for_good(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    registry.import_file(write(tmp_path / "c.csv", [grant("a"), grant("b")]))
    before = int(registry.indices(["a"])[0])
    assert registry.erase(["a"], NOW) == 1
    assert registry.indices(["a"]).tolist() == [-1]
    assert registry.status("a", NOW) == {}
    assert before not in registry.eligible(PURPOSE, NOW)
    with engine.connect() as connection:
        kept = connection.scalars(select(stored.event.c.kind).where(stored.event.c.subject == before)).all()
    assert kept == [EventKind.GRANTED, EventKind.WITHDRAWN]
    registry.import_file(write(tmp_path / "d.csv", [grant("a", "2026-07-01")]))
    assert registry.indices(["a"])[0] not in (-1, before)
    assert before not in registry.eligible(PURPOSE, datetime(2026, 8, 1, tzinfo=UTC))


def test_erasure_cuts_the_link_in_a_process_that_had_looked_everybody_up(
    engine: Engine, tmp_path: Path
) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    keys = [f"c{i}" for i in range(2500)]
    registry.import_file(write(tmp_path / "c.csv", [grant(key) for key in keys[:3]]))
    before = registry.indices(keys)
    assert registry.erase(["c1"], NOW) == 1
    assert registry.indices(["c0", "c1", "c2"]).tolist() == [before[0], -1, before[2]]
    assert registry.status("c1", NOW) == {}
    registry.import_file(write(tmp_path / "d.csv", [grant("c1", "2026-07-01")]))
    assert registry.indices(["c1"])[0] not in (-1, before[1])


def test_imports_and_withdrawals_are_journalled_in_their_transaction(engine: Engine, tmp_path: Path) -> None:
    journal = Notebook()
    registry = ConsentRegistry.open(engine, KEY, journal=journal)
    registry.import_file(write(tmp_path / "c.csv", [grant("a"), grant("b")]))
    registry.withdraw(["a"], PURPOSE, NOW)
    assert registry.withdraw([" ", ""], PURPOSE, NOW) == 0
    with pytest.raises(ConsentError):
        registry.import_file(write(tmp_path / "bad.csv", [grant("", purpose="nothing")]))
    (imported, withdrawn, refused) = journal.events
    assert [event.public for event in journal.events] == [{}] * 3
    assert imported[:2] == ("consent.imported", "allow")
    assert imported.private["rows"] == 2
    assert imported.private["granted"] == 2
    assert imported.within
    assert (withdrawn.action, withdrawn.outcome, withdrawn.within) == ("consent.withdrawn", "allow", True)
    assert withdrawn.private == {"subjects": 1, "new_subjects": 0}
    assert (refused.action, refused.outcome, refused.within) == ("consent.imported", "deny", False)
    assert refused.private == {"faults": 2}


def test_a_journal_that_fails_undoes_the_import(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY, journal=Notebook(fail_at="consent.imported"))
    with pytest.raises(OSError, match="disk full"):
        registry.import_file(write(tmp_path / "c.csv", [grant("a")]))
    with engine.connect() as connection:
        for name in ("subject", "event", "batch", "terms"):
            assert connection.scalar(text(f"select count(*) from consent_{name}")) == 0
    assert registry.indices(["a"]).tolist() == [-1]


def test_bad_questions(engine: Engine) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    with pytest.raises(ConsentError, match="RF-N005"):
        registry.eligible("churn", NOW)
    with pytest.raises(ConsentError, match="RF-N002"):
        registry.eligible(PURPOSE, datetime(2026, 1, 1))
    with pytest.raises(ConsentError, match="RF-N004"):
        registry.withdraw(["a"], PURPOSE, NOW, kind=EventKind.GRANTED)  # type: ignore[arg-type]
