"""The plan of a statistics study: one secure sum over everybody, with a block or a few for each question.

    cohort      1 %   one noisy count a holder, its own noise
    tables     99 %   all questions at once, each with its share of mu^2

The round reads both parts of the customers: its price stands beside the dearer part, never as a third one.
Shares of the questions are stated in the study, or follow from public facts alone: an answer of size one
whose standard deviation is `e` at mu = 1 has `e / sqrt(share)`, and the sum of these over the questions is
least at shares proportional to `e^(2/3)` (the first-order condition of Lagrange). `e` is the method's
expected error as a part of what an answer is about, so that a table of many cells gets more than a total, and
counts the same for all numbers of customers. Nothing here looks at data: every holder derives the same plan
from the signed study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ringfence.models.edges import NUMBER_CELLS
from ringfence.models.features import STEP_BITS
from ringfence.models.statistics.axes import axis_of
from ringfence.models.statistics.inquiry import BlockShape, Inquiry, Method
from ringfence.models.statistics.methods import METHODS
from ringfence.models.statistics.questions import BINS, MOST_QUESTIONS, StatisticsQuestion, read_question
from ringfence.models.tables.noisy import CUSTOMERS, ENDS, NOT_SHOWN
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.scales import LARGEST_SHARE, grid_unit, share_scale
from ringfence.privacy.accounting.study import calibrate
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.release.cells import is_formula
from ringfence.privacy.waist import BOTH, BlockPlan, RoundPlan, StudyPlan

COHORT_SHARE = 0.01
MOST_CELLS = 50_000
MOST_ENTRIES = 1 << 19
DEFAULT_BINS = 8
ROUND = "tables"
# No group column may be called like a column of figures.
RESERVED = frozenset(
    [NOT_SHOWN, *(f"{name}{end}" for name in (CUSTOMERS, "mean", "sum", "distinct") for end in ("", *ENDS))]
)


class StatisticsOptions(BaseModel):
    """The `[model]` table of a statistics study.

    Attributes:
        questions: a line of words each (questions.py).
        shares: of the budget, one a question, in any unit; by optimal allocation when absent.
        bins: groups into which a number is cut that tells groups apart (`by`).
        customers: expected in all, for expected errors; the sum of the holders' max_customers when absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: tuple[str, ...] = Field(min_length=1, max_length=MOST_QUESTIONS)
    shares: tuple[str | int, ...] | None = None
    bins: int = DEFAULT_BINS
    customers: int | None = Field(default=None, ge=1, le=2**40)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBlock:
    """One block of one question with its noise.

    Attributes:
        name: of the block in the sum.
        shape: what it holds.
        bits: its unit is `2^bits`.
        block: its plan.
    """

    name: str
    shape: BlockShape
    bits: int
    block: BlockPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """One question as it is planned.

    Attributes:
        inquiry: the question and its cells.
        method: how it is answered.
        share: of what all questions may spend.
        blocks: its blocks.
    """

    inquiry: Inquiry
    method: Method
    share: float
    blocks: tuple[AskedBlock, ...]

    @property
    def bits(self) -> Mapping[str, int]:
        """Bits of the unit of each of its blocks."""
        return {each.shape.part: each.bits for each in self.blocks}


def options_of(context: StudyContext) -> StatisticsOptions:
    """Read the `[model]` table.

    Raises:
        StudyError: RF-S515 an unknown key, or a value out of range.
    """
    try:
        options = StatisticsOptions.model_validate(dict(context.study.model))
    except ValidationError as error:
        fault = error.errors()[0]
        raise StudyError(
            "RF-S515",
            N_(
                "[model] {key}: {found}. A statistics study knows questions (1 to 64 lines of words), shares "
                "(one a question), bins (2 to 256) and customers (expected in all)."
            ),
            key=".".join(str(part) for part in fault["loc"]),
            found=fault["msg"],
        ) from None
    if options.bins not in BINS:
        raise StudyError(
            "RF-S516",
            N_("[model] bins = {bins} does not divide {cells}; use 2, 4, 8, 16, 32, 64, 128 or 256."),
            bins=options.bins,
            cells=NUMBER_CELLS,
        )
    return options


def expected_customers(context: StudyContext) -> int:
    """How many customers are expected in all: what the study says, or the sum of what contracts allow."""
    stated = options_of(context).customers
    return stated or max(1, sum(each.max_customers for each in context.study.holders))


def inquiries_of(context: StudyContext) -> tuple[Inquiry, ...]:
    """The study's questions with their cells.

    Raises:
        StudyError: a question cannot be read or answered, RF-S517 a table too large, RF-S518 a feature that
            no question asks about, RF-S519 a group column that is named like a figure, RF-S520 a feature
            called plain that is none of the study's, RF-S525 a group that reads as a formula.
    """
    options = options_of(context)
    found = []
    for number, text in enumerate(options.questions, start=1):
        question = read_question(text, context)
        bins = question.number if question.kind == "histogram" else options.bins
        axes = tuple(axis_of(context, name, bins) for name in question.groups)
        terms = context.study.release
        inquiry = Inquiry(
            context=context,
            question=question,
            name=f"question-{number}",
            axes=axes,
            threshold=terms.least_cell(question.features),
            quasi=tuple(name for name in question.features if name not in (terms.plain or ())),
        )
        _check_table(inquiry)
        found.append(inquiry)
    _check_features(context, [each.question for each in found])
    return tuple(found)


def _check_table(inquiry: Inquiry) -> None:
    question = inquiry.question
    if inquiry.cells > MOST_CELLS:
        raise StudyError(
            "RF-S517",
            N_(
                'The question "{question}" has {cells} cells; a table has at most {most}. Ask for fewer '
                "features or bins."
            ),
            question=question.text[:80],
            cells=inquiry.cells,
            most=MOST_CELLS,
        )
    for axis in inquiry.axes:
        for label in axis.labels:
            if is_formula(label):
                raise StudyError(
                    "RF-S525",
                    N_(
                        'The question "{question}" has the group {label}, which a spreadsheet would run as a '
                        "formula, so its table could never be released. Give the category another name."
                    ),
                    question=question.text[:80],
                    label=label[:40],
                )
    for name in question.groups:
        if name in RESERVED:
            raise StudyError(
                "RF-S519",
                N_(
                    'The question "{question}" has groups by {name}, which is the name of a column of '
                    "figures. Give the feature another name in the schema."
                ),
                question=question.text[:80],
                name=name,
            )


def _check_features(context: StudyContext, questions: Sequence[StatisticsQuestion]) -> None:
    asked = {name for question in questions for name in question.features}
    listed = context.study.features or ()
    # A study has to name a feature, and a question for a mere count needs none.
    idle = [name for name in listed if name not in asked]
    if len(idle) > (0 if asked else 1):
        raise StudyError(
            "RF-S518",
            N_(
                "The study lists {names}, which no question asks about. Holders read no column without need: "
                "list under features what the questions name, and nothing else."
            ),
            names=", ".join(idle)[:200],
        )
    for name in context.study.release.plain or ():
        if name not in listed:
            raise StudyError(
                "RF-S520",
                N_("[release] plain names {name}, which is no feature of the study. Take it out."),
                name=name,
            )


def shares_of(context: StudyContext, asked: Sequence[Inquiry]) -> tuple[float, ...]:
    """Each question's share of what all may spend: as stated, or by optimal allocation.

    Raises:
        StudyError: RF-S521 the stated shares are not one positive number a question.
    """
    stated = options_of(context).shares
    if stated is None:
        return optimal_shares([METHODS[each.question.kind].error(each, 1.0) for each in asked])
    try:
        weights = [Decimal(each) for each in stated]
    except InvalidOperation:
        weights = []
    if len(weights) != len(asked) or any(not each.is_finite() or not 0 < each <= 10**9 for each in weights):
        raise StudyError(
            "RF-S521",
            N_(
                "The study has {count} questions; [model] shares is a list of as many positive numbers, such "
                'as ["0.5", "0.3", "0.2"].'
            ),
            count=len(asked),
        )
    return tuple(float(each / sum(weights)) for each in weights)


def optimal_shares(errors: Sequence[float]) -> tuple[float, ...]:
    """Shares at which the sum of `error / sqrt(share)` is least."""
    weights = [error ** (2.0 / 3.0) for error in errors]
    whole = math.fsum(weights)
    return tuple(weight / whole for weight in weights)


def asked_questions(context: StudyContext) -> tuple[AskedQuestion, ...]:
    """All questions with their blocks and noise.

    Raises:
        StudyError: see `inquiries_of` and `shares_of`; RF-S517 all tables together are too large.
    """
    terms = context.study.privacy
    mu_squared = calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise) ** 2
    honest = context.study.honest()
    inquiries = inquiries_of(context)
    found = tuple(
        _asked(inquiry, share, (1.0 - COHORT_SHARE) * mu_squared, honest)
        for inquiry, share in zip(inquiries, shares_of(context, inquiries), strict=True)
    )
    entries = sum(each.block.max_length for question in found for each in question.blocks)
    if entries > MOST_ENTRIES:
        raise StudyError(
            "RF-S522",
            N_(
                "The study's tables have {entries} entries together; at most {most} are summed. Ask for less."
            ),
            entries=entries,
            most=MOST_ENTRIES,
        )
    return found


def _asked(inquiry: Inquiry, share: float, mu_squared: float, honest: int) -> AskedQuestion:
    method = METHODS[inquiry.question.kind]
    return AskedQuestion(
        inquiry=inquiry,
        method=method,
        share=share,
        blocks=tuple(
            _block(inquiry, shape, share * shape.share * mu_squared, honest)
            for shape in method.shapes(inquiry)
        ),
    )


def _block(inquiry: Inquiry, shape: BlockShape, mu_squared: float, honest: int) -> AskedBlock:
    """A block whose unit lifts a share to at least 16 grid units, or as far as it may for graded entries."""
    scale_of_one = math.sqrt(shape.ones / (mu_squared * honest))
    bits = grid_unit(scale_of_one).bit_length() - 1
    if shape.graded:
        finest = math.floor(math.log2(LARGEST_SHARE / scale_of_one))
        bits = max(bits, min(STEP_BITS, finest))
    sensitivity = shape.ones << (2 * bits)
    name = f"{inquiry.name}-{shape.part}"
    return AskedBlock(
        name=name,
        shape=shape,
        bits=bits,
        block=BlockPlan(
            name=name,
            sensitivity_squared=sensitivity,
            max_abs=1 << bits,
            share_scale=share_scale(sensitivity, mu_squared, honest),
            max_length=shape.length,
        ),
    )


def plan(context: StudyContext) -> StudyPlan:
    """Every release of the study, with its noise; see the module's table."""
    terms = context.study.privacy
    price = COHORT_SHARE * calibrate(terms.epsilon, terms.delta, context.study.overlap(), terms.noise) ** 2
    unit = grid_unit(math.sqrt(1.0 / price))
    cohort = BlockPlan(
        name="cohort",
        sensitivity_squared=unit**2,
        max_abs=unit,
        share_scale=share_scale(unit**2, price, 1),
        max_length=1,
    )
    blocks = tuple(each.block for question in asked_questions(context) for each in question.blocks)
    return StudyPlan(
        honest=context.study.honest(),
        cohort=cohort,
        rounds=(RoundPlan(name=ROUND, blocks=blocks, part=BOTH),),
        max_attempts=terms.max_attempts,
    )
