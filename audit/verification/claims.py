"""Statements about earlier states of a log, from wherever they come, held against the events found.

Invariant: a log is accused (cut off, two histories) by its own signature alone. What another log merely says
of it, without a checkpoint that the accused log's key signed, is told of the log that says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ringfence.audit import bundle
from ringfence.audit.checkpoint import read_unverified, verify_checkpoint
from ringfence.audit.errors import N_, AuditError, BundleError, NoteError, _
from ringfence.audit.verification.logcheck import ANCHOR, COPY, GIVEN, HISTORY, Claim, LogCheck
from ringfence.audit.verification.recovered import is_lost, was_accepted
from ringfence.audit.verification.report import Gap
from ringfence.audit.verification.scan import Anchor
from ringfence.audit.verification.trust import TrustedKey, verifiers

_CLAIM_PLACES = {
    GIVEN: N_("the checkpoint given"),
    HISTORY: N_("the log's own earlier checkpoint"),
    ANCHOR: N_("the checkpoint anchored in another log"),
    COPY: N_("the checkpoint of another copy in this bundle"),
}


def check_claims(log: LogCheck, roots: Mapping[int, bytes], logs: Sequence[LogCheck]) -> None:
    """Hold every statement about the log against the events found."""
    own = {(claim.size, claim.root) for claim in log.claims if claim.signed}
    for claim in log.claims:
        if roots.get(claim.size) == claim.root:
            _agrees(log, claim)
        elif is_lost(log, claim, logs):
            continue  # Told as a gap, once.
        elif not claim.signed:
            if (claim.size, claim.root) not in own:  # else the signed checkpoint itself tells, once
                _unproven(log, claim, logs)
        elif claim.size > log.count:
            log.report.fault(
                BundleError(
                    "RF-A094",
                    N_(
                        "The log was cut or is an old copy: it ends before event {count}, but {what} "
                        "({place}) is signed for {size} events."
                    ),
                    count=log.count,
                    what=_(_CLAIM_PLACES[claim.kind]),
                    place=claim.place,
                    size=claim.size,
                ),
                log.count,
            )
        elif log.authentic or log.signed is None:
            log.report.fault(_split(log, claim, roots))


def _agrees(log: LogCheck, claim: Claim) -> None:
    if claim.kind == GIVEN:
        log.report.fresh_to = max(claim.size, log.report.fresh_to or 0)
    elif claim.kind == ANCHOR:
        place = claim.by or claim.place
        log.report.anchored_to[place] = max(claim.size, log.report.anchored_to.get(place, 0))


def _unproven(log: LogCheck, claim: Claim, logs: Sequence[LogCheck]) -> None:
    """Tell of the log that states it what nothing but its own word shows of another."""
    if not log.authentic:
        return  # What was done to the log itself is a fault already, and explains the difference.
    for other in logs:
        if other.name == claim.by:
            other.report.fault(
                BundleError(
                    "RF-A223",
                    N_(
                        "Event {event} anchors a state of {origin} over {size} events that the log in "
                        "{place} does not have, and no checkpoint that {origin} signed shows it: one of the "
                        "two logs is wrong, and nothing here proves which. Ask for the signed checkpoint."
                    ),
                    event=claim.event,
                    origin=log.report.origin,
                    size=claim.size,
                    place=log.name,
                ),
                claim.event,
            )


def _split(log: LogCheck, claim: Claim, roots: Mapping[int, bytes]) -> AuditError:
    good = [
        other.size
        for other in log.claims
        if other.size < claim.size and roots.get(other.size) == other.root and other.signed
    ]
    return BundleError(
        "RF-A095",
        N_(
            "The log shows two histories: {what} ({place}) over {size} events does not fit this copy, which "
            "differs somewhere from event {low} on. Keep both checkpoints, they are the proof."
        ),
        what=_(_CLAIM_PLACES[claim.kind]),
        place=claim.place,
        size=claim.size,
        low=max(good, default=0),
    )


def _known(logs: Sequence[LogCheck], origin: str) -> list[LogCheck]:
    return [log for log in logs if log.signed and log.signed.origin == origin]


def gather_given(logs: Sequence[LogCheck], given: Mapping[str, bytes]) -> Iterator[AuditError]:
    """Attach the caller's checkpoints to the logs they speak of; what cannot be attached is a fault."""
    for place, data in given.items():
        try:
            origin = read_unverified(data).origin
            found = _known(logs, origin)
            if not found:
                raise NoteError(
                    "RF-A100",
                    N_(
                        "The checkpoint {file} is of log {origin}; this bundle holds no readable log of that "
                        "name."
                    ),
                    file=place,
                    origin=origin,
                )
            for log in found:
                old = log.statement(data)
                log.claims.append(Claim(size=old.size, root=old.root, kind=GIVEN, place=place))
        except AuditError as error:
            yield error


def gather_anchors(logs: Sequence[LogCheck]) -> Iterator[AuditError]:
    """Attach what logs anchor of each other, and compare what they anchor of one and the same log."""
    seen: dict[tuple[str, int], tuple[bytes, LogCheck]] = {}
    for log in logs:
        for anchor in log.scan.anchors:
            if was_accepted(log, anchor):
                _claimed(log, anchor, logs)
                continue
            root, first = seen.setdefault((anchor.origin, anchor.size), (anchor.root, log))
            if root != anchor.root and first is log:
                log.report.fault(
                    BundleError(
                        "RF-A101",
                        N_(
                            "Event {event} anchors another root of {origin} at {size} events than an earlier "
                            "anchor."
                        ),
                        event=anchor.event,
                        origin=anchor.origin,
                        size=anchor.size,
                    ),
                    anchor.event,
                )
            elif root != anchor.root and not _known(logs, anchor.origin):
                yield BundleError(
                    "RF-A224",
                    N_(
                        "{one} and {other} anchor different roots of {origin} over {size} events; a "
                        "checkpoint that {origin} signed shows which of them is right."
                    ),
                    one=first.name,
                    other=log.name,
                    origin=anchor.origin,
                    size=anchor.size,
                )
            _claimed(log, anchor, logs)


def _claimed(log: LogCheck, anchor: Anchor, logs: Sequence[LogCheck]) -> None:
    """Attach an anchor to the log that it speaks of."""
    for other in _known(logs, anchor.origin):
        other.claims.append(
            Claim(
                size=anchor.size,
                root=anchor.root,
                kind=ANCHOR,
                place=log.name,
                signed=False,
                by=log.name,
                event=anchor.event,
            )
        )


def gather_anchor_notes(
    log: LogCheck, logs: Sequence[LogCheck], trusted: Sequence[TrustedKey]
) -> Iterator[Gap]:
    """Verify the foreign checkpoints that lie beside a log; those whose log's key is not known are gaps."""
    unchecked: dict[str, int] = {}
    try:
        for name, data in bundle.read_notes(log.path, "anchors"):
            origin = read_unverified(data).origin
            found = _known(logs, origin)
            if not found and not _signed_by_trusted(data, origin, trusted):
                unchecked[origin] = unchecked.get(origin, 0) + 1
            for other in found:
                old = other.statement(data)
                other.claims.append(
                    Claim(
                        size=old.size,
                        root=old.root,
                        kind=ANCHOR,
                        place=f"{log.name}/{name}",
                        by=log.name,
                    )
                )
    except AuditError as error:
        log.report.fault(error)
    for origin, count in unchecked.items():
        yield Gap(
            error=BundleError(
                "RF-A205",
                N_(
                    "Anchored checkpoints that could not be checked: {count} of {origin}, which lie with "
                    "{place}; no key of that log was verified here or given with --trust."
                ),
                count=count,
                origin=origin,
                place=log.name,
            ),
            elsewhere=True,
        )


def _signed_by_trusted(data: bytes, origin: str, trusted: Sequence[TrustedKey]) -> bool:
    """Whether a checkpoint was verified with a trusted key; False when no key of its log is known.

    Raises:
        NoteError: the log's trusted key did not sign it.
    """
    named = [key for key in trusted if key.name == origin]
    if named:
        verify_checkpoint(data, verifiers(named, origin))
    return bool(named)


def gather_copies(logs: Sequence[LogCheck]) -> Iterator[AuditError]:
    """Hold copies of one log against each other; two logs of one name under two keys are two parties."""
    for position, log in enumerate(logs):
        for other in logs[position + 1 :]:
            if not (log.signed and other.signed and log.signed.origin == other.signed.origin):
                continue
            if other.key not in log.keys and log.key not in other.keys and log.keys & other.keys:
                yield BundleError(
                    "RF-A255",
                    N_(
                        "{one} and {other} are copies of {origin} that give one key two different "
                        "successors: whoever held that key made two histories. Keep both, they are the proof."
                    ),
                    one=log.name,
                    other=other.name,
                    origin=log.signed.origin,
                )
                continue
            if other.key not in log.keys and log.key not in other.keys:
                yield BundleError(
                    "RF-A225",
                    N_(
                        "{one} and {other} both call themselves {origin}, under different keys: at most one "
                        "of them is that log. Its key, given with --trust, shows which."
                    ),
                    one=log.name,
                    other=other.name,
                    origin=log.signed.origin,
                )
                continue
            for one, copy in ((log, other), (other, log)):
                one.report.notices.append(
                    _("The bundle holds this log a second time, in {place}.").format(place=copy.name)
                )
                if copy.signed:
                    one.claims.append(
                        Claim(size=copy.signed.size, root=copy.signed.root, kind=COPY, place=copy.name)
                    )
