"""Replies that the coordinator does not believe: each is an event with its code, and is told to the operator.

A holder that says `unavailable`, or nothing, is merely absent; its own log says why. A reply that fails its
checks counts as none as well, but it was sent: it may be a fault of either side, or somebody's hand.
"""

from __future__ import annotations

from ringfence.audit.errors import AuditError
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import COORDINATOR, Unavailable, open_message
from ringfence.server.coordinator import Coordinator, OpenStudy


def refuse_reply(
    coordinator: Coordinator,
    opened: OpenStudy,
    name: str,
    data: bytes | None,
    error: RingfenceError | AuditError,
    *,
    round: int = 0,
    attempt: int = 0,
) -> str:
    """Record that a reply was refused.

    Args:
        coordinator: in whose log.
        opened: the signed study.
        name: the holder that was asked.
        data: its reply; empty for none, None where it was opened already and says more than absence.
        error: why it is not believed.
        round: the round it was asked at.
        attempt: the attempt it was asked at.

    Returns:
        The code of the refusal; empty where the holder did not send anything that could be refused.
    """
    if data is not None and (not data or _is_absence(opened, name, data, round, attempt)):
        return ""
    coordinator.log.record(
        "reply.refused",
        "deny",
        resource=f"study:{opened.digest}",
        public={
            "run": opened.run,
            "round": round,
            "attempt": attempt,
            "holder": name,
            "reasons": [error.code],
        },
    )
    return error.code


def _is_absence(opened: OpenStudy, name: str, data: bytes, round: int, attempt: int) -> bool:
    try:
        open_message(
            Unavailable,
            data,
            senders={name: opened.participants[name]},
            study=opened.digest,
            run=opened.run,
            recipient=COORDINATOR,
            round=round,
            attempt=attempt,
        )
    except RingfenceError:
        return False
    return True


def foreign(holder: str) -> WaistError:
    """The refusal of a reply in another holder's name, or of shares for others than its sender's partners."""
    return WaistError(
        "RF-W300",
        N_("The reply of {holder} speaks for another holder, or deals shares to others than its partners."),
        holder=holder,
    )
