"""Forms of dates: what names no day is refused with the contract, before a row is read."""

from __future__ import annotations

import pytest

from ringfence.privacy.agreements.date_forms import form_problems, has_short_year


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("%d/%m", "RF-C302"),
        ("%H:%M", "RF-C302"),
        ("%Y-%d", "RF-C302"),
        ("%Y week %U", "RF-C302"),
        ("%d.%m.%Q", "RF-C302"),
        ("yesterday", "RF-C302"),
        ("%x", "RF-C301"),
        ("%Y-%m-%d %Z", "RF-C301"),
    ],
)
def test_a_form_that_names_no_day_is_refused(form: str, code: str) -> None:
    assert [problem.code for problem in form_problems(form)] == [code]


@pytest.mark.parametrize(
    "form",
    [
        "%d/%m/%Y",
        "%Y%m%d",
        "%Y-%m",
        "%Y",
        "%j %Y",
        "%d. %B %Y",
        "%d%b%y",
        "%G-%V-%u",
        "%Y-%m-%dT%H:%M:%S%z",
        "%m/%d/%Y %I:%M %p",
    ],
)
def test_a_form_that_names_a_day_is_taken(form: str) -> None:
    assert list(form_problems(form)) == []


def test_years_of_two_digits_are_told_from_a_percent_sign() -> None:
    assert [has_short_year(form) for form in ("%d%m%y", "%d%m%%y%Y", "%Y", "%%%y")] == [
        True,
        False,
        False,
        True,
    ]
