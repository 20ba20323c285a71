"""The one source of noise that products use, and the shape every source has.

Invariant (DESIGN, 6.1): noise is drawn here and in this folder only, from the operating system's randomness,
discrete, and what draws it returns the event it is accounted by. There is no seed and no switch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ringfence.privacy.accounting.gaussian import SMOOTHING_VARIANCE
from ringfence.privacy.accounting.noise_laws import gaussian_law
from ringfence.privacy.accounting.slack import round_slacks
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.mechanisms.gaussian import draw_values
from ringfence.privacy.waist import BlockPlan, IntVector, RoundPlan

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyShare:
    """One holder's noise for one attempt at a round, and what the attempt costs.

    Attributes:
        blocks: int64 arrays by block name, each of the length asked for.
        mu_squared: `sum_j Delta_j**2 / (h s_j**2 - 4)`, exact composition (privacy/accounting/gaussian.py),
            as if every customer took part: an upper bound where the round reads a sample.
        epsilon_slack: `2 d (tau + 1e-33)` and the convolution's slack, over all entries; adds to epsilon.
        delta_slack: total variation of the h shares from their law; times `1 + exp(epsilon)` adds to delta.
        round_plan: the round as the signed study fixes it.
        honest: h, the shares that were counted on in the sum.
    """

    blocks: Mapping[str, IntVector]
    mu_squared: float
    epsilon_slack: float
    delta_slack: float
    round_plan: RoundPlan
    honest: int

    @property
    def event(self) -> DpEvent:
        """The same release for dp-accounting, of Gaussians with variance `h s_j**2 - 4`.

        Sampling is left to the price of the plan. Made when it is asked for: that library takes half a second
        to load.
        """
        return event_of(self.round_plan, self.honest)


class NoiseSource(Protocol):
    """What draws a holder's share of a round's noise; tests have sources of their own under tests/."""

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        """Draw the share for one attempt; a second attempt needs a second call."""
        ...


class OsNoise:
    """Discrete Gaussian shares from the operating system's randomness."""

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        """Draw the share for one attempt.

        Args:
            round_plan: the round as the signed study fixes it.
            lengths: entries of each block in this query, in any order, at most the plan's.
            honest: h, the shares that are counted on in the sum.

        Raises:
            BudgetError: a length or h does not fit the plan, or a scale cannot be drawn.
        """
        _check(round_plan, lengths, honest)
        epsilon_slack, delta_slack = round_slacks(round_plan, lengths, honest)
        return NoisyShare(
            blocks={
                block.name: draw_values(gaussian_law(block.share_scale), lengths[block.name])
                for block in round_plan.blocks
            },
            mu_squared=round_plan.mu_squared(honest),
            epsilon_slack=epsilon_slack,
            delta_slack=delta_slack,
            round_plan=round_plan,
            honest=honest,
        )


def event_of(round_plan: RoundPlan, honest: int) -> DpEvent:
    """One attempt at a round as an event for dp-accounting."""
    from dp_accounting.dp_event import ComposedDpEvent, GaussianDpEvent

    return ComposedDpEvent([GaussianDpEvent(_noise_multiplier(block, honest)) for block in round_plan.blocks])


def _noise_multiplier(block: BlockPlan, honest: int) -> float:
    variance = honest * block.share_scale**2 - SMOOTHING_VARIANCE
    return math.sqrt(variance / block.sensitivity_squared) if block.sensitivity_squared else math.inf


def _check(round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> None:
    if honest < 1:
        raise BudgetError(
            "RF-B004", N_("{honest} honest shares were counted on; at least one is needed."), honest=honest
        )
    expected = {block.name: block.max_length for block in round_plan.blocks}
    if lengths.keys() != expected.keys():
        raise BudgetError(
            "RF-B005",
            N_("Round {round} has the blocks {expected}; noise was asked for {found}."),
            round=round_plan.name,
            expected=", ".join(sorted(expected)),
            found=", ".join(sorted(lengths)),
        )
    for name, length in lengths.items():
        if not 0 <= length <= expected[name]:
            raise BudgetError(
                "RF-B006",
                N_(
                    "Block {block} of round {round} was asked with {length} entries; at most {most} are "
                    "planned."
                ),
                block=name,
                round=round_plan.name,
                length=length,
                most=expected[name],
            )
