"""Studies over two disjoint parts of the customers: the dearer part counts, and nothing lets a part be
forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.ledger_support import (
    DELTA,
    EPSILON,
    STUDY,
    TableJournal,
    charge,
    forge,
    new_ledger,
    refused,
    reopen,
)
from sqlalchemy import Engine

from ringfence.privacy.accounting.amounts import block_amount, round_amount, study_amount
from ringfence.privacy.accounting.composition import at_holders, composition
from ringfence.privacy.accounting.gaussian import delta_of
from ringfence.privacy.accounting.pld import epsilon_of_composition
from ringfence.privacy.ledger import Ledger, Reservation, Scope
from ringfence.privacy.ledger.parts import PARTS, dearest, nothing, with_release
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

MARGIN = Decimal("1e-9")


def block(scale: float, name: str = "b") -> BlockPlan:
    return BlockPlan(name=name, sensitivity_squared=100, max_abs=10, share_scale=scale, max_length=5)


PLAN = StudyPlan(
    honest=2,
    cohort=BlockPlan(name="cohort", sensitivity_squared=1, max_abs=1, share_scale=40.0, max_length=1),
    rounds=(
        RoundPlan(name="counts", blocks=(block(60.0),)),
        RoundPlan(name="gradient", blocks=(block(50.0),)),
        RoundPlan(name="scores", blocks=(block(45.0),), part="test"),
    ),
    max_attempts=2,
)
SAMPLED = replace(
    PLAN,
    rounds=(
        *(
            RoundPlan(name=f"step-{n}", blocks=(block(12.0),), sampling_rate=Fraction(1, 50))
            for n in range(20)
        ),
        PLAN.rounds[2],
    ),
)


def test_the_dearer_part_counts_and_the_cohort_counts_in_both(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.2"))
    charge(ledger, reservation, Decimal("0.01"), round_=0)
    assert ledger.charged().mu_squared == Decimal("0.01")
    charge(ledger, reservation, Decimal("0.05"), round_=1, part="train")
    charge(ledger, reservation, Decimal("0.03"), round_=2, part="test")
    assert ledger.charged().mu_squared == Decimal("0.06"), "0.03 over other customers is not added"
    charge(ledger, reservation, Decimal("0.03"), round_=3, part="test")
    assert ledger.charged().mu_squared == Decimal("0.07"), "now the test part is the dearer one"
    assert reopen(engine).charged() == ledger.charged()
    ledger.commit(reservation)
    assert ledger.spent().mu_squared == ledger.charged().mu_squared == Decimal("0.07")
    # Another study splits its customers otherwise, so it adds up whatever its parts are.
    other = ledger.reserve("sha256:" + "6" * 64, Decimal("0.2"))
    charge(ledger, other, Decimal("0.04"), round_=0, part="train")
    assert ledger.charged().mu_squared == Decimal("0.11")
    assert reopen(engine).spent() == ledger.spent()


def test_each_part_keeps_to_what_was_reserved_for_it(engine: Engine) -> None:
    ledger, journal = new_ledger(engine)
    whole = ledger.left().mu_squared
    reservation = ledger.reserve_plan(STUDY, PLAN)
    assert ledger.spent().mu_squared == pytest.approx(study_amount(PLAN), rel=MARGIN)
    cohort = block_amount(PLAN.cohort, 1)
    charge(ledger, reservation, cohort, round_=-1)
    number = 0
    for _ in range(PLAN.max_attempts):
        for each in PLAN.rounds:
            charge(ledger, reservation, round_amount(each, PLAN.honest), round_=number, part=each.part)
            number += 1
    # Everything that was planned fits; one attempt more does in neither part, though the total has room for a
    # test.
    for part in PARTS:
        amount = round_amount(PLAN.rounds[2], PLAN.honest)
        assert (
            refused(lambda p=part, a=amount: charge(ledger, reservation, a, round_=99, part=p)) == "RF-B306"
        )  # type: ignore[misc]
    assert journal.last()[3]["part"] == "test"
    train = Fraction(cohort) + 2 * sum(Fraction(round_amount(each, 2)) for each in PLAN.rounds[:2])
    assert Fraction(ledger.charged().mu_squared) == train
    ledger.commit(reservation)
    assert Fraction(ledger.left().mu_squared) + train == Fraction(whole)


def test_what_is_reserved_for_a_run_is_spent_by_no_other(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    ledger.reserve_plan(STUDY, PLAN, run="run-2")
    again = reopen(engine)
    (reservation,) = again.reservations()
    assert [reservation.of_run(run) for run in ("run-1", "run-2")] == [False, True]
    assert refused(lambda: charge(again, reservation, Decimal("0.001"))) == "RF-B620"
    assert again.charged().mu_squared == 0


def test_entries_tell_the_part(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve_plan(STUDY, PLAN)
    charge(ledger, reservation, Decimal("0.001"), round_=0, part="test")
    reserved, charged = ledger.entries()[1:]
    assert charged.fields["part"] == "test"
    amounts = [
        Decimal(cast("dict[str, str]", reserved.fields[name])["mu2"]) for name in ("amounts", "train", "test")
    ]
    assert amounts[0] == max(amounts[1:]) > min(amounts[1:])


def test_entries_from_before_there_were_parts_read_everybody(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    fields = {
        "reservation": reservation.id,
        "run": "run-1",
        "round": 0,
        "attempt": 1,
        "amounts": {"mu2": "0.04"},
    }
    forge(engine, "charged", fields)
    old = reopen(engine)
    assert old.charged().mu_squared == Decimal("0.04")
    charge(old, reservation, Decimal("0.05"), round_=1, part="test")
    assert old.charged().mu_squared == Decimal("0.09"), (
        "an old charge may have read the customers of this part"
    )
    assert refused(lambda: charge(old, reservation, Decimal("0.05"), round_=2, part="test")) == "RF-B306"
    charge(old, reservation, Decimal("0.06"), round_=2, part="train")
    assert old.charged().mu_squared == Decimal("0.1")


CHARGE = {"run": "r", "round": 0, "attempt": 1}
RESERVE = {"study": STUDY, "epsilon_slack": "0", "delta_slack": "0"}


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("charged", CHARGE | {"part": "nobody", "amounts": {"mu2": "0.01"}}, "RF-B551"),
        ("charged", CHARGE | {"part": "train", "amounts": {"mu2": "0.9"}}, "RF-B301"),
        (
            "reserved",
            RESERVE | {"amounts": {"mu2": "0.1"}, "train": {"mu2": "0.2"}, "test": {"mu2": "0.2"}},
            "RF-B301",
        ),
        ("reserved", RESERVE | {"amounts": {"mu2": "0.1"}, "train": {"mu2": "0.1"}}, "RF-B551"),
        ("reserved", RESERVE | {"amounts": {"mu2": "0.1"}, "test": {"mu2": "0.1"}}, "RF-B551"),
    ],
)
def test_a_forged_part_is_refused(engine: Engine, kind: str, fields: dict[str, object], code: str) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    forge(engine, kind, fields | ({"reservation": reservation.id} if kind == "charged" else {}))
    assert refused(lambda: reopen(engine)) == code


def test_a_part_that_does_not_exist_is_refused(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    assert (
        refused(lambda: charge(ledger, reservation, 0.01, round_=0, part=cast(Scope, "holdout"))) == "RF-B330"
    )
    assert ledger.charged().mu_squared == 0


def rdp_ledger(engine: Engine, epsilon: str = "4") -> Ledger:
    return Ledger.create(
        engine,
        population="p",
        epsilon=Decimal(epsilon),
        delta=DELTA,
        journal=TableJournal(engine),
        filter="rdp",
    )


def spend(ledger: Ledger, reservation: Reservation, plan: StudyPlan) -> None:
    """Everything a plan releases, with all attempts."""
    charge(ledger, reservation, block_amount(plan.cohort, 1), round_=-1)
    for attempt in range(plan.max_attempts):
        for number, each in enumerate(plan.rounds):
            with ledger.release(
                reservation,
                run="run-1",
                round=number,
                attempt=attempt,
                mu_squared=each.mu_squared(plan.honest),
                renyi=ledger.renyi_of(each, plan.honest),
                part=each.part,
            ):
                pass


def test_a_sampled_study_from_reservation_to_commit(engine: Engine) -> None:
    ledger = rdp_ledger(engine)
    asked = ledger.quote(SAMPLED)
    assert ledger.covers(asked)
    reservation = ledger.reserve_plan(STUDY, SAMPLED)
    assert reservation.amounts == asked.amounts
    assert ledger.renyi_of(SAMPLED.rounds[-1], 2) is None, "an unsampled round is told by its mu squared"
    spend(ledger, reservation, SAMPLED)
    ledger.commit(reservation)
    spent = ledger.charged()
    assert spent.mu_squared > 0
    assert reopen(engine).charged() == spent
    # The ledger's epsilon is from above: the exact accountant finds less for the same releases.
    attempts = [SAMPLED.max_attempts] * len(SAMPLED.rounds)
    exact = max(epsilon_of_composition(composition(SAMPLED, part, attempts), float(DELTA)) for part in PARTS)
    assert exact <= spent.epsilon <= 1.5 * exact
    assert ledger.statement()[-1].total == spent
    # Without the amplification of sampling the same steps would cost many times as much.
    assert float(spent.mu_squared) < SAMPLED.reserved_mu_squared / 5


def test_a_gaussian_ledger_refuses_a_sampled_study(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    for call in (
        lambda: ledger.reserve_plan(STUDY, SAMPLED),
        lambda: ledger.quote(SAMPLED),
        lambda: ledger.renyi_of(SAMPLED.rounds[0], 2),
    ):
        assert refused(call) == "RF-B332"
    assert ledger.spent().mu_squared == 0
    assert ledger.renyi_of(PLAN.rounds[0], 2) is None


def test_studies_that_fit_the_renyi_filter_keep_its_promise() -> None:
    """As many sampled studies as fit, priced together by the exact accountant, stay within (epsilon,
    delta).
    """
    engine = open_store(None)
    ledger = rdp_ledger(engine, "2")
    made = 0
    while ledger.covers(ledger.quote(SAMPLED)):
        ledger.reserve_plan(f"sha256:{made:064d}", SAMPLED)
        made += 1
    assert made >= 2
    assert refused(lambda: ledger.reserve_plan(STUDY, SAMPLED)) == "RF-B303"
    one = composition(SAMPLED, "train", [SAMPLED.max_attempts] * len(SAMPLED.rounds))
    assert epsilon_of_composition(at_holders(one, made, "local"), float(DELTA)) <= 2
    engine.dispose()


def test_a_quote_that_does_not_fit(engine: Engine) -> None:
    ledger, _ = new_ledger(engine)
    dear = replace(PLAN, rounds=(RoundPlan(name="dear", blocks=(block(8.0),)),))
    assert not ledger.covers(ledger.quote(dear))
    assert refused(lambda: ledger.reserve_plan(STUDY, dear)) == "RF-B303"
    assert ledger.covers(ledger.quote(PLAN))


releases = st.lists(st.tuples(st.sampled_from(["train", "test", "both"]), st.integers(0, 50)), max_size=12)


@settings(max_examples=200)
@given(st.lists(releases, max_size=4))
def test_no_customer_ever_loses_more_than_is_counted(studies: list[list[tuple[Scope, int]]]) -> None:
    """Whatever parts a customer is put into, study by study, its own releases cost at most the ledger's
    sum.
    """
    axis = {"mu2": Decimal(0)}
    counted, worst = Decimal(0), Decimal(0)
    for made in studies:
        taken = nothing(axis)
        for scope, amount in made:
            taken = with_release(taken, scope, {"mu2": Decimal(amount) / 1000})
        counted += dearest(taken)["mu2"]
        worst += max(
            sum((Decimal(a) / 1000 for scope, a in made if scope in (part, "both")), Decimal(0))
            for part in PARTS
        )
    assert counted == worst


def test_the_budget_of_parts_is_the_promise(engine: Engine) -> None:
    """Filled to the brim with studies of two parts, no customer's mu exceeds what epsilon and delta allow."""
    ledger, _ = new_ledger(engine)
    whole = ledger.left().mu_squared
    per_study = whole / 4 * (1 - MARGIN)
    lost = dict.fromkeys(PARTS, Decimal(0))
    for number in range(4):
        reservation = ledger.reserve(f"sha256:{number:064d}", per_study)
        part: Scope = PARTS[number % 2]
        other: Scope = PARTS[1 - number % 2]
        charge(ledger, reservation, per_study, round_=0, part=part)
        charge(ledger, reservation, per_study / 3, round_=1, part=other)
        for each in PARTS:
            lost[each] += per_study if each == part else per_study / 3
        ledger.commit(reservation)
    # The customer who was in the dearer part every time:
    assert delta_of(float(EPSILON), float(4 * per_study) ** 0.5) <= float(DELTA)
    assert max(lost.values()) < ledger.charged().mu_squared <= whole
    assert refused(lambda: ledger.reserve(STUDY, per_study / 100)) == "RF-B303"
