"""Prices by other means: local steps counted by hand, budgets at Renyi orders by a conversion of their own.

The binomial mixture that a customer at several holders meets is compared by `make prove` (claim `overlap`)
and, at one point each way, here.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from prove import check_price
from prove.mixture import mixture_epsilon
from prove.mutants_released import RELEASED
from prove.mutation import applied


@pytest.mark.parametrize("check", [check_price.steps, check_price.budgets], ids=lambda each: each.__name__)
def test_the_price_is_the_one_worked_out_by_hand(check: object) -> None:
    assert callable(check)
    found = check()
    assert found.holds, found.evidence


@pytest.mark.parametrize(
    "mutant", [each for each in RELEASED if each.claim in ("steps", "budgets")], ids=lambda each: each.name
)
def test_a_wrong_price_is_seen(mutant: object) -> None:
    check = {"steps": check_price.steps, "budgets": check_price.budgets}[mutant.claim]  # type: ignore[attr-defined]
    with applied(mutant):  # type: ignore[arg-type]
        assert not check().holds


def test_the_mixture_of_one_holder_is_the_sampled_gaussian_of_the_literature() -> None:
    """Rate 0.01, noise 1, 1000 steps, delta 1e-6: 2.1245 by Google's accountant."""
    found = mixture_epsilon(delta=1e-6, holders=1, rate=0.01, mu=1.0, steps=1000)
    assert found == pytest.approx(2.1245, rel=2e-3)


def test_a_mixture_is_priced_at_the_rate_of_any_of_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    point = (0.01, 5, Fraction(1, 200), 2.0, 2, 0.0)
    monkeypatch.setattr(check_price, "POINTS", (check_price.POINTS[0], point))
    assert check_price.overlap().holds
