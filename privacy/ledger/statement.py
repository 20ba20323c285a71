"""A ledger as a statement of account: a line for all that was spent or added, with the total after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ringfence.privacy.ledger.balance import Balance, spent
from ringfence.privacy.ledger.chain import Entry
from ringfence.privacy.ledger.entries import Charged, Thawed, ToppedUp
from ringfence.privacy.ledger.equivalents import equivalent_mu_squared
from ringfence.privacy.ledger.state import State, advance
from ringfence.privacy.waist import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One line.

    Attributes:
        entry: number of the ledger's entry.
        time: UTC, ISO 8601.
        kind: `charged` for a release, `thawed` for what two people entered as spent beyond this copy,
            `topped-up` for what two people added to the budget.
        study: digest of the study, empty for what was entered.
        run, round, attempt, part: of the release; the cohort count is round -1.
        cost: mu squared that it took by itself, or added to the budget.
        total: what any one customer has lost at most from then on: over studies, the dearer part of each.
    """

    entry: int
    time: str
    kind: Literal["charged", "thawed", "topped-up"]
    study: str = ""
    run: str = ""
    round: int = 0
    attempt: int = 0
    part: Scope = "both"
    cost: Decimal
    total: Balance


def statement(entries: Iterable[Entry]) -> tuple[Spend, ...]:
    """All lines of a ledger, oldest first.

    Args:
        entries: all of them, verified (`Ledger.entries`).
    """
    state, lines = State(), []
    for entry in entries:
        state = advance(state, entry)
        match entry.record:
            case Charged() as release:
                lines.append(_released(state, entry, release))
            case Thawed() | ToppedUp() as decided:
                lines.append(_decided(state, entry, decided))
    return tuple(lines)


def _released(state: State, entry: Entry, release: Charged) -> Spend:
    return Spend(
        entry=entry.sequence,
        time=entry.time,
        kind=release.kind,
        study=state.open[release.reservation].study_digest,
        run=release.run,
        round=release.round,
        attempt=release.attempt,
        part=release.scope,
        cost=equivalent_mu_squared(release.amounts, min),
        total=spent(state, state.charged),
    )


def _decided(state: State, entry: Entry, decided: Thawed | ToppedUp) -> Spend:
    # What was added counts where it is most; a Gaussian amount is the same on every axis.
    choose = max if isinstance(decided, ToppedUp) else min
    return Spend(
        entry=entry.sequence,
        time=entry.time,
        kind=decided.kind,
        cost=equivalent_mu_squared(decided.amounts, choose),
        total=spent(state, state.charged),
    )
