"""Windows of a series: exact, one after another, whatever the calendar does; and what is refused of it."""

from __future__ import annotations

import datetime
import itertools
from calendar import monthrange
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kits.small import schema_of, study_of

from ringfence.privacy.agreements.series import SeriesTerms
from ringfence.privacy.agreements.study import Study, load_study
from ringfence.privacy.errors import StudyError

ZONES = ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe")
EVERY = ("day", "week", "month", "quarter", "year")
SECOND = datetime.timedelta(seconds=1)


@st.composite
def series(draw: st.DrawFn) -> SeriesTerms:
    begins = draw(
        st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1)).map(
            lambda moment: moment.replace(microsecond=0)
        )
    )
    return SeriesTerms.of(
        runs=draw(st.integers(1, 40)),
        every=draw(st.sampled_from(EVERY)),
        zone=draw(st.sampled_from(ZONES)),
        begins=begins,
    )


@given(terms=series())
def test_windows_follow_one_another_without_gap_or_overlap(terms: SeriesTerms) -> None:
    windows = [terms.window(number) for number in range(1, terms.runs + 1)]
    for before, after in itertools.pairwise(windows):
        assert before.opens < before.closes == after.opens
    assert windows[-1].closes == terms.ends()
    for each in windows:
        for inside in (each.opens, each.closes - SECOND):
            assert terms.window_at(inside) == each
            assert each.holds(inside)
        assert not each.holds(each.closes)
        assert terms.window_after(each.opens - SECOND) == each
    assert terms.window_at(windows[0].opens - SECOND) is None
    assert terms.window_at(terms.ends()) is None
    assert terms.window_after(windows[-1].opens) is None


@given(terms=series())
def test_a_window_opens_at_the_hour_of_its_zone_on_its_own_day(terms: SeriesTerms) -> None:
    """Counted from the beginning: a month that lacks the day has its last day, and the next has its own."""
    first, zone = datetime.datetime.fromisoformat(terms.begins), ZoneInfo(terms.zone)
    months = {"month": 1, "quarter": 3, "year": 12}.get(terms.every, 0)
    for number in range(1, terms.runs + 1):
        opens = terms.window(number).opens
        if months:
            total = first.year * 12 + first.month - 1 + (number - 1) * months
            year, month = total // 12, total % 12 + 1
            day = min(first.day, monthrange(year, month)[1])
            local = datetime.datetime.combine(datetime.date(year, month, day), first.time())
        else:
            local = first + (number - 1) * datetime.timedelta(days=7 if terms.every == "week" else 1)
        expected = local.replace(tzinfo=zone)
        assert opens == expected.astimezone(datetime.UTC)
        shown = opens.astimezone(zone).replace(tzinfo=None)
        assert shown == local or shown - local <= datetime.timedelta(hours=1), "an hour that is left out"


def days(terms: SeriesTerms) -> list[str]:
    return [f"{terms.window(n).opens:%Y-%m-%d}" for n in range(1, terms.runs + 1)]


def test_the_31st_of_every_month_through_a_leap_year() -> None:
    terms = SeriesTerms.of(runs=6, every="month", begins=datetime.date(2027, 12, 31))
    assert days(terms) == [
        "2027-12-31",
        "2028-01-31",
        "2028-02-29",
        "2028-03-31",
        "2028-04-30",
        "2028-05-31",
    ]
    yearly = SeriesTerms.of(runs=5, every="year", begins="2028-02-29")
    assert days(yearly) == ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]


def test_a_window_keeps_its_hour_when_clocks_are_put_forward() -> None:
    terms = SeriesTerms.of(runs=3, every="day", zone="Europe/Berlin", begins="2030-03-30T08:00:00")
    assert [terms.window(n).opens.hour for n in (1, 2, 3)] == [7, 6, 6]
    assert terms.window(1).closes - terms.window(1).opens == datetime.timedelta(hours=23)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"begins": "2030-01-31T00:00:00+08:00"}, "RF-S470"),
    ({"begins": "2030-01-31T00:00:00Z", "zone": "Asia/Shanghai"}, "RF-S470"),
    ({"begins": "9999-06-01"}, "RF-S471"),
    ({"every": "day", "zone": "Pacific/Apia", "begins": "2011-12-29", "runs": 3}, "RF-S472"),
    ({"begins": "soon"}, "RF-S475"),
    ({"begins": 20300131}, "RF-S475"),
    ({"begins": "2030-01-31T00:00:00.5"}, "RF-S475"),
    ({"runs": 0}, "RF-C"),
    ({"runs": 1001}, "RF-C"),
    ({"runs": 1.5}, "RF-C"),
    ({"every": "fortnight"}, "RF-C"),
    ({"zone": "Mars/Olympus"}, "RF-C174"),
    ({"more": 1}, "RF-C"),
]


@pytest.mark.parametrize(("change", "code"), FAULTS)
def test_what_is_no_series_is_refused(change: dict[str, Any], code: str) -> None:
    fields = {"runs": 12, "every": "month", "begins": "2030-01-31"} | change
    with pytest.raises(StudyError) as caught:
        SeriesTerms.of(**fields)
    assert code in str(caught.value)


def test_one_moment_has_one_form() -> None:
    """A date, its midnight and the same in UTC are signed as the same bytes."""
    forms: list[object] = [
        datetime.date(2030, 1, 31),
        datetime.datetime(2030, 1, 31),
        "2030-01-31",
        "2030-01-31T00:00:00Z",
        datetime.datetime(2030, 1, 31, tzinfo=datetime.UTC),
    ]
    made = {SeriesTerms.of(runs=2, every="week", begins=form).canonical() for form in forms}
    assert made == {b'{"begins":"2030-01-31T00:00:00","every":"week","runs":2,"zone":"UTC"}'}


def test_the_last_window_ends_within_the_study() -> None:
    terms = {"runs": 2, "every": "month", "begins": "2030-01-01"}
    study = study_of(schema_of(), series=terms, expires="2030-02-28")
    assert study.runs == 2
    with pytest.raises(StudyError, match="RF-S474"):
        study.revised(expires="2030-02-27")


def test_the_number_of_runs_is_signed_and_a_study_without_a_series_is_as_it_was() -> None:
    schema = schema_of()
    plain = study_of(schema)
    assert (plain.series, plain.runs) == (None, 0)
    assert b"series" not in plain.canonical()
    one, other = (
        study_of(schema, series={"runs": runs, "every": "month", "begins": "2030-01-01"}) for runs in (12, 13)
    )
    assert one.digest() != other.digest()
    assert Study.from_canonical(one.canonical()) == one


def test_a_series_is_read_from_its_file_with_the_line_of_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    text = (
        'id = "s"\nschema = "{schema}"\npurpose = "churn-prediction"\nlegal_basis = "consent"\n'
        'task = "scorecard"\nexpires = 2031-12-31\ndpia = "-"\n[privacy]\nepsilon = 1\ndelta = 1e-9\n'
        'noise = "local"\nmin_holders = 1\n[series]\nruns = 12\nevery = "month"\nbegins = {begins}\n'
    )
    schema = schema_of().digest()
    file.write_text(text.format(schema=schema, begins="2030-01-31T08:00:00"))
    read = load_study(file).series
    assert read is not None
    assert read.begins == "2030-01-31T08:00:00"
    file.write_text(text.format(schema=schema, begins='"never"'))
    with pytest.raises(StudyError, match=r"(?s)16.*RF-S475"):
        load_study(file)
