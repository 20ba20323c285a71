"""The entries a ledger is asked for, each with the event that tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ringfence.privacy.accounting.amounts import SLACK_PLACES, as_text, spent_amount
from ringfence.privacy.accounting.filters import Amounts
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger import balance
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
from ringfence.privacy.ledger.equivalents import equivalent_mu_squared
from ringfence.privacy.ledger.losses import LostEntries, moment_after
from ringfence.privacy.ledger.marks import MarkedEntry
from ringfence.privacy.ledger.parts import ByPart, scope_of
from ringfence.privacy.ledger.planned import Quote
from ringfence.privacy.ledger.state import Reservation, State
from ringfence.privacy.ledger.terms import below_the_most, checked_text, two_people
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
    run: str = "",
) -> Step:
    """Budget set aside for a study.

    Args:
        study_digest: of the study.
        amounts: its total, the dearer part on each axis.
        parts: limits by part where there are some.
        epsilon_slack, delta_slack: of all its draws.
        turn: of a series, the run it is for.
        run: the same of a study that is run once.
    """
    record = Reserved(
        study=checked_text("study", study_digest),
        amounts=amounts,
        parts=parts,
        epsilon_slack=spent_amount(epsilon_slack, SLACK_PLACES),
        delta_slack=spent_amount(delta_slack, SLACK_PLACES),
        turn=turn,
        run="" if turn else run,
    )
    return Step(
        record=record,
        action="budget.reserved",
        study=study_digest,
        public={"mu_squared": _told(amounts)}
        | ({"run": record.bound} if record.bound else {})
        | ({"window": turn.window} if turn else {}),
    )


def quoted(study_digest: str, asked: Quote, turn: RunOfSeries | None, run: str = "") -> Step:
    """Budget set aside for a study by what its plan would take."""
    return reserved(
        study_digest,
        asked.amounts,
        asked.limits,
        epsilon_slack=asked.epsilon_slack,
        delta_slack=asked.delta_slack,
        turn=turn,
        run=run,
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


def frozen(reason: str, known: str = "", loss: LostEntries | None = None, copy_of: int | None = None) -> Step:
    """An end to all spending.

    Args:
        reason: for people.
        known: the mark of a head that another party was shown and that is not here.
        loss: the entries that are lost with it.
        copy_of: number of the last entry of a restored copy; all that came after it is lost.
    """
    if copy_of is not None:
        loss = LostEntries(after=copy_of, last=0, until=0)
    return Step(
        record=Frozen(reason=reason, known=known, loss=loss),
        action="budget.frozen",
        outcome="error",
        private={"reason": reason},
    )


def missing(known: str, shown: MarkedEntry | None) -> Step:
    """An end to all spending, since another party was shown what is not here.

    Args:
        known: the mark that it was shown.
        shown: what the mark says; None where it says nothing here.
    """
    if shown is None:
        return frozen("an entry that was shown elsewhere is missing here", known)
    loss = LostEntries(after=0, last=shown.sequence, until=shown.made)
    return frozen(loss.reason(), known, loss)


def lacks_an_entry(state: State) -> BudgetError:
    """The refusal of what another party was shown and is not here."""
    return BudgetError(
        "RF-B312",
        N_(
            "The budget ledger lacks an entry that another party was shown of it (it ends at entry "
            "{own}), so it is frozen. Two people must enter the missing spend."
        ),
        own=state.sequence,
    )


def thawing(state: State, seen: int | None) -> Callable[..., Thawed]:
    """The entry by which a ledger is thawed; it settles the losses that are known.

    Args:
        state: the ledger's.
        seen: number of the last entry that people looked at; that of the state by default.
    """
    until = moment_after(state.gaps) if state.losses else 0
    return partial(Thawed, until=until, seen=state.sequence if seen is None else seen)


def decided(
    kind: Callable[..., Thawed | ToppedUp],
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


def bounded(after: State) -> None:
    """A top-up leads to no more than a ledger may hold, whatever was entered since it was asked for."""
    below_the_most(balance.whole(after))


def _told(amounts: Amounts) -> str:
    return as_text(equivalent_mu_squared(amounts, max))
