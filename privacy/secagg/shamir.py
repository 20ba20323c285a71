"""Shamir's secret sharing of 32-byte secrets (Shamir 1979), over the field of integers modulo 2^521 - 1.

A secret is the value at 0 of a random polynomial of degree `threshold - 1`; a share is its value at a
holder's number. Any `threshold` shares give the secret by Lagrange's formula, fewer say nothing at all about
it: every secret is equally likely under them. The modulus is a Mersenne prime, larger than any secret, so
that a secret is one field element. Coefficients come from the operating system's generator.

Whether a secret that came out is the one that was dealt cannot be seen here; it is compared with what its
owner published (`recovery.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

from ringfence.privacy.errors import N_, WaistError

PRIME = (1 << 521) - 1
SECRET_BYTES = 32
SHARE_BYTES = 66


def split(secret: bytes, *, threshold: int, numbers: Collection[int]) -> dict[int, bytes]:
    """Shares of a secret, 66 bytes each (big-endian), by number.

    Args:
        secret: 32 bytes.
        threshold: how many shares give the secret, at least 1.
        numbers: who gets a share, counted from 1.

    Raises:
        WaistError: RF-W170 for another length, a threshold beyond the number of shares, or a number below 1.
    """
    if len(secret) != SECRET_BYTES or not 1 <= threshold <= len(set(numbers)) or min(numbers) < 1:
        raise WaistError(
            "RF-W170",
            N_("A secret of {size} bytes cannot be shared so that {threshold} of {count} shares give it."),
            size=len(secret),
            threshold=threshold,
            count=len(numbers),
        )
    polynomial = [int.from_bytes(secret, "big"), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return {number: value_at(polynomial, number).to_bytes(SHARE_BYTES, "big") for number in numbers}


def value_at(polynomial: list[int], at: int) -> int:
    """Horner's rule."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * at + coefficient) % PRIME
    return value


def combine(shares: Mapping[int, bytes], *, threshold: int) -> bytes:
    """The secret that shares give; the `threshold` of them with the lowest numbers are used.

    Args:
        shares: 66 bytes each, by number.
        threshold: as it was dealt.

    Raises:
        WaistError: RF-W171 too few shares, RF-W172 a share is no field element or they give no 32-byte
            secret.
    """
    check_enough(len(shares), threshold)
    used = sorted(shares)[:threshold]
    values = {number: int.from_bytes(shares[number], "big") for number in used}
    sound = all(
        number >= 1 and len(shares[number]) == SHARE_BYTES and values[number] < PRIME for number in used
    )
    secret = sum(values[number] * _weight(number, used) for number in used) % PRIME if sound else PRIME
    if secret >> (8 * SECRET_BYTES):
        raise WaistError(
            "RF-W172", N_("The shares of a secret are not the ones that were dealt; the attempt is void.")
        )
    return secret.to_bytes(SECRET_BYTES, "big")


def check_enough(found: int, threshold: int) -> None:
    """Refuse (RF-W171) fewer shares than give a secret."""
    if threshold < 1 or found < threshold:
        raise WaistError(
            "RF-W171",
            N_("Shares of a secret at hand: {found}; {wanted} are needed, so the attempt is void."),
            found=found,
            wanted=threshold,
        )


def _weight(number: int, used: list[int]) -> int:
    """Lagrange's weight at 0 of the point at `number`."""
    above, below = 1, 1
    for other in used:
        if other != number:
            above = above * other % PRIME
            below = below * (other - number) % PRIME
    return above * pow(below, -1, PRIME) % PRIME
