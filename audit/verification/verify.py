"""Verify an exported bundle offline: every event, every signature, every anchor, and say what is not shown.

Invariant (DESIGN, 6.7): `verify_bundle` returns what was verified or raises; no answer can be forgotten. A
log is intact when its events lead to the signed root, its producers' sequences have no gap, and every signed
statement about an earlier state (its own history, anchors in other logs, checkpoints the caller brings) is a
prefix of it. A bundle is intact when its logs are and nothing that they name was out of reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ringfence.audit.errors import N_, AuditUsageError, BundleError
from ringfence.audit.note import Verifier
from ringfence.audit.verification import claims, rollcall
from ringfence.audit.verification.folders import walk
from ringfence.audit.verification.logcheck import EventsRead, LogCheck, check_events, check_manifest, read_log
from ringfence.audit.verification.lookalike import look_alike, mixes_scripts, spelt
from ringfence.audit.verification.recovered import check_losses
from ringfence.audit.verification.report import BundleIncomplete, BundleRefused, Flaw, Gap, Report
from ringfence.audit.verification.trust import TrustedKey


def examine_bundle(
    directory: Path,
    *,
    checkpoints: Mapping[str, bytes] | None = None,
    trusted: Sequence[Verifier | TrustedKey] = (),
    progress: EventsRead | None = None,
    alone: bool = False,
) -> Report:
    """Verify all logs of a bundle and report everything found, good and bad.

    Args:
        directory: the bundle.
        checkpoints: earlier signed checkpoints from elsewhere, by a name for messages; they show freshness,
            truncation, replay and split views.
        trusted: keys of the logs; without any, the bundle's own keys are used and authenticity is not shown.
        progress: called with a log's name and the number of events read.
        alone: the bundle is one log, and those that it names are not asked for.

    Raises:
        BundleError: when the folder holds no log at all.
        AuditUsageError: when several logs are to be verified alone.
    """
    keys = [key if isinstance(key, TrustedKey) else TrustedKey.of(key) for key in trusted]
    folders = walk(directory)
    if alone and len(folders.logs) > 1:
        raise AuditUsageError(
            "RF-A231",
            N_("This bundle holds {count} logs; --alone verifies one. Give the folder of that log."),
            count=len(folders.logs),
        )
    logs = [read_log(name, path, keys, progress) for name, path in folders.logs]
    faults = [
        *claims.gather_given(logs, checkpoints or {}),
        *claims.gather_anchors(logs),
        *claims.gather_copies(logs),
    ]
    notes = [gap for log in logs for gap in claims.gather_anchor_notes(log, logs, keys)]
    rolled = _roll_call(logs, keys)
    lost = list[Gap]()
    for log, roots in [(log, check_events(log)) for log in logs]:
        claims.check_claims(log, roots, logs)
        lost += check_losses(log, roots)
    for log in logs:
        check_manifest(log)
    gaps = [*lost, *rolled, *notes, *folders.gaps, *_likenesses(logs, keys)]
    return Report(
        logs=tuple(log.report for log in logs),
        faults=tuple(Flaw(error=error) for error in faults),
        gaps=tuple(gap for gap in gaps if not (alone and gap.elsewhere)),
        left_out=tuple(gap for gap in gaps if alone and gap.elsewhere),
        notices=folders.notices,
    )


def verify_bundle(
    directory: Path,
    *,
    checkpoints: Mapping[str, bytes] | None = None,
    trusted: Sequence[Verifier | TrustedKey] = (),
    progress: EventsRead | None = None,
    alone: bool = False,
) -> Report:
    """As `examine_bundle`, but a bundle that is not intact raises.

    Raises:
        BundleRefused: with the whole report, when anything is wrong.
        BundleIncomplete: with the whole report, when nothing is wrong but not everything could be verified.
        BundleError: when the folder holds no log at all.
    """
    report = examine_bundle(
        directory, checkpoints=checkpoints, trusted=trusted, progress=progress, alone=alone
    )
    match report.verdict:
        case "refused":
            raise BundleRefused(report)
        case "incomplete":
            raise BundleIncomplete(report)
        case "intact":
            return report


def _roll_call(logs: Sequence[LogCheck], keys: Sequence[TrustedKey]) -> list[Gap]:
    """What is missing, by the logs' own words and the caller's; and folders that bear another log's name."""
    present = [log.present for log in logs]
    missing = rollcall.missing_logs(present)
    for log, here in zip(logs, present, strict=True):
        log.report.notices += rollcall.other_runs(present, here)
        fault = rollcall.misplaced(present, here, missing)
        if fault is not None:
            log.report.fault(fault)
        else:
            log.report.notices += rollcall.strange_folder(here)
    return [*missing, *_trusted_and_missing(logs, keys, {gap.missing for gap in missing})]


def _trusted_and_missing(
    logs: Sequence[LogCheck], keys: Sequence[TrustedKey], told: set[str]
) -> Iterator[Gap]:
    for key in keys:
        if key.name in told or any(log.is_of(key) for log in logs):
            continue
        yield Gap(
            error=BundleError(
                "RF-A204", N_("The log of the trusted key {key} is not in this bundle."), key=key.text
            ),
            missing=key.name or key.text,
        )


def _likenesses(logs: Sequence[LogCheck], keys: Sequence[TrustedKey]) -> Iterator[Gap]:
    """Names that only look like another's. A log whose key the caller trusts by name needs no eyes."""
    vouched = {key.name for key in keys if key.name is not None}
    here = {log.present.origin for log in logs} - {""}
    named = sorted(here | {origin for log in logs for origin in log.scan.says.anchored} | vouched)
    for position, one in enumerate(named):
        for other in named[position + 1 :]:
            if look_alike(one, other) and not {one, other} <= vouched:
                yield Gap(
                    error=BundleError(
                        "RF-A209",
                        N_(
                            "{one} and {other} look alike and are two different names; give the keys of both "
                            "with --trust to show which log is whose."
                        ),
                        one=spelt(one),
                        other=spelt(other),
                    )
                )
    for origin in sorted(here - vouched):
        if mixes_scripts(origin):
            yield Gap(
                error=BundleError(
                    "RF-A210",
                    N_(
                        "The name {origin} mixes Latin letters with letters of another script that are drawn "
                        "alike; give the log's key with --trust to show whose it is."
                    ),
                    origin=spelt(origin),
                )
            )
