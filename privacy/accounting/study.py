"""The price of a whole study, before anything is released: for a customer over all holders, and for one holder.

The customer's price is what the study's epsilon means. A customer at k holders adds k aligned contributions
under one summed noise (`k mu`), or k independent releases under local noises (`sqrt(k) mu`). The holder's price
(k = 1) is what leaves that holder alone and what its ledger is charged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Literal, TypeAlias

from ringfence.privacy.accounting.amounts import study_amount
from ringfence.privacy.accounting.gaussian import epsilon_of, mu_of, mu_squared
from ringfence.privacy.accounting.slack import plan_slacks
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.waist import StudyPlan

NoiseForm: TypeAlias = Literal["distributed", "local"]

# With room for voided attempts: towards epsilon 70 the sampler's error times exp(epsilon) meets delta.
LARGEST_EPSILON = 32.0
EPSILON_RESERVE = 1e-9
DELTA_RESERVE = 1e-4
_MARGIN = 1e-8


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
    if overlap < 1:
        raise BudgetError(
            "RF-B206", N_("A customer is at {overlap} holders; expected at least one."), overlap=overlap
        )
    match noise_form:
        case "distributed":
            return float(overlap)
        case "local":
            return math.sqrt(overlap)
    raise BudgetError("RF-B207", N_("The noise is {found}; expected distributed or local."), found=noise_form)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPrice:
    """What a study costs at a fixed delta, and what was assumed to say so.

    Attributes:
        delta: the delta of every epsilon here.
        mu: one holder's, when no attempt is void.
        mu_worst: one holder's, when every round needs all its attempts.
        customer_epsilon: over all holders of the study, when no attempt is void.
        customer_epsilon_worst: the same with all attempts; `inf` where nothing can be claimed.
        holder_epsilon: what leaves one holder, when no attempt is void.
        holder_epsilon_worst: the same with all attempts.
        reserve: exact mu squared that the ledger reserves, all attempts included.
        epsilon_slack: of all attempts, contained in every epsilon.
        total_variation: of all attempts; times `1 + exp(epsilon)` contained in delta.
        honest: h.
        overlap: k.
        colluders: holders that may pool what they see with the coordinator and one more holder.
        noise_form: distributed or local.
        max_attempts: attempts a round.
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

    def as_report(self) -> dict[str, str | int]:
        """The price and its assumptions as texts and integers, numbers rounded up, fit for an event."""
        return {
            "unit": "customer",
            "neighbouring_relation": "add/remove",
            "accountant": "Gaussian differential privacy, exact composition of discrete Gaussians",
            "noise_form": self.noise_form,
            "honest_shares": self.honest,
            "overlap": self.overlap,
            "colluders": self.colluders,
            "max_attempts": self.max_attempts,
            "delta": _up(self.delta),
            "customer_epsilon": _up(self.customer_epsilon),
            "customer_epsilon_worst_case": _up(self.customer_epsilon_worst),
            "holder_epsilon": _up(self.holder_epsilon),
            "holder_epsilon_worst_case": _up(self.holder_epsilon_worst),
            "holder_mu": _up(self.mu),
            "holder_mu_worst_case": _up(self.mu_worst),
            "epsilon_slack": _up(self.epsilon_slack),
            "sampler_total_variation": _up(self.total_variation),
            "not_covered": "what one customer spends in other studies at other holders",
        }


def price(
    plan: StudyPlan,
    *,
    delta: float | Decimal,
    overlap: int,
    noise_form: NoiseForm,
    colluders: int = 0,
) -> StudyPrice:
    """Price a study from its plan.

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
    factor = overlap_factor(overlap, noise_form)
    mu, worst = math.sqrt(plan.mu_squared), math.sqrt(plan.reserved_mu_squared)
    slack, variation = plan_slacks(plan)
    goal = float(delta)
    return StudyPrice(
        delta=goal,
        mu=mu,
        mu_worst=worst,
        customer_epsilon=epsilon_with_slack(goal, factor * mu, overlap * slack, overlap * variation),
        customer_epsilon_worst=epsilon_with_slack(goal, factor * worst, overlap * slack, overlap * variation),
        holder_epsilon=epsilon_with_slack(goal, mu, slack, variation),
        holder_epsilon_worst=epsilon_with_slack(goal, worst, slack, variation),
        reserve=study_amount(plan),
        epsilon_slack=slack,
        total_variation=variation,
        honest=plan.honest,
        overlap=overlap,
        colluders=colluders,
        noise_form=noise_form,
        max_attempts=plan.max_attempts,
    )


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
    for part in (DELTA_RESERVE, 0.5):
        epsilon = epsilon_of(delta * (1 - part), mu) * (1 + EPSILON_RESERVE / 2) + slack
        if total_variation == 0 or epsilon + math.log1p(math.exp(-epsilon)) <= math.log(
            part * delta / total_variation
        ):
            return epsilon
    return math.inf


def _up(value: float) -> str:
    """Six significant digits, rounded up; `none` for infinity: no claim."""
    if math.isinf(value):
        return "none"
    rounded = Context(prec=6, rounding=ROUND_CEILING).create_decimal(Decimal(value))
    return f"{rounded.normalize():f}" if abs(value) >= 1e-9 or value == 0 else f"{rounded:e}"
