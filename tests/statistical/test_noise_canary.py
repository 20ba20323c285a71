"""White-box canary: what an attacker who knows all but one customer learns from noisy sums, measured.

Two worlds differ by the worst-case customer. From the errors of the best test, a lower bound on mu holds with
confidence 1 - 1e-9 (Clopper, Pearson 1934); it must not exceed the claimed mu. The threshold is fixed on the
first fifth of the trials, the bound comes from the others (tests/prove/bounds.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from prove.bounds import lower_bound

from ringfence.privacy.mechanisms.gaussian import draw
from ringfence.privacy.mechanisms.source import NoiseSource, NoisyShare, OsNoise
from ringfence.privacy.waist import BlockPlan, RoundPlan

TRIALS = 200_000
SHIFT = (15, -10, 30)  # what the customer adds
SQUARED = 1225
HONEST = 3

Worlds = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def scale_for(mu: float) -> float:
    """Share scale at which the shift costs `mu` under the honest shares."""
    return math.sqrt((SQUARED / mu**2 + 4) / HONEST)


def plan_for(mu: float) -> RoundPlan:
    block = BlockPlan(
        name="a", sensitivity_squared=SQUARED, max_abs=30, share_scale=scale_for(mu), max_length=TRIALS
    )
    return RoundPlan(name="r", blocks=(block,))


def worlds(source: NoiseSource, plan: RoundPlan, shift: tuple[int, ...] = SHIFT) -> Worlds:
    """The best test's statistic, the projection on the shift, without and with the customer."""

    def world(present: bool) -> npt.NDArray[np.float64]:
        statistic = np.zeros(TRIALS)
        for entry in shift:
            total = np.full(TRIALS, entry if present else 0)
            for _ in range(HONEST):
                total = total + source.share(plan, {"a": TRIALS}, HONEST).blocks["a"]
            statistic += entry * total
        return statistic

    return world(False), world(True)


@pytest.mark.parametrize("mu", [0.5, 1.0])
def test_the_noise_keeps_the_claim(mu: float) -> None:
    plan = plan_for(mu)
    assert plan.mu_squared(HONEST) == pytest.approx(mu**2)
    found = lower_bound(*worlds(OsNoise(), plan))
    assert found <= mu
    assert found > mu - 0.12, "the test has lost its power"


class Weaker:
    """A source whose noise is a given part of what the plan says."""

    def __init__(self, part: float) -> None:
        self.part = part

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        honest_share = OsNoise().share(round_plan, dict.fromkeys(lengths, 0), honest)
        blocks = {
            block.name: draw(self.part * block.share_scale, lengths[block.name]).values
            for block in round_plan.blocks
        }
        return NoisyShare(
            blocks=blocks,
            mu_squared=honest_share.mu_squared,
            epsilon_slack=0.0,
            delta_slack=0.0,
            round_plan=round_plan,
            honest=honest,
        )


class SameForAll:
    """A source whose holders draw from one stream, so that two of three shares cancel."""

    def __init__(self) -> None:
        self.calls = 0
        self.last: NoisyShare | None = None

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        if self.calls % HONEST == 0 or self.last is None:
            self.last = OsNoise().share(round_plan, lengths, honest)
        self.calls += 1
        sign = (1, -1, 1)[self.calls % HONEST]
        return NoisyShare(
            blocks={name: sign * values for name, values in self.last.blocks.items()},
            mu_squared=self.last.mu_squared,
            epsilon_slack=0.0,
            delta_slack=0.0,
            round_plan=round_plan,
            honest=honest,
        )


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("noise x0.9", Weaker(0.9)),
        ("share /n for four holders instead of /h for three", Weaker(math.sqrt(3 / 4))),
        ("one stream at all holders", SameForAll()),
    ],
)
def test_weaker_noise_is_rejected(name: str, source: NoiseSource) -> None:
    plan = plan_for(1.0)
    assert lower_bound(*worlds(source, plan)) > 1.0, name


def test_a_customer_beyond_the_bound_is_rejected() -> None:
    """No clipping: a customer that adds seven times what the plan allows."""
    assert lower_bound(*worlds(OsNoise(), plan_for(1.0), tuple(7 * entry for entry in SHIFT))) > 2
