"""The waist's own arithmetic: prices, parts, digests of queries and the cutting of vectors into blocks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest

from ringfence.privacy.waist import (
    BlockPlan,
    Combination,
    Contribution,
    Query,
    RoundPlan,
    StudyPlan,
    UploadBlock,
    split_blocks,
)


def block(name: str, squared: int = 6, scale: float = 4.0, length: int = 3) -> BlockPlan:
    return BlockPlan(name=name, sensitivity_squared=squared, max_abs=2, share_scale=scale, max_length=length)


ONE = RoundPlan(name="one", blocks=(block("a"), block("b", 24, length=5)))
TWO = RoundPlan(name="two", blocks=(block("a", 3),), part="test")
PLAN = StudyPlan(honest=2, cohort=block("cohort", 12, 4.0, 1), rounds=(ONE, TWO), max_attempts=3)


def test_the_price_of_a_block_is_that_of_its_honest_shares_less_four() -> None:
    assert block("a").mu_squared(1) == 6 / 12
    assert block("a").mu_squared(2) == 6 / 28


def test_a_round_costs_its_blocks_as_often_as_noise_is_drawn() -> None:
    assert ONE.mu_squared(1) == pytest.approx(0.5 + 2)
    local = replace(ONE, local_steps=4, uploads=(UploadBlock(name="u", max_abs=9, max_length=7),))
    assert (ONE.releases, local.releases) == (1, 4)
    assert local.mu_squared(1) == pytest.approx(4 * 2.5)
    assert replace(ONE, local_steps=1).releases == 1


def test_what_leaves_is_the_uploads_of_local_steps_and_else_the_blocks() -> None:
    upload = UploadBlock(name="u", max_abs=9, max_length=7)
    local = replace(ONE, local_steps=1, uploads=(upload,))
    assert ONE.sent == ONE.blocks
    assert local.sent == (upload,)
    assert (ONE.max_length, local.max_length) == (8, 7)


def test_a_study_costs_its_cohort_and_the_dearer_part() -> None:
    train, test = 6 / 28 + 24 / 28, 3 / 28
    assert PLAN.mu_squared == pytest.approx(12 / 12 + train)
    assert PLAN.reserved_mu_squared == pytest.approx(12 / 12 + 3 * train)
    dear = replace(PLAN, rounds=(ONE, TWO, *[TWO] * 20))
    assert dear.mu_squared == pytest.approx(1 + 21 * test)
    assert PLAN.of_part("train") == (ONE,)
    assert PLAN.of_part("test") == (TWO,)


@pytest.mark.parametrize("rounds", list(permutations([ONE, TWO, replace(TWO, name="all", part="both")])))
def test_what_reads_everybody_is_paid_beside_the_dearer_part(rounds: tuple[RoundPlan, ...]) -> None:
    """Not as a part of its own: the maximum over three would leave out what every customer pays."""
    train, test = 6 / 28 + 24 / 28, 3 / 28
    plan = replace(PLAN, rounds=rounds)
    assert plan.mu_squared == pytest.approx(1 + test + train)
    assert plan.reserved_mu_squared == pytest.approx(1 + 3 * (test + train))
    assert [each.name for each in plan.of_part("train")] == [e.name for e in rounds if e.part != "test"]
    assert [each.name for each in plan.of_part("test")] == [e.name for e in rounds if e.part != "train"]


def test_a_plan_is_sampled_when_one_round_is() -> None:
    assert not PLAN.sampled
    assert replace(PLAN, rounds=(ONE, replace(TWO, sampling_rate=Fraction(1, 2)))).sampled


QUERIES = [
    Query(task="t", round=1, numbers={"n": 1}, arrays={"x": np.array([[1, 2], [3, 4]])}),
    Query(task="u", round=1, numbers={"n": 1}, arrays={"x": np.array([[1, 2], [3, 4]])}),
    Query(task="t", round=2, numbers={"n": 1}, arrays={"x": np.array([[1, 2], [3, 4]])}),
    Query(task="t", round=1, numbers={"n": 2}, arrays={"x": np.array([[1, 2], [3, 4]])}),
    Query(task="t", round=1, numbers={"m": 1}, arrays={"x": np.array([[1, 2], [3, 4]])}),
    Query(task="t", round=1, numbers={"n": 1}, arrays={"y": np.array([[1, 2], [3, 4]])}),
    Query(task="t", round=1, numbers={"n": 1}, arrays={"x": np.array([1, 2, 3, 4])}),
    Query(task="t", round=1, numbers={"n": 1}, arrays={"x": np.array([[1, 2], [3, 5]])}),
    Query(task="t", round=1, numbers={"n": 1}, arrays={"x": np.array([[1, 3], [2, 4]])}),
    Query(task="t", round=1, numbers={"n": 1}),
    Query(task="t", round=1, arrays={"x": np.array([1]), "y": np.array([2])}),
    Query(task="t", round=1, arrays={"x": np.array([2]), "y": np.array([1])}),
]


def test_every_part_of_a_query_is_in_its_digest() -> None:
    for one, other in combinations(QUERIES, 2):
        assert one.digest() != other.digest()
    assert {len(each.digest()) for each in QUERIES} == {32}


def test_a_digest_is_that_of_the_values_however_they_are_laid_out() -> None:
    rows = np.array([[1, 2], [3, 4]])
    same = [
        Query(task="t", round=1, numbers={"n": 1}, arrays={"x": np.asfortranarray(rows)}),
        Query(task="t", round=1, numbers={"n": 1}, arrays={"x": rows.astype(">i8")}),
        Query(task="t", round=1, numbers={"n": 1}, arrays={"x": rows[::-1][::-1]}),
    ]
    assert {each.digest() for each in same} == {QUERIES[0].digest()}
    header = b'{"arrays":{"x":[2,2]},"numbers":{"n":"1"},"round":1,"task":"t"}'
    body = b"".join(number.to_bytes(8, "little") for number in (1, 2, 3, 4))
    told = hashlib.sha256(len(header).to_bytes(8, "big") + header + body)
    assert QUERIES[0].digest() == told.digest()


def test_a_vector_is_cut_and_joined_in_the_plans_order() -> None:
    blocks = {"b": np.array([4, 5]), "a": np.array([1, 2, 3])}
    vector = Contribution(query_digest=b"", blocks=blocks).vector(ONE)
    assert vector.tolist() == [1, 2, 3, 4, 5]
    cut = dict(split_blocks(vector, {"a": 3, "b": 2}))
    assert {name: values.tolist() for name, values in cut.items()} == {"a": [1, 2, 3], "b": [4, 5]}


def test_what_a_round_does_not_say_is_the_whole_part_at_once_and_a_plain_sum() -> None:
    plain = RoundPlan(name="r", blocks=())
    assert (plain.part, plain.sampling_rate, plain.local_steps, plain.uploads) == ("train", 1, 0, ())
    assert plain.combination == Combination(rule="mean", wrong=0)
