"""Check one log of a bundle by itself: key, checkpoint, events, table of hashes, manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ringfence.audit import bundle
from ringfence.audit.checkpoint import Checkpoint, read_unverified, signed_checkpoint
from ringfence.audit.errors import N_, AuditError, BundleError, _
from ringfence.audit.merkle import HASH_SIZE, prefix_roots
from ringfence.audit.note import Verifier
from ringfence.audit.verification.keychain import unsigned_handover, verify_handover
from ringfence.audit.verification.localise import bound_alteration, first_difference, name_alteration
from ringfence.audit.verification.report import LogReport
from ringfence.audit.verification.rollcall import Present
from ringfence.audit.verification.scan import Scan, scan_events
from ringfence.audit.verification.trust import TrustedKey, verifiers

EventsRead: TypeAlias = Callable[[str, int], None]

GIVEN, HISTORY, ANCHOR, COPY = "given", "history", "anchor", "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement about a state of a log: size and root, and where it was found.

    Attributes:
        size, root: the state.
        kind: what it stands in.
        place: where.
        signed: whether the log's own key signed it; only such a statement can accuse the log.
        by: name of the log that states it, where it is another's.
        event: number of the event that states it, where it is one.
    """

    size: int
    root: bytes
    kind: str
    place: str
    signed: bool = True
    by: str = ""
    event: int | None = None


@dataclass(slots=True, kw_only=True)
class LogCheck:
    """One log while it is being verified.

    Attributes:
        key: the one key that signed its checkpoint; statements count as its own under this key, and under
            those before it in the log's chain of keys for as long as each was in force.
    """

    name: str
    path: Path
    report: LogReport
    own: Verifier | None = None
    key: Verifier | None = None
    signed: Checkpoint | None = None
    scan: Scan = field(default_factory=Scan)
    claims: list[Claim] = field(default_factory=list)
    authentic: bool = False

    @property
    def count(self) -> int:
        """Number of events found."""
        return len(self.scan.hashes) // HASH_SIZE

    @property
    def keys(self) -> frozenset[Verifier]:
        """Keys that are or were the log's, by its own words."""
        return frozenset({*self.scan.chain.keys, *([self.key] if self.key else [])})

    def is_of(self, trusted: TrustedKey) -> bool:
        """Whether a trusted key is this log's, or handed over to it."""
        own = self.scan.chain.vouching(self.own) if self.own is not None else ()
        return any(trusted.is_key(key) for key in own)

    def statement(self, data: bytes) -> Checkpoint:
        """A checkpoint that the log itself signed, with a key that was in force at that size; of a state that
        the log says it lost, with any of its keys.

        Raises:
            NoteError: it did not, or RF-A254 with a retired key.
        """
        if self.key is None:
            return signed_checkpoint(data, [])[0]
        states = [state for each in self.scan.losses if not each.origin for state in each.loss.lost]
        return self.scan.chain.statement(data, self.key, {(state.size, state.root) for state in states})

    @property
    def present(self) -> Present:
        """The log as others name it: by its signed origin, or for want of a signature by its own words."""
        origin = self.signed.origin if self.signed else self.scan.says.origin
        return Present(name=self.name, origin=origin, says=self.scan.says)


def _key(log: LogCheck, trusted: Sequence[TrustedKey]) -> None:
    """Read the key that lies with the log; it counts when the caller trusts it, or trusts none at all."""
    log.own = bundle.read_log_key(log.path)
    if not trusted:
        log.report.notices.append(
            _("The key was taken from the bundle; give the log's key with --trust to show who signed.")
        )
    elif not any(log.is_of(key) for key in trusted):
        if any(key.is_key(one) for key in trusted for one in log.scan.chain.keys):
            raise BundleError(
                "RF-A256",
                N_(
                    "The log replaced the trusted key as lost, so that key does not vouch for {key}; learn "
                    "the new key from its owner and give it with --trust."
                ),
                key=log.own,
            )
        raise BundleError(
            "RF-A090", N_("The key in the bundle, {key}, is not among the trusted ones."), key=log.own
        )
    elif not any(key.is_key(log.own) for key in trusted):
        log.report.notices.append(
            _("The log changed its key {count} times; a trusted key leads to the one in force.").format(
                count=len(log.scan.chain.links)
            )
        )


def _may_sign(log: LogCheck, origin: str, trusted: Sequence[TrustedKey]) -> list[Verifier]:
    """The keys that may sign for the log: the trusted ones, or for want of any the bundle's own."""
    own = [log.own] if log.own is not None else []
    if not trusted:
        return own
    matched = [key for key in own if key.name == origin and any(log.is_of(one) for one in trusted)]
    return matched or verifiers(trusted, origin)


def _signed(log: LogCheck, trusted: Sequence[TrustedKey]) -> None:
    data = bundle.read_small(log.path / "checkpoint")
    signed, key = signed_checkpoint(data, _may_sign(log, read_unverified(data).origin, trusted))
    log.scan.chain.require_in_time([key], signed.size)
    log.signed, log.key = signed, key
    log.report.origin, log.report.root = log.signed.origin, log.signed.root.hex()
    log.report.key, log.report.trusted = str(log.key), bool(trusted)
    if log.own is not None and log.own != log.key:
        raise BundleError(
            "RF-A222", N_("The key that lies with the log is not the one that signed its checkpoint.")
        )


def _history(log: LogCheck, trusted: Sequence[TrustedKey]) -> None:
    for name, data in bundle.read_notes(log.path, "history"):
        if log.key is None:
            return  # No signed checkpoint, so no key to hold them against; that is a fault already.
        others = [Verifier(name=one.name, raw=one.raw) for one in trusted if one.name and one.raw]
        _, key = signed_checkpoint(data, [*log.keys, *others])
        if key not in log.keys:
            raise BundleError("RF-A091", N_("The file {file} is a checkpoint of another log."), file=name)
        old = log.statement(data)
        log.claims.append(Claim(size=old.size, root=old.root, kind=HISTORY, place=name))


def _handovers(log: LogCheck) -> None:
    """Each change of key is signed by both keys over the events that it ends."""
    notes = dict(bundle.read_notes(log.path, "keys"))
    by_size = {read_unverified(data).size: name for name, data in notes.items()}
    for link in log.scan.chain.links:
        name = by_size.pop(link.size, None)
        if name is None:
            raise unsigned_handover(link)
        made = verify_handover(link, notes[name])
        log.claims.append(Claim(size=made.size, root=made.root, kind=HISTORY, place=name))
    for name in by_size.values():  # of no change that this copy tells: what it states must hold all the same
        made = log.statement(notes[name])
        log.claims.append(Claim(size=made.size, root=made.root, kind=HISTORY, place=name))


def _events(log: LogCheck, progress: EventsRead | None) -> None:
    log.scan = scan_events(
        log.path / "log.jsonl", (lambda done: progress(log.name, done)) if progress else None
    )
    log.report.size, log.report.simulation = log.count, log.scan.simulation
    if log.scan.unknown:
        log.report.notices.append(
            _("Events of types that this version does not know: {count}.").format(count=log.scan.unknown)
        )


def read_log(name: str, path: Path, trusted: Sequence[TrustedKey], progress: EventsRead | None) -> LogCheck:
    """Read one log's files; what cannot be read or verified becomes a fault, and reading goes on."""
    log = LogCheck(name=name, path=path, report=LogReport(name=name))
    unread: AuditError | None = None
    try:
        _events(log, progress)  # first, since the events say which keys the log had
    except AuditError as error:
        unread = error
    steps: tuple[Callable[[], None], ...] = (
        lambda: _key(log, trusted),
        lambda: _signed(log, trusted),
        lambda: _history(log, trusted),
        lambda: _handovers(log),
    )
    for step in steps:
        try:
            step()
        except AuditError as error:
            log.report.fault(error)
    if unread is not None:
        log.report.fault(unread)
    return log


def _stated_hashes(log: LogCheck) -> bytes:
    """The bundle's table of leaf hashes; empty when it is missing, which is a fault of its own."""
    try:
        return bundle.read_small(
            log.path / "hashes", max(len(log.scan.hashes), _signed_size(log) * HASH_SIZE) * 2 + 64
        )
    except AuditError as error:
        log.report.fault(error)
        return b""


def _signed_size(log: LogCheck) -> int:
    return log.signed.size if log.signed else 0


def check_events(log: LogCheck) -> Mapping[int, bytes]:
    """Compare the events with the signed root and name the first bad one; return the roots computed."""
    found = log.scan.hashes
    sizes = {log.count, *(claim.size for claim in log.claims)}
    sizes |= {
        state.size
        for each in log.scan.losses
        for state in (each.loss.kept, *each.loss.lost)
        if not each.origin
    }
    roots = prefix_roots(found, sizes)
    stated = _stated_hashes(log)
    signed = log.signed
    if signed is None:
        # Without a signature there is nothing to hold the events against but the table beside them.
        if stated and (first := first_difference(found, stated)) is not None:
            log.report.fault(
                *name_alteration(found, stated) if len(stated) % HASH_SIZE == 0 else _bad_table(first)
            )
        return roots
    log.authentic = signed.size == log.count and signed.root == roots[log.count]
    if log.authentic:
        if stated and (first := first_difference(found, stated)) is not None:
            log.report.fault(*_bad_table(first))
        log.report.faults.extend(log.scan.faults)
    elif prefix_roots(stated, [signed.size]).get(signed.size) == signed.root and (
        len(stated) == signed.size * HASH_SIZE
    ):
        log.report.fault(*name_alteration(found, stated))
    else:
        _bound(log, signed, stated, roots)
    return roots


def _bad_table(first: int) -> tuple[AuditError, int]:
    return (
        BundleError(
            "RF-A092",
            N_("The table of hashes was altered at event {event}; it does not fit the events."),
            event=first,
        ),
        first,
    )


def _bound(log: LogCheck, signed: Checkpoint, stated: bytes, roots: Mapping[int, bytes]) -> None:
    """Events and table were both altered: bound the place by earlier checkpoints, say where to look first.

    A line that is no event or breaks a sequence speaks for itself; a difference to the table may be the
    table's.
    """
    stated_by_log = {claim.size: claim.root for claim in log.claims if claim.signed}
    claims = stated_by_log | {signed.size: signed.root}
    bounds = bound_alteration(claims, roots, log.count)
    seen = [fault.event for fault in log.scan.faults if fault.event is not None and fault.event >= bounds.low]
    first = first_difference(log.scan.hashes, stated)
    event = min(seen, default=bounds.low if first is None else first)
    event = min(max(event, bounds.low), bounds.high)
    log.report.fault(
        BundleError(
            "RF-A093",
            N_(
                "Events and the table of hashes were both altered. The first bad event lies from {low} to "
                "{high}; look first at event {event} (line {line} of log.jsonl)."
            ),
            low=bounds.low,
            high=bounds.high,
            event=event,
            line=event + 1,
        ),
        event,
    )


def check_manifest(log: LogCheck) -> None:
    """Hold the manifest against checkpoint and files; altered events have been named already."""
    try:
        manifest = bundle.read_manifest(log.path)
        if log.signed and (manifest.origin, manifest.size) != (log.signed.origin, log.signed.size):
            raise BundleError(
                "RF-A096", N_("The manifest speaks of another log or size than the checkpoint.")
            )
    except AuditError as error:
        log.report.fault(error)
        return
    for name, digest in manifest.files.items():
        if not bundle.is_own_file(name) or not bundle.is_plain_file(log.path, name):
            log.report.fault(
                BundleError(
                    "RF-A097",
                    N_(
                        "The manifest names {file}, which is missing or no plain file of the log's own "
                        "folder; nothing outside that folder is read."
                    ),
                    file=name,
                )
            )
        elif bundle.file_digest(log.path / name) != digest and (name != "log.jsonl" or log.authentic):
            log.report.fault(
                BundleError("RF-A098", N_("The file {file} is not the one the manifest names."), file=name)
            )
    extra = sorted(set(bundle.list_files(log.path)) - manifest.files.keys())
    if missing := set(bundle.NAMES) - manifest.files.keys():
        log.report.fault(
            BundleError(
                "RF-A099", N_("The manifest does not name {files}."), files=", ".join(sorted(missing))
            )
        )
    if extra:
        log.report.notices.append(
            _("Files that the manifest does not name: {files}.").format(files=", ".join(extra[:5]))
        )
