"""Plans that sample: prices by part and overlap, what the accountant's transforms hide, and noise found for a
promise.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from ringfence.privacy.accounting.composition import Composition, SampledSteps, at_holders
from ringfence.privacy.accounting.gaussian import epsilon_of, mu_of
from ringfence.privacy.accounting.multiplier import noise_multiplier
from ringfence.privacy.accounting.pld import TRANSFORM_ERROR, epsilon_of_composition
from ringfence.privacy.accounting.study import NoiseForm, calibrate, epsilon_of_attempts, price
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.waist import BlockPlan, RoundPlan, StudyPlan

DELTA = 1e-6


def steps(rate: Fraction, noise: float, count: int, besides: str = "0") -> Composition:
    one = SampledSteps(rate=rate, mu_squared=Decimal(1 / noise**2), steps=count)
    return Composition(mu_squared=Decimal(besides), sampled=(one,))


def test_published_figure() -> None:
    found = epsilon_of_composition(steps(Fraction(1, 100), 1.0, 1000), DELTA)
    assert found == pytest.approx(2.1245, abs=1e-4)


def exact_delta(rate: float, noise: float, epsilon: float) -> float:
    """Two sampled steps by direct summation: the larger of both directions, from fine cells."""
    cell = 0.02
    y = np.arange(-8 * noise, 8 * noise + 1 + cell, cell)
    base = np.exp(-(y**2) / (2 * noise**2)) * cell / noise / math.sqrt(2 * math.pi)
    mixed = (1 - rate) * base + rate * np.exp(-((y - 1) ** 2) / (2 * noise**2)) * cell / noise / math.sqrt(
        2 * math.pi
    )
    pair, other = np.outer(mixed, mixed), np.outer(base, base)
    gains = pair - math.exp(epsilon) * other, other - math.exp(epsilon) * pair
    return max(float(gain[gain > 0].sum()) for gain in gains)


def test_two_sampled_steps_against_the_law_itself() -> None:
    for rate, noise in ((0.2, 1.0), (0.6, 2.0)):
        claimed = epsilon_of_composition(steps(Fraction(rate), noise, 2), 1e-3)
        assert exact_delta(rate, noise, claimed) <= 1e-3 * (1 + 1e-4)
        assert exact_delta(rate, noise, claimed * 0.995) > 1e-3, "the claim is tight"


def discrete_delta(rate: float, scale: float, shift: int, epsilon: float) -> float:
    """One step of the discrete law that is really drawn, on a sample: summed over the integers, larger
    direction.
    """
    x = np.arange(-int(25 * scale), int(25 * scale) + 1, dtype=np.float64)
    base = np.exp(-(x**2) / (2 * scale**2))
    total = math.fsum(base)
    mixed = (1 - rate) * base + rate * np.exp(-((x - shift) ** 2) / (2 * scale**2))
    gains = mixed - math.exp(epsilon) * base, base - math.exp(epsilon) * mixed
    return max(math.fsum(gain[gain > 0]) for gain in gains) / total


def test_the_claim_covers_the_discrete_law_on_a_sample() -> None:
    """The variance is reduced by 4 under sampling too; without that the claim would be false."""
    uncorrected = 0.0
    for rate, scale, shift in ((0.3, 4.0, 1), (0.05, 4.0, 3), (0.7, 5.5, 2)):
        noise = math.sqrt((scale**2 - 4) / shift**2)
        for delta in (1e-3, 1e-5):
            claimed = epsilon_of_composition(steps(Fraction(rate), noise, 1), delta)
            assert discrete_delta(rate, scale, shift, claimed) <= delta
            plain = epsilon_of_composition(steps(Fraction(rate), scale / shift, 1), delta)
            uncorrected = max(uncorrected, discrete_delta(rate, scale, shift, plain) / delta)
    assert uncorrected > 1.001


def test_the_transforms_rounding_is_taken_off_delta() -> None:
    """A thousand unsampled steps of noise 40, whose epsilon is known: the bare accountant claims too little
    at 1e-14.
    """
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    exact = epsilon_of(1e-14, math.sqrt(1000) / 40)
    bare = from_gaussian_mechanism(40.0).self_compose(1000)
    assert bare.get_epsilon_for_delta(1e-14) < exact * 0.999
    # With the reserve nothing is claimed there, and what is claimed elsewhere holds.
    almost = steps(Fraction(1) - Fraction(1, 10**12), 40.0, 1000)
    assert epsilon_of_composition(almost, 1e-14) == math.inf
    for delta in (1e-6, 1e-8, 1e-10, 1.1 * 1001 * TRANSFORM_ERROR):
        assert epsilon_of_composition(almost, delta) >= epsilon_of(delta, math.sqrt(1000) / 40)
    assert epsilon_of_composition(almost, 1e-8) == pytest.approx(
        epsilon_of(1e-8, math.sqrt(1000) / 40), rel=1e-3
    )


def test_unsampled_releases_are_priced_exactly_and_mix_with_sampled_ones() -> None:
    assert epsilon_of_composition(Composition(mu_squared=Decimal(1)), DELTA) == epsilon_of(DELTA, 1.0)
    alone = epsilon_of_composition(steps(Fraction(1, 20), 1.5, 50), DELTA)
    both = epsilon_of_composition(steps(Fraction(1, 20), 1.5, 50, "0.04"), DELTA)
    assert alone < both < alone + epsilon_of(DELTA, 0.2)
    nearly = steps(Fraction(1) - Fraction(1, 10**9), 10.0, 20, "0.05")
    assert epsilon_of_composition(nearly, DELTA) == pytest.approx(epsilon_of(DELTA, 0.5), rel=1e-3)


def plan_of(honest: int = 1, *, sampled: bool = True, test: float = 60.0) -> StudyPlan:
    def block(scale: float) -> BlockPlan:
        return BlockPlan(name="b", sensitivity_squared=10**4, max_abs=100, share_scale=scale, max_length=5)

    rate = Fraction(1, 20) if sampled else Fraction(1)
    rounds = (
        RoundPlan(name="first", blocks=(block(600.0),)),
        *(RoundPlan(name=f"step-{n}", blocks=(block(200.0),), sampling_rate=rate) for n in range(30)),
        RoundPlan(name="scores", blocks=(block(test),), part="test"),
    )
    cohort = BlockPlan(name="cohort", sensitivity_squared=1, max_abs=1, share_scale=40.0, max_length=1)
    return StudyPlan(honest=honest, cohort=cohort, rounds=rounds, max_attempts=2)


def test_a_sampled_study_is_priced_for_customer_and_holder() -> None:
    plan = plan_of(2, test=3000.0)
    found = price(plan, delta=DELTA, overlap=2, noise_form="distributed", colluders=0)
    assert found.holder_epsilon < found.customer_epsilon < found.customer_epsilon_worst
    assert found.holder_epsilon < found.holder_epsilon_worst < found.customer_epsilon_worst
    whole = price(plan_of(2, sampled=False, test=3000.0), delta=DELTA, overlap=2, noise_form="distributed")
    assert found.customer_epsilon < whole.customer_epsilon / 2, "sampling is what makes it cheap"
    assert found.sampled
    assert (found.sampling_rate, found.sampled_steps, found.parts) == (Fraction(1, 20), 30, ("train", "test"))
    everybody = replace(plan, rounds=tuple(replace(each, part="both") for each in plan.rounds))
    of_both = price(everybody, delta=DELTA, overlap=2, noise_form="distributed")
    assert (of_both.sampled_steps, of_both.parts) == (30, ())
    assert epsilon_of_attempts(found, plan, [1] * 32) == found.customer_epsilon
    assert epsilon_of_attempts(found, plan, [2] * 32) == found.customer_epsilon_worst
    assert (
        found.customer_epsilon
        < epsilon_of_attempts(found, plan, [2, *[1] * 31])
        < found.customer_epsilon_worst
    )
    assert epsilon_of_attempts(found, plan, [1] * 10) < found.customer_epsilon, "it ended early"
    report = found.as_report()
    assert report["accountant"] == "privacy loss distribution of the fixed plan, rounded up"
    assert (report["sampling"], report["sampling_rate"], report["sampled_steps"]) == ("Poisson", "0.05", 30)
    assert report["holder_mu"] == report["holder_mu_worst_case"] == "not Gaussian"
    assert report["parts"] == "two disjoint parts by customer key; the dearer one counts"


def test_the_dearer_part_is_the_price() -> None:
    """Rounds over disjoint customers do not add up; a test round that costs more than training is what
    counts.
    """
    cheap = price(plan_of(), delta=DELTA, overlap=1, noise_form="local")
    plan = plan_of(test=100.0)
    cheaper = price(plan, delta=DELTA, overlap=1, noise_form="local")
    test_alone = replace(plan, rounds=tuple(each for each in plan_of().rounds if each.part == "test"))
    train_alone = replace(plan, rounds=tuple(each for each in plan.rounds if each.part == "train"))
    assert (
        cheap.customer_epsilon
        == price(test_alone, delta=DELTA, overlap=1, noise_form="local").customer_epsilon
    )
    assert cheaper.customer_epsilon < cheap.customer_epsilon
    all_ = price(train_alone, delta=DELTA, overlap=1, noise_form="local").customer_epsilon
    assert cheaper.customer_epsilon == max(
        all_,
        price(
            replace(plan, rounds=tuple(each for each in plan.rounds if each.part == "test")),
            delta=DELTA,
            overlap=1,
            noise_form="local",
        ).customer_epsilon,
    )


def test_steps_inside_a_holder_need_local_noise() -> None:
    plan = plan_of(2)
    steps_inside = replace(plan, rounds=(replace(plan.rounds[1], local_steps=3),))
    with pytest.raises(BudgetError, match="RF-B234"):
        price(steps_inside, delta=DELTA, overlap=1, noise_form="distributed")
    alone = replace(steps_inside, honest=1)
    found = price(alone, delta=DELTA, overlap=1, noise_form="local")
    assert found.sampled_steps == 3


@pytest.mark.parametrize(
    ("epsilon", "rate", "count", "overlap", "form", "besides"),
    [
        (1.0, Fraction(1, 50), 100, 1, "distributed", "0"),
        (1.0, Fraction(1, 100), 200, 3, "distributed", "0.001"),
        (4.0, Fraction(1, 20), 60, 2, "local", "0.01"),
        (0.3, Fraction(1, 10), 20, 1, "local", "0"),
        (0.01, Fraction(1, 10), 20, 1, "local", "0"),
        (1.0, Fraction(1, 10), 10, 1, "local", "0.0532"),
    ],
)
def test_noise_found_for_a_promise_keeps_it_and_is_not_wasted(
    epsilon: float, rate: Fraction, count: int, overlap: int, form: NoiseForm, besides: str
) -> None:
    noise = noise_multiplier(
        epsilon=epsilon,
        delta=DELTA,
        rate=rate,
        steps=count,
        overlap=overlap,
        noise_form=form,
        besides=Decimal(besides),
    )

    def claimed(factor: float) -> float:
        return epsilon_of_composition(
            at_holders(steps(rate, noise * factor, count, besides), overlap, form), DELTA
        )

    assert claimed(1) <= epsilon
    assert claimed(1) >= epsilon * 0.99
    assert claimed(0.99) > epsilon


def test_noise_for_everybody_is_the_closed_formula() -> None:
    noise = noise_multiplier(epsilon=1, delta=DELTA, rate=Fraction(1), steps=10, overlap=2)
    assert 2 * math.sqrt(10) / noise == pytest.approx(mu_of(1, DELTA), rel=1e-5)
    assert 2 * math.sqrt(10) / noise <= mu_of(1, DELTA)
    alone = noise_multiplier(
        epsilon=1, delta=DELTA, rate=Fraction(1), steps=10, overlap=2, noise_form="local"
    )
    assert alone == pytest.approx(noise / math.sqrt(2), rel=1e-9)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"rate": Fraction(0)}, "RF-B231"),
        ({"rate": Fraction(2)}, "RF-B231"),
        ({"steps": 0}, "RF-B231"),
        ({"besides": Decimal(-1)}, "RF-B231"),
        ({"besides": Decimal(1)}, "RF-B232"),
        ({"epsilon": -1.0}, "RF-B202"),
        ({"delta": 0.0}, "RF-B204"),
        ({"overlap": 0}, "RF-B206"),
        ({"delta": 1e-12, "steps": 2000}, "RF-B235"),
    ],
)
def test_no_noise_for_what_cannot_be(changed: dict[str, object], code: str) -> None:
    asked: dict[str, object] = {"epsilon": 1.0, "delta": DELTA, "rate": Fraction(1, 10), "steps": 5}
    with pytest.raises(BudgetError) as error:
        noise_multiplier(**{**asked, **changed})
    assert error.value.code == code
    assert "{" not in error.value.sentence()


def test_a_person_in_one_part_at_each_of_two_holders_can_cost_more_than_in_either() -> None:
    """Why such studies get no test part (RF-S057): samples at one holder, a whole Gaussian at the other,
    local noise.
    """
    epsilon, delta, rate, count = 4.0, 1e-6, Fraction(1, 100), 10
    multiplier = noise_multiplier(
        epsilon=epsilon, delta=delta, rate=rate, steps=count, overlap=2, noise_form="local"
    )
    train = SampledSteps(rate=rate, mu_squared=Decimal(multiplier**-2), steps=count)
    test = Decimal(calibrate(epsilon, delta, 2, "local") ** 2)
    both = at_holders(Composition(mu_squared=Decimal(0), sampled=(train,)), 2, "local")
    assert epsilon_of_composition(both, delta) <= epsilon
    mixed = epsilon_of_composition(Composition(mu_squared=test, sampled=(train,)), delta)
    assert mixed == pytest.approx(4.29, abs=0.02)
