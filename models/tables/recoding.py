"""Joining groups of an axis that are lost in noise or too small, before single cells are looked at.

Source: global recoding (Hundepool et al. 2012, section 4.3), on noisy margins: a group that no line could
show is joined with others in the whole table, so that nothing of it is lost and nothing of it can be worked
out. One decision a feature, for all tables of a release, from the noisy margin that has the least noise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CLEAR = 3.0
"""A group is kept apart whose margin is so many standard deviations of its noise above zero."""


def joined_groups(
    margin: npt.NDArray[np.float64], deviation: float, threshold: int, ordered: int
) -> npt.NDArray[np.int64]:
    """The new group of each group, numbered from 0 in the order of their first members.

    Args:
        margin: noisy customers of each group.
        deviation: of the noise in one of them.
        threshold: fewest customers that a line may stand for.
        ordered: how many of the first groups have an order; these are joined with neighbours only, the others
            with one another, and what is too small even so with the smallest group there is.
    """
    least = max(float(threshold), CLEAR * deviation)
    goes = np.arange(len(margin))
    _join_neighbours(margin, least, goes[:ordered])
    loose = [place for place in range(ordered, len(margin)) if margin[place] < least]
    if loose:
        goes[loose] = loose[0]
    mass = np.bincount(goes, weights=margin, minlength=len(margin))
    for place in np.unique(goes).tolist():
        others = [other for other in np.unique(goes).tolist() if other != place]
        if mass[place] < least and others:
            target = min(others, key=lambda other: (mass[other], other))
            mass[target] += mass[place]
            goes[goes == place] = target
    _kept, first, numbered = np.unique(goes, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[numbered], dtype=np.int64)


def _join_neighbours(margin: npt.NDArray[np.float64], least: float, goes: npt.NDArray[np.int64]) -> None:
    """Join ordered groups from the left until each stretch is large enough; the rest goes to the last one."""
    start, total, last = 0, 0.0, -1
    for place in range(len(goes)):
        goes[place] = start
        total += margin[place]
        if total >= least:
            last, start, total = start, place + 1, 0.0
    if start < len(goes) and last >= 0:
        goes[start:] = last
