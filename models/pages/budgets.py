"""What a page shows of one holder's ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderBudget:
    """One holder's ledger after the run.

    Shares are of mu squared, the quantity that adds up; an epsilon is what such an amount stands for by
    itself.

    Attributes:
        holder: name.
        epsilon: of the whole budget.
        delta: of every epsilon here.
        released: epsilon of what has really left.
        mu_squared: the same as the ledger counts it.
        reserved: epsilon of what left and what is set aside.
        left: epsilon of the largest release that still fits.
        share_released: part of the budget in [0, 1].
        share_reserved: part set aside and not released.
        share_left: part that is free.
    """

    holder: str
    epsilon: float
    delta: str
    released: float
    mu_squared: float
    reserved: float
    left: float
    share_released: float
    share_reserved: float
    share_left: float
