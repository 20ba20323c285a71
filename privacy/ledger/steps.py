"""The entries a ledger is asked for, each with the event that tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ringfence.privacy.accounting.amounts import SLACK_PLACES, as_text, spent_amount
from ringfence.privacy.accounting.filters import Amounts
from ringfence.privacy.ledger.book import Step
from ringfence.privacy.ledger.entries import (
    Charged,
    Committed,
    Frozen,
    Reserved,
    RunOfSeries,
    Thawed,
    ToppedUp,
)
from ringfence.privacy.ledger.parts import ByPart, scope_of
from ringfence.privacy.ledger.planned import Quote
from ringfence.privacy.ledger.state import Reservation, State, equivalent_mu_squared
from ringfence.privacy.ledger.terms import checked_text, two_people
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.waist import Scope


def reserved(
    study_digest: str,
    amounts: Amounts,
    parts: ByPart | None,
    *,
    epsilon_slack: float,
    delta_slack: float,
    turn: RunOfSeries | None = None,
) -> Step:
    """Budget set aside for a study.

    Args:
        study_digest: of the study.
        amounts: its total, the dearer part on each axis.
        parts: limits by part where there are some.
        epsilon_slack, delta_slack: of all its draws.
        turn: of a series, the run it is for.
    """
    record = Reserved(
        study=checked_text("study", study_digest),
        amounts=amounts,
        parts=parts,
        epsilon_slack=spent_amount(epsilon_slack, SLACK_PLACES),
        delta_slack=spent_amount(delta_slack, SLACK_PLACES),
        turn=turn,
    )
    return Step(
        record=record,
        action="budget.reserved",
        study=study_digest,
        public={"mu_squared": _told(amounts)} | ({"run": turn.run, "window": turn.window} if turn else {}),
    )


def quoted(study_digest: str, asked: Quote, turn: RunOfSeries | None) -> Step:
    """Budget set aside for a study by what its plan would take."""
    return reserved(
        study_digest,
        asked.amounts,
        asked.limits,
        epsilon_slack=asked.epsilon_slack,
        delta_slack=asked.delta_slack,
        turn=turn,
    )


def charged(
    reservation: Reservation, amounts: Amounts, *, run: str, round: int, attempt: int, part: Scope
) -> Step:
    """One attempt at a round, charged to a reservation."""
    record = Charged(
        reservation=reservation.id,
        run=checked_text("run", run),
        round=round,
        attempt=attempt,
        part=scope_of(part),
        amounts=amounts,
    )
    return Step(
        record=record,
        action="budget.charged",
        study=reservation.study_digest,
        public={
            "run": run,
            "round": round,
            "attempt": attempt,
            "part": part,
            "mu_squared": _told(amounts),
        },
    )


def committed(reservation: Reservation) -> Step:
    """The end of a reservation."""
    return Step(
        record=Committed(reservation=reservation.id),
        action="budget.closed",
        study=reservation.study_digest,
    )


def frozen(reason: str, known: str = "") -> Step:
    """An end to all spending, perhaps because another party was shown a head that is not here (its mark)."""
    return Step(
        record=Frozen(reason=reason, known=known),
        action="budget.frozen",
        outcome="error",
        private={"reason": reason},
    )


def decided(
    kind: type[Thawed] | type[ToppedUp],
    action: str,
    approvals: Sequence[str],
    amounts: Amounts,
    reason: str,
    decision: str,
    evidence: Mapping[str, Json] | None,
    further: Callable[[State], None] = lambda _state: None,
) -> Step:
    """What two people decided.

    Raises:
        BudgetError: fewer than two people, or no reason.
    """
    people = two_people(approvals)
    told: list[Json] = list(people)
    return Step(
        record=kind(
            approvals=tuple(people),
            amounts=amounts,
            reason=checked_text("reason", reason),
            decision=decision,
        ),
        action=action,
        public={"approvals": told, "mu_squared": _told(amounts)},
        private={"reason": reason},
        evidence=evidence or {},
        further=further,
    )


def _told(amounts: Amounts) -> str:
    return as_text(equivalent_mu_squared(amounts, max))
