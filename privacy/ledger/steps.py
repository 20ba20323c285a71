"""The entries a ledger is asked for, each with the event that tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ringfence.privacy.accounting.amounts import as_text
from ringfence.privacy.accounting.filters import Amounts
from ringfence.privacy.journal import Json
from ringfence.privacy.ledger.book import Step
from ringfence.privacy.ledger.chain import Fields
from ringfence.privacy.ledger.parts import Scope, scope_of
from ringfence.privacy.ledger.state import Head, Reservation, equivalent_mu_squared
from ringfence.privacy.ledger.terms import checked_text, decided_fields, texts, two_people


def reserved(study_digest: str, amounts: Amounts, more: Fields) -> Step:
    """Budget set aside for a study.

    Args:
        study_digest: of the study.
        amounts: its total, the dearer part on each axis.
        more: limits by part where there are some, and slacks.
    """
    return Step(
        kind="reserved",
        fields={"study": checked_text("study", study_digest), "amounts": texts(amounts), **more},
        action="budget.reserved",
        study=study_digest,
        public={"mu_squared": _told(amounts)},
    )


def charged(
    reservation: Reservation, amounts: Amounts, *, run: str, round: int, attempt: int, part: Scope
) -> Step:
    """One attempt at a round, charged to a reservation."""
    return Step(
        kind="charged",
        fields={
            "reservation": reservation.id,
            "run": checked_text("run", run),
            "round": round,
            "attempt": attempt,
            "part": scope_of(part),
            "amounts": texts(amounts),
        },
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


def frozen(reason: str, known: Head) -> Step:
    """An end to all spending, perhaps because another party knows a head that is not here."""
    return Step(
        kind="frozen",
        fields={"reason": reason, "known_sequence": known.sequence, "known_hash": known.hash},
        action="budget.frozen",
        outcome="error",
        private={"reason": reason},
    )


def decided(
    kind: str,
    action: str,
    approvals: Sequence[str],
    amounts: Amounts,
    reason: str,
    decision: str,
    evidence: Mapping[str, Json] | None,
) -> Step:
    """What two people decided."""
    told: list[Json] = list(two_people(approvals))
    return Step(
        kind=kind,
        fields=decided_fields(approvals, amounts, reason, decision),
        action=action,
        public={"approvals": told, "mu_squared": _told(amounts)},
        private={"reason": reason},
        evidence=evidence or {},
    )


def _told(amounts: Amounts) -> str:
    return as_text(equivalent_mu_squared(amounts, max))
