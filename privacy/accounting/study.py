"""The price of a whole study before any release: for a customer over all holders, and at one holder.

The customer's price is what the study's epsilon means. A customer at k holders adds k aligned contributions
under one summed noise (`k mu`), or k independent releases under local noises (`sqrt(k) mu`). The holder's
price (k = 1) is what leaves that holder alone and what its ledger is charged.

Customers of the two parts meet different rounds, so the dearer part is the price, beside what reads both.
Were a customer in one part at j holders and in the other at k - j (the same person under two keys), the
shifts `j` and `k - j` in separate sums would still cost no more than `k` in the dearer one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import get_args

from ringfence.privacy.accounting.amounts import multiply, study_amount
from ringfence.privacy.accounting.composition import (
    Composition,
    NoiseForm,
    at_holders,
    check_overlap,
    composition,
    repeated,
)
from ringfence.privacy.accounting.gaussian import epsilon_of, mu_of, mu_squared
from ringfence.privacy.accounting.pld import epsilon_of_composition
from ringfence.privacy.accounting.slack import plan_slacks
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.waist import Part, StudyPlan

__all__ = [
    "NoiseForm",
    "StudyPrice",
    "calibrate",
    "epsilon_of_attempts",
    "epsilon_with_slack",
    "overlap_factor",
    "price",
]

# With room for voided attempts: towards epsilon 70 the sampler's error times exp(epsilon) meets delta.
LARGEST_EPSILON = 32.0
EPSILON_RESERVE = 1e-9
DELTA_RESERVE = 1e-4
_MARGIN = 1e-8

# Fixed words of a report; models/pages/words.py knows them.
GDP = "Gaussian differential privacy, exact composition of discrete Gaussians"
PLD = "privacy loss distribution of the fixed plan, rounded up"
ONE_PART = "all customers"
TWO_PARTS = "two disjoint parts by customer key; the dearer one counts"
NO_MU = "not Gaussian"
THE_SUM = "the coordinator sees the holders' sum alone"
EACH_UPLOAD = "the coordinator sees each holder's noisy update"


@lru_cache(maxsize=256)
def calibrate(epsilon: float | Decimal, delta: float | Decimal, overlap: int, noise_form: NoiseForm) -> float:
    """The mu that one holder may spend so that the customer's price stays within (epsilon, delta).

    A part of 1e-9 of epsilon and 1e-4 of delta is kept for the slacks of sampling; `price` adds up what they
    really are. Beyond epsilon 32 the answer is that for 32, which is stricter than asked.

    Args:
        epsilon: the customer's, over all holders.
        delta: the same.
        overlap: k, the most holders one customer may be at.
        noise_form: one summed noise, or one in each upload.

    Raises:
        BudgetError: an argument is out of range.
    """
    wanted = min(float(epsilon), LARGEST_EPSILON) * (1 - EPSILON_RESERVE)
    mu = mu_of(wanted, float(delta) * (1 - DELTA_RESERVE))
    return mu / overlap_factor(overlap, noise_form) * (1 - _MARGIN)


def overlap_factor(overlap: int, noise_form: NoiseForm) -> float:
    """By how much the customer's mu exceeds one holder's.

    Raises:
        BudgetError: fewer than one holder, or an unknown form of noise.
    """
    check_overlap(overlap, noise_form)
    return float(overlap) if noise_form == "distributed" else math.sqrt(overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPrice:
    """What all runs of a series cost together, composed as one plan; at the study's delta.

    A customer is in one part of the test split in every run, so the dearer part's runs compose.

    Attributes:
        runs: how many, failed ones included: no holder reserves more.
        customer_epsilon, customer_epsilon_worst: as of one run.
        holder_epsilon, holder_epsilon_worst: as of one run.
        reserve: exact mu squared of all attempts of all runs, as one run's `reserve`.
    """

    runs: int
    customer_epsilon: float
    customer_epsilon_worst: float
    holder_epsilon: float
    holder_epsilon_worst: float
    reserve: Decimal

    def as_report(self) -> dict[str, str | int]:
        """As `StudyPrice.as_report`."""
        return {
            "series_runs": self.runs,
            "series_customer_epsilon": _up(self.customer_epsilon),
            "series_customer_epsilon_worst_case": _up(self.customer_epsilon_worst),
            "series_holder_epsilon": _up(self.holder_epsilon),
            "series_holder_epsilon_worst_case": _up(self.holder_epsilon_worst),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPrice:
    """What a study costs at a fixed delta, and what was assumed to say so.

    Attributes:
        delta: the delta of every epsilon here.
        mu: one holder's, when no attempt is void; an upper bound where customers are sampled.
        mu_worst: one holder's, when every round needs all its attempts; the same.
        customer_epsilon: over all holders of the study, when no attempt is void.
        customer_epsilon_worst: the same with all attempts; `inf` where nothing can be claimed.
        holder_epsilon: what leaves one holder, when no attempt is void.
        holder_epsilon_worst: the same with all attempts.
        reserve: exact mu squared of all attempts, which a ledger with the filter `gdp` reserves; an upper
            bound where customers are sampled, see `Ledger.quote`.
        epsilon_slack: of all attempts, contained in every epsilon.
        total_variation: of all attempts; times `1 + exp(epsilon)` contained in delta.
        honest: h.
        overlap: k.
        colluders: holders that may pool what they see with the coordinator and one more holder.
        noise_form: distributed or local.
        visible: whether the coordinator sees each holder's noisy upload, not only their sum.
        max_attempts: attempts a round.
        parts: of those that read one part of the customers; none where all rounds read everybody.
        sampling_rate: the largest rate below 1 at which a round samples customers; 1 where none does.
        sampled_steps: the steps on samples that one customer meets at one holder, when no attempt is void.
        series: the price of all runs of a study that is a series; None for one that is run once, and the rest
            is the price of one run.
    """

    delta: float
    mu: float
    mu_worst: float
    customer_epsilon: float
    customer_epsilon_worst: float
    holder_epsilon: float
    holder_epsilon_worst: float
    reserve: Decimal
    epsilon_slack: float
    total_variation: float
    honest: int
    overlap: int
    colluders: int
    noise_form: NoiseForm
    max_attempts: int
    visible: bool
    parts: tuple[Part, ...]
    sampling_rate: Fraction
    sampled_steps: int
    series: SeriesPrice | None = None

    @property
    def sampled(self) -> bool:
        """Whether a round reads a sample only."""
        return self.sampled_steps > 0

    def as_report(self) -> dict[str, str | int]:
        """The price and its assumptions as texts and integers, numbers rounded up, fit for an event."""
        return {
            "unit": "customer",
            "neighbouring_relation": "add/remove",
            "accountant": PLD if self.sampled else GDP,
            "parts": TWO_PARTS if len(self.parts) > 1 else ONE_PART,
            "sampling": "Poisson" if self.sampled else "no sampling",
            "sampling_rate": _up(self.sampling_rate),
            "sampled_steps": self.sampled_steps,
            "noise_form": self.noise_form,
            "uploads": EACH_UPLOAD if self.visible else THE_SUM,
            "honest_shares": self.honest,
            "overlap": self.overlap,
            "colluders": self.colluders,
            "max_attempts": self.max_attempts,
            "delta": _up(Fraction(repr(self.delta))),  # as it was declared, not the double above it
            "customer_epsilon": _up(self.customer_epsilon),
            "customer_epsilon_worst_case": _up(self.customer_epsilon_worst),
            "holder_epsilon": _up(self.holder_epsilon),
            "holder_epsilon_worst_case": _up(self.holder_epsilon_worst),
            "holder_mu": NO_MU if self.sampled else _up(self.mu),
            "holder_mu_worst_case": NO_MU if self.sampled else _up(self.mu_worst),
            "epsilon_slack": _up(self.epsilon_slack),
            "sampler_total_variation": _up(self.total_variation),
            "not_covered": "what one customer spends in other studies at other holders",
            **({} if self.series is None else self.series.as_report()),
        }


def price(
    plan: StudyPlan,
    *,
    delta: float | Decimal,
    overlap: int,
    noise_form: NoiseForm,
    colluders: int = 0,
    visible: bool = False,
    runs: int = 0,
) -> StudyPrice:
    """Price a study from its plan; visible uploads cost what masked ones do, as local noise does anyway.

    With `runs` the study is a series, and all of them are priced together as well.

    Formal guarantees:
        Everything a holder releases in the study is `(holder_epsilon_worst, delta)` private for adding or
        removing one customer against everyone but `honest` holders, the victim's own included; everything
        all holders release is `(customer_epsilon_worst, delta)` private for a customer at `overlap` holders.

    Raises:
        BudgetError: a scale, h, k or delta is out of range.
    """
    if noise_form == "local" and plan.honest != 1:
        raise BudgetError(
            "RF-B208", N_("Local noise stands alone; the plan counts on {honest} shares."), honest=plan.honest
        )
    for each in (plan.cohort, *(block for round_ in plan.rounds for block in round_.blocks)):
        mu_squared(each.sensitivity_squared, each.share_scale, 1)
    check_overlap(overlap, noise_form)
    (slack, variation), goal, rounds = plan_slacks(plan), float(delta), len(plan.rounds)

    def epsilon(attempts: int, holders: int, times: int = 1) -> float:
        every, count = [attempts] * rounds, holders * times
        return _customer_epsilon(
            plan, every, goal, holders, noise_form, count * slack, count * variation, times
        )

    rate, steps = _sampling(plan)
    return StudyPrice(
        delta=goal,
        mu=math.sqrt(plan.mu_squared),
        mu_worst=math.sqrt(plan.reserved_mu_squared),
        customer_epsilon=epsilon(1, overlap),
        customer_epsilon_worst=epsilon(plan.max_attempts, overlap),
        holder_epsilon=epsilon(1, 1),
        holder_epsilon_worst=epsilon(plan.max_attempts, 1),
        reserve=study_amount(plan),
        epsilon_slack=slack,
        total_variation=variation,
        honest=plan.honest,
        overlap=overlap,
        colluders=colluders,
        noise_form=noise_form,
        max_attempts=plan.max_attempts,
        visible=visible,
        parts=tuple(part for part in get_args(Part) if any(each.part == part for each in plan.rounds)),
        sampling_rate=rate,
        sampled_steps=steps,
        series=_all_runs(plan, runs, overlap, epsilon) if runs else None,
    )


def _sampling(plan: StudyPlan) -> tuple[Fraction, int]:
    """The largest rate below 1, or 1, and the most steps on samples that a customer of one part meets."""
    sampled = [each for each in plan.rounds if each.sampling_rate != 1]
    rate = max((Fraction(each.sampling_rate) for each in sampled), default=Fraction(1))
    return rate, max(
        sum(each.releases for each in sampled if each in plan.of_part(part)) for part in get_args(Part)
    )


def _all_runs(
    plan: StudyPlan, runs: int, overlap: int, epsilon: Callable[[int, int, int], float]
) -> SeriesPrice:
    """The price of all runs; `epsilon` takes attempts, holders and runs."""
    return SeriesPrice(
        runs=runs,
        customer_epsilon=epsilon(1, overlap, runs),
        customer_epsilon_worst=epsilon(plan.max_attempts, overlap, runs),
        holder_epsilon=epsilon(1, 1, runs),
        holder_epsilon_worst=epsilon(plan.max_attempts, 1, runs),
        reserve=multiply(study_amount(plan), runs),
    )


def epsilon_of_attempts(price: StudyPrice, plan: StudyPlan, attempts: Sequence[int]) -> float:
    """A customer's epsilon over all holders for the attempts that were really made; void ones are paid too.

    Args:
        price: of the study.
        plan: the same study's.
        attempts: made at each round, in order; a study that ended early has fewer.
    """
    return _customer_epsilon(
        plan,
        attempts,
        price.delta,
        price.overlap,
        price.noise_form,
        price.overlap * price.epsilon_slack,
        price.overlap * price.total_variation,
    )


def _customer_epsilon(
    plan: StudyPlan,
    attempts: Sequence[int],
    delta: float,
    overlap: int,
    noise_form: NoiseForm,
    slack: float,
    variation: float,
    times: int = 1,
) -> float:
    """The dearer part's epsilon over so many runs, slacks included."""

    def of(one: Composition) -> float:
        met = at_holders(repeated(one, times), overlap, noise_form)
        return _with_slack(delta, lambda certain: epsilon_of_composition(met, certain), slack, variation)

    parts: tuple[Part, ...] = get_args(Part)
    return max(of(composition(plan, part, attempts)) for part in parts)


def epsilon_with_slack(delta: float, mu: float, slack: float, total_variation: float) -> float:
    """Epsilon at delta of a mu-Gaussian private law that is drawn with the given inexactness.

    Args:
        delta: in (0, 1).
        mu: of the exact law.
        slack: max-divergence between the law drawn and the exact one, counted for both worlds; added.
        total_variation: between the two; `(1 + exp(epsilon))` times it must fit into delta.

    Returns:
        Epsilon, raised by 1e-9 of itself for rounding; `inf` if nothing can be claimed at this delta.
    """
    return _with_slack(delta, lambda certain: epsilon_of(certain, mu), slack, total_variation)


def _with_slack(
    delta: float, epsilon_at: Callable[[float], float], slack: float, total_variation: float
) -> float:
    for part in (DELTA_RESERVE, 0.5):
        epsilon = epsilon_at(delta * (1 - part)) * (1 + EPSILON_RESERVE / 2) + slack
        if total_variation == 0 or epsilon + math.log1p(math.exp(-epsilon)) <= math.log(
            part * delta / total_variation
        ):
            return epsilon
    return math.inf


def _up(value: float | Fraction) -> str:
    """Six significant digits, rounded up; `none` for infinity: no claim."""
    if value == math.inf:
        return "none"
    exact = Fraction(value)
    context = Context(prec=6, rounding=ROUND_CEILING)
    rounded = context.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return f"{rounded.normalize():f}" if exact == 0 or exact >= Fraction(1, 10**9) else f"{rounded:e}"
