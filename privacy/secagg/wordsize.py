"""How many bits a masked word needs, from public declarations alone, and the check of the sum afterwards.

A discrete Gaussian share X of scale s is sub-Gaussian: P(|X| >= t) <= 2 exp(-t^2 / (2 s^2)) (Canonne, Kamath,
Steinke 2020, fact 22 and corollary), and so is a sum of two shares of the same total variance. With t = 40 s
that is below 2e-347, so over 2^24 entries and 256 holders a sum leaves its bound with probability below
1e-337 unless somebody cheats: an honest sum never wraps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.waist import BlockPlan, IntVector, RoundPlan

NOISE_TAIL = 40
"""Largest noise share that words leave room for, in scales of the share."""


def largest_noise(block: BlockPlan) -> int:
    """Bound on one holder's noise in one entry, in grid units, missed with probability below 2e-347."""
    if not math.isfinite(block.share_scale) or block.share_scale < 0:
        raise WaistError("RF-W155", N_("Block {block} has no usable noise scale."), block=block.name)
    return math.ceil(NOISE_TAIL * block.share_scale)


def sum_bound(plan: RoundPlan, max_customers: Sequence[int]) -> int:
    """Bound on every entry of the sum over the holders, exact integer in grid units.

    Args:
        plan: the round.
        max_customers: what each holder of the roster declared in the signed study.

    Raises:
        WaistError: RF-W155 unusable noise scale, RF-W156 no holder or a negative declaration.
    """
    if not max_customers or min(max_customers) < 0 or not plan.blocks:
        raise WaistError("RF-W156", N_("The largest number of customers of every holder must be declared."))
    if plan.local_steps:
        return max(len(max_customers) * upload.max_abs for upload in plan.uploads)
    return max(
        sum(max_customers) * block.max_abs + len(max_customers) * largest_noise(block)
        for block in plan.blocks
    )


def choose_word_bits(plan: RoundPlan, max_customers: Sequence[int]) -> int:
    """32 or 64: the smallest word in which the round's sum cannot wrap.

    Raises:
        WaistError: RF-W157 when not even 64 bits suffice; RF-W155 and RF-W156 as `sum_bound`.
    """
    bound = sum_bound(plan, max_customers)
    for bits in (32, 64):
        if bound < 1 << (bits - 1):
            return bits
    raise WaistError(
        "RF-W157",
        N_("A sum of round {round} may need more than 64 bits; lower its resolution."),
        round=plan.name,
    )


def check_range(total: IntVector, bound: int) -> IntVector:
    """The sum, when every entry is within what honest holders can reach.

    Raises:
        WaistError: RF-W158 when it is corrupt; the attempt is void.
    """
    if len(total) and (int(total.max()) > bound or int(total.min()) < -bound):
        raise WaistError("RF-W158", N_("The sum is corrupt: an entry is out of range. The attempt is void."))
    return total
