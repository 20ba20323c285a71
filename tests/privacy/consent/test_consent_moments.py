"""Which of two events counts, to the microsecond: order, refusals, days, times ahead; and what was folded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.consent_kit import KEY, NOW, PURPOSE, eligible_keys, grant, refusal, write
from pyroaring import BitMap

from ringfence.privacy.consent import ALL_PURPOSES, ConsentRegistry, EventKind
from ringfence.privacy.consent.compiled import CompiledBitmaps, EligibilityQuestion, last_sequence
from ringfence.privacy.consent.eligibility import in_force, last_of_each, permits, refuses
from ringfence.privacy.consent.snapshot import as_bitmap, members
from ringfence.privacy.consent.tables import from_micros, to_micros
from ringfence.privacy.consent.times import BAD, BLANK, TimeColumn
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.toml.faults import faults_of

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
FRAUD = "fraud-prevention"
GRANTED, WITHDRAWN = int(EventKind.GRANTED), int(EventKind.WITHDRAWN)


@pytest.fixture
def registry() -> ConsentRegistry:
    return ConsentRegistry.open(open_store(None), KEY)


def numbers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def last(*events: tuple[int, int, int]) -> list[int]:
    """Which events are the last of their subjects; each is subject, time and kind, in order of recording."""
    subject, when, kind = (numbers(*column) for column in zip(*events, strict=True))
    order = np.arange(len(events))
    return [int(place) for place in order[last_of_each(subject, when, kind, order)]]


def test_the_last_event_goes_by_time_then_by_refusal_then_by_order() -> None:
    assert last((0, 5, GRANTED), (0, 4, WITHDRAWN)) == [0], "the later time"
    assert last((0, 5, WITHDRAWN), (0, 5, GRANTED)) == [0], "a refusal at the same time"
    assert last((0, 5, GRANTED), (0, 5, WITHDRAWN)) == [1]
    assert last((0, 5, GRANTED), (0, 5, GRANTED)) == [1], "of two that agree the one recorded later"
    assert last((0, 5, WITHDRAWN), (0, 6, GRANTED)) == [1]
    assert last((1, 9, GRANTED), (0, 5, WITHDRAWN), (1, 2, WITHDRAWN), (0, 1, GRANTED)) == [1, 0]
    assert last((3, 1, GRANTED), (3, 1, WITHDRAWN), (7, 1, GRANTED)) == [1, 2]
    assert last((1, 1, GRANTED), (0, 1, GRANTED)) == [1, 0], "in the order of subjects"


def test_every_kind_of_event_says_yes_or_no_and_a_strange_one_neither() -> None:
    kinds = numbers(0, 1, 2, 3, 4, 5, 6, 7)
    assert permits(kinds).tolist() == [False, True, True, False, False, False, False, False]
    assert refuses(kinds).tolist() == [False, False, False, True, True, True, True, False]
    some = (numbers(1, 1, 1, 4), numbers(5, 6, 5, 5), numbers(9, 9, 8, 9))
    assert in_force(*some, 5).tolist() == [True, False, True, False]
    assert in_force(*some, 8).tolist() == [True, True, False, False]
    assert in_force(*some, 9).tolist() == [False] * 4


def test_members_are_those_of_the_bitmap_and_no_other_index_is_one() -> None:
    asked = numbers(-1, 0, 1, 2, 3, 4, 10**9)
    assert members(as_bitmap(numbers(3, 0)), asked).tolist() == [
        False,
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert members(BitMap(), asked).tolist() == [False] * 7
    assert as_bitmap(numbers(70000, 2, 2)) == BitMap([2, 70000])
    assert as_bitmap(numbers()) == BitMap()


@pytest.mark.parametrize("kind", ["withdrawn", "objected", "refused", "expired"])
@pytest.mark.parametrize(("after", "stands"), [(TICK, True), (0 * TICK, False), (-TICK, False)])
def test_a_grant_stands_only_after_the_last_instant_of_a_refusal(
    registry: ConsentRegistry, tmp_path: Path, kind: str, after: timedelta, stands: bool
) -> None:
    refused = datetime(2026, 2, 1, 9, tzinfo=UTC)
    rows = [refusal("a", kind, refused.isoformat()), grant("a", (refused + after).isoformat())]
    registry.import_file(write(tmp_path / "1.csv", rows))
    assert eligible_keys(registry, ["a"], NOW) == ({"a"} if stands else set())
    before = eligible_keys(registry, ["a"], refused - TICK)
    assert before == ({"a"} if after < 0 * TICK else set())


@pytest.mark.parametrize(("after", "stands"), [(DAY, True), (DAY - TICK, False), (0 * TICK, False)])
def test_a_refusal_of_a_day_holds_to_its_last_instant_in_utc(
    registry: ConsentRegistry, tmp_path: Path, after: timedelta, stands: bool
) -> None:
    given = datetime(2026, 2, 1, tzinfo=UTC) + after
    registry.import_file(write(tmp_path / "1.csv", [grant("a", given.isoformat())]))
    registry.import_file(write(tmp_path / "2.csv", [refusal("a", "withdrawn", "2026-02-01")]))
    assert eligible_keys(registry, ["a"], NOW) == ({"a"} if stands else set())


@pytest.mark.parametrize(("ahead", "stands"), [(0 * TICK, True), (TICK, False)])
def test_only_what_is_dated_after_now_is_ended_by_an_older_refusal(
    registry: ConsentRegistry, tmp_path: Path, ahead: timedelta, stands: bool
) -> None:
    given = [grant("a", (NOW + ahead).isoformat()), grant("b", (NOW + ahead).isoformat())]
    registry.import_file(write(tmp_path / "1.csv", given), now=NOW + DAY)
    registry.import_file(write(tmp_path / "2.csv", [refusal("a", "withdrawn", "2026-03-01")]), now=NOW)
    assert eligible_keys(registry, ["a", "b"], NOW + DAY) == ({"a", "b"} if stands else {"b"})


def test_a_withdrawal_dated_ahead_ends_no_grant_before_it(registry: ConsentRegistry, tmp_path: Path) -> None:
    far = datetime(2090, 1, 1, tzinfo=UTC)
    rows = [grant("a", (far - DAY).isoformat()), grant("b", (far + DAY).isoformat())]
    registry.import_file(write(tmp_path / "1.csv", rows), now=far + DAY)
    registry.withdraw(["a", "b"], PURPOSE, far)
    asked = [far - DAY - TICK, far - DAY, far - TICK, far, far + DAY]
    found = [eligible_keys(registry, ["a", "b"], at) for at in asked]
    assert found == [set(), {"a"}, {"a"}, set(), set()]


def test_what_is_folded_again_is_right_at_every_change(registry: ConsentRegistry, tmp_path: Path) -> None:
    """The kept bitmap is asked forwards and backwards, at each edge and one tick beside it."""
    start, end = NOW - 3 * DAY, NOW + 3 * DAY
    rows = [
        grant("a", valid_from=start.isoformat(), valid_until=end.isoformat()),
        grant("b", valid_until=NOW.isoformat()),
        grant("c", valid_from=NOW.isoformat()),
        grant("d", start.isoformat()),
        grant("d", end.isoformat(), valid_until=(end + DAY).isoformat()),
        grant("e"),
        refusal("e", "objected", NOW.isoformat(), ALL_PURPOSES),
    ]
    registry.import_file(write(tmp_path / "1.csv", rows), now=end)
    edges = [edge + beside for edge in (start, NOW, end, end + DAY) for beside in (-TICK, 0 * TICK, TICK)]

    def expected(at: datetime) -> set[str]:
        told = {
            "a": start <= at < end,
            "b": at < NOW,
            "c": at >= NOW,
            "d": start <= at < end + DAY,
            "e": at < NOW,
        }
        return {key for key, there in told.items() if there}

    for at in (*edges, *reversed(edges), *edges[::5]):
        assert eligible_keys(registry, list("abcde"), at) == expected(at), at


def test_kept_bitmaps_are_told_apart_by_question_and_by_what_was_committed(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    rows = [grant("a", separate_consents="provision"), grant("b"), grant("c", purpose=FRAUD)]
    registry.import_file(write(tmp_path / "1.csv", rows))
    kept, at = CompiledBitmaps(), to_micros(NOW)
    questions = [(PURPOSE, ()), (PURPOSE, ("provision",)), (FRAUD, ()), (PURPOSE, ("cross-border",))]
    with registry.engine.connect() as reader:
        for _ in range(2):
            sizes = []
            for purpose, separate in questions:
                asked = EligibilityQuestion(purpose, frozenset(separate))
                found = kept.answer(reader, asked, at, keep=True)
                assert (found.sequence, found.at) == (last_sequence(reader), at) == (3, at)
                sizes.append(len(found.bitmap))
            assert sizes == [2, 1, 1, 0]


FAULTS: list[tuple[dict[str, str], str | None]] = [
    ({"valid_from": "2026-02-01", "valid_until": "2026-02-01"}, "RF-N016"),
    ({"valid_from": "2026-02-01", "valid_until": "2026-02-01T00:00:00.000001Z"}, None),
    ({"at": "2026-02-01", "valid_until": "2026-02-01"}, "RF-N016"),
    ({"at": "1970-12-31"}, "RF-N200"),
    ({"at": "1971-01-01"}, None),
    ({"valid_from": "1970-12-31T23:59:59.999999Z"}, "RF-N200"),
    ({"valid_until": "1970-12-31", "valid_from": "1969-01-01"}, "RF-N200"),
    ({"valid_until": "9999-12-31"}, None),
    ({"customer_key": "a\rb"}, "RF-N205"),
    ({"recipients": "a\rb"}, "RF-N205"),
]


@pytest.mark.parametrize(("change", "code"), FAULTS)
def test_a_time_that_cannot_be_is_a_fault_of_its_column(
    registry: ConsentRegistry, tmp_path: Path, change: dict[str, str], code: str | None
) -> None:
    path = write(tmp_path / "1.csv", [grant("b"), grant("a") | change])
    if code is None:
        assert registry.import_file(path).rows == 2
        return
    with pytest.raises(ConsentError, match="RF-N010") as caught:
        registry.import_file(path)
    assert {fault.code for fault in faults_of(caught.value)} == {code}
    assert {fault.path for fault in faults_of(caught.value)} <= set(change)
    assert {fault.line for fault in faults_of(caught.value)} == {3}


def test_what_is_no_time_and_what_is_empty_are_told_apart() -> None:
    texts = [
        "",
        "x",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "20260101",
        "2026-01-01T00:00:00Z",
        "２０２６-01-01",
    ]
    column = TimeColumn.of_texts(np.arange(len(texts)), texts)
    day = to_micros(datetime(2026, 1, 1, tzinfo=UTC))
    assert column.micros.tolist() == [BLANK, BAD, day, BAD, BAD, day, BAD]
    assert column.day.tolist() == [False, False, True, False, False, False, False]
    assert TimeColumn.blank(2).micros.tolist() == [BLANK, BLANK]
    assert TimeColumn.blank(2).ended(day).tolist() == [BLANK, BLANK]
    assert column.ended(2 * day)[[2, 5]].tolist() == [day + 86_400_000_000 - 1, day]
    assert column.ended(day + 7)[[2, 5]].tolist() == [day + 7, day]
    assert from_micros(day) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("sequence", [None, 1])
def test_a_question_about_a_purpose_that_is_none_or_a_strange_consent_has_no_answer(
    registry: ConsentRegistry, tmp_path: Path, sequence: int | None
) -> None:
    registry.import_file(write(tmp_path / "1.csv", [grant("a")]))
    with pytest.raises(ConsentError, match="RF-N005"):
        registry.snapshot("churn", NOW, sequence=sequence)
    with pytest.raises(ConsentError, match="RF-N005"):
        registry.withdraw(["a"], "churn", NOW)
    with pytest.raises(ConsentError, match="RF-N006"):
        registry.snapshot(PURPOSE, NOW, separate=["all"], sequence=sequence)
    for kind in (EventKind.GRANTED, EventKind.RENEWED):
        with pytest.raises(ConsentError, match="RF-N004"):
            registry.withdraw(["a"], PURPOSE, NOW, kind=kind)  # type: ignore[arg-type]
    found = registry.snapshot(PURPOSE, NOW, separate=["provision", "cross-border"], sequence=sequence)
    assert (found.separate, found.sequence, len(found.eligible)) == (("cross-border", "provision"), 1, 0)


def test_a_snapshot_of_an_earlier_event_is_that_of_its_day(registry: ConsentRegistry, tmp_path: Path) -> None:
    for number, key in enumerate("abc", start=1):
        registry.import_file(write(tmp_path / f"{number}.csv", [grant(key)]))
    registry.withdraw(["a"], PURPOSE, NOW - DAY)
    sizes = [len(registry.snapshot(PURPOSE, NOW, sequence=number).eligible) for number in range(5)]
    assert sizes == [0, 1, 2, 3, 2]
    assert registry.snapshot(PURPOSE, NOW) == registry.snapshot(PURPOSE, NOW, sequence=4)
