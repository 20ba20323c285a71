"""Noisy steps inside a holder: what a task with local steps trains on, one noised sum at a time.

Each step draws its own Poisson sample, adds up bounded integers and adds this holder's whole noise; the task
sees the noisy sums and nothing else, so whatever it makes of them costs nothing more. The steps are counted:
the price of the attempt is that of the plan's steps, however few the task takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ringfence.models.features import FeatureMatrix
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.mechanisms.sampling import poisson_sample
from ringfence.privacy.mechanisms.source import NoiseSource
from ringfence.privacy.waist import BlockPlan, IntVector, RoundPlan, UploadBlock


@dataclass(slots=True, kw_only=True)
class CountedSteps:
    """The steps of one attempt at one round (`models.task.NoisySteps`).

    Attributes:
        plan: the round as the signed study fixes it.
        rows: the customers of its part.
        noise: the holder's source.
        max_customers: what the holder declared.
    """

    plan: RoundPlan
    rows: FeatureMatrix
    noise: NoiseSource
    max_customers: int
    _taken: int = field(default=0)

    def step(self, add_up: Callable[[FeatureMatrix], Mapping[str, IntVector]]) -> Mapping[str, IntVector]:
        """Sample, add up, add noise; see `NoisySteps`.

        Raises:
            WaistError: more steps than the plan has, or blocks that are not the plan's.
        """
        if self._taken >= self.plan.local_steps:
            raise WaistError(
                "RF-W066",
                N_("The task asks for more than the {steps} local steps of round {round}."),
                steps=self.plan.local_steps,
                round=self.plan.name,
            )
        self._taken += 1
        blocks = add_up(self.rows.take(poisson_sample(len(self.rows.label), self.plan.sampling_rate)))
        if set(blocks) != {block.name for block in self.plan.blocks}:
            raise block_fault(self.plan.name)
        for block in self.plan.blocks:
            check_block(
                block, blocks[block.name], len(blocks[block.name]), block.max_abs * self.max_customers
            )
        one = replace(self.plan, local_steps=0, uploads=())
        share = self.noise.share(one, {name: len(values) for name, values in blocks.items()}, 1)
        return {name: values + share.blocks[name] for name, values in blocks.items()}


def check_block(block: BlockPlan | UploadBlock, values: IntVector | None, length: int, bound: int) -> None:
    """Refuse values of another shape than planned, or larger than can be.

    Raises:
        WaistError: one of the two.
    """
    if values is None or values.dtype != np.int64 or values.shape != (length,) or length > block.max_length:
        raise WaistError(
            "RF-W062", N_("The block {block} has another shape than its plan."), block=block.name
        )
    if length and not -bound <= int(values.min()) <= int(values.max()) <= bound:
        raise WaistError(
            "RF-W063",
            N_("The block {block} holds more than its customers can add; the task's bound is wrong."),
            block=block.name,
        )


def block_fault(stage: str) -> WaistError:
    """The refusal of a contribution that has other blocks than its plan."""
    return WaistError("RF-W061", N_("A contribution to {round} has other blocks than its plan."), round=stage)
