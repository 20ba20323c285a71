"""What a study costs a customer, as the commands of coordinator and simulation say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ringfence.privacy.errors import _

if TYPE_CHECKING:
    from ringfence.privacy.accounting.study import StudyPrice


def planned_lines(study: str, price: StudyPrice) -> Iterator[str]:
    """The price of a study that may not be signed yet.

    Args:
        study: its id.
        price: with that of all runs where it is a series.
    """
    report = price.as_report()
    yield _(
        "Study {study}: epsilon {epsilon} at delta {delta} for a customer, {worst} in the worst case"
    ).format(
        study=study,
        epsilon=report["customer_epsilon"],
        delta=report["delta"],
        worst=report["customer_epsilon_worst_case"],
    )
    yield from all_runs_lines(price)


def all_runs_lines(price: StudyPrice) -> Iterator[str]:
    """Of a series, what all its runs cost together; nothing of a study that is run once."""
    report = price.as_report()
    if price.series is not None:
        yield _(
            "all {runs} runs together cost epsilon {epsilon}, and {worst} when every attempt is needed"
        ).format(
            runs=report["series_runs"],
            epsilon=report["series_customer_epsilon"],
            worst=report["series_customer_epsilon_worst_case"],
        )
