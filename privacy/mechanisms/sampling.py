"""Poisson sampling: each customer takes part with a public probability, by the system's randomness.

The sample is what amplifies privacy, so nobody else may know or steer it: there is no seed, a second attempt
draws a second sample, and an empty sample is a sample. The rate is rounded down to a multiple of 2^-64, which
is the side on which the price is an upper bound. Random bits are what a sample costs, so a customer's 64 are
drawn piece by piece: eight decide all but one customer in 256.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.mechanisms import entropy


def poisson_sample(customers: int, rate: Fraction) -> npt.NDArray[np.bool_]:
    """Draw who takes part.

    Args:
        customers: n, how many there are.
        rate: q, in (0, 1]; 1 draws nothing and takes everybody.

    Returns:
        Shape `(n,)`.

    Raises:
        BudgetError: the rate is out of range.
    """
    if not 0 < rate <= 1:
        raise BudgetError(
            "RF-B220", N_("The sampling rate is {rate}; expected more than 0 and at most 1."), rate=str(rate)
        )
    if rate == 1:
        return np.ones(customers, dtype=np.bool_)
    limit = (rate.numerator << 64) // rate.denominator
    lead, rest = np.uint8(limit >> 56), np.uint64((limit << 8) & ((1 << 64) - 1))
    first = entropy.octets(customers)
    taken = np.asarray(first < lead)
    undecided = np.flatnonzero(first == lead)
    taken[undecided] = entropy.words(undecided.size) < rest
    return taken
