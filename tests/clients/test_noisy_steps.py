"""Local steps are counted: as many as the signed plan has, each with a sample and a whole share of noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ringfence.clients.noisy_steps import CountedSteps, block_fault, check_block
from ringfence.models.features import FeatureMatrix
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.waist import BlockPlan, IntVector, RoundPlan, UploadBlock

PLAN = RoundPlan(
    name="local",
    blocks=(BlockPlan(name="sum", sensitivity_squared=4, max_abs=2, share_scale=16.0, max_length=8),),
    local_steps=4,
    sampling_rate=Fraction(1, 2),
    uploads=(UploadBlock(name="update", max_abs=8, max_length=8),),
)
ROWS = FeatureMatrix(
    names=("age",),
    codes=np.arange(200, dtype=np.uint16).reshape(200, 1),
    label=np.zeros(200, dtype=np.uint8),
    is_test=np.zeros(200, dtype=np.bool_),
)


class _Noted:
    """The operating system's noise, with what was asked for and what was drawn."""

    def __init__(self) -> None:
        self.drawn: list[IntVector] = []
        self.asked: list[tuple[RoundPlan, int]] = []

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        self.asked.append((round_plan, honest))
        self.drawn.append(share.blocks["sum"])
        return share


def counted(noise: _Noted, plan: RoundPlan = PLAN) -> CountedSteps:
    return CountedSteps(plan=plan, rows=ROWS, noise=noise, max_customers=200)


@pytest.mark.parametrize("planned", [1, 4])
def test_one_step_more_than_planned_is_refused_and_draws_nothing(planned: int) -> None:
    noise, seen = _Noted(), list[bytes]()
    plan = RoundPlan(
        name=PLAN.name,
        blocks=PLAN.blocks,
        local_steps=planned,
        sampling_rate=PLAN.sampling_rate,
        uploads=PLAN.uploads,
    )
    steps = counted(noise, plan)

    def add_up(rows: FeatureMatrix) -> dict[str, IntVector]:
        seen.append(rows.codes.tobytes())
        return {"sum": np.zeros(8, dtype=np.int64)}

    for _ in range(planned):
        steps.step(add_up)
    for _ in range(2):
        with pytest.raises(WaistError, match="RF-W066"):
            steps.step(add_up)
    assert len(noise.drawn) == len(seen) == planned
    assert len(set(seen)) == planned, "two halves of 200 agree with probability below 1e-60"


def test_each_step_has_all_of_a_share_of_its_own() -> None:
    noise = _Noted()
    steps = counted(noise)
    exact = np.array([2, -1, 0, 1, 0, 0, -2, 1], dtype=np.int64)
    found = [steps.step(lambda _rows: {"sum": exact.copy()})["sum"] for _ in range(4)]
    for values, drawn in zip(found, noise.drawn, strict=True):
        np.testing.assert_array_equal(values - exact, drawn)
    assert len({values.tobytes() for values in noise.drawn}) == 4, (
        "two are alike with probability below 1e-12"
    )
    assert {honest for _, honest in noise.asked} == {1}, "the whole noise, counted on by nobody else"
    assert {(each.blocks, each.local_steps) for each, _ in noise.asked} == {(PLAN.blocks, 0)}


def test_the_greatest_sums_of_all_customers_pass() -> None:
    steps = counted(_Noted())
    for sign in (1, -1):
        told = steps.step(lambda _rows, sign=sign: {"sum": np.full(8, sign * 2 * 200, dtype=np.int64)})  # type: ignore[misc]
        assert told["sum"].shape == (8,)


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ({"sum": np.array([401], dtype=np.int64)}, "RF-W063"),
        ({"sum": np.array([-401], dtype=np.int64)}, "RF-W063"),
        ({"sum": np.array([0, 0, 1 << 40, 0], dtype=np.int64)}, "RF-W063"),
        ({"sum": np.zeros(9, dtype=np.int64)}, "RF-W062"),
        ({"sum": np.zeros((2, 4), dtype=np.int64)}, "RF-W062"),
        ({"sum": np.zeros(8, dtype=np.int32)}, "RF-W062"),
        ({"sum": np.zeros(8)}, "RF-W062"),
        ({}, "RF-W061"),
        ({"total": np.zeros(8, dtype=np.int64)}, "RF-W061"),
        ({"sum": np.zeros(8, dtype=np.int64), "more": np.zeros(1, dtype=np.int64)}, "RF-W061"),
    ],
)
def test_sums_beyond_the_plan_get_no_noise_and_are_not_handed_out(
    blocks: dict[str, IntVector], code: str
) -> None:
    noise = _Noted()
    with pytest.raises(WaistError, match=code):
        counted(noise).step(lambda _rows: blocks)
    assert noise.drawn == []


@pytest.mark.parametrize("rate", [Fraction(1, 4), Fraction(1, 2), Fraction(1)])
def test_a_step_reads_the_planned_share_of_the_rows(rate: Fraction) -> None:
    sizes: list[int] = []

    def add_up(rows: FeatureMatrix) -> dict[str, IntVector]:
        sizes.append(len(rows.label))
        return {"sum": np.zeros(8, dtype=np.int64)}

    steps = counted(_Noted(), replace(PLAN, sampling_rate=rate, local_steps=20))
    for _ in range(20):
        steps.step(add_up)
    expected, deviation = 4000 * rate, (4000 * rate * (1 - rate)) ** 0.5
    assert abs(sum(sizes) - expected) <= 8 * deviation, "missed with probability below 1e-14"


def test_refusals_name_their_round() -> None:
    fault = block_fault("gradient-1")
    assert (fault.code, fault.values) == ("RF-W061", {"round": "gradient-1"})
    steps = counted(_Noted(), replace(PLAN, local_steps=1))
    steps.step(lambda _rows: {"sum": np.zeros(8, dtype=np.int64)})
    with pytest.raises(WaistError) as found:
        steps.step(lambda _rows: {"sum": np.zeros(8, dtype=np.int64)})
    assert found.value.values == {"steps": 1, "round": "local"}


@pytest.mark.parametrize("length", [0, 1, 8])
def test_as_many_entries_as_planned_within_the_bound_pass(length: int) -> None:
    for value in (7, -7):
        check_block(PLAN.blocks[0], np.full(length, value, dtype=np.int64), length, 7)
        beyond = np.full(length + 1, value, dtype=np.int64)
        with pytest.raises(WaistError, match="RF-W062"):
            check_block(PLAN.blocks[0], beyond, length, 7)


def test_a_steps_noise_is_that_of_one_release_of_its_sums() -> None:
    """Its blocks and its length, and nothing of the uploads that come of it."""
    noise = _Noted()
    short = counted(noise).step(lambda _rows: {"sum": np.zeros(5, dtype=np.int64)})
    assert short["sum"].shape == (5,)
    assert [plan for plan, _ in noise.asked] == [replace(PLAN, local_steps=0, uploads=())]
