"""Noise that repeats, for comparing runners; it protects nobody and lives under tests only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ringfence.privacy.accounting.slack import round_slacks
from ringfence.privacy.mechanisms.source import NoisyShare
from ringfence.privacy.waist import IntVector, RoundPlan


@dataclass(frozen=True, slots=True)
class SeededNoise:
    """A source whose shares depend on seed, holder, round and block alone, so order does not matter."""

    seed: int
    holder: str

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        epsilon_slack, delta_slack = round_slacks(round_plan, lengths, honest)
        return NoisyShare(
            blocks={
                block.name: self._draw(round_plan.name, block.name, block.share_scale, lengths[block.name])
                for block in round_plan.blocks
            },
            mu_squared=round_plan.mu_squared(honest),
            epsilon_slack=epsilon_slack,
            delta_slack=delta_slack,
            round_plan=round_plan,
            honest=honest,
        )

    def _draw(self, round_name: str, block: str, scale: float, length: int) -> IntVector:
        label = repr((self.seed, self.holder, round_name, block)).encode()
        generator = np.random.default_rng(int.from_bytes(hashlib.sha256(label).digest(), "big"))
        return np.rint(generator.normal(0.0, scale, length)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class SeededNoises:
    """The sources of all holders, by name."""

    seed: int

    def __call__(self, holder: str) -> SeededNoise:
        return SeededNoise(self.seed, holder)
