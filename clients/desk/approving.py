"""One person's approval of a study at this holder, given only to what is signed, allowed and in date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ringfence.audit.log import AuditLog
from ringfence.clients.attesting import attest, passing
from ringfence.clients.desk.deciding import not_an_approver, void_approvals
from ringfence.clients.desk.finding import signed_study
from ringfence.clients.desk.whatif import answer, judged_approvals, read_study, seen_lines
from ringfence.clients.home import Home
from ringfence.clients.inbox.by_file import keep_series
from ringfence.clients.records.snapshots import Attestation
from ringfence.clients.records.turns import window_to_attest
from ringfence.privacy.agreements.contract import LoadedContract
from ringfence.privacy.agreements.series import bound_of
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.approvals import PassedOver, SeriesBound, approve, judge_each
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_after
from ringfence.privacy.errors import N_, RingfenceError, StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What was written.

    Attributes:
        study: name of the study.
        digest: its digest.
        approver: fingerprint of the person's key.
        file: the approval.
        count: approvals now on file that hold.
        seen: what the coordinator would see besides sums, in a sentence each.
        warning: why the budget does not cover the study as it stands, or None. A top-up may still come, so
            the approval is given all the same.
        attested: when the table was attested that the study would read.
        rejected: when the study was rejected here, which this approval takes back; empty where it was not.
    """

    study: str
    digest: str
    approver: str
    file: Path
    count: int
    seen: tuple[str, ...]
    warning: RingfenceError | None
    attested: datetime
    rejected: str = ""


Keep = Callable[[SignedDocument, Callable[[], None]], None]
"""Puts an approval on file: calls its second argument, which records the event, before it counts."""


def give_approval(
    log: AuditLog, digest: str, holder: str, person: Identity, keep: Keep, bound: SeriesBound | None = None
) -> SignedDocument:
    """Sign one person's approval and put it on file, with its event; who approved stands in its private part.

    Args:
        log: the holder's.
        digest: of the study.
        holder: the holder's name.
        person: key of an approver, whose right to approve the caller has checked.
        keep: puts the approval on file.
        bound: of a series, what the approval is bound to.
    """
    document = approve(digest, holder, person, bound)

    def record() -> None:
        log.record(
            "study.approved",
            "allow",
            resource=f"study:{digest}",
            private={"approver": person.public.fingerprint},
        )

    keep(document, record)
    return document


def approve_study(home: Home, path: Path, key: Path, passphrases: Passphrases) -> Approved:
    """Write a person's approval into the approvals folder; a refusal is an event.

    Raises:
        KeyFault: the study is not the coordinator's, or the key cannot be opened or is of another kind.
        StudyError: RF-S041 the study is not allowed here, RF-S201 the key is no approver's of this holder,
            RF-S202 this person approved it before, RF-S436 it is not known, RF-S437 it was rejected since.
        TableError: the table was not attested for the study yet and does not pass.
    """
    resource = f"study:{home.settings.name}"
    with home.refusals("study.refused", resource):
        study = read_study(home, path)
    resource = f"study:{study.digest()}"
    with home.refusals("study.refused", resource):
        loaded = home.contract()
        found = answer(home, study, loaded)
        found.decision.require()
        person = passphrases.read_key(key, "approver")
        fingerprint = person.public.fingerprint
        if person.public not in home.settings.approvers():
            raise not_an_approver(home, fingerprint)
        rejected = home.inbox.rejected(found.digest)
        if rejected:  # what was approved before counts no more
            void_approvals(home, found.digest)
        bound = bound_of(study.series, loaded.contract.digest())
        file = home.approval_file(found.digest, fingerprint)
        if file.exists() and not any(each.cause == "outdated" for each in _judged(home, file, study, bound)):
            raise StudyError(
                "RF-S202",
                N_(
                    "{fingerprint} approved this study before; the second approval has to come from another "
                    "person."
                ),
                fingerprint=fingerprint,
            )
    # Beside the refusals: what a table's rows are judged to be stays in the private part of its own event.
    attested = _attested(home, study, loaded)
    if study.series is not None and home.inbox.document(home.coordinator(), found.digest) is None:
        keep_series(home.approvals_folder, signed_study(home, path))
    keep = _kept_at(file, home, found.digest, rejected)
    give_approval(home.log, found.digest, home.settings.name, person, keep, bound)
    home.offers.reopen(found.digest)
    return Approved(
        study=study.id,
        digest=found.digest,
        approver=fingerprint,
        file=file,
        count=len(judged_approvals(home, found.digest, bound).counted),
        seen=tuple(seen_lines(study)),
        warning=found.no_price or found.misfit(),
        attested=attested.at,
        rejected=rejected,
    )


def _kept_at(file: Path, home: Home, digest: str, rejected: str) -> Keep:
    """Puts an approval at its place, once its event stands and a rejection that it takes back is gone."""

    def keep(document: SignedDocument, record: Callable[[], None]) -> None:
        def recorded() -> None:
            record()
            with home.refusals("study.refused", f"study:{digest}"):
                home.inbox.accept(digest, rejected)

        write_after(file, document, recorded)

    return keep


def _attested(home: Home, study: Study, loaded: LoadedContract) -> Attestation:
    """The attestation that the study would run on; the table is attested now where nobody has done so.

    Raises:
        TableError: the table cannot be read as the contract says, or does not pass; nobody approves then.
    """
    premises, now = home.premises(loaded), datetime.now(UTC)
    window = window_to_attest(premises.ledger, premises.participations, study, None, now)
    known = passing(premises.snapshots, study.digest(), loaded.contract.digest(), window)
    return known or attest(premises, study, now, window).attestation


def _judged(home: Home, file: Path, study: Study, bound: SeriesBound | None) -> tuple[PassedOver, ...]:
    """Whether one approval on file does not count, and why."""
    people = home.settings.approvers()
    return judge_each([read_signed(file)], study.digest(), home.settings.name, people, bound).passed_over
