"""Who may be used when: the plain reading of the log, whatever asks."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.consent_kit import KEY, NOTICE, NOW, PURPOSE, eligible_keys, grant, refusal, write
from pyroaring import BitMap
from sqlalchemy import Engine

from ringfence.privacy.consent import ALL_PURPOSES, ConsentRegistry, EventKind
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store


@pytest.fixture
def engine() -> Any:
    engine = open_store(None)
    yield engine
    engine.dispose()


def test_each_kind_of_event(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    rows = [grant(k) for k in ("yes", "withdrawn", "objected", "expired", "refused", "all", "renewed")]
    rows += [
        refusal("withdrawn", "withdrawn", "2026-02-01"),
        refusal("objected", "objected", "2026-02-01"),
        refusal("expired", "expired", "2026-02-01"),
        refusal("refused", "refused", "2026-02-01"),
        refusal("all", "withdrawn", "2026-02-01", ALL_PURPOSES),
        refusal("renewed", "withdrawn", "2026-02-01"),
        grant("renewed", "2026-03-01", event="renewed"),
        grant("ended", valid_until="2026-05-31"),
        grant("later", valid_from="2026-07-01"),
        grant("future", at="2026-09-01"),
        grant("other-purpose", purpose="fraud-prevention"),
    ]
    report = registry.import_file(write(tmp_path / "c.csv", rows))
    keys = [*sorted({row["customer_key"] for row in rows}), "stranger"]
    assert eligible_keys(registry, keys, NOW) == {"yes", "renewed"}
    assert eligible_keys(registry, keys, datetime(2026, 1, 15, tzinfo=UTC)) == {
        "yes",
        "withdrawn",
        "objected",
        "expired",
        "refused",
        "all",
        "renewed",
        "ended",
    }
    assert eligible_keys(registry, keys, datetime(2026, 10, 1, tzinfo=UTC)) == {
        "yes",
        "renewed",
        "later",
        "future",
    }
    assert eligible_keys(registry, keys, NOW, "fraud-prevention") == {"other-purpose"}
    assert report.rows == len(rows)
    assert report.new_subjects == len(keys) - 1
    assert report.by_kind["withdrawn"] == 3
    assert registry.indices(["stranger"]).tolist() == [-1]


def test_an_old_grant_that_arrives_late_revives_nobody(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    registry.withdraw(["a", "b"], PURPOSE, datetime(2026, 3, 1, tzinfo=UTC))
    registry.import_file(write(tmp_path / "c.csv", [grant("a", "2026-01-01"), grant("b", "2026-04-01")]))
    assert eligible_keys(registry, ["a", "b"], NOW) == {"b"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_refusal_wins_at_the_same_instant(engine: Engine, tmp_path: Path, order: int) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    rows = [grant("a", "2026-02-01"), refusal("a", "withdrawn", "2026-02-01")][::order]
    registry.import_file(write(tmp_path / "c.csv", rows))
    assert eligible_keys(registry, ["a"], NOW) == set()
    assert not registry.status("a", NOW)[PURPOSE].eligible


def test_validity_holds_from_its_first_instant_and_ends_before_its_last(
    engine: Engine, tmp_path: Path
) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    end = "2026-03-01T10:00:00+08:00"
    registry.import_file(write(tmp_path / "c.csv", [grant("a", valid_from="2026-02-01", valid_until=end)]))
    first, last = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, 2, tzinfo=UTC)
    tick = timedelta(microseconds=1)
    answers = [bool(registry.eligible(PURPOSE, at)) for at in (first - tick, first, last - tick, last)]
    assert answers == [False, True, True, False]


def test_a_separate_consent_is_asked_for_besides(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    rows = [grant("a", separate_consents="sensitive-data; cross-border"), grant("b")]
    registry.import_file(write(tmp_path / "c.csv", rows))
    both = registry.indices(["a", "b"])
    assert registry.eligible(PURPOSE, NOW) == BitMap(both.astype(np.uint32))
    only = registry.eligible(PURPOSE, NOW, separate=["sensitive-data"])
    assert only == BitMap([int(both[0])])
    with pytest.raises(ConsentError, match="RF-N006"):
        registry.eligible(PURPOSE, NOW, separate=["everything"])


def test_bitmaps_are_brought_up_to_date_as_if_folded_anew(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    keys = [f"c{i}" for i in range(200)]
    draw = random.Random(7)
    registry.import_file(write(tmp_path / "0.csv", [grant(k, valid_until="2026-08-01") for k in keys]))
    at = NOW
    for step in range(12):
        some = draw.sample(keys, 20)
        if step % 3 == 2:
            stamp = at.isoformat()
            registry.import_file(
                write(tmp_path / f"{step}.csv", [grant(k, stamp, event="renewed") for k in some]), now=at
            )
        else:
            registry.withdraw(some, ALL_PURPOSES if step % 2 else PURPOSE, at)
        at += timedelta(days=draw.choice([0, 1, 30]))
        fresh = ConsentRegistry.open(engine, KEY)
        assert registry.eligible(PURPOSE, at) == fresh.eligible(PURPOSE, at)
    assert 0 < len(registry.eligible(PURPOSE, at)) < len(keys)


def test_status_shows_the_record_and_knows_no_strangers(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    registry.import_file(write(tmp_path / "c.csv", [grant("a", valid_until="2027-01-01")]))
    assert registry.status("stranger", NOW) == {}
    (status,) = registry.status(" a ", NOW).values()
    assert status.kind is EventKind.GRANTED
    assert status.eligible
    assert status.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert status.valid_until == datetime(2027, 1, 1, tzinfo=UTC)
    assert status.terms is not None
    assert status.terms["notice"] == {"id": "privacy", "version": "3", "language": "zh", "digest": NOTICE}
    assert status.terms["party"]["recipients"] == ["Corner Shop", "North Bank"]
    assert status.terms["processing"]["dpvLegalBasis"] == "dpv:Consent"
    registry.withdraw(["a"], ALL_PURPOSES, NOW)
    now = registry.status("a", NOW)
    assert now[PURPOSE].kind is EventKind.WITHDRAWN
    assert now["fraud-prevention"].valid_until is None


def test_coverage_counts_every_subject_once(engine: Engine, tmp_path: Path) -> None:
    registry = ConsentRegistry.open(engine, KEY)
    rows = [grant("a"), grant("b", valid_until="2026-02-01"), grant("c", valid_from="2026-12-01")]
    rows += [
        refusal(k, e, "2026-02-01")
        for k, e in (("d", "refused"), ("e", "withdrawn"), ("f", "objected"), ("g", "expired"))
    ]
    registry.import_file(write(tmp_path / "c.csv", rows))
    coverage = registry.coverage(NOW)
    assert coverage[PURPOSE].as_dict() == {
        "eligible": 1,
        "lapsed": 2,
        "pending": 1,
        "refused": 1,
        "withdrawn": 1,
        "objected": 1,
        "subjects": 7,
    }
    assert coverage["fraud-prevention"].subjects == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(list(EventKind)),
        st.integers(1, 6),
        st.sampled_from([PURPOSE, ALL_PURPOSES, "fraud-prevention"]),
        st.integers(1, 8),
    ),
    max_size=14,
)


@given(events=EVENTS, at=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_eligibility_is_the_plain_reading_of_the_log_in_any_order(
    tmp_path: Path, events: list[tuple[str, EventKind, int, str, int]], at: int, seed: int
) -> None:
    rows, plain = [], []
    for key, kind, day, purpose, until in events:
        if kind.permits:
            purpose, until = PURPOSE if purpose == ALL_PURPOSES else purpose, max(until, day + 1)
            rows.append(
                grant(
                    key, f"2026-01-0{day}", event=kind.word, purpose=purpose, valid_until=f"2026-01-0{until}"
                )
            )
        else:
            rows.append(refusal(key, kind.word, f"2026-01-0{day}", purpose))
        plain.append((key, kind.permits, day, purpose, until))
    expected = set()
    for key in "abc":
        mine = [e for e in plain if e[0] == key and e[3] in (PURPOSE, ALL_PURPOSES) and e[2] <= at]
        if not mine:
            continue
        day = max(e[2] for e in mine)
        last = [e for e in mine if e[2] == day]
        # Several grants on one day differ only in their end; the later row stands, so only agreement is
        # tested.
        if all(e[1] for e in last) and len({e[4] > at for e in last}) == 1 and last[0][4] > at:
            expected.add(key)
        elif all(e[1] for e in last) and len({e[4] > at for e in last}) == 2:
            return
    random.Random(seed).shuffle(rows)
    engine = open_store(None)
    registry = ConsentRegistry.open(engine, KEY)
    if rows:
        registry.import_file(write(tmp_path / "c.csv", rows))
    assert eligible_keys(registry, ["a", "b", "c"], datetime(2026, 1, at, tzinfo=UTC)) == expected
    engine.dispose()
