"""Single values of the accountant that are known by hand, and the ends of its ranges."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from dp_accounting.dp_event import ComposedDpEvent, GaussianDpEvent, SelfComposedDpEvent

from ringfence.privacy.accounting.amounts import as_text, from_text
from ringfence.privacy.accounting.gaussian import epsilon_of, log_delta_of, mu_squared
from ringfence.privacy.accounting.multiplier import noise_multiplier
from ringfence.privacy.accounting.pld import TRANSFORM_ERROR, epsilon_of_plan
from ringfence.privacy.accounting.study import epsilon_with_slack
from ringfence.privacy.errors import BudgetError


@pytest.mark.parametrize(
    ("squared", "scale", "honest", "wanted"),
    [
        (6, 5.0, 2, Fraction(6, 46)),
        (1, 4.0, 1, Fraction(1, 12)),
        (9, 16.0, 3, Fraction(9, 764)),
        (0, 4.0, 1, 0),
    ],
)
def test_the_price_of_a_block_by_hand(squared: int, scale: float, honest: int, wanted: Fraction) -> None:
    assert mu_squared(squared, scale, honest) == pytest.approx(float(wanted), rel=1e-15)


@pytest.mark.parametrize(("squared", "scale", "honest"), [(1, 2.0, 1), (1, 1.0, 4), (-1, 4.0, 1)])
def test_what_has_no_price(squared: int, scale: float, honest: int) -> None:
    with pytest.raises(BudgetError, match="RF-B201"):
        mu_squared(squared, scale, honest)


def test_a_loss_too_small_for_a_number_is_none() -> None:
    assert log_delta_of(1.0, 1e-300) == -math.inf
    assert log_delta_of(0.0, 0.0) == -math.inf


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.50", "0.5"),
        ("100", "100"),
        ("1E+2", "100"),
        ("0", "0"),
        ("0.000", "0"),
        ("10.0", "10"),
        ("1E-20", "0." + "0" * 19 + "1"),
    ],
)
def test_an_amount_has_one_text(amount: str, text: str) -> None:
    assert as_text(Decimal(amount)) == text
    assert from_text(text) == Decimal(amount)
    if amount != text:
        with pytest.raises(BudgetError, match="RF-B205"):
            from_text(amount)


def test_what_is_released_besides_may_not_cost_all_of_epsilon() -> None:
    """Epsilon 1 at 1e-6 is mu = 0.2367, whose square is 0.056; what is not below it leaves nothing."""

    def needed(besides: str) -> float:
        return noise_multiplier(epsilon=1.0, delta=1e-6, rate=Fraction(1), steps=1, besides=Decimal(besides))

    for besides in ("0.06", "0.2", "0.4"):
        with pytest.raises(BudgetError, match="RF-B232"):
            needed(besides)
    assert needed("0.04") == pytest.approx((needed("0") ** -2 - 0.04) ** -0.5, rel=1e-6)


def test_every_release_takes_its_part_of_what_transforms_may_err() -> None:
    one, many = GaussianDpEvent(1e4), 10**5
    delta = TRANSFORM_ERROR * many * 0.9
    half = SelfComposedDpEvent(one, many // 2)
    nested = ComposedDpEvent([half, ComposedDpEvent([half])])
    assert epsilon_of_plan(one, delta) < math.inf
    assert epsilon_of_plan(SelfComposedDpEvent(one, many), delta) == math.inf
    assert epsilon_of_plan(nested, delta) == math.inf


def test_epsilon_is_raised_for_rounding_and_by_its_slack_and_by_nothing_else() -> None:
    """Of delta 1e-4 is kept for the sampler; half of the reserve of 1e-9 covers what doubles round."""
    delta, mu = 1e-6, 0.7
    plain = epsilon_of(delta * (1 - 1e-4), mu)
    assert epsilon_with_slack(delta, mu, 0.0, 0.0) / plain - 1 == pytest.approx(5e-10, rel=1e-3)
    assert epsilon_with_slack(delta, mu, 0.25, 0.0) == pytest.approx(plain + 0.25, rel=1e-8)
    # Where total variation does not fit the reserve, half of delta is given up for it; beyond that, all is.
    room = delta / (1 + math.exp(plain))
    assert epsilon_with_slack(delta, mu, 0.0, 0.9e-4 * room) / plain - 1 < 1e-9
    halved = epsilon_with_slack(delta, mu, 0.0, 0.3 * room)
    assert halved == pytest.approx(epsilon_of(delta / 2, mu), rel=1e-8)
    assert epsilon_with_slack(delta, mu, 0.0, 0.9 * room) == math.inf
