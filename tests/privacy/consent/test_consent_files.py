"""Consent files as systems write them: quotation marks, times of every kind, lists; nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kits.consent_kit import KEY, NOW, PURPOSE, eligible_keys, grant, refusal, write
from pyarrow import parquet

from ringfence.privacy.consent import ConsentRegistry
from ringfence.privacy.consent.times import EARLIEST, TimeColumn
from ringfence.privacy.errors import ConsentError, RingfenceError
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.toml.faults import faults_of

FILES = Path(__file__).parents[2] / "assets" / "consent_files"
SECOND = 10**6
# 2026-01-31T08:30:00.123456Z and 789 nanoseconds.
NANOS = 1769848200_123456_789


@pytest.fixture
def registry() -> ConsentRegistry:
    return ConsentRegistry.open(open_store(None), KEY)


@pytest.mark.parametrize("name", ["stray_quotes", "quote_never_closed", "quote_closed_rows_later"])
def test_a_withdrawal_behind_a_stray_quotation_mark_is_never_lost(
    registry: ConsentRegistry, name: str
) -> None:
    registry.import_file(FILES / "grants.csv")
    before = registry.coverage(NOW)[PURPOSE].as_dict()
    with pytest.raises(RingfenceError) as refusal:
        registry.import_file(FILES / f"{name}.csv")
    places = [fault.line for fault in faults_of(refusal.value)] or [int(str(refusal.value.values["line"]))]
    assert places == [2]
    # All or nothing: neither D nor E came in, and whoever mends the file withdraws B.
    assert registry.coverage(NOW)[PURPOSE].as_dict() == before
    assert registry.indices(["D", "E"]).tolist() == [-1, -1]
    registry.import_file(FILES / "mended.csv")
    assert eligible_keys(registry, list("ABCDE"), NOW) == set("ACDE")


def test_an_end_in_the_year_9999_is_shown_whatever_its_zone(registry: ConsentRegistry) -> None:
    registry.import_file(FILES / "without_end_9999.csv")
    (status,) = registry.status("W1", NOW).values()
    assert status.eligible
    assert status.valid_until is None
    assert eligible_keys(registry, ["W1"], datetime(9999, 12, 31, tzinfo=UTC)) == {"W1"}
    assert registry.coverage(NOW)[PURPOSE].eligible == 1


def table(**columns: Any) -> Any:
    rows = [grant("a"), grant("b")]
    plain = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    return pa.table(plain | columns)


def imported(registry: ConsentRegistry, path: Path, **columns: Any) -> None:
    parquet.write_table(table(**columns), path)
    registry.import_file(path)


UNITS = [("s", 10**9), ("ms", 10**6), ("us", 1000), ("ns", 1)]


@pytest.mark.parametrize(("unit", "nanos"), UNITS)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "-05:00"])
def test_a_parquet_timestamp_is_its_instant_rounded_down(
    registry: ConsentRegistry, tmp_path: Path, unit: str, nanos: int, zone: str
) -> None:
    at = pa.array([NANOS // nanos] * 2, pa.timestamp(unit, tz=zone))
    imported(registry, tmp_path / "c.parquet", at=at)
    expected = datetime.fromtimestamp(NANOS // 10**9, UTC) + timedelta(
        microseconds=NANOS // nanos * nanos // 1000 % SECOND
    )
    (status,) = registry.status("a", NOW).values()
    assert status.since == expected
    texts = ConsentRegistry.open(open_store(None), KEY)
    texts.import_file(write(tmp_path / "c.csv", [grant("a", expected.isoformat()), grant("b")]))
    assert texts.status("a", NOW)[PURPOSE].since == expected


@pytest.mark.parametrize("unit", [unit for unit, _ in UNITS])
def test_a_parquet_timestamp_without_a_zone_is_refused_as_a_text_without_one_is(
    registry: ConsentRegistry, tmp_path: Path, unit: str
) -> None:
    with pytest.raises(ConsentError, match="RF-N202"):
        imported(registry, tmp_path / "c.parquet", valid_from=pa.array([0, None], pa.timestamp(unit)))
    with pytest.raises(ConsentError, match="RF-N015"):
        registry.import_file(write(tmp_path / "c.csv", [grant("a", "2026-01-01T10:00:00")]))
    assert registry.indices(["a", "b"]).tolist() == [-1, -1]


def test_parquet_dates_and_nulls_mean_what_their_texts_mean(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    days = pa.array([datetime(2026, 1, 2), datetime(2026, 1, 3)], pa.date64())
    until = pa.array([datetime(2026, 5, 1), None], pa.date32())
    imported(registry, tmp_path / "c.parquet", at=days, valid_until=until)
    (status,) = registry.status("a", NOW).values()
    assert (status.since, status.valid_until) == (
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 5, 1, tzinfo=UTC),
    )
    assert eligible_keys(registry, ["a", "b"], NOW) == {"b"}


def test_timestamps_out_of_all_range_are_faults_of_their_rows(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    at = pa.array([2**62, -(2**62)], pa.timestamp("ms", tz="UTC"))
    with pytest.raises(ConsentError) as refusal:
        imported(registry, tmp_path / "c.parquet", at=at)
    assert [(fault.line, fault.code) for fault in faults_of(refusal.value)] == [
        (1, "RF-N015"),
        (2, "RF-N015"),
    ]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string(), 2)]
)
def test_recipients_may_be_a_list(registry: ConsentRegistry, tmp_path: Path, kind: Any) -> None:
    lists = pa.array([["Shop, One", "North Bank"], None], kind)
    imported(registry, tmp_path / "c.parquet", recipients=lists)
    terms = registry.status("a", NOW)[PURPOSE].terms
    assert terms is not None
    assert terms["party"]["recipients"] == ["North Bank", "Shop, One"]
    none = registry.status("b", NOW)[PURPOSE].terms
    assert none is not None
    assert none["party"]["recipients"] == []


WRONG_TYPES = {
    "recipients": pa.array([{"name": "x"}] * 2),
    "column_groups": pa.array([[1], [2]]),
    "notice_id": pa.array([["n"], ["n"]]),
    "event": pa.array([b"granted"] * 2),
    "purpose": pa.array([True, False]),
    "at": pa.array([1769848200, 1769848200]),
    "valid_until": pa.array([[datetime(2027, 1, 1)]] * 2),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_a_column_of_another_type_is_refused_by_its_name(
    registry: ConsentRegistry, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConsentError) as refusal:
        imported(registry, tmp_path / "c.parquet", **{name: WRONG_TYPES[name]})
    assert (refusal.value.code, refusal.value.values["column"]) == ("RF-N203", name)
    assert registry.indices(["a", "b"]).tolist() == [-1, -1]


def test_an_entry_that_would_become_two_is_refused(registry: ConsentRegistry, tmp_path: Path) -> None:
    with pytest.raises(ConsentError, match="RF-N204"):
        imported(registry, tmp_path / "c.parquet", recipients=pa.array([["A"], ["B; C"]]))


def test_texts_of_every_arrow_kind_are_texts(registry: ConsentRegistry, tmp_path: Path) -> None:
    kinds = {"event": pa.string_view(), "purpose": pa.large_string(), "at": pa.large_string()}
    plain = table()
    made = {name: plain[name].combine_chunks().cast(kind) for name, kind in kinds.items()}
    made["notice_id"] = plain["notice_id"].combine_chunks().dictionary_encode()
    imported(registry, tmp_path / "c.parquet", **made, notice_version=pa.array([3, 3]))
    assert eligible_keys(registry, ["a", "b"], NOW) == {"a", "b"}


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("at", "now", "stands"),
    [
        ("2026-06-01", NOW - 14 * HOUR, True),  # the day has begun in Kiribati
        ("2026-06-01", NOW - 14 * HOUR - timedelta(microseconds=1), False),
        ("2026-06-01T00:10:00Z", NOW, True),  # a clock that is ten minutes fast
        ("2026-06-01T00:10:00.000001Z", NOW, False),
        ("2026-06-01T08:00:00+08:00", NOW, True),
    ],
)
def test_what_has_just_happened_stands_at_the_present_moment(
    registry: ConsentRegistry, tmp_path: Path, at: str, now: datetime, stands: bool
) -> None:
    path = write(tmp_path / "c.csv", [grant("a", at)])
    if not stands:
        with pytest.raises(ConsentError, match="RF-N201"):
            registry.import_file(path, now=now)
        return
    registry.import_file(path, now=now)
    since = registry.status("a", now)[PURPOSE].since
    assert since == min(now, datetime.fromisoformat(at).replace(tzinfo=UTC) if "+" not in at else now)
    # So who changes their mind a moment later is out for good.
    registry.withdraw(["a"], PURPOSE, now)
    assert eligible_keys(registry, ["a"], now + 48 * HOUR) == set()


FUTURE = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("purpose", [PURPOSE, "all"])
@pytest.mark.parametrize("way", ["withdraw", "import"])
def test_a_withdrawal_ends_for_good_what_a_wrong_clock_dated_ahead(
    registry: ConsentRegistry, tmp_path: Path, purpose: str, way: str
) -> None:
    rows = [grant(key, "2089-01-01") for key in "abc"]
    rows.append(grant("a", "2089-06-01", purpose="fraud-prevention"))
    registry.import_file(write(tmp_path / "c.csv", rows), now=FUTURE)  # the clock of that day was wrong
    if way == "withdraw":
        registry.withdraw(["a"], purpose, NOW)
    else:
        registry.import_file(write(tmp_path / "w.csv", [refusal("a", "objected", "2026-05-01", purpose)]))
    for at in (NOW, FUTURE):
        assert "a" not in eligible_keys(registry, list("abc"), at)
        assert registry.status("a", at).get(PURPOSE) is None or not registry.status("a", at)[PURPOSE].eligible
    assert eligible_keys(registry, list("abc"), FUTURE) == {"b", "c"}
    other = eligible_keys(registry, ["a"], FUTURE, "fraud-prevention")
    assert other == (set() if purpose == "all" else {"a"})
    # A consent given after the withdrawal is a new one.
    registry.import_file(write(tmp_path / "n.csv", [grant("a", "2089-12-01")]), now=FUTURE)
    assert eligible_keys(registry, ["a"], FUTURE) == {"a"}


def test_many_withdrawals_find_what_is_dated_ahead_too(registry: ConsentRegistry, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(2500)]
    registry.import_file(write(tmp_path / "c.csv", [grant(key, "2089-01-01") for key in keys]), now=FUTURE)
    registry.withdraw(keys[:2400], "all", NOW)
    assert eligible_keys(registry, keys, FUTURE) == set(keys[2400:])


def test_the_earliest_time_is_the_first_of_1971() -> None:
    codes = TimeColumn.of_texts(pa.array([0, 1]).to_numpy(), ["1971-01-01", "1970-12-31T23:59:59.999999Z"])
    assert codes.micros.tolist() == [EARLIEST, EARLIEST - 1]
    assert codes.day.tolist() == [True, False]


@pytest.mark.parametrize("given", ["2026-01-31T09:00:00+00:00", "2026-01-31T18:59:00-05:00"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_withdrawal_on_a_day_ends_a_consent_given_at_a_time_of_that_day(
    registry: ConsentRegistry, tmp_path: Path, given: str, form: str, order: int
) -> None:
    for number, row in enumerate([grant("a", given), refusal("a", "withdrawn", "2026-01-31")][::order]):
        path = write(tmp_path / f"{number}.csv", [row])
        if form == "parquet":
            columns = {name: [value] for name, value in row.items()}
            moment = datetime.fromisoformat(row["at"])
            day = pa.array([moment.date()], pa.date32())
            columns["at"] = pa.array([moment]) if moment.tzinfo else day
            path = tmp_path / f"{number}.parquet"
            parquet.write_table(pa.table(columns), path)
        registry.import_file(path, now=NOW)
    assert eligible_keys(registry, ["a"], NOW) == set()


def test_a_withdrawal_on_this_day_counts_at_once_and_a_consent_of_the_next_day_after_it(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
    path = write(tmp_path / "1.csv", [grant("a"), refusal("a", "withdrawn", "2026-02-01")])
    registry.import_file(path, now=noon)
    assert eligible_keys(registry, ["a"], noon) == set()
    registry.import_file(write(tmp_path / "2.csv", [grant("a", "2026-02-02")]), now=NOW)
    assert eligible_keys(registry, ["a"], NOW) == {"a"}


@pytest.mark.parametrize("written", ["\ufeffa", "a\u200b", " \u200e a", "a\u00ad "])
def test_an_unseen_sign_around_a_key_makes_no_other_customer(
    registry: ConsentRegistry, tmp_path: Path, written: str
) -> None:
    registry.import_file(write(tmp_path / "1.csv", [grant("a"), grant("b"), grant("c")]))
    path = write(tmp_path / "2.csv", [refusal(written, "withdrawn", "2026-02-01")])
    assert registry.import_file(path).new_subjects == 0
    registry.withdraw([written.replace("a", "b")], PURPOSE, NOW)
    assert eligible_keys(registry, ["a", "b", "c"], NOW) == {"c"}
    assert registry.status(written)[PURPOSE].eligible is False
