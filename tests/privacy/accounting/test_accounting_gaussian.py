"""Prices of Gaussian noise against mpmath, dp-accounting, closed forms and exact discrete laws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.privacy.accounting.gaussian import (
    delta_of,
    epsilon_of,
    log_delta_of,
    mu_of,
    mu_squared,
    tau,
)
from ringfence.privacy.errors import BudgetError


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    """So many are computed with here; other files set others in the same process."""
    with mp.workdps(60):
        yield


def exact_log_delta(epsilon: float, mu: float) -> float:
    e, m = mp.mpf(epsilon), mp.mpf(mu)
    return float(mp.log(mp.ncdf(m / 2 - e / m) - mp.exp(e) * mp.ncdf(-m / 2 - e / m)))


@given(st.floats(1e-9, 50), st.floats(-8, 12))
def test_delta_agrees_with_sixty_digits(mu: float, sigmas: float) -> None:
    epsilon = max(0.0, mu * mu / 2 + sigmas * mu)
    assert log_delta_of(epsilon, mu) == pytest.approx(exact_log_delta(epsilon, mu), rel=1e-10, abs=1e-10)


@given(st.floats(0.001, 50), st.floats(-14, -0.5))
def test_epsilon_is_the_least_from_above(mu: float, exponent: float) -> None:
    delta = 10**exponent
    epsilon = epsilon_of(delta, mu)
    assert log_delta_of(epsilon, mu) <= math.log(delta)
    if epsilon > 0:
        assert log_delta_of(epsilon * (1 - 1e-9), mu) >= math.log(delta) - 1e-11


@given(st.floats(0, 60), st.floats(-14, -0.5))
def test_mu_is_the_largest_from_below(epsilon: float, exponent: float) -> None:
    delta = 10**exponent
    mu = mu_of(epsilon, delta)
    assert log_delta_of(epsilon, mu) <= math.log(delta)
    assert log_delta_of(epsilon, mu * (1 + 1e-9)) >= math.log(delta) - 1e-11


def test_closed_form_without_epsilon() -> None:
    """At epsilon zero delta is the total variation between the two worlds, `erf(mu / sqrt 8)`."""
    for mu in (0.001, 0.3, 1.0, 5.0):
        assert delta_of(0.0, mu) == pytest.approx(math.erf(mu / math.sqrt(8)), rel=1e-12)
    assert delta_of(1.0, 0.0) == 0.0
    assert epsilon_of(1e-6, 0.0) == 0.0
    assert epsilon_of(0.5, 0.1) == 0.0


def test_published_figures() -> None:
    """Gaussian of sigma 12, ten releases, delta 1e-6; two and 2.12 / 1.45 for a customer at two holders."""
    mu = math.sqrt(10) / 12
    assert epsilon_of(1e-6, mu) == pytest.approx(1.1228, abs=5e-5)
    one = mu_of(1.0, 1e-6)
    assert epsilon_of(1e-6, 2 * one) == pytest.approx(2.12, abs=5e-3)
    assert epsilon_of(1e-6, math.sqrt(2) * one) == pytest.approx(1.45, abs=5e-3)


@pytest.mark.filterwarnings("ignore")
def test_dp_accounting_agrees() -> None:
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    release = dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(12.0), 10)
    pld = PLDAccountant().compose(release).get_epsilon(1e-6)
    rdp = RdpAccountant().compose(release).get_epsilon(1e-6)
    ours = epsilon_of(1e-6, math.sqrt(10) / 12)
    assert ours == pytest.approx(pld, abs=1e-3)
    assert rdp == pytest.approx(1.2096, abs=5e-4)
    assert ours < rdp


def discrete_delta(scale: float, shift: int, epsilon: float) -> float:
    """The exact delta of a discrete Gaussian and its shift, summed over the integers."""
    reach = int(20 * scale) + shift
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    weights = np.exp(-(x**2) / (2 * scale**2))
    shifted = np.exp(-((x - shift) ** 2) / (2 * scale**2))
    gain = shifted - math.exp(epsilon) * weights
    return math.fsum(gain[gain > 0]) / math.fsum(weights)


CASES = [
    (scale, shift, k / 20 * (shift / scale) * 5)
    for scale in (4.0, 4.25, 5.5, 7.0, 11.0)
    for shift in (1, 2, 3, 5, 8, 13)
    for k in range(21)
]


def test_the_claim_covers_the_exact_discrete_law() -> None:
    for scale, shift, epsilon in CASES:
        exact = discrete_delta(scale, shift, epsilon)
        claim = delta_of(epsilon, math.sqrt(mu_squared(shift**2, scale, 1)))
        assert exact <= claim * (1 + 1e-9) + 1e-15, (scale, shift, epsilon)


def test_without_the_correction_the_claim_would_be_false() -> None:
    """The continuous formula at scale 4 promises less than the exact law loses, by up to 8.7 %."""
    excess = max(
        discrete_delta(4.0, 1, epsilon) / delta_of(epsilon, 0.25) - 1
        for epsilon in np.linspace(0, 1.5, 3000)
        if delta_of(epsilon, 0.25) > 1e-9
    )
    assert excess == pytest.approx(0.087, abs=0.002)


def test_sums_of_shares_stay_within_tau() -> None:
    """The convolution of h discrete Gaussians against the discrete Gaussian of the sum, numerically."""
    for scale, honest in ((0.8, 2), (0.8, 3), (1.0, 4)):
        x = np.arange(-40, 41, dtype=np.float64)
        one = np.exp(-(x**2) / (2 * scale**2))
        one /= one.sum()
        total = one
        for _ in range(honest - 1):
            total = np.convolve(total, one)
        y = np.arange(-(len(total) // 2), len(total) // 2 + 1, dtype=np.float64)
        whole = np.exp(-(y**2) / (2 * honest * scale**2))
        whole /= whole.sum()
        body = whole > 1e-10
        ratio = np.abs(np.log(total[body] / whole[body])).max()
        assert 0 < ratio <= tau(honest, scale)


def test_one_share_is_exact_and_large_scales_are_nearly() -> None:
    assert tau(1, 4.0) == 0.0
    assert tau(10, 4.0) < 1e-60


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: delta_of(-1.0, 1.0), "RF-B202"),
        (lambda: delta_of(math.nan, 1.0), "RF-B202"),
        (lambda: delta_of(1.0, -1.0), "RF-B203"),
        (lambda: delta_of(1.0, math.inf), "RF-B203"),
        (lambda: epsilon_of(0.0, 1.0), "RF-B204"),
        (lambda: epsilon_of(1.0, 1.0), "RF-B204"),
        (lambda: mu_of(1.0, math.nan), "RF-B204"),
        (lambda: mu_squared(1, 2.0, 1), "RF-B201"),
        (lambda: mu_squared(-1, 8.0, 1), "RF-B201"),
    ],
)
def test_bad_arguments(call: Callable[[], float], code: str) -> None:
    with pytest.raises(BudgetError) as error:
        call()
    assert error.value.code == code
    assert error.value.sentence()
