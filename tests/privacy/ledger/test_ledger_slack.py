"""What inexact drawing takes from a budget: written into a reservation, counted for ever, refused beyond."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from kits.ledger_support import STUDY, new_ledger, refused

from ringfence.privacy.accounting.slack import block_slacks
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan, UploadBlock


def block(name: str, length: int) -> BlockPlan:
    # The smallest scale that is drawn, where the law of a sum is furthest from the one accounted.
    return BlockPlan(name=name, sensitivity_squared=1, max_abs=1, share_scale=4.0, max_length=length)


def plan() -> StudyPlan:
    rounds = (
        RoundPlan(name="sum", blocks=(block("a", 5), block("b", 7))),
        RoundPlan(
            name="steps",
            blocks=(block("a", 11),),
            local_steps=3,
            uploads=(UploadBlock(name="u", max_abs=1, max_length=11),),
        ),
        RoundPlan(name="judged", blocks=(block("c", 2),), part="test"),
    )
    return StudyPlan(honest=1, cohort=block("cohort", 1), rounds=rounds, max_attempts=2)


def wide() -> Ledger:
    return new_ledger(open_store(None))[0]


def test_a_reservation_takes_the_slack_of_every_draw_of_every_attempt() -> None:
    ledger = wide()
    # Entries drawn: the cohort's once, 12 and 3 times 11 and 2, in two attempts each.
    draws = 1 + 2 * (12 + 3 * 11 + 2)
    one = block_slacks(block("x", 1), 1, 1)
    quote = ledger.quote(plan())
    assert quote.epsilon_slack == pytest.approx(draws * one[0], rel=1e-12, abs=0)
    assert quote.delta_slack == pytest.approx(draws * one[1], rel=1e-12, abs=0)
    assert min(one) >= 0
    assert max(one) > 0


def test_a_planned_reservation_holds_its_slacks_and_later_ones_have_less_room() -> None:
    ledger = wide()
    cheap = StudyPlan(
        honest=3,
        cohort=BlockPlan(name="cohort", sensitivity_squared=1, max_abs=1, share_scale=400.0, max_length=1),
        rounds=(
            RoundPlan(
                name="sum",
                blocks=(
                    BlockPlan(name="a", sensitivity_squared=1, max_abs=1, share_scale=400.0, max_length=1000),
                ),
            ),
        ),
        max_attempts=2,
    )
    asked = ledger.quote(cheap)
    ledger.reserve_plan(STUDY, cheap)
    fields = ledger.entries()[-1].fields
    assert Fraction(str(fields["epsilon_slack"])) >= Fraction(asked.epsilon_slack) > 0
    assert Fraction(str(fields["delta_slack"])) >= Fraction(asked.delta_slack) > 0
    assert Fraction(str(fields["epsilon_slack"])) <= Fraction(asked.epsilon_slack) * (1 + Fraction(1, 10**9))


@pytest.mark.parametrize("which", ["epsilon_slack", "delta_slack"])
def test_slack_adds_up_over_studies_until_there_is_no_room(which: str) -> None:
    ledger = wide()
    allowance = Decimal(str(ledger.entries()[0].fields[which.replace("slack", "allowance")]))
    part = {which: float(allowance) * 0.4}
    kept = [ledger.reserve(f"{STUDY[:-1]}{i}", Decimal("0.01"), **part) for i in range(2)]  # type: ignore[arg-type]
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.01"), **part)) == "RF-B304"  # type: ignore[arg-type]
    # What is released keeps its slack: it never comes back.
    ledger.commit(kept[0])
    assert refused(lambda: ledger.reserve(STUDY, Decimal("0.01"), **part)) == "RF-B304"  # type: ignore[arg-type]
