"""Days of consent files in the zone of the contract: from midnight to midnight of the holder's clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from kits.consent_kit import KEY, NOW, PURPOSE, grant, refusal, write

from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.consent import ConsentRegistry
from ringfence.privacy.consent.tables import to_micros
from ringfence.privacy.consent.times import BLANK, TimeColumn
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.toml.validation import build

SHANGHAI, LOS_ANGELES = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/Los_Angeles")


def may_be_used(folder: Path, rows: list[dict[str, str]], zone: ZoneInfo | None) -> bool:
    registry = ConsentRegistry.open(open_store(None), KEY)
    registry.import_file(write(folder / "c.csv", rows), zone=zone, now=NOW)
    return registry.status("a", NOW)[PURPOSE].eligible


@pytest.mark.parametrize(
    ("zone", "withdrawn"),
    [(SHANGHAI, "2026-02-03T03:00:00+08:00"), (LOS_ANGELES, "2026-02-03T23:30:00-08:00")],
)
def test_who_gave_and_withdrew_on_one_day_of_the_house_has_withdrawn(
    tmp_path: Path, zone: ZoneInfo, withdrawn: str
) -> None:
    assert not may_be_used(tmp_path, [grant("a", "2026-02-03"), refusal("a", "withdrawn", withdrawn)], zone)


def test_a_day_of_withdrawal_ends_a_grant_of_that_day_and_none_of_the_next(tmp_path: Path) -> None:
    day = refusal("a", "withdrawn", "2026-02-03")
    late = grant("a", "2026-02-03T18:00:00-08:00")  # on 4 February in UTC
    assert not may_be_used(tmp_path, [late, day], LOS_ANGELES)
    assert may_be_used(tmp_path, [late, day], None), "a day of UTC is another one"
    early = grant("a", "2026-02-04T00:30:00+08:00")  # on 3 February in UTC
    assert may_be_used(tmp_path, [early, day], SHANGHAI)
    assert not may_be_used(tmp_path, [early, day], None)


def test_a_withdrawal_at_night_was_lost_without_a_zone(tmp_path: Path) -> None:
    """Why the zone is asked for: 03:00 in Shanghai lies before that day begins in UTC."""
    rows = [grant("a", "2026-02-03"), refusal("a", "withdrawn", "2026-02-03T03:00:00+08:00")]
    assert may_be_used(tmp_path, rows, None)
    assert not may_be_used(tmp_path, rows, SHANGHAI)


def test_days_are_as_long_as_clocks_make_them() -> None:
    """23 and 25 hours where clocks are put forward and back; texts and Parquet days alike."""
    days = ["2026-03-08", "2026-11-01", "2026-06-01", "", "2026-06-01T00:00:00Z"]
    texts = TimeColumn.of_texts(np.arange(5), days).in_zone(LOS_ANGELES)
    first = [datetime(2026, 3, 8, 8), datetime(2026, 11, 1, 7), datetime(2026, 6, 1, 7)]
    wanted = [to_micros(moment.replace(tzinfo=UTC)) for moment in first]
    assert texts.micros.tolist() == [*wanted, BLANK, to_micros(datetime(2026, 6, 1, tzinfo=UTC))]
    hours = (texts.ended(1 << 61) - texts.micros + 1) / 3.6e9
    assert hours.tolist()[:3] == [23, 25, 24]
    assert texts.ended(1 << 61).tolist()[3:] == texts.micros.tolist()[3:]
    arrow = TimeColumn.of_arrow(pa.array([date.fromisoformat(day) for day in days[:3]], pa.date32()))
    assert arrow is not None
    assert arrow.in_zone(LOS_ANGELES).micros.tolist() == wanted


def test_with_a_zone_no_day_counts_before_it_has_begun_there(tmp_path: Path) -> None:
    registry = ConsentRegistry.open(open_store(None), KEY)
    file = write(tmp_path / "c.csv", [grant("a", "2026-06-02")])
    now = datetime(2026, 6, 1, 16, 0, 0, tzinfo=UTC)  # midnight in Shanghai
    with pytest.raises(ConsentError, match="RF-N201"):
        registry.import_file(file, zone=LOS_ANGELES, now=now)
    assert registry.import_file(file, zone=SHANGHAI, now=now).rows == 1


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "", "UTC+8", "CET\n"])
def test_a_zone_that_nobody_knows_is_refused(name: str) -> None:
    _, problems = build(Contract, {"consent_time_zone": name})
    assert {p.code for p in problems if p.path == ("consent_time_zone",)} <= {"RF-C174", "RF-C024"}
    assert any(p.path == ("consent_time_zone",) for p in problems)
    _, problems = build(Contract, {"consent_time_zone": "Asia/Shanghai"})
    assert not any(p.path == ("consent_time_zone",) for p in problems)
