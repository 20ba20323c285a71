"""What the form of dates says: whether it names a day at all, and whether its year has two digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ringfence.privacy.errors import N_
from ringfence.privacy.toml.faults import Problem

_YEARS = {"%Y", "%y", "%G"}
_OF_A_PLACE: Final = {"%c", "%x", "%X", "%Z"}
"""Directives that mean something else on another machine."""

_SAMPLES: Final = tuple(
    datetime(2003, month, day, 13, 14, 15, tzinfo=UTC) for month, day in ((11, 24), (2, 7))
)


def has_short_year(form: str) -> bool:
    """Whether the year has two digits, so that the form does not say the century."""
    return "%y" in re.findall(r"%.", form)


def form_problems(form: str) -> Iterator[Problem]:
    """Why a form of dates cannot be used; nothing where it can."""
    if _OF_A_PLACE & set(re.findall(r"%.", form)):
        yield Problem(
            code="RF-C301",
            path=("date_format",),
            values={"directives": ", ".join(sorted(_OF_A_PLACE))},
            template=N_(
                "{directives} mean something else on another machine. Write the form with directives such as "
                "%Y, %m, %d and %z."
            ),
        )
    elif not all(map(_names_a_day, [form] * len(_SAMPLES), _SAMPLES)):
        yield Problem(
            code="RF-C302",
            path=("date_format",),
            template=N_(
                "The form of dates has to name the year and what else of month and day is written, as "
                "%Y-%m-%d does; from this one no day comes back."
            ),
        )


def _names_a_day(form: str, sample: datetime) -> bool:
    """Whether a day comes back that is written so, or the first of its month or year if that is all."""
    if not _YEARS & set(re.findall(r"%.", form)):
        return False
    try:
        read = datetime.strptime(sample.strftime(form), form)
    except ValueError:
        return False
    day, month = ("%d" in form or "%j" in form), read.month == sample.month
    if read.date() == sample.date():
        return True
    if read.year != sample.year or day:
        return False
    weeks = any(directive in form for directive in ("%U", "%W", "%V"))
    return read.day == 1 and not weeks and (month or not any(d in form for d in ("%m", "%b", "%B")))


def short_year_problems(form: str, name: str, first: int, last: int) -> Iterator[Problem]:
    """Whether bounds leave the century of years of two digits open.

    Args:
        form: of the dates.
        name: of the feature.
        first, last: its bounds, as in `date.toordinal`.
    """
    if has_short_year(form) and last - first >= 100 * 365.2425:
        yield Problem(
            code="RF-C303",
            path=("source", "date_format"),
            values={"name": name},
            template=N_(
                'The bounds of "{name}" span a century or more, so that they do not tell the century of a '
                "year of two digits. Narrow them, or export years of four digits."
            ),
        )
