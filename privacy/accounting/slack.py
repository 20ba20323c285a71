"""How far what is drawn may be from what is accounted: the slacks of a round and of a study."""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.privacy.accounting.gaussian import SMOOTHING_SLACK, tau
from ringfence.privacy.accounting.noise_laws import gaussian_law
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan


def block_slacks(block: BlockPlan, entries: int, honest: int) -> tuple[float, float]:
    """Slack to epsilon and total variation of one release of a block.

    Every entry is within `tau + 1e-33` (and the convolution's slack a share) of a post-processed continuous
    Gaussian, in either of the two neighbouring worlds, hence twice; every entry of the h shares is drawn from
    a table (see accounting/noise_laws.py).
    """
    law = gaussian_law(block.share_scale)
    per_entry = tau(honest, block.share_scale) + SMOOTHING_SLACK + honest * law.slack
    return 2 * entries * per_entry, entries * honest * law.tv_error


def round_slacks(plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> tuple[float, float]:
    """Slack to epsilon and total variation of one attempt at a round with blocks of the given lengths."""
    pairs = [block_slacks(block, lengths[block.name], honest) for block in plan.blocks]
    return (
        plan.releases * sum(epsilon for epsilon, _ in pairs),
        plan.releases * sum(variation for _, variation in pairs),
    )


def plan_slacks(plan: StudyPlan) -> tuple[float, float]:
    """The same for a study whose rounds have their greatest lengths and need all their attempts."""
    epsilon, variation = block_slacks(plan.cohort, plan.cohort.max_length, 1)
    for each in plan.rounds:
        full = {block.name: block.max_length for block in each.blocks}
        one, other = round_slacks(each, full, plan.honest)
        epsilon += plan.max_attempts * one
        variation += plan.max_attempts * other
    return epsilon, variation
