"""The search for a noise, by accountants whose answer is known: what it asks, how often, what it finds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction

import pytest

from ringfence.privacy.accounting import multiplier
from ringfence.privacy.accounting.composition import Composition, NoiseForm
from ringfence.privacy.accounting.gaussian import mu_of
from ringfence.privacy.accounting.multiplier import noise_multiplier
from ringfence.privacy.accounting.pld import grid
from ringfence.privacy.accounting.study import DELTA_RESERVE, EPSILON_RESERVE
from ringfence.privacy.errors import BudgetError

EPSILON, DELTA, BESIDES = 2.0, 1e-6, Decimal("0.001")
WANTED = EPSILON * (1 - EPSILON_RESERVE) * (1 - 1e-5)
FINE = grid(WANTED, 3e-4)


class Known:
    """Accountants of a plan that costs exactly what is wanted at one noise; every question is kept."""

    def __init__(self, at: float, *, power: float = 1.0, renyi: float = 1.2, fine: float = 1.0) -> None:
        self.at, self.power, self.renyi, self.fine = at, power, renyi, fine
        self.alone = 0.0
        self.asked: list[tuple[float, float]] = []
        self.quick = 0

    def price(self, one: Composition) -> tuple[float, float]:
        (step,) = one.sampled
        noise = float(step.mu_squared) ** -0.5
        return noise, WANTED * (self.at / noise) ** self.power

    def exact(self, one: Composition, delta: float, interval: float) -> float:
        assert delta == DELTA * (1 - DELTA_RESERVE)
        assert one.mu_squared == BESIDES
        noise, price = self.price(one)
        self.asked.append((interval, noise))
        return price * (self.fine if interval == FINE else 1.0)

    def above(self, one: Composition, delta: float) -> float:
        assert delta == DELTA * (1 - DELTA_RESERVE)
        assert one.mu_squared == BESIDES
        self.quick += 1
        return self.price(one)[1] * self.renyi if one.sampled else self.alone

    def counted(self) -> tuple[int, int, int]:
        """Questions to the Renyi price, on the coarse grid and on the fine one."""
        intervals = [interval for interval, _ in self.asked]
        assert set(intervals) <= {FINE, 4 * FINE}
        assert intervals == sorted(intervals, reverse=True)
        return self.quick, intervals.count(4 * FINE), intervals.count(FINE)


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Known], float]]:
    def found(known: Known) -> float:
        noise_multiplier.cache_clear()
        monkeypatch.setattr(multiplier, "epsilon_of_composition", known.exact)
        monkeypatch.setattr(multiplier, "renyi_epsilon", known.above)
        return noise_multiplier(epsilon=EPSILON, delta=DELTA, rate=Fraction(1, 10), steps=3, besides=BESIDES)

    yield found
    noise_multiplier.cache_clear()


@pytest.mark.parametrize(
    ("known", "questions", "waste"),
    [
        (Known(0.07), (11, 8, 2), 1e-7),
        (Known(0.7), (11, 8, 2), 1e-7),
        (Known(3.0), (12, 8, 2), 1e-7),
        (Known(3.0, power=3.0), (12, 6, 2), 1e-7),
        (Known(3.0, power=0.5), (13, 8, 2), 1e-7),
        # Where the Renyi price is too low, the start has to be raised.
        (Known(3.0, renyi=0.9), (12, 10, 2), 1e-7),
        (Known(3.0, renyi=1.0), (12, 5, 2), 1e-7),
        (Known(3.0, fine=1.004), (12, 8, 6), 1e-6),
        (Known(3.0, fine=0.98), (12, 8, 2), 1e-3),
        (Known(4000.0), (18, 8, 2), 1e-7),
        (Known(2e8), (25, 11, 1), 1e-4),
    ],
)
def test_the_noise_is_found_in_few_questions(
    find: Callable[[Known], float], known: Known, questions: tuple[int, int, int], waste: float
) -> None:
    noise = find(known)
    least = known.at * known.fine ** (1 / known.power)
    assert 0 <= noise / least - 1 <= waste
    assert known.counted() == questions


def test_the_noise_is_found_without_help_of_the_renyi_price(find: Callable[[Known], float]) -> None:
    """It is asked once, for what no noise lessens; at nine tenths of epsilon it is of no help any more."""
    known = Known(3.0, renyi=math.inf)
    known.alone = 0.9 * WANTED
    assert 3.0 <= find(known) <= 3.0 * (1 + 1e-7)
    assert known.counted() == (1, 16, 2)
    known = Known(3.0, renyi=math.inf)
    known.alone = math.nextafter(0.9 * WANTED, 0.0)
    with pytest.raises(BudgetError, match="RF-B233"):
        find(known)


def test_no_noise_is_looked_for_beyond_the_largest(find: Callable[[Known], float]) -> None:
    with pytest.raises(BudgetError, match="RF-B233"):
        find(Known(3e8))


def test_where_nobody_is_sampled_the_smallest_noise_is_enough(find: Callable[[Known], float]) -> None:
    """Whoever takes part with less than the chance delta is promised nothing, whatever the noise."""
    for renyi in (0.5, 1.0):
        assert find(Known(1.0, power=0.0, renyi=renyi)) == 0.05
    alone = Known(1.0, power=0.0)
    alone.alone = WANTED
    assert find(alone) == 0.05


def test_a_delta_of_which_nothing_is_left_is_refused(
    find: Callable[[Known], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps and what is released besides are four releases, each of which may hide something."""
    certain = DELTA * (1 - DELTA_RESERVE)
    monkeypatch.setattr(multiplier, "TRANSFORM_ERROR", certain / 4)
    with pytest.raises(BudgetError, match="RF-B235"):
        find(Known(3.0))
    monkeypatch.setattr(multiplier, "TRANSFORM_ERROR", math.nextafter(certain / 4, 0.0))
    assert find(Known(3.0)) == pytest.approx(3.0)


def whole(epsilon: float, besides: Decimal = Decimal(0)) -> float:
    return noise_multiplier(epsilon=epsilon, delta=DELTA, rate=Fraction(1), steps=1, besides=besides)


def test_beyond_the_largest_epsilon_the_answer_is_that_for_it() -> None:
    assert whole(31.9) > whole(32.0) == whole(33.0) == whole(1e9)


def test_what_is_released_besides_takes_its_part_to_the_last() -> None:
    bound = mu_of(EPSILON * (1 - EPSILON_RESERVE), DELTA * (1 - DELTA_RESERVE))
    with pytest.raises(BudgetError, match="RF-B232"):
        whole(EPSILON, Decimal(bound) ** 2)
    almost = Decimal(bound) ** 2 - Decimal("1e-12")
    assert whole(EPSILON, almost) == pytest.approx(1e6, rel=1e-3)
    assert whole(EPSILON) == (1 + 1e-9) / bound


@pytest.mark.parametrize(("form", "times"), [("distributed", 9), ("local", 3)])
def test_noise_for_everybody_pays_every_step_at_every_holder(form: NoiseForm, times: int) -> None:
    noise = noise_multiplier(
        epsilon=EPSILON, delta=DELTA, rate=Fraction(1), steps=5, overlap=3, noise_form=form
    )
    assert noise == pytest.approx(whole(EPSILON) * math.sqrt(5 * times), rel=1e-12)
