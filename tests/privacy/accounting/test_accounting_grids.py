"""What is asked of the accountant of loss distributions, by one that answers at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import pytest
from dp_accounting.dp_event import (
    ComposedDpEvent,
    DiscreteLaplaceDpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution

from ringfence.privacy.accounting.composition import Composition, SampledSteps
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.accounting.pld import (
    epsilon_of_composition,
    epsilon_of_plan,
    grid,
    renyi_of_plan,
    sampled_gaussian,
)
from ringfence.privacy.accounting.renyi import laplace_renyi, renyi_epsilon
from ringfence.privacy.errors import BudgetError

DELTA = 1e-6


@dataclass
class Accountant:
    """Says what it is made to say, and keeps what it was asked.

    Attributes:
        answers: epsilon by width of the grid; 1 where nothing else is said.
        parts: noise, rate and steps of every distribution that was made, by width.
        asked: width and delta of every question.
    """

    answers: dict[float, float] = field(default_factory=dict)
    parts: dict[float, list[tuple[float, float, int]]] = field(default_factory=dict)
    asked: list[tuple[float, float]] = field(default_factory=list)

    def made(
        self, noise: float, *, value_discretization_interval: float, sampling_prob: float
    ) -> Distribution:
        return Distribution(self, value_discretization_interval, [(noise, sampling_prob, 1)])


@dataclass
class Distribution:
    accountant: Accountant
    width: float
    parts: list[tuple[float, float, int]]

    def self_compose(self, count: int) -> Distribution:
        ((noise, rate, _),) = self.parts
        return Distribution(self.accountant, self.width, [(noise, rate, count)])

    def compose(self, other: Distribution) -> Distribution:
        return Distribution(self.accountant, self.width, [*self.parts, *other.parts])

    def get_epsilon_for_delta(self, delta: float) -> float:
        self.accountant.parts[self.width] = self.parts
        self.accountant.asked.append((self.width, delta))
        return self.accountant.answers.get(self.width, 1.0)


@pytest.fixture
def accountant(monkeypatch: pytest.MonkeyPatch) -> Accountant:
    """Distributions are kept for their plan and width, so every test has widths or plans of its own."""
    found = Accountant()
    monkeypatch.setattr(privacy_loss_distribution, "from_gaussian_mechanism", found.made)
    return found


def steps(price: str, rate: Fraction = Fraction(1, 10), count: int = 7) -> SampledSteps:
    return SampledSteps(rate=rate, mu_squared=Decimal(price), steps=count)


def test_every_part_is_composed_as_often_as_it_is_released(accountant: Accountant) -> None:
    one = Composition(
        mu_squared=Decimal("0.25"), sampled=(steps("4"), steps("0.0625", Fraction(1, 4), 3), steps("0"))
    )
    found = epsilon_of_composition(one, DELTA, 0.5)
    assert found == 1.0 * (1 + 1e-9)
    assert accountant.parts == {0.5: [(0.5, 0.1, 7), (4.0, 0.25, 3), (2.0, 1.0, 1)]}
    assert accountant.asked == [(0.5, DELTA - 4e-15 * (1 + 7 + 3 + 7))]


def test_without_unsampled_releases_only_the_samples_count(accountant: Accountant) -> None:
    epsilon_of_composition(Composition(mu_squared=Decimal(0), sampled=(steps("4"),)), DELTA, 0.51)
    assert accountant.parts == {0.51: [(0.5, 0.1, 7)]}


def test_without_samples_the_exact_formula_answers(accountant: Accountant) -> None:
    assert epsilon_of_composition(Composition(mu_squared=Decimal("0.25")), DELTA) == epsilon_of(DELTA, 0.5)
    assert accountant.asked == []


def test_of_a_delta_that_transforms_may_use_up_nothing_is_claimed(accountant: Accountant) -> None:
    one = Composition(mu_squared=Decimal(0), sampled=(steps("4", count=3),))
    assert epsilon_of_composition(one, 4e-15 * 4, 0.52) == math.inf
    assert accountant.asked == []
    assert epsilon_of_composition(one, math.nextafter(4e-15 * 4, 1.0), 0.52) < math.inf


def test_the_grid_is_made_finer_where_the_renyi_price_was_far_too_high(accountant: Accountant) -> None:
    one = Composition(mu_squared=Decimal(0), sampled=(steps("4.003"),))
    first = grid(renyi_epsilon(one, DELTA))
    certain = DELTA - 4e-15 * 8
    accountant.answers[first] = 2.0
    accountant.answers[grid(2.0)] = 1.5
    assert first / 2 > grid(2.0)
    assert epsilon_of_composition(one, DELTA) == 1.5 * (1 + 1e-9)
    assert accountant.asked == [(first, certain), (grid(2.0), certain)]
    # At half of the width or more the first answer stands.
    accountant.asked.clear()
    accountant.answers[first] = first / 2 / 1e-4
    assert grid(accountant.answers[first]) == first / 2
    assert epsilon_of_composition(one, DELTA) == accountant.answers[first] * (1 + 1e-9)
    assert accountant.asked == [(first, certain)]


def test_a_given_grid_is_not_made_finer(accountant: Accountant) -> None:
    one = Composition(mu_squared=Decimal(0), sampled=(steps("4"),))
    accountant.answers[0.53] = 1e-9
    assert epsilon_of_composition(one, DELTA, 0.53) == 1e-9 * (1 + 1e-9)
    assert len(accountant.asked) == 1


@pytest.mark.parametrize(
    ("epsilon", "width"),
    [(100.0, 1e-3), (10.0, 1e-3), (5.0, 5e-4), (1.0, 1e-4), (0.1, 1e-4), (0.01, 1e-5), (1e-6, 1e-9)],
)
def test_losses_are_told_apart_the_finer_the_smaller_epsilon_is(epsilon: float, width: float) -> None:
    assert grid(epsilon) == pytest.approx(width, rel=1e-12)
    assert grid(epsilon, 3e-4) == pytest.approx(min(max(3e-4 * epsilon, min(1e-4, 1e-3 * epsilon)), 1e-3))


def test_a_plan_for_the_accountant_is_its_steps_on_samples() -> None:
    for rate, noise, count in ((1.0, 0.5, 1), (0.01, 2.0, 10)):
        step = PoissonSampledDpEvent(rate, GaussianDpEvent(noise))
        assert sampled_gaussian(rate, noise, count) == SelfComposedDpEvent(step, count)


def test_a_plans_epsilon_is_asked_at_what_transforms_leave_of_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def answer(_self: PLDAccountant, delta: float) -> float:
        asked.append(delta)
        return 2.0

    monkeypatch.setattr(PLDAccountant, "get_epsilon", answer)
    one = GaussianDpEvent(10.0)
    plan = ComposedDpEvent([SelfComposedDpEvent(one, 5), ComposedDpEvent([one, one])])
    assert epsilon_of_plan(plan, DELTA) == 2.0 * (1 + 1e-9)
    assert asked == [DELTA - 4e-15 * 7]
    assert epsilon_of_plan(plan, 4e-15 * 7) == math.inf
    assert len(asked) == 1


def test_renyi_prices_of_a_plan_add_up() -> None:
    orders = [Decimal(2), Decimal(8)]
    laplace = DiscreteLaplaceDpEvent(0.5, 3)
    one = renyi_of_plan(laplace, orders)
    assert one == {order: float(laplace_renyi(Decimal("0.5"), 3, order)) * (1 + 1e-12) for order in orders}
    twice = renyi_of_plan(ComposedDpEvent([SelfComposedDpEvent(laplace, 4), laplace]), orders)
    assert twice == pytest.approx({order: 5 * each for order, each in one.items()}, rel=1e-12)
    assert renyi_of_plan(GaussianDpEvent(2.0), orders) == pytest.approx({Decimal(2): 0.25, Decimal(8): 1.0})
    assert renyi_of_plan(DiscreteLaplaceDpEvent(0.5, 0), orders) == dict.fromkeys(orders, 0.0)
    assert renyi_of_plan(DiscreteLaplaceDpEvent(0.5, 2.5), orders) == one, "rounded up to whole units"
    for parameter, sensitivity in (
        (0.0, 1),
        (-1.0, 1),
        (math.inf, 1),
        (0.5, math.inf),
        (0.5, -1),
        (math.nan, 1),
    ):
        with pytest.raises(BudgetError, match="RF-B211"):
            renyi_of_plan(DiscreteLaplaceDpEvent(parameter, sensitivity), orders)
