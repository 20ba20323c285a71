"""What the waist gate lets through, in which words, and what it says and charges of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ringfence.clients import gate
from ringfence.clients.gate import check_answer
from ringfence.clients.pipeline import PendingContribution
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoisyShare
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.waist import BlockPlan, Contribution, IntVector, RoundPlan, UploadBlock, VisibleUpdate

DIGEST = b"\7" * 32
KEY = AttemptKey(study="sha256:" + "ab" * 32, run="cd" * 16, round=3, attempt=1, query=DIGEST)
SUMS = BlockPlan(name="sums", sensitivity_squared=4, max_abs=2, share_scale=16.0, max_length=8)
COUNTS = BlockPlan(name="counts", sensitivity_squared=1, max_abs=1, share_scale=8.0, max_length=4)
PLAN = RoundPlan(name="histogram", blocks=(SUMS, COUNTS))
LOCAL = replace(
    PLAN,
    local_steps=2,
    uploads=(
        UploadBlock(name="update", max_abs=9, max_length=6),
        UploadBlock(name="more", max_abs=3, max_length=2),
    ),
)
LENGTHS = {"sums": 3, "counts": 2}
UPLOADED = {"update": 3, "more": 2}


def vector(*values: int) -> IntVector:
    return np.array(values, dtype=np.int64)


def contribution(plan: RoundPlan = PLAN, **blocks: Any) -> Contribution:
    whole = (
        {"update": vector(9, -9, 0), "more": vector(3, -3)}
        if plan.local_steps
        else {"sums": vector(20, -20, 0), "counts": vector(10, -10)}
    )
    return Contribution(query_digest=DIGEST, blocks=whole | blocks)


def check(made: Contribution, plan: RoundPlan = PLAN, key: AttemptKey = KEY) -> None:
    check_answer(made, key, plan, UPLOADED if plan.local_steps else LENGTHS, 10)


@pytest.mark.parametrize("plan", [PLAN, LOCAL], ids=["sums", "uploads"])
def test_the_most_that_ten_customers_can_add_passes(plan: RoundPlan) -> None:
    check(contribution(plan), plan)


@pytest.mark.parametrize(
    ("plan", "blocks", "code"),
    [
        (PLAN, {"sums": vector(21, 0, 0)}, "RF-W063"),
        (PLAN, {"sums": vector(0, -21, 0)}, "RF-W063"),
        (PLAN, {"counts": vector(0, 11)}, "RF-W063"),
        (PLAN, {"counts": vector(-11, 0)}, "RF-W063"),
        (PLAN, {"sums": vector(0, 0)}, "RF-W062"),
        (PLAN, {"counts": vector(0, 0, 0)}, "RF-W062"),
        (PLAN, {"counts": np.zeros(2, dtype=np.int32)}, "RF-W062"),
        (PLAN, {"counts": None}, "RF-W062"),
        (PLAN, {"update": vector(0, 0, 0)}, "RF-W061"),
        (LOCAL, {"update": vector(10, 0, 0)}, "RF-W063"),
        (LOCAL, {"more": vector(0, -4)}, "RF-W063"),
        (LOCAL, {"update": vector(0, 0)}, "RF-W062"),
        (LOCAL, {"sums": vector(0, 0, 0)}, "RF-W061"),
    ],
)
def test_what_customers_cannot_add_up_to_is_not_sent(
    plan: RoundPlan, blocks: dict[str, Any], code: str
) -> None:
    with pytest.raises(WaistError, match=code):
        check(contribution(plan, **blocks), plan)


def test_blocks_are_all_of_the_plans_and_of_no_more_entries() -> None:
    lacking = Contribution(query_digest=DIGEST, blocks={"sums": vector(0, 0, 0)})
    with pytest.raises(WaistError, match="RF-W061"):
        check(lacking)
    long = contribution(sums=vector(*range(9)), counts=vector(0, 0))
    with pytest.raises(WaistError, match="RF-W062"):
        check_answer(long, KEY, PLAN, LENGTHS | {"sums": 9}, 10)
    check_answer(contribution(sums=vector(*range(8))), KEY, PLAN, LENGTHS | {"sums": 8}, 10)
    check_answer(contribution(sums=vector()), KEY, PLAN, LENGTHS | {"sums": 0}, 10)


def test_an_answer_is_to_the_query_that_was_asked() -> None:
    with pytest.raises(WaistError, match="RF-W060"):
        check(contribution(), key=replace(KEY, query=b"\1" * 32))


class _Noise:
    """Adds what is easily told: a hundred to the sums, a thousand to the counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def share(self, plan: RoundPlan, lengths: Any, honest: int) -> NoisyShare:
        self.asked.append((plan, lengths, honest))
        blocks = {
            "counts": np.full(lengths["counts"], 1000, dtype=np.int64),
            "sums": np.full(lengths["sums"], 100, dtype=np.int64),
        }
        return NoisyShare(
            blocks=blocks, mu_squared=1.0, epsilon_slack=0, delta_slack=0, round_plan=plan, honest=honest
        )


def pending(plan: RoundPlan) -> PendingContribution:
    lengths = UPLOADED if plan.local_steps else LENGTHS
    return PendingContribution(plan=plan, lengths=lengths, contribution=contribution(plan), evidence={})


def joined(visible: bool = False, distributed: bool = True, most: tuple[int, ...] = (10, 20)) -> Any:
    study = SimpleNamespace(
        holders=[SimpleNamespace(max_customers=each) for each in most],
        privacy=SimpleNamespace(visible=visible),
        distributed=distributed,
    )
    return SimpleNamespace(admitted=SimpleNamespace(study=study, plan=SimpleNamespace(honest=5)))


def test_noise_is_added_block_by_block_in_the_plans_order() -> None:
    noise = _Noise()
    holder: Any = SimpleNamespace(noise=noise)
    found = gate.with_noise(holder, joined(), pending(PLAN))
    assert found.tolist() == [120, 80, 100, 1010, 990]
    assert noise.asked == [(PLAN, LENGTHS, 5)]


def test_after_local_steps_the_noise_is_in_it_already() -> None:
    noise = _Noise()
    holder: Any = SimpleNamespace(noise=noise)
    assert gate.with_noise(holder, joined(), pending(LOCAL)).tolist() == [9, -9, 0, 3, -3]
    assert noise.asked == []


@pytest.mark.parametrize(
    ("visible", "distributed", "shown"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_only_local_noise_in_a_study_that_says_so_goes_without_a_mask(
    monkeypatch: pytest.MonkeyPatch, visible: bool, distributed: bool, shown: bool
) -> None:
    masked: list[tuple[object, dict[str, object]]] = []

    def mask(noisy: object, **rest: object) -> str:
        masked.append((noisy, rest))
        return "masked"

    monkeypatch.setattr(gate, "mask", mask)
    keys: Any = object()
    agreed: Any = SimpleNamespace(roster=SimpleNamespace(own="bank"))
    noisy = vector(1, -2, 3)
    found: Any = gate.in_words(joined(visible, distributed), KEY, keys, agreed, PLAN, noisy)
    if shown:
        assert isinstance(found, VisibleUpdate)
        assert (found.holder, found.round, found.attempt, found.word_bits) == ("bank", 3, 1, 32)
        assert found.words.view(np.int32).tolist() == [1, -2, 3]
        assert masked == []
    else:
        assert found == "masked"
        ((given, rest),) = masked
        assert given is noisy
        assert rest == {
            "keys": keys,
            "agreed": agreed,
            "round": 3,
            "attempt": 1,
            "query_digest": DIGEST,
            "word_bits": 32,
        }


@pytest.mark.parametrize(("most", "bits"), [((10, 20), 32), ((1 << 28, 1 << 29), 32), ((1 << 30, 10), 64)])
def test_words_have_room_for_the_sum_of_what_all_holders_declared(most: tuple[int, ...], bits: int) -> None:
    agreed: Any = SimpleNamespace(roster=SimpleNamespace(own="bank"))
    keys: Any = None
    found = gate.in_words(joined(True, False, most), KEY, keys, agreed, PLAN, vector(1))
    assert found.word_bits == bits


def test_a_sampled_round_is_charged_by_its_orders() -> None:
    """The gate hands on what the ledger works out for the round; see `Ledger.renyi_of`."""
    asked: list[tuple[object, ...]] = []
    charged: list[dict[str, object]] = []

    class _Stop(Exception):
        pass

    class _Ledger:
        def renyi_of(self, plan: RoundPlan, honest: int) -> str:
            asked.append((plan, honest))
            return "by order"

        def release(self, reservation: object, **rest: object) -> None:
            charged.append({"reservation": reservation} | rest)
            raise _Stop

    plan = replace(PLAN, sampling_rate=Fraction(1, 2), part="test")
    holder: Any = SimpleNamespace(
        noise=_Noise(), ledger=_Ledger(), contract=SimpleNamespace(max_customers=10)
    )
    study = joined(True, False)
    study.reservation = "the reservation"
    agreed: Any = SimpleNamespace(roster=SimpleNamespace(own="bank"))
    keys: Any = None
    with pytest.raises(_Stop):
        gate.send(holder, study, KEY, keys=keys, agreed=agreed, answer=pending(plan))
    assert asked == [(plan, 5)]
    assert charged == [
        {
            "reservation": "the reservation",
            "run": KEY.run,
            "round": 3,
            "attempt": 1,
            "mu_squared": plan.mu_squared(5),
            "renyi": "by order",
            "part": "test",
        }
    ]
    holder.contract.max_customers = 9
    with pytest.raises(WaistError, match="RF-W063"):
        gate.send(holder, study, KEY, keys=keys, agreed=agreed, answer=pending(plan))
    assert len(charged) == 1, "what is refused is not charged"
