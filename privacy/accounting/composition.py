"""What one customer meets in a study: Gaussian releases, and Gaussian releases of Poisson samples.

This is the form in which plans are priced (privacy/accounting/pld.py) and charged at Renyi orders
(privacy/accounting/renyi.py).

A customer at k holders. Under one summed noise the k contributions align, and each holder draws its own
sample: the customer shifts the sum by `j Delta` where j is binomial (k, q). The pair (nothing, `k Delta` at
rate `1 - (1-q)^k`) is at least as distinguishable: scale by `j/k`, fill up the variance, and draw j given
that it is not zero; this maps "nothing" onto itself and the larger shift onto the mixture. Under local noises
the k releases are independent and compose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

from ringfence.privacy.accounting.amounts import add, block_amount, multiply
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.waist import BOTH, Part, RoundPlan, StudyPlan

NoiseForm: TypeAlias = Literal["distributed", "local"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledSteps:
    """Steps of one kind, each on a new Poisson sample.

    Attributes:
        rate: q, below 1.
        mu_squared: price of one step for a customer who is in the sample.
        steps: how many.
    """

    rate: Fraction
    mu_squared: Decimal
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """All releases one customer meets, in any order.

    Attributes:
        mu_squared: of the Gaussian releases together.
        sampled: the sampled ones, one entry a kind.
    """

    mu_squared: Decimal
    sampled: tuple[SampledSteps, ...] = ()

    @property
    def releases(self) -> int:
        """How many are composed."""
        return 1 + sum(each.steps for each in self.sampled)


def composition(plan: StudyPlan, part: Part, attempts: Sequence[int]) -> Composition:
    """What a customer of one part meets at one holder.

    Args:
        plan: of the study.
        part: the customer's.
        attempts: made at each of the plan's rounds, in order, each on a sample of its own; rounds that were
            not reached may be left out.
    """
    everybody, kinds = block_amount(plan.cohort, 1), Counter[tuple[Fraction, Decimal]]()
    for each, count in zip(plan.rounds, attempts, strict=False):
        if each.part not in (part, BOTH) or not count:
            continue
        rate, one = step_of(each, plan.honest)
        if rate == 1:
            everybody = add(everybody, multiply(one, each.releases * count))
        else:
            kinds[(rate, one)] += each.releases * count
    sampled = tuple(SampledSteps(rate=r, mu_squared=m, steps=n) for (r, m), n in sorted(kinds.items()))
    return Composition(mu_squared=everybody, sampled=sampled)


def step_of(plan: RoundPlan, honest: int) -> tuple[Fraction, Decimal]:
    """Rate and price of one draw of noise in a round.

    Raises:
        BudgetError: the rate is out of range.
    """
    if not 0 < plan.sampling_rate <= 1:
        raise BudgetError(
            "RF-B230",
            N_("Round {round} samples at the rate {rate}; expected more than 0 and at most 1."),
            round=plan.name,
            rate=str(plan.sampling_rate),
        )
    if plan.local_steps and honest != 1:
        raise BudgetError(
            "RF-B234",
            N_(
                "Round {round} takes steps inside a holder, where only that holder's own noise protects; the "
                "plan counts on {honest} shares. It needs noise = local."
            ),
            round=plan.name,
            honest=honest,
        )
    return Fraction(plan.sampling_rate), add(*(block_amount(block, honest) for block in plan.blocks))


def at_holders(one: Composition, overlap: int, noise_form: NoiseForm) -> Composition:
    """The same for a customer whose rows are at several holders of the study.

    Raises:
        BudgetError: fewer than one holder, or an unknown form of noise.
    """
    check_overlap(overlap, noise_form)
    if noise_form == "local":
        kinds = [(each.rate, each.mu_squared, overlap * each.steps) for each in one.sampled]
        factor = overlap
    else:
        kinds = [
            (1 - (1 - each.rate) ** overlap, multiply(each.mu_squared, overlap**2), each.steps)
            for each in one.sampled
        ]
        factor = overlap**2
    return Composition(
        mu_squared=multiply(one.mu_squared, factor),
        sampled=tuple(SampledSteps(rate=rate, mu_squared=each, steps=steps) for rate, each, steps in kinds),
    )


def repeated(one: Composition, runs: int) -> Composition:
    """The same for a customer who meets it in every run of a series; runs draw noise anew and compose."""
    return Composition(
        mu_squared=multiply(one.mu_squared, runs),
        sampled=tuple(replace(each, steps=runs * each.steps) for each in one.sampled),
    )


def check_overlap(overlap: int, noise_form: NoiseForm) -> None:
    """Refuse what is no number of holders, or no form of noise.

    Raises:
        BudgetError: it is refused.
    """
    if overlap < 1:
        raise BudgetError(
            "RF-B206", N_("A customer is at {overlap} holders; expected at least one."), overlap=overlap
        )
    if noise_form not in ("distributed", "local"):
        raise BudgetError(
            "RF-B207", N_("The noise is {found}; expected distributed or local."), found=noise_form
        )
