"""A ledger as a statement of account: one line for everything that was ever spent or added, with the total after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ringfence.privacy.accounting.filters import Amounts
from ringfence.privacy.ledger.balance import Balance, spent
from ringfence.privacy.ledger.chain import Entry
from ringfence.privacy.ledger.parts import Scope, scope_of
from ringfence.privacy.ledger.state import State, advance, amounts_of, equivalent_mu_squared


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One line.

    Attributes:
        entry: number of the ledger's entry.
        time: UTC, ISO 8601.
        kind: `charged` for a release, `thawed` for what two people entered as spent beyond this copy, `topped-up` for
            what two people added to the budget.
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
        if entry.kind in ("charged", "thawed", "topped-up"):
            lines.append(_line(state, entry, amounts_of(entry.fields)))
    return tuple(lines)


def _line(state: State, entry: Entry, amounts: Amounts) -> Spend:
    cost, total = equivalent_mu_squared(amounts, min), spent(state, state.charged)
    if entry.kind == "thawed":
        return Spend(entry=entry.sequence, time=entry.time, kind="thawed", cost=cost, total=total)
    if entry.kind == "topped-up":
        return Spend(entry=entry.sequence, time=entry.time, kind="topped-up", cost=cost, total=total)
    fields = entry.fields
    number = fields["reservation"]
    assert isinstance(number, int), "`advance` has read it"
    return Spend(
        entry=entry.sequence,
        time=entry.time,
        kind="charged",
        study=state.open[number].study_digest,
        run=str(fields["run"]),
        round=int(str(fields["round"])),
        attempt=int(str(fields["attempt"])),
        part=scope_of(fields.get("part")),
        cost=cost,
        total=total,
    )
