"""What a plan takes from a ledger: its price by part and axis, all attempts and slacks included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from ringfence.privacy.accounting.amounts import Number, multiply, spent_amount
from ringfence.privacy.accounting.composition import composition
from ringfence.privacy.accounting.filters import MU_AXIS, Amounts, rdp_axis
from ringfence.privacy.accounting.renyi import plan_renyi, round_renyi
from ringfence.privacy.accounting.slack import plan_slacks
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger.entries import texts
from ringfence.privacy.ledger.equivalents import equivalent_mu_squared
from ringfence.privacy.ledger.parts import PARTS, ByPart, dearest
from ringfence.privacy.waist import RoundPlan, StudyPlan

# A plan's float total may be rounded otherwise than its parts; a reservation takes this much more.
RESERVE_MARGIN = Fraction(1, 10**12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a study would take from a ledger.

    Attributes:
        limits: for each part, by axis of the filter.
        epsilon_slack, delta_slack: of all its draws (privacy/accounting/slack.py).
    """

    limits: ByPart
    epsilon_slack: float
    delta_slack: float

    @property
    def amounts(self) -> Amounts:
        """What counts as spent once it is reserved: the dearer part on each axis."""
        return dearest(self.limits)

    def times(self, runs: int) -> Quote:
        """What so many runs of a series take, each reserved by itself."""
        return Quote(
            limits={
                part: {axis: multiply(amount, runs) for axis, amount in each.items()}
                for part, each in self.limits.items()
            },
            epsilon_slack=runs * self.epsilon_slack,
            delta_slack=runs * self.delta_slack,
        )

    @property
    def mu_squared(self) -> Decimal:
        """A Gaussian event of that size takes as much; at Renyi orders, on the one where that is least."""
        return equivalent_mu_squared(self.amounts, min)

    def as_texts(self) -> dict[str, dict[str, str]]:
        """The amounts by part and axis, exact decimals."""
        return {part: texts(each) for part, each in self.limits.items()}


def quote(plan: StudyPlan, axes: Amounts) -> Quote:
    """Price a whole study for a ledger.

    Args:
        plan: of the study.
        axes: amounts whose keys are the ledger's axes.

    Raises:
        BudgetError: a round samples its customers and the ledger takes Gaussian events only.
    """
    if MU_AXIS in axes:
        if plan.sampled:
            raise not_gaussian()
        every = [plan.max_attempts] * len(plan.rounds)
        limits: ByPart = {
            part: {MU_AXIS: raised(composition(plan, part, every).mu_squared)} for part in PARTS
        }
    else:
        limits = {part: _on_axes(each) for part, each in plan_renyi(plan, orders_of(axes)).items()}
    epsilon_slack, delta_slack = plan_slacks(plan)
    return Quote(limits=MappingProxyType(dict(limits)), epsilon_slack=epsilon_slack, delta_slack=delta_slack)


def attempt_renyi(plan: RoundPlan, honest: int, axes: Amounts) -> Mapping[Decimal, Decimal] | None:
    """What one attempt at a round is charged at Renyi orders; None where its mu squared says all.

    Raises:
        BudgetError: the round samples its customers and the ledger takes Gaussian events only.
    """
    if plan.sampling_rate == 1:
        return None
    if MU_AXIS in axes:
        raise not_gaussian()
    return round_renyi(plan, honest, orders_of(axes))


def orders_of(axes: Amounts) -> Sequence[Decimal]:
    """The Renyi orders of a ledger, none where it counts mu squared."""
    return [Decimal(axis.removeprefix("rdp:")) for axis in axes if axis != MU_AXIS]


def raised(value: Number, margin: Fraction = RESERVE_MARGIN) -> Decimal:
    """An amount to be reserved: a hair more than its parts may come to."""
    return spent_amount(Fraction(spent_amount(value)) * (1 + margin))


def not_gaussian() -> BudgetError:
    """The refusal of a sampled plan by a ledger that adds up mu squared."""
    return BudgetError(
        "RF-B332",
        N_(
            "The study draws samples of customers, which has no price in mu squared; this budget ledger was "
            "made with the filter gdp. It needs one made with ringfence-client init --filter rdp."
        ),
    )


def _on_axes(divergences: Mapping[Decimal, Decimal]) -> Amounts:
    return {rdp_axis(order): raised(amount) for order, amount in divergences.items()}
