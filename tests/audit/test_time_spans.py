"""Spans of time: moments are compared, whatever their spelling; what is no time is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.audit.errors import AuditUsageError
from ringfence.audit.time_spans import TimeSpan, span

EVENT = "2026-11-01T01:30:00.000000Z"

SAME = [
    "2026-11-01T01:30:00Z",
    "2026-11-01T01:30:00z",
    "2026-11-01 01:30:00Z",
    "2026-11-01T01:30:00",
    "2026-11-01T01:30",
    "2026-11-01T01:30:00.000000Z",
    "2026-11-01T09:30:00+08:00",
    "2026-11-01T09:30:00+0800",
    "2026-11-01 09:30+08",
    "2026-10-31T20:30:00-05:00",
    " 2026-10-31t20:30:00.000 -05:00 ",
]


@pytest.mark.parametrize("text", SAME)
def test_one_moment_in_any_spelling_is_one_bound(text: str) -> None:
    assert span(text, None) == TimeSpan(first=EVENT)
    assert span(text, None).holds(EVENT)
    assert not span(text, None).holds("2026-11-01T01:29:59.999999Z")
    assert span(None, text).holds(EVENT)
    assert not span(None, text).holds("2026-11-01T01:31:00.000000Z")


@pytest.mark.parametrize(
    ("text", "first", "before"),
    [
        ("2026-11-01", "2026-11-01T00:00:00.000000Z", "2026-11-02T00:00:00.000000Z"),
        ("2024-02", "2024-02-01T00:00:00.000000Z", "2024-03-01T00:00:00.000000Z"),
        ("2026-12", "2026-12-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z"),
        ("2026", "2026-01-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z"),
        ("2026-11-01T09:30+08:00", "2026-11-01T01:30:00.000000Z", "2026-11-01T01:31:00.000000Z"),
        ("2026-11-01T01:30:07Z", "2026-11-01T01:30:07.000000Z", "2026-11-01T01:30:08.000000Z"),
        ("2026-11-01T01:30:07.25", "2026-11-01T01:30:07.250000Z", "2026-11-01T01:30:07.260000Z"),
        ("2026-11-01T01:30:07.123456789", "2026-11-01T01:30:07.123456Z", "2026-11-01T01:30:07.123457Z"),
        ("2026-12-31T23:00-02:00", "2027-01-01T01:00:00.000000Z", "2027-01-01T01:01:00.000000Z"),
    ],
)
def test_until_ends_with_the_last_instant_of_what_it_names(text: str, first: str, before: str) -> None:
    assert span(text, text) == TimeSpan(first=first, before=before)


NO_TIMES = [
    "27.11.2026",
    "2026-13-45",
    "2026-02-29",
    "11/27/2026",
    "2026-1-1",
    "yesterday",
    "",
    "2026-11-01T25:00",
    "2026-11-01T10:60",
    "2026-11-01T10:00+25:00",
    "2026-11-01T10:00+08:61",
    "2026-11-01T10",
    "2026-11-01+08:00",
    "20261101",
    "1764547200",
    "0001-01-01T00:00+05:00",
    "9999-12-31T23:59-05:00",
    "٢٠٢٦-11-01",
    "2026-11-01T10:00:00Z'--",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(text: str) -> None:
    for arguments in ((text, None), (None, text), ("2020", text)):
        with pytest.raises(AuditUsageError) as refusal:
            span(*arguments)
        assert refusal.value.code == "RF-U600"
        assert refusal.value.exit_status == 2


def test_a_span_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(AuditUsageError, match="RF-U601"):
        span("2026-11-02", "2026-11-01")
    with pytest.raises(AuditUsageError, match="RF-U601"):
        span("2026-11-01T10:00Z", "2026-11-01T10:00+08:00")
    assert span("2026-11-01", "2026-11-01")


def test_no_span_is_all_time() -> None:
    assert not span(None, None)
    assert span(None, None).holds(EVENT)
    assert span(None, None).as_json() == {"from": None, "before": None}


@given(one=st.datetimes(), other=st.datetimes())
def test_bounds_order_as_their_moments_do(one: object, other: object) -> None:
    first, second = (f"{each}"[:26].replace(" ", "T") for each in (one, other))
    written = [span(each, None).first for each in (first, second)]
    assert (written[0] <= written[1]) == (one <= other)  # type: ignore[operator]
