"""The expected error of each question of a statistics study, from its terms and public facts."""

from __future__ import annotations

import math

from ringfence.models.statistics.inquiry import Inquiry
from ringfence.models.statistics.methods import METHODS
from ringfence.models.statistics.plan import (
    COHORT_SHARE,
    expected_customers,
    inquiries_of,
    options_of,
    shares_of,
)
from ringfence.models.tables.noisy import half_width
from ringfence.models.tables.outlook import EQUAL, HALF, TWICE, ExpectedError, TableOutlook
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.study import calibrate


def outlook(context: StudyContext) -> TableOutlook:
    """What is expected of every answer; reads nothing but the study and its schema.

    Raises:
        StudyError: the questions or shares have faults.
    """
    inquiries = inquiries_of(context)
    shares = shares_of(context, inquiries)
    answers = tuple(
        _expected(context, inquiry, share, len(inquiries))
        for inquiry, share in zip(inquiries, shares, strict=True)
    )
    return TableOutlook(
        customers=expected_customers(context),
        stated=options_of(context).customers is not None,
        holders=len(context.study.holders),
        answers=answers,
    )


def _expected(context: StudyContext, inquiry: Inquiry, share: float, questions: int) -> ExpectedError:
    customers = float(expected_customers(context))
    error = METHODS[inquiry.question.kind].error(inquiry, customers)
    scale, unit = _scale(inquiry, customers)

    def width(part: float, epsilon_factor: float = 1.0) -> float:
        terms = context.study.privacy
        epsilon = float(terms.epsilon) * epsilon_factor
        mu = calibrate(epsilon, terms.delta, context.study.overlap(), terms.noise)
        # Every holder adds a share of noise, of which `honest` are counted on.
        shares = len(context.study.holders) / context.study.honest()
        deviation = error * math.sqrt(shares / ((1.0 - COHORT_SHARE) * part)) / mu
        return half_width(1, 1) * deviation * scale

    return ExpectedError(
        question=inquiry.question.text,
        share=share,
        lines=_lines(inquiry),
        unit=unit,
        name=inquiry.question.of[0] if inquiry.question.of else "",
        half_width=width(share),
        otherwise={EQUAL: width(1.0 / questions), HALF: width(share, 0.5), TWICE: width(share, 2.0)},
    )


def _lines(inquiry: Inquiry) -> int:
    question = inquiry.question
    match question.kind:
        case "quantiles":
            return len(question.percents)
        case "correlations":
            return math.comb(len(question.of), 2)
        case "top":
            return min(question.number, inquiry.cells)
        case _:
            return inquiry.cells


def _scale(inquiry: Inquiry, customers: float) -> tuple[float, str]:
    """What a relative error of one is in the unit that people read, and that unit."""
    question = inquiry.question
    match question.kind:
        case "quantiles":
            return 100.0, "ranks"
        case "correlations":
            return 1.0, "correlation"
        case "mean" | "sum":
            low, high = inquiry.context.schema.feature(question.of[0]).limits
            half = (high - low) / 2.0
            group = customers / inquiry.cells
            return (half, "value") if question.kind == "mean" else (half * group, "total")
        case _:
            return customers / inquiry.cells, "customers"
