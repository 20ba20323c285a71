"""Signed statements about earlier states of a log, from wherever they come, held against the events found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ringfence.audit import bundle
from ringfence.audit.checkpoint import read_unverified, verify_checkpoint
from ringfence.audit.errors import N_, AuditError, BundleError, NoteError, _
from ringfence.audit.logcheck import ANCHOR, COPY, GIVEN, HISTORY, Claim, LogCheck
from ringfence.audit.note import Verifier
from ringfence.audit.scan import Anchor

_CLAIM_PLACES = {
    GIVEN: N_("the checkpoint given"),
    HISTORY: N_("the log's own earlier checkpoint"),
    ANCHOR: N_("the checkpoint anchored in another log"),
    COPY: N_("the checkpoint of another copy in this bundle"),
}


def check_claims(log: LogCheck, roots: Mapping[int, bytes]) -> None:
    """Hold every signed statement about the log against the events found."""
    for claim in log.claims:
        if roots.get(claim.size) == claim.root:
            if claim.kind == GIVEN:
                log.report.fresh_to = max(claim.size, log.report.fresh_to or 0)
            elif claim.kind == ANCHOR:
                log.report.anchored_to[claim.place] = max(
                    claim.size, log.report.anchored_to.get(claim.place, 0)
                )
        elif claim.size > log.count:
            log.report.fault(
                BundleError(
                    "RF-A094",
                    N_(
                        "The log was cut or is an old copy: it ends before event {count}, but {what} ({place}) "
                        "is signed for {size} events."
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


def _split(log: LogCheck, claim: Claim, roots: Mapping[int, bytes]) -> AuditError:
    good = [other.size for other in log.claims if other.size < claim.size and roots[other.size] == other.root]
    return BundleError(
        "RF-A095",
        N_(
            "The log shows two histories: {what} ({place}) over {size} events does not fit this copy, which differs "
            "somewhere from event {low} on. Keep both checkpoints, they are the proof."
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
                        "The checkpoint {file} is of log {origin}; this bundle holds no readable log of that name."
                    ),
                    file=place,
                    origin=origin,
                )
            for log in found:
                old = verify_checkpoint(data, log.verifiers)
                log.claims.append(Claim(size=old.size, root=old.root, kind=GIVEN, place=place))
        except AuditError as error:
            yield error


def gather_anchors(logs: Sequence[LogCheck]) -> None:
    """Attach what logs anchor of each other, and compare what they anchor of logs that are not here."""
    seen: dict[tuple[str, int], bytes] = {}
    for log in logs:
        absent: dict[str, Anchor] = {}
        for anchor in log.scan.anchors:
            if seen.setdefault((anchor.origin, anchor.size), anchor.root) != anchor.root:
                log.report.fault(
                    BundleError(
                        "RF-A101",
                        N_(
                            "Event {event} anchors another root of {origin} at {size} events than an earlier anchor."
                        ),
                        event=anchor.event,
                        origin=anchor.origin,
                        size=anchor.size,
                    ),
                    anchor.event,
                )
            others = _known(logs, anchor.origin)
            if not others:
                absent[anchor.origin] = anchor
            for other in others:
                other.claims.append(Claim(size=anchor.size, root=anchor.root, kind=ANCHOR, place=log.name))
        log.report.notices += [
            _("The log anchors {origin} up to {size} events; that log is not in this bundle.").format(
                origin=anchor.origin, size=anchor.size
            )
            for anchor in absent.values()
        ]


def gather_anchor_notes(log: LogCheck, logs: Sequence[LogCheck], trusted: Sequence[Verifier]) -> None:
    """Verify the foreign checkpoints that lie beside a log, as far as their logs' keys are known."""
    try:
        for name, data in bundle.read_notes(log.path, "anchors"):
            origin = read_unverified(data).origin
            keys = [*trusted, *(key for other in _known(logs, origin) for key in other.verifiers)]
            if not any(key.name == origin for key in keys):
                log.report.notices.append(
                    _("The checkpoint {file} was not checked: no key of {origin} is known.").format(
                        file=name, origin=origin
                    )
                )
                continue
            old = verify_checkpoint(data, keys)
            for other in _known(logs, origin):
                other.claims.append(
                    Claim(size=old.size, root=old.root, kind=ANCHOR, place=f"{log.name}/{name}")
                )
    except AuditError as error:
        log.report.fault(error)


def gather_copies(logs: Sequence[LogCheck]) -> None:
    """Hold copies of one log in the bundle against each other."""
    for log in logs:
        for other in logs:
            if other is not log and log.signed and other.signed and other.signed.origin == log.signed.origin:
                log.claims.append(
                    Claim(size=other.signed.size, root=other.signed.root, kind=COPY, place=other.name)
                )
