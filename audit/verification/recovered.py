"""Logs that go on from an older copy, in a bundle: what is lost is a gap, and counts where it was accepted.

Invariants:
    A log that was recovered is never intact without a word: what it lost is told as a gap.
    A state counts as lost where the log's own event names it, and, where another log anchors it, where that
    log has accepted the loss. Everything else that the log signed and does not have accuses it as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ringfence.audit.errors import N_, BundleError
from ringfence.audit.verification.logcheck import ANCHOR, Claim, LogCheck
from ringfence.audit.verification.losses import LogState, LossEvent
from ringfence.audit.verification.report import Gap
from ringfence.audit.verification.scan import Anchor


def own_losses(log: LogCheck) -> list[LossEvent]:
    """What the log says that it lost itself."""
    return [each for each in log.scan.losses if not each.origin]


def is_lost(log: LogCheck, claim: Claim, logs: Sequence[LogCheck]) -> bool:
    """Whether a statement is of a state that the log lost, by its own word and that of who states it."""
    state = LogState(size=claim.size, root=claim.root)
    if not any(state in each.loss.lost for each in own_losses(log)):
        return False
    if claim.kind != ANCHOR:
        return True
    origin = log.signed.origin if log.signed else ""
    return any(
        state in each.loss.lost
        for other in logs
        if other.name == claim.by
        for each in other.scan.losses
        if each.origin == origin
    )


def was_accepted(log: LogCheck, anchor: Anchor) -> bool:
    """Whether a log that anchors a state has accepted later that it was lost."""
    state = LogState(size=anchor.size, root=anchor.root)
    return any(
        each.origin == anchor.origin and anchor.event < each.number and state in each.loss.lost
        for each in log.scan.losses
    )


def check_losses(log: LogCheck, roots: Mapping[int, bytes]) -> Iterator[Gap]:
    """Tell what a log lost, once the states that its events name are found to be none of its own."""
    for each in own_losses(log):
        kept, lost = each.loss.kept, each.loss.lost
        still = [state for state in lost if roots.get(state.size) == state.root]
        if kept.size > each.number or roots.get(kept.size) != kept.root or still:
            log.report.fault(
                BundleError(
                    "RF-A266",
                    N_(
                        "Event {event} says that a log was recovered, and names no states that it can have "
                        "had."
                    ),
                    event=each.number,
                ),
                each.number,
            )
            continue
        yield Gap(
            error=BundleError(
                "RF-A267",
                N_(
                    "The log {origin} goes on from an older copy, as its event {event} says: it had signed "
                    "{size} events, and those from {kept} on are known by roots alone. What parties saw "
                    "there stands in their own logs: ringfence-audit reconcile."
                ),
                origin=log.report.origin or log.name,
                event=each.number,
                size=max(state.size for state in lost),
                kept=kept.size,
            )
        )
