"""Secret sharing against an oracle in fractions, its secrecy at a small size, and bad input."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg import shamir
from ringfence.privacy.secagg.shamir import PRIME, SHARE_BYTES, combine, split


def lagrange_at_zero(points: Mapping[int, int]) -> int:
    """The oracle: Lagrange's formula over the rationals, reduced modulo the prime at the very end."""
    total = Fraction(0)
    for x, y in points.items():
        term = Fraction(y)
        for other in points:
            if other != x:
                term *= Fraction(-other, x - other)
        total += term
    return total.numerator * pow(total.denominator, -1, PRIME) % PRIME


def test_the_modulus_is_prime() -> None:
    """Lucas and Lehmer: 2^p - 1 is prime iff s_(p-2) = 0, s_0 = 4, s_(i+1) = s_i^2 - 2."""
    s = 4
    for _ in range(521 - 2):
        s = (s * s - 2) % PRIME
    assert s == 0
    assert PRIME > 1 << (8 * shamir.SECRET_BYTES)


@settings(max_examples=80, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 9), st.integers(0, 5), st.data())
def test_any_threshold_of_shares_gives_the_secret_and_so_says_the_oracle(
    secret: bytes, threshold: int, more: int, data: st.DataObject
) -> None:
    numbers = data.draw(
        st.lists(st.integers(1, 256), min_size=threshold + more, max_size=threshold + more, unique=True)
    )
    shares = split(secret, threshold=threshold, numbers=numbers)
    assert set(shares) == set(numbers)
    chosen = data.draw(st.permutations(numbers))[:threshold]
    given_shares = {number: shares[number] for number in chosen}
    assert combine(given_shares, threshold=threshold) == secret
    points = {number: int.from_bytes(share, "big") for number, share in given_shares.items()}
    assert lagrange_at_zero(points) == int.from_bytes(secret, "big")


def test_every_subset_of_a_small_sharing() -> None:
    secret = secrets.token_bytes(32)
    shares = split(secret, threshold=3, numbers=range(1, 7))
    for count in range(3, 7):
        for chosen in combinations(shares, count):
            assert combine({number: shares[number] for number in chosen}, threshold=3) == secret


def test_too_few_shares_fit_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a field of 13 elements, exhaustively: two shares of three needed are uniform whatever the secret
    is.
    """
    monkeypatch.setattr(shamir, "PRIME", 13)
    seen = {
        secret: sorted(
            (shamir.value_at([secret, a, b], 1), shamir.value_at([secret, a, b], 4))
            for a in range(13)
            for b in range(13)
        )
        for secret in range(13)
    }
    every_pair = sorted((one, other) for one in range(13) for other in range(13))
    assert all(pairs == every_pair for pairs in seen.values())
    # A sharing whose last coefficient is never zero would not do.
    crooked = {
        (shamir.value_at([5, a, b], 1), shamir.value_at([5, a, b], 4))
        for a in range(13)
        for b in range(1, 13)
    }
    assert len(crooked) < 13 * 13


def test_two_sharings_of_one_secret_differ() -> None:
    one, other = (split(bytes(32), threshold=2, numbers=[1, 2]) for _ in range(2))
    assert one[1] != other[1]
    assert one[2] != other[2]


@pytest.mark.parametrize(
    ("secret", "threshold", "numbers"),
    [
        (bytes(31), 2, [1, 2]),
        (bytes(33), 2, [1, 2]),
        (bytes(32), 3, [1, 2]),
        (bytes(32), 0, [1, 2]),
        (bytes(32), 2, [2, 2]),
        (bytes(32), 2, [0, 1]),
        (bytes(32), 1, []),
    ],
    ids=["short", "long", "too many needed", "none needed", "doubled", "the secret's own place", "nobody"],
)
def test_what_cannot_be_shared(secret: bytes, threshold: int, numbers: list[int]) -> None:
    with pytest.raises(WaistError, match="RF-W170"):
        split(secret, threshold=threshold, numbers=numbers)


def test_too_few_shares() -> None:
    shares = split(secrets.token_bytes(32), threshold=3, numbers=range(1, 6))
    for count in range(3):
        few = {number: shares[number] for number in list(shares)[:count]}
        with pytest.raises(WaistError, match="RF-W171"):
            combine(few, threshold=3)
    with pytest.raises(WaistError, match="RF-W171"):
        combine(shares, threshold=0)


def test_shares_that_are_no_field_elements() -> None:
    shares = split(secrets.token_bytes(32), threshold=2, numbers=[1, 2])
    for bad in (PRIME.to_bytes(SHARE_BYTES, "big"), b"\xff" * SHARE_BYTES, shares[1][1:], shares[1] + b"\0"):
        with pytest.raises(WaistError, match="RF-W172"):
            combine({1: bad, 2: shares[2]}, threshold=2)
    with pytest.raises(WaistError, match="RF-W172"):
        combine({0: shares[1], 2: shares[2]}, threshold=2)


def test_a_random_share_gives_no_secret_and_a_shifted_one_gives_another() -> None:
    """A random value is below 2^256 with probability 2^-265. A small shift passes here: what tells is the
    digest or the public key that the owner of a secret has published.
    """
    secret = secrets.token_bytes(32)
    shares = split(secret, threshold=3, numbers=range(1, 4))
    with pytest.raises(WaistError, match="RF-W172"):
        combine(shares | {2: secrets.token_bytes(SHARE_BYTES - 1).rjust(SHARE_BYTES, b"\0")}, threshold=3)
    shifted = (int.from_bytes(shares[2], "big") ^ 1).to_bytes(SHARE_BYTES, "big")
    assert combine(shares | {2: shifted}, threshold=3) != secret


def test_coefficients_are_drawn_from_the_whole_field_and_may_be_nought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a smaller range, or without zero, fewer shares than needed would say something of the secret."""
    secret, asked = bytes(range(32)), list[int]()
    values = [int.from_bytes(split(secret, threshold=2, numbers=[1, 2])[1], "big") for _ in range(64)]
    assert 0 < sum(value > PRIME // 2 for value in values) < 64, "all the same with probability 2^-63"
    monkeypatch.setattr(secrets, "randbelow", lambda limit: asked.append(limit) or 0)
    shares = split(secret, threshold=3, numbers=[1, 2, 3])
    assert asked == [PRIME, PRIME]
    assert set(shares.values()) == {secret.rjust(SHARE_BYTES, b"\0")}
