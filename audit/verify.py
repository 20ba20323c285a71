"""Verify an exported bundle offline: every event, every signature, every anchor, and say what is not shown.

Invariant (DESIGN, 6.7): `verify_bundle` returns what was verified or raises; no answer can be forgotten. A log is
intact when its events lead to the signed root, its producers' sequences have no gap, and every signed statement
about an earlier state (its own history, anchors in other logs, checkpoints the caller brings) is a prefix of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ringfence.audit import bundle, claims
from ringfence.audit.logcheck import Progress, check_events, check_manifest, read_log
from ringfence.audit.note import Verifier
from ringfence.audit.report import BundleRefused, Fault, Report


def examine_bundle(
    directory: Path,
    *,
    checkpoints: Mapping[str, bytes] | None = None,
    trusted: Sequence[Verifier] = (),
    progress: Progress | None = None,
) -> Report:
    """Verify all logs of a bundle and report everything found, good and bad.

    Args:
        directory: the bundle.
        checkpoints: earlier signed checkpoints from elsewhere, by a name for messages; they show freshness,
            truncation, replay and split views.
        trusted: keys of the logs; without any, the bundle's own keys are used and authenticity is not shown.
        progress: called with a log's name and the number of events read.

    Raises:
        BundleError: when the folder holds no log at all.
    """
    logs = [read_log(name, path, trusted, progress) for name, path in bundle.find_logs(directory)]
    faults = list(claims.gather_given(logs, checkpoints or {}))
    claims.gather_anchors(logs)
    claims.gather_copies(logs)
    for log in logs:
        claims.gather_anchor_notes(log, logs, trusted)
    for log in logs:
        claims.check_claims(log, check_events(log))
        check_manifest(log)
    return Report(
        logs=tuple(log.report for log in logs), faults=tuple(Fault(error=error) for error in faults)
    )


def verify_bundle(
    directory: Path,
    *,
    checkpoints: Mapping[str, bytes] | None = None,
    trusted: Sequence[Verifier] = (),
    progress: Progress | None = None,
) -> Report:
    """As `examine_bundle`, but a bundle with any fault raises.

    Raises:
        BundleRefused: with the whole report, when anything is wrong.
        BundleError: when the folder holds no log at all.
    """
    report = examine_bundle(directory, checkpoints=checkpoints, trusted=trusted, progress=progress)
    if report.all_faults():
        raise BundleRefused(report)
    return report
